/*
 * file.c - files: sendfile, and stdio streams on a connection.
 *
 * The "r" stream and the hd_... calls share their input: before a call reads, what the stream has
 * read ahead moves in front of the request's buffer; the stream in turn reads from that buffer
 * first. The "w" stream is flushed before anything else is sent, so bytes leave in program order.
 */
#include <errno.h>
#include <handlerd/socket.h>
#include <poll.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "api/request.h"
#include "api/server.h"
#include "api/stream.h"
#include "api/wait.h"

/* The kernel sends at most this much in one call. */
#define FILE_SEND_MOST ((size_t)1 << 30)
/* The same where somebody asks how much the client has taken: the kernel sends pieces of 64 KiB,
 * and waits for room for each. */
#define FILE_TELL_MOST ((size_t)256 * 1024)
/* What a stream takes: the C library's buffer, mostly. */
#define FILE_STREAM_MEMORY ((size_t)BUFSIZ)
/* On the stack, of which a fiber has little. */
#define FILE_COPY_SIZE 8192
/* _IO_IN_BACKUP of glibc */
#define FILE_IN_BACKUP 0x0100

static ssize_t
file_stream_read(void *cookie, char *buf, size_t size)
{
	struct hd_request *req = cookie;
	int saved_errno = errno;
	ssize_t n = stream_read(req, buf, size);

	if (n < 0) {
		errno = (int)-n;
		return -1;
	}
	/* that a call had to wait is no error, and at the end errno tells whether there was one */
	errno = saved_errno;
	/* in the middle of a line the handler waits for its end, whatever it said of being idle */
	if (n > 0)
		atomic_store(&req->has_partial,
			     buf[n - 1] != '\n' || (req->buffered & REQUEST_HAS_INPUT) != 0);
	return n;
}

static ssize_t
file_stream_write(void *cookie, const char *buf, size_t size)
{
	struct hd_request *req = cookie;
	struct iovec iov = {.iov_base = (void *)buf, .iov_len = size};
	int r = 0;

	/* printed output is older than what the stream holds */
	if ((req->buffered & REQUEST_HAS_OUTPUT) != 0) {
		struct iovec printed = {.iov_base = req->output.data, .iov_len = req->output.end};

		req->buffered &= ~REQUEST_HAS_OUTPUT;
		req->output.end = 0;
		r = stream_send_all(req, &printed, 1);
	}
	if (r == 0)
		r = stream_send_all(req, &iov, 1);
	if (r < 0) {
		errno = -r;
		return 0;
	}
	return (ssize_t)size;
}

/*
 * Copies what the "r" stream has read ahead to the front of the request's input.
 *
 * glibc shows it only in members of FILE: between _IO_read_ptr and _IO_read_end, or, after an
 * ungetc of another byte than was read, those pushed back there and the rest between _IO_save_base
 * and _IO_save_end; a flag tells which.
 */
static int
file_put_back_ahead(struct hd_request *req)
{
	const FILE *in = req->reader;
	int r = 0;

	if ((in->_flags & FILE_IN_BACKUP) != 0)
		r = stream_put_back(req, in->_IO_save_base,
				    (size_t)(in->_IO_save_end - in->_IO_save_base));
	if (r == 0)
		r = stream_put_back(req, in->_IO_read_ptr,
				    (size_t)(in->_IO_read_end - in->_IO_read_ptr));
	return r;
}

/* Also when the handler calls fclose: what was read ahead stays, and the request must not close it
 * again. */
static int
file_reader_close(void *cookie)
{
	struct hd_request *req = cookie;

	(void)file_put_back_ahead(req);
	request_give_memory(req, FILE_STREAM_MEMORY);
	req->reader = NULL;
	req->buffered &= ~REQUEST_HAS_READER;
	return 0;
}

static int
file_writer_close(void *cookie)
{
	struct hd_request *req = cookie;

	request_give_memory(req, FILE_STREAM_MEMORY);
	req->writer = NULL;
	req->buffered &= ~REQUEST_HAS_WRITER;
	return 0;
}

FILE *
hd_makefile(struct hd_request *req, const char *mode)
{
	static const cookie_io_functions_t reads = {
		.read = file_stream_read,
		.close = file_reader_close,
	};
	static const cookie_io_functions_t writes = {
		.write = file_stream_write,
		.close = file_writer_close,
	};
	bool is_read = strcmp(mode, "r") == 0;

	if (!is_read && strcmp(mode, "w") != 0) {
		errno = EINVAL;
		return NULL;
	}
	if ((is_read ? req->reader : req->writer) == NULL &&
	    !request_take_memory(req, FILE_STREAM_MEMORY)) {
		errno = ENOMEM;
		return NULL;
	}
	if (is_read && req->reader == NULL) {
		req->reader = fopencookie(req, "r", reads);
		if (req->reader != NULL)
			req->buffered |= REQUEST_HAS_READER;
	}
	if (!is_read && req->writer == NULL) {
		req->writer = fopencookie(req, "w", writes);
		if (req->writer != NULL)
			req->buffered |= REQUEST_HAS_WRITER;
	}
	return is_read ? req->reader : req->writer;
}

int
file_flush_writer(struct hd_request *req)
{
	if (__fpending(req->writer) == 0)
		return 0;
	errno = 0;
	if (fflush(req->writer) == 0)
		return 0;
	/* what could not be sent must not be tried again by the next flush */
	{
		int r = errno != 0 ? -errno : -EIO;

		__fpurge(req->writer);
		return r;
	}
}

bool
file_has_read_ahead(const struct hd_request *req)
{
	const FILE *in = req->reader;

	return in != NULL &&
	       (in->_IO_read_end > in->_IO_read_ptr ||
		((in->_flags & FILE_IN_BACKUP) != 0 && in->_IO_save_end > in->_IO_save_base));
}

int
file_take_read_ahead(struct hd_request *req)
{
	int r = file_put_back_ahead(req);

	if (r == 0)
		__fpurge(req->reader);
	return r;
}

void
file_close_streams(struct hd_request *req)
{
	if (req->reader != NULL)
		(void)fclose(req->reader);
	if (req->writer != NULL)
		(void)fclose(req->writer);
}

/* Other flows of the thread go on until there is something to read. 0 or a negative errno. */
static int
file_wait(struct hd_request *req, int fd)
{
	int r = 0;

	if (req->server->waiter->parks)
		r = wait_for_fd(req, fd, POLLIN, req->timeout_ms == 0 ? 0 : -1);
	return r < 0 ? r : 0;
}

/* For files that sendfile(2) does not take: pipes, sockets, some special files. */
static int64_t
file_copy(struct hd_request *req, int fd, int64_t offset, uint64_t count)
{
	char buf[FILE_COPY_SIZE];
	uint64_t sent = 0;

	while (sent < count) {
		size_t want = count - sent < sizeof(buf) ? (size_t)(count - sent) : sizeof(buf);
		int r = file_wait(req, fd);
		ssize_t n = -1;

		if (r < 0)
			return r;
		n = offset < 0 ? read(fd, buf, want)
			       : pread(fd, buf, want, (off_t)(offset + (int64_t)sent));
		struct iovec iov = {.iov_base = buf};

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		iov.iov_len = (size_t)n;
		r = stream_send_all(req, &iov, 1);
		if (r < 0)
			return r;
		sent += (uint64_t)n;
	}
	return (int64_t)sent;
}

/* One sendfile(2) that waits where it must. Bytes, 0 at the end of the file, negative errno. */
static ssize_t
file_send_some(struct hd_request *req, int fd, off_t *offset, size_t count)
{
	for (;;) {
		ssize_t n;
		int r;

		if (atomic_load_explicit(&req->is_cancelled, memory_order_relaxed))
			return request_note_error(req, -ECANCELED);
		wait_bound_output(req);
		n = sendfile(req->fd, fd, offset, count);
		if (n >= 0) {
			wait_spend(req);
			return n;
		}
		r = stream_await_output(req);
		if (r < 0)
			return r;
	}
}

int64_t
hd_sendfile(struct hd_request *req, int fd, int64_t offset, uint64_t count)
{
	bool is_to_end = count == HD_TO_END;
	size_t most = req->server->tell_ns > 0 ? FILE_TELL_MOST : FILE_SEND_MOST;
	off_t at = (off_t)offset;
	uint64_t sent = 0;
	int r = stream_flush(req);

	if (r < 0)
		return r;
	if (req->kind != REQUEST_STREAM)
		return -EOPNOTSUPP;
	if (offset < -1)
		return -EINVAL;
	/* sendfile(2) cannot be told not to wait */
	if (req->io_flags != 0) {
		int64_t copied = file_copy(req, fd, offset, count);

		return copied >= 0 && (uint64_t)copied < count && !is_to_end ? -ENODATA : copied;
	}
	while (sent < count) {
		size_t want = count - sent < most ? (size_t)(count - sent) : most;
		ssize_t n;

		if (req->is_paced) {
			n = pace_wait(req, PACE_OUT, want);
			if (n < 0)
				return n;
			want = (size_t)n;
		}
		request_show_waits(req, SCOREBOARD_WAITS_OUTPUT);
		n = file_send_some(req, fd, offset < 0 ? NULL : &at, want);
		request_show_waits(req, 0);
		if (n == -EINVAL && sent == 0) {
			int64_t copied = file_copy(req, fd, offset, count);

			if (copied < 0)
				return copied;
			sent = (uint64_t)copied;
			break;
		}
		if (n < 0)
			return n;
		if (n == 0)
			break;
		request_count_out(req, (uint64_t)n);
		if (req->is_paced)
			pace_spend(req, PACE_OUT, (size_t)n);
		sent += (uint64_t)n;
	}
	return sent < count && !is_to_end ? -ENODATA : (int64_t)sent;
}
