/*
 * handlerd/request.h - one connection, one datagram, or one UDP session, as a handler sees it.
 *
 * A session is all datagrams of one UDP client, for listeners with udp.session_timeout. Returned
 * pointers live as long as the request. Only the request's own flow of control may call these
 * functions on it. None of them waits. Since 1.0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_REQUEST_H
#define HD_REQUEST_H

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

#include <handlerd/option.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_request;
struct hd_server;

/* A number that no other request of this worker has had; the one that the log shows. */
HD_API_ uint64_t hd_request_id(const struct hd_request *req);

/* The listener that the request came through. */
HD_API_ struct hd_server *hd_request_server(const struct hd_request *req);

/* The client's address, and its length where len is not NULL. An IPv4-mapped IPv6 address appears
 * as AF_INET. Never NULL; the family is AF_UNSPEC where the kernel gave none: of a Unix datagram
 * whose socket has no name, which cannot be answered. Whoever sends a UDP datagram may have lied
 * about it. */
HD_API_ const struct sockaddr *hd_client_address(const struct hd_request *req, socklen_t *len);

/* The client in words, for logs: "192.0.2.1:4711", "[2001:db8::1]:4711", "unix pid 42 uid 1000". */
HD_API_ const char *hd_client_name(const struct hd_request *req);

/* The address the client reached, and its length where len is not NULL; as hd_client_address. Of a
 * UDP datagram that came to a listener on all addresses it is the one it was sent to; replies leave
 * from there. */
HD_API_ const struct sockaddr *hd_local_address(const struct hd_request *req, socklen_t *len);

/* Who is at the other end of a Unix socket, as the kernel knows it: who connected, or who sent the
 * datagram. Any of the three may be NULL. Returns 0, or -EOPNOTSUPP off Unix sockets. */
HD_API_ int hd_client_cred(const struct hd_request *req, pid_t *pid, uid_t *uid, gid_t *gid);

/* 1 if the request is a datagram or a session, 0 if it is a connection. */
HD_API_ int hd_is_datagram(const struct hd_request *req);

/* A pointer of the handler's own, NULL at first; handlerd neither reads nor frees what it points
 * to. */
HD_API_ void hd_set_data(struct hd_request *req, void *data);
HD_API_ void *hd_data(const struct hd_request *req);

/* Zeroed memory, aligned for any type, freed after handle_error. NULL when there is none, or the
 * request has as much as the listener's limits.request_memory allows. A size of 0 gives a pointer
 * that must not be read through. */
HD_API_ void *hd_alloc(struct hd_request *req, size_t size);

/* 1 once the worker is about to go (reload or stop): end soon, at the next natural point. */
HD_API_ int hd_draining(const struct hd_request *req);

/* idle 1: the request is between messages. When draining begins, a wait for input with nothing
 * arrived then returns -ECANCELED at once instead of holding the worker until the drain deadline;
 * what has arrived can still be read. idle 0: it is in the middle of one. A session ends so when
 * draining begins whatever was said here, and a datagram never waits for input. Returns the value
 * from before. */
HD_API_ int hd_set_idle(struct hd_request *req, int idle);

#ifdef __cplusplus
}
#endif

#endif
