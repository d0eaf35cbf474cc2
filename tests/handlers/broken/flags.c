/*
 * flags - a handler with the flags and the name that FLAGS and NAME say.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = NAME, .flags = FLAGS);

int
handle(struct hd_request *req)
{
	(void)req;
	return 0;
}
