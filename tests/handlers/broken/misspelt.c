/*
 * misspelt - what one types in a hurry: FINISH and SETUP are its names for them.
 */
#include <handlerd/handler.h>

HD_HANDLER(.name = "misspelt", .flags = HD_STREAM | HD_THREADS);

HD_EXPORT_ int SETUP(struct hd_request *req);
HD_EXPORT_ int HANDLE(struct hd_request *req);
HD_EXPORT_ void FINISH(struct hd_request *req);

int
SETUP(struct hd_request *req)
{
	(void)req;
	return 0;
}

int
HANDLE(struct hd_request *req)
{
	(void)req;
	return 0;
}

void
FINISH(struct hd_request *req)
{
	(void)req;
}
