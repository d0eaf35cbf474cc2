/*
 * ref_threads - the plain program that "threading" is measured against.
 *
 * An echo server as it is usually written by hand: one loop around a blocking accept(), and one
 * detached thread with a 256 KiB stack per connection.  No pool, no limits, no supervision: what
 * handlerd adds, or saves, shows as the ratio to this.
 */
#define _GNU_SOURCE
#include "ref_listen.h"
#include <pthread.h>

#define STACK (256 * 1024)

static void *
session(void *arg)
{
	echo_until_end((int)(intptr_t)arg);
	return NULL;
}

int
main(int argc, char **argv)
{
	int listener = listen_on_argument(argc, argv);
	pthread_attr_t attr;
	pthread_t thread;

	pthread_attr_init(&attr);
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attr, STACK);
	for (;;) {
		int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
		if (fd == -1)
			continue;
		if (pthread_create(&thread, &attr, session, (void *)(intptr_t)fd) != 0)
			close(fd);
	}
}
