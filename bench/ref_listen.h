/*
 * What the reference servers share: the listening socket and the echo itself.
 *
 * They listen on 127.0.0.1 at the port given as their argument, 0 lets the kernel choose; those for
 * streams listen at a Unix path if it is one.  The line "listening on ADDRESS" on standard output
 * says that they are ready, and tells the load generator where.
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
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static inline _Noreturn void
fail(const char *program)
{
	perror(program);
	exit(1);
}

/* As many descriptors as the system lets this process have. */
static inline void
raise_file_limit(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

/* A socket bound to 127.0.0.1; PREFIX stands before its address in the line that tells it. */
static inline int
bind_port(char **argv, int type, const char *prefix)
{
	struct sockaddr_in name = {.sin_family = AF_INET};
	socklen_t len = sizeof name;
	int on = 1, fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	name.sin_port = htons((uint16_t)atoi(argv[1]));
	if (fd == -1)
		fail(argv[0]);
	if (type == SOCK_STREAM &&
	    (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == -1 ||
	     setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == -1))
		fail(argv[0]);
	if (bind(fd, (struct sockaddr *)&name, sizeof name) == -1 ||
	    (type == SOCK_STREAM && listen(fd, SOMAXCONN) == -1) ||
	    getsockname(fd, (struct sockaddr *)&name, &len) == -1)
		fail(argv[0]);
	printf("listening on %s127.0.0.1:%d\n", prefix, ntohs(name.sin_port));
	fflush(stdout);
	return fd;
}

static inline int
listen_on_path(char **argv)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(argv[1]) >= sizeof name.sun_path) {
		errno = ENAMETOOLONG;
		fail(argv[0]);
	}
	memcpy(name.sun_path, argv[1], strlen(argv[1]) + 1);
	if (fd == -1 || bind(fd, (struct sockaddr *)&name, sizeof name) == -1 ||
	    listen(fd, SOMAXCONN) == -1)
		fail(argv[0]);
	printf("listening on unix:%s\n", argv[1]);
	fflush(stdout);
	return fd;
}

static inline int
listen_on_argument(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT|PATH\n", argv[0]);
		exit(2);
	}
	raise_file_limit();
	return argv[1][0] == '/' ? listen_on_path(argv) : bind_port(argv, SOCK_STREAM, "");
}

static inline int
bind_udp_on_argument(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: %s PORT\n", argv[0]);
		exit(2);
	}
	return bind_port(argv, SOCK_DGRAM, "udp:");
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
