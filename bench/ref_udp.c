/*
 * ref_udp - the plain program that datagrams are measured against.
 *
 * One socket and one loop of a blocking recvfrom() and a sendto(): the least that can be done for
 * each datagram by itself.  No threads, no limits, no look at who asks.
 */
#define _GNU_SOURCE
#include "ref_listen.h"

int
main(int argc, char **argv)
{
	int fd = bind_udp_on_argument(argc, argv);
	struct sockaddr_storage client;
	char buffer[65536];

	for (;;) {
		socklen_t len = sizeof client;
		ssize_t n =
			recvfrom(fd, buffer, sizeof buffer, 0, (struct sockaddr *)&client, &len);
		if (n >= 0)
			sendto(fd, buffer, (size_t)n, 0, (struct sockaddr *)&client, len);
	}
}
