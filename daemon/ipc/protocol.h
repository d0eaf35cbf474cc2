/*
 * protocol.h - what supervisor and worker say to each other: the whole contract between them.
 *
 * A channel is a pair of SOCK_SEQPACKET sockets; each packet is one message: a header and a
 * payload. What a worker says is gossip: its length, type, version and generation are checked and
 * anything else is ignored. End of file on the worker's side means: drain; that holds in every
 * version.
 */
#ifndef IPC_PROTOCOL_H
#define IPC_PROTOCOL_H

#include <stdint.h>

#define PROTOCOL_VERSION 2
/* The oldest that is understood, too: after an upgrade the workers are those of before. The layout
 * of the scoreboard belongs to the version. */
#define PROTOCOL_OLDEST 2

enum protocol_type {
	/* worker to supervisor */
	PROTOCOL_HELLO = 1, /* executed, speaks this version */
	PROTOCOL_READY,	    /* loaded, server_start done, children forked; accepts nothing yet;
			       text: the handler's version */
	PROTOCOL_QUIET,	    /* no flow of control of this worker can accept any more; after
			       PAUSE: until ACCEPT comes */
	PROTOCOL_FAILED, /* stage u32, file text, line u32, text: why it cannot serve; may repeat */
	PROTOCOL_WARNING,     /* file text, line u32, text: found by a probe */
	PROTOCOL_DESCRIPTION, /* text: a piece of what a handler says of itself */
	PROTOCOL_CRASHED,  /* status u32, as of waitpid(2): of a forked child; not of every one in a
			      flood */
	PROTOCOL_KILLED,   /* id u64: this worker had that connection, and ends it */
	PROTOCOL_IDLE,	   /* answers RETIRE: serves nothing, and accepts nothing until ACCEPT */
	PROTOCOL_STUCK,	   /* id u64: the handler does not give back that connection, so the worker
			      ends itself */
	PROTOCOL_CONFINED, /* state u32, error u32: what has become of the filter of system calls;
			      PROTOCOL_REPORTED has its descriptor with it. Once, before a line of
			      the handler runs; a later one is ignored */
	PROTOCOL_SENSED, /* hi u64, lo u64: an address, as bans.h has it, has touched the sensor */

	/* supervisor to worker */
	PROTOCOL_ACCEPT = 64, /* begin to accept */
	PROTOCOL_DRAIN,	      /* deadline u64: stop accepting, end by then (monotonic ns) */
	PROTOCOL_STOP,	      /* end at once */
	PROTOCOL_LOG_LEVEL,   /* level u32 */
	PROTOCOL_ALONE,	      /* no older generation of this listener is left */
	PROTOCOL_KILL,	      /* id u64: end this connection; a worker that has it answers */
	PROTOCOL_PAUSE,	      /* accept no more until ACCEPT comes; what is served goes on */
	PROTOCOL_RETIRE,      /* pause if there is nothing to serve, and say IDLE; else go on */
};

/* How far a worker came. */
enum protocol_stage {
	PROTOCOL_STAGE_START,	 /* settings, descriptors */
	PROTOCOL_STAGE_IDENTITY, /* dropping privileges */
	PROTOCOL_STAGE_LOAD,	 /* the handler file */
	PROTOCOL_STAGE_OPTION,	 /* the listener's options */
	PROTOCOL_STAGE_SERVE,	 /* server_start, threads, children */
	PROTOCOL_STAGE_SANDBOX,	 /* what the listener's sandbox asks for */
};

/* What PROTOCOL_CONFINED tells. */
enum protocol_filter {
	PROTOCOL_NO_FILTER,
	PROTOCOL_REPORTED,   /* refused calls come through the descriptor, and wait for an answer */
	PROTOCOL_UNREPORTED, /* they fail by themselves; the error says why */
};

struct protocol_header {
	uint16_t version;
	uint16_t type;
	uint32_t generation;
};

/* The longest message, header included. */
#define PROTOCOL_MESSAGE_SIZE 16384

/* The descriptors a worker is born with; nothing else is open in it. */
enum {
	WORKER_FD_CHANNEL = 3,
	WORKER_FD_SETTINGS = 4,	  /* sealed; read with pread */
	WORKER_FD_SCOREBOARD = 5, /* shared, its size sealed */
	WORKER_FD_HANDLER = 6,	  /* the pinned handler file */
	WORKER_FD_LOG = 7,	  /* journal socket or standard error */
	/* these three can be read only, and are closed once they are mapped */
	WORKER_FD_PORTS = 8, /* what the daemon serves by datagrams; only for workers that do too */
	WORKER_FD_ACCESS = 9,	/* who may come in; only where there are rules */
	WORKER_FD_BANS = 10,	/* who may come nowhere; not for Unix sockets */
	WORKER_FD_SOCKETS = 11, /* the first socket of the listener; behind the last one an event
				  that    all generations of the listener share, and the scoreboards
				  of the older ones */
};

/* What a worker is executed with, for its C library, and takes out of its environment at once: no
 * restartable sequences. The kernel would write to a page of each thread whenever it runs again; of
 * a forked child, and of its parent after each fork, that is a page to copy. */
#define WORKER_TUNABLES_NAME "GLIBC_TUNABLES"
#define WORKER_TUNABLES "glibc.pthread.rseq=0"

#endif
