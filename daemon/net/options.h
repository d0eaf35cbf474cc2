/*
 * options.h - options of listening sockets. Nearly all are inherited by accepted connections; those
 * of Unix connections are not: the kernel makes them anew, with its own buffers.
 */
#ifndef NET_OPTIONS_H
#define NET_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

/* Zero is the system's own value, for every field. */
struct socket_options {
	bool freebind, transparent, reuse_port;
	char device[16];
	bool keepalive;
	int keepalive_idle_s, keepalive_interval_s, keepalive_count;
	int receive_buffer, send_buffer;
	int defer_accept_s;
	int fast_open; /* length of the queue */
	uint32_t mark;
	int tos;
	char congestion[16];
};

/*
 * Sets on fd what differs between `options` and `current` (what it has now; NULL: a new socket, all
 * zero). A field that goes back to zero gets the value that a new socket of the same kind has.
 * Options that this kind of socket does not know are left out. Some work before bind only, so a new
 * socket gets all of them then. Returns 0, or a negative errno, with *ret_step the option as the
 * configuration calls it ("socket.mark"); those before it are set by then, and the same call with
 * both structures exchanged takes them back.
 */
int socket_options_set(int fd, const struct socket_options *options,
		       const struct socket_options *current, const char **ret_step);

/* The same on a throw-away socket: whether it would succeed. */
int socket_options_try(int family, int type, const struct socket_options *options,
		       const char **ret_step);

/*
 * Whether the kernel gave smaller buffers than asked, as it does without CAP_NET_ADMIN: 1 or 0, or
 * a negative errno. What it gave, in the same measure, is stored in *ret_receive and *ret_send (may
 * be NULL). The limits are net.core.rmem_max and net.core.wmem_max.
 */
int socket_options_got_buffers(int fd, const struct socket_options *options, int *ret_receive,
			       int *ret_send);

#endif
