/*
 * sockets.c - the table of held sockets.
 */
#include "supervisor/sockets.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

static int
sockets_seconds(int64_t ms)
{
	return ms > 0 ? (int)(ms / 1000) : 0;
}

struct socket_options
sockets_options(const struct conf_listener *listener)
{
	const struct conf_socket *conf = &listener->socket;
	struct socket_options options;

	/* compared as bytes */
	memset(&options, 0, sizeof(options));
	options.freebind = conf->freebind;
	options.transparent = conf->transparent;
	options.reuse_port = conf->reuse_port > 0;
	options.keepalive = conf->keepalive;
	options.keepalive_idle_s = sockets_seconds(conf->keepalive_idle_ms);
	options.keepalive_interval_s = sockets_seconds(conf->keepalive_interval_ms);
	options.keepalive_count = (int)conf->keepalive_count;
	options.receive_buffer = (int)conf->receive_buffer;
	options.send_buffer = (int)conf->send_buffer;
	options.defer_accept_s = sockets_seconds(conf->defer_accept_ms);
	options.fast_open = (int)conf->fast_open;
	options.mark = (uint32_t)conf->mark;
	options.tos = (int)conf->tos;
	if (conf->device != NULL)
		(void)strncpy(options.device, conf->device, sizeof(options.device) - 1);
	if (conf->congestion != NULL)
		(void)strncpy(options.congestion, conf->congestion, sizeof(options.congestion) - 1);
	return options;
}

struct held_settings
sockets_settings(const struct conf_listener *listener, const struct socket_owner *owner)
{
	return (struct held_settings){
		.backlog = listener->backlog,
		.options = sockets_options(listener),
		.mode = (mode_t)listener->socket.mode,
		.owner = owner->uid,
		.group = owner->gid,
	};
}

static bool
sockets_is_same(const struct held_socket *held, const struct conf_listener *listener,
		const struct conf_address *address, size_t index,
		const struct socket_options *options)
{
	const struct conf_address *asked = &held->asked;

	if (held->protocol != listener->protocol || held->index != index ||
	    !held_is_bound_alike(&held->settings.options, options) ||
	    asked->kind != address->kind || asked->length != address->length ||
	    asked->is_dual_stack != address->is_dual_stack ||
	    memcmp(&asked->addr, &address->addr, address->length) != 0 ||
	    strcmp(asked->name, address->name) != 0)
		return false;
	return address->kind != CONF_ADDRESS_INET || conf_address_port(address) != 0 ||
	       strcmp(held->owner != NULL ? held->owner : held->next_owner, listener->name) == 0;
}

void
sockets_begin(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		sockets->items[i]->is_wanted = sockets->items[i]->is_new = false;
}

/* Whether a socket of one protocol can be in the way of another's on the same address. */
static bool
sockets_share_names(const struct held_socket *held, int64_t protocol)
{
	if (conf_protocol_is_unix(held->protocol) != conf_protocol_is_unix(protocol))
		return false;
	/* a path is one file, whatever it is for */
	return conf_protocol_is_datagram(held->protocol) == conf_protocol_is_datagram(protocol) ||
	       (conf_protocol_is_unix(protocol) && !conf_address_is_abstract(&held->bound));
}

static const char *
sockets_advise_unix(int error)
{
	switch (error) {
	case -EADDRINUSE:
		return "; a program that runs has that socket (ss -lxp shows which)";
	case -ENOTSOCK:
		return "; what stands there is no socket and is not removed";
	case -EPERM:
		return "; only root can give sockets away or replace those of other users";
	case -ENOENT:
		return "; its directory does not exist (in a systemd unit, PrivateTmp= and "
		       "ProtectHome= hide some that do)";
	case -EACCES:
		return "; its directory cannot be written to";
	case -EROFS:
		return "; its directory is read-only (in a systemd unit, ReadWritePaths= makes it "
		       "writable)";
	default:
		return "";
	}
}

static const char *
sockets_advise(const struct conf_listener *listener, const char *step, int error)
{
	bool is_udp = listener->protocol == CONF_UDP;

	if (error == -EPERM && strncmp(step, "socket.", 7) == 0)
		return "; it needs CAP_NET_ADMIN (in a systemd unit, CapabilityBoundingSet= must "
		       "have it)";
	if (conf_protocol_is_unix(listener->protocol))
		return sockets_advise_unix(error);
	switch (error) {
	case -EADDRINUSE:
		return is_udp ? "; another program has that port (ss -lunp shows which), or a "
				"listener that was removed is still finishing"
			      : "; another program listens there (ss -ltnp shows which)";
	case -EADDRNOTAVAIL:
		return "; this machine does not have that address (yet; see socket.freebind)";
	case -EACCES:
		return "; ports below 1024 need root or CAP_NET_BIND_SERVICE (in a systemd unit, "
		       "CapabilityBoundingSet= must have it, and AmbientCapabilities= too where "
		       "User= is not root)";
	case -EAFNOSUPPORT:
		return "; this machine has no such protocol, or RestrictAddressFamilies= of the "
		       "systemd unit leaves it out";
	case -ENODEV:
		return "; there is no such network interface";
	case -ENOENT:
		return "; net.ipv4.tcp_available_congestion_control tells those that there are";
	default:
		return "";
	}
}

static void
sockets_complain(const struct sockets *sockets, const struct conf_listener *listener,
		 size_t address, const char *step, int error, struct report *report)
{
	const struct conf_origin *origin = &listener->address_origin;
	char text[CONF_ADDRESS_TEXT_SIZE];
	const char *link = strncmp(step, "socket.", 7) == 0 ? "set " : "";
	const char *preposition = *link != '\0' ? " on" : "";

	(void)conf_address_format(&listener->addresses[address], text, sizeof(text));
	for (size_t i = 0; i < sockets->count && error == -EADDRINUSE; i++) {
		const struct held_socket *held = sockets->items[i];
		char held_text[CONF_ADDRESS_TEXT_SIZE];

		if (!sockets_share_names(held, listener->protocol) ||
		    !conf_address_overlaps(&held->bound, &listener->addresses[address]))
			continue;
		report_error(report, origin->file, origin->line,
			     "listener '%s' cannot %s %s: listener '%s' still holds %s; give it up "
			     "in a reload of its own first",
			     listener->name, step, text,
			     held->owner != NULL ? held->owner : held->next_owner,
			     conf_address_format(&held->bound, held_text, sizeof(held_text)));
		return;
	}
	report_error(report, origin->file, origin->line, "listener '%s' cannot %s%s%s %s: %s%s",
		     listener->name, link, step, preposition, text, strerror(-error),
		     sockets_advise(listener, step, error));
}

/* Without CAP_NET_ADMIN the kernel cuts buffers at its own limits, silently. */
static void
sockets_check_buffers(const struct held_socket *held, const struct conf_listener *listener,
		      struct report *report)
{
	const struct socket_options *options = &held->settings.options;
	int receive = 0, send = 0;

	if (socket_options_got_buffers(held->fd, options, &receive, &send) != 1)
		return;
	report_warning(report, listener->address_origin.file, listener->address_origin.line,
		       "listener '%s' gets socket buffers of %d bytes for receiving and %d for "
		       "sending, less than asked; raise net.core.rmem_max and net.core.wmem_max",
		       listener->name, receive, send);
}

size_t
sockets_count_for(const struct sockets *sockets, const struct conf_listener *listener,
		  size_t address, struct report *report)
{
	const struct conf_address *asked = &listener->addresses[address];
	size_t count = adopted_count(&sockets->adopted, asked->name);

	if (asked->kind != CONF_ADDRESS_SYSTEMD)
		return listener->socket.reuse_port > 0 ? (size_t)listener->socket.reuse_port : 1;
	for (size_t i = 0; i < sockets->count; i++) {
		const struct held_socket *held = sockets->items[i];

		if (held->asked.kind != CONF_ADDRESS_SYSTEMD ||
		    strcmp(held->asked.name, asked->name) != 0)
			continue;
		if (held->protocol != listener->protocol) {
			report_error(report, listener->address_origin.file,
				     listener->address_origin.line,
				     "listener '%s': the socket '%s' from systemd is %s, but the "
				     "listener is %s",
				     listener->name, asked->name,
				     conf_protocol_name(held->protocol),
				     conf_protocol_name(listener->protocol));
			return 0;
		}
		count++;
	}
	if (count == 0)
		report_error(report, listener->address_origin.file, listener->address_origin.line,
			     "listener '%s': systemd has passed no socket named '%s'; "
			     "FileDescriptorName= of the .socket unit names it, and only a start "
			     "takes it",
			     listener->name, asked->name);
	return count;
}

static struct held_socket *
sockets_find(const struct sockets *sockets, const struct conf_listener *listener,
	     const struct conf_address *asked, size_t index, const struct socket_options *options)
{
	for (size_t i = 0; i < sockets->count; i++) {
		struct held_socket *held = sockets->items[i];

		if (!held->is_wanted && sockets_is_same(held, listener, asked, index, options))
			return held;
	}
	return NULL;
}

struct held_socket *
sockets_want(struct sockets *sockets, const struct conf_listener *listener, size_t address,
	     size_t index, const struct socket_owner *owner, struct report *report)
{
	const struct conf_address *asked = &listener->addresses[address];
	struct held_settings settings = sockets_settings(listener, owner);
	struct held_socket *held = sockets_find(sockets, listener, asked, index, &settings.options);
	const char *step = "";
	struct held_source source = {.fd = -1};
	struct conf_address free_address;
	int r = 0;

	if (held == NULL && asked->kind == CONF_ADDRESS_SYSTEMD) {
		source.fd = adopted_claim(&sockets->adopted, listener, asked->name, report);
		if (source.fd < 0)
			return NULL;
	} else if (held == NULL) {
		source.fd = store_claim(&sockets->store, listener, asked, &settings.options,
					&source.store_name, &free_address);
		source.address = &free_address;
	}
	if (held == NULL) {
		held = held_open(listener->protocol, asked, index, &settings, &source, &step, &r);
		if (held != NULL) {
			held->is_connection = sockets->adopted.is_connection;
			sockets->items = memory_grow(sockets->items, sockets->count,
						     sizeof(struct held_socket *));
			sockets->items[sockets->count++] = held;
			sockets_check_buffers(held, listener, report);
		}
	}
	if (held != NULL) {
		held->is_wanted = true;
		free(held->next_owner);
		held->next_owner = memory_text(listener->name);
		held->next_settings = settings;
		r = held_try(held, &step);
	}
	if (r >= 0)
		return held;
	sockets_complain(sockets, listener, address, step, r, report);
	return NULL;
}

/* Keeps the sockets of one kind, closes the others. */
static void
sockets_keep(struct sockets *sockets, bool (*is_kept)(const struct held_socket *held))
{
	struct held_socket **items = NULL;
	size_t kept = 0;

	for (size_t i = 0; i < sockets->count; i++) {
		if (!is_kept(sockets->items[i])) {
			if (!sockets->items[i]->leaves_path)
				store_drop(sockets->items[i]);
			held_free(sockets->items[i]);
			continue;
		}
		/* the array grows at powers of two only: one that has shrunk starts again */
		items = memory_grow(items, kept, sizeof(struct held_socket *));
		items[kept++] = sockets->items[i];
	}
	free(sockets->items);
	sockets->items = items;
	sockets->count = kept;
}

static bool
sockets_keep_wanted(const struct held_socket *held)
{
	return held->is_wanted;
}

static bool
sockets_keep_old(const struct held_socket *held)
{
	return !held->is_new;
}

/* As sockets_check_buffers, of a socket that had others until now. */
static void
sockets_commit_one(struct held_socket *held)
{
	const struct socket_options *options = &held->settings.options;
	struct socket_options before = *options;
	bool was_new = held->is_new;
	int receive = 0, send = 0;

	held_commit(held);
	if (was_new || (options->receive_buffer == before.receive_buffer &&
			options->send_buffer == before.send_buffer))
		return;
	if (socket_options_got_buffers(held->fd, options, &receive, &send) == 1)
		log_event(LOG_EVENT_SOCKET_OPTION, held->owner,
			  "'%s' gets socket buffers of %d bytes for receiving and %d for "
			  "sending, less than asked; raise net.core.rmem_max and "
			  "net.core.wmem_max",
			  held->owner, receive, send);
}

void
sockets_store(const struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		store_put(&sockets->store, sockets->items[i], sockets->items, sockets->count);
}

void
sockets_commit(struct sockets *sockets)
{
	for (size_t i = 0; i < sockets->count; i++)
		sockets_commit_one(sockets->items[i]);
	sockets_keep(sockets, sockets_keep_wanted);
	/* names of what goes are free for what comes */
	store_close_rest(&sockets->store, sockets->items, sockets->count);
	sockets_store(sockets);
	adopted_close_rest(&sockets->adopted);
}

void
sockets_roll_back(struct sockets *sockets)
{
	/* what a start that fails has found in the store is for the next one, its path too */
	for (size_t i = 0; i < sockets->count; i++)
		sockets->items[i]->leaves_path =
			sockets->items[i]->is_new && sockets->items[i]->store_name != NULL;
	sockets_keep(sockets, sockets_keep_old);
}

static bool
sockets_keep_none(const struct held_socket *held)
{
	(void)held;
	return false;
}

void
sockets_close_all(struct sockets *sockets)
{
	/* what is stored waits for the next start, its path too */
	for (size_t i = 0; i < sockets->count; i++) {
		sockets->items[i]->leaves_path = sockets->items[i]->store_name != NULL;
		/* systemd passes it to the next start as it is now */
		if (sockets->items[i]->is_adopted)
			held_mend(sockets->items[i]);
	}
	sockets_keep(sockets, sockets_keep_none);
}

void
sockets_show_ports(const struct sockets *sockets, struct port_page *page)
{
	struct port_list list = {0};

	for (size_t i = 0; i < sockets->count; i++) {
		const struct held_socket *held = sockets->items[i];

		if (held->protocol == CONF_UDP)
			ports_add(&list, (uint16_t)conf_address_port(&held->bound));
		else if (held->protocol == CONF_UNIXGRAM)
			ports_add_name(&list,
				       ports_hash_name((const struct sockaddr *)&held->bound.addr,
						       held->bound.length));
	}
	ports_replace(page, &list);
}
