/*
 * forking_death.c - what is told of a child that has died while it served.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

#include "concurrency/forking.h"

#define FORKING_CRASHES_LOGGED 10

void
forking_log_death(struct forking *forking, pid_t pid, int status, uint64_t connection_id)
{
	const struct hd_server *server = forking->mode->server;
	uint64_t suppressed = 0;

	if (!log_limit(&forking->crash_limiter, FORKING_CRASHES_LOGGED, &suppressed))
		return;
	if (WIFSIGNALED(status))
		log_error(
			"'%s' child %d (handler '%s') was killed by signal %d (%s)%s while serving "
			"connection #%" PRIu64 "; no other connection is affected",
			server->name, (int)pid, server->handler.name, WTERMSIG(status),
			strsignal(WTERMSIG(status)), WCOREDUMP(status) ? ", core dumped" : "",
			connection_id);
	else
		log_error("'%s' child %d (handler '%s') ended by itself (exit status %d) while "
			  "serving connection "
			  "#%" PRIu64 "; no other connection is affected",
			  server->name, (int)pid, server->handler.name, WEXITSTATUS(status),
			  connection_id);
	if (suppressed > 0)
		log_error("'%s': %" PRIu64 " more deaths of children were not logged", server->name,
			  suppressed);
}
