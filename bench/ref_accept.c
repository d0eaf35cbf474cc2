/*
 * ref_accept - threads that all wait in accept, the other plain program that "threading" is
 * measured against.
 *
 * Each thread serves one connection after the other, so that none is made while clients wait, and
 * no more clients than there are threads are served at a time: their number is the second argument,
 * 64 without one.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <pthread.h>

#define STACK (256 * 1024)

static void *
serve(void *arg)
{
	int listener = (int)(intptr_t)arg;

	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd != -1)
			echo_until_end(fd);
	}
	return NULL;
}

int
main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 64;
	int listener = listen_on_argument(argc == 3 ? 2 : argc, argv);
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK);
	for (int i = 1; i < count; i++) {
		errno = pthread_create(&thread, &attr, serve, (void *)(intptr_t)listener);
		if (errno != 0)
			fail(argv[0]);
	}
	serve((void *)(intptr_t)listener);
}
