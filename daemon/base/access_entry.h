/*
 * access_entry.h - one entry of an access list: a block of addresses, who a Unix peer is, or all.
 */
#ifndef BASE_ACCESS_ENTRY_H
#define BASE_ACCESS_ENTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/prefix.h"

enum access_kind {
	ACCESS_ALL,    /* "all" */
	ACCESS_PREFIX, /* "192.0.2.0/24" */
	ACCESS_UID,    /* "uid:1000", or "user:name" */
	ACCESS_GID,    /* "gid:1000", or "group:name": primary or supplementary */
};

struct access_entry {
	enum access_kind kind;
	struct prefix prefix;
	uint32_t id; /* uid or gid */
	const char
		*name; /* whose number is to be looked up: in the text that was parsed; else NULL */
};

#define ACCESS_ENTRY_TEXT_SIZE PREFIX_TEXT_SIZE

/* 0, or -EINVAL with a new sentence for the caller to free: what is wrong, and what to write. */
int access_entry_parse(const char *text, struct access_entry *ret, char **ret_reason);

/* As it is parsed, with numbers for names. Returns buf. */
const char *access_entry_format(const struct access_entry *entry, char *buf, size_t size);

/* Whether it is about peers of Unix sockets; about peers with an IP address. "all" is both. */
bool access_entry_is_for_unix(const struct access_entry *entry);
bool access_entry_is_for_ip(const struct access_entry *entry);

#endif
