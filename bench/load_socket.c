/*
 * load_socket.c - sockets that are being connected.
 *
 * The client closes first, so each TCP connection leaves a TIME_WAIT socket behind. On loopback the
 * connections therefore start from several source addresses (127.0.1.1 and on), which keeps the
 * kernel from searching long for a free port, and below its limit for such sockets. A server that
 * looks up the name of each client would ask a name server for them; against it there must be none.
 */
#define _GNU_SOURCE
#include "load.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <unistd.h>

void
socket_raise_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* On loopback TCP connections take turns with source addresses. False when that failed. */
static bool
socket_bind_source(int fd, unsigned sources)
{
	static unsigned turn;
	struct sockaddr_in source = {.sin_family = AF_INET};
	int on = 1;

	source.sin_addr.s_addr = htonl(0x7f000101 + turn++ % sources);
	(void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	return bind(fd, (struct sockaddr *)&source, sizeof(source)) == 0;
}

int
socket_connect(const struct address *peer, int receive_buffer)
{
	bool is_tcp = peer->family == AF_INET && peer->type == SOCK_STREAM;
	int fd = socket(peer->family, peer->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), on = 1;

	if (fd == -1)
		return -1;
	if (is_tcp && peer->on_loopback && peer->sources > 0 &&
	    !socket_bind_source(fd, peer->sources))
		goto fail;
	if (is_tcp && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) == -1)
		goto fail;
	if (receive_buffer > 0 &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof(receive_buffer)) == -1)
		goto fail;
	if (connect(fd, (const struct sockaddr *)&peer->name, peer->length) == -1 &&
	    errno != EINPROGRESS)
		goto fail;
	return fd;
fail:
	close(fd);
	return -1;
}
