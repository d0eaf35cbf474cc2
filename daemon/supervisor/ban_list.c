/*
 * ban_list.c - adds what sensors report, and ends it in time.
 */
#include "supervisor/ban_list.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/listener.h"

/* In 10 s. */
#define BAN_LIST_LOGGED 100

void
ban_list_init(struct ban_list *list, struct loop *loop)
{
	*list = (struct ban_list){.fd = -1, .reading_fd = -1, .loop = loop};
}

/* Those that have ended make room soon after; workers go by the time itself. */
static void
ban_list_look(struct ban_list *list)
{
	int64_t now_ns = clock_now_ns(), next_ns = bans_age(list->page, now_ns);

	if (next_ns == 0)
		loop_disarm(list->loop, &list->timer);
	else
		loop_arm(list->loop, &list->timer,
			 next_ns > now_ns + CLOCK_NS_PER_S ? next_ns : now_ns + CLOCK_NS_PER_S);
}

static void
ban_list_on_timer(struct loop_timer *timer)
{
	ban_list_look(CONTAINER_OF(timer, struct ban_list, timer));
}

static int
ban_list_begin(struct ban_list *list)
{
	list->timer.on_timer = ban_list_on_timer;
	list->reading_fd = fd_open_for_reading(list->fd);
	if (list->reading_fd < 0)
		return list->reading_fd;
	ban_list_look(list);
	return 0;
}

int
ban_list_open(struct ban_list *list)
{
	int r = list->fd = bans_open(&list->page);

	return r < 0 ? r : ban_list_begin(list);
}

int
ban_list_resume(struct ban_list *list)
{
	int r = list->fd >= 0 ? bans_reopen(list->fd, &list->page) : ban_list_open(list);

	return r < 0 || list->reading_fd >= 0 ? r : ban_list_begin(list);
}

void
ban_list_close(struct ban_list *list)
{
	if (list->loop != NULL)
		loop_disarm(list->loop, &list->timer);
	bans_close(list->page);
	if (list->fd >= 0)
		(void)close(list->fd);
	if (list->reading_fd >= 0)
		(void)close(list->reading_fd);
	for (size_t i = 0; i < list->reporter_count; i++)
		free(list->reporters[i]);
	free(list->reporters);
	ban_list_init(list, list->loop);
}

uint32_t
ban_list_find_reporter(struct ban_list *list, const char *name)
{
	for (size_t i = 0; i < list->reporter_count; i++) {
		if (strcmp(list->reporters[i], name) == 0)
			return (uint32_t)i;
	}
	list->reporters = memory_grow(list->reporters, list->reporter_count, sizeof(char *));
	list->reporters[list->reporter_count] = memory_text(name);
	return (uint32_t)list->reporter_count++;
}

void
ban_list_on_report(struct ban_list *list, const struct listener *listener, uint64_t hi, uint64_t lo)
{
	static struct log_limiter limiter;
	struct bans_entry entry = {.until_ns = clock_now_ns() + listener->sensor.ban_ns};
	char who[BANS_KEY_TEXT_SIZE], how_long[32];
	uint64_t suppressed;

	/* the worker has asked the same; but it is a worker that says so */
	if (list->page == NULL || !sensor_catches(&listener->sensor, hi, lo) ||
	    !bans_key_of_words(hi, lo, &entry.key))
		return;
	entry.reporter = ban_list_find_reporter(list, listener->name);
	if (!bans_put(list->page, &entry))
		return;
	ban_list_look(list);
	if (!log_limit(&limiter, BAN_LIST_LOGGED, &suppressed))
		return;
	log_event(LOG_EVENT_BANNED, listener->name,
		  "%s is banned for %s: it has connected to '%s', which is a sensor",
		  bans_format_key(&entry.key, who, sizeof(who)),
		  parse_format_duration(listener->sensor.ban_ns / CLOCK_NS_PER_MS, how_long,
					sizeof(how_long)),
		  listener->name);
}

size_t
ban_list_clear(struct ban_list *list, const struct bans_key *key)
{
	size_t count = key != NULL ? bans_remove(list->page, key) : bans_clear(list->page);

	ban_list_look(list);
	return count;
}
