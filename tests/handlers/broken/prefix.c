/*
 * prefix - a descriptor whose unchanging first 16 bytes say what PREFIX says.
 */
#include <handlerd/handler.h>

#include "marker.h"

/* magic, major, minor, size, option_size */
#ifndef PREFIX
#define PREFIX HD_PREFIX_
#endif

const struct hd_handler hd_handler_v1 = {PREFIX, "prefix", NULL, NULL, HD_STREAM | HD_THREADS,
					 NULL,	 NULL,	   NULL, NULL, NULL,
					 NULL,	 NULL,	   NULL};

int
handle(struct hd_request *req)
{
	(void)req;
	return 0;
}
