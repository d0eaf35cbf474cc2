/*
 * peer.h - who is at the other end of a socket.
 */
#ifndef NET_PEER_H
#define NET_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#define PEER_NAME_SIZE 128

/* Turns an IPv4-mapped IPv6 address into the IPv4 address it is. */
void peer_normalise(struct sockaddr_storage *addr, socklen_t *length);

/*
 * "192.0.2.1:4711", "[2001:db8::1%eth0]:4711"; "/path", "@name" or "unnamed" of a Unix socket, made
 * safe to print; or "unknown". Returns buf. Looks up no names.
 */
const char *peer_format(const struct sockaddr *addr, socklen_t length, char *buf, size_t size);

/* "unix pid 42 uid 1000": clients of Unix sockets seldom have a name. Returns buf. */
const char *peer_format_unix(pid_t pid, uid_t uid, char *buf, size_t size);

/*
 * A peer in three numbers, for memory that others read: the address as it stands in the packet, or
 * pid and uid; the family, and above 16 bits the port; the link of an IPv6 address. What has no
 * such form has the kind 0.
 */
uint32_t peer_to_words(const struct sockaddr_storage *addr, uint64_t ret_words[2],
		       uint32_t *ret_scope);
uint32_t peer_to_words_unix(pid_t pid, uid_t uid, uint64_t ret_words[2]);
/* The same text as peer_format and peer_format_unix, whatever the numbers are. Returns buf. */
const char *peer_format_words(uint32_t kind, uint32_t scope, const uint64_t words[2], char *buf,
			      size_t size);

/*
 * Whether an IP address belongs to this machine. Yes, too, for all that is no IP address, where it
 * cannot be found out, and for every address under net.ipv4.ip_nonlocal_bind (or that of IPv6).
 */
bool peer_is_local(const struct sockaddr *addr, socklen_t length);

/* Whether an IP address is one of loopback or of the link (169.254.0.0/16, fe80::/10). */
bool peer_is_near(const struct sockaddr *addr, socklen_t length);

/* The supplementary groups of a connected Unix socket's peer. Their count; -ERANGE: more than the
 * room; -EOPNOTSUPP where the kernel does not tell. */
int peer_groups(int fd, gid_t *groups, size_t room);

/* Credentials of a connected Unix socket; -EOPNOTSUPP for any other. Results may be NULL. */
int peer_credentials(int fd, pid_t *ret_pid, uid_t *ret_uid, gid_t *ret_gid);

#endif
