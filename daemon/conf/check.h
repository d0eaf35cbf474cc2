/*
 * check.h - the parts of config_check, and what they share.
 */
#ifndef CONF_CHECK_H
#define CONF_CHECK_H

#include "conf/config.h"

/* Where a key of the listener was written; the entry itself where it is a default. */
struct conf_origin check_origin(const struct conf_listener *listener, const char *group,
				const char *name);

void check_error(struct report *report, struct conf_origin origin, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* " (FILE:LINE)", or "" for what was written in no file. */
char *check_format_origin(struct conf_origin origin);

/* As messages write it; "?" where it has none. */
const char *check_listener_name(const struct conf_listener *listener);

/* Makes `addresses` from `address_texts`. */
void check_parse_addresses(struct conf_listener *listener, struct report *report);

/* Refuses the keys that the listener has no use for; those of `defaults` are taken back instead.
 * After check_parse_addresses. */
void check_protocol(struct conf_listener *listener, struct report *report);

/* What the workers are and may. */
void check_process(const struct conf_listener *listener, struct report *report);

/* Who may come in: every entry is read. Those of `defaults` that are about another kind of clients
 * are taken back. */
void check_access(struct conf_listener *listener, struct report *report);

/* These two after check_protocol: what was taken back does not count. */
void check_socket_count(const struct conf_listener *listener, struct report *report);
void check_overlaps(const struct config *config, struct report *report);

/* Refuses keys that would do nothing; a reset that `defaults` ask for is a close where there is
 * none. After check_protocol, too. */
void check_effect(struct conf_listener *listener, struct report *report);

void check_sandbox(const struct conf_listener *listener, struct report *report);

#endif
