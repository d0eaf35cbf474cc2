/*
 * scoreboard.h - the numbers a worker shows: one memory file for each worker, two cache lines
 * for each flow of control (thread or child), written by that flow alone and read by anybody.
 *
 * The supervisor reads each field once, believes nothing but that it is a number, and follows none
 * as an index, pid or pointer.
 */
#ifndef IPC_SCOREBOARD_H
#define IPC_SCOREBOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/log.h"
#include "base/log_file.h"
#include "ipc/close_reason.h"
#include "ipc/crash.h"

/* What a connection is doing. */
enum scoreboard_phase {
	SCOREBOARD_VERIFY, /* and setup */
	SCOREBOARD_HANDLE,
	SCOREBOARD_IDLE, /* the handler has said hd_set_idle */
	SCOREBOARD_FINISH,
	SCOREBOARD_CLOSE, /* flushing and lingering */
	SCOREBOARD_PHASES,
};

/* Bits of what a connection's flow waits for: its client. */
#define SCOREBOARD_WAITS_INPUT 0x1U
#define SCOREBOARD_WAITS_OUTPUT 0x2U

struct scoreboard_slot {
	_Atomic uint64_t accepted;
	_Atomic uint64_t finished;	/* came to an end, whatever it was */
	_Atomic uint64_t refused;	/* turned away before setup */
	_Atomic uint64_t failed;	/* of the finished: setup or handle returned an error */
	_Atomic uint64_t crashed;	/* ended with the child that served it */
	_Atomic uint64_t connection_id; /* being served, 0: none */
	_Atomic uint32_t state;		/* of a forked child; the worker's own business */
	_Atomic uint32_t order;		/* to a forked child: enum scoreboard_order */
	_Atomic uint64_t ordered_id;	/* the connection that the order is about */

	/* The second cache line: of the connection that is being served. */
	_Atomic int64_t opened_ns; /* monotonic */
	_Atomic uint64_t bytes_in;
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t peer[2];    /* an address; of a Unix peer: pid and uid */
	_Atomic uint32_t peer_kind;  /* AF_INET, AF_INET6, AF_UNIX, or 0; above 16 bits: the port */
	_Atomic uint32_t phase;	     /* enum scoreboard_phase */
	_Atomic uint32_t peer_scope; /* of a link-local IPv6 address: the number of the link */
	_Atomic uint32_t
		source; /* what admission_leave wants back, should this flow's process die */
	_Atomic uint32_t unsent; /* bytes of bytes_out that the client has not taken yet; told while
				    the flow waits for that, else 0 */
	_Atomic uint16_t waits;	 /* SCOREBOARD_WAITS_... */
	_Atomic uint16_t reason; /* enum close_reason: why it is being ended; CLOSE_NONE: it goes on
				  */
} __attribute__((aligned(64)));

/* What the parent wants of a forked child, told by SIGTERM. */
enum scoreboard_order {
	SCOREBOARD_GO_ON,
	SCOREBOARD_END_CONNECTION,
	SCOREBOARD_TIME_OUT, /* the same, for the close reason that stands in the bits above */
};

#define SCOREBOARD_ORDER_BITS 8

static inline uint32_t
scoreboard_order_time_out(enum close_reason reason)
{
	return SCOREBOARD_TIME_OUT | (uint32_t)reason << SCOREBOARD_ORDER_BITS;
}

/* A copy of what a slot tells of its connection. */
struct scoreboard_connection {
	uint64_t id; /* 0: none */
	int64_t opened_ns;
	uint64_t bytes_in, bytes_out;
	uint64_t peer[2];
	uint32_t peer_kind, peer_scope;
	uint32_t unsent;
	unsigned waits; /* SCOREBOARD_WAITS_... */
	enum scoreboard_phase phase;
	enum close_reason reason;
};

/* Why a datagram went unserved or unanswered. Seldom; so all flows count in the same place. */
enum scoreboard_drop {
	SCOREBOARD_TOO_LONG,	  /* longer than max_datagram */
	SCOREBOARD_EMPTY,	  /* without a byte, for a session */
	SCOREBOARD_SESSIONS_FULL, /* of a new peer, with max_sessions open */
	SCOREBOARD_QUEUE_FULL,	  /* of a peer whose session does not read as fast */
	SCOREBOARD_UNREAD,	  /* of a peer whose session ended without reading any */
	SCOREBOARD_AMPLIFIED,	  /* an answer that was too long for its question */
	SCOREBOARD_LOW_PORT,	  /* an answer to a port below 1024 */
	SCOREBOARD_OWN_PORT,	  /* an answer to a port that the daemon itself serves */
	SCOREBOARD_UNSENT,	  /* an answer that could not be sent */
	SCOREBOARD_DROPS,
};

struct scoreboard {
	_Atomic uint64_t next_connection_id;
	_Atomic uint32_t child_phase;	   /* what a forked child must do, see forking */
	_Atomic uint32_t used_slots;	   /* slots from this one on were never written */
	_Atomic uint32_t waiting_children; /* forked ones that may accept at any moment */
	_Atomic uint32_t is_paused;	   /* no flow may accept until the worker is told to */
	_Atomic int64_t took_datagram_ns;  /* when the flow did that takes one after the other; 0:
					      none does */
	_Atomic int64_t last_datagram_ns;  /* the same, when the last one was taken */
	_Atomic uint64_t timed_out;	   /* requests that took longer than timeouts.handler */
	_Atomic uint32_t is_shedding;	   /* new work is refused: the machine is short of memory or
					      processors */
	_Atomic uint64_t dropped[SCOREBOARD_DROPS];
	struct crash_record crash;
	/* How many came to their end for which reason; seldom enough for one place. */
	_Alignas(64) _Atomic uint64_t ended[CLOSE_REASONS];
	struct log_shared log;		  /* of the worker and its children */
	_Atomic uint64_t unlogged;	  /* of those: log.connection_rate has left them out */
	_Atomic int64_t sensor_window_ns; /* a sensor's: when this second of reports began */
	_Atomic uint32_t sensor_reports;  /* in it */
	/* Records that are not in the log's file yet. Its pages are touched when it is used. */
	struct log_spool spool;
	struct scoreboard_slot slots[];
};

/* Sums over the slots. */
struct scoreboard_totals {
	uint64_t accepted, finished, refused, failed, crashed, timed_out, unlogged;
	uint64_t dropped[SCOREBOARD_DROPS];
	uint64_t ended[CLOSE_REASONS]; /* those that were turned away are in accepted and refused */
};

/* The most slots a scoreboard has: as many as max_connections may be. */
#define SCOREBOARD_MOST_SLOTS 1000000

size_t scoreboard_size(size_t slot_count);
/* A flow is about to write to this slot. */
void scoreboard_use_slot(struct scoreboard *board, uint32_t slot);
/* Connections that have been accepted and have not come to an end. */
uint64_t scoreboard_count_open(const struct scoreboard *board, size_t slot_count);
struct scoreboard_totals scoreboard_sum(const struct scoreboard *board, size_t slot_count);

/* Copies what a slot tells of its connection. Returns whether it serves one; numbers that a worker
 * is just writing may not fit each other. */
bool scoreboard_read_connection(const struct scoreboard *board, size_t slot,
				struct scoreboard_connection *ret);
/* The peer as hd_client_name has it; PEER_NAME_SIZE is enough. Returns buf. */
const char *scoreboard_format_peer(const struct scoreboard_connection *connection, char *buf,
				   size_t size);
const char *scoreboard_phase_name(enum scoreboard_phase phase);
/* "input", "output", "input or output"; NULL: it does not wait for its client. */
const char *scoreboard_waits_name(unsigned waits);

/* What a reason is called where it is shown. */
const char *scoreboard_drop_name(enum scoreboard_drop reason);

/* Adds the numbers of one to the other. */
void scoreboard_add(struct scoreboard_totals *to, const struct scoreboard_totals *more);

static inline void
scoreboard_drop(struct scoreboard *board, enum scoreboard_drop reason, uint64_t count)
{
	(void)atomic_fetch_add_explicit(&board->dropped[reason], count, memory_order_relaxed);
}

/* One more has come to its end. Those that no flow has taken on (from CLOSE_FIRST_TURNED_AWAY on)
 * are counted here alone. */
static inline void
scoreboard_end(struct scoreboard *board, enum close_reason reason, uint64_t count)
{
	(void)atomic_fetch_add_explicit(&board->ended[reason], count, memory_order_relaxed);
}

/* Connection ids of one worker: from this one on. They are unique in the daemon as long as no more
 * workers than that were ever started. */
#define SCOREBOARD_IDS_PER_WORKER UINT64_C(1000000000000)
#define SCOREBOARD_MOST_SERIALS UINT64_C(9000000)

/* Adds 1 to a field of a slot that only this flow writes. */
static inline void
scoreboard_count(_Atomic uint64_t *field)
{
	atomic_store_explicit(field, atomic_load_explicit(field, memory_order_relaxed) + 1,
			      memory_order_relaxed);
}

#endif
