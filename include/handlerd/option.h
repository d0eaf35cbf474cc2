/*
 * handlerd/option.h - the typed options of a handler.
 *
 *	static const struct hd_option options[] = {
 *		HD_OPTION_STRING("greeting", "hello", "sent to each client"),
 *		HD_OPTION_INT("repeat", 1, 1, 100, "how often"),
 *		HD_OPTION_END,
 *	};
 *
 * The rows are named in HD_HANDLER(.options = options). A listener gives values in its `options`
 * group; `handlerd -t` and every start and reload check them against the rows, with file and line.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_OPTION_H
#define HD_OPTION_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_server;

/* Values of hd_option.type. Since 1.0. */
#define HD_OPTION_TYPE_END 0U
#define HD_OPTION_TYPE_INT 1U
#define HD_OPTION_TYPE_BOOL 2U
#define HD_OPTION_TYPE_STRING 3U
#define HD_OPTION_TYPE_PATH 4U
#define HD_OPTION_TYPE_SIZE 5U
#define HD_OPTION_TYPE_DURATION 6U
#define HD_OPTION_TYPE_LIST 7U

/* One row; write it with the macros below. Fields are only ever added at the end. */
struct hd_option {
	const char *name; /* [A-Za-z][A-Za-z0-9_-]*, as written in the configuration */
	const char *help; /* one line */
	uint32_t type;	  /* HD_OPTION_TYPE_... */
	uint32_t reserved;
	int64_t number;	  /* default of int, bool, size (bytes), duration (ms) */
	int64_t min, max; /* inclusive range of int, size and duration */
	const char *text; /* default of string and path; NULL = unset; HD_REQUIRED */
};

/* As the default of HD_OPTION_STRING and HD_OPTION_PATH: the configuration must give a value. */
#define HD_REQUIRED ((const char *)1)

/* A whole number within min..max. */
#define HD_OPTION_INT(name, default_, min, max, help)                                              \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_INT, 0U, (default_), (min), (max), NULL             \
	}
/* true or false. */
#define HD_OPTION_BOOL(name, default_, help)                                                       \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_BOOL, 0U, (default_), 0, 1, NULL                    \
	}
/* A string. */
#define HD_OPTION_STRING(name, default_, help)                                                     \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_STRING, 0U, 0, 0, 0, (default_)                     \
	}
/* An absolute path; whether it exists is the handler's business. */
#define HD_OPTION_PATH(name, default_, help)                                                       \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_PATH, 0U, 0, 0, 0, (default_)                       \
	}
/* A size with its unit ("64KiB"); default, min and max in bytes. */
#define HD_OPTION_SIZE(name, default_, min, max, help)                                             \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_SIZE, 0U, (default_), (min), (max), NULL            \
	}
/* A duration with its unit ("250ms"); default, min and max in milliseconds. With a min below 0
 * "none" is allowed and reads as -1. */
#define HD_OPTION_DURATION(name, default_, min, max, help)                                         \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_DURATION, 0U, (default_), (min), (max), NULL        \
	}
/* A list of strings, empty by default. */
#define HD_OPTION_LIST(name, help)                                                                 \
	{                                                                                          \
		(name), (help), HD_OPTION_TYPE_LIST, 0U, 0, 0, 0, NULL                             \
	}
/* Ends the rows. */
#define HD_OPTION_END                                                                              \
	{                                                                                          \
		NULL, NULL, HD_OPTION_TYPE_END, 0U, 0, 0, 0, NULL                                  \
	}

#if defined(__GNUC__)
#define HD_API_ __attribute__((__visibility__("default")))
#define HD_PRINTF_(format_, first_) __attribute__((__format__(__printf__, format_, first_)))
#else
#define HD_API_
#define HD_PRINTF_(format_, first_)
#endif

/*
 * The value of an option: what the listener gives, or the row's default. They do not wait, may be
 * called from any flow of control of the worker, and cannot fail: the values were checked before
 * the worker became ready. Asking for a name that no row declares, or with another type, is a
 * programming error and ends the process. Returned strings live as long as the worker. Since 1.0.
 */
HD_API_ int64_t hd_option_int(const struct hd_server *server, const char *name);
HD_API_ int hd_option_bool(const struct hd_server *server, const char *name); /* 0 or 1 */
/* Of a STRING or PATH option; NULL if unset. */
HD_API_ const char *hd_option_string(const struct hd_server *server, const char *name);
HD_API_ uint64_t hd_option_size(const struct hd_server *server, const char *name); /* bytes */
/* Milliseconds; -1 for "none". */
HD_API_ int64_t hd_option_ms(const struct hd_server *server, const char *name);
/* The number of items of a LIST option, and one of them; NULL for an index past the last. */
HD_API_ unsigned hd_option_count(const struct hd_server *server, const char *name);
HD_API_ const char *hd_option_item(const struct hd_server *server, const char *name,
				   unsigned index);

#ifdef __cplusplus
}
#endif

#endif
