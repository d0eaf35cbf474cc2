/*
 * stream.h - bytes in and out of a connection; what the socket methods, line reading, stdio streams
 * and the session are made of.
 */
#ifndef API_STREAM_H
#define API_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

struct hd_request;

/* Receives from the socket, past all input buffers; what is to be sent goes before. Bytes, 0 at the
 * end, negative errno. */
ssize_t stream_receive(struct hd_request *req, void *buf, size_t size);
/* A call that sends has failed with errno: waits if that is all it takes. 0 to try again, or a
 * negative errno. */
int stream_await_output(struct hd_request *req);
/* Sends all, past all buffers; iov is changed. */
int stream_send_all(struct hd_request *req, struct iovec *iov, int count);

/* Sends what is printed and what the "w" stream holds. */
int stream_flush(struct hd_request *req);

/* Before input is looked for: takes over what the "r" stream has read ahead. */
int stream_prepare_input(struct hd_request *req);
/* Some bytes for a call to which borders between datagrams mean nothing: those received before,
 * else from the socket. Bytes, 0 at the end, negative errno. */
ssize_t stream_read(struct hd_request *req, void *buf, size_t size);
/* Puts bytes back in front of what is there. 0 or -ENOMEM. */
int stream_put_back(struct hd_request *req, const void *buf, size_t size);

/* What the two stdio streams of a request need; in file.c. */
int file_flush_writer(struct hd_request *req);
int file_take_read_ahead(struct hd_request *req);
bool file_has_read_ahead(const struct hd_request *req);
void file_close_streams(struct hd_request *req);

#endif
