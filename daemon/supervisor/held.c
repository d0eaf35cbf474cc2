/*
 * held.c - opening, changing, mending and closing one socket.
 */
#include "supervisor/held.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "supervisor/store.h"

static int
held_type(const struct held_socket *held)
{
	return conf_protocol_is_datagram(held->protocol) ? SOCK_DGRAM : SOCK_STREAM;
}

const char *
held_path(const struct held_socket *held)
{
	const struct sockaddr *addr = (const struct sockaddr *)&held->bound.addr;

	if (held->is_adopted || !local_is_path(addr, held->bound.length))
		return NULL;
	return ((const struct sockaddr_un *)&held->bound.addr)->sun_path;
}

static struct listen_spec
held_spec(const struct held_socket *held, const struct conf_address *address,
	  const struct held_settings *settings)
{
	return (struct listen_spec){
		.type = held_type(held),
		.addr = (const struct sockaddr *)&address->addr,
		.length = address->length,
		.is_dual_stack = address->is_dual_stack,
		.backlog = (int)settings->backlog,
		.options = &settings->options,
		.mode = settings->mode,
		.owner = settings->owner,
		.group = settings->group,
	};
}

static int
held_bind(const struct held_socket *held, const struct conf_address *address, const char **ret_step)
{
	struct listen_spec spec = held_spec(held, address, &held->settings);

	return listen_open(&spec, ret_step);
}

/* What a new socket has set on it with these settings. Whether that can be told. */
static bool
held_expect(const struct held_socket *held, const struct held_settings *settings,
	    struct fingerprint *ret)
{
	struct listen_spec spec = held_spec(held, &held->bound, settings);
	CLEANUP_CLOSE int fd = listen_open_unbound(&spec);

	if (fd >= 0)
		fingerprint_take(fd, ret);
	return fd >= 0;
}

/* systemd has bound it and made it listen; what the protocol needs is set, and what the
 * configuration asks for. */
static int
held_adopt(const struct held_socket *held, int fd, const char **ret_step)
{
	static const int one = 1;
	int r;

	*ret_step = "set options of the socket";
	if (held->protocol == CONF_TCP &&
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0)
		return -errno;
	r = conf_protocol_is_datagram(held->protocol) ? listen_prepare_datagrams(fd) : 0;
	if (r >= 0)
		r = socket_options_set(fd, &held->settings.options, NULL, ret_step);
	if (r >= 0 && held->settings.backlog > 0 && held_type(held) == SOCK_STREAM) {
		*ret_step = "listen";
		r = listen_set_backlog(fd, (int)held->settings.backlog);
	}
	return r < 0 ? r : fd;
}

/* The address that the socket really has. */
static void
held_find_bound(struct held_socket *held)
{
	struct conf_address *bound = &held->bound;
	int is_v6only = 1;
	socklen_t length = sizeof(is_v6only);

	if (listen_get_address(held->fd, &bound->addr, &bound->length) < 0)
		return;
	bound->kind = bound->addr.ss_family == AF_UNIX ? CONF_ADDRESS_UNIX : CONF_ADDRESS_INET;
	bound->name[0] = '\0';
	if (!held->is_adopted || bound->addr.ss_family != AF_INET6)
		return;
	(void)getsockopt(held->fd, IPPROTO_IPV6, IPV6_V6ONLY, &is_v6only, &length);
	bound->is_dual_stack =
		is_v6only == 0 &&
		IN6_IS_ADDR_UNSPECIFIED(&((struct sockaddr_in6 *)&bound->addr)->sin6_addr);
}

struct held_socket *
held_open(int64_t protocol, const struct conf_address *asked, size_t index,
	  const struct held_settings *settings, const struct held_source *source,
	  const char **ret_step, int *ret_error)
{
	struct held_socket *held = memory_zero(1, sizeof(*held));

	*held = (struct held_socket){
		.protocol = protocol,
		.asked = *asked,
		.index = index,
		.bound = *asked,
		.is_adopted = source->fd >= 0 && source->store_name == NULL,
		.store_name = source->store_name,
		.settings = *settings,
		.is_new = true,
	};
	if (source->fd >= 0) {
		held->fd = held_adopt(held, source->fd, ret_step);
	} else {
		held->fd = held_bind(held, source->address != NULL ? source->address : asked,
				     ret_step);
		/* somebody was faster, and any port would do */
		if (held->fd == -EADDRINUSE && source->address != NULL)
			held->fd = held_bind(held, asked, ret_step);
	}
	if (held->fd < 0) {
		*ret_error = held->fd;
		if (source->fd >= 0)
			(void)close(source->fd);
		free(held->store_name);
		free(held);
		return NULL;
	}
	held_find_bound(held);
	/* no worker has it yet */
	fingerprint_take(held->fd, &held->fingerprint);
	if (held->is_adopted)
		held->passed_backlog = listen_get_backlog(held->fd);
	if (held_path(held) != NULL)
		(void)local_identify(held_path(held), &held->identity);
	/* it may have had others before */
	if (held->store_name != NULL && held_path(held) != NULL)
		(void)local_change(held_path(held), &held->identity, settings->mode,
				   settings->owner, settings->group);
	return held;
}

void
held_free(struct held_socket *held)
{
	if (held->fd >= 0) {
		if (held_path(held) != NULL && !held->leaves_path)
			local_remove(held_path(held), &held->identity);
		(void)close(held->fd);
	}
	free(held->store_name);
	free(held->owner);
	free(held->next_owner);
	free(held);
}

/* The listener that it is for, or is to be for. */
static const char *
held_user(const struct held_socket *held)
{
	return held->owner != NULL ? held->owner : held->next_owner;
}

static bool
held_has_address(const struct held_socket *held)
{
	struct sockaddr_storage addr = {0};
	socklen_t length;

	/* a port that the kernel chose goes with a shutdown, and may be another one after it */
	return listen_get_address(held->fd, &addr, &length) >= 0 && length == held->bound.length &&
	       memcmp(&addr, &held->bound.addr, length) == 0;
}

/* That of a Unix socket cannot be asked for. */
static void
held_put_back_backlog(const struct held_socket *held)
{
	int backlog = (int)held->settings.backlog;
	int now = listen_get_backlog(held->fd);

	if (held_type(held) != SOCK_STREAM)
		return;
	if (held->is_adopted && backlog == 0)
		backlog = held->passed_backlog;
	if (held->is_adopted && backlog == 0)
		return;
	if (now == 0 || now != backlog)
		(void)listen_set_backlog(held->fd, backlog);
}

void
held_mend(struct held_socket *held)
{
	char names[FINGERPRINT_NAMES_SIZE];
	bool was_spoilt = held->spoilt_by[0] != '\0';
	int r;

	if (held->is_connection || held->fd < 0 || !held->fingerprint.is_known ||
	    !listen_is_alive(held->fd))
		return;
	held_put_back_backlog(held);
	r = fingerprint_put_back(held->fd, &held->fingerprint, names);
	held->spoilt_by[0] = '\0';
	if (r < 0)
		(void)memcpy(held->spoilt_by, names, sizeof(held->spoilt_by));
	if (r > 0)
		log_event(LOG_EVENT_SOCKET_PUT_BACK, held_user(held),
			  "'%s': its handler has changed %s of the socket; it is put back",
			  held_user(held), names);
	if (r < 0 && held->is_adopted && !was_spoilt)
		log_event(LOG_EVENT_SOCKET_BROKEN, held_user(held),
			  "'%s': its handler has changed %s of the socket that systemd had opened, "
			  "for good; only systemd can open it again: restart the .socket unit and "
			  "handlerd",
			  held_user(held), names);
}

/* Binds its address anew, which others may still have copies of. */
static void
held_open_anew(struct held_socket *held, const char *what)
{
	const char *step = "", *path = held_path(held);
	struct listen_spec spec = held_spec(held, &held->bound, &held->settings);

	spec.is_takeover = true;
	store_drop(held);
	if (held->fd >= 0 && path != NULL)
		local_remove(path, &held->identity);
	if (held->fd >= 0) {
		listen_give_up(held->fd);
		(void)close(held->fd);
	}
	held->spoilt_by[0] = '\0';
	held->fd = listen_open(&spec, &step);
	if (held->fd < 0) {
		log_event(LOG_EVENT_SOCKET_BROKEN, held_user(held),
			  "'%s': its handler %s, and it cannot be opened again: cannot %s: %s",
			  held_user(held), what, step, strerror(-held->fd));
		held->fd = -1;
		return;
	}
	fingerprint_take(held->fd, &held->fingerprint);
	if (path != NULL)
		(void)local_identify(path, &held->identity);
	log_event(LOG_EVENT_SOCKET_REOPENED, held_user(held),
		  "'%s': its handler %s; it is opened anew", held_user(held), what);
}

static void
held_revive_dead(struct held_socket *held)
{
	if (!held->is_adopted) {
		held_open_anew(held, "shut the socket down");
		return;
	}
	log_event(LOG_EVENT_SOCKET_BROKEN, held->owner,
		  "'%s': its handler shut the socket down that systemd had opened; only "
		  "systemd can open it again: restart the .socket unit and handlerd",
		  held->owner);
}

/* Something about it cannot be put back. */
static void
held_revive_spoilt(struct held_socket *held, bool is_shared)
{
	CLEANUP_FREE char *what = NULL;

	if (held->is_adopted)
		return;
	if (is_shared && conf_address_is_abstract(&held->bound)) {
		log_event(
			LOG_EVENT_SOCKET_BROKEN, held_user(held),
			"'%s': its handler has changed %s of the socket, for good; an older worker "
			"still has it and with it the name; the next one after that gets another",
			held_user(held), held->spoilt_by);
		return;
	}
	what = memory_format("has changed %s of the socket, for good", held->spoilt_by);
	held_open_anew(held, what);
}

bool
held_revive(struct held_socket *held, bool is_shared)
{
	if (held->is_connection)
		return false;
	if (held->fd < 0 || !listen_is_alive(held->fd) || !held_has_address(held)) {
		held_revive_dead(held);
		return true;
	}
	held_mend(held);
	if (held->spoilt_by[0] == '\0')
		return false;
	held_revive_spoilt(held, is_shared);
	return true;
}

void
held_resume(struct held_socket *held)
{
	if (held->fd < 0 || held->is_connection || held->fingerprint.is_known)
		return;
	if (!held->is_adopted && held_expect(held, &held->settings, &held->fingerprint))
		fingerprint_forget_listening(&held->fingerprint);
	else
		fingerprint_take(held->fd, &held->fingerprint);
}

int
held_try(const struct held_socket *held, const char **ret_step)
{
	if (memcmp(&held->settings.options, &held->next_settings.options,
		   sizeof(held->settings.options)) == 0)
		return 0;
	return socket_options_try(held->bound.addr.ss_family, held_type(held),
				  &held->next_settings.options, ret_step);
}

static void
held_change_path(struct held_socket *held)
{
	const struct held_settings *next = &held->next_settings;
	const char *path = held_path(held);
	int r;

	if (path == NULL ||
	    (next->mode == held->settings.mode && next->owner == held->settings.owner &&
	     next->group == held->settings.group))
		return;
	r = local_change(path, &held->identity, next->mode, next->owner, next->group);
	if (r < 0)
		log_warning("'%s': mode and owner of '%s' stay as they were: %s", held->next_owner,
			    path, strerror(-r));
}

/* What the configuration changes is no work of a handler's. The socket itself is not asked: workers
 * have it. */
static void
held_follow(struct held_socket *held)
{
	struct fingerprint before, now;

	if (memcmp(&held->settings.options, &held->next_settings.options,
		   sizeof(held->settings.options)) != 0 &&
	    held_expect(held, &held->settings, &before) &&
	    held_expect(held, &held->next_settings, &now))
		fingerprint_follow(&held->fingerprint, &before, &now);
}

void
held_commit(struct held_socket *held)
{
	const struct held_settings *next = &held->next_settings;
	const char *step = "";
	int r;

	held->is_new = false;
	if (!held->is_wanted)
		return;
	(void)held_revive(held, true);
	r = socket_options_set(held->fd, &next->options, &held->settings.options, &step);
	if (r < 0)
		log_event(LOG_EVENT_SOCKET_OPTION, held->next_owner,
			  "'%s': %s cannot be changed: %s", held->next_owner, step, strerror(-r));
	else
		held_follow(held);
	if (held->settings.backlog != next->backlog && held_type(held) == SOCK_STREAM)
		(void)listen_set_backlog(held->fd, (int)next->backlog);
	held_change_path(held);
	held->settings = *next;
	free(held->owner);
	held->owner = take_pointer(&held->next_owner);
}

bool
held_is_bound_alike(const struct socket_options *a, const struct socket_options *b)
{
	return a->freebind == b->freebind && a->transparent == b->transparent &&
	       a->reuse_port == b->reuse_port && strcmp(a->device, b->device) == 0;
}

uint64_t
held_count_drops(const struct held_socket *held)
{
	uint64_t drops = 0;

	if (held->protocol != CONF_UDP || held->fd < 0 || listen_count_drops(held->fd, &drops) < 0)
		return 0;
	return drops;
}
