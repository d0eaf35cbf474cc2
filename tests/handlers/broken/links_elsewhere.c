/*
 * links_elsewhere - links a library with functions of the entry points' names; with OWN_HANDLE it
 * has a handle of its own.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "links_elsewhere", .flags = HD_STREAM | HD_THREADS);

int elsewhere_answer(void);

#ifdef OWN_HANDLE
int
handle(struct hd_request *req)
{
	(void)req;
	return elsewhere_answer();
}
#else
HD_EXPORT_ int something_else(void);

int
something_else(void)
{
	return elsewhere_answer();
}
#endif
