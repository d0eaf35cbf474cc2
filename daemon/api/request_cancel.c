/*
 * request_cancel.c - ends a request from another flow: for whatever reason, or only if it is idle;
 * and tells when its client is to be spared.
 */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "api/mailbox.h"
#include "api/request.h"
#include "api/server.h"
#include "api/wait.h"
#include "base/clock.h"

bool
request_is_fresh(const struct hd_request *req)
{
	return atomic_load(&req->is_silent) && clock_now_ns() - req->opened_ns < REQUEST_FRESH_NS;
}

/* The first cause stays. */
static void
request_set_reason(struct hd_request *req, enum close_reason reason)
{
	uint32_t none = CLOSE_NONE;

	if (atomic_compare_exchange_strong(&req->reason, &none, (uint32_t)reason) &&
	    req->slot != NULL)
		atomic_store_explicit(&req->slot->reason, (uint16_t)reason, memory_order_relaxed);
}

void
request_cancel_here(struct hd_request *req)
{
	int fd = atomic_load(&req->fd);

	if (fd < 0)
		return;
	request_set_reason(req, CLOSE_DRAIN);
	atomic_store(&req->is_cancelled, true);
	req->server->waiter->interrupt(req);
	if (req->kind == REQUEST_STREAM)
		(void)shutdown(fd, SHUT_RDWR);
}

bool
request_end_here(struct hd_request *req, enum close_reason reason)
{
	if (atomic_load(&req->fd) < 0)
		return false;
	request_set_reason(req, reason);
	request_cancel_here(req);
	return true;
}

/* What the kernel has carried for a TCP connection; false: it does not tell. */
static bool
request_ask_carried(int fd, uint64_t *ret_in, uint64_t *ret_out)
{
	struct tcp_info info = {0};
	socklen_t length = sizeof(info);

	if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) < 0 ||
	    length < offsetof(struct tcp_info, tcpi_bytes_retrans) + sizeof(uint64_t))
		return false;
	*ret_in = info.tcpi_bytes_received;
	*ret_out = info.tcpi_bytes_sent - info.tcpi_bytes_retrans;
	return true;
}

void
request_note_raw(struct hd_request *req)
{
	uint64_t in, out;

	if (req->kind == REQUEST_STREAM && req->server->tell_ns > 0 &&
	    request_ask_carried(req->fd, &in, &out))
		atomic_store(&req->passed, in + out);
	atomic_store(&req->is_raw, true);
}

/* The first byte has come past our counts; shown where they are, it is not asked for again. */
static void
request_show_uncounted(struct hd_request *req, uint64_t in)
{
	uint64_t none = 0;

	if (req->slot != NULL)
		(void)atomic_compare_exchange_strong(&req->slot->bytes_in, &none, in);
}

bool
request_is_spared(struct hd_request *req, enum close_reason reason)
{
	int fd = atomic_load(&req->fd), bytes = 0;
	uint64_t in, out;

	if (fd < 0 || req->kind != REQUEST_STREAM)
		return false;
	/* what it has not taken was told by its flow, right now */
	if (reason == CLOSE_SEND)
		return false;
	/* it has come, and the handler is about to read it */
	if (ioctl(fd, FIONREAD, &bytes) == 0 && bytes > 0 &&
	    (reason == CLOSE_FIRST_BYTE || req->slot == NULL ||
	     (atomic_load_explicit(&req->slot->waits, memory_order_relaxed) &
	      SCOREBOARD_WAITS_INPUT) != 0))
		return true;
	if (!atomic_load(&req->is_raw))
		return false;
	/* of a Unix socket there is no way to know */
	if (!request_ask_carried(fd, &in, &out))
		return true;
	if (reason != CLOSE_FIRST_BYTE)
		return atomic_exchange(&req->passed, in + out) != in + out;
	if (in > 0)
		request_show_uncounted(req, in);
	return in > 0;
}

void
request_cancel(struct hd_request *req)
{
	(void)pthread_mutex_lock(&req->lock);
	request_cancel_here(req);
	(void)pthread_mutex_unlock(&req->lock);
}

void
request_cancel_idle_here(struct hd_request *req)
{
	int fd = atomic_load(&req->fd);
	int readable = 0;

	if (fd < 0)
		return;
	if (req->kind != REQUEST_STREAM) {
		/* the peer's next datagram begins anew, with the next worker */
		if (req->mailbox != NULL)
			mailbox_close(req->mailbox);
		return;
	}
	if (!atomic_load(&req->is_idle) || atomic_load(&req->has_partial))
		return;
	if (request_is_fresh(req))
		return;
	/* what has arrived is a message that the handler is about to read */
	if (ioctl(fd, FIONREAD, &readable) == 0 && readable > 0)
		return;
	atomic_store(&req->is_shut_read, true);
	(void)shutdown(fd, SHUT_RD);
}

void
request_cancel_idle(struct hd_request *req)
{
	(void)pthread_mutex_lock(&req->lock);
	request_cancel_idle_here(req);
	(void)pthread_mutex_unlock(&req->lock);
}
