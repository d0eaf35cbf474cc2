/*
 * handlerd/server.h - the listener as a handler sees it: one object in each worker process.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_SERVER_H
#define HD_SERVER_H

#include <stddef.h>

#include <handlerd/option.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_server;

/* The listener's name in the configuration. Does not wait. Lives as long as the worker. Since
 * 1.0. */
HD_API_ const char *hd_server_name(const struct hd_server *server);

/*
 * A pointer of the handler's own, NULL at first. Set it in server_start (or, private to one child
 * of a forking listener, in child_start); handlerd neither reads nor frees what it points to; free
 * it in server_stop. Do not set it while requests run. Since 1.0.
 */
HD_API_ void hd_server_set_data(struct hd_server *server, void *data);
HD_API_ void *hd_server_data(const struct hd_server *server);

/*
 * A new zeroed memory region of `size` bytes that the worker and its forked children share, page
 * aligned; to be called in server_start. It belongs to the worker and goes when it goes;
 * generations do not share it. Synchronise access with atomics or process-shared mutexes. Returns
 * NULL when there is no memory, when size is 0, or after the first connection was accepted. Does
 * not wait. Since 1.0.
 */
HD_API_ void *hd_server_shared(struct hd_server *server, size_t size);

#ifdef __cplusplus
}
#endif

#endif
