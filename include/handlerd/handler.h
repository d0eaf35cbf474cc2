/*
 * handlerd/handler.h - all a handler needs.
 *
 * A handler is a shared object with up to three functions and one descriptor:
 *
 *	int  setup (struct hd_request *req);	optional: once per request, before handle
 *	int  handle(struct hd_request *req);	required: once per request
 *	void finish(struct hd_request *req);	optional: always runs after a setup that succeeded
 *
 *	HD_HANDLER(.name = "echo", .version = "1.0.0", .flags = HD_STREAM | HD_THREADS);
 *
 * A request is one connection, one datagram, or one UDP session (see udp.session_timeout in
 * handlerd.conf(5)).
 *
 * Every function that can fail returns >= 0 on success and a negative errno on failure; so do the
 * entry points, of which any value >= 0 is success. See handlerd-handler(3).
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_HANDLER_H
#define HD_HANDLER_H

#include <stddef.h>
#include <stdint.h>

#include <handlerd/log.h>
#include <handlerd/option.h>
#include <handlerd/request.h>
#include <handlerd/server.h>
#include <handlerd/socket.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The ABI that this header describes. A daemon loads handlers of its own major version whose minor
 * version is not newer than its own. Since 1.0. */
#define HD_ABI_MAJOR 1
#define HD_ABI_MINOR 0

/* The first four bytes of every descriptor: "HDR1" in the file of a little-endian machine. */
#define HD_HANDLER_MAGIC 0x31524448U

/* What a handler serves and what it can bear (field `flags`). Since 1.0. */
#define HD_STREAM 0x1U	/* serves connections: tcp, unix */
#define HD_DGRAM 0x2U	/* serves datagrams: udp, unixgram */
#define HD_THREADS 0x4U /* its entry points may run concurrently in one process */
#define HD_FIBERS                                                                                  \
	0x8U /* waits only inside [waits] calls, holds no lock across one, and calls               \
		neither exit nor fflush(NULL) there */

/*
 * The descriptor, exported as the constant hd_handler_v1; write it with HD_HANDLER. The first 16
 * bytes hold no pointer and never change. Fields are only ever added at the end; a daemon reads
 * the smaller of `size` and what it knows. All strings and rows belong to the handler and live as
 * long as it is loaded. Callbacks that are NULL are left out.
 */
struct hd_handler {
	uint32_t magic;	      /* HD_HANDLER_MAGIC */
	uint16_t abi_major;   /* HD_ABI_MAJOR */
	uint16_t abi_minor;   /* HD_ABI_MINOR */
	uint32_t size;	      /* sizeof(struct hd_handler) when the handler was built */
	uint32_t option_size; /* sizeof(struct hd_option) when the handler was built */

	const char *name;    /* short name, as in the configuration; required */
	const char *version; /* the handler's own version; may be NULL */
	const char *summary; /* one line; may be NULL */
	uint32_t flags;	     /* HD_STREAM, HD_DGRAM, HD_THREADS, HD_FIBERS */

	/* Rows that end with HD_OPTION_END, or NULL. */
	const struct hd_option *options;

	/* Once in each worker, identity already dropped, before it is ready and before any fork; a
	 * failure fails the worker. May wait. On reload the old and the new worker overlap. */
	int (*server_start)(struct hd_server *server);
	/* Once in each worker, after the last finish; skipped if a handler has not returned by the
	 * drain deadline. */
	void (*server_stop)(struct hd_server *server);
	/* concurrency "forking" only: in each child, before its first and after its last
	 * request. A failing child_start ends the child. */
	int (*child_start)(struct hd_server *server);
	void (*child_stop)(struct hd_server *server);
	/* Before setup; < 0 refuses the client and nothing else is called: a connection is closed,
	 * a datagram unanswered. May not wait. */
	int (*verify)(struct hd_request *req);
	/* After finish, when setup or handle returned `error` < 0. The reply of a datagram does not
	 * leave then. */
	void (*handle_error)(struct hd_request *req, int error);
	/* About every 500 ms, in the worker's control thread (forking: in the parent). May not
	 * wait. For a handler without HD_THREADS never while one of its entry points runs. */
	void (*service_actions)(struct hd_server *server);
};

#if defined(__GNUC__)
#define HD_EXPORT_ __attribute__((__visibility__("default")))
#else
#define HD_EXPORT_
#endif

/* The entry points a handler defines. A definition with another signature does not compile. */
HD_EXPORT_ int setup(struct hd_request *req);
HD_EXPORT_ int handle(struct hd_request *req);
HD_EXPORT_ void finish(struct hd_request *req);

extern HD_EXPORT_ const struct hd_handler hd_handler_v1;

#define HD_PREFIX_                                                                                 \
	HD_HANDLER_MAGIC, HD_ABI_MAJOR, HD_ABI_MINOR, (uint32_t)sizeof(struct hd_handler),         \
		(uint32_t)sizeof(struct hd_option)

/* HD_HANDLER(.name = "...", .flags = ..., ...): the descriptor in C99 and C++20. */
#define HD_HANDLER(...)                                                                            \
	const struct hd_handler hd_handler_v1 = {.magic = HD_HANDLER_MAGIC,                        \
						 .abi_major = HD_ABI_MAJOR,                        \
						 .abi_minor = HD_ABI_MINOR,                        \
						 .size = (uint32_t)sizeof(struct hd_handler),      \
						 .option_size =                                    \
							 (uint32_t)sizeof(struct hd_option),       \
						 __VA_ARGS__}

/* HD_HANDLER_CXX(name, version, summary, flags, options): the descriptor in C++11, for a handler
 * that needs no optional callback; options may be nullptr. */
#define HD_HANDLER_CXX(name_, version_, summary_, flags_, options_)                                \
	const struct hd_handler hd_handler_v1 = {HD_PREFIX_, name_, version_, summary_, flags_,    \
						 options_,   NULL,  NULL,     NULL,	NULL,      \
						 NULL,	     NULL,  NULL}

#ifdef __cplusplus
}
#endif

#endif
