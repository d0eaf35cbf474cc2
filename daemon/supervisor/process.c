/*
 * process.c - fork, descriptors, execution, and the two sources that tell of the process.
 */
#include "supervisor/process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/orphans.h"
#include "supervisor/unread.h"

/* Messages that are heard in one go; then others have their turn, however much is said. */
#define PROCESS_BATCH 64
/* More than the channel holds of one that is dead. Whoever else has its end says nothing new. */
#define PROCESS_LAST_WORDS 1024
/* Who was killed is dead within milliseconds, or nobody knows when. */
#define PROCESS_REAP_MS 2000

/* In the child. Only what is allowed between fork and exec of a single-threaded process; a failure
 * is told through the channel. */
static _Noreturn void
process_fail_birth(int channel_fd, uint32_t generation, const char *what, int error)
{
	char text[256];
	struct buf payload = {0};

	(void)snprintf(text, sizeof(text), "cannot start: %s: %s", what, strerror(error));
	buf_add_u32(&payload, PROTOCOL_STAGE_START);
	buf_add_text(&payload, NULL);
	buf_add_u32(&payload, 0);
	buf_add_text(&payload, text);
	(void)channel_send(channel_fd, generation, PROTOCOL_FAILED, &payload);
	_exit(127);
}

/* Moves the descriptors to their numbers: first all out of the way, then each to its place. */
static int
process_place_fds(const struct process_birth *birth, int *channel_fd, int *program_fd)
{
	int fixed[] = {*channel_fd,	  birth->settings_fd,	 birth->scoreboard_fd,
		       birth->handler_fd, birth->outlet->log_fd, birth->ports_fd,
		       birth->access_fd,  birth->bans_fd};
	int above = WORKER_FD_SOCKETS + (int)birth->more_count + 8;
	CLEANUP_FREE int *more = memory_zero(birth->more_count, sizeof(int));

	if ((birth->outlet->output_fd >= 0 && dup2(birth->outlet->output_fd, STDOUT_FILENO) < 0) ||
	    (birth->outlet->error_fd >= 0 && dup2(birth->outlet->error_fd, STDERR_FILENO) < 0))
		return -errno;
	*program_fd = fcntl(birth->program_fd, F_DUPFD_CLOEXEC, above);
	if (*program_fd < 0)
		return -errno;
	for (size_t i = 0; i < COUNT_OF(fixed); i++) {
		if (fixed[i] >= 0 && (fixed[i] = fcntl(fixed[i], F_DUPFD_CLOEXEC, above)) < 0)
			return -errno;
	}
	*channel_fd = fixed[0];
	for (size_t i = 0; i < birth->more_count; i++) {
		more[i] = fcntl(birth->more_fds[i], F_DUPFD_CLOEXEC, above);
		if (more[i] < 0)
			return -errno;
	}
	for (size_t i = 0; i < COUNT_OF(fixed); i++) {
		if (fixed[i] < 0)
			(void)close(WORKER_FD_CHANNEL + (int)i);
		else if (dup2(fixed[i], WORKER_FD_CHANNEL + (int)i) < 0)
			return -errno;
	}
	for (size_t i = 0; i < birth->more_count; i++) {
		if (dup2(more[i], WORKER_FD_SOCKETS + (int)i) < 0)
			return -errno;
	}
	if (close_range((unsigned)(WORKER_FD_SOCKETS + (int)birth->more_count), ~0U,
			CLOSE_RANGE_CLOEXEC) < 0)
		return -errno;
	return 0;
}

void
process_reset_signals(void)
{
	struct sigaction action = {.sa_handler = SIG_DFL};
	sigset_t none;

	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &action, NULL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static _Noreturn void
process_run_child(uint32_t generation, int channel_fd, const struct process_birth *birth)
{
	static char name[] = "handlerd-worker";
	static char *const arguments[] = {name, NULL};
	int null_fd, program_fd = -1, r;

	(void)setpgid(0, 0);
	process_reset_signals();
	(void)umask(0077);
	r = process_place_fds(birth, &channel_fd, &program_fd);
	if (r < 0)
		process_fail_birth(channel_fd, generation, "descriptors", -r);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (null_fd < 0 || dup2(null_fd, STDIN_FILENO) < 0 || chdir("/") < 0)
		process_fail_birth(channel_fd, generation, "/dev/null", errno);
	(void)fexecve(program_fd, arguments, birth->environment);
	process_fail_birth(channel_fd, generation,
			   errno == EACCES ? "handlerd-worker (in a systemd unit, ExecPaths= must "
					     "have its directory)"
					   : "handlerd-worker",
			   errno);
}

static void
process_on_refusal(struct refusals *refusals, const struct refusal *refusal)
{
	struct process *process = CONTAINER_OF(refusals, struct process, refusals);

	process->on_refusal(process, refusal);
}

/* What its sandbox has become, before a line of its handler runs. Once: a handler could say it too,
 * and pass whatever descriptor it likes. Returns whether it counts. */
static bool
process_note_confined(struct process *process, struct buf_reader payload, int fd)
{
	if (process->is_confined)
		return false;
	process->is_confined = true;
	if (buf_read_u32(&payload) != PROTOCOL_REPORTED || fd < 0 || !refusals_is_source(fd))
		return true;
	process->refusals = (struct refusals){
		.source = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0)},
		.on_refusal = process_on_refusal,
	};
	/* what cannot be watched must not be waited for */
	if (refusals_begin(&process->refusals, process->loop) < 0)
		refusals_end(&process->refusals);
	return true;
}

/* Receives one message, and keeps the descriptor that may come along with the one that has it. */
static int
process_receive(struct process *process, struct channel_message *message)
{
	CLEANUP_CLOSE int fd = -1;
	int r;

	/* from now on the handler may be who speaks: a descriptor of its is never received, also
	 * not one that comes just now */
	if (process->is_confined) {
		r = channel_look(process->channel.fd);
		if (r != CHANNEL_CLEAN)
			return r == CHANNEL_NOTHING ? -EAGAIN : r < 0 ? r : -EPERM;
		r = channel_receive(process->channel.fd, message);
	} else {
		r = channel_receive_fd(process->channel.fd, message, &fd);
	}
	if (r != 1)
		return r;
	if (message->generation != process->generation)
		return -EBADMSG;
	if (message->type == PROTOCOL_CONFINED &&
	    !process_note_confined(process, message->payload, fd))
		return -EBADMSG;
	return 1;
}

/* Delivers what the process has said so far, up to `most` messages. Returns false at end of file,
 * and where a descriptor comes that nobody wants. */
static bool
process_read_channel(struct process *process, int most)
{
	struct channel_message message;

	for (int i = 0; i < most; i++) {
		int r = process_receive(process, &message);

		if (r == -EBADMSG)
			continue;
		if (r != 1)
			return r == -EAGAIN;
		process->protocol = message.version;
		process->on_message(process, &message);
		if (process->pid == 0)
			return true;
	}
	return true;
}

static void
process_on_channel(struct loop_source *source, uint32_t events)
{
	struct process *process = CONTAINER_OF(source, struct process, channel);

	(void)events;
	if (process_read_channel(process, PROCESS_BATCH))
		return;
	/* its death follows; if it is the handler that has closed the channel, nothing else would
	 * end a worker that hears nothing any more */
	loop_remove(process->loop, &process->channel);
	if (channel_look(process->channel.fd) == CHANNEL_FDS)
		log_warning("worker %d has sent a descriptor, as no worker does but once: it is "
			    "killed",
			    (int)process->pid);
	process_kill(process);
}

static void
process_release(struct process *process)
{
	loop_remove(process->loop, &process->channel);
	loop_remove(process->loop, &process->death);
	refusals_end(&process->refusals);
	unread_close(process->channel.fd);
	if (process->death.fd >= 0)
		(void)close(process->death.fd);
	process->pid = 0;
}

int
process_wait(pid_t pid, int pidfd)
{
	struct pollfd row = {.fd = pidfd, .events = POLLIN};
	int64_t deadline_ns = clock_deadline_ns(PROCESS_REAP_MS);
	int status = 0, r, left_ms;

	/* without a descriptor there is no other way than to wait for it, which was killed */
	do {
		left_ms = pidfd >= 0 ? clock_ms_until(deadline_ns) : 0;
		r = poll(&row, 1, left_ms);
	} while (r < 0 && errno == EINTR && left_ms > 0);
	do {
		r = waitpid(pid, &status, pidfd >= 0 ? WNOHANG : 0);
	} while (r < 0 && errno == EINTR);
	/* one that is not dead yet is waited for when it is: a debugger sees the end first, and
	 * whoever hangs in the kernel dies later */
	orphans_disown(pid);
	return r == pid ? status : SIGKILL;
}

static int
process_reap(const struct process *process)
{
	/* until it is reaped, its number and its group's are nobody else's */
	(void)kill(-process->pid, SIGKILL);
	return process_wait(process->pid, process->death.fd);
}

static void
process_on_death(struct loop_source *source, uint32_t events)
{
	struct process *process = CONTAINER_OF(source, struct process, death);
	pid_t pid = process->pid;
	int status;

	(void)events;
	(void)process_read_channel(process, PROCESS_LAST_WORDS);
	/* a message may have led to its end already */
	if (process->pid != pid)
		return;
	status = process_reap(process);
	process_release(process);
	process->on_death(process, status);
}

int
process_attach(struct process *process, struct loop *loop)
{
	int r;

	orphans_own(process->pid);
	process->loop = loop;
	process->channel.on_event = process_on_channel;
	process->death = (struct loop_source){
		.fd = pidfd_open(process->pid, 0),
		.on_event = process_on_death,
	};
	process->refusals.on_refusal = process_on_refusal;
	r = process->death.fd < 0 ? -errno : loop_add(loop, &process->death, EPOLLIN);
	if (r >= 0)
		r = loop_add(loop, &process->channel, EPOLLIN);
	return r < 0 ? r : refusals_begin(&process->refusals, loop);
}

int
process_start(struct process *process, struct loop *loop, uint32_t generation,
	      const struct process_birth *birth)
{
	int ends[2];
	pid_t pid;
	int r = channel_open(ends);

	if (r < 0)
		return r;
	pid = fork();
	if (pid == 0)
		process_run_child(generation, ends[1], birth);
	r = pid < 0 ? -errno : 0;
	(void)close(ends[1]);
	if (r < 0) {
		(void)close(ends[0]);
		return r;
	}
	(void)setpgid(pid, pid);
	process->pid = process->last_pid = pid;
	process->generation = generation;
	process->protocol = PROTOCOL_VERSION;
	process->channel = (struct loop_source){.fd = ends[0]};
	process->refusals = (struct refusals)REFUSALS_NONE;
	process->is_confined = false;
	r = process_attach(process, loop);
	if (r < 0) {
		process_destroy(process);
		return r;
	}
	return 0;
}

void
process_send(struct process *process, enum protocol_type type, const struct buf *payload)
{
	if (process->pid != 0)
		(void)channel_send_version(process->channel.fd, process->protocol,
					   process->generation, type, payload);
}

void
process_kill(struct process *process)
{
	if (process->pid == 0)
		return;
	(void)kill(-process->pid, SIGKILL);
	/* its handler may have taken it into another group */
	(void)kill(process->pid, SIGKILL);
}

void
process_destroy(struct process *process)
{
	if (process->pid == 0)
		return;
	process_kill(process);
	(void)process_reap(process);
	process_release(process);
}
