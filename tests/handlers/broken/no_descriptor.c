/*
 * no_descriptor - a shared object, but no handler.
 */
#include <handlerd/handler.h>

#include "marker.h"

int
handle(struct hd_request *req)
{
	(void)req;
	return 0;
}
