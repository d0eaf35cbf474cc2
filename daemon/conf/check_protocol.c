/*
 * check_protocol.c - keys that a listener has no use for. Those that it has itself are refused;
 * those of `defaults` are meant for other listeners, and this one gets the table's default instead.
 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "conf/check.h"
#include "conf/settings.h"
#include "conf/value.h"

static const char *
check_protocol_name(const struct conf_listener *listener)
{
	return conf_protocol_name(listener->protocol);
}

/* "tcp and udp" and so on, of a row. */
static char *
check_protocol_list(const struct setting *row)
{
	char *list = memory_text("");

	for (int64_t i = CONF_TCP; i <= CONF_UNIXGRAM; i++) {
		char *longer;

		if ((row->protocols & SETTING_FOR(i)) == 0)
			continue;
		longer = memory_format("%s%s%s", list, *list != '\0' ? " and " : "",
				       conf_protocol_name(i));
		free(list);
		list = longer;
	}
	return list;
}

static void
check_protocol_refuse(const struct conf_listener *listener, const struct setting *row,
		      struct report *report)
{
	struct conf_origin origin = listener->origins[row - settings];
	CLEANUP_FREE char *list = check_protocol_list(row);
	char label[SETTING_LABEL_SIZE];

	(void)setting_label(row, label, sizeof(label));
	if ((row->protocols & SETTING_FOR(listener->protocol)) == 0)
		check_error(report, origin,
			    "%s is for protocol %s, and listener '%s' has protocol %s; remove it",
			    label, list, check_listener_name(listener),
			    check_protocol_name(listener));
	else
		check_error(report, origin,
			    "%s cannot be set for a socket that systemd has bound; remove it, and "
			    "set it in the socket unit",
			    label);
}

static void
check_protocol_drop(struct conf_listener *listener, const struct setting *row)
{
	value_set_default(row, listener);
	listener->origins[row - settings] = (struct conf_origin){.file = NULL};
}

static void
check_session_timeout(struct conf_listener *listener, struct report *report)
{
	const struct setting *row = setting_find(SETTING_LISTENER, "udp", "session_timeout");

	if (listener->protocol != CONF_UDP || listener->concurrency == CONF_THREADING ||
	    listener->concurrency == CONF_FIBERS || listener->udp.session_timeout_ms == PARSE_NONE)
		return;
	if (listener->origins != NULL && listener->origins[row - settings].is_shared)
		check_protocol_drop(listener, row);
	else
		check_error(report, check_origin(listener, "udp", "session_timeout"),
			    "udp.session_timeout needs concurrency threading or fibers; set "
			    "concurrency of listener '%s' to one of them, or remove "
			    "udp.session_timeout",
			    check_listener_name(listener));
}

/* Sockets can share a port that is known. */
static void
check_reuse_port(const struct conf_listener *listener, struct report *report)
{
	if (listener->socket.reuse_port == 0)
		return;
	for (size_t i = 0; i < listener->address_count; i++) {
		const struct conf_address *address = &listener->addresses[i];
		char text[CONF_ADDRESS_TEXT_SIZE];

		if (address->kind != CONF_ADDRESS_INET || conf_address_port(address) != 0)
			continue;
		check_error(report, check_origin(listener, "socket", "reuse_port"),
			    "socket.reuse_port needs a port that is known, and address '%s' has "
			    "port 0; write a port, or remove socket.reuse_port",
			    conf_address_format(address, text, sizeof(text)));
		return;
	}
}

static void
check_device(const struct conf_listener *listener, struct report *report)
{
	const char *device = listener->socket.device;

	if (device == NULL || (strcmp(device, ".") != 0 && strcmp(device, "..") != 0 &&
			       strpbrk(device, "/: ") == NULL))
		return;
	check_error(report, check_origin(listener, "socket", "device"),
		    "socket.device = \"%s\" is no name of a network interface; ip link shows those "
		    "that there are",
		    device);
}

void
check_protocol(struct conf_listener *listener, struct report *report)
{
	for (size_t i = 0; i < setting_count && listener->origins != NULL; i++) {
		const struct setting *row = &settings[i];

		if (row->scope != SETTING_LISTENER || listener->origins[i].file == NULL ||
		    conf_listener_takes(listener, row))
			continue;
		if (listener->origins[i].is_shared)
			check_protocol_drop(listener, row);
		else
			check_protocol_refuse(listener, row, report);
	}
	check_session_timeout(listener, report);
	check_reuse_port(listener, report);
	check_device(listener, report);
}
