/*
 * undefined - calls a function that this handlerd does not have (yet).
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "undefined", .flags = HD_STREAM | HD_THREADS);

int hd_function_of_tomorrow(struct hd_request *req);

int
handle(struct hd_request *req)
{
	return hd_function_of_tomorrow(req);
}
