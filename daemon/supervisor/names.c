/*
 * names.c - the look-up, in a child.
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
	NAMES_NO_SUPPLEMENTARY, /* and which */
};

bool
names_has_groups(const struct conf_texts *groups)
{
	return groups != NULL && groups->items != NULL;
}

/* Those of the list, each once. Returns how many, or -1 and which there is not. */
static int
names_list_groups(const struct conf_texts *texts, gid_t *groups, uint32_t *ret_missing)
{
	int count = 0;

	for (size_t i = 0; i < texts->count && count < NAMES_MOST_GROUPS; i++) {
		const struct group *group = getgrnam(texts->items[i]);
		bool is_known = false;

		if (group == NULL) {
			*ret_missing = (uint32_t)i;
			return -1;
		}
		for (int k = 0; k < count; k++)
			is_known = is_known || groups[k] == group->gr_gid;
		if (!is_known)
			groups[count++] = group->gr_gid;
	}
	return count;
}

static void
names_add_user(struct buf *answer, const struct passwd *user, gid_t gid,
	       const struct conf_texts *texts)
{
	gid_t groups[NAMES_MOST_GROUPS];
	int count = NAMES_MOST_GROUPS;
	uint32_t missing = 0;

	if (names_has_groups(texts)) {
		count = names_list_groups(texts, groups, &missing);
		if (count < 0) {
			buf_add_u32(answer, NAMES_NO_SUPPLEMENTARY);
			buf_add_u32(answer, missing);
			return;
		}
	} else if (getgrouplist(user->pw_name, gid, groups, &count) < 0) {
		count = NAMES_MOST_GROUPS;
	}
	buf_add_u32(answer, NAMES_FOUND);
	buf_add_u32(answer, user->pw_uid);
	buf_add_u32(answer, gid);
	buf_add_text(answer, user->pw_name);
	buf_add_text(answer, user->pw_dir);
	buf_add_u32(answer, (uint32_t)count);
	for (int i = 0; i < count; i++)
		buf_add_u32(answer, groups[i]);
}

/* In the child. */
static void
names_find(struct buf *answer, const struct names_question *question)
{
	const struct passwd *user =
		question->user != NULL ? getpwnam(question->user) : getpwuid(geteuid());
	const struct group *group;
	struct passwd unnamed = {.pw_name = "", .pw_dir = "/"};
	gid_t gid;

	if (user == NULL && question->user != NULL) {
		buf_add_u32(answer, NAMES_NO_USER);
		return;
	}
	if (user == NULL) {
		unnamed.pw_uid = geteuid();
		unnamed.pw_gid = getegid();
		user = &unnamed;
	}
	gid = user->pw_gid;
	if (question->group != NULL) {
		group = getgrnam(question->group);
		if (group == NULL) {
			buf_add_u32(answer, NAMES_NO_GROUP);
			return;
		}
		gid = group->gr_gid;
	}
	names_add_user(answer, user, gid, question->groups);
}

static _Noreturn void
names_run_child(int fd, const struct names_question *question)
{
	struct buf answer = {0};
	size_t at = 0;

	names_find(&answer, question);
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
names_parse(struct buf_reader *reader, struct identity *ret, uint32_t *ret_missing)
{
	uint32_t result = buf_read_u32(reader);

	if (result == NAMES_NO_USER)
		return -ENOENT;
	if (result == NAMES_NO_GROUP)
		return -ESRCH;
	if (result == NAMES_NO_SUPPLEMENTARY) {
		if (ret_missing != NULL)
			*ret_missing = buf_read_u32(reader);
		return -ENODATA;
	}
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

int
names_ask(const struct names_question *question, struct identity *ret, uint32_t *ret_missing)
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
		names_run_child(ends[1], question);
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
	return names_parse(&reader, ret, ret_missing);
}

int
names_find_id(bool is_group, const char *name, uint32_t *ret)
{
	struct names_question question = {
		.user = is_group ? NULL : name,
		.group = is_group ? name : NULL,
	};
	struct identity found = {0};
	int r = names_ask(&question, &found, NULL);

	if (r >= 0)
		*ret = is_group ? found.gid : found.uid;
	identity_free(&found);
	return r == -ESRCH ? -ENOENT : r;
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
		r = names_ask(&(struct names_question){.user = owner, .group = group}, &found,
			      NULL);
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

void
identity_free(struct identity *identity)
{
	free(identity->groups);
	free(identity->user);
	free(identity->home);
	*identity = (struct identity){0};
}
