/*
 * request.h - the inside of struct hd_request: one flow of control's connection at a time.
 *
 * A flow (thread, child) owns one hd_request for its whole life and opens it anew for each
 * connection, so that serving one allocates nothing once its buffers are there. Only the owner
 * touches it, but for what is marked.
 */
#ifndef API_REQUEST_H
#define API_REQUEST_H

#include <handlerd/request.h>
#include <handlerd/socket.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "api/pace.h"
#include "api/wait.h"
#include "base/clock.h"
#include "base/log.h"
#include "ipc/scoreboard.h"
#include "net/datagram.h"
#include "net/peer.h"

enum request_kind {
	REQUEST_STREAM,	  /* a connection */
	REQUEST_DATAGRAM, /* one datagram, whose bytes are the input */
	REQUEST_PEER,	  /* the datagrams of one peer, one after the other */
};

/* Bits of hd_request.buffered: something stands between the calls and the socket. */
#define REQUEST_HAS_INPUT 0x1U	/* bytes that were received and not yet taken */
#define REQUEST_HAS_OUTPUT 0x2U /* bytes that were printed and not yet sent */
#define REQUEST_HAS_READER 0x4U
#define REQUEST_HAS_WRITER 0x8U

/* Bits of hd_request.broken: errors that the connection itself produced. */
#define REQUEST_RESET 0x1U
#define REQUEST_PIPE 0x2U
#define REQUEST_TIMED_OUT 0x4U
#define REQUEST_CANCELED 0x8U

/* Bytes between start and end are valid. */
struct request_buffer {
	unsigned char *data;
	size_t start, end, room;
};

struct request_chunk {
	struct request_chunk *next;
	size_t used, room;
	_Alignas(max_align_t) unsigned char data[];
};

struct hd_request {
	/* What each message needs comes first: one cache line, where the flow aligns it so. */
	struct hd_server *server;     /* not owned */
	struct scoreboard_slot *slot; /* not owned; NULL for one made by hd_connect */
	uint64_t bytes_in, bytes_out;
	enum request_kind kind;
	unsigned buffered; /* REQUEST_HAS_... */
	int io_flags;	   /* MSG_DONTWAIT while the timeout is 0 */
	_Atomic int fd;	   /* -1: not open; owned if it is a connection; see `lock` */
	_Atomic bool is_cancelled;
	bool is_dry;   /* of a mode that parks: nothing more is to be read until the kernel tells */
	bool runs_dry; /* likewise: after less than was asked for, that is so */
	bool is_paced; /* limits.send_rate or limits.receive_rate */
	uint32_t share; /* system calls without waiting until others have their turn */

	/* And, in a mode that parks, the next one. */
	struct wait_watch watch;
	struct mailbox *mailbox; /* of a peer, not owned; changed under the lock */
	int timeout_ms;		 /* not beside a 0: both would be copied from a page of constants */
	struct hd_request *parent;   /* of one made by hd_connect, else NULL; set under the lock */
	struct hd_request *children; /* made by hd_connect for this one; owned */
	struct hd_request *next_child;
	pthread_t thread; /* the flow */

	/* Shared with the flow that cancels. `lock` keeps fd open while another flow shuts it down;
	 * a forked child's signal handler reads without it, on the owner's own thread. */
	pthread_mutex_t lock;
	_Atomic uint64_t id;
	_Atomic uint32_t
		reason; /* enum close_reason: why we are ending it; the first cause stays */
	_Atomic bool is_idle;
	_Atomic bool is_silent;	   /* nothing has arrived yet */
	_Atomic bool is_shut_read; /* by us, because it was idle when draining began */
	_Atomic bool has_partial;  /* part of a message has arrived: not idle after all */
	_Atomic bool is_woken;	   /* hd_wake was called */
	_Atomic int wake_fd;	   /* eventfd for hd_poll; kept from request to request; owned */
	_Atomic int cancel_fd;	   /* eventfd for every wait, likewise: this one is cancelled */

	int64_t pace_full_ns[PACE_WAYS]; /* see pace.c */
	size_t memory; /* bytes that it and its own connections have taken, where that is limited */
	uint32_t source;	 /* for admission_leave */
	unsigned broken;	 /* REQUEST_RESET ... */
	bool was_reset;		 /* by the client, before anybody cancelled it */
	_Atomic bool is_raw;	 /* hd_fd was called: bytes may go past our counts */
	_Atomic uint64_t passed; /* what the kernel counted when we asked last; see
				    request_is_spared */
	bool has_socket_timeout; /* SO_RCVTIMEO is set on fd */
	bool is_output_bound;	 /* SO_SNDTIMEO is, for wait_bound_output */
	bool is_end_seen;	 /* the client sent its end of file */
	bool is_write_shut;
	bool has_name, has_local;
	int64_t opened_ns; /* written before fd */
	void *data;	   /* the handler's */

	struct request_buffer input;
	struct request_buffer output;

	/* Of a datagram or a peer. */
	const struct datagram_socket *socket; /* not owned */
	struct datagram_path path;	      /* the way it came, for the way back */
	bool has_credentials;
	struct ucred credentials;
	bool has_reply; /* of a datagram: something was sent, if only nothing */
	struct request_buffer reply;
	uint64_t asked, answered; /* bytes on the wire, headers included; of a peer, the mailbox
				     knows what was asked */

	FILE *reader, *writer;
	struct request_chunk *chunks; /* of hd_alloc */

	struct sockaddr_storage client;
	socklen_t client_length;
	struct sockaddr_storage local;
	socklen_t local_length;
	char name[PEER_NAME_SIZE];

	struct hd_request *next, *previous; /* in server->requests; guarded by its lock */
};

/* Prepares a flow's request and makes it known to the server. 0 or a negative errno. */
int request_init(struct hd_request *req, struct hd_server *server, struct scoreboard_slot *slot);
void request_destroy(struct hd_request *req);

/* Takes over a connection: fd is the request's from now on. `client` is what accept(2) gave. */
void request_open(struct hd_request *req, int fd, const struct sockaddr_storage *client,
		  socklen_t client_length);

/* Takes over a datagram: its bytes are the request's from now on, and the request's buffer is the
 * datagram's, to receive the next one. */
void request_open_datagram(struct hd_request *req, const struct datagram_socket *socket,
			   struct datagram *datagram);

/* Serves a peer, whose datagrams come through the mailbox; `first` tells who it is. */
void request_open_peer(struct hd_request *req, const struct datagram_socket *socket,
		       const struct datagram *first, struct mailbox *mailbox);

/* Closes the socket (unless another flow is just shutting it down: then after it) and forgets the
 * connection; buffers stay for the next one. */
void request_close(struct hd_request *req);

/* The source that its client was admitted from; and: that client has left. */
void request_enter(struct hd_request *req, uint32_t source);
void request_leave(struct hd_request *req);

/* Whether it may take so many bytes more of memory, which are counted if so; and gives them back.
 * In memory.c. */
bool request_take_memory(struct hd_request *req, size_t size);
void request_give_memory(struct hd_request *req, size_t size);

/* Frees what hd_alloc gave. */
void request_free_memory(struct hd_request *req);

/* From another flow: every wait ends with -ECANCELED, now and later. In request_cancel.c, as what
 * follows. */
void request_cancel(struct hd_request *req);
/* The same from a signal handler on the owner's thread. */
void request_cancel_here(struct hd_request *req);
/* Cancels it for this reason, unless there is one already; under its lock, or from a signal handler
 * on the owner's thread. False: it is not open. */
bool request_end_here(struct hd_request *req, enum close_reason reason);
/* The handler has its descriptor from now on: bytes may pass that nobody counts. */
void request_note_raw(struct hd_request *req);
/* Whether its client has done something after all that nobody has counted yet: it has sent, or
 * taken, bytes. Under the lock, or from a signal handler, right before it is ended for a reason
 * that its client has given by doing nothing. */
bool request_is_spared(struct hd_request *req, enum close_reason reason);
/* From another flow, as draining begins: ends a wait for input with nothing arrived, if idle. A
 * client that has only just connected is spared: its first message is on its way, and no reload may
 * cut it; to be called again after REQUEST_FRESH_NS. */
#define REQUEST_FRESH_NS CLOCK_NS_PER_S
void request_cancel_idle(struct hd_request *req);
void request_cancel_idle_here(struct hd_request *req);

/* Whether the client has connected less than REQUEST_FRESH_NS ago and has sent nothing yet. */
bool request_is_fresh(const struct hd_request *req);

/* Remembers that the connection itself produced this error, and returns it. In request.c. */
int request_note_error(struct hd_request *req, int error);
/* Whether a handler that returns this error only tells how its connection ended. */
bool request_is_reason(const struct hd_request *req, int error);

/* Bytes that the client has sent, and that were sent to it; for whoever looks on, too. */
static inline void
request_count_in(struct hd_request *req, uint64_t bytes)
{
	req->bytes_in += bytes;
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->bytes_in, req->bytes_in, memory_order_relaxed);
}

static inline void
request_count_out(struct hd_request *req, uint64_t bytes)
{
	req->bytes_out += bytes;
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->bytes_out, req->bytes_out, memory_order_relaxed);
}

/* Tells whoever looks on what the connection is doing. */
static inline void
request_show_phase(const struct hd_request *req, enum scoreboard_phase phase)
{
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->phase, phase, memory_order_relaxed);
}

/* Tells whoever looks on what of its client the flow waits for: SCOREBOARD_WAITS_... or 0. */
static inline void
request_show_waits(const struct hd_request *req, unsigned waits)
{
	if (req->slot != NULL)
		atomic_store_explicit(&req->slot->waits, (uint16_t)waits, memory_order_relaxed);
}

struct log_context request_log_context(const struct hd_request *req);

#endif
