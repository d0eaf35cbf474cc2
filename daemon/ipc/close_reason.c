/*
 * close_reason.c - the words.
 */
#include "ipc/close_reason.h"

static const struct {
	const char *name, *text;
} close_reasons[CLOSE_REASONS] = {
	[CLOSE_NONE] = {"none", "none"},
	[CLOSE_DONE] = {"done", "done"},
	[CLOSE_BY_CLIENT] = {"closed_by_client", "closed by the client"},
	[CLOSE_RESET] = {"reset_by_client", "reset by the client"},
	[CLOSE_HANDLER_ERROR] = {"handler_error", "handler error"},
	[CLOSE_CRASH] = {"crash", "crash"},
	[CLOSE_HANDLERS_LIMIT] = {"timeout", "timeout"},
	[CLOSE_FIRST_BYTE] = {"first_byte_timeout", "first byte timeout"},
	[CLOSE_IDLE] = {"idle_timeout", "idle timeout"},
	[CLOSE_TOTAL] = {"total_timeout", "total timeout"},
	[CLOSE_SEND] = {"send_timeout", "send timeout"},
	[CLOSE_MIN_RATE] = {"below_min_rate", "below the minimum rate"},
	[CLOSE_HANDLER_TIMEOUT] = {"handler_timeout", "handler timeout"},
	[CLOSE_SESSION_TIMEOUT] = {"session_timeout", "session timeout"},
	[CLOSE_DRAIN] = {"drain", "drain"},
	[CLOSE_KILLED] = {"killed", "killed"},
	[CLOSE_VERIFY] = {"refused_by_handler", "refused by the handler"},
	[CLOSE_ACCESS] = {"access", "access"},
	[CLOSE_TIME] = {"time", "outside of access.times"},
	[CLOSE_BANNED] = {"banned", "banned"},
	[CLOSE_RATE] = {"rate", "rate"},
	[CLOSE_SOURCE_RATE] = {"source_rate", "rate of its source"},
	[CLOSE_SOURCE_CONNECTIONS] = {"source_connections", "connections of its source"},
	[CLOSE_LIMIT] = {"limit", "limit of connections"},
	[CLOSE_OVERLOAD] = {"overload", "overload"},
};

const char *
close_reason_text(enum close_reason reason)
{
	return close_reasons[reason].text;
}

const char *
close_reason_name(enum close_reason reason)
{
	return close_reasons[reason].name;
}
