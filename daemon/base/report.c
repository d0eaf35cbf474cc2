/*
 * report.c - gathers what is wrong with configuration files and handlers.
 */
#include "base/report.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/text.h"

void
report_add(struct report *report, bool is_warning, const char *file, unsigned line,
	   const char *source, const char *text)
{
	struct report_entry *entry;

	report->entries = memory_grow(report->entries, report->count, sizeof(*report->entries));
	entry = &report->entries[report->count++];
	*entry = (struct report_entry){
		.is_warning = is_warning,
		.file = memory_text(file),
		.line = line,
		.text = memory_text(text),
		.source = memory_text(source),
	};
	if (!is_warning)
		report->errors++;
}

void
report_error(struct report *report, const char *file, unsigned line, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_add(report, false, file, line, NULL, text);
}

void
report_warning(struct report *report, const char *file, unsigned line, const char *format, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_add(report, true, file, line, NULL, text);
}

char *
report_sentence(const struct report_entry *entry)
{
	if (entry->file == NULL)
		return memory_text(entry->text);
	if (entry->line == 0)
		return memory_format("%s: %s", entry->file, entry->text);
	return memory_format("%s:%u: %s", entry->file, entry->line, entry->text);
}

void
report_print(const struct report *report, FILE *out)
{
	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];
		CLEANUP_FREE char *sentence = report_sentence(entry);

		text_print(sentence, strlen(sentence), out);
		(void)fputs(entry->is_warning ? " (warning)\n" : "\n", out);
		if (entry->source == NULL)
			continue;
		(void)fprintf(out, "%6u | ", entry->line);
		text_print(entry->source, strlen(entry->source), out);
		(void)fputc('\n', out);
	}
}

void
report_free(struct report *report)
{
	for (size_t i = 0; i < report->count; i++) {
		free(report->entries[i].file);
		free(report->entries[i].text);
		free(report->entries[i].source);
	}
	free(report->entries);
	*report = (struct report){0};
}
