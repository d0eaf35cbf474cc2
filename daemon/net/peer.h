/*
 * peer.h - who is at the other end of a socket.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define PEER_NAME_SIZE 128

/* Turns an IPv4-mapped IPv6 address into the IPv4 address it is. */
void peer_normalise(struct sockaddr_storage *addr, socklen_t *length);

/* "192.0.2.1:4711", "[2001:db8::1%eth0]:4711", or "unknown"; returns buf. Looks up no names. */
const char *peer_format(const struct sockaddr *addr, socklen_t length, char *buf, size_t size);

/* Credentials of a connected Unix socket; -EOPNOTSUPP for any other. Results may be NULL. */
int peer_credentials(int fd, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid);

#endif
