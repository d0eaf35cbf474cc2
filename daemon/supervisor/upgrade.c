/*
 * upgrade.c - the old program's side of an upgrade: tries the new one on the state, then hands over
 * to it. Nothing that runs is touched before the new program has said that it can go on.
 */
#include "supervisor/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/trusted.h"
#include "supervisor/notify.h"
#include "supervisor/state.h"
#include "supervisor/supervisor.h"

static void
upgrade_close_program(struct upgrade *upgrade)
{
	if (upgrade->program_fd >= 0)
		(void)close(upgrade->program_fd);
	upgrade->program_fd = -1;
}

static void
upgrade_fail(struct supervisor *supervisor, const char *why)
{
	struct upgrade *upgrade = &supervisor->upgrade;

	upgrade->is_wanted = false;
	upgrade_close_program(upgrade);
	log_event(LOG_EVENT_UPGRADE_FAILED, NULL,
		  "not upgraded, version " HANDLERD_VERSION " goes on: %s", why);
	if (!supervisor->is_stopping)
		notify_status("Upgrade failed, version " HANDLERD_VERSION " goes on: %s", why);
	if (supervisor->on_upgrade != NULL)
		supervisor->on_upgrade(supervisor, why);
}

/* Of the new program. */
static void
upgrade_fail_program(struct supervisor *supervisor, const char *what)
{
	CLEANUP_FREE char *why = memory_format("%s: %s", supervisor->places.program, what);

	upgrade_fail(supervisor, why);
}

static void
upgrade_fail_errno(struct supervisor *supervisor, const char *what, int error)
{
	CLEANUP_FREE char *why = memory_format("%s: %s", what, strerror(-error));

	upgrade_fail_program(supervisor, why);
}

/* The state as a sealed memory file; a negative errno. */
static int
upgrade_write_state(const struct supervisor *supervisor, struct state_fds *fds)
{
	size_t length = 0;
	CLEANUP_FREE char *text =
		state_write(supervisor, supervisor->upgrade.began_ns, &length, fds);

	return fd_sealed_memfd("handlerd-state", text, length);
}

/* The environment as it is, and where the state is. */
static char **
upgrade_environment(int state_fd, char **ret_variable)
{
	char **environment = NULL;
	size_t count = 0;

	*ret_variable = memory_format(UPGRADE_VARIABLE "=%d", state_fd);
	for (char **entry = environ; *entry != NULL; entry++) {
		/* they would fit the process again */
		if (strncmp(*entry, "LISTEN_", strlen("LISTEN_")) == 0)
			continue;
		environment = memory_grow(environment, count, sizeof(char *));
		environment[count++] = *entry;
	}
	environment = memory_grow(environment, count, sizeof(char *));
	environment[count++] = *ret_variable;
	environment = memory_grow(environment, count, sizeof(char *));
	environment[count] = NULL;
	return environment;
}

static int
upgrade_pass_fds(const struct state_fds *fds, int flags)
{
	int r = 0;

	for (size_t i = 0; i < fds->count; i++) {
		if (fcntl(fds->items[i], F_SETFD, flags) < 0 && r == 0)
			r = -errno;
	}
	return r;
}

/* Becomes the new program, or returns a negative errno with everything as before. The state is
 * written anew: workers may have died since the trial. */
static int
upgrade_execute(struct supervisor *supervisor)
{
	struct state_fds fds = {0};
	CLEANUP_CLOSE int state_fd = upgrade_write_state(supervisor, &fds);
	CLEANUP_FREE char *variable = NULL;
	CLEANUP_FREE char **environment = upgrade_environment(state_fd, &variable);
	int r = state_fd < 0 ? state_fd : upgrade_pass_fds(&fds, 0);

	if (r >= 0 && fcntl(state_fd, F_SETFD, 0) < 0)
		r = -errno;
	if (r >= 0) {
		(void)fexecve(supervisor->upgrade.program_fd, supervisor->cmdline->argv,
			      environment);
		r = -errno;
	}
	(void)upgrade_pass_fds(&fds, FD_CLOEXEC);
	state_fds_free(&fds);
	return r;
}

static void
upgrade_on_trial_over(struct trial *trial, const char *version, const char *why)
{
	struct supervisor *supervisor = CONTAINER_OF(trial, struct supervisor, upgrade.trial);
	struct upgrade *upgrade = &supervisor->upgrade;
	int r;

	if (why != NULL) {
		upgrade_fail_program(supervisor, why);
		return;
	}
	/* another configuration is not the one that was tried */
	if (!reload_is_idle(supervisor) || supervisor->generation != upgrade->generation) {
		upgrade_close_program(upgrade);
		upgrade_look(supervisor);
		return;
	}
	log_debug("handing over to version %s", version);
	notify_alive();
	control_leave(supervisor);
	r = upgrade_execute(supervisor);
	upgrade_fail_errno(supervisor, "it cannot be executed", r);
}

static void
upgrade_try(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;
	struct trusted_owner owner = trusted_owner_self(true);
	CLEANUP_FREE char *reason = NULL;
	struct state_fds fds = {0};
	CLEANUP_CLOSE int state_fd = -1;
	int r;

	upgrade->program_fd =
		trusted_open(supervisor->places.program, TRUSTED_FILE, &owner, &reason, NULL);
	if (upgrade->program_fd < 0) {
		upgrade_fail(supervisor, reason);
		return;
	}
	upgrade->generation = supervisor->generation;
	r = state_fd = upgrade_write_state(supervisor, &fds);
	state_fds_free(&fds);
	upgrade->trial.on_over = upgrade_on_trial_over;
	if (r >= 0)
		r = trial_start(&upgrade->trial, &supervisor->loop, upgrade->program_fd, state_fd,
				TRIAL_TIMEOUT_MS);
	if (r < 0)
		upgrade_fail_errno(supervisor, "its self-test cannot be started", r);
}

void
upgrade_look(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;

	if (upgrade->is_wanted && upgrade->trial.pid == 0 && reload_is_idle(supervisor))
		upgrade_try(supervisor);
}

void
upgrade_begin(struct supervisor *supervisor)
{
	struct upgrade *upgrade = &supervisor->upgrade;

	if (supervisor->is_stopping) {
		upgrade_fail(supervisor, "the daemon is stopping");
		return;
	}
	if (supervisor->world.is_once) {
		upgrade_fail(supervisor, "a daemon that serves one connection only ends by itself");
		return;
	}
	if (!upgrade->is_wanted) {
		upgrade->is_wanted = true;
		upgrade->began_ns = clock_now_ns();
		log_notice("upgrading to %s", supervisor->places.program);
		recycle_give_way(supervisor);
	}
	upgrade_look(supervisor);
}

void
upgrade_abandon(struct supervisor *supervisor, const char *why)
{
	if (!supervisor->upgrade.is_wanted)
		return;
	trial_abandon(&supervisor->upgrade.trial);
	upgrade_fail(supervisor, why);
}
