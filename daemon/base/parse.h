/*
 * parse.h - numbers with units, modes and plain numbers, from text, checked to the last character.
 */
#ifndef BASE_PARSE_H
#define BASE_PARSE_H

#include <stddef.h>
#include <stdint.h>

/* "none" as a duration. */
#define PARSE_NONE INT64_C(-1)

/* "250ms", "30s", "5min", "2h", "1d", several in a row ("1min30s"), or "none" (PARSE_NONE).
 * Milliseconds. -EINVAL for anything else, a missing unit included; -ERANGE for more than fits. */
int parse_duration(const char *text, int64_t *ret_ms);

/* "512B", "64KiB", "10MiB", "2GiB", "1TiB" and the decimal "64kB", "10MB", "2GB", "1TB". Bytes.
 * -EINVAL, -ERANGE as above. */
int parse_size(const char *text, uint64_t *ret_bytes);

/* A size in each second: "100B/s", "64KiB/s", or "none" (PARSE_NONE). Bytes per second. -EINVAL,
 * -ERANGE as above. */
int parse_byte_rate(const char *text, int64_t *ret_per_second);

/* A whole number of parts in a hundred: "80%", or "none" (PARSE_NONE). -EINVAL, -ERANGE. */
int parse_percent(const char *text, int64_t *ret);
/* "100/s", "5/min", "20/h": so many of something in a time, at least 1; or "none" (PARSE_NONE). For
 * an hour, which all of them have whole numbers for. -EINVAL, -ERANGE as above. */
int parse_rate(const char *text, int64_t *ret_per_hour);

/* "0660": three or four octal digits. -EINVAL for anything else. */
int parse_mode(const char *text, unsigned *ret_mode);

/* The digits behind any blanks; *text moves behind them. -EINVAL: there are none. -ERANGE. */
int parse_take_number(const char **text, uint64_t *ret);

/* A decimal number, an optional '-' before it. -EINVAL, -ERANGE. */
int parse_int64(const char *text, int64_t *ret);

/* The shortest text that parses back to the same value. They return buf. */
const char *parse_format_duration(int64_t ms, char *buf, size_t size);
const char *parse_format_size(uint64_t bytes, char *buf, size_t size);
const char *parse_format_percent(int64_t percent, char *buf, size_t size);
const char *parse_format_byte_rate(int64_t per_second, char *buf, size_t size);
const char *parse_format_rate(int64_t per_hour, char *buf, size_t size);

#endif
