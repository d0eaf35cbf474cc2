/*
 * birth.c - what a worker of a listener is told: its settings.
 */
#include "supervisor/birth.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/memory.h"
#include "conf/check.h"
#include "policy/sources.h"
#include "supervisor/listener.h"

static uint32_t
birth_option_type(enum conf_value_type type)
{
	switch (type) {
	case CONF_VALUE_INT:
		return WORKER_OPTION_INT;
	case CONF_VALUE_BOOL:
		return WORKER_OPTION_BOOL;
	case CONF_VALUE_STRING:
		return WORKER_OPTION_STRING;
	default:
		return WORKER_OPTION_LIST;
	}
}

static uint32_t
birth_concurrency(int64_t concurrency)
{
	switch (concurrency) {
	case CONF_FORKING:
		return WORKER_FORKING;
	case CONF_SERIAL:
		return WORKER_SERIAL;
	case CONF_FIBERS:
		return WORKER_FIBERS;
	default:
		return WORKER_THREADING;
	}
}

static uint32_t
birth_protocol(int64_t protocol)
{
	switch (protocol) {
	case CONF_UDP:
		return WORKER_UDP;
	case CONF_UNIX:
		return WORKER_UNIX;
	case CONF_UNIXGRAM:
		return WORKER_UNIXGRAM;
	default:
		return WORKER_TCP;
	}
}

static uint32_t
birth_on_limit(int64_t on_limit)
{
	switch (on_limit) {
	case CONF_LIMIT_CLOSE:
		return WORKER_CLOSE;
	case CONF_LIMIT_RESET:
		return WORKER_RESET;
	default:
		return WORKER_WAIT;
	}
}

static uint32_t
birth_seccomp(int64_t seccomp)
{
	switch (seccomp) {
	case CONF_SECCOMP_OFF:
		return WORKER_SECCOMP_OFF;
	case CONF_SECCOMP_STRICT:
		return WORKER_SECCOMP_STRICT;
	default:
		return WORKER_SECCOMP_STANDARD;
	}
}

static void
birth_add_sandbox(const struct conf_listener *conf, struct worker_settings *settings)
{
	settings->seccomp = birth_seccomp(conf->sandbox.seccomp);
	settings->has_network = conf->sandbox.network;
	settings->paths = conf->sandbox.filesystem.items;
	settings->path_count = (uint32_t)conf->sandbox.filesystem.count;
}

static struct worker_option *
birth_options(const struct conf_listener *conf, bool has_origins)
{
	struct worker_option *options = memory_zero(conf->option_count, sizeof(*options));

	for (size_t i = 0; i < conf->option_count; i++) {
		const struct conf_option *option = &conf->options[i];

		options[i] = (struct worker_option){
			.name = option->name,
			.type = birth_option_type(option->type),
			.number = option->number,
			.text = option->text,
			.items = option->list.items,
			.item_count = (uint32_t)option->list.count,
			.file = has_origins ? (char *)option->origin.file : NULL,
			.line = has_origins ? option->origin.line : 0,
		};
	}
	return options;
}

#define BIRTH_RLIMIT(resource, field)                                                              \
	{                                                                                          \
		resource, offsetof(struct conf_rlimits, field)                                     \
	}

static const struct {
	uint32_t resource;
	size_t offset;
} birth_rlimit_rows[] = {
	BIRTH_RLIMIT(RLIMIT_AS, as),
	BIRTH_RLIMIT(RLIMIT_CORE, core),
	BIRTH_RLIMIT(RLIMIT_CPU, cpu_ms),
	BIRTH_RLIMIT(RLIMIT_DATA, data),
	BIRTH_RLIMIT(RLIMIT_FSIZE, fsize),
	BIRTH_RLIMIT(RLIMIT_MEMLOCK, memlock),
	BIRTH_RLIMIT(RLIMIT_MSGQUEUE, msgqueue),
	BIRTH_RLIMIT(RLIMIT_NOFILE, nofile),
	BIRTH_RLIMIT(RLIMIT_NPROC, nproc),
	BIRTH_RLIMIT(RLIMIT_SIGPENDING, sigpending),
	BIRTH_RLIMIT(RLIMIT_STACK, stack),
};
_Static_assert(COUNT_OF(birth_rlimit_rows) <= BIRTH_MOST_RLIMITS, "all have room");
_Static_assert(COUNT_OF(birth_rlimit_rows) == sizeof(struct conf_rlimits) / sizeof(int64_t),
	       "each has its row");

uint32_t
birth_rlimits(const struct conf_rlimits *conf, struct worker_rlimit ret[BIRTH_MOST_RLIMITS])
{
	uint32_t count = 0;

	for (size_t i = 0; i < COUNT_OF(birth_rlimit_rows); i++) {
		int64_t value =
			*(const int64_t *)((const char *)conf + birth_rlimit_rows[i].offset);

		if (value == CONF_UNSET)
			continue;
		ret[count].resource = birth_rlimit_rows[i].resource;
		if (value == CONF_UNLIMITED)
			ret[count++].value = UINT64_MAX;
		else
			ret[count++].value = (uint64_t)(birth_rlimit_rows[i].resource == RLIMIT_CPU
								? value / 1000
								: value);
	}
	return count;
}

struct cpus
birth_cpus(const struct conf_listener *conf)
{
	struct cpus cpus = {0};

	/* what is none was refused when it was read */
	for (size_t i = 0; i < conf->cpu_affinity.count; i++)
		(void)cpus_parse(conf->cpu_affinity.items[i], &cpus);
	return cpus;
}

/* What of the process itself is the listener's own. */
static void
birth_add_process(const struct conf_listener *conf, struct worker_settings *settings)
{
	struct cpus cpus = birth_cpus(conf);

	settings->umask = (uint32_t)conf->umask;
	settings->root_directory = conf->root_directory;
	settings->rlimits = memory_zero(BIRTH_MOST_RLIMITS, sizeof(*settings->rlimits));
	settings->rlimit_count = birth_rlimits(&conf->rlimits, settings->rlimits);
	settings->has_nice = conf->nice != CONF_UNSET;
	settings->nice = settings->has_nice ? (int32_t)conf->nice : 0;
	settings->cpus = cpus_count(&cpus) > 0 ? cpus_format(&cpus) : NULL;
	settings->has_oom_score = conf->oom_score_adj != CONF_UNSET;
	settings->oom_score = settings->has_oom_score ? (int32_t)conf->oom_score_adj : 0;
}

/* "none" is no time at all. */
static uint64_t
birth_timeout(int64_t ms)
{
	return ms < 0 ? 0 : (uint64_t)ms;
}

/* What clients may do. */
static void
birth_add_limits(const struct listener *listener, struct worker_settings *settings)
{
	const struct conf_limits *conf = &listener->conf->limits;
	const int64_t *key = listener->world->source_key;
	uint32_t most = settings->has_sessions && settings->max_sessions > settings->limit
				? settings->max_sessions
				: settings->limit;

	settings->limits = (struct worker_limits){
		.source_prefix_ipv4 = (uint32_t)conf->source_prefix_ipv4,
		.source_prefix_ipv6 = (uint32_t)conf->source_prefix_ipv6,
		.connections_per_source = (uint32_t)conf->connections_per_source,
		.rate = (uint64_t)conf->rate,
		.source_rate = (uint64_t)conf->rate_per_source,
		.rate_burst = (uint64_t)conf->rate_burst,
		.source_rate_burst = (uint64_t)conf->rate_per_source_burst,
		.on_limit = birth_on_limit(conf->on_limit),
		.on_source_limit = birth_on_limit(conf->on_source_limit),
		.banner = conf->banner,
		.send_rate = (uint64_t)conf->send_rate,
		.receive_rate = (uint64_t)conf->receive_rate,
		.request_memory = (uint64_t)conf->request_memory,
	};
	if (conf->connections_per_source == 0 && conf->rate_per_source == 0)
		return;
	settings->limits.source_sets = sources_count_sets(most);
	settings->limits.source_key = sources_derive_key(
		&(struct siphash_key){{(uint64_t)key[0], (uint64_t)key[1]}}, listener->conf->name);
}

struct worker_settings
listener_settings(const struct listener *listener, uint32_t generation, enum worker_purpose purpose)
{
	const struct conf_listener *conf = listener->conf;
	const struct config *config = listener->config;
	bool is_whole = generation != 0;
	struct worker_settings settings = {
		.purpose = purpose,
		.generation = generation,
		.supervisor_pid = getpid(),
		.supervisor_uid = geteuid(),
		.listener = conf->name,
		.handler = conf->handler,
		.handler_path = listener->pin.path,
		.handler_file = is_whole ? (char *)conf->handler_origin.file : NULL,
		.handler_line = is_whole ? conf->handler_origin.line : 0,
		.has_identity = listener->identity.is_dropped,
		.uid = listener->identity.uid,
		.gid = listener->identity.gid,
		.groups = listener->identity.groups,
		.group_count = listener->identity.group_count,
		.concurrency = birth_concurrency(conf->concurrency),
		.protocol = birth_protocol(conf->protocol),
		.limit = (uint32_t)conf_listener_limit(conf),
		.min_threads = (uint32_t)conf->threading.min_threads,
		.idle_timeout_ms = (uint64_t)conf->threading.idle_timeout_ms,
		.stack_size =
			(uint64_t)(conf->concurrency == CONF_FIBERS ? conf->fibers.stack_size
								    : conf->threading.stack_size),
		.fiber_threads = (uint32_t)conf->fibers.threads,
		.warn_after_ms =
			conf->fibers.warn_after_ms < 0 ? 0 : (uint64_t)conf->fibers.warn_after_ms,
		.spare_children = (uint32_t)conf->forking.spare_children,
		.connections_per_child = (uint64_t)conf->forking.connections_per_child,
		.handler_timeout_ms = birth_timeout(conf->timeouts.handler_ms),
		.first_byte_timeout_ms = birth_timeout(conf->timeouts.first_byte_ms),
		.client_idle_timeout_ms = birth_timeout(conf->timeouts.idle_ms),
		.total_timeout_ms = birth_timeout(conf->timeouts.total_ms),
		.send_timeout_ms = birth_timeout(conf->timeouts.send_ms),
		.min_rate = (uint64_t)conf->timeouts.min_rate,
		.min_rate_grace_ms = (uint64_t)conf->timeouts.grace_ms,
		.drain_timeout_ms = (uint64_t)config->drain_timeout_ms,
		.is_once = listener->world->is_once,
		.is_connection = listener->world->is_connection,
		.max_datagram = (uint32_t)conf->max_datagram,
		.amplification = (uint32_t)conf->limits.amplification_thousandths,
		.answers_low_ports = conf->limits.reply_to_low_ports,
		.sensor_ms = conf->access.sensor_ms > 0 ? (uint64_t)conf->access.sensor_ms : 0,
		.sensor_excepts = conf->access.sensor_except.items,
		.sensor_except_count = (uint32_t)conf->access.sensor_except.count,
		.has_sessions = conf->protocol == CONF_UDP && conf->udp.session_timeout_ms >= 0,
		.session_timeout_ms = (uint64_t)conf->udp.session_timeout_ms,
		.max_sessions = (uint32_t)conf->udp.max_sessions,
		.socket_count = purpose == WORKER_SERVE ? (uint32_t)listener->socket_count : 0,
		.has_access = listener->access != NULL,
		.log_target =
			listener->world->journal_fd >= 0 ? LOG_TARGET_JOURNAL : LOG_TARGET_STDERR,
		.log_is_json = config->log_format == CONF_LOG_JSON,
		.log_level = (int32_t)config->log_level,
		.log_connections = (uint32_t)config->log_connections,
		.log_connection_rate = (uint64_t)config->log_connection_rate,
		.options = birth_options(conf, is_whole),
		.option_count = (uint32_t)conf->option_count,
	};

	birth_add_process(conf, &settings);
	birth_add_limits(listener, &settings);
	birth_add_sandbox(conf, &settings);
	if (listener->world->log_level != 0 &&
	    (listener->world->log_level_of == config || listener->own_config != NULL))
		settings.log_level = (int32_t)listener->world->log_level;
	/* a level that changes is told to running workers */
	if (!is_whole)
		settings.log_level = 0;
	return settings;
}

void
listener_free_settings(struct worker_settings *settings)
{
	free(settings->options);
	free(settings->rlimits);
	free(settings->cpus);
}

int
listener_add_filter(const struct listener *listener, struct worker_settings *settings)
{
	const struct conf_listener *conf = listener->conf;
	struct conf_origin origin = check_origin(conf, "sandbox", "filesystem");
	struct filter_kind kind = {
		.is_strict = conf->sandbox.seccomp == CONF_SECCOMP_STRICT,
		.has_network = conf->sandbox.network,
		.may_connect = conf->sandbox.network || filter_can_do_without_tcp(),
	};
	const struct filter *filter = NULL;
	int r;

	settings->sandbox_file = (char *)origin.file;
	settings->sandbox_line = origin.line;
	if (conf->sandbox.seccomp == CONF_SECCOMP_OFF)
		return 0;
	r = filters_find(&listener->world->filters, &kind, &filter);
	if (r < 0)
		return r;
	settings->filter = filter->rows;
	settings->filter_count = filter->count;
	return 0;
}

static bool
birth_is_origin(const struct conf_origin *origin, const char *file, unsigned line)
{
	return origin->file != NULL && origin->line == line && strcmp(origin->file, file) == 0;
}

/* As listener_settings and listener_add_filter tell them. */
struct conf_origin
birth_find_origin(const struct conf_listener *conf, const char *file, unsigned line)
{
	struct conf_origin sandbox;

	if (conf == NULL || file == NULL)
		return (struct conf_origin){.file = NULL};
	if (birth_is_origin(&conf->handler_origin, file, line))
		return conf->handler_origin;
	for (size_t i = 0; i < conf->option_count; i++) {
		if (birth_is_origin(&conf->options[i].origin, file, line))
			return conf->options[i].origin;
	}
	sandbox = check_origin(conf, "sandbox", "filesystem");
	return birth_is_origin(&sandbox, file, line) ? sandbox : (struct conf_origin){.file = NULL};
}
