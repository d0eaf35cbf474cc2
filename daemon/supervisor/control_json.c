/*
 * control_json.c - what answers on the control socket are made of.
 */
#include "supervisor/control_json.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/text.h"
#include "conf/settings.h"

#define CONTROL_JSON_TEXT_SIZE 4096

json_t *
control_result(void)
{
	return json_pack("{s:b}", "ok", 1);
}

json_t *
control_json_text(const char *text)
{
	json_t *string;
	char escaped[CONTROL_JSON_TEXT_SIZE];

	if (text == NULL)
		return json_null();
	string = json_string(text);
	if (string != NULL)
		return string;
	/* not UTF-8, as a path may be */
	(void)text_escape(text, strlen(text), escaped, sizeof(escaped));
	return json_string(escaped);
}

json_t *
control_json_seconds(int64_t ns)
{
	int64_t ms = ns > 0 ? ns / CLOCK_NS_PER_MS : 0;

	return json_real((double)ms / 1000);
}

json_t *
control_json_time(int64_t since_1970_s)
{
	time_t when = (time_t)since_1970_s;
	char text[32];
	struct tm utc;

	if (gmtime_r(&when, &utc) == NULL ||
	    strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &utc) == 0)
		return json_null();
	return json_string(text);
}

json_t *
control_json_choice(const char *key, int64_t value)
{
	const struct setting *row = setting_find(SETTING_LISTENER, "", key);

	return json_string(row->choices[value - row->first_choice]);
}

json_t *
control_json_count(uint64_t count)
{
	return json_integer(count <= INT64_MAX ? (json_int_t)count : INT64_MAX);
}

json_t *
control_json_report(const struct report *report, bool with_warnings, bool with_errors)
{
	json_t *list = json_array();

	for (size_t i = 0; i < report->count; i++) {
		const struct report_entry *entry = &report->entries[i];

		if (entry->is_warning ? !with_warnings : !with_errors)
			continue;
		(void)json_array_append_new(
			list,
			json_pack("{s:o,s:o,s:o,s:o,s:b}", "file", control_json_text(entry->file),
				  "line", entry->line > 0 ? json_integer(entry->line) : json_null(),
				  "text", control_json_text(entry->text), "source",
				  control_json_text(entry->source), "is_warning",
				  entry->is_warning));
	}
	return list;
}
