/*
 * control.c - the socket that handlerctl talks to: opened before anything serves, closed last.
 */
#include "supervisor/control.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "supervisor/control_client.h"
#include "supervisor/supervisor.h"
#include "supervisor/unread.h"

/* As many as the system allows: those who ask at the same time wait for microseconds. */
#define CONTROL_BACKLOG SOMAXCONN
/* Taken in one go; then other events have their turn. */
#define CONTROL_BATCH 16
/* Without a descriptor for it, a connection waits. */
#define CONTROL_AGAIN_MS 200
#define CONTROL_MOST_REFUSALS_LOGGED 5

void
control_init(struct control *control)
{
	*control = (struct control){.listening.fd = -1};
}

static bool
control_is_worker(const struct supervisor *supervisor, uid_t uid)
{
	for (size_t i = 0; i < supervisor->listener_count; i++) {
		if (supervisor->listeners[i]->identity.uid == uid)
			return true;
	}
	for (size_t i = 0; i < supervisor->leaving_count; i++) {
		if (supervisor->leaving[i]->identity.uid == uid)
			return true;
	}
	return false;
}

static void
control_log_refusal(struct control *control, const struct control_peer *peer, const char *why)
{
	uint64_t suppressed;

	if (!log_limit(&control->refusals, CONTROL_MOST_REFUSALS_LOGGED, &suppressed))
		return;
	log_event(LOG_EVENT_CONTROL_REFUSED, NULL, "control: pid %d of uid %lu is refused: %s",
		  (int)peer->pid, (unsigned long)peer->uid, why);
	if (suppressed > 0)
		log_info("control: %" PRIu64 " more were refused", suppressed);
}

static bool
control_has_slot(const struct control *control, enum control_access access)
{
	if (control->client_count >= CONTROL_MOST_CLIENTS)
		return false;
	return access == CONTROL_ALL ||
	       control->reader_count < CONTROL_MOST_CLIENTS - CONTROL_KEPT_CLIENTS;
}

/* Takes the connection over, or tells it why not. */
static void
control_admit(struct supervisor *supervisor, int accepted)
{
	struct control *control = &supervisor->control;
	CLEANUP_CLOSE int fd = accepted;
	struct control_peer peer;
	enum control_access access = CONTROL_NOTHING;
	const char *why = "only root, the user that handlerd runs as, and members of control_group "
			  "are answered";

	if (control_peer_read(fd, &peer) >= 0)
		access = control_access_decide(&peer, geteuid(), &control->group,
					       control_is_worker(supervisor, peer.uid));
	if (access != CONTROL_NOTHING && !control_has_slot(control, access)) {
		access = CONTROL_NOTHING;
		why = "too many ask at the same time; ask again";
	}
	if (access == CONTROL_NOTHING) {
		control_log_refusal(control, &peer, why);
		control_client_turn_away(fd, why);
		unread_close(take_fd(&fd));
	} else {
		control_client_take(supervisor, take_fd(&fd), &peer, access);
	}
	control_peer_free(&peer);
}

static void
control_on_connection(struct loop_source *source, uint32_t events)
{
	struct control *control = CONTAINER_OF(source, struct control, listening);
	struct supervisor *supervisor = CONTAINER_OF(control, struct supervisor, control);

	(void)events;
	for (int i = 0; i < CONTROL_BATCH; i++) {
		int fd = accept4(source->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd >= 0) {
			control_admit(supervisor, fd);
			continue;
		}
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		if (errno == EAGAIN)
			return;
		/* it would be told again at once */
		loop_remove(&supervisor->loop, source);
		loop_arm(&supervisor->loop, &control->again, clock_deadline_ns(CONTROL_AGAIN_MS));
		return;
	}
}

static void
control_on_again(struct loop_timer *timer)
{
	struct control *control = CONTAINER_OF(timer, struct control, again);
	struct supervisor *supervisor = CONTAINER_OF(control, struct supervisor, control);

	if (loop_add(&supervisor->loop, &control->listening, EPOLLIN) < 0)
		loop_arm(&supervisor->loop, timer, clock_deadline_ns(CONTROL_AGAIN_MS));
}

/* Takes clients from this socket, which listens. 0 or a negative errno. */
static int
control_begin(struct supervisor *supervisor, int fd)
{
	struct control *control = &supervisor->control;

	control->again.on_timer = control_on_again;
	control->listening = (struct loop_source){.fd = fd, .on_event = control_on_connection};
	return loop_add(&supervisor->loop, &control->listening, EPOLLIN);
}

static mode_t
control_mode(const struct control_group *group)
{
	return group->is_given ? 0660 : 0600;
}

/* Binds and listens; nobody can connect before the mode is what it is to be. A descriptor, or a
 * negative errno of the step. */
static int
control_bind(struct control *control, const char **ret_step)
{
	const struct control_group *group = &control->next_group;
	const char *path = control->place.path;
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	size_t length = strlen(path);
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	*ret_step = "open";
	if (fd < 0)
		return -errno;
	if (length >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	memcpy(addr.sun_path, path, length);
	*ret_step = "make the directory of";
	r = control_place_make_parent(&control->place);
	if (r >= 0)
		r = local_bind_closed(
			fd, (const struct sockaddr *)&addr,
			(socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1), (uid_t)-1,
			ret_step);
	if (r < 0)
		return r;
	*ret_step = "listen on";
	r = local_identify(path, &control->identity);
	if (r >= 0)
		r = listen(fd, CONTROL_BACKLOG) < 0 ? -errno : 0;
	if (r >= 0)
		r = local_admit(path, control_mode(group), (uid_t)-1,
				group->is_given ? group->gid : (gid_t)-1, ret_step);
	if (r < 0) {
		local_remove(path, &control->identity);
		return r;
	}
	control->group = *group;
	return take_fd(&fd);
}

static void
control_unbind(struct control *control)
{
	if (control->listening.fd < 0)
		return;
	local_remove(control->place.path, &control->identity);
	(void)close(control->listening.fd);
	control->listening.fd = -1;
}

/* Why it cannot be had, and what can be done; the caller frees it. */
static char *
control_explain(const struct control_place *place, const char *step, int error)
{
	switch (-error) {
	case EADDRINUSE:
		return memory_format("control socket '%s': another process listens there, perhaps "
				     "another handlerd; stop it, or give this one a path of its "
				     "own with 'control' or --control",
				     place->path);
	case ENOTSOCK:
		return memory_format("control socket '%s': there is something else of that name",
				     place->path);
	case ENAMETOOLONG:
		return memory_format("control socket '%s': the path is longer than %zu bytes",
				     place->path,
				     sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1);
	case ENOENT:
		return memory_format("control socket '%s': there is no such directory",
				     place->path);
	default:
		return memory_format("cannot %s control socket '%s': %s", step, place->path,
				     strerror(-error));
	}
}

/* A disk that is full is nobody's mistake, and no reason not to serve. */
static bool
control_is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

bool
control_open(struct supervisor *supervisor, struct report *report)
{
	struct control *control = &supervisor->control;
	const struct conf_origin nowhere = {0};
	const struct conf_origin *origin = &nowhere;
	CLEANUP_FREE char *why = NULL;
	const char *step = NULL;
	int r;

	if (control->listening.fd >= 0 || control->place.path == NULL)
		return true;
	if (control->place.is_written)
		origin = &supervisor->reload.config->control_origin;
	r = control_bind(control, &step);
	if (r >= 0)
		r = control_begin(supervisor, r);
	if (r >= 0)
		return true;
	control_unbind(control);
	why = control_explain(&control->place, step, r);
	if (control->place.is_asked && !control_is_full(r)) {
		report_error(report, origin->file, origin->line, "%s", why);
		return false;
	}
	report_warning(report, origin->file, origin->line,
		       "%s; handlerctl cannot be used until a reload finds it free", why);
	return true;
}

bool
control_prepare(struct supervisor *supervisor, const struct config *config,
		const struct identities *workers, struct report *report)
{
	struct control *control = &supervisor->control;
	const struct conf_origin *origin = &config->control_origin;
	struct control_place place;
	bool is_good = identities_look_up_control(config, workers, &control->next_group.is_given,
						  &control->next_group.gid, report);

	control_place_find(supervisor->cmdline, config, &place);
	if (supervisor->config == NULL) {
		control_place_free(&control->place);
		control->place = place;
		if (place.path == NULL && config->control == NULL &&
		    !cmdline_has_no_file(supervisor->cmdline) &&
		    supervisor->cmdline->control == NULL)
			log_info("there is no control socket: XDG_RUNTIME_DIR is not set; name a "
				 "path with 'control' or --control");
		return is_good;
	}
	if (!control_place_equal(&place, &control->place)) {
		report_error(report, origin->file, origin->line,
			     "control: a reload cannot change it from '%s' to '%s'; that takes a "
			     "restart",
			     control->place.path != NULL ? control->place.path : "",
			     place.path != NULL ? place.path : "");
		is_good = false;
	}
	control_place_free(&place);
	return is_good;
}

void
control_commit(struct supervisor *supervisor)
{
	struct control *control = &supervisor->control;
	const struct control_group *now = &control->group, *next = &control->next_group;
	int r;

	if (control->listening.fd < 0 ||
	    (now->is_given == next->is_given && (!now->is_given || now->gid == next->gid)))
		return;
	r = local_change(control->place.path, &control->identity, control_mode(next), (uid_t)-1,
			 next->is_given ? next->gid : getegid());
	if (r < 0)
		log_error("control: mode and group of '%s' cannot be changed: %s",
			  control->place.path, strerror(-r));
	/* who was let in so far by the group may stay in front of the door, but no further */
	control->group = *next;
}

void
control_close(struct supervisor *supervisor)
{
	struct control *control = &supervisor->control;

	while (control->clients != NULL)
		control_client_close(control->clients);
	loop_disarm(&supervisor->loop, &control->again);
	loop_remove(&supervisor->loop, &control->listening);
	control_unbind(control);
	control_place_free(&control->place);
	control_init(control);
}

void
control_save(const struct control *control, struct control_state *ret)
{
	*ret = (struct control_state){
		.listening_fd = control->listening.fd,
		.place = control->place,
		.identity = control->identity,
		.group = control->group,
	};
	for (const struct control_client *client = control->clients; client != NULL;
	     client = client->next) {
		if (client->wait == CONTROL_WAITS_UPGRADE)
			ret->waiting_fds[ret->waiting_count++] = client->source.fd;
		else if (client->state == CONTROL_ASKING && client->request_length == 0)
			ret->asking_fds[ret->asking_count++] = client->source.fd;
	}
}

int
control_restore(struct supervisor *supervisor, const struct control_state *state)
{
	struct control *control = &supervisor->control;
	int first = 0, r;

	control->place = state->place;
	control->place.path = memory_text(state->place.path);
	control->identity = state->identity;
	control->group = control->next_group = state->group;
	if (state->listening_fd >= 0)
		first = control_begin(supervisor, state->listening_fd);
	for (size_t i = 0; i < state->waiting_count && i < CONTROL_MOST_CLIENTS; i++) {
		r = control_client_restore(supervisor, state->waiting_fds[i]);
		if (first == 0)
			first = r;
	}
	for (size_t i = 0; i < state->asking_count && i < CONTROL_MOST_CLIENTS; i++)
		control_admit(supervisor, state->asking_fds[i]);
	return first;
}
