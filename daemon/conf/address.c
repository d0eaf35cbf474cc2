/*
 * address.c - reads and writes addresses. Nothing here asks a name server: a host is a number.
 */
#include "conf/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/parse.h"

#define ADDRESS_PORT_MAX 65535

static struct sockaddr_in *
address_v4(struct conf_address *address)
{
	return (struct sockaddr_in *)&address->addr;
}

static struct sockaddr_in6 *
address_v6(struct conf_address *address)
{
	return (struct sockaddr_in6 *)&address->addr;
}

/* An IPv6 host without its brackets, with or without %scope. */
static int
address_parse_v6(const char *host, struct conf_address *ret, const char **ret_reason)
{
	struct sockaddr_in6 *v6 = address_v6(ret);
	char digits[INET6_ADDRSTRLEN];
	const char *percent = strchrnul(host, '%');
	size_t length = (size_t)(percent - host);
	int64_t scope = 0;

	v6->sin6_family = AF_INET6;
	ret->length = sizeof(*v6);
	*ret_reason = "what stands in the brackets is not an IPv6 address";
	if (length >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, host, length);
	digits[length] = '\0';
	if (inet_pton(AF_INET6, digits, &v6->sin6_addr) != 1)
		return -EINVAL;
	if (IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
		*ret_reason = "it is an IPv4 address in disguise; write it as HOST:PORT";
		return -EINVAL;
	}
	if (*percent == '\0')
		return 0;
	if (parse_int64(percent + 1, &scope) < 0)
		scope = if_nametoindex(percent + 1);
	if (scope <= 0 || scope > UINT32_MAX) {
		*ret_reason = "there is no network interface of the name that follows '%'";
		return -EINVAL;
	}
	v6->sin6_scope_id = (uint32_t)scope;
	return 0;
}

/* A host that does not stand in brackets. */
static int
address_parse_host(const char *host, struct conf_address *ret, const char **ret_reason)
{
	if (*host == '\0') {
		*ret_reason = "the host is missing; write *:PORT for every address of the machine";
		return -EINVAL;
	}
	if (strcmp(host, "*") == 0) {
		address_v6(ret)->sin6_family = AF_INET6;
		address_v6(ret)->sin6_addr = in6addr_any;
		ret->length = sizeof(struct sockaddr_in6);
		ret->is_dual_stack = true;
		return 0;
	}
	if (strchr(host, ':') != NULL) {
		*ret_reason = "an IPv6 address stands in brackets, such as [::1]:7007";
		return -EINVAL;
	}
	if (strspn(host, "0123456789.") != strlen(host)) {
		*ret_reason = "a host is written as a number, such as 127.0.0.1; names are not "
			      "looked up";
		return -EINVAL;
	}
	address_v4(ret)->sin_family = AF_INET;
	ret->length = sizeof(struct sockaddr_in);
	if (inet_pton(AF_INET, host, &address_v4(ret)->sin_addr) != 1) {
		*ret_reason = "the host is not an IPv4 address";
		return -EINVAL;
	}
	return 0;
}

static int
address_parse_port(const char *text, struct conf_address *ret, const char **ret_reason)
{
	int64_t port;

	if (*text == '\0') {
		*ret_reason = "the port is missing after ':'";
		return -EINVAL;
	}
	if (*text == '-' || parse_int64(text, &port) < 0 || port > ADDRESS_PORT_MAX) {
		*ret_reason = "the port must be a number from 0 to 65535";
		return -EINVAL;
	}
	if (ret->addr.ss_family == AF_INET6)
		address_v6(ret)->sin6_port = htons((uint16_t)port);
	else
		address_v4(ret)->sin_port = htons((uint16_t)port);
	return 0;
}

/* Tells why a text without any port that could be split off is no address. */
static const char *
address_reason_without_port(const char *text)
{
	if (text[0] == '/' || text[0] == '@')
		return "it is not one of HOST:PORT, [IPV6]:PORT and *:PORT";
	if (text[0] == '[')
		return "the port is missing; write [IPV6]:PORT";
	if (text[0] != '\0' && strspn(text, "0123456789") == strlen(text))
		return "the host is missing; write *:PORT for every address of the machine";
	return "the port is missing; write HOST:PORT";
}

int
conf_address_parse(const char *text, struct conf_address *ret, const char **ret_reason)
{
	struct conf_address address = {.length = 0};
	const char *host = text, *colon = strrchr(text, ':');
	bool has_brackets = text[0] == '[';
	char buf[INET6_ADDRSTRLEN + IF_NAMESIZE + 2];
	size_t length;
	int r;

	if (colon == NULL || text[0] == '/' || text[0] == '@' ||
	    (has_brackets && text[strlen(text) - 1] == ']')) {
		*ret_reason = address_reason_without_port(text);
		return -EINVAL;
	}
	if (has_brackets) {
		host = text + 1;
		if (colon < text + 2 || colon[-1] != ']') {
			*ret_reason = "the brackets are not closed before ':'; write [IPV6]:PORT";
			return -EINVAL;
		}
	}
	length = (size_t)(colon - host) - (has_brackets ? 1 : 0);
	if (length >= sizeof(buf)) {
		*ret_reason = "the host is too long";
		return -EINVAL;
	}
	memcpy(buf, host, length);
	buf[length] = '\0';
	r = has_brackets ? address_parse_v6(buf, &address, ret_reason)
			 : address_parse_host(buf, &address, ret_reason);
	if (r == 0)
		r = address_parse_port(colon + 1, &address, ret_reason);
	if (r == 0)
		*ret = address;
	return r;
}

static unsigned
address_port(const struct conf_address *address)
{
	if (address->addr.ss_family == AF_INET6)
		return ntohs(((const struct sockaddr_in6 *)&address->addr)->sin6_port);
	return ntohs(((const struct sockaddr_in *)&address->addr)->sin_port);
}

const char *
conf_address_format(const struct conf_address *address, char *buf, size_t size)
{
	const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)&address->addr;
	const struct sockaddr_in *v4 = (const struct sockaddr_in *)&address->addr;
	char host[INET6_ADDRSTRLEN] = "", interface[IF_NAMESIZE] = "", scope[IF_NAMESIZE + 1] = "";
	unsigned port = address_port(address);

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
		(void)inet_ntop(AF_INET, &v4->sin_addr, host, sizeof(host));
		(void)snprintf(buf, size, "%s:%u", host, port);
	}
	return buf;
}

static bool
address_is_wildcard(const struct conf_address *address)
{
	if (address->addr.ss_family == AF_INET6)
		return IN6_IS_ADDR_UNSPECIFIED(
			&((const struct sockaddr_in6 *)&address->addr)->sin6_addr);
	return ((const struct sockaddr_in *)&address->addr)->sin_addr.s_addr == htonl(INADDR_ANY);
}

static bool
address_is_same_host(const struct conf_address *a, const struct conf_address *b)
{
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)&a->addr;
	const struct sockaddr_in6 *b6 = (const struct sockaddr_in6 *)&b->addr;

	if (a->addr.ss_family == AF_INET)
		return ((const struct sockaddr_in *)&a->addr)->sin_addr.s_addr ==
		       ((const struct sockaddr_in *)&b->addr)->sin_addr.s_addr;
	/* the same link-local address may be bound once on each interface */
	return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0 &&
	       (a6->sin6_scope_id == b6->sin6_scope_id || a6->sin6_scope_id == 0 ||
		b6->sin6_scope_id == 0);
}

bool
conf_address_overlaps(const struct conf_address *a, const struct conf_address *b)
{
	if (address_port(a) == 0 || address_port(a) != address_port(b))
		return false;
	if (a->is_dual_stack || b->is_dual_stack)
		return true;
	if (a->addr.ss_family != b->addr.ss_family)
		return false;
	return address_is_wildcard(a) || address_is_wildcard(b) || address_is_same_host(a, b);
}
