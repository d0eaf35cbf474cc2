/*
 * names.c - the look-up, and the rules of who may be whom.
 */
#include "supervisor/names.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"

#define NAMES_TIMEOUT_NS (10 * CLOCK_NS_PER_S)
#define NAMES_MOST_GROUPS 1024
#define NAMES_MOST_ANSWER 65536

/* What the child finds, as it writes it. */
enum names_result {
	NAMES_FOUND,
	NAMES_NO_USER,
	NAMES_NO_GROUP,
};

static void
names_add_user(struct buf *answer, const struct passwd *user, gid_t gid)
{
	gid_t groups[NAMES_MOST_GROUPS];
	int count = NAMES_MOST_GROUPS;

	if (getgrouplist(user->pw_name, gid, groups, &count) < 0)
		count = NAMES_MOST_GROUPS;
	buf_add_u32(answer, NAMES_FOUND);
	buf_add_u32(answer, user->pw_uid);
	buf_add_u32(answer, gid);
	buf_add_text(answer, user->pw_name);
	buf_add_text(answer, user->pw_dir);
	buf_add_u32(answer, (uint32_t)count);
	for (int i = 0; i < count; i++)
		buf_add_u32(answer, groups[i]);
}

/* In the child. `user` NULL: the user of this process. */
static void
names_find(struct buf *answer, const char *user_name, const char *group_name)
{
	const struct passwd *user = user_name != NULL ? getpwnam(user_name) : getpwuid(geteuid());
	const struct group *group;
	struct passwd unnamed = {.pw_name = "", .pw_dir = "/"};
	gid_t gid;

	if (user == NULL && user_name != NULL) {
		buf_add_u32(answer, NAMES_NO_USER);
		return;
	}
	if (user == NULL) {
		unnamed.pw_uid = geteuid();
		unnamed.pw_gid = getegid();
		user = &unnamed;
	}
	gid = user->pw_gid;
	if (group_name != NULL) {
		group = getgrnam(group_name);
		if (group == NULL) {
			buf_add_u32(answer, NAMES_NO_GROUP);
			return;
		}
		gid = group->gr_gid;
	}
	names_add_user(answer, user, gid);
}

static _Noreturn void
names_run_child(int fd, const char *user, const char *group)
{
	struct buf answer = {0};
	size_t at = 0;

	names_find(&answer, user, group);
	while (at < answer.length) {
		ssize_t n = write(fd, answer.data + at, answer.length - at);

		if (n < 0)
			break;
		at += (size_t)n;
	}
	_exit(0);
}

/* Reads the child's answer until it closes the pipe. Bytes, or -ETIMEDOUT. */
static ssize_t
names_read(int fd, unsigned char *buf, size_t size)
{
	int64_t deadline_ns = clock_now_ns() + NAMES_TIMEOUT_NS;
	size_t have = 0;

	while (have < size) {
		struct pollfd row = {.fd = fd, .events = POLLIN};
		int left_ms = clock_ms_until(deadline_ns);
		ssize_t n;

		if (left_ms == 0)
			return -ETIMEDOUT;
		if (poll(&row, 1, left_ms) <= 0)
			continue;
		n = read(fd, buf + have, size - have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	return (ssize_t)have;
}

static int
names_parse(struct buf_reader *reader, struct identity *ret)
{
	uint32_t result = buf_read_u32(reader);

	if (result == NAMES_NO_USER)
		return -ENOENT;
	if (result == NAMES_NO_GROUP)
		return -ESRCH;
	ret->uid = buf_read_u32(reader);
	ret->gid = buf_read_u32(reader);
	ret->user = buf_read_text(reader);
	ret->home = buf_read_text(reader);
	ret->group_count = buf_read_count(reader);
	ret->groups = memory_zero(ret->group_count, sizeof(*ret->groups));
	for (uint32_t i = 0; i < ret->group_count; i++)
		ret->groups[i] = buf_read_u32(reader);
	return reader->is_bad ? -EBADMSG : 0;
}

/* 0; -ENOENT: no such user; -ESRCH: no such group; another negative errno. */
static int
names_ask(const char *user, const char *group, struct identity *ret)
{
	CLEANUP_FREE unsigned char *answer = memory_zero(1, NAMES_MOST_ANSWER);
	struct buf_reader reader = {.data = answer};
	int ends[2];
	ssize_t n;
	pid_t pid;
	int status;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	pid = fork();
	if (pid < 0) {
		(void)close(ends[0]);
		(void)close(ends[1]);
		return -errno;
	}
	if (pid == 0)
		names_run_child(ends[1], user, group);
	(void)close(ends[1]);
	n = names_read(ends[0], answer, NAMES_MOST_ANSWER);
	(void)close(ends[0]);
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (n < 0)
		return (int)n;
	if (n == 0)
		return -EIO;
	reader.length = (size_t)n;
	return names_parse(&reader, ret);
}

static void
names_complain(const struct config *config, const char *user, int error, struct report *report)
{
	const struct conf_origin *u = &config->user_origin, *g = &config->group_origin;

	if (error == -ENOENT)
		report_error(report, u->file, u->line, "there is no user '%s'", user);
	else if (error == -ESRCH)
		report_error(report, g->file, g->line, "there is no group '%s'", config->group);
	else
		report_error(report, u->file, u->line, "cannot look up user '%s': %s",
			     user != NULL ? user : "", strerror(-error));
}

/* Started by an ordinary user: workers are that user. */
static bool
names_look_up_own(const struct config *config, struct identity *ret, struct report *report)
{
	struct identity asked = {0};
	size_t errors = report->errors;
	int r = names_ask(NULL, NULL, ret);

	if (r < 0) {
		names_complain(config, NULL, r, report);
		return false;
	}
	if (config->user == NULL && config->group == NULL)
		return true;
	r = names_ask(config->user, config->group, &asked);
	if (r < 0)
		names_complain(config, config->user, r, report);
	else if (asked.uid != geteuid() || (config->group != NULL && asked.gid != getegid()))
		report_error(
			report,
			config->user != NULL ? config->user_origin.file : config->group_origin.file,
			config->user != NULL ? config->user_origin.line : config->group_origin.line,
			"only root can run workers as another user or group than its own (in a "
			"systemd unit, User= and Group= are what it runs as)");
	identity_free(&asked);
	return report->errors == errors;
}

bool
names_look_up_socket(const struct conf_listener *listener, uid_t *ret_uid, gid_t *ret_gid,
		     struct report *report)
{
	const char *owner = listener->socket.owner, *group = listener->socket.group;
	const struct conf_origin *origin = &listener->origin;
	struct identity found = {0};
	int r = 0;

	*ret_uid = geteuid();
	*ret_gid = getegid();
	if (owner != NULL || group != NULL)
		r = names_ask(owner, group, &found);
	if (r >= 0 && owner != NULL)
		*ret_uid = found.uid;
	if (r >= 0 && group != NULL)
		*ret_gid = found.gid;
	identity_free(&found);
	if (r == -ENOENT)
		report_error(report, origin->file, origin->line,
			     "listener '%s': socket.owner: there is no user '%s'", listener->name,
			     owner);
	else if (r == -ESRCH)
		report_error(report, origin->file, origin->line,
			     "listener '%s': socket.group: there is no group '%s'", listener->name,
			     group);
	else if (r < 0)
		report_error(report, origin->file, origin->line,
			     "listener '%s': socket.owner and socket.group cannot be looked up: %s",
			     listener->name, strerror(-r));
	return r >= 0;
}

static bool
names_is_member(const struct identity *identity, gid_t gid)
{
	for (uint32_t i = 0; i < identity->group_count; i++) {
		if (identity->groups[i] == gid)
			return true;
	}
	return identity->gid == gid;
}

bool
names_look_up_control(const struct config *config, const struct identity *workers,
		      bool *ret_is_given, gid_t *ret_gid, struct report *report)
{
	const struct conf_origin *origin = &config->control_group_origin;
	struct identity found = {0};
	size_t errors = report->errors;
	int r;

	*ret_is_given = config->control_group != NULL;
	if (config->control_group == NULL)
		return true;
	r = names_ask(NULL, config->control_group, &found);
	*ret_gid = found.gid;
	identity_free(&found);
	if (r == -ESRCH)
		report_error(report, origin->file, origin->line,
			     "control_group: there is no group '%s'", config->control_group);
	else if (r < 0)
		report_error(report, origin->file, origin->line,
			     "control_group: '%s' cannot be looked up: %s", config->control_group,
			     strerror(-r));
	else if (workers->is_dropped && workers->uid != 0 && names_is_member(workers, *ret_gid))
		/* workers that are who we are may ask anything, whatever their groups */
		report_error(report, origin->file, origin->line,
			     "control_group: '%s' is a group of the workers (user '%s'): handlers "
			     "could look at everybody's connections; take a group of its own",
			     config->control_group, workers->user != NULL ? workers->user : "");
	return report->errors == errors;
}

bool
names_look_up(const struct config *config, struct identity *ret, struct report *report)
{
	const char *user = config->user, *group = config->group;
	size_t errors = report->errors;
	int r;

	*ret = (struct identity){0};
	if (geteuid() != 0)
		return names_look_up_own(config, ret, report);
	ret->is_dropped = true;
	r = names_ask(user != NULL ? user : "handlerd", group, ret);
	if (r == -ENOENT && user == NULL) {
		user = "nobody";
		report_warning(
			report, NULL, 0,
			"there is no account 'handlerd'; workers run as 'nobody' (create it, or "
			"set user in the configuration)");
		r = names_ask(user, group, ret);
	}
	if (r < 0)
		names_complain(config, user != NULL ? user : "handlerd", r, report);
	else if (ret->uid == 0)
		report_warning(
			report, config->user_origin.file, config->user_origin.line,
			"workers run as root: a mistake in a handler is a mistake of root's");
	return report->errors == errors;
}

void
identity_free(struct identity *identity)
{
	free(identity->groups);
	free(identity->user);
	free(identity->home);
	*identity = (struct identity){0};
}
