/*
 * ban_list.h - the clients that no listener takes for a while: who has reported them, and when that
 * ends. They outlive reloads, workers and upgrades, and end with the daemon.
 */
#ifndef SUPERVISOR_BAN_LIST_H
#define SUPERVISOR_BAN_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/loop.h"
#include "ipc/bans.h"

struct listener;

struct ban_list {
	struct bans_page *page; /* NULL: it was not opened */
	int fd;			/* -1: none */
	int reading_fd;		/* the same, for workers */
	char **reporters;	/* names of listeners, by number */
	size_t reporter_count;
	struct loop *loop; /* not owned */
	struct loop_timer timer;
};

void ban_list_init(struct ban_list *list, struct loop *loop);
/* A list without bans; the one that another execution of this program has left (`fd` and reporters
 * are known). 0 or a negative errno. */
int ban_list_open(struct ban_list *list);
int ban_list_resume(struct ban_list *list);
void ban_list_close(struct ban_list *list);

/* The number of a listener among the reporters. */
uint32_t ban_list_find_reporter(struct ban_list *list, const char *name);

/* A worker of this listener says that this address has touched its sensor. */
void ban_list_on_report(struct ban_list *list, const struct listener *listener, uint64_t hi,
			uint64_t lo);

/* Ends one ban, or all (`key` NULL). How many there were. */
size_t ban_list_clear(struct ban_list *list, const struct bans_key *key);

#endif
