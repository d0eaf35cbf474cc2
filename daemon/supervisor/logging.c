/*
 * logging.c - where the daemon logs to and how much; every worker is told the level.
 */
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "supervisor/supervisor.h"

static void
logging_tell_listener(struct listener *listener, const struct buf *payload)
{
	if (listener->current != NULL)
		process_send(&listener->current->process, PROTOCOL_LOG_LEVEL, payload);
	if (listener->recycle.next != NULL)
		process_send(&listener->recycle.next->process, PROTOCOL_LOG_LEVEL, payload);
	for (struct child *child = listener->old; child != NULL; child = child->next)
		process_send(&child->process, PROTOCOL_LOG_LEVEL, payload);
}

static void
logging_tell(struct supervisor *supervisor, uint32_t level)
{
	struct buf payload = {0};

	buf_add_u32(&payload, level);
	for (size_t i = 0; i < supervisor->listener_count; i++)
		logging_tell_listener(supervisor->listeners[i], &payload);
	for (size_t i = 0; i < supervisor->leaving_count; i++)
		logging_tell_listener(supervisor->leaving[i], &payload);
	buf_free(&payload);
}

/* Standard error; of a terminal, a descriptor that does not wait. */
static int
logging_error_fd(void)
{
	static int terminal_fd = -1;

	if (terminal_fd < 0)
		terminal_fd = log_open_terminal(STDERR_FILENO);
	return terminal_fd >= 0 ? terminal_fd : STDERR_FILENO;
}

void
supervisor_open_log(struct supervisor *supervisor, const struct config *config)
{
	bool wants_journal =
		config->log_target == CONF_LOG_JOURNAL ||
		(config->log_target == CONF_LOG_AUTO && log_target_auto() == LOG_TARGET_JOURNAL);
	int *journal_fd = &supervisor->world.journal_fd;

	if (wants_journal && *journal_fd < 0) {
		int r = log_connect_journal();

		if (r < 0)
			log_warning("the journal cannot be reached (%s); logging to standard error",
				    strerror(-r));
		else
			*journal_fd = r;
	}
	if (!wants_journal && *journal_fd >= 0) {
		(void)close(*journal_fd);
		*journal_fd = -1;
	}
	log_open(*journal_fd >= 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR,
		 *journal_fd >= 0 ? *journal_fd : logging_error_fd(),
		 config->log_format == CONF_LOG_JSON, (int)config->log_level, "handlerd");
	supervisor->world.connection_log = (struct connection_log){
		.has_refused = config->log_connections != CONF_LOG_CONNECTIONS_NONE,
		.has_all = config->log_connections == CONF_LOG_CONNECTIONS_ALL,
		.rate_per_hour = (uint64_t)config->log_connection_rate,
	};
	supervisor->world.log_level = 0;
	logging_tell(supervisor, (uint32_t)config->log_level);
}

/*
 * Whom a record of the native protocol came from, the journal learns from /proc, too late for a
 * process that ends at once: `journalctl -u` would not find why a start failed. Of the stream it
 * knows the unit.
 */
void
supervisor_log_by_stream(int level)
{
	if (log_target_auto() == LOG_TARGET_JOURNAL)
		log_open(LOG_TARGET_STREAM, STDERR_FILENO, false, level, "handlerd");
}

void
supervisor_set_log_level(struct supervisor *supervisor, int level)
{
	supervisor->world.log_level = level;
	supervisor->world.log_level_of = supervisor->config;
	log_set_level(level);
	logging_tell(supervisor, (uint32_t)level);
}

int
supervisor_log_level(const struct supervisor *supervisor)
{
	if (supervisor->world.log_level != 0)
		return supervisor->world.log_level;
	return supervisor->config != NULL ? (int)supervisor->config->log_level : LOG_LEVEL_INFO;
}
