/*
 * listen.h - makes listening sockets. Options set here are inherited by accepted connections, which
 * so cost no system call of their own.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include <stdbool.h>
#include <sys/socket.h>

/*
 * Binds and listens: non-blocking, close-on-exec, SO_REUSEADDR, TCP_NODELAY. A dual-stack address
 * falls back to 0.0.0.0 where there is no IPv6. `backlog` 0 is somaxconn. Returns the descriptor,
 * or a negative errno of the step that failed, named in *ret_step (static).
 */
int listen_open_tcp(const struct sockaddr *addr, socklen_t length, bool is_dual_stack, int backlog,
		    const char **ret_step);

/* Changes the backlog of a socket that listens already. 0 or a negative errno. */
int listen_set_backlog(int fd, int backlog);

/* The address with its real port. 0 or a negative errno. */
int listen_get_address(int fd, struct sockaddr_storage *ret, socklen_t *ret_length);

/* Whether the socket still listens: anybody who has it can shut it down. */
bool listen_is_alive(int fd);

#endif
