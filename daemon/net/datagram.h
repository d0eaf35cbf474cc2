/*
 * datagram.h - datagrams in and out of a bound socket, with the address that each came to, so that
 * the answer leaves from there.
 */
#ifndef NET_DATAGRAM_H
#define NET_DATAGRAM_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

/* The longest that UDP carries over IPv4. */
#define DATAGRAM_MOST 65507

/* What must be known of a socket before receiving. */
struct datagram_socket {
	int fd; /* non-blocking; not owned */
	sa_family_t family;
	bool has_control; /* a wildcard or a Unix socket: the kernel tells more than the sender */
};

/* The address of this machine that a datagram came to. */
struct datagram_path {
	sa_family_t family; /* AF_UNSPEC: the one that the socket is bound to */
	unsigned interface;
	struct in_addr in;
	struct in6_addr in6;
};

struct datagram {
	unsigned char *data; /* owned; `room` bytes */
	size_t length, room;
	struct sockaddr_storage client;
	socklen_t client_length; /* 0: it has no address to answer to */
	struct datagram_path path;
	bool has_credentials;
	struct ucred credentials; /* of the sender, over a Unix socket */
};

/* The socket's own address in *addr becomes the one that the datagram came to. */
void datagram_path_local(const struct datagram_path *path, struct sockaddr_storage *addr,
			 socklen_t *length);

/* 0 or a negative errno. */
int datagram_socket_open(int fd, struct datagram_socket *ret);

/* Room for datagrams up to this size. 0 or -ENOMEM. */
int datagram_init(struct datagram *datagram, size_t room);
void datagram_free(struct datagram *datagram);

/* Takes the next datagram without waiting. 0; -EAGAIN when there is none; -EMSGSIZE for one that
 * was longer than the room and is gone; another negative errno. */
int datagram_receive(const struct datagram_socket *socket, struct datagram *ret);

/* Takes up to `count` (at most DATAGRAM_BATCH) in one call; those that were too long are left out
 * and counted in *ret_too_long. How many are there, or a negative errno. */
#define DATAGRAM_BATCH 32
int datagram_receive_batch(const struct datagram_socket *socket, struct datagram *datagrams,
			   unsigned count, unsigned *ret_too_long);

/* Sends one datagram without waiting, from `path` where that is known. Bytes or a negative errno.
 */
ssize_t datagram_send(const struct datagram_socket *socket, const struct iovec *iov, int count,
		      const struct sockaddr *to, socklen_t length,
		      const struct datagram_path *path);

#endif
