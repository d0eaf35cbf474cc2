/*
 * handlerd/socket.h - the socket methods of a request: what Python has as recv, send, sendall,
 * sendto, sendfile and makefile.
 *
 * [waits] marks the functions that may wait for the client. Each of them can also return
 *
 *	-ETIMEDOUT	the timeout of hd_set_timeout has passed
 *	-ECANCELED	the drain deadline has passed, or one of the listener's timeouts, or the
 *			request was idle when draining began; now and later
 *	-ECONNRESET	the client reset the connection
 *	-EPIPE		output after the client, or hd_shutdown_write, closed that direction
 *
 * With a timeout of 0, -ETIMEDOUT says that there was nothing to do at once. Returning such a value
 * from handle is no error: it is the reason of closing. SIGPIPE never reaches a handler.
 *
 * A request is a connection, a datagram, or a session (all datagrams of one UDP client). A datagram
 * has its bytes as input, after which comes the end, and at most one reply, which gathers what the
 * handler sends and leaves when handle has returned 0 or more. In a session each datagram is
 * received by itself, and each piece of output is a datagram that leaves at once. Output to the
 * client of either never waits; what limits.amplification and its like hold back, or the network
 * loses, counts as sent. Where nothing is said of them below, a call does the same on all three.
 *
 * Only the request's own flow of control may call these functions on it, hd_wake excepted. Buffers
 * belong to the caller and are not kept. Since 1.0.
 *
 * SPDX-License-Identifier: MIT
 */
#ifndef HD_SOCKET_H
#define HD_SOCKET_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

#include <handlerd/option.h>

#ifdef __cplusplus
extern "C" {
#endif

struct hd_request;
struct hd_server;

/* Input. */

/* Receives what there is, at least one byte, at most size. Returns the number of bytes, 0 at the
 * end of the input or when size is 0. Of a datagram it returns the bytes, in parts if size is less,
 * then 0; one without a byte is 0 at once; this never waits. In a session it receives the next
 * datagram: 0 when none has come for udp.session_timeout, -EMSGSIZE when it is longer than size,
 * and then its beginning is in buf and its rest gone. [waits] */
HD_API_ ssize_t hd_recv(struct hd_request *req, void *buf, size_t size);

/* As hd_recv, and tells who sent it: addr (may be NULL) takes *len bytes at most and *len becomes
 * the address's length. That is always hd_client_address, on datagrams and in sessions too.
 * [waits] */
HD_API_ ssize_t hd_recvfrom(struct hd_request *req, void *buf, size_t size, struct sockaddr *addr,
			    socklen_t *len);

/* Receives exactly size bytes, or fewer when the input ends before. On an error what has arrived
 * stays for the next call. Datagrams of a session are put together. [waits] */
HD_API_ ssize_t hd_recvall(struct hd_request *req, void *buf, size_t size);

/* Receives one line with its '\n' and adds a NUL; size counts the NUL. Returns the line's length
 * without the NUL (a line may hold NUL bytes), 0 at the end of the input; the last line may lack
 * the '\n'. -EMSGSIZE when there is no '\n' within size - 1 bytes; -ENOMEM when there is no memory
 * for what was read ahead; -EINVAL when size is below 2.
 * On any error nothing is consumed. The last line of a datagram may lack the '\n', too; in a
 * session a line goes on in the next datagram. [waits] */
HD_API_ ssize_t hd_readline(struct hd_request *req, char *buf, size_t size);

/* Output. */

/* Sends some of the bytes and returns how many; of 0 bytes none. For a datagram it adds all of them
 * to the reply: 0 bytes make one that is empty, and -EMSGSIZE, -ENOMEM leave it as it was. In a
 * session it sends them as one datagram, which may be empty; -EMSGSIZE above 65507 bytes. [waits]
 */
HD_API_ ssize_t hd_send(struct hd_request *req, const void *buf, size_t size);

/* Sends all of the bytes. Returns 0. On datagrams and in sessions as hd_send. [waits] */
HD_API_ int hd_sendall(struct hd_request *req, const void *buf, size_t size);

/* Sends all the pieces in order, as one write where that is possible. Returns 0; -EINVAL for a
 * negative count. On datagrams and in sessions as hd_send, all pieces in one datagram. [waits] */
HD_API_ int hd_sendallv(struct hd_request *req, const struct iovec *iov, int count);

/* Sends one datagram to addr from the listener's socket, at once; it is no part of the reply.
 * Returns its size; -EOPNOTSUPP on a connection; -EDESTADDRREQ without an address; -EMSGSIZE above
 * 65507 bytes; -EPERM when addr is the client's and the listener's rules hold the datagram back;
 * -EAGAIN when a Unix socket's queue is full; else what sendto(2) says. [waits] */
HD_API_ ssize_t hd_sendto(struct hd_request *req, const void *buf, size_t size,
			  const struct sockaddr *addr, socklen_t len);

/* As the count of hd_sendfile: until the end of the file. */
#define HD_TO_END UINT64_MAX

/* Sends count bytes of the open file fd from offset on (offset -1: from, and moving, the file's
 * own position, for what cannot seek). Returns the bytes sent, which is all of them, or a negative
 * errno; -ENODATA when the file ends before count; -EINVAL when
 * offset is below -1; -EOPNOTSUPP on datagrams and in sessions. [waits] */
HD_API_ int64_t hd_sendfile(struct hd_request *req, int fd, int64_t offset, uint64_t count);

/* Formats into the request's output buffer, which is sent when it is full, before any wait for
 * input, before any hd_send..., by hd_flush and at the end. Returns 0; -ENOMEM. For a datagram it
 * is a part of the reply, and an empty text makes an empty one. In a session the buffer has 4096
 * bytes, and each time that it is sent it is a datagram. [waits] */
HD_API_ int hd_printf(struct hd_request *req, const char *format, ...) HD_PRINTF_(2, 3);

/* Sends what hd_printf and the "w" stream hold: in a session as a datagram; for a datagram it
 * becomes a part of the reply, which does not leave yet. Returns 0. [waits] */
HD_API_ int hd_flush(struct hd_request *req);

/* Flushes, then tells the client that no more will come. Returns 0. On datagrams and in sessions
 * nobody is told, but more output gives -EPIPE. [waits] */
HD_API_ int hd_shutdown_write(struct hd_request *req);

/* A stdio stream on the request: mode "r" or "w", one of each; a second call returns the same. The
 * handler may fclose it (then it gets a new one), else the request does. The streams share input
 * and output with the hd_... calls: nothing is lost or reordered between them. Returns NULL and
 * sets errno: EINVAL for another mode, ENOMEM. Reading and writing through it [waits]; an error is
 * in errno, positive. In a session "r" puts datagrams together, and each time that "w" is flushed,
 * or full, is a datagram. */
HD_API_ FILE *hd_makefile(struct hd_request *req, const char *mode);

/* The raw socket, perhaps non-blocking, past all buffers. It stays the request's: do not close it.
 * Of a datagram or session it is the listener's, which all requests share: what is received from it
 * is somebody else's, and what is sent through it goes past the listener's rules. Does not wait. */
HD_API_ int hd_fd(struct hd_request *req);

/* Waiting. Calls that send and receive also wait where the listener's limits.send_rate and
 * limits.receive_rate have them; then they return less than they might, or -ETIMEDOUT if they may
 * not wait. */

/* How long each wait may last, in milliseconds: -1 for ever (the default), 0 not at all. Returns 0;
 * -EINVAL for ms below -1. In a session it is for waits for input, on a datagram for hd_sendto.
 * Does not wait. */
HD_API_ int hd_set_timeout(struct hd_request *req, int ms);

/* Waits ms milliseconds; for 0, lets other flows of the thread run. Returns 0. [waits] */
HD_API_ int hd_sleep(struct hd_request *req, unsigned ms);

/* Waits for events of poll(2) on a descriptor of the handler's own, at most timeout_ms (-1: for
 * ever). Returns the events; -ETIMEDOUT, -EBADF. [waits] */
HD_API_ int hd_wait(struct hd_request *req, int fd, short events, int timeout_ms);

/* As a pollfd's fd: the request itself, its buffers included. */
#define HD_CLIENT (-2)

/* As poll(2): waits for one of count descriptors, at most timeout_ms (-1: for ever). An fd of
 * HD_CLIENT is the request itself: a datagram is always ready, a session is readable when a
 * datagram waits or the session has ended. Returns how many have revents, 0 on timeout; -EINTR
 * after hd_wake (also if it came before this call); -EINVAL for more than 1024 rows. [waits] */
HD_API_ int hd_poll(struct hd_request *req, struct pollfd *fds, unsigned count, int timeout_ms);

/* Makes the current or next hd_poll of a request of this worker return -EINTR. May be called from
 * any thread of the worker, and with any id. Returns 0; -ESRCH if there is no such request (any
 * more) in this process: a forked child knows its own alone. Does not wait. */
HD_API_ int hd_wake(struct hd_server *server, uint64_t request_id);

/* Runs a function that blocks (name look-up, files, databases) without holding up other requests,
 * and returns 0 when it has returned: on fibers in a helper thread, elsewhere in the calling flow.
 * It is not cancelled; a request that is waits for its end. Returns -EAGAIN or another negative
 * errno where there is no helper thread and none can be made: then it was not run. [waits] */
HD_API_ int hd_offload(struct hd_request *req, void (*run)(void *), void *argument);

/* Connects to "tcp:host:port" ("tcp:[::1]:25") or "unix:/path" ("unix:@abstract"), within
 * timeout_ms (-1: as long as the kernel tries). Returns a request of its own for the hd_... calls,
 * freed with its parent or by hd_close; NULL and a negative errno in *error (may be NULL): what
 * connect(2) says, -EINVAL for a malformed address, -EADDRNOTAVAIL for a name that has no address,
 * -EAGAIN where it could not be looked up, -ETIMEDOUT, also where the backlog of a Unix socket
 * stays full. [waits] */
HD_API_ struct hd_request *hd_connect(struct hd_request *req, const char *address, int timeout_ms,
				      int *error);

/* Flushes and closes a request of hd_connect. Returns 0; -EINVAL for any other request. [waits] */
HD_API_ int hd_close(struct hd_request *connected);

#ifdef __cplusplus
}
#endif

#endif
