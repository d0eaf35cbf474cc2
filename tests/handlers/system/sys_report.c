/*
 * sys_report - says on the channel what a worker whose handler has been taken over could: that
 * clients have touched a sensor, "report ADDRESS COUNT", from that IPv4 address on; and that it
 * ends a connection, "killed ID".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <handlerd/handler.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* As protocol.h has them. */
#define CHANNEL 3
#define VERSION 2
#define KILLED 8
#define SENSED 12

HD_HANDLER(.name = "sys_report", .version = "1", .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

static void
report(uint32_t address)
{
	struct {
		uint16_t version, type;
		uint32_t generation;
		uint64_t hi, lo;
	} message = {
		.version = VERSION,
		.type = SENSED,
		.generation = 1,
		.lo = UINT64_C(0xffff) << 32 | address,
	};

	(void)send(CHANNEL, &message, sizeof(message), MSG_NOSIGNAL);
}

static void
say_killed(uint64_t id)
{
	struct {
		uint16_t version, type;
		uint32_t generation;
		uint64_t id;
	} message = {.version = VERSION, .type = KILLED, .generation = 1, .id = id};

	(void)send(CHANNEL, &message, sizeof(message), MSG_NOSIGNAL);
}

int
handle(struct hd_request *req)
{
	char line[128], host[64];
	struct in_addr in;
	unsigned count;
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		if (strncmp(line, "killed ", strlen("killed ")) == 0) {
			say_killed(strtoull(line + strlen("killed "), NULL, 10));
			(void)hd_printf(req, "said\n");
			continue;
		}
		if (sscanf(line, "report %63s %u", host, &count) != 2 ||
		    inet_pton(AF_INET, host, &in) != 1)
			return -EINVAL;
		for (unsigned i = 0; i < count; i++)
			report(ntohl(in.s_addr) + i);
		(void)hd_printf(req, "reported\n");
	}
	return (int)n;
}
