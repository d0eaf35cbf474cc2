/*
 * target.c - reads PROTO:ADDRESS and finds the socket addresses that it stands for.
 */
#include "handlerctl/target.h"

#include <errno.h>
#include <netdb.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/suggest.h"

#define TARGET_PROTOCOLS "tcp, udp, unix and unixgram"

static const struct target_protocol target_protocols[] = {
	{"tcp", SOCK_STREAM, false},
	{"udp", SOCK_DGRAM, false},
	{"unix", SOCK_STREAM, true},
	{"unixgram", SOCK_DGRAM, true},
};

static int
target_refuse(char **ret_reason, char *reason)
{
	*ret_reason = reason;
	return -EINVAL;
}

static int
target_parse_protocol(struct target *target, const char *text, char **ret_reason)
{
	const char *colon = strchrnul(text, ':');
	CLEANUP_FREE char *word = memory_format("%.*s", (int)(colon - text), text);
	struct suggest suggest = {.word = word};

	for (size_t i = 0; i < COUNT_OF(target_protocols); i++) {
		if (*colon == ':' && strcmp(target_protocols[i].name, word) == 0) {
			target->protocol = &target_protocols[i];
			return 0;
		}
		suggest_offer(&suggest, target_protocols[i].name);
	}
	if (suggest.nearest != NULL && *colon == ':')
		return target_refuse(ret_reason,
				     memory_format("there is no protocol '%s'; did you mean '%s'?",
						   word, suggest.nearest));
	return target_refuse(ret_reason,
			     memory_format("'%s' does not begin with a protocol, as "
					   "tcp:127.0.0.1:7100 does; there are " TARGET_PROTOCOLS,
					   text));
}

static int
target_parse_unix(struct target *target, const char *text, char **ret_reason)
{
	struct sockaddr_un *un = (struct sockaddr_un *)&target->addresses[0].addr;
	size_t length = strlen(text);
	size_t head = offsetof(struct sockaddr_un, sun_path);

	if (text[0] != '/' && text[0] != '@')
		return target_refuse(ret_reason, memory_format("the address of a Unix socket "
							       "begins with '/', or with '@' if "
							       "it is abstract"));
	if (length == 1)
		return target_refuse(
			ret_reason,
			memory_format("the name of the socket is missing after '%s'", text));
	if (length >= sizeof(un->sun_path))
		return target_refuse(ret_reason,
				     memory_format("the address of a Unix socket has at most %zu "
						   "bytes",
						   sizeof(un->sun_path) - 1));
	un->sun_family = AF_UNIX;
	memcpy(un->sun_path, text, length);
	if (text[0] == '@')
		un->sun_path[0] = '\0';
	/* every byte of an abstract name counts; a path ends with its NUL */
	target->addresses[0].length = (socklen_t)(head + length + (text[0] == '/' ? 1 : 0));
	target->count = 1;
	return 0;
}

static int
target_parse_port(struct target *target, const char *text, char **ret_reason)
{
	int64_t port;

	if (*text == '\0')
		return target_refuse(ret_reason, memory_format("the port is missing after ':'"));
	if (parse_int64(text, &port) < 0 || port < 1 || port > UINT16_MAX)
		return target_refuse(ret_reason,
				     memory_format("the port must be a number from 1 to 65535"));
	target->port = memory_text(text);
	return 0;
}

static int
target_parse_inet(struct target *target, const char *text, char **ret_reason)
{
	const char *colon = strrchr(text, ':'), *host = text;
	size_t length;

	target->is_bracketed = text[0] == '[';
	if (colon == NULL || (target->is_bracketed && text[strlen(text) - 1] == ']'))
		return target_refuse(ret_reason, memory_format("the port is missing; write %s",
							       target->is_bracketed ? "[IPV6]:PORT"
										    : "HOST:PORT"));
	length = (size_t)(colon - host);
	if (target->is_bracketed) {
		if (length < 3 || colon[-1] != ']')
			return target_refuse(ret_reason,
					     memory_format("an IPv6 address stands in brackets; "
							   "write [IPV6]:PORT"));
		host++;
		length -= 2;
	}
	target->host = memory_format("%.*s", (int)length, host);
	if (length == 0)
		return target_refuse(ret_reason, memory_format("the host is missing before ':'"));
	if (strcmp(target->host, "*") == 0)
		return target_refuse(ret_reason,
				     memory_format("'*' is where a server listens; name one host, "
						   "such as 127.0.0.1"));
	if (!target->is_bracketed && strchr(target->host, ':') != NULL)
		return target_refuse(ret_reason, memory_format("an IPv6 address stands in "
							       "brackets, such as [::1]:7007"));
	return target_parse_port(target, colon + 1, ret_reason);
}

int
target_parse(struct target *target, const char *text, char **ret_reason)
{
	const char *address;
	int r;

	*target = (struct target){.protocol = NULL};
	r = target_parse_protocol(target, text, ret_reason);
	if (r < 0)
		return r;
	address = text + strlen(target->protocol->name) + 1;
	target->name = memory_format("%s %s", target->protocol->name, address);
	return target->protocol->is_unix ? target_parse_unix(target, address, ret_reason)
					 : target_parse_inet(target, address, ret_reason);
}

int
target_resolve(struct target *target, char **ret_reason)
{
	struct addrinfo hints = {
		.ai_family = target->is_bracketed ? AF_INET6 : AF_UNSPEC,
		.ai_socktype = target->protocol->type,
		.ai_flags = AI_NUMERICSERV | (target->is_bracketed ? AI_NUMERICHOST : 0),
	};
	struct addrinfo *found = NULL;
	int r;

	if (target->protocol->is_unix)
		return 0;
	r = getaddrinfo(target->host, target->port, &hints, &found);
	if (r != 0) {
		const char *why = r == EAI_SYSTEM ? strerror(errno) : gai_strerror(r);

		*ret_reason = target->is_bracketed
				      ? memory_format("'[%s]' is no IPv6 address of an interface "
						      "here: %s",
						      target->host, why)
				      : memory_format("the host '%s' has no address: %s; check the "
						      "name, or write a number",
						      target->host, why);
		return -ENXIO;
	}
	target->count = 0;
	for (struct addrinfo *at = found; at != NULL; at = at->ai_next) {
		struct target_address *address = &target->addresses[target->count];

		if (target->count == TARGET_MOST_ADDRESSES ||
		    at->ai_addrlen > sizeof(address->addr))
			break;
		memcpy(&address->addr, at->ai_addr, at->ai_addrlen);
		address->length = at->ai_addrlen;
		target->count++;
	}
	freeaddrinfo(found);
	return 0;
}

void
target_free(struct target *target)
{
	free(target->name);
	free(target->host);
	free(target->port);
	*target = (struct target){.protocol = NULL};
}
