/*
 * sandbox.c - the order: Landlock, then the filter of system calls, which has no say about Landlock
 * any more. What the filter refuses goes to the supervisor, who tells of it and answers; until then
 * the caller waits.
 */
#include "worker/sandbox.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#if __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#endif

#include "base/cleanup.h"
#include "base/log.h"

/* Valgrind's own calls would be filtered, too. */
static bool
sandbox_is_impossible(void)
{
#ifdef RUNNING_ON_VALGRIND
	return RUNNING_ON_VALGRIND != 0;
#else
	return false;
#endif
}

/* The supervisor cannot be asked: what it would have answered. */
static void
sandbox_answer_by_itself(struct sock_filter *rows, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (rows[i].code == (BPF_RET | BPF_K) && rows[i].k == SECCOMP_RET_USER_NOTIF)
			rows[i].k = SECCOMP_RET_ERRNO | EPERM;
	}
}

static int
sandbox_install(const struct sock_fprog *program, unsigned flags)
{
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, program);

	return r < 0 ? -errno : (int)r;
}

/* Installs the filter. *ret_fd is where refused calls come through; -1 where they fail by
 * themselves, and *ret_why is the error that says why. 0 or a negative errno. */
static int
sandbox_install_filter(const struct worker_settings *settings, int *ret_fd, int *ret_why)
{
	CLEANUP_FREE struct sock_filter *rows = calloc(settings->filter_count, sizeof(*rows));
	struct sock_fprog program = {.len = (unsigned short)settings->filter_count, .filter = rows};
	int r;

	_Static_assert(sizeof(*rows) == sizeof(*settings->filter), "an instruction is 8 bytes");
	if (rows == NULL)
		return -ENOMEM;
	memcpy(rows, settings->filter, settings->filter_count * sizeof(*rows));
	r = sandbox_install(&program, SECCOMP_FILTER_FLAG_NEW_LISTENER);
	if (r >= 0) {
		*ret_fd = r;
		return 0;
	}
	/* a process has one such descriptor: who started the daemon may have taken it; and kernels
	 * before 5.0 do not have it */
	if (r != -EBUSY && r != -EINVAL)
		return r;
	*ret_why = -r;
	sandbox_answer_by_itself(rows, settings->filter_count);
	return sandbox_install(&program, 0);
}

static const char *
sandbox_advise(int error)
{
	switch (error) {
	case -ENOSYS:
	case -EINVAL:
		return "; this kernel has no filters of system calls; sandbox.seccomp = \"off\" "
		       "does without";
	case -EPERM:
		return "; in a systemd unit, SystemCallFilter= must have seccomp";
	default:
		return "";
	}
}

static int
sandbox_tell(const struct worker *worker, enum protocol_filter state, int why, int fd)
{
	struct buf payload = {0};
	int r;

	buf_add_u32(&payload, state);
	buf_add_u32(&payload, (uint32_t)why);
	if (fd >= 0)
		r = channel_send_fd(WORKER_FD_CHANNEL, worker->settings.generation,
				    PROTOCOL_CONFINED, &payload, fd);
	else
		r = channel_send(WORKER_FD_CHANNEL, worker->settings.generation, PROTOCOL_CONFINED,
				 &payload);
	buf_free(&payload);
	return r;
}

static bool
sandbox_filter(const struct worker *worker, struct report *report)
{
	const struct worker_settings *settings = &worker->settings;
	CLEANUP_CLOSE int fd = -1; /* with it, a handler could answer itself */
	int why = 0, r = 0;

	if (settings->filter_count == 0)
		return sandbox_tell(worker, PROTOCOL_NO_FILTER, 0, -1) >= 0;
	r = sandbox_install_filter(settings, &fd, &why);
	if (r < 0) {
		report_error(report, NULL, 0, "cannot filter its system calls: %s%s", strerror(-r),
			     sandbox_advise(r));
		return false;
	}
	r = sandbox_tell(worker, fd >= 0 ? PROTOCOL_REPORTED : PROTOCOL_UNREPORTED, why, fd);
	if (r < 0)
		report_error(report, NULL, 0, "cannot tell of its sandbox: %s", strerror(-r));
	return r >= 0;
}

bool
sandbox_enter(const struct worker *worker)
{
	struct report report = {0};
	bool is_good;

	if (sandbox_is_impossible()) {
		log_warning("'%s': under valgrind there is no sandbox", worker->settings.listener);
		return sandbox_tell(worker, PROTOCOL_NO_FILTER, 0, -1) >= 0;
	}
	is_good = sandbox_confine(&worker->settings, &report) && sandbox_filter(worker, &report);
	worker_send_report(worker, PROTOCOL_STAGE_SANDBOX, &report);
	report_free(&report);
	return is_good;
}
