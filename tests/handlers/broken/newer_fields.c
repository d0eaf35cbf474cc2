/*
 * newer_fields - built for the same minor version by headers with a longer descriptor and longer
 * rows: what this handlerd does not know, it leaves out.
 */
#include <handlerd/handler.h>

struct longer_option {
	struct hd_option known;
	const char *added;
};

struct longer_handler {
	struct hd_handler known;
	const char *added[4];
};

static const struct longer_option options[] = {
	{HD_OPTION_INT("first", 1, 0, 9, "one"), "x"},
	{HD_OPTION_INT("second", 2, 0, 9, "two"), "y"},
	{HD_OPTION_END, NULL},
};

/* under another name here, for its type is another */
HD_EXPORT_ const struct longer_handler longer __asm__("hd_handler_v1");
const struct longer_handler longer = {
	.known = {.magic = HD_HANDLER_MAGIC,
		  .abi_major = HD_ABI_MAJOR,
		  .abi_minor = HD_ABI_MINOR,
		  .size = (uint32_t)sizeof(struct longer_handler),
		  .option_size = (uint32_t)sizeof(struct longer_option),
		  .name = "newer_fields",
		  .flags = HD_STREAM,
		  .options = &options[0].known},
	.added = {"a", "b", "c", "d"},
};

int
handle(struct hd_request *req)
{
	(void)req;
	return 0;
}
