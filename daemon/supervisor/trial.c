/*
 * trial.c - the child that tries a new version on a state, and what is made of its answer.
 */
#include "supervisor/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "supervisor/orphans.h"
#include "supervisor/process.h"

#define TRIAL_ANSWER_SIZE 1024
#define TRIAL_ABOVE 10

/* What systemd told the running program is not for one on trial. */
static const char *const trial_withheld[] = {
	"NOTIFY_SOCKET=",
	"WATCHDOG_USEC=",
	"WATCHDOG_PID=",
	"LISTEN_",
};

static bool
trial_is_withheld(const char *entry)
{
	for (size_t i = 0; i < COUNT_OF(trial_withheld); i++) {
		if (strncmp(entry, trial_withheld[i], strlen(trial_withheld[i])) == 0)
			return true;
	}
	return false;
}

static char **
trial_environment(void)
{
	char **environment = NULL;
	size_t count = 0;

	for (char **entry = environ; *entry != NULL; entry++) {
		if (trial_is_withheld(*entry))
			continue;
		environment = memory_grow(environment, count, sizeof(char *));
		environment[count++] = *entry;
	}
	environment = memory_grow(environment, count, sizeof(char *));
	environment[count] = NULL;
	return environment;
}

/* In the child. */
static _Noreturn void
trial_run_child(pid_t parent, int program_fd, int state_fd, int output_fd, char **environment)
{
	static char name[] = "handlerd", option[] = "--self-test";
	static char *const arguments[] = {name, option, NULL};
	char text[128];
	int null_fd, n;

	(void)setpgid(0, 0);
	process_reset_signals();
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(127);
	program_fd = fcntl(program_fd, F_DUPFD_CLOEXEC, TRIAL_ABOVE);
	state_fd = fcntl(state_fd, F_DUPFD_CLOEXEC, TRIAL_ABOVE);
	output_fd = fcntl(output_fd, F_DUPFD_CLOEXEC, TRIAL_ABOVE);
	null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	if (program_fd >= 0 && state_fd >= 0 && output_fd >= 0 && null_fd >= 0 &&
	    dup2(null_fd, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
	    dup2(output_fd, STDERR_FILENO) >= 0 && dup2(state_fd, TRIAL_FD_STATE) >= 0 &&
	    close_range(TRIAL_FD_STATE + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		(void)fexecve(program_fd, arguments, environment);
	/* a script's interpreter would not find it */
	n = snprintf(text, sizeof(text), "it cannot be executed: %s\n",
		     errno == ENOEXEC || errno == ENOENT ? "it is no program for this machine"
							 : strerror(errno));
	(void)!write(STDOUT_FILENO, text, (size_t)n);
	_exit(127);
}

/* Its first line, without the newline. It is dead: what it has written is there. */
static void
trial_read_answer(int fd, char *answer, size_t size)
{
	size_t length = 0;
	ssize_t n;

	while (length < size - 1 && ((n = read(fd, answer + length, size - 1 - length)) > 0 ||
				     (n < 0 && errno == EINTR)))
		length += n > 0 ? (size_t)n : 0;
	answer[length] = '\0';
	answer[strcspn(answer, "\n")] = '\0';
}

/* Why it failed, in a new string; NULL: it passed. */
static char *
trial_judge(const struct trial *trial, int status, const char *answer)
{
	const char *said = answer;

	if (strncmp(said, "handlerd: ", strlen("handlerd: ")) == 0)
		said += strlen("handlerd: ");
	if (trial->was_killed)
		return memory_format("its self-test did not end within %" PRId64 " s",
				     trial->timeout_ms / 1000);
	if (WIFSIGNALED(status))
		return memory_format("its self-test was killed by signal %d (%s)", WTERMSIG(status),
				     strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status) != 0 && said[0] != '\0')
		return memory_format("%s", said);
	if (WEXITSTATUS(status) != 0)
		return memory_format("its self-test exited with status %d and gave no reason",
				     WEXITSTATUS(status));
	if (strncmp(answer, TRIAL_PASSED, strlen(TRIAL_PASSED)) != 0)
		return memory_text("it knows of no self-test; is it handlerd?");
	return NULL;
}

static void
trial_release(struct trial *trial)
{
	loop_disarm(trial->loop, &trial->timer);
	if (trial->death.fd >= 0) {
		loop_remove(trial->loop, &trial->death);
		(void)close(trial->death.fd);
	}
	(void)close(trial->output_fd);
	trial->pid = 0;
}

static int
trial_reap(const struct trial *trial)
{
	(void)kill(-trial->pid, SIGKILL);
	return process_wait(trial->pid, trial->death.fd);
}

static void
trial_on_death(struct loop_source *source, uint32_t events)
{
	struct trial *trial = CONTAINER_OF(source, struct trial, death);
	char answer[TRIAL_ANSWER_SIZE];
	CLEANUP_FREE char *why = NULL;
	int status = trial_reap(trial);

	(void)events;
	trial_read_answer(trial->output_fd, answer, sizeof(answer));
	trial_release(trial);
	why = trial_judge(trial, status, answer);
	trial->on_over(trial, why == NULL ? answer + strlen(TRIAL_PASSED) : NULL, why);
}

static void
trial_on_timer(struct loop_timer *timer)
{
	struct trial *trial = CONTAINER_OF(timer, struct trial, timer);

	trial->was_killed = true;
	(void)kill(-trial->pid, SIGKILL);
	(void)kill(trial->pid, SIGKILL);
}

int
trial_start(struct trial *trial, struct loop *loop, int program_fd, int state_fd,
	    int64_t timeout_ms)
{
	CLEANUP_FREE char **environment = trial_environment();
	pid_t parent = getpid();
	int ends[2], r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	/* whoever has its other end by then, this side does not wait */
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	trial->pid = fork();
	if (trial->pid == 0)
		trial_run_child(parent, program_fd, state_fd, ends[1], environment);
	r = trial->pid < 0 ? -errno : 0;
	(void)close(ends[1]);
	if (r < 0) {
		(void)close(ends[0]);
		trial->pid = 0;
		return r;
	}
	orphans_own(trial->pid);
	(void)setpgid(trial->pid, trial->pid);
	trial->loop = loop;
	trial->output_fd = ends[0];
	trial->was_killed = false;
	trial->timeout_ms = timeout_ms;
	trial->timer.on_timer = trial_on_timer;
	trial->death = (struct loop_source){
		.fd = pidfd_open(trial->pid, 0),
		.on_event = trial_on_death,
	};
	r = trial->death.fd < 0 ? -errno : loop_add(loop, &trial->death, EPOLLIN);
	if (r < 0) {
		trial_abandon(trial);
		return r;
	}
	loop_arm(loop, &trial->timer, clock_deadline_ns(timeout_ms));
	return 0;
}

void
trial_abandon(struct trial *trial)
{
	if (trial->pid == 0)
		return;
	(void)kill(trial->pid, SIGKILL);
	(void)trial_reap(trial);
	trial_release(trial);
}
