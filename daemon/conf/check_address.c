/*
 * check_address.c - addresses are made from their texts, and compared with each other.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/check.h"

#define CHECK_SOCKETS_MAX 1024

/* What one text means: as many ports, one after the other. */
struct check_span {
	const struct conf_listener *listener;
	const char *text;
	struct conf_address first;
	unsigned count;
};

struct check_spans {
	struct check_span *items;
	size_t count;
};

static void
check_refuse_count(const struct conf_listener *listener, struct report *report)
{
	int64_t for_each = listener->socket.reuse_port;

	if (for_each > 1)
		check_error(report, check_origin(listener, "", "address"),
			    "the addresses of listener '%s' make more than %d sockets, with "
			    "socket.reuse_port = %" PRId64 "; divide them among listeners",
			    check_listener_name(listener), CHECK_SOCKETS_MAX, for_each);
	else
		check_error(report, check_origin(listener, "", "address"),
			    "the addresses of listener '%s' make more than %d sockets; divide them "
			    "among listeners",
			    check_listener_name(listener), CHECK_SOCKETS_MAX);
}

void
check_parse_addresses(struct conf_listener *listener, struct report *report)
{
	const struct conf_texts *texts = &listener->address_texts;
	bool is_unix = conf_protocol_is_unix(listener->protocol);

	free(listener->addresses);
	listener->addresses = NULL;
	listener->address_count = 0;
	for (size_t i = 0; i < texts->count; i++) {
		const char *reason = NULL;
		struct conf_address address;
		unsigned count;

		if (conf_address_parse(texts->items[i], is_unix, &address, &count, &reason) < 0) {
			check_error(report, check_origin(listener, "", "address"),
				    "address '%s': %s", texts->items[i], reason);
			continue;
		}
		/* one range may go beyond, which is enough to be refused */
		for (; count > 0 && listener->address_count <= CHECK_SOCKETS_MAX; count--) {
			listener->addresses =
				memory_grow(listener->addresses, listener->address_count,
					    sizeof(*listener->addresses));
			listener->addresses[listener->address_count++] = address;
			if (count > 1)
				conf_address_set_port(&address, conf_address_port(&address) + 1);
		}
	}
}

void
check_socket_count(const struct conf_listener *listener, struct report *report)
{
	size_t for_each = listener->socket.reuse_port > 0 ? (size_t)listener->socket.reuse_port : 1;

	if (listener->address_count * for_each > CHECK_SOCKETS_MAX)
		check_refuse_count(listener, report);
}

/* Adds what the texts of a listener mean; those that are no addresses have been refused. */
static void
check_add_spans(const struct conf_listener *listener, struct check_spans *spans)
{
	const struct conf_texts *texts = &listener->address_texts;
	bool is_unix = conf_protocol_is_unix(listener->protocol);

	for (size_t i = 0; i < texts->count && listener->is_enabled; i++) {
		struct check_span span = {.listener = listener, .text = texts->items[i]};
		const char *reason;

		if (conf_address_parse(span.text, is_unix, &span.first, &span.count, &reason) < 0)
			continue;
		spans->items = memory_grow(spans->items, spans->count, sizeof(*spans->items));
		spans->items[spans->count++] = span;
	}
}

/* Whether what is bound by one is seen by the other at all. */
static bool
check_is_same_transport(const struct check_span *a, const struct check_span *b)
{
	const char *device = a->listener->socket.device, *other = b->listener->socket.device;
	bool is_same_protocol = a->listener->protocol == b->listener->protocol;

	switch (a->first.kind) {
	case CONF_ADDRESS_INET:
		return is_same_protocol &&
		       (device == NULL || other == NULL || strcmp(device, other) == 0);
	case CONF_ADDRESS_UNIX:
		/* a file is one file; abstract names are kept apart by the type of the socket */
		return is_same_protocol || !conf_address_is_abstract(&a->first);
	case CONF_ADDRESS_SYSTEMD:
		return true;
	}
	return true;
}

/* Compares at the first port that both have. */
static bool
check_spans_overlap(const struct check_span *a, const struct check_span *b)
{
	struct conf_address first = a->first, other = b->first;
	unsigned port = conf_address_port(&first), other_port = conf_address_port(&other);

	if (!check_is_same_transport(a, b))
		return false;
	if (port != 0 && port < other_port && other_port < port + a->count)
		conf_address_set_port(&first, other_port);
	else if (other_port != 0 && other_port < port && port < other_port + b->count)
		conf_address_set_port(&other, port);
	return conf_address_overlaps(&first, &other);
}

static void
check_report_overlap(const struct check_span *span, const struct check_span *earlier,
		     struct report *report)
{
	const struct conf_listener *other = earlier->listener;
	struct conf_origin origin = check_origin(span->listener, "", "address");
	CLEANUP_FREE char *where = NULL;

	if (span->listener == other) {
		check_error(report, origin, "address '%s' overlaps '%s' of the same listener",
			    span->text, earlier->text);
		return;
	}
	where = check_format_origin(check_origin(other, "", "address"));
	if (span->first.kind == CONF_ADDRESS_SYSTEMD)
		check_error(report, origin,
			    "address '%s' is used by listener '%s'%s already; give each listener a "
			    "socket unit with a FileDescriptorName= of its own",
			    span->text, check_listener_name(other), where);
	else
		check_error(report, origin, "address '%s' overlaps '%s' of listener '%s'%s",
			    span->text, earlier->text, check_listener_name(other), where);
}

void
check_overlaps(const struct config *config, struct report *report)
{
	struct check_spans spans = {.count = 0};

	for (size_t i = 0; i < config->listener_count; i++)
		check_add_spans(&config->listeners[i], &spans);
	for (size_t i = 0; i < spans.count; i++) {
		for (size_t k = 0; k < i; k++) {
			if (check_spans_overlap(&spans.items[i], &spans.items[k]))
				check_report_overlap(&spans.items[i], &spans.items[k], report);
		}
	}
	free(spans.items);
}
