/*
 * peer.c - addresses of peers in a form fit for handlers and logs.
 */
#include "net/peer.h"

#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <arpa/inet.h>

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

const char *
peer_format(const struct sockaddr *addr, socklen_t length, char *buf, size_t size)
{
	char host[INET_ADDRSTRLEN];
	struct sockaddr_in6 in6;
	struct sockaddr_in in;

	if (length >= sizeof(in6) && addr->sa_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		return peer_format_in6(&in6, buf, size);
	}
	if (length >= sizeof(in) && addr->sa_family == AF_INET) {
		memcpy(&in, addr, sizeof(in));
		(void)inet_ntop(AF_INET, &in.sin_addr, host, sizeof(host));
		(void)snprintf(buf, size, "%s:%u", host, ntohs(in.sin_port));
		return buf;
	}
	(void)snprintf(buf, size, "unknown");
	return buf;
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
