/*
 * address.c - writes addresses, and tells which get in each other's way.
 */
#include "conf/address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include "base/check.h"

static const struct sockaddr_in *
address_v4(const struct conf_address *address)
{
	return (const struct sockaddr_in *)&address->addr;
}

static const struct sockaddr_in6 *
address_v6(const struct conf_address *address)
{
	return (const struct sockaddr_in6 *)&address->addr;
}

static const struct sockaddr_un *
address_un(const struct conf_address *address)
{
	return (const struct sockaddr_un *)&address->addr;
}

unsigned
conf_address_port(const struct conf_address *address)
{
	if (address->kind != CONF_ADDRESS_INET)
		return 0;
	if (address->addr.ss_family == AF_INET6)
		return ntohs(address_v6(address)->sin6_port);
	return ntohs(address_v4(address)->sin_port);
}

void
conf_address_set_port(struct conf_address *address, unsigned port)
{
	CHECK(address->kind == CONF_ADDRESS_INET && port <= UINT16_MAX);
	if (address->addr.ss_family == AF_INET6)
		((struct sockaddr_in6 *)&address->addr)->sin6_port = htons((uint16_t)port);
	else
		((struct sockaddr_in *)&address->addr)->sin_port = htons((uint16_t)port);
}

/* The bytes of a path or abstract name, the NUL that begins the latter included. */
static size_t
address_unix_length(const struct conf_address *address)
{
	size_t start = offsetof(struct sockaddr_un, sun_path);

	return address->length > start ? address->length - start : 0;
}

bool
conf_address_is_abstract(const struct conf_address *address)
{
	return address->kind == CONF_ADDRESS_UNIX && address_unix_length(address) > 1 &&
	       address_un(address)->sun_path[0] == '\0';
}

static void
address_format_inet(const struct conf_address *address, char *buf, size_t size)
{
	const struct sockaddr_in6 *v6 = address_v6(address);
	char host[INET6_ADDRSTRLEN] = "", interface[IF_NAMESIZE] = "", scope[IF_NAMESIZE + 1] = "";
	unsigned port = conf_address_port(address);

	if (address->is_dual_stack) {
		(void)snprintf(buf, size, "*:%u", port);
	} else if (address->addr.ss_family == AF_INET6) {
		(void)inet_ntop(AF_INET6, &v6->sin6_addr, host, sizeof(host));
		if (v6->sin6_scope_id != 0 && if_indextoname(v6->sin6_scope_id, interface) != NULL)
			(void)snprintf(scope, sizeof(scope), "%%%s", interface);
		else if (v6->sin6_scope_id != 0)
			(void)snprintf(scope, sizeof(scope), "%%%u", v6->sin6_scope_id);
		(void)snprintf(buf, size, "[%s%s]:%u", host, scope, port);
	} else {
		(void)inet_ntop(AF_INET, &address_v4(address)->sin_addr, host, sizeof(host));
		(void)snprintf(buf, size, "%s:%u", host, port);
	}
}

const char *
conf_address_format(const struct conf_address *address, char *buf, size_t size)
{
	const char *path = address_un(address)->sun_path;

	switch (address->kind) {
	case CONF_ADDRESS_INET:
		address_format_inet(address, buf, size);
		break;
	case CONF_ADDRESS_UNIX:
		if (conf_address_is_abstract(address))
			(void)snprintf(buf, size, "@%.*s", (int)address_unix_length(address) - 1,
				       path + 1);
		else
			(void)snprintf(buf, size, "%.*s", (int)address_unix_length(address), path);
		break;
	case CONF_ADDRESS_SYSTEMD:
		(void)snprintf(buf, size, "systemd:%s", address->name);
		break;
	}
	return buf;
}

static bool
address_is_wildcard(const struct conf_address *address)
{
	if (address->addr.ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(&address_v6(address)->sin6_addr);
	return address_v4(address)->sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool
address_is_same_host(const struct conf_address *a, const struct conf_address *b)
{
	const struct sockaddr_in6 *a6 = address_v6(a), *b6 = address_v6(b);

	if (a->addr.ss_family == AF_INET)
		return address_v4(a)->sin_addr.s_addr == address_v4(b)->sin_addr.s_addr;
	/* the same link-local address may be bound once on each interface */
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
	       (a6->sin6_scope_id == b6->sin6_scope_id || a6->sin6_scope_id == 0 ||
		b6->sin6_scope_id == 0);
}

static bool
address_overlaps_inet(const struct conf_address *a, const struct conf_address *b)
{
	if (conf_address_port(a) == 0 || conf_address_port(a) != conf_address_port(b))
		return false;
	if (a->is_dual_stack || b->is_dual_stack)
		return true;
	if (a->addr.ss_family != b->addr.ss_family)
		return false;
	return address_is_wildcard(a) || address_is_wildcard(b) || address_is_same_host(a, b);
}

bool
conf_address_overlaps(const struct conf_address *a, const struct conf_address *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case CONF_ADDRESS_INET:
		return address_overlaps_inet(a, b);
	case CONF_ADDRESS_UNIX:
		return a->length == b->length && memcmp(&a->addr, &b->addr, a->length) == 0;
	case CONF_ADDRESS_SYSTEMD:
		return strcmp(a->name, b->name) == 0;
	}
	return false;
}
