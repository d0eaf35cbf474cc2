/*
 * describe.c - `handlerd --describe`: a handler's descriptor and option rows, for people and as
 * JSON.
 */
#include <string.h>

#include "base/cleanup.h"
#include "base/elf.h"
#include "base/memory.h"
#include "base/text.h"
#include "worker/worker.h"

static const struct describe_flag {
	uint32_t flag;
	const char *name; /* as the handler writes it */
	const char *text;
} describe_flags[] = {
	{HD_STREAM, "HD_STREAM", "connections"},
	{HD_DGRAM, "HD_DGRAM", "datagrams"},
	{HD_THREADS, "HD_THREADS", "threading"},
	{HD_FIBERS, "HD_FIBERS", "fibers"},
};

static void
describe_add_json(struct buf *out, const char *text)
{
	size_t size = text != NULL ? strlen(text) * 6 + 1 : 0;
	CLEANUP_FREE char *escaped = NULL;

	if (text == NULL) {
		buf_add_format(out, "null");
		return;
	}
	escaped = memory_zero(1, size);
	(void)text_escape_json(text, strlen(text), escaped, size);
	buf_add_format(out, "\"%s\"", escaped);
}

static void
describe_range(const struct hd_option *row, char *low, char *high, size_t size)
{
	struct hd_option edge = *row;

	edge.number = row->min;
	(void)snprintf(low, size, "%s", option_default_text(&edge, (char[32]){0}, 32));
	edge.number = row->max;
	(void)snprintf(high, size, "%s", option_default_text(&edge, (char[32]){0}, 32));
}

static bool
describe_has_range(const struct hd_option *row)
{
	return row->type == HD_OPTION_TYPE_INT || row->type == HD_OPTION_TYPE_SIZE ||
	       row->type == HD_OPTION_TYPE_DURATION;
}

static bool
describe_is_required(const struct hd_option *row)
{
	return (row->type == HD_OPTION_TYPE_STRING || row->type == HD_OPTION_TYPE_PATH) &&
	       row->text == HD_REQUIRED;
}

static void
describe_option_json(struct buf *out, const struct hd_option *row)
{
	char text[32], low[32], high[32];

	buf_add_format(out, "{\"name\":");
	describe_add_json(out, row->name);
	buf_add_format(out, ",\"type\":\"%s\",\"required\":%s,\"default\":", option_type_name(row),
		       describe_is_required(row) ? "true" : "false");
	if (row->type == HD_OPTION_TYPE_INT || row->type == HD_OPTION_TYPE_BOOL)
		buf_add_format(out, "%s", option_default_text(row, text, sizeof(text)));
	else if (row->type == HD_OPTION_TYPE_LIST)
		buf_add_format(out, "[]");
	else
		describe_add_json(out, option_default_text(row, text, sizeof(text)));
	if (describe_has_range(row)) {
		const char *quote = row->type == HD_OPTION_TYPE_INT ? "" : "\"";

		describe_range(row, low, high, sizeof(low));
		buf_add_format(out, ",\"min\":%s%s%s,\"max\":%s%s%s", quote, low, quote, quote,
			       high, quote);
	}
	buf_add_format(out, ",\"help\":");
	describe_add_json(out, row->help);
	buf_add_format(out, "}");
}

static void
describe_option_text(struct buf *out, const struct hd_option *row)
{
	char text[32], low[32], high[32];
	const char *value = option_default_text(row, text, sizeof(text));

	buf_add_format(out, "  %-20s %-9s ", row->name, option_type_name(row));
	if (describe_is_required(row))
		buf_add_format(out, "required");
	else if (row->type == HD_OPTION_TYPE_LIST)
		buf_add_format(out, "default empty");
	else
		buf_add_format(out, "default %s", value != NULL ? value : "unset");
	if (describe_has_range(row)) {
		describe_range(row, low, high, sizeof(low));
		buf_add_format(out, ", %s to %s", low, high);
	}
	buf_add_format(out, "\n  %-20s %s\n", "", row->help != NULL ? row->help : "");
}

/* One line is one record, whatever the handler has put into its strings. */
static char *
describe_line(const char *text)
{
	size_t size = strlen(text) * 4 + 1;
	char *escaped = memory_zero(1, size);

	(void)text_escape(text, strlen(text), escaped, size);
	return escaped;
}

static void
describe_text(const struct hd_handler *handler, const char *path, const char *build_id,
	      struct buf *out)
{
	CLEANUP_FREE char *name = describe_line(handler->name);
	CLEANUP_FREE char *version =
		describe_line(handler->version != NULL ? handler->version : "-");
	CLEANUP_FREE char *summary =
		describe_line(handler->summary != NULL ? handler->summary : "-");

	buf_add_format(out,
		       "name      %s\nversion   %s\nsummary   %s\nfile      %s\nbuild id  %s\n",
		       name, version, summary, path, build_id[0] != '\0' ? build_id : "-");
	buf_add_format(out, "abi       %u.%u\nserves   ", handler->abi_major, handler->abi_minor);
	for (size_t i = 0; i < 2; i++) {
		if ((handler->flags & describe_flags[i].flag) != 0)
			buf_add_format(out, " %s", describe_flags[i].text);
	}
	buf_add_format(out, "\nmodes     serial forking");
	for (size_t i = 2; i < COUNT_OF(describe_flags); i++) {
		if ((handler->flags & describe_flags[i].flag) != 0)
			buf_add_format(out, " %s", describe_flags[i].text);
	}
	buf_add_format(out, "\noptions   %s\n",
		       option_row(handler->options, handler->option_size, 0) != NULL ? "" : "none");
	for (size_t i = 0;; i++) {
		const struct hd_option *row = option_row(handler->options, handler->option_size, i);

		if (row == NULL)
			break;
		describe_option_text(out, row);
	}
}

static void
describe_json(const struct hd_handler *handler, const char *path, const char *build_id,
	      struct buf *out)
{
	const char *comma = "";

	buf_add_format(out, "{\"name\":");
	describe_add_json(out, handler->name);
	buf_add_format(out, ",\"version\":");
	describe_add_json(out, handler->version);
	buf_add_format(out, ",\"summary\":");
	describe_add_json(out, handler->summary);
	buf_add_format(out, ",\"file\":");
	describe_add_json(out, path);
	buf_add_format(out, ",\"build_id\":");
	describe_add_json(out, build_id[0] != '\0' ? build_id : NULL);
	buf_add_format(out, ",\"abi\":\"%u.%u\",\"flags\":[", handler->abi_major,
		       handler->abi_minor);
	for (size_t i = 0; i < COUNT_OF(describe_flags); i++) {
		if ((handler->flags & describe_flags[i].flag) == 0)
			continue;
		buf_add_format(out, "%s\"%s\"", comma, describe_flags[i].name);
		comma = ",";
	}
	buf_add_format(out, "],\"options\":[");
	for (size_t i = 0;; i++) {
		const struct hd_option *row = option_row(handler->options, handler->option_size, i);

		if (row == NULL)
			break;
		buf_add_format(out, "%s", i > 0 ? "," : "");
		describe_option_json(out, row);
	}
	buf_add_format(out, "]}\n");
}

void
worker_describe(const struct worker *worker, bool is_json)
{
	const struct hd_handler *handler = &worker->server.handler.descriptor;
	char build_id[2 * ELF_BUILD_ID_SIZE + 1] = "";
	struct elf_file elf;
	const char *reason;
	struct buf out = {0};

	if (elf_open(&elf, WORKER_FD_HANDLER, &reason) >= 0) {
		(void)elf_format_build_id(elf.build_id, elf.build_id_size, build_id);
		elf_close(&elf);
	}
	if (is_json)
		describe_json(handler, worker->settings.handler_path, build_id, &out);
	else
		describe_text(handler, worker->settings.handler_path, build_id, &out);
	/* in pieces that fit into a message */
	for (size_t at = 0; at < out.length;) {
		size_t size = out.length - at < 4096 ? out.length - at : 4096;
		struct buf payload = {0};

		buf_add_u32(&payload, (uint32_t)size);
		buf_add(&payload, out.data + at, size);
		(void)channel_send(WORKER_FD_CHANNEL, worker->settings.generation,
				   PROTOCOL_DESCRIPTION, &payload);
		buf_free(&payload);
		at += size;
	}
	buf_free(&out);
}
