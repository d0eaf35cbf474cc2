/*
 * probes.c - trial loads, the same one only once.
 */
#include "supervisor/probes.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/memory.h"

/* What the loaded handler gets to see, but for names and places in the configuration. */
static void
probes_make_key(const struct listener *listener, struct buf *key)
{
	struct worker_settings settings = listener_settings(listener, 0, WORKER_PROBE);
	char **environment = listener_environment(&listener->identity, listener->conf);
	const struct pin *pin = &listener->pin;

	settings.listener = NULL;
	worker_settings_write(&settings, key);
	for (char **entry = environment; *entry != NULL; entry++)
		buf_add_text(key, *entry);
	buf_add_u64(key, pin->st.st_dev);
	buf_add_u64(key, pin->st.st_ino);
	buf_add_u64(key, (uint64_t)pin->st.st_size);
	buf_add_u64(key, (uint64_t)pin->st.st_mtim.tv_sec);
	buf_add_u64(key, (uint64_t)pin->st.st_mtim.tv_nsec);
	buf_add(key, pin->build_id, pin->build_id_size);
	listener_free_environment(environment);
	listener_free_settings(&settings);
}

void
probes_add(struct probes *probes, const struct listener *listener)
{
	struct probes_row *row;

	probes->rows = memory_grow(probes->rows, probes->count, sizeof(*probes->rows));
	row = &probes->rows[probes->count];
	*row = (struct probes_row){.listener = listener};
	probes_make_key(listener, &row->key);
	for (row->first = 0; row->first < probes->count; row->first++) {
		const struct buf *key = &probes->rows[row->first].key;

		if (key->length == row->key.length &&
		    memcmp(key->data, row->key.data, key->length) == 0)
			break;
	}
	/* one of each is kept to compare with */
	if (row->first < probes->count)
		buf_free(&row->key);
	probes->count++;
}

static void
probes_start_row(struct probes_row *row, void (*on_over)(struct probe *probe))
{
	row->is_started = true;
	probe_start(&row->probe, row->listener, WORKER_PROBE, on_over);
}

void
probes_start(struct probes *probes, void (*on_over)(struct probe *probe))
{
	size_t run_count = 0;

	for (size_t i = 0; i < probes->count; i++) {
		if (probes->rows[i].first != i)
			continue;
		probes_start_row(&probes->rows[i], on_over);
		run_count++;
	}
	if (run_count > 0)
		log_debug("%zu trial loads for the handlers of %zu listeners", run_count,
			  probes->count);
}

bool
probes_are_over(struct probes *probes)
{
	bool are_over = true;

	for (size_t i = 0; i < probes->count; i++) {
		struct probes_row *row = &probes->rows[i];
		struct probe *shared = &probes->rows[row->first].probe;

		if (!row->is_started && shared->is_over && !shared->is_good)
			probes_start_row(row, shared->on_over);
		are_over = are_over && (row->is_started ? row->probe.is_over : shared->is_over);
	}
	return are_over;
}

bool
probes_gather(const struct probes *probes, struct report *report)
{
	bool is_refusal = false;

	for (size_t i = 0; i < probes->count; i++) {
		const struct report *found = &probes->rows[i].probe.report;

		for (size_t k = 0; k < found->count; k++)
			report_add(report, found->entries[k].is_warning, found->entries[k].file,
				   found->entries[k].line, NULL, found->entries[k].text);
		is_refusal = is_refusal || probes->rows[i].probe.is_refusal;
	}
	return is_refusal;
}

void
probes_free(struct probes *probes)
{
	for (size_t i = 0; i < probes->count; i++) {
		if (probes->rows[i].is_started)
			probe_free(&probes->rows[i].probe);
		buf_free(&probes->rows[i].key);
	}
	free(probes->rows);
	*probes = (struct probes){0};
}
