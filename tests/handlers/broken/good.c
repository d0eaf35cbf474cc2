/*
 * good - nothing is wrong with it; others are this one, linked or cut in a wrong way.
 */
#include <handlerd/handler.h>

#include "marker.h"

HD_HANDLER(.name = "good", .version = "1.2.3", .summary = "Does nothing well",
	   .flags = HD_STREAM | HD_THREADS);

int
setup(struct hd_request *req)
{
	(void)req;
	return 1;
}

int
handle(struct hd_request *req)
{
	(void)req;
	return 2;
}

void
finish(struct hd_request *req)
{
	(void)req;
}
