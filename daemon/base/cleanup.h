/*
 * cleanup.h - scope-bound ownership for local variables.
 *
 *	CLEANUP_CLOSE int fd = -1;	closed when the scope ends
 *	CLEANUP_FREE char *text = NULL;	freed when the scope ends
 *	return take_fd(&fd);		hands over and leaves -1 behind
 */
#ifndef BASE_CLEANUP_H
#define BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_free(void *slot)
{
	free(*(void **)slot);
}

static inline void
cleanup_close(const int *slot)
{
	if (*slot >= 0)
		(void)close(*slot);
}

static inline void
cleanup_fclose(FILE **slot)
{
	if (*slot != NULL)
		(void)fclose(*slot);
}

#define CLEANUP_FREE __attribute__((cleanup(cleanup_free)))
#define CLEANUP_CLOSE __attribute__((cleanup(cleanup_close)))
#define CLEANUP_FCLOSE __attribute__((cleanup(cleanup_fclose)))
#define CLEANUP(function) __attribute__((cleanup(function)))

static inline int
take_fd(int *slot)
{
	int fd = *slot;

	*slot = -1;
	return fd;
}

static inline void *
take_pointer(void *slot)
{
	void *pointer = *(void **)slot;

	*(void **)slot = NULL;
	return pointer;
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The structure that holds `member` at this address. */
#define CONTAINER_OF(pointer, type, member) ((type *)((char *)(pointer)-offsetof(type, member)))

#endif
