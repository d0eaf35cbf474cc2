/*
 * orphans.c - buries the dead that are nobody's.
 */
#include "supervisor/orphans.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"

/* In one go; then others have their turn, however many processes a handler leaves. */
#define ORPHANS_BATCH 256
/* One of our own is waited for as soon as its owner has heard of its death. */
#define ORPHANS_OWN_MS 20

/* One process has one set of children. */
static struct {
	pid_t *pids;
	size_t count;
} orphans_known;

void
orphans_own(pid_t pid)
{
	orphans_known.pids = memory_grow(orphans_known.pids, orphans_known.count, sizeof(pid_t));
	orphans_known.pids[orphans_known.count++] = pid;
}

static bool
orphans_find_own(pid_t pid, size_t *ret)
{
	for (size_t i = 0; i < orphans_known.count; i++) {
		if (orphans_known.pids[i] == pid) {
			*ret = i;
			return true;
		}
	}
	return false;
}

void
orphans_disown(pid_t pid)
{
	size_t i;

	if (orphans_find_own(pid, &i))
		orphans_known.pids[i] = orphans_known.pids[--orphans_known.count];
	if (orphans_known.count > 0)
		return;
	free(orphans_known.pids);
	orphans_known.pids = NULL;
}

/* The dead child that is first in the kernel's list, which stays there; 0: none is dead. */
static pid_t
orphans_find_dead(void)
{
	siginfo_t info = {0};
	int r;

	do {
		r = waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL);
	} while (r < 0 && errno == EINTR);
	return r < 0 ? 0 : info.si_pid;
}

void
orphans_look(struct orphans *orphans)
{
	size_t buried = 0, i;
	int delay_ms = -1;

	while (delay_ms < 0) {
		pid_t pid = orphans_find_dead();

		if (pid == 0)
			break;
		if (orphans_find_own(pid, &i)) {
			/* nobody sees those behind it as long as it is there */
			delay_ms = ORPHANS_OWN_MS;
		} else {
			(void)waitpid(pid, NULL, WNOHANG | __WALL);
			if (++buried == ORPHANS_BATCH)
				delay_ms = 0;
		}
	}
	if (buried > 0)
		log_debug("%zu dead processes were waited for that somebody else had left", buried);
	if (delay_ms >= 0)
		loop_arm(orphans->loop, &orphans->timer, clock_deadline_ns(delay_ms));
}

static void
orphans_on_timer(struct loop_timer *timer)
{
	orphans_look(CONTAINER_OF(timer, struct orphans, timer));
}

void
orphans_begin(struct orphans *orphans, struct loop *loop)
{
	*orphans = (struct orphans){.loop = loop, .timer = {.on_timer = orphans_on_timer}};
	loop_arm(loop, &orphans->timer, clock_now_ns());
}
