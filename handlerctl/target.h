/*
 * target.h - whom to talk to: PROTO:ADDRESS. A server's addresses are numbers; a client's may be
 * names, and there is no wildcard among them.
 */
#ifndef HANDLERCTL_TARGET_H
#define HANDLERCTL_TARGET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#define TARGET_MOST_ADDRESSES 16

struct target_protocol {
	const char *name;
	int type; /* SOCK_STREAM or SOCK_DGRAM */
	bool is_unix;
};

struct target_address {
	struct sockaddr_storage addr;
	socklen_t length;
};

struct target {
	const struct target_protocol *protocol; /* not owned */
	char *name;				/* "tcp 127.0.0.1:7100", for messages */
	char *host;				/* without brackets; NULL for Unix sockets */
	char *port;				/* NULL for Unix sockets */
	bool is_bracketed;
	struct target_address addresses[TARGET_MOST_ADDRESSES];
	size_t count; /* 0 until a host is looked up */
};

/*
 * "tcp:HOST:PORT", "udp:[V6%scope]:PORT", "unix:/path", "unixgram:@abstract". Looks nothing up.
 * 0, or -EINVAL with *ret_reason, a sentence part that the caller frees. target_free in any case.
 */
int target_parse(struct target *target, const char *text, char **ret_reason);

/* Finds the addresses of the host. 0, or -ENXIO with *ret_reason as above. */
int target_resolve(struct target *target, char **ret_reason);

void target_free(struct target *target);

static inline bool
target_is_stream(const struct target *target)
{
	return target->protocol->type == SOCK_STREAM;
}

#endif
