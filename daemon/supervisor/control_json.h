/*
 * control_json.h - what answers on the control socket are made of.
 */
#ifndef SUPERVISOR_CONTROL_JSON_H
#define SUPERVISOR_CONTROL_JSON_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/report.h"

/* {"ok": true}, to be added to. */
json_t *control_result(void);

/* A JSON string of any text; null for NULL. */
json_t *control_json_text(const char *text);
/* Of what is left, or has passed; never below 0. */
json_t *control_json_seconds(int64_t ns);
/* A moment, in UTC. */
json_t *control_json_time(int64_t since_1970_s);
/* The word that the configuration has for a value of this key of listeners. */
json_t *control_json_choice(const char *key, int64_t value);
/* A number that may come from a worker, which can write what it likes. */
json_t *control_json_count(uint64_t count);
/* The entries of a report, as `errors` and `warnings` have them. */
json_t *control_json_report(const struct report *report, bool with_warnings, bool with_errors);

#endif
