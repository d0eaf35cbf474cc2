/*
 * concurrency.c - what all modes share: the events between the control flow and the others.
 */
#include "concurrency/concurrency.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>

static int
concurrency_open_receivers(struct concurrency *mode)
{
	struct datagram_socket *receivers = calloc(mode->socket_count + 1, sizeof(*receivers));

	mode->receivers = receivers;
	if (receivers == NULL)
		return -ENOMEM;
	for (size_t i = 0; i < mode->socket_count; i++) {
		int r = datagram_socket_open(mode->sockets[i], &receivers[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int
concurrency_init(struct concurrency *mode)
{
	mode->open_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mode->open_fd < 0 || mode->drain_fd < 0 || mode->notice_fd < 0)
		return -errno;
	return mode->is_datagram ? concurrency_open_receivers(mode) : 0;
}

void
concurrency_report_quiet(struct concurrency *mode)
{
	if (mode->was_quiet)
		return;
	mode->was_quiet = true;
	mode->on_quiet(mode);
}

void
concurrency_report_empty(struct concurrency *mode)
{
	concurrency_report_quiet(mode);
	if (mode->was_empty)
		return;
	mode->was_empty = true;
	mode->on_empty(mode);
}
