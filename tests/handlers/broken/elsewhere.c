/*
 * elsewhere - a library that happens to have functions named as a handler's.
 */
#define EXPORT __attribute__((__visibility__("default")))

EXPORT int setup(void *req);
EXPORT int handle(void *req);
EXPORT int elsewhere_answer(void);

int
setup(void *req)
{
	(void)req;
	return -1;
}

int
handle(void *req)
{
	(void)req;
	return -1;
}

int
elsewhere_answer(void)
{
	return 42;
}
