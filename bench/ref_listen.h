/*
 * What the reference servers share: the listening socket and the echo itself.
 *
 * They listen on 127.0.0.1 at the port given as their argument; 0 lets the kernel choose.  The
 * line "listening on 127.0.0.1:PORT" on standard output says that they are ready.
 */
#ifndef REF_LISTEN_H
#define REF_LISTEN_H

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static inline int
listen_on_argument(int argc, char **argv)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof name;
	int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		exit(2);
	}
	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	name.sin_port = htons((uint16_t)atoi(argv[1]));
	if (fd == -1 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1 ||
	    bind(fd, (struct sockaddr *)&name, sizeof name) == -1 || listen(fd, SOMAXCONN) == -1 ||
	    getsockname(fd, (struct sockaddr *)&name, &len) == -1) {
		perror(argv[0]);
		exit(1);
	}
	printf("listening on 127.0.0.1:%d\n", ntohs(name.sin_port));
	fflush(stdout);
	return fd;
}

static inline void
set_nonblocking(int fd)
{
	fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

static inline bool
send_all(int fd, const char *data, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
		if (n == -1)
			return false;
		data += n;
		len -= (size_t)n;
	}
	return true;
}

static inline void
echo_until_end(int fd)
{
	char buffer[16384];
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof buffer, 0)) > 0)
		if (!send_all(fd, buffer, (size_t)n))
			break;
	close(fd);
}

#endif
