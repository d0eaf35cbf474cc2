/*
 * handlerd/log.h - a handler's messages go where the daemon's go.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_LOG_H
#define HD_LOG_H

#include <handlerd/option.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_request;
struct hd_server;

/* syslog's numbers. */
#define HD_LOG_ERR 3	 /* we failed at our job */
#define HD_LOG_WARNING 4 /* degraded */
#define HD_LOG_NOTICE 5	 /* the state of something changed */
#define HD_LOG_INFO 6	 /* once in the life of something */
#define HD_LOG_DEBUG 7	 /* per request */

/*
 * Writes one record that names the listener, the handler and, with hd_log, the request's id and
 * client. Levels outside the range are brought into it; a record above the configured log.level is
 * dropped before it is formatted. Control characters and invalid UTF-8 are escaped, newlines
 * included, and a record is cut at 8 KiB (at 4 KiB where the log is a pipe, which so takes it whole
 * or not at all). They never wait: where the log is full the record is
 * dropped and counted. Since 1.0.
 */
HD_API_ void hd_log(struct hd_request *req, int level, const char *format, ...) HD_PRINTF_(3, 4);
HD_API_ void hd_server_log(struct hd_server *server, int level, const char *format, ...)
	HD_PRINTF_(3, 4);

#ifdef __cplusplus
}
#endif

#endif
