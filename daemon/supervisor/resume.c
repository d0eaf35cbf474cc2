/*
 * resume.c - the new program's side of an upgrade: goes on with a state, or says whether it could.
 * After the exec there is no way back, so all that can be known before is tried by --self-test.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/parse.h"
#include "supervisor/notify.h"
#include "supervisor/state.h"
#include "supervisor/supervisor.h"

#define RESUME_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)
#define RESUME_MOST_SIZE ((off_t)256 * 1024 * 1024)

static bool
resume_is_sealed(int fd)
{
	int seals = fcntl(fd, F_GET_SEALS);

	return seals >= 0 && (seals & RESUME_SEALS) == RESUME_SEALS;
}

/* The text of a sealed state, for the caller to free; NULL: the descriptor is none. */
static char *
resume_read_text(int fd, size_t *ret_length)
{
	struct stat st;
	char *text;

	if (!resume_is_sealed(fd) || fstat(fd, &st) < 0 || st.st_size > RESUME_MOST_SIZE)
		return NULL;
	*ret_length = (size_t)st.st_size;
	text = memory_zero(*ret_length + 1, 1);
	if (fd_pread_all(fd, text, *ret_length, 0) < 0) {
		free(text);
		return NULL;
	}
	return text;
}

int
resume_find_state(void)
{
	const char *text = getenv(UPGRADE_VARIABLE);
	int64_t fd = -1;

	if (text == NULL || parse_int64(text, &fd) < 0 || fd < 0 || fd > INT32_MAX)
		fd = -1;
	/* it is for this execution alone */
	(void)unsetenv(UPGRADE_VARIABLE);
	if (fd < 0 || !resume_is_sealed((int)fd))
		return -1;
	(void)fcntl((int)fd, F_SETFD, FD_CLOEXEC);
	return (int)fd;
}

/* The path of the first start counts: this program may be replaced again at any moment. */
static void
resume_keep_program(struct supervisor *supervisor, struct state_origin *origin)
{
	free(supervisor->places.program);
	supervisor->places.program = take_pointer(&origin->program);
}

static void
resume_attach_child(struct listener *listener, struct child *child)
{
	int r;

	if (child == NULL)
		return;
	if (child->board_fd >= 0) {
		r = listener_map_board(child, child->board_fd, child->board_slots,
				       child->board_sets);
		if (r < 0) {
			log_error("the counters of a worker of '%s' are lost: %s", listener->name,
				  strerror(-r));
			(void)close(child->board_fd);
		}
	}
	child_attach(child);
}

/* Without its memory, workers could not be given what is in it: from the next one on, everybody
 * would come in. */
static int
resume_access(struct access_lists *access, const struct conf_listener *conf)
{
	return access == NULL || conf == NULL ? 0 : access_lists_resume(access, conf);
}

static int
resume_all_access(struct supervisor *supervisor)
{
	int r = 0;

	for (size_t i = 0; i < supervisor->listener_count && r >= 0; i++) {
		struct listener *listener = supervisor->listeners[i];

		r = resume_access(listener->access, listener->conf);
		if (r >= 0)
			r = resume_access(listener->fallback.access, listener->fallback.conf);
	}
	return r;
}

static size_t
resume_attach(struct listener **listeners, size_t count)
{
	size_t workers = 0;

	for (size_t i = 0; i < count; i++) {
		struct listener *listener = listeners[i];

		buckets_resume(listener);
		resume_attach_child(listener, listener->current);
		workers += listener->current != NULL && listener->current->process.pid != 0;
		for (struct child *child = listener->old; child != NULL; child = child->next) {
			resume_attach_child(listener, child);
			workers += child->process.pid != 0;
		}
	}
	return workers;
}

/* Descriptors are this program's own again, and none is missing. */
static int
resume_take_fds(const struct state_fds *fds)
{
	for (size_t i = 0; i < fds->count; i++) {
		if (fcntl(fds->items[i], F_SETFD, FD_CLOEXEC) < 0)
			return -errno;
	}
	return 0;
}

static int
resume_open_ports(struct listener_world *world)
{
	int r = world->ports_fd >= 0 ? ports_reopen(world->ports_fd, &world->ports) : -EBADF;

	if (r >= 0)
		r = world->ports_reading_fd = fd_open_for_reading(world->ports_fd);
	return r;
}

static void
resume_tell(struct supervisor *supervisor, const struct state_origin *origin, size_t workers)
{
	int64_t took_us = (clock_now_ns() - origin->began_ns) / 1000;

	control_on_upgraded(supervisor, took_us);
	log_event(LOG_EVENT_UPGRADED, NULL,
		  "upgraded from %s to " HANDLERD_VERSION " in %" PRId64 ".%03" PRId64
		  " ms: same process, %zu listener%s, %zu worker%s",
		  origin->version, took_us / 1000, took_us % 1000, supervisor->listener_count,
		  supervisor->listener_count == 1 ? "" : "s", workers, workers == 1 ? "" : "s");
	notify_ready("%zu listeners, generation %" PRIu32 ", upgraded to " HANDLERD_VERSION,
		     supervisor->listener_count, supervisor->generation);
}

static int
resume_state(struct supervisor *supervisor, int state_fd, struct state_origin *origin,
	     struct state_fds *fds, char **ret_reason)
{
	size_t length = 0;
	CLEANUP_FREE char *text = resume_read_text(state_fd, &length);
	int r;

	if (text == NULL) {
		*ret_reason = memory_text("there is no state");
		return -EBADMSG;
	}
	r = state_read(text, length, supervisor, origin, fds, ret_reason);
	if (r >= 0 && origin->pid != getpid() && origin->pid != getppid()) {
		*ret_reason = memory_text("the state is another process's");
		r = -EBADMSG;
	}
	if (r < 0)
		state_let_go(supervisor);
	return r;
}

int
resume(struct supervisor *supervisor, int state_fd)
{
	CLEANUP(state_origin_free) struct state_origin origin = {.version = NULL};
	CLEANUP(state_fds_free) struct state_fds fds = {0};
	CLEANUP_FREE char *reason = NULL;
	int r = resume_state(supervisor, state_fd, &origin, &fds, &reason);
	int log_level;

	(void)close(state_fd);
	if (r < 0) {
		log_error("cannot go on after an upgrade: %s", reason);
		return r;
	}
	/* executed through a descriptor, it would be called by that number */
	(void)prctl(PR_SET_NAME, "handlerd");
	resume_keep_program(supervisor, &origin);
	r = resume_take_fds(&fds);
	if (r >= 0)
		r = resume_open_ports(&supervisor->world);
	if (r >= 0)
		r = ban_list_resume(&supervisor->world.bans);
	if (r >= 0)
		r = resume_all_access(supervisor);
	if (r < 0) {
		state_let_go(supervisor);
		log_error("cannot go on after an upgrade: a descriptor is missing: %s",
			  strerror(-r));
		return r;
	}
	for (size_t i = 0; i < supervisor->sockets.count; i++)
		held_resume(supervisor->sockets.items[i]);
	supervisor->upgrades++;
	log_level = supervisor->world.log_level;
	supervisor_open_log(supervisor, supervisor->config);
	if (log_level != 0)
		supervisor_set_log_level(supervisor, log_level);
	{
		size_t workers = resume_attach(supervisor->listeners, supervisor->listener_count) +
				 resume_attach(supervisor->leaving, supervisor->leaving_count);

		sockets_show_ports(&supervisor->sockets, supervisor->world.ports);
		r = control_restore(supervisor, &origin.control);
		if (r < 0)
			log_warning("the control socket is not whole after an upgrade: %s",
				    strerror(-r));
		resume_tell(supervisor, &origin, workers);
	}
	access_watch_renew(supervisor, false);
	supervisor->world.on_change(&supervisor->world);
	return 0;
}

int
resume_test(struct supervisor *supervisor)
{
	CLEANUP(state_origin_free) struct state_origin origin = {.version = NULL};
	CLEANUP(state_fds_free) struct state_fds fds = {0};
	CLEANUP_FREE char *reason = NULL;
	int r = resume_state(supervisor, TRIAL_FD_STATE, &origin, &fds, &reason);

	if (r >= 0 && access(supervisor->places.worker_path, X_OK) < 0) {
		reason = memory_format("its worker program cannot be executed: %s: %s",
				       supervisor->places.worker_path, strerror(errno));
		r = -EACCES;
	}
	state_let_go(supervisor);
	if (r < 0) {
		(void)fprintf(stderr, "handlerd: %s\n", reason);
		return EXIT_FAILURE;
	}
	(void)printf(TRIAL_PASSED HANDLERD_VERSION "\n");
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
