/*
 * textrel - has an address in its code that must be written when it is loaded.
 */
#include <handlerd/handler.h>

#include "marker.h"

HD_HANDLER(.name = "textrel", .flags = HD_STREAM | HD_THREADS);

__asm__(".text\n\t.balign 8\n\t.8byte hd_handler_v1\n");

int
handle(struct hd_request *req)
{
	(void)req;
	return 0;
}
