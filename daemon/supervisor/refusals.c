/*
 * refusals.c - hears of refused calls, has them told, and answers.
 */
#include "supervisor/refusals.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/parse.h"
#include "supervisor/filter.h"

#define REFUSALS_WINDOW_NS (100 * CLOCK_NS_PER_MS)
/* In one go; then others have their turn. */
#define REFUSALS_BATCH 16
/* What is added to the numbers of x32, which are told of as x86-64's. */
#define REFUSALS_X32_BIT 0x40000000

bool
refusals_is_source(int fd)
{
	uint64_t none = 0;

	/* of anything else, it is no such request */
	return ioctl(fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &none) == 0 || errno == ENOENT;
}

/* One that somebody else has taken meanwhile would be waited for. */
static bool
refusals_is_ready(int fd)
{
	struct pollfd row = {.fd = fd, .events = POLLIN};

	return poll(&row, 1, 0) == 1 && (row.revents & POLLIN) != 0;
}

/* The kernel tells of the thread. It waits for its answer, and is there unless it was killed; where
 * /proc does not tell of it, its own number has to do. */
static pid_t
refusals_find_process(pid_t thread)
{
	static const char name[] = "\nTgid:\t";
	char text[512];
	const char *at;
	uint64_t pid;
	CLEANUP_CLOSE int fd = -1;
	ssize_t n;

	(void)snprintf(text, sizeof(text), "/proc/%d/status", (int)thread);
	fd = open(text, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return thread;
	text[n] = '\0';
	/* a line break in its name is shown as two characters */
	at = strstr(text, name);
	if (at == NULL)
		return thread;
	at += strlen(name);
	return parse_take_number(&at, &pid) == 0 && pid <= INT32_MAX ? (pid_t)pid : thread;
}

static bool
refusals_take(struct refusals *refusals, struct seccomp_notif *heard,
	      struct seccomp_notif_resp *answer)
{
	struct refusal refusal;

	/* the caller may have died since it was told of */
	if (!refusals_is_ready(refusals->source.fd) ||
	    seccomp_notify_receive(refusals->source.fd, heard) < 0)
		return false;
	refusal = (struct refusal){
		.arch = heard->data.arch,
		.call = heard->data.nr,
		.pid = refusals_find_process((pid_t)heard->pid),
	};
	memcpy(refusal.arguments, heard->data.args, sizeof(refusal.arguments));
	answer->id = heard->id;
	answer->error = -EPERM;
	(void)seccomp_notify_respond(refusals->source.fd, answer);
	refusals->answered++;
	refusals->on_refusal(refusals, &refusal);
	return true;
}

/* The others wait, and who called them with them. */
static void
refusals_rest(struct refusals *refusals)
{
	loop_remove(refusals->loop, &refusals->source);
	loop_arm(refusals->loop, &refusals->rest, refusals->window_ns + REFUSALS_WINDOW_NS);
}

static void
refusals_on_event(struct loop_source *source, uint32_t events)
{
	struct refusals *refusals = CONTAINER_OF(source, struct refusals, source);
	struct seccomp_notif *heard = NULL;
	struct seccomp_notif_resp *answer = NULL;
	int64_t now_ns = clock_now_ns();

	/* none is left who could call */
	if ((events & EPOLLIN) == 0) {
		loop_remove(refusals->loop, source);
		return;
	}
	if (now_ns - refusals->window_ns >= REFUSALS_WINDOW_NS) {
		refusals->window_ns = now_ns;
		refusals->answered = 0;
	}
	/* their sizes are the kernel's */
	if (seccomp_notify_alloc(&heard, &answer) == 0) {
		for (int i = 0; i < REFUSALS_BATCH && refusals->answered < REFUSALS_MOST; i++) {
			if (!refusals_take(refusals, heard, answer))
				break;
		}
		seccomp_notify_free(heard, answer);
	}
	if (refusals->answered >= REFUSALS_MOST)
		refusals_rest(refusals);
}

static void
refusals_on_rest_over(struct loop_timer *timer)
{
	struct refusals *refusals = CONTAINER_OF(timer, struct refusals, rest);

	/* without room to watch it, it is tried again */
	if (loop_add(refusals->loop, &refusals->source, EPOLLIN) < 0)
		loop_arm(refusals->loop, timer, clock_now_ns() + REFUSALS_WINDOW_NS);
}

int
refusals_begin(struct refusals *refusals, struct loop *loop)
{
	refusals->loop = loop;
	refusals->source.on_event = refusals_on_event;
	refusals->rest.on_timer = refusals_on_rest_over;
	return refusals->source.fd < 0 ? 0 : loop_add(loop, &refusals->source, EPOLLIN);
}

void
refusals_end(struct refusals *refusals)
{
	if (refusals->source.fd < 0)
		return;
	loop_disarm(refusals->loop, &refusals->rest);
	loop_remove(refusals->loop, &refusals->source);
	(void)close(refusals->source.fd);
	refusals->source.fd = -1;
}

const char *
refusal_format_name(const struct refusal *refusal, char *buf, size_t size)
{
	uint32_t arch = refusal->arch;
	char *name;

	if (arch == SCMP_ARCH_X86_64 && (refusal->call & REFUSALS_X32_BIT) != 0)
		arch = SCMP_ARCH_X32;
	name = seccomp_syscall_resolve_num_arch(arch, refusal->call);
	if (arch != seccomp_arch_native())
		(void)snprintf(buf, size, "%s of another architecture (%#" PRIx32 ")",
			       name != NULL ? name : "a system call", refusal->arch);
	else if (name != NULL)
		(void)snprintf(buf, size, "%s", name);
	else
		(void)snprintf(buf, size, "system call %d", refusal->call);
	free(name);
	return buf;
}

const char *
refusal_format(const struct refusal *refusal, char *buf, size_t size)
{
	size_t length = strlen(refusal_format_name(refusal, buf, size));
	int argument = filter_find_argument(buf, refusal->arguments);

	/* pointers are nobody's business */
	if (argument >= 0)
		(void)snprintf(buf + length, size - length, "(%s%#" PRIx32 ")",
			       argument > 0 ? "..., " : "", (uint32_t)refusal->arguments[argument]);
	return buf;
}
