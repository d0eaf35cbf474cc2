/*
 * peer.c - addresses of peers in a form fit for handlers and logs.
 */
#include "net/peer.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>

#include <arpa/inet.h>

#include "base/cleanup.h"
#include "base/line.h"
#include "base/text.h"

void
peer_normalise(struct sockaddr_storage *addr, socklen_t *length)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in = {.sin_family = AF_INET};

	if (addr->ss_family != AF_INET6 || *length < sizeof(in6))
		return;
	memcpy(&in6, addr, sizeof(in6));
	if (!IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr))
		return;
	memcpy(&in.sin_addr, in6.sin6_addr.s6_addr + 12, sizeof(in.sin_addr));
	in.sin_port = in6.sin6_port;
	memcpy(addr, &in, sizeof(in));
	*length = sizeof(in);
}

/* By hand: it is made for each connection that is logged, and inet_ntop() uses printf(). */
static const char *
peer_format_in(const struct sockaddr_in *in, char *buf, size_t size)
{
	struct line line = {.data = buf, .limit = size - 1};
	unsigned char host[4];

	memcpy(host, &in->sin_addr, sizeof(host));
	for (size_t i = 0; i < sizeof(host); i++) {
		line_add_u64(&line, host[i]);
		line_add_text(&line, i + 1 < sizeof(host) ? "." : ":");
	}
	line_add_u64(&line, ntohs(in->sin_port));
	buf[line.length] = '\0';
	return buf;
}

static const char *
peer_format_in6(const struct sockaddr_in6 *in6, char *buf, size_t size)
{
	char host[INET6_ADDRSTRLEN], scope[IF_NAMESIZE + 1] = "";

	(void)inet_ntop(AF_INET6, &in6->sin6_addr, host, sizeof(host));
	if (in6->sin6_scope_id != 0) {
		scope[0] = '%';
		if (if_indextoname(in6->sin6_scope_id, scope + 1) == NULL)
			(void)snprintf(scope + 1, IF_NAMESIZE, "%u", in6->sin6_scope_id);
	}
	(void)snprintf(buf, size, "[%s%s]:%u", host, scope, ntohs(in6->sin6_port));
	return buf;
}

static const char *
peer_format_un(const struct sockaddr *addr, socklen_t length, char *buf, size_t size)
{
	const char *path = (const char *)addr + offsetof(struct sockaddr_un, sun_path);
	size_t path_length = 0;

	if (length > offsetof(struct sockaddr_un, sun_path))
		path_length = length - offsetof(struct sockaddr_un, sun_path);
	if (path_length == 0) {
		(void)snprintf(buf, size, "unnamed");
	} else if (path[0] != '\0') {
		(void)text_escape(path, strnlen(path, path_length), buf, size);
	} else {
		(void)snprintf(buf, size, "@");
		if (size > 1)
			(void)text_escape(path + 1, path_length - 1, buf + 1, size - 1);
	}
	return buf;
}

const char *
peer_format(const struct sockaddr *addr, socklen_t length, char *buf, size_t size)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (length >= sizeof(in6) && addr->sa_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		return peer_format_in6(&in6, buf, size);
	}
	if (length >= sizeof(in) && addr->sa_family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		return peer_format_in(&in, buf, size);
	}
	if (length >= sizeof(addr->sa_family) && addr->sa_family == AF_UNIX)
		return peer_format_un(addr, length, buf, size);
	(void)snprintf(buf, size, "unknown");
	return buf;
}

const char *
peer_format_unix(pid_t pid, uid_t uid, char *buf, size_t size)
{
	(void)snprintf(buf, size, "unix pid %ld uid %lu", (long)pid, (unsigned long)uid);
	return buf;
}

uint32_t
peer_to_words(const struct sockaddr_storage *addr, uint64_t ret_words[2], uint32_t *ret_scope)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	ret_words[0] = ret_words[1] = 0;
	*ret_scope = 0;
	if (addr->ss_family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		ret_words[0] = in.sin_addr.s_addr;
		return (uint32_t)ntohs(in.sin_port) << 16 | AF_INET;
	}
	if (addr->ss_family != AF_INET6)
		return 0;
	memcpy(&in6, addr, sizeof(in6));
	memcpy(ret_words, &in6.sin6_addr, sizeof(in6.sin6_addr));
	*ret_scope = in6.sin6_scope_id;
	return (uint32_t)ntohs(in6.sin6_port) << 16 | AF_INET6;
}

uint32_t
peer_to_words_unix(pid_t pid, uid_t uid, uint64_t ret_words[2])
{
	ret_words[0] = (uint64_t)pid;
	ret_words[1] = uid;
	return AF_UNIX;
}

const char *
peer_format_words(uint32_t kind, uint32_t scope, const uint64_t words[2], char *buf, size_t size)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_scope_id = scope};
	struct sockaddr_in in = {.sin_family = AF_INET};

	switch (kind & 0xffff) {
	case AF_INET:
		in.sin_addr.s_addr = (in_addr_t)words[0];
		in.sin_port = htons((uint16_t)(kind >> 16));
		return peer_format((const struct sockaddr *)&in, sizeof(in), buf, size);
	case AF_INET6:
		memcpy(&in6.sin6_addr, words, sizeof(in6.sin6_addr));
		in6.sin6_port = htons((uint16_t)(kind >> 16));
		return peer_format((const struct sockaddr *)&in6, sizeof(in6), buf, size);
	case AF_UNIX:
		return peer_format_unix((pid_t)words[0], (uid_t)words[1], buf, size);
	default:
		(void)snprintf(buf, size, "unknown");
		return buf;
	}
}

int
peer_credentials(int fd, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid)
{
	struct sockaddr_storage addr = {0};
	socklen_t addr_length = sizeof(addr);
	struct ucred cred;
	socklen_t cred_length = sizeof(cred);

	if (getsockname(fd, (struct sockaddr *)&addr, &addr_length) < 0 ||
	    addr.ss_family != AF_UNIX ||
	    getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &cred_length) < 0)
		return -EOPNOTSUPP;
	if (ret_pid != NULL)
		*ret_pid = cred.pid;
	if (ret_uid != NULL)
		*ret_uid = cred.uid;
	if (ret_gid != NULL)
		*ret_gid = cred.gid;
	return 0;
}

int
peer_groups(int fd, gid_t *groups, size_t room)
{
	socklen_t length = (socklen_t)(room * sizeof(*groups));

	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &length) >= 0)
		return (int)(length / sizeof(*groups));
	/* there are none */
	if (errno == ENODATA)
		return 0;
	return errno == ERANGE ? -ERANGE : -EOPNOTSUPP;
}

/* The IP address without the port, as the IPv4 address it is if it is one; false: no IP address. */
static bool
peer_take_host(const struct sockaddr *addr, socklen_t length, struct sockaddr_storage *ret,
	       socklen_t *ret_length)
{
	if (length >= sizeof(struct sockaddr_in6) && addr->sa_family == AF_INET6)
		*ret_length = sizeof(struct sockaddr_in6);
	else if (length >= sizeof(struct sockaddr_in) && addr->sa_family == AF_INET)
		*ret_length = sizeof(struct sockaddr_in);
	else
		return false;
	memset(ret, 0, sizeof(*ret));
	memcpy(ret, addr, *ret_length);
	peer_normalise(ret, ret_length);
	/* the port stands at the same place in both families */
	memset((char *)ret + offsetof(struct sockaddr_in, sin_port), 0, sizeof(in_port_t));
	return true;
}

static bool
peer_is_loopback(const struct sockaddr_storage *host)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	memcpy(&in, host, sizeof(in));
	memcpy(&in6, host, sizeof(in6));
	return host->ss_family == AF_INET ? ntohl(in.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET
					  : IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr);
}

static bool
peer_is_link_local(const struct sockaddr_storage *host)
{
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	memcpy(&in, host, sizeof(in));
	memcpy(&in6, host, sizeof(in6));
	return host->ss_family == AF_INET ? ntohl(in.sin_addr.s_addr) >> 16 == (169 << 8 | 254)
					  : IN6_IS_ADDR_LINKLOCAL(&in6.sin6_addr);
}

bool
peer_is_local(const struct sockaddr *addr, socklen_t length)
{
	struct sockaddr_storage host;
	socklen_t host_length;
	CLEANUP_CLOSE int fd = -1;

	if (!peer_take_host(addr, length, &host, &host_length) || peer_is_loopback(&host))
		return true;
	fd = socket(host.ss_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return true;
	return bind(fd, (const struct sockaddr *)&host, host_length) >= 0 || errno != EADDRNOTAVAIL;
}

bool
peer_is_near(const struct sockaddr *addr, socklen_t length)
{
	struct sockaddr_storage host;
	socklen_t host_length;

	return peer_take_host(addr, length, &host, &host_length) &&
	       (peer_is_loopback(&host) || peer_is_link_local(&host));
}
