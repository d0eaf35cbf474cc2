/*
 * layout.c - the numbers that handlers are built with, for ever. A field may be added at the end:
 * then its line is added here, and no other line changes.
 */
#include <handlerd/handler.h>

#define AT(type, field, offset)                                                                    \
	_Static_assert(offsetof(struct type, field) == (offset), #type "." #field)
#define SIZE(what, size) _Static_assert(sizeof(what) == (size), #what)

/* the prefix, the same on every machine */
AT(hd_handler, magic, 0);
AT(hd_handler, abi_major, 4);
AT(hd_handler, abi_minor, 6);
AT(hd_handler, size, 8);
AT(hd_handler, option_size, 12);
AT(hd_handler, name, 16);
SIZE(((struct hd_handler *)0)->magic, 4);
SIZE(((struct hd_handler *)0)->abi_major, 2);
SIZE(((struct hd_handler *)0)->abi_minor, 2);
SIZE(((struct hd_handler *)0)->size, 4);
SIZE(((struct hd_handler *)0)->option_size, 4);

_Static_assert(HD_HANDLER_MAGIC == 0x31524448U, "HDR1");
_Static_assert(HD_ABI_MAJOR == 1 && HD_ABI_MINOR == 0, "a new minor version adds lines here");

#if defined(__LP64__)
AT(hd_handler, version, 24);
AT(hd_handler, summary, 32);
AT(hd_handler, flags, 40);
AT(hd_handler, options, 48);
AT(hd_handler, server_start, 56);
AT(hd_handler, server_stop, 64);
AT(hd_handler, child_start, 72);
AT(hd_handler, child_stop, 80);
AT(hd_handler, verify, 88);
AT(hd_handler, handle_error, 96);
AT(hd_handler, service_actions, 104);
SIZE(struct hd_handler, 112);
SIZE(((struct hd_handler *)0)->flags, 4);

AT(hd_option, name, 0);
AT(hd_option, help, 8);
AT(hd_option, type, 16);
AT(hd_option, reserved, 20);
AT(hd_option, number, 24);
AT(hd_option, min, 32);
AT(hd_option, max, 40);
AT(hd_option, text, 48);
SIZE(struct hd_option, 56);
SIZE(((struct hd_option *)0)->type, 4);
SIZE(((struct hd_option *)0)->number, 8);
#endif

_Static_assert(HD_STREAM == 1 && HD_DGRAM == 2 && HD_THREADS == 4 && HD_FIBERS == 8, "flags");
_Static_assert(HD_OPTION_TYPE_END == 0 && HD_OPTION_TYPE_INT == 1 && HD_OPTION_TYPE_BOOL == 2 &&
		       HD_OPTION_TYPE_STRING == 3 && HD_OPTION_TYPE_PATH == 4 &&
		       HD_OPTION_TYPE_SIZE == 5 && HD_OPTION_TYPE_DURATION == 6 &&
		       HD_OPTION_TYPE_LIST == 7,
	       "option types");
_Static_assert(HD_LOG_ERR == 3 && HD_LOG_WARNING == 4 && HD_LOG_NOTICE == 5 && HD_LOG_INFO == 6 &&
		       HD_LOG_DEBUG == 7,
	       "log levels");
_Static_assert(HD_CLIENT == -2 && HD_TO_END == UINT64_MAX, "socket");
