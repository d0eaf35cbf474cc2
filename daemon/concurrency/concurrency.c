/*
 * concurrency.c - what all modes share: the events between the control flow and the others.
 */
#include "concurrency/concurrency.h"

#include <errno.h>
#include <sys/eventfd.h>

int
concurrency_init(struct concurrency *mode)
{
	mode->open_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->drain_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	mode->notice_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (mode->open_fd < 0 || mode->drain_fd < 0 || mode->notice_fd < 0)
		return -errno;
	return 0;
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
