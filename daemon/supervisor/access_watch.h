/*
 * access_watch.h - has files of access.file read again when they change, and times of the day
 * worked out ahead.
 */
#ifndef SUPERVISOR_ACCESS_WATCH_H
#define SUPERVISOR_ACCESS_WATCH_H

#include "base/loop.h"

struct supervisor;

struct access_watch {
	struct loop_source changes; /* an inotify of the directories; fd -1: none */
	struct loop_timer settle;   /* after the last of several changes */
	int64_t settle_most_ns;	    /* when it is enough of them */
	struct loop_timer poll;	    /* for what no event tells */
	struct loop_timer minute;   /* for the times */
};

void access_watch_init(struct access_watch *watch);
void access_watch_close(struct supervisor *supervisor);

/* The listeners are others now, or were asked to be read again: watches what they need, and looks
 * at all files. */
void access_watch_renew(struct supervisor *supervisor, bool is_forced);

#endif
