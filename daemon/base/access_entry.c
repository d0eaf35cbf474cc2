/*
 * access_entry.c - reads and writes one entry of an access list.
 */
#include "base/access_entry.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/text.h"

#define ACCESS_ENTRY_SHOWN 80

static const struct {
	const char *word;
	enum access_kind kind;
	bool is_name;
} access_entry_words[] = {
	{"uid:", ACCESS_UID, false},
	{"gid:", ACCESS_GID, false},
	{"user:", ACCESS_UID, true},
	{"group:", ACCESS_GID, true},
};

static int
access_entry_parse_id(const char *text, const char *digits, struct access_entry *ret,
		      char **ret_reason)
{
	const char *named = ret->kind == ACCESS_UID ? "user" : "group";
	char shown[ACCESS_ENTRY_SHOWN];
	int64_t number;

	/* 4294967295 means "none" in system calls */
	if (strspn(digits, "0123456789") == strlen(digits) && parse_int64(digits, &number) == 0 &&
	    number < UINT32_MAX) {
		ret->id = (uint32_t)number;
		return 0;
	}
	(void)text_escape(text, strlen(text), shown, sizeof(shown));
	*ret_reason = memory_format("'%s' has no number from 0 to 4294967294; of a name, write "
				    "%s:NAME",
				    shown, named);
	return -EINVAL;
}

int
access_entry_parse(const char *text, struct access_entry *ret, char **ret_reason)
{
	char shown[ACCESS_ENTRY_SHOWN];

	*ret = (struct access_entry){.kind = ACCESS_ALL};
	if (strcmp(text, "all") == 0)
		return 0;
	for (size_t i = 0; i < COUNT_OF(access_entry_words); i++) {
		size_t length = strlen(access_entry_words[i].word);

		if (strncmp(text, access_entry_words[i].word, length) != 0)
			continue;
		ret->kind = access_entry_words[i].kind;
		if (!access_entry_words[i].is_name)
			return access_entry_parse_id(text, text + length, ret, ret_reason);
		ret->name = text + length;
		if (ret->name[0] != '\0' && strpbrk(ret->name, " \t:/") == NULL)
			return 0;
		(void)text_escape(text, strlen(text), shown, sizeof(shown));
		*ret_reason = memory_format("'%s' has no name behind the colon, such as %sdaemon",
					    shown, access_entry_words[i].word);
		return -EINVAL;
	}
	ret->kind = ACCESS_PREFIX;
	return prefix_parse(text, &ret->prefix, ret_reason);
}

const char *
access_entry_format(const struct access_entry *entry, char *buf, size_t size)
{
	switch (entry->kind) {
	case ACCESS_PREFIX:
		return prefix_format(&entry->prefix, buf, size);
	case ACCESS_UID:
		(void)snprintf(buf, size, "uid:%" PRIu32, entry->id);
		return buf;
	case ACCESS_GID:
		(void)snprintf(buf, size, "gid:%" PRIu32, entry->id);
		return buf;
	case ACCESS_ALL:
		break;
	}
	(void)snprintf(buf, size, "all");
	return buf;
}

bool
access_entry_is_for_unix(const struct access_entry *entry)
{
	return entry->kind != ACCESS_PREFIX;
}

bool
access_entry_is_for_ip(const struct access_entry *entry)
{
	return entry->kind == ACCESS_ALL || entry->kind == ACCESS_PREFIX;
}
