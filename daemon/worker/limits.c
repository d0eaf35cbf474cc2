/*
 * limits.c - what the settings say of clients, as it is asked in front of every handler.
 */
#include "worker/worker.h"

int
worker_open_admission(struct worker *worker)
{
	const struct worker_limits *limits = &worker->settings.limits;
	struct admission *admission = &worker->server.admission;

	admission->board = worker->server.board;
	admission->has_sources = limits->source_sets > 0;
	admission->connections_per_source = limits->connections_per_source;
	admission->rate = bucket_rate_of(limits->rate, limits->rate_burst);
	admission->source_rate = bucket_rate_of(limits->source_rate, limits->source_rate_burst);
	/* what others' sessions wait for may stand behind */
	admission->waits_for_rate = limits->rate != 0 && limits->on_limit == WORKER_WAIT &&
				    !worker->settings.has_sessions;
	admission->source_rules = (struct sources_rules){
		.key = limits->source_key,
		.prefix_ipv4 = limits->source_prefix_ipv4,
		.prefix_ipv6 = limits->source_prefix_ipv6,
	};
	admission->sources =
		sources_of_board(worker->server.board, worker->settings.limit, limits->source_sets);
	if (admission->has_sources || (limits->rate != 0 && !admission->waits_for_rate))
		admission->is_asked = true;
	worker->server.pace_rates[PACE_IN] = limits->receive_rate;
	worker->server.pace_rates[PACE_OUT] = limits->send_rate;
	worker->server.is_paced = limits->receive_rate != 0 || limits->send_rate != 0;
	worker->server.request_memory = limits->request_memory;
	return sources_init(&admission->sources);
}

void
worker_count_older(struct worker *worker)
{
	worker->server.admission.older = (struct sources_older){
		.tables = worker->mode.older.tables,
		.count = worker->mode.older.count,
		.is_over = &worker->mode.older.is_over,
	};
}
