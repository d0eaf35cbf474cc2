/*
 * worker_limits.c - their image. Writer and reader name the fields in the same order.
 */
#include "ipc/worker_limits.h"

#include <stdlib.h>

void
worker_limits_write(const struct worker_limits *limits, struct buf *out)
{
	buf_add_u32(out, limits->source_sets);
	buf_add_u64(out, limits->source_key.words[0]);
	buf_add_u64(out, limits->source_key.words[1]);
	buf_add_u32(out, limits->source_prefix_ipv4);
	buf_add_u32(out, limits->source_prefix_ipv6);
	buf_add_u32(out, limits->connections_per_source);
	buf_add_u64(out, limits->rate);
	buf_add_u64(out, limits->source_rate);
	buf_add_u64(out, limits->rate_burst);
	buf_add_u64(out, limits->source_rate_burst);
	buf_add_u32(out, limits->on_limit);
	buf_add_u32(out, limits->on_source_limit);
	buf_add_text(out, limits->banner);
	buf_add_u64(out, limits->send_rate);
	buf_add_u64(out, limits->receive_rate);
	buf_add_u64(out, limits->request_memory);
}

void
worker_limits_read(struct buf_reader *reader, struct worker_limits *ret)
{
	ret->source_sets = buf_read_u32(reader);
	ret->source_key.words[0] = buf_read_u64(reader);
	ret->source_key.words[1] = buf_read_u64(reader);
	ret->source_prefix_ipv4 = buf_read_u32(reader);
	ret->source_prefix_ipv6 = buf_read_u32(reader);
	ret->connections_per_source = buf_read_u32(reader);
	ret->rate = buf_read_u64(reader);
	ret->source_rate = buf_read_u64(reader);
	ret->rate_burst = buf_read_u64(reader);
	ret->source_rate_burst = buf_read_u64(reader);
	ret->on_limit = buf_read_u32(reader);
	ret->on_source_limit = buf_read_u32(reader);
	ret->banner = buf_read_text(reader);
	ret->send_rate = buf_read_u64(reader);
	ret->receive_rate = buf_read_u64(reader);
	ret->request_memory = buf_read_u64(reader);
}

void
worker_limits_free(struct worker_limits *limits)
{
	free(limits->banner);
	*limits = (struct worker_limits){0};
}
