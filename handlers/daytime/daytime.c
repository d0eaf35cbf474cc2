/*
 * daytime - tells date and time in one line (RFC 867).
 */
#include <errno.h>
#include <handlerd/handler.h>
#include <time.h>

static const struct hd_option options[] = {
	HD_OPTION_BOOL("utc", 0, "tell universal time instead of local time"),
	HD_OPTION_END,
};

HD_HANDLER(.name = "daytime", .version = "1.0.0", .summary = "Tells date and time",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS, .options = options);

int
handle(struct hd_request *req)
{
	const struct hd_server *server = hd_request_server(req);
	time_t now = time(NULL);
	char text[64];
	struct tm tm;

	if ((hd_option_bool(server, "utc") ? gmtime_r(&now, &tm) : localtime_r(&now, &tm)) == NULL)
		return -errno;
	if (strftime(text, sizeof(text), "%a %b %e %H:%M:%S %Y", &tm) == 0)
		return -EOVERFLOW;
	return hd_printf(req, "%s\r\n", text);
}
