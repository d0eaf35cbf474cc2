/*
 * listen.h - makes sockets that clients come to. Options set here are inherited by accepted
 * connections, which so cost no system call of their own.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include "net/options.h"

struct listen_spec {
	int type; /* SOCK_STREAM, SOCK_DGRAM */
	const struct sockaddr *addr;
	socklen_t length;
	bool is_dual_stack;		      /* falls back to 0.0.0.0 where there is no IPv6 */
	int backlog;			      /* 0: somaxconn */
	const struct socket_options *options; /* NULL: none */
	bool is_takeover; /* another datagram socket with SO_REUSEADDR may still have the address */
	/* of a Unix path; (uid_t)-1, (gid_t)-1: as they come */
	mode_t mode;
	uid_t owner;
	gid_t group;
};

/*
 * Binds, and listens if it is a stream: non-blocking, close-on-exec. TCP has SO_REUSEADDR (UDP has
 * not: it would hide that the address is in use) and TCP_NODELAY; datagram sockets are prepared as
 * listen_prepare_datagrams() does. Returns the descriptor, or a negative errno of the step that
 * failed, named in *ret_step (static): "bind", or for an option its name ("socket.mark").
 */
int listen_open(const struct listen_spec *spec, const char **ret_step);

/* A socket with all that listen_open() sets before bind, which it is not given an address by: to
 * look at what is set on it. The descriptor, or a negative errno. */
int listen_open_unbound(const struct listen_spec *spec);

/*
 * Has a socket give up its address as far as can be while others have copies of it: a stream socket
 * stops listening, a datagram socket hears nobody any more and may be bound over (is_takeover). A
 * name or path of a Unix socket stays.
 */
void listen_give_up(int fd);

/*
 * Makes a datagram socket that is bound, perhaps by somebody else, tell what answers need. One that
 * is bound to a wildcard tells the address a datagram was sent to: IP_PKTINFO, or IPV6_PKTINFO,
 * which a dual-stack socket gives for IPv4 too, mapped, and IP_PKTINFO after it. A Unix socket
 * tells who sent it: SCM_CREDENTIALS. 0 or a negative errno; nothing is done to other sockets.
 */
int listen_prepare_datagrams(int fd);

/* Changes the backlog of a socket that listens already. 0 or a negative errno. */
int listen_set_backlog(int fd, int backlog);

/* The backlog of a TCP socket that listens; 0: it cannot be told. */
int listen_get_backlog(int fd);

/* The address with its real port. 0 or a negative errno. */
int listen_get_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length);

/*
 * Whether clients still reach the socket: anybody who has it can shut it down, or connect a
 * datagram socket to a single peer. That a datagram socket was shut down for sending alone does not
 * show; sending then fails with EPIPE.
 */
bool listen_is_alive(int fd);

/* Datagrams that the kernel has dropped for want of buffer; it counts in 32 bits. 0 or a negative
 * errno. */
int listen_count_drops(int fd, uint64_t *ret);

#endif
