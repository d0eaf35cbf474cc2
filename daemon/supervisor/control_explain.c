/*
 * control_explain.c - what every rule of a listener says of a client, in the order in which they
 * are asked. The rules are asked by the function that workers use, of the same memory; here are
 * only the words. Nothing is counted or used up by it.
 *
 * A rule that is to be explained is a row of explain_steps.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/access_entry.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/settings.h"
#include "policy/admission.h"
#include "supervisor/control_commands.h"
#include "supervisor/control_explain.h"
#include "supervisor/supervisor.h"

#define EXPLAIN_MOST_GROUPS 32

/* Who is asked about, and what came of it so far. */
struct explain {
	const struct listener *listener;
	struct admission admission;
	struct admission_peer peer;
	struct sockaddr_storage address;
	struct ucred credentials;
	gid_t groups[EXPLAIN_MOST_GROUPS];
	char text[INET6_ADDRSTRLEN]; /* as it is answered */
	json_t *rules;
	enum close_reason reason; /* of the first rule that refuses */
	bool is_waiting;	  /* until something is over */
};

struct explain_step {
	const char *name;
	/* What the rules of admission.h say, for those that are among them. */
	bool is_admission;
	enum admission_step step;
	void (*explain)(struct explain *explain, uint32_t rule, struct explain_row *ret);
};

static void
explain_listener(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	const char *state = control_listener_state(explain->listener);

	(void)rule;
	if (explain->listener->is_paused) {
		ret->says = EXPLAIN_WAITS;
		ret->text = memory_format("the listener is %s: clients wait until it is resumed",
					  state);
	} else {
		ret->text = memory_format("the listener is %s", state);
	}
}

static void
explain_sensor(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	const struct conf_listener *conf = explain->listener->conf;
	const struct setting *row = setting_find(SETTING_LISTENER, "access", "sensor");
	char how_long[32];

	(void)rule;
	if (explain->listener->sensor.ban_ns == 0) {
		ret->text = memory_text("the listener is no sensor");
		return;
	}
	ret->text = memory_format(
		ret->says == EXPLAIN_REFUSES ? "who connects is banned by all listeners for %s"
					     : "the sensor (%s) excepts this client",
		parse_format_duration(conf->access.sensor_ms, how_long, sizeof(how_long)));
	if (conf->origins != NULL) {
		ret->file = conf->origins[row - settings].file;
		ret->line = conf->origins[row - settings].line;
	}
}

static void
explain_bans(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	int64_t left_ns = 0;
	struct bans_key key;
	char left[32];

	(void)rule;
	if (ret->says == EXPLAIN_REFUSES &&
	    bans_key_of(explain->peer.address, explain->peer.length, &key))
		left_ns = bans_find(explain->admission.bans, &key) - clock_now_ns();
	if (left_ns > 0)
		ret->text = memory_format(
			"it has touched a sensor; its ban ends in %s",
			parse_format_duration(left_ns / CLOCK_NS_PER_MS, left, sizeof(left)));
	else
		ret->text = memory_text("it is not banned");
}

static void
explain_overload(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	(void)rule;
	if (explain->admission.board == NULL) {
		ret->says = EXPLAIN_UNKNOWN;
		ret->text = memory_text("no worker runs that could be overloaded");
	} else if (ret->says == EXPLAIN_REFUSES) {
		ret->text = memory_text("the listener sheds load");
	} else {
		ret->text = memory_text("the listener sheds no load");
	}
}

static char *
explain_tie(const struct explain *explain, uint32_t rule)
{
	const struct listener *listener = explain->listener;
	uint32_t other = access_lists_find_tie(listener->access, rule);
	struct access_place place;

	if (other == 0)
		return memory_text("");
	access_lists_place(listener->access, listener->conf, other, &place);
	if (place.file == NULL)
		return memory_text("; it is allowed, too, and a tie denies");
	return memory_format("; it is allowed, too (%s:%u), and a tie denies", place.file,
			     place.line);
}

static void
explain_access(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	const struct listener *listener = explain->listener;
	CLEANUP_FREE char *tie = NULL;
	struct access_place place;

	if (listener->access == NULL || !access_lists_have_entries(listener->access)) {
		ret->text = memory_text("there are no lists");
		return;
	}
	access_lists_place(listener->access, listener->conf, rule, &place);
	if (rule == 0) {
		ret->text = memory_text(access_lists_have_allow(listener->access)
						? "no entry fits, and others are allowed by name"
						: "no entry fits, and nobody is allowed by name");
	} else if (place.text[0] == '\0') {
		ret->text = memory_text("an entry of a version of the file that is not there any "
					"more");
	} else {
		tie = place.is_allow ? memory_text("") : explain_tie(explain, rule);
		ret->text = memory_format("'%s' is %s%s", place.text,
					  place.is_allow ? "allowed" : "denied", tie);
		ret->file = place.file;
		ret->line = place.line;
	}
}

/* "HH:MM" of the clock on the wall. */
static const char *
explain_clock(int64_t when_s, char *buf, size_t size)
{
	time_t when = (time_t)when_s;
	struct tm local;

	if (localtime_r(&when, &local) == NULL || strftime(buf, size, "%H:%M", &local) == 0)
		(void)snprintf(buf, size, "?");
	return buf;
}

static void
explain_times(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	const struct conf_listener *conf = explain->listener->conf;
	const struct setting *row = setting_find(SETTING_LISTENER, "access", "times");
	bool is_open = ret->says == EXPLAIN_PASSES;
	int64_t now_s = access_now_s(), turn_s;
	struct schedule schedule;
	char now[16], turn[16];

	(void)rule;
	access_read_schedule(&explain->admission.access, &schedule);
	if (schedule.has_times == 0) {
		ret->text = memory_text("there are no times");
		return;
	}
	turn_s = schedule_next_turn(&schedule, now_s);
	(void)explain_clock(now_s, now, sizeof(now));
	if (turn_s == 0)
		ret->text =
			memory_format("it is %s, and %s all day", now, is_open ? "open" : "closed");
	else
		ret->text = memory_format("it is %s; %s at %s", now, is_open ? "closes" : "opens",
					  explain_clock(turn_s, turn, sizeof(turn)));
	if (conf->origins != NULL) {
		ret->file = conf->origins[row - settings].file;
		ret->line = conf->origins[row - settings].line;
	}
}

static void
explain_sources(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	(void)rule;
	explain_source_connections(explain->listener, &explain->peer, ret);
}

static void
explain_source_tokens(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	(void)rule;
	explain_source_rate(explain->listener, &explain->peer, ret);
}

static void
explain_all_tokens(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	(void)rule;
	explain_rate(explain->listener, ret);
}

static void
explain_limit(struct explain *explain, uint32_t rule, struct explain_row *ret)
{
	(void)rule;
	explain_max_connections(explain->listener, ret);
}

static const struct explain_step explain_steps[] = {
	{.name = "listener", .explain = explain_listener},
	{"sensor", true, ADMISSION_SENSOR, explain_sensor},
	{"bans", true, ADMISSION_BANS, explain_bans},
	{"overload", true, ADMISSION_OVERLOAD, explain_overload},
	{"access", true, ADMISSION_ACCESS, explain_access},
	{"times", true, ADMISSION_TIMES, explain_times},
	{.name = "max_connections", .explain = explain_limit},
	{.name = "connections_per_source", .explain = explain_sources},
	{.name = "rate_per_source", .explain = explain_source_tokens},
	{.name = "rate", .explain = explain_all_tokens},
};

static void
explain_add(struct explain *explain, const struct explain_step *step)
{
	static const char *const words[] = {
		[EXPLAIN_PASSES] = "passes",
		[EXPLAIN_REFUSES] = "refuses",
		[EXPLAIN_WAITS] = "waits",
		[EXPLAIN_UNKNOWN] = "unknown",
	};
	struct explain_row row = {.says = EXPLAIN_PASSES};
	enum close_reason reason = CLOSE_NONE;
	uint32_t rule = 0;
	json_t *object;

	if (step->is_admission)
		reason = admission_ask(&explain->admission, step->step, &explain->peer, &rule);
	if (reason != CLOSE_NONE)
		row.says = EXPLAIN_REFUSES;
	step->explain(explain, rule, &row);
	if (row.reason != CLOSE_NONE)
		reason = row.reason;
	if (explain->reason == CLOSE_NONE)
		explain->reason = reason;
	explain->is_waiting |= row.says == EXPLAIN_WAITS;
	object = json_pack("{s:s,s:s,s:o,s:o,s:o}", "rule", step->name, "says", words[row.says],
			   "text", control_json_text(row.text), "file", control_json_text(row.file),
			   "line", row.file != NULL ? json_integer(row.line) : json_null());
	(void)json_array_append_new(explain->rules, object);
	free(row.text);
}

/* An address, or "uid:1000". NULL, or a new sentence: what is wrong with it. */
static char *
explain_take_address(struct explain *explain, const char *text)
{
	bool is_unix = conf_protocol_is_unix(explain->listener->protocol);
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in = {.sin_family = AF_INET};
	struct access_entry entry;
	char *reason = NULL;

	if (access_entry_parse(text, &entry, &reason) < 0)
		return reason;
	if (is_unix && (entry.kind != ACCESS_UID || entry.name != NULL))
		return memory_format(
			"the clients of '%s' have no address; write uid: and the number "
			"of a user",
			explain->listener->name);
	if (!is_unix && (entry.kind != ACCESS_PREFIX ||
			 entry.prefix.length != (entry.prefix.is_ipv6 ? 128U : 32U)))
		return memory_format("'%s' listens on %s; write one address, such as 192.0.2.7 or "
				     "2001:db8::7",
				     explain->listener->name,
				     conf_protocol_name(explain->listener->protocol));
	explain->peer.address = &explain->address;
	(void)access_entry_format(&entry, explain->text, sizeof(explain->text));
	if (is_unix) {
		explain->address.ss_family = AF_UNIX;
		explain->peer.length = sizeof(sa_family_t);
		explain->credentials.uid = entry.id;
		explain->credentials.gid = (gid_t)-1;
		explain->peer.credentials = &explain->credentials;
	} else if (entry.prefix.is_ipv6) {
		memcpy(&in6.sin6_addr, entry.prefix.bytes, sizeof(in6.sin6_addr));
		memcpy(&explain->address, &in6, sizeof(in6));
		explain->peer.length = sizeof(in6);
	} else {
		memcpy(&in.sin_addr, entry.prefix.bytes, sizeof(in.sin_addr));
		memcpy(&explain->address, &in, sizeof(in));
		explain->peer.length = sizeof(in);
	}
	return NULL;
}

/* "100", or "100,27": the primary group first. NULL, or a new sentence. */
static char *
explain_take_groups(struct explain *explain, const char *text)
{
	CLEANUP_FREE char *copy = memory_text(text);
	bool is_datagram = conf_protocol_is_datagram(explain->listener->protocol);
	size_t count = 0;
	char *rest = copy;

	if (!conf_protocol_is_unix(explain->listener->protocol))
		return memory_format("the clients of '%s' have no groups", explain->listener->name);
	for (const char *word; (word = strsep(&rest, ",")) != NULL; count++) {
		int64_t gid;

		if (count > EXPLAIN_MOST_GROUPS || parse_int64(word, &gid) < 0 || gid < 0 ||
		    gid >= UINT32_MAX)
			return memory_format("gid: write up to %d numbers of groups, with commas "
					     "between them, the primary one first",
					     EXPLAIN_MOST_GROUPS + 1);
		if (count == 0)
			explain->credentials.gid = (gid_t)gid;
		else
			explain->groups[count - 1] = (gid_t)gid;
	}
	/* of a datagram's sender nobody is told more than the first */
	explain->peer.groups = explain->groups;
	explain->peer.group_count = is_datagram ? 0 : count - 1;
	return NULL;
}

static void
explain_answer(struct control_client *client, const struct explain *explain)
{
	const char *decision = explain->reason != CLOSE_NONE ? "refused"
			       : explain->is_waiting	     ? "waits"
							     : "accepted";

	control_client_answer(client,
			      json_pack("{s:b,s:o,s:s,s:s,s:o,s:O}", "ok", 1, "listener",
					control_json_text(explain->listener->name), "address",
					explain->text, "decision", decision, "reason",
					explain->reason != CLOSE_NONE
						? json_string(close_reason_name(explain->reason))
						: json_null(),
					"rules", explain->rules));
}

void
control_run_explain(struct supervisor *supervisor, struct control_client *client,
		    const json_t *request)
{
	const char *name = control_request_text(request, "listener");
	const char *groups = control_request_text(request, "gid");
	struct explain explain = {.listener = control_find_listener(supervisor, name),
				  .peer.fd = -1};
	CLEANUP_FREE char *reason = NULL;

	if (explain.listener == NULL) {
		control_refuse_listener(supervisor, client, name);
		return;
	}
	reason = explain_take_address(&explain, control_request_text(request, "address"));
	if (reason == NULL && groups != NULL)
		reason = explain_take_groups(&explain, groups);
	if (reason != NULL) {
		control_client_refuse(client, "%s", reason);
		return;
	}
	if (explain.listener->current != NULL)
		explain.admission.board = explain.listener->current->board;
	explain.admission.sensor = explain.listener->sensor;
	explain.admission.bans = supervisor->world.bans.page;
	if (explain.listener->access != NULL)
		explain.admission.access = explain.listener->access->writer.view;
	explain.rules = json_array();
	for (size_t i = 0; i < COUNT_OF(explain_steps); i++)
		explain_add(&explain, &explain_steps[i]);
	explain_answer(client, &explain);
	json_decref(explain.rules);
}
