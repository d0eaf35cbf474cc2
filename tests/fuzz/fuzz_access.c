/*
 * fuzz_access.c - an access file is what somebody's program wrote, for addresses or for Unix
 * clients by the first byte. Each refusal has its words; what is taken can be written and read
 * again, and the table that is made of it says what a plain search through the rules says.
 */
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "conf/access_file.h"
#include "policy/access_writer.h"

#define FUZZ_MOST_RULES 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(bool is_so)
{
	if (!is_so)
		abort();
}

static void
write_and_read(const struct access_entry *entry)
{
	char text[ACCESS_ENTRY_TEXT_SIZE], again_text[ACCESS_ENTRY_TEXT_SIZE];
	struct access_entry again;
	char *reason = NULL;

	(void)access_entry_format(entry, text, sizeof(text));
	check(strlen(text) < sizeof(text) - 1);
	check(access_entry_parse(text, &again, &reason) == 0);
	check(again.kind == entry->kind && again.id == entry->id && again.name == NULL);
	check(strcmp(access_entry_format(&again, again_text, sizeof(again_text)), text) == 0);
}

static bool
is_in(const struct prefix *prefix, const unsigned char *bytes, bool is_ipv6)
{
	if (prefix->is_ipv6 != is_ipv6)
		return false;
	for (unsigned i = 0; i < prefix->length; i++) {
		if (((prefix->bytes[i / 8] ^ bytes[i / 8]) >> (7 - i % 8) & 1) != 0)
			return false;
	}
	return true;
}

static bool
judge_plainly(const struct access_rule *rules, size_t count, const unsigned char *bytes,
	      bool is_ipv6)
{
	bool has_allow = false, is_allowed = false;
	int longest = -1;

	for (size_t i = 0; i < count; i++) {
		bool is_all = rules[i].entry.kind == ACCESS_ALL;
		int length = is_all ? 0 : (int)rules[i].entry.prefix.length;

		has_allow |= rules[i].is_allow;
		if (length < longest || (!is_all && !is_in(&rules[i].entry.prefix, bytes, is_ipv6)))
			continue;
		is_allowed = rules[i].is_allow && (length > longest || is_allowed);
		longest = length;
	}
	return longest >= 0 ? is_allowed : !has_allow;
}

static void
ask(const struct access *access, const struct access_rule *rules, size_t count,
    const unsigned char *bytes, bool is_ipv6)
{
	struct sockaddr_storage address = {.ss_family = is_ipv6 ? AF_INET6 : AF_INET};
	struct access_answer answer;
	struct access_who who;

	if (is_ipv6)
		memcpy(&((struct sockaddr_in6 *)&address)->sin6_addr, bytes, 16);
	else
		memcpy(&((struct sockaddr_in *)&address)->sin_addr, bytes, 4);
	access_who_is(&address, sizeof(struct sockaddr_in6), &who);
	answer = access_judge(access, &who);
	check(answer.rule <= count);
	check(answer.rule == 0 || rules[answer.rule - 1].is_allow == answer.is_allowed);
	check(answer.is_allowed == judge_plainly(rules, count, bytes, is_ipv6));
}

/* At the first and the last address of each rule, and beside them. */
static void
ask_around(const struct access *access, const struct access_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const struct prefix *prefix = &rules[i].entry.prefix;
		int last = prefix->is_ipv6 ? 15 : 3;
		unsigned char low[16], high[16];

		memcpy(low, prefix->bytes, 16);
		memcpy(high, prefix->bytes, 16);
		for (unsigned k = prefix->length; k < 8U * (unsigned)(last + 1); k++)
			high[k / 8] |= (unsigned char)(1U << (7 - k % 8));
		ask(access, rules, count, low, prefix->is_ipv6);
		ask(access, rules, count, high, prefix->is_ipv6);
		for (int k = last; k >= 0 && low[k]-- == 0; k--)
			;
		for (int k = last; k >= 0 && ++high[k] == 0; k--)
			;
		ask(access, rules, count, low, prefix->is_ipv6);
		ask(access, rules, count, high, prefix->is_ipv6);
	}
}

/* A client of the rule's own number may come in unless that number is denied. */
static void
ask_users(const struct access *access, const struct access_rule *rules, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct access_who who = {
			.is_known = true, .is_unix = true, .uid = rules[i].entry.id};
		bool is_denied = false;

		if (rules[i].entry.kind != ACCESS_UID)
			continue;
		for (size_t k = 0; k < count; k++)
			is_denied |= rules[k].entry.kind == ACCESS_UID && !rules[k].is_allow &&
				     rules[k].entry.id == who.uid;
		check(access_judge(access, &who).is_allowed == !is_denied);
	}
}

static void
build(const struct access_file *file, bool is_unix)
{
	struct access_rule rules[FUZZ_MOST_RULES];
	size_t count = file->count < FUZZ_MOST_RULES ? file->count : FUZZ_MOST_RULES;
	struct access_writer writer;

	for (size_t i = 0; i < count; i++)
		rules[i] = (struct access_rule){.entry = file->entries[i].entry,
						.is_allow = file->entries[i].is_allow};
	check(access_writer_open(&writer, count) == 0);
	check(access_writer_publish(&writer, rules, count) == 0);
	if (is_unix)
		ask_users(&writer.view, rules, count);
	else
		ask_around(&writer.view, rules, count);
	access_writer_close(&writer);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct report report = {0};
	struct access_file file;
	bool is_unix;
	int r;

	if (size == 0)
		return 0;
	is_unix = (data[0] & 1) != 0;
	r = access_file_parse("file", (const char *)data + 1, size - 1, is_unix, &file, &report);
	check((r < 0) == (report.errors > 0));
	for (size_t i = 0; i < report.count; i++)
		check(report.entries[i].text[0] != '\0');
	for (size_t i = 0; i < file.count; i++)
		write_and_read(&file.entries[i].entry);
	if (r >= 0)
		build(&file, is_unix);
	access_file_free(&file);
	report_free(&report);
	return 0;
}
