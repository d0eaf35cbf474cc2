/*
 * time - tells the seconds since 1900 (RFC 868).
 */
#include <arpa/inet.h>
#include <handlerd/handler.h>
#include <stdint.h>
#include <time.h>

#define FROM_1900_TO_1970 2208988800U

HD_HANDLER(.name = "time", .version = "1.0.0", .summary = "Tells the seconds since 1900",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	/* the protocol's 32 bits start again at 0 in 2036, and so does this */
	uint32_t seconds = htonl((uint32_t)time(NULL) + FROM_1900_TO_1970);

	return hd_sendall(req, &seconds, sizeof(seconds));
}
