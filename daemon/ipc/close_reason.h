/*
 * close_reason.h - why a connection, a session or a datagram came to its end: one word for each
 * cause, the same in the scoreboard, the log, the status and the list of connections.
 */
#ifndef IPC_CLOSE_REASON_H
#define IPC_CLOSE_REASON_H

#include <stdbool.h>

enum close_reason {
	CLOSE_NONE, /* it goes on; as a judgement: it may come in */

	/* of what was served */
	CLOSE_DONE,	       /* the handler came to its end */
	CLOSE_BY_CLIENT,       /* after the client's end of file */
	CLOSE_RESET,	       /* by the client */
	CLOSE_HANDLER_ERROR,   /* setup or handle returned one of its own */
	CLOSE_CRASH,	       /* with the process that served it */
	CLOSE_HANDLERS_LIMIT,  /* what the handler has set with hd_set_timeout */
	CLOSE_FIRST_BYTE,      /* timeouts.first_byte */
	CLOSE_IDLE,	       /* timeouts.idle */
	CLOSE_TOTAL,	       /* timeouts.total */
	CLOSE_SEND,	       /* timeouts.send */
	CLOSE_MIN_RATE,	       /* timeouts.min_rate */
	CLOSE_HANDLER_TIMEOUT, /* timeouts.handler */
	CLOSE_SESSION_TIMEOUT, /* udp.session_timeout */
	CLOSE_DRAIN,	       /* its worker had to go */
	CLOSE_KILLED,	       /* somebody asked for it */

	/* of what was turned away: by the handler, and before it */
	CLOSE_VERIFY,
	CLOSE_ACCESS,		  /* access.allow, access.deny, access.file */
	CLOSE_TIME,		  /* access.times */
	CLOSE_BANNED,		  /* access.sensor, of any listener */
	CLOSE_RATE,		  /* limits.rate */
	CLOSE_SOURCE_RATE,	  /* limits.rate_per_source */
	CLOSE_SOURCE_CONNECTIONS, /* limits.connections_per_source */
	CLOSE_LIMIT,		  /* max_connections */
	CLOSE_OVERLOAD,		  /* limits.overload */
	CLOSE_REASONS,
};

/* Turned away before a request was made of it: no flow has counted it. */
#define CLOSE_FIRST_TURNED_AWAY CLOSE_ACCESS

/* In words, as a log line has it; and as a word of letters and underscores, for programs. */
const char *close_reason_text(enum close_reason reason);
const char *close_reason_name(enum close_reason reason);

#endif
