/*
 * sys_report - says on the channel that clients have touched a sensor, as a worker whose handler
 * has been taken over could: "report ADDRESS COUNT", from that IPv4 address on.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <handlerd/handler.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* As protocol.h has them. */
#define CHANNEL 3
#define VERSION 2
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

int
handle(struct hd_request *req)
{
	char line[128], host[64];
	struct in_addr in;
	unsigned count;
	ssize_t n;

	while ((n = hd_readline(req, line, sizeof(line))) > 0) {
		if (sscanf(line, "report %63s %u", host, &count) != 2 ||
		    inet_pton(AF_INET, host, &in) != 1)
			return -EINVAL;
		for (unsigned i = 0; i < count; i++)
			report(ntohl(in.s_addr) + i);
		(void)hd_printf(req, "reported\n");
	}
	return (int)n;
}
