/*
 * ask.c - connects, sends the request, shows progress until the last line, and that.
 */
#include "handlerctl/ask.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "handlerctl/answer.h"
#include "handlerctl/control_path.h"
#include "handlerctl/ctl.h"
#include "handlerctl/field.h"
#include "handlerctl/talk.h"

/* How often a daemon that is not there yet is looked for. */
#define ASK_LOOK_MS 50

/* A daemon that is told how long it may take is waited for a little longer. */
#define ASK_GRACE_MS 5000

/* A name of the command line that is longer is none of anything. */
#define ASK_NAME_MOST 255

static bool
ask_is_absence(int error)
{
	return error == -ENOENT || error == -ENOTDIR || error == -ECONNREFUSED;
}

/* Why there is no connection. */
static int
ask_complain_of_connection(const struct control_path *path, int error)
{
	const char *name = path->path;

	if (ask_is_absence(error)) {
		ctl_complain("no daemon listens on %s%s%s (%s); is it running? See 'systemctl "
			     "status handlerd', or name its socket with --control",
			     name, path->missing != NULL ? " or " : "",
			     path->missing != NULL ? path->missing : "", strerror(-error));
		return CTL_ABSENT;
	}
	switch (-error) {
	case EACCES:
	case EPERM:
		ctl_complain("may not connect to %s: %s; it takes root, the daemon's own user, or, "
			     "to look only, a member of control_group",
			     name, strerror(-error));
		break;
	case EAGAIN:
		ctl_complain("the daemon on %s has taken no connection for %ds; it may be "
			     "stopped or overloaded",
			     name, TALK_PATIENCE_MS / 1000);
		break;
	case ENAMETOOLONG:
		ctl_complain("the path of a socket has at most 107 bytes, %s has %zu", name,
			     strlen(name));
		break;
	case EPROTOTYPE:
		ctl_complain("%s is a socket, but not handlerd's control socket", name);
		break;
	default:
		ctl_complain("cannot connect to %s: %s", name, strerror(-error));
		break;
	}
	return CTL_FAILED;
}

/* Why there is no answer. */
static int
ask_complain_of_silence(const struct ask *ask, const char *path, int error)
{
	char time[32];

	switch (-error) {
	case ENODATA:
		ctl_complain("the daemon on %s closed the connection without an answer; it may "
			     "have ended: see its log and 'systemctl status handlerd'",
			     path);
		return CTL_ABSENT;
	case ETIMEDOUT:
		ctl_complain("the daemon on %s has not answered for %s; it may be stopped or "
			     "overloaded",
			     path, parse_format_duration(ask->patience_ms, time, sizeof(time)));
		return CTL_FAILED;
	case EMSGSIZE:
		ctl_complain("the answer from %s has a line of more than %zu MiB", path,
			     TALK_ANSWER_MOST >> 20);
		return CTL_FAILED;
	default:
		ctl_complain("cannot talk to the daemon on %s: %s", path, strerror(-error));
		return CTL_FAILED;
	}
}

/* Connects, until then again and again while nobody is there. 0 or a negative errno. */
static int
ask_connect(const struct ask *ask, int64_t until_ns, struct talk *talk, struct control_path *path)
{
	for (;;) {
		struct control_path_clues clues;
		int r;

		control_path_gather(&clues, ask->line.control);
		control_path_choose(&clues, path);
		r = talk_open(talk, path->path);
		if (!ask_is_absence(r) || clock_now_ns() >= until_ns)
			return r;
		talk_close(talk);
		control_path_free(path);
		(void)poll(NULL, 0, ASK_LOOK_MS);
	}
}

/* Tells the daemon what is left of the time. */
static void
ask_set_timeout(struct ask *ask, int64_t until_ns)
{
	int64_t left_ms;

	ask->patience_ms = -1;
	if (ask->line.timeout_ms < 0)
		return;
	left_ms = clock_ms_until(until_ns);
	if (left_ms < 1)
		left_ms = 1;
	(void)json_object_set_new(ask->request, "timeout_ms", json_integer(left_ms));
	ask->patience_ms = left_ms + ASK_GRACE_MS;
}

static void
ask_show_progress(struct ask *ask, const json_t *answer)
{
	CLEANUP_FREE char *text = field_text(answer, "progress");

	if (ask->line.is_json)
		return;
	ask->has_progress = true;
	(void)printf("%s\n", text);
	/* each when it comes; that it cannot be written is told at the end */
	(void)fflush(stdout);
}

/* The daemon has said that it stops; it has when it lets go of the connection. */
static void
ask_await_end(struct talk *talk)
{
	const char *line;
	size_t length;

	while (talk_hear(talk, clock_deadline_ns(-1), &line, &length) >= 0)
		;
}

static int
ask_show_last(const struct ask *ask, struct talk *talk, enum answer_kind kind, const json_t *answer)
{
	if (kind == ANSWER_REFUSED) {
		answer_complain(answer, ask->consequence);
		return CTL_FAILED;
	}
	if (ask->is_end_awaited)
		ask_await_end(talk);
	if (!ask->line.is_json)
		ask->print(ask, answer);
	answer_complain_list(answer, "warnings");
	return CTL_DONE;
}

/* Hears one line. The exit status, or -EAGAIN: there will be more. */
static int
ask_hear_line(struct ask *ask, struct talk *talk, const char *path, int64_t deadline_ns)
{
	const char *line;
	size_t length;
	enum answer_kind kind;
	json_t *answer;
	int r;

	r = talk_hear(talk, deadline_ns, &line, &length);
	if (r < 0)
		return ask_complain_of_silence(ask, path, r);
	kind = answer_read(line, length, &answer);
	if (kind == ANSWER_BAD) {
		ctl_complain("what came from %s is no answer of handlerd; another program, or "
			     "another version, may listen there",
			     path);
		return CTL_FAILED;
	}
	if (kind == ANSWER_PROGRESS) {
		ask_show_progress(ask, answer);
		r = -EAGAIN;
	} else {
		if (ask->line.is_json)
			answer_print_json(line, length, answer, isatty(STDOUT_FILENO) == 1);
		r = ask_show_last(ask, talk, kind, answer);
	}
	json_decref(answer);
	return r;
}

static int
ask_hear(struct ask *ask, struct talk *talk, const char *path)
{
	int64_t deadline_ns = clock_deadline_ns(ask->patience_ms);
	int status;

	do {
		status = ask_hear_line(ask, talk, path, deadline_ns);
	} while (status == -EAGAIN);
	return status;
}

bool
ask_begin(struct ask *ask, const struct verb *verb, int argc, char **argv, int *ret_status)
{
	*ask = (struct ask){.patience_ms = TALK_PATIENCE_MS};
	*ret_status = CTL_USAGE;
	if (ask_line_parse(&ask->line, verb, argc, argv) < 0)
		return false;
	if (ask->line.is_help) {
		ask_line_print_help(verb);
		*ret_status = ctl_flush(CTL_DONE);
		return false;
	}
	ask->request = json_pack("{s:s}", "command", verb->name);
	return true;
}

bool
ask_add_name(struct ask *ask, const char *key)
{
	const char *name = ask->line.argument;

	if (name == NULL)
		return true;
	if (name[0] != '\0' && strlen(name) <= ASK_NAME_MOST &&
	    json_object_set_new(ask->request, key, json_string(name)) == 0)
		return true;
	(void)ctl_complain_usage(ask->line.verb->name, "'%s' can be no name of a listener", name);
	return false;
}

int
ask_cancel(struct ask *ask, int status)
{
	json_decref(ask->request);
	ask->request = NULL;
	return status;
}

bool
ask_begin_listener(struct ask *ask, const struct verb *verb, int argc, char **argv, int *ret_status)
{
	if (!ask_begin(ask, verb, argc, argv, ret_status))
		return false;
	if (ask_add_name(ask, "listener"))
		return true;
	*ret_status = ask_cancel(ask, CTL_USAGE);
	return false;
}

/* Sends the request and shows the answer. */
static int
ask_talk(struct ask *ask, struct talk *talk, const char *path)
{
	CLEANUP_FREE char *request = json_dumps(ask->request, JSON_COMPACT);
	int r = talk_say(talk, request);

	return r < 0 ? ask_complain_of_silence(ask, path, r) : ask_hear(ask, talk, path);
}

int
ask_run(struct ask *ask)
{
	int64_t until_ns = ask->is_timed ? clock_deadline_ns(ask->line.timeout_ms) : 0;
	struct control_path path = {.path = NULL};
	struct talk talk = {.fd = -1};
	int r, status;

	r = ask_connect(ask, until_ns, &talk, &path);
	if (ask->is_timed)
		ask_set_timeout(ask, until_ns);
	status = r < 0 ? ask_complain_of_connection(&path, r) : ask_talk(ask, &talk, path.path);
	talk_close(&talk);
	control_path_free(&path);
	return ask_cancel(ask, ctl_flush(status));
}
