/*
 * control_bans.c - the command `bans`: who is refused by all listeners, and the end of that.
 */

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/memory.h"
#include "base/prefix.h"
#include "policy/sensor.h"
#include "supervisor/control_commands.h"
#include "supervisor/supervisor.h"

static json_t *
control_bans_list(const struct ban_list *list)
{
	int64_t now_ns = clock_now_ns();
	json_t *bans = json_array();
	struct bans_entry entry;
	size_t at = 0;

	while (bans_next(list->page, &at, &entry)) {
		char who[BANS_KEY_TEXT_SIZE];
		int64_t left_ms = (entry.until_ns - now_ns) / CLOCK_NS_PER_MS;

		if (left_ms <= 0)
			continue;
		(void)json_array_append_new(
			bans, json_pack("{s:s,s:o,s:f}", "address",
					bans_format_key(&entry.key, who, sizeof(who)), "listener",
					control_json_text(entry.reporter < list->reporter_count
								  ? list->reporters[entry.reporter]
								  : NULL),
					"seconds_left", (double)left_ms / 1000));
	}
	return bans;
}

/* The key of an address as it is listed, or of any that it stands for. NULL, or a new sentence. */
static char *
control_bans_take_address(const char *text, struct bans_key *ret)
{
	struct prefix prefix;
	char *reason = NULL;
	uint64_t words[2];

	if (prefix_parse(text, &prefix, &reason) < 0)
		return reason;
	prefix_to_words(&prefix, words);
	if (!prefix.is_ipv6) {
		words[1] = UINT64_C(0xffff) << 32 | words[0] >> 32;
		words[0] = 0;
	}
	if (prefix.length != (prefix.is_ipv6 ? 128U : 32U) &&
	    !(prefix.is_ipv6 && prefix.length == 64))
		return memory_format(
			"'%s' is more than is banned at once: write one address, or an "
			"IPv6 prefix of 64 bits",
			text);
	if (!bans_key_of_words(words[0], words[1], ret))
		return memory_format("the loopback is never banned");
	return NULL;
}

static void
control_bans_clear(struct supervisor *supervisor, struct control_client *client,
		   const char *address)
{
	CLEANUP_FREE char *reason = NULL;
	char who[BANS_KEY_TEXT_SIZE] = "all";
	struct bans_key key;
	size_t count;

	if (address != NULL)
		reason = control_bans_take_address(address, &key);
	if (reason != NULL) {
		control_client_refuse(client, "%s", reason);
		return;
	}
	if (address != NULL)
		(void)bans_format_key(&key, who, sizeof(who));
	count = ban_list_clear(&supervisor->world.bans, address != NULL ? &key : NULL);
	if (address != NULL && count == 0) {
		control_client_refuse(client, "%s is not banned", who);
		return;
	}
	control_log_change(client, "the end of the ban of %s", who);
	control_client_answer(client,
			      json_pack("{s:b,s:I}", "ok", 1, "cleared", (json_int_t)count));
}

void
control_run_bans(struct supervisor *supervisor, struct control_client *client,
		 const json_t *request)
{
	const char *address = control_request_text(request, "address");

	if (control_request_truth(request, "clear"))
		control_bans_clear(supervisor, client, address);
	else if (address != NULL)
		control_client_refuse(client, "an address goes with clear alone");
	else
		control_client_answer(client,
				      json_pack("{s:b,s:o}", "ok", 1, "bans",
						control_bans_list(&supervisor->world.bans)));
}
