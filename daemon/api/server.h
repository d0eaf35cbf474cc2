/*
 * server.h - the inside of struct hd_server: one listener in one worker process.
 *
 * Written while the worker starts, read-only afterwards but for what is marked.
 */
#ifndef API_SERVER_H
#define API_SERVER_H

#include <handlerd/handler.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "api/option.h"
#include "api/pace.h"
#include "base/elf.h"
#include "base/log.h"
#include "ipc/connection_log.h"
#include "ipc/ports.h"
#include "ipc/scoreboard.h"
#include "policy/admission.h"

/* What the loader found in the handler file. */
struct server_handler {
	const char *name;			  /* as configured */
	char build_id[2 * ELF_BUILD_ID_SIZE + 1]; /* of the file; "" */
	int (*setup)(struct hd_request *req);
	int (*handle)(struct hd_request *req);
	void (*finish)(struct hd_request *req);
	struct hd_handler descriptor; /* our size; what the handler lacks is 0 */
	/* Of the C++ library that the handler uses: where a thread keeps the exceptions that are
	 * being handled. NULL: it uses none. */
	void *(*exceptions)(void);
};

/* One cause is told at a bounded rate by all flows together, forked children included: they stand
 * in memory that children share. */
struct server_limiters {
	struct log_limiter errors;   /* of the handler */
	struct log_limiter ends;     /* of connections, and clients that were turned away */
	struct log_limiter accepts;  /* that failed */
	struct log_limiter spawns;   /* of threads and children, that failed */
	struct log_limiter timeouts; /* of requests that take too long */
	struct log_limiter slow;     /* fibers that do not wait */
};

struct waiter_ops;

struct hd_server {
	const char *name; /* not owned */
	uint32_t generation;
	struct server_handler handler;
	struct option_store options;
	void *data; /* the handler's */
	const struct waiter_ops *waiter;
	struct scoreboard *board; /* not owned */
	struct admission admission;
	struct connection_log connection_log;
	size_t max_datagram;		/* bytes */
	bool is_paced;			/* one of the next two is not 0 */
	uint64_t pace_rates[PACE_WAYS]; /* bytes for a second, of one connection; 0: any */
	size_t request_memory;		/* bytes; 0: any */
	uint32_t amplification;		/* answer to question, in thousandths; 0: any */
	bool answers_low_ports;
	/* Of timeouts that ask what the client takes: how often a flow that waits for that tells;
	 * 0: there are none. */
	int64_t tell_ns;
	int send_flags; /* MSG_DONTWAIT where a flow must not wait in send(2), since it tells */
	const struct port_page *ports; /* NULL: it serves connections; not owned */
	bool is_sharing_over;	       /* hd_server_shared is refused from now on */

	/* Set once by the control flow, read by every flow. */
	_Atomic bool is_draining;
	_Atomic bool is_cancelled;
	int cancel_fd; /* eventfd, readable once everything is cancelled; owned */

	/* The requests of this process, live or not; guarded by the lock. */
	pthread_mutex_t requests_lock;
	struct hd_request *requests;
	/* Which flow had which id last: a guess that saves a search. Owned; NULL: none is made. */
	_Atomic(struct hd_request *) *guesses;
	size_t guess_mask;

	struct server_limiters *limiters; /* owned */
};

/* 0 or a negative errno. */
int server_init(struct hd_server *server, const char *name, uint32_t generation);
void server_destroy(struct hd_server *server);

void server_add_request(struct hd_server *server, struct hd_request *req);
void server_remove_request(struct hd_server *server, struct hd_request *req);

/* Remembers, from now on, which flow has which id: for modes in which one flow wakes another of up
 * to `limit`. 0 or -ENOMEM. */
int server_remember_requests(struct hd_server *server, size_t limit);

/* A flow has this id now; its own, or under its lock. */
static inline void
server_note_request(struct hd_server *server, struct hd_request *req, uint64_t id)
{
	if (server->guesses != NULL)
		atomic_store_explicit(&server->guesses[id & server->guess_mask], req,
				      memory_order_relaxed);
}

/* Under the lock of the request: it has this id no more, and may go. */
static inline void
server_forget_request(struct hd_server *server, const struct hd_request *req, uint64_t id)
{
	if (server->guesses != NULL &&
	    atomic_load_explicit(&server->guesses[id & server->guess_mask], memory_order_relaxed) ==
		    req)
		atomic_store_explicit(&server->guesses[id & server->guess_mask], NULL,
				      memory_order_relaxed);
}

/* Under the list's lock: the request that has, or had a moment ago, this id; NULL: none. */
struct hd_request *server_find_request(struct hd_server *server, uint64_t id);

/* Draining begins: from now on hd_draining() is true, and requests that wait idle are cancelled. */
void server_begin_drain(struct hd_server *server);

/* The deadline has passed: every wait of every request returns -ECANCELED, now and later. */
void server_cancel_requests(struct hd_server *server);

/* Cancels the request with this id, with the connections that its handler has made. Returns whether
 * there is one. */
bool server_kill_request(struct hd_server *server, uint64_t id);

/* The log context of this listener. */
struct log_context server_log_context(const struct hd_server *server);

#endif
