/*
 * connection_log.c - the record, as text and as members.
 */
#include "ipc/connection_log.h"

#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"

#define CONNECTION_LOG_S_PER_HOUR 3600
#define CONNECTION_LOG_NUMBER_SIZE 32
/* Of those that were refused, while they alone are logged, in 10 s: nobody has asked for them. */
#define CONNECTION_LOG_REFUSED 100

static const char *
connection_log_kind(enum connection_kind kind)
{
	static const char *const names[] = {
		[CONNECTION_STREAM] = "connection",
		[CONNECTION_DATAGRAM] = "datagram",
		[CONNECTION_SESSION] = "session",
	};

	return names[kind];
}

static bool
connection_log_is_refusal(enum close_reason reason)
{
	return reason >= CLOSE_VERIFY;
}

static bool
connection_log_is_within_rate(const struct connection_log *log, struct log_limiter *limiter,
			      enum close_reason reason, uint64_t *ret_left_out)
{
	uint64_t per_second = log->rate_per_hour / CONNECTION_LOG_S_PER_HOUR;

	if (connection_log_is_refusal(reason) && !log->has_all)
		return log_limit(limiter, CONNECTION_LOG_REFUSED, ret_left_out);
	if (log->rate_per_hour == 0)
		return true;
	if (per_second > 0)
		return log_limit_in(limiter, per_second, CLOCK_NS_PER_S, ret_left_out);
	/* less than one in a second: one, and a pause */
	return log_limit_in(limiter, 1,
			    CONNECTION_LOG_S_PER_HOUR * CLOCK_NS_PER_S /
				    (int64_t)log->rate_per_hour,
			    ret_left_out);
}

bool
connection_log_may(const struct connection_log *log, struct log_limiter *limiter,
		   _Atomic uint64_t *unlogged, enum close_reason reason, uint64_t *ret_left_out)
{
	*ret_left_out = 0;
	if (!(connection_log_is_refusal(reason) ? log->has_refused : log->has_all) ||
	    !log_is_enabled(LOG_LEVEL_INFO))
		return false;
	if (connection_log_is_within_rate(log, limiter, reason, ret_left_out))
		return true;
	(void)atomic_fetch_add_explicit(unlogged, 1, memory_order_relaxed);
	return false;
}

/* "connection ended: done", "refused: access", "refused by the handler's verify: ..." */
static void
connection_log_add_words(struct line *line, const struct connection_end *end)
{
	bool is_refusal = connection_log_is_refusal(end->reason);

	line_add_text(line, is_refusal ? "refused" : connection_log_kind(end->kind));
	if (is_refusal && end->why != NULL) {
		line_add_text(line, " ");
		line_add_text(line, end->why);
		return;
	}
	line_add_text(line, is_refusal ? ": " : " ended: ");
	line_add_text(line, close_reason_text(end->reason));
}

/* By hand: with printf() this would be most of what a record costs. */
static void
connection_log_write_line(const struct log_context *context, const struct connection_end *end,
			  int64_t taken_us, const char *start, uint64_t left_out)
{
	struct line *line = log_begin(LOG_LEVEL_INFO);

	if (line == NULL)
		return;
	connection_log_add_words(line, end);
	line_add_text(line, "; ");
	line_add_u64(line, end->bytes_in);
	line_add_text(line, " bytes in, ");
	line_add_u64(line, end->bytes_out);
	line_add_text(line, " bytes out, ");
	line_add_u64(line, (uint64_t)taken_us / 1000);
	line_add_text(line, ".");
	line_add_padded(line, (uint64_t)taken_us % 1000, 3);
	line_add_text(line, " ms, since ");
	line_add_text(line, start);
	line_add_text(line, "; handler '");
	line_add_text(line, context->handler);
	line_add_text(line, "', generation ");
	line_add_u64(line, context->generation);
	if (left_out > 0) {
		line_add_text(line, "; ");
		line_add_u64(line, left_out);
		line_add_text(line, " before it were left out of the log");
	}
	log_end(LOG_LEVEL_INFO, context, line);
}

/* A number as a string, for a field. */
static void
connection_log_put(char *number, uint64_t whole, uint64_t micro, bool has_micro)
{
	struct line line = {.data = number, .limit = CONNECTION_LOG_NUMBER_SIZE - 1};

	line_add_u64(&line, whole);
	if (has_micro) {
		line_add_text(&line, ".");
		line_add_padded(&line, micro, 6);
	}
	number[line.length] = '\0';
}

static void
connection_log_write_fields(struct log_context *context, const struct connection_end *end,
			    int64_t taken_us, const char *start, uint64_t left_out)
{
	char in[CONNECTION_LOG_NUMBER_SIZE], out[CONNECTION_LOG_NUMBER_SIZE];
	char duration[CONNECTION_LOG_NUMBER_SIZE], count[CONNECTION_LOG_NUMBER_SIZE];
	const struct log_field fields[] = {
		{"kind", "KIND", connection_log_kind(end->kind), false},
		{"reason", "REASON", close_reason_name(end->reason), false},
		{"start", "START", start, false},
		{"duration_seconds", "DURATION_SECONDS", duration, true},
		{"bytes_in", "BYTES_IN", in, true},
		{"bytes_out", "BYTES_OUT", out, true},
		{"left_out", "LEFT_OUT", count, true},
	};

	connection_log_put(in, end->bytes_in, 0, false);
	connection_log_put(out, end->bytes_out, 0, false);
	connection_log_put(duration, (uint64_t)taken_us / 1000000, (uint64_t)taken_us % 1000000,
			   true);
	connection_log_put(count, left_out, 0, false);
	context->fields = fields;
	context->field_count = COUNT_OF(fields) - (left_out == 0);
	connection_log_write_line(context, end, taken_us, start, left_out);
	context->fields = NULL;
	context->field_count = 0;
}

void
connection_log_write(const struct log_context *context, const struct connection_end *end,
		     uint64_t left_out)
{
	struct log_context whole = *context;
	char start[LOG_TIME_SIZE];
	int64_t now_ns = clock_now_ns(), taken_us = 0;
	struct timespec now;

	/* a number that cannot be is no time */
	if (end->opened_ns > 0 && end->opened_ns <= now_ns)
		taken_us = (now_ns - end->opened_ns) / 1000;
	(void)clock_gettime(CLOCK_REALTIME, &now);
	(void)log_format_time(now.tv_sec * CLOCK_NS_PER_S + now.tv_nsec - taken_us * 1000, start,
			      sizeof(start));
	whole.event = connection_log_is_refusal(end->reason) ? LOG_EVENT_REFUSED
							     : LOG_EVENT_CONNECTION_ENDED;
	whole.is_one_of_many = true;
	if (log_has_fields())
		connection_log_write_fields(&whole, end, taken_us, start, left_out);
	else
		connection_log_write_line(&whole, end, taken_us, start, left_out);
}
