/*
 * filter.h - what a worker may call: programs for seccomp(2), made from the table of calls. The
 * worker, which links no library for it, installs them as they are.
 */
#ifndef SUPERVISOR_FILTER_H
#define SUPERVISOR_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* LeakSanitizer, in workers that are built with it, traces their threads. */
#if defined(__SANITIZE_ADDRESS__)
#define FILTER_SANITIZER_CALL "ptrace"
#else
#define FILTER_SANITIZER_CALL ""
#endif

/* What makes a difference to the program. */
struct filter_kind {
	bool is_strict;
	bool has_network;
	bool may_connect; /* without network: something else keeps it from TCP */
};

struct filter {
	struct filter_kind kind;
	uint64_t *rows; /* struct sock_filter, one each; owned */
	uint32_t count;
};

/* The program for this kind on a machine of this architecture (SCMP_ARCH_NATIVE, or another one of
 * libseccomp). 0 or a negative errno. */
int filter_build(const struct filter_kind *kind, uint32_t arch, struct filter *ret);

/* Those that were built, each once. */
struct filters {
	struct filter items[8];
	size_t count;
};

/* Builds it the first time; *ret is good until filters_free. 0 or a negative errno. */
int filters_find(struct filters *filters, const struct filter_kind *kind,
		 const struct filter **ret);
void filters_free(struct filters *filters);

/* Whether the kernel can keep a process from TCP, so that connect(2) need not be refused. */
bool filter_can_do_without_tcp(void);

enum filter_group {
	FILTER_ALLOWED,
	FILTER_EXECUTION,
	FILTER_SOCKETS,
	FILTER_LEAVING,
	FILTER_CONNECTING,
	FILTER_REFUSED,
	FILTER_UNKNOWN,
};

/* A row of the table. */
struct filter_calls {
	enum filter_group group;
	const char *what_for;
	const char *names; /* with spaces between them */
};

extern const struct filter_calls filter_table[];
extern const size_t filter_table_count;

/* Calls of which an argument decides: instructions that refuse, or fall through to what follows. In
 * filter_arguments.c. */
/* Which argument decides, from 0, that the call was refused, or, without arguments, that decides at
 * all; -1: none. Only the low 32 bits of it count. */
int filter_find_argument(const char *name, const uint64_t *arguments);
void filter_add_arguments(const struct filter_kind *kind, uint32_t arch, struct buf *program);

#endif
