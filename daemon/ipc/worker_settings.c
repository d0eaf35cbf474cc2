/*
 * worker_settings.c - the image of a worker's settings. Writer and reader name the fields in the
 * same order; a test writes and reads back.
 */
#include "ipc/worker_settings.h"

#include <errno.h>
#include <stdlib.h>

#include "base/memory.h"
#include "ipc/protocol.h"

#define WORKER_SETTINGS_MAGIC 0x53524448U

static void
write_option(const struct worker_option *option, struct buf *out)
{
	buf_add_text(out, option->name);
	buf_add_u32(out, option->type);
	buf_add_u64(out, (uint64_t)option->number);
	buf_add_text(out, option->text);
	buf_add_u32(out, option->item_count);
	for (uint32_t i = 0; i < option->item_count; i++)
		buf_add_text(out, option->items[i]);
	buf_add_text(out, option->file);
	buf_add_u32(out, option->line);
}

void
worker_settings_write(const struct worker_settings *settings, struct buf *out)
{
	buf_add_u32(out, WORKER_SETTINGS_MAGIC);
	buf_add_u32(out, PROTOCOL_VERSION);
	buf_add_u32(out, settings->purpose);
	buf_add_u32(out, settings->generation);
	buf_add_u64(out, settings->serial);
	buf_add_u32(out, (uint32_t)settings->supervisor_pid);
	buf_add_u32(out, settings->supervisor_uid);
	buf_add_text(out, settings->listener);
	buf_add_text(out, settings->handler);
	buf_add_text(out, settings->handler_path);
	buf_add_text(out, settings->handler_file);
	buf_add_u32(out, settings->handler_line);
	buf_add_u32(out, settings->has_identity);
	buf_add_u32(out, settings->uid);
	buf_add_u32(out, settings->gid);
	buf_add_u32(out, settings->group_count);
	for (uint32_t i = 0; i < settings->group_count; i++)
		buf_add_u32(out, settings->groups[i]);
	buf_add_u32(out, settings->umask);
	buf_add_text(out, settings->root_directory);
	buf_add_u32(out, settings->rlimit_count);
	for (uint32_t i = 0; i < settings->rlimit_count; i++) {
		buf_add_u32(out, settings->rlimits[i].resource);
		buf_add_u64(out, settings->rlimits[i].value);
	}
	buf_add_u32(out, settings->has_nice);
	buf_add_u32(out, (uint32_t)settings->nice);
	buf_add_text(out, settings->cpus);
	buf_add_u32(out, settings->has_oom_score);
	buf_add_u32(out, (uint32_t)settings->oom_score);
	buf_add_u32(out, settings->protocol);
	buf_add_u32(out, settings->concurrency);
	buf_add_u32(out, settings->limit);
	buf_add_u32(out, settings->min_threads);
	buf_add_u64(out, settings->idle_timeout_ms);
	buf_add_u64(out, settings->stack_size);
	buf_add_u32(out, settings->fiber_threads);
	buf_add_u64(out, settings->warn_after_ms);
	buf_add_u32(out, settings->spare_children);
	buf_add_u64(out, settings->connections_per_child);
	buf_add_u64(out, settings->handler_timeout_ms);
	buf_add_u64(out, settings->first_byte_timeout_ms);
	buf_add_u64(out, settings->client_idle_timeout_ms);
	buf_add_u64(out, settings->total_timeout_ms);
	buf_add_u64(out, settings->send_timeout_ms);
	buf_add_u64(out, settings->min_rate);
	buf_add_u64(out, settings->min_rate_grace_ms);
	buf_add_u64(out, settings->drain_timeout_ms);
	buf_add_u32(out, settings->is_once);
	buf_add_u32(out, settings->is_connection);
	buf_add_u32(out, settings->max_datagram);
	buf_add_u32(out, settings->amplification);
	buf_add_u32(out, settings->answers_low_ports);
	buf_add_u32(out, settings->has_sessions);
	buf_add_u64(out, settings->session_timeout_ms);
	buf_add_u32(out, settings->max_sessions);
	buf_add_u32(out, settings->socket_count);
	buf_add_u32(out, settings->older_count);
	for (uint32_t i = 0; i < settings->older_count; i++)
		buf_add_u32(out, settings->older_slots[i]);
	buf_add_u32(out, settings->has_access);
	for (uint32_t i = 0; i < settings->older_count; i++)
		buf_add_u32(out, settings->older_sets[i]);
	worker_limits_write(&settings->limits, out);
	buf_add_u64(out, settings->sensor_ms);
	buf_add_u32(out, settings->sensor_except_count);
	for (uint32_t i = 0; i < settings->sensor_except_count; i++)
		buf_add_text(out, settings->sensor_excepts[i]);
	buf_add_u32(out, settings->log_target);
	buf_add_u32(out, settings->log_is_json);
	buf_add_u32(out, (uint32_t)settings->log_level);
	buf_add_u32(out, settings->log_connections);
	buf_add_u64(out, settings->log_connection_rate);
	buf_add_u32(out, settings->option_count);
	for (uint32_t i = 0; i < settings->option_count; i++)
		write_option(&settings->options[i], out);
	buf_add_u32(out, settings->seccomp);
	buf_add_u32(out, settings->filter_count);
	for (uint32_t i = 0; i < settings->filter_count; i++)
		buf_add_u64(out, settings->filter[i]);
	buf_add_u32(out, settings->has_network);
	buf_add_u32(out, settings->path_count);
	for (uint32_t i = 0; i < settings->path_count; i++)
		buf_add_text(out, settings->paths[i]);
	buf_add_text(out, settings->sandbox_file);
	buf_add_u32(out, settings->sandbox_line);
}

static void
read_option(struct buf_reader *reader, struct worker_option *option)
{
	option->name = buf_read_text(reader);
	option->type = buf_read_u32(reader);
	option->number = (int64_t)buf_read_u64(reader);
	option->text = buf_read_text(reader);
	option->item_count = buf_read_count(reader);
	option->items = memory_zero(option->item_count, sizeof(*option->items));
	for (uint32_t i = 0; i < option->item_count; i++)
		option->items[i] = buf_read_text(reader);
	option->file = buf_read_text(reader);
	option->line = buf_read_u32(reader);
	if (option->name == NULL)
		reader->is_bad = true;
}

static void
read_sandbox(struct buf_reader *reader, struct worker_settings *ret)
{
	ret->seccomp = buf_read_u32(reader);
	ret->filter_count = buf_read_count(reader);
	ret->filter = memory_zero(ret->filter_count, sizeof(*ret->filter));
	for (uint32_t i = 0; i < ret->filter_count; i++)
		ret->filter[i] = buf_read_u64(reader);
	ret->has_network = buf_read_u32(reader) != 0;
	ret->path_count = buf_read_count(reader);
	ret->paths = memory_zero(ret->path_count, sizeof(*ret->paths));
	for (uint32_t i = 0; i < ret->path_count; i++) {
		ret->paths[i] = buf_read_text(reader);
		if (ret->paths[i] == NULL)
			reader->is_bad = true;
	}
	ret->sandbox_file = buf_read_text(reader);
	ret->sandbox_line = buf_read_u32(reader);
}

int
worker_settings_read(struct buf_reader *reader, struct worker_settings *ret)
{
	*ret = (struct worker_settings){0};
	if (buf_read_u32(reader) != WORKER_SETTINGS_MAGIC ||
	    buf_read_u32(reader) != PROTOCOL_VERSION)
		return -EBADMSG;
	ret->purpose = buf_read_u32(reader);
	ret->generation = buf_read_u32(reader);
	ret->serial = buf_read_u64(reader);
	ret->supervisor_pid = (pid_t)buf_read_u32(reader);
	ret->supervisor_uid = buf_read_u32(reader);
	ret->listener = buf_read_text(reader);
	ret->handler = buf_read_text(reader);
	ret->handler_path = buf_read_text(reader);
	ret->handler_file = buf_read_text(reader);
	ret->handler_line = buf_read_u32(reader);
	ret->has_identity = buf_read_u32(reader) != 0;
	ret->uid = buf_read_u32(reader);
	ret->gid = buf_read_u32(reader);
	ret->group_count = buf_read_count(reader);
	ret->groups = memory_zero(ret->group_count, sizeof(*ret->groups));
	for (uint32_t i = 0; i < ret->group_count; i++)
		ret->groups[i] = buf_read_u32(reader);
	ret->umask = buf_read_u32(reader);
	ret->root_directory = buf_read_text(reader);
	ret->rlimit_count = buf_read_count(reader);
	ret->rlimits = memory_zero(ret->rlimit_count, sizeof(*ret->rlimits));
	for (uint32_t i = 0; i < ret->rlimit_count; i++) {
		ret->rlimits[i].resource = buf_read_u32(reader);
		ret->rlimits[i].value = buf_read_u64(reader);
	}
	ret->has_nice = buf_read_u32(reader) != 0;
	ret->nice = (int32_t)buf_read_u32(reader);
	ret->cpus = buf_read_text(reader);
	ret->has_oom_score = buf_read_u32(reader) != 0;
	ret->oom_score = (int32_t)buf_read_u32(reader);
	ret->protocol = buf_read_u32(reader);
	ret->concurrency = buf_read_u32(reader);
	ret->limit = buf_read_u32(reader);
	ret->min_threads = buf_read_u32(reader);
	ret->idle_timeout_ms = buf_read_u64(reader);
	ret->stack_size = buf_read_u64(reader);
	ret->fiber_threads = buf_read_u32(reader);
	ret->warn_after_ms = buf_read_u64(reader);
	ret->spare_children = buf_read_u32(reader);
	ret->connections_per_child = buf_read_u64(reader);
	ret->handler_timeout_ms = buf_read_u64(reader);
	ret->first_byte_timeout_ms = buf_read_u64(reader);
	ret->client_idle_timeout_ms = buf_read_u64(reader);
	ret->total_timeout_ms = buf_read_u64(reader);
	ret->send_timeout_ms = buf_read_u64(reader);
	ret->min_rate = buf_read_u64(reader);
	ret->min_rate_grace_ms = buf_read_u64(reader);
	ret->drain_timeout_ms = buf_read_u64(reader);
	ret->is_once = buf_read_u32(reader) != 0;
	ret->is_connection = buf_read_u32(reader) != 0;
	ret->max_datagram = buf_read_u32(reader);
	ret->amplification = buf_read_u32(reader);
	ret->answers_low_ports = buf_read_u32(reader) != 0;
	ret->has_sessions = buf_read_u32(reader) != 0;
	ret->session_timeout_ms = buf_read_u64(reader);
	ret->max_sessions = buf_read_u32(reader);
	ret->socket_count = buf_read_u32(reader);
	ret->older_count = buf_read_count(reader);
	ret->older_slots = memory_zero(ret->older_count, sizeof(*ret->older_slots));
	for (uint32_t i = 0; i < ret->older_count; i++)
		ret->older_slots[i] = buf_read_u32(reader);
	ret->has_access = buf_read_u32(reader) != 0;
	ret->older_sets = memory_zero(ret->older_count, sizeof(*ret->older_sets));
	for (uint32_t i = 0; i < ret->older_count; i++)
		ret->older_sets[i] = buf_read_u32(reader);
	worker_limits_read(reader, &ret->limits);
	ret->sensor_ms = buf_read_u64(reader);
	ret->sensor_except_count = buf_read_count(reader);
	ret->sensor_excepts = memory_zero(ret->sensor_except_count, sizeof(*ret->sensor_excepts));
	for (uint32_t i = 0; i < ret->sensor_except_count; i++)
		ret->sensor_excepts[i] = buf_read_text(reader);
	ret->log_target = buf_read_u32(reader);
	ret->log_is_json = buf_read_u32(reader) != 0;
	ret->log_level = (int32_t)buf_read_u32(reader);
	ret->log_connections = buf_read_u32(reader);
	ret->log_connection_rate = buf_read_u64(reader);
	ret->option_count = buf_read_count(reader);
	ret->options = memory_zero(ret->option_count, sizeof(*ret->options));
	for (uint32_t i = 0; i < ret->option_count; i++)
		read_option(reader, &ret->options[i]);
	read_sandbox(reader, ret);
	if (reader->is_bad || reader->position != reader->length || ret->listener == NULL ||
	    ret->handler == NULL || ret->handler_path == NULL) {
		worker_settings_free(ret);
		return -EBADMSG;
	}
	return 0;
}

void
worker_settings_free(struct worker_settings *settings)
{
	for (uint32_t i = 0; i < settings->option_count; i++) {
		struct worker_option *option = &settings->options[i];

		for (uint32_t j = 0; j < option->item_count; j++)
			free(option->items[j]);
		free(option->items);
		free(option->name);
		free(option->text);
		free(option->file);
	}
	free(settings->options);
	for (uint32_t i = 0; i < settings->path_count; i++)
		free(settings->paths[i]);
	free(settings->paths);
	free(settings->filter);
	free(settings->sandbox_file);
	free(settings->listener);
	free(settings->handler);
	free(settings->handler_path);
	free(settings->handler_file);
	free(settings->groups);
	free(settings->root_directory);
	free(settings->rlimits);
	free(settings->cpus);
	free(settings->older_slots);
	free(settings->older_sets);
	worker_limits_free(&settings->limits);
	for (uint32_t i = 0; i < settings->sensor_except_count; i++)
		free(settings->sensor_excepts[i]);
	free(settings->sensor_excepts);
	*settings = (struct worker_settings){0};
}
