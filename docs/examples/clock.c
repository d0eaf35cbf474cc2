/*
 * clock - sends the time every second, for ever: a handler that never becomes idle must look at
 * hd_draining by itself.
 */
#include <handlerd/handler.h>
#include <time.h>

HD_HANDLER(.name = "clock", .version = "1.0.0", .summary = "Sends the time every second",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS);

int
handle(struct hd_request *req)
{
	int r = 0;

	while (r >= 0 && !hd_draining(req)) {
		r = hd_printf(req, "%lld\n", (long long)time(NULL));
		if (r >= 0)
			r = hd_flush(req); /* hd_sleep would flush, too */
		if (r >= 0)
			r = hd_sleep(req, 1000);
	}
	return r < 0 ? r : hd_printf(req, "the clock goes off\n");
}
