/*
 * fallback.c - remembers what was, counts crashes, goes back.
 */
#include "supervisor/fallback.h"

#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/listener.h"

bool
fallback_is_crash(int status)
{
	if (WIFEXITED(status))
		return true;
	switch (WTERMSIG(status)) {
	case SIGSEGV:
	case SIGBUS:
	case SIGILL:
	case SIGFPE:
	case SIGABRT:
	case SIGSYS:
		return true;
	default:
		return false;
	}
}

bool
fallback_count_crash(struct fallback *fallback, const struct conf_rollback *rollback,
		     int64_t now_ns)
{
	size_t room = (size_t)rollback->crashes;
	int64_t oldest_ns;

	if (fallback->config == NULL || room == 0)
		return false;
	if (fallback->crash_room != room) {
		free(fallback->crashes_ns);
		fallback->crashes_ns = memory_zero(room, sizeof(*fallback->crashes_ns));
		fallback->crash_room = room;
		fallback->crash_count = fallback->next_crash = 0;
	}
	fallback->crashes_ns[fallback->next_crash] = now_ns;
	fallback->next_crash = (fallback->next_crash + 1) % room;
	fallback->crash_count++;
	if (fallback->crash_count < room)
		return false;
	/* the ring is full: the next to be written is the oldest */
	oldest_ns = fallback->crashes_ns[fallback->next_crash];
	return now_ns - oldest_ns <= rollback->within_ms * CLOCK_NS_PER_MS;
}

void
fallback_clear(struct fallback *fallback)
{
	config_free(fallback->config);
	pin_close(&fallback->pin);
	identity_free(&fallback->identity);
	access_lists_free(fallback->access);
	free(fallback->crashes_ns);
	*fallback = FALLBACK_NONE;
}

/* One crash too many after a reload: it goes back, as soon as nothing else is under way. */
void
fallback_note_crash(struct listener *listener)
{
	const struct conf_rollback *rollback = &listener->conf->rollback;
	char within[32];

	if (listener->wants_back ||
	    !fallback_count_crash(&listener->fallback, rollback, clock_now_ns()))
		return;
	listener->wants_back = true;
	listener->current->is_given_up = true;
	log_event(LOG_EVENT_GOING_BACK, listener->name,
		  "'%s' has crashed %" PRId64 " times within %s since it was changed; it goes back "
		  "to the settings and the handler file of generation %" PRIu32,
		  listener->name, rollback->crashes,
		  parse_format_duration(rollback->within_ms, within, sizeof(within)),
		  listener->fallback.generation);
	listener->world->on_change(listener->world);
}

void
fallback_keep(struct listener *listener, struct listener *replaced, uint32_t generation)
{
	/* what went back has nothing more to go back to */
	if (listener->is_rolled_back || listener->conf->rollback.crashes == 0)
		return;
	listener->fallback = (struct fallback){
		.config = config_hold(replaced->config),
		.conf = replaced->conf,
		.pin = replaced->pin,
		.identity = replaced->identity,
		.socket_owner = replaced->socket_owner,
		.access = take_pointer(&replaced->access),
		.generation = generation,
	};
	replaced->pin = PIN_NONE;
	replaced->identity = (struct identity){0};
}

struct listener *
fallback_make_listener(struct listener *crashing, struct report *report)
{
	struct fallback *fallback = &crashing->fallback;
	struct listener *listener;

	crashing->wants_back = false;
	if (pin_was_overwritten(&fallback->pin)) {
		report_error(report, NULL, 0,
			     "'%s' cannot go back: its previous handler file '%s' was overwritten; "
			     "install handlers by rename",
			     crashing->name, fallback->pin.path);
		fallback_clear(fallback);
		return NULL;
	}
	listener = listener_make(crashing->world, fallback->config, fallback->conf);
	listener->own_config = fallback->config;
	listener->pin = fallback->pin;
	listener->identity = fallback->identity;
	listener->socket_owner = fallback->socket_owner;
	listener->access = take_pointer(&fallback->access);
	listener->is_rolled_back = true;
	fallback->config = NULL;
	fallback->pin = PIN_NONE;
	fallback->identity = (struct identity){0};
	listener_make_image(listener);
	listener_set_replaces(listener, crashing);
	return listener;
}
