/*
 * state_tables.c - what survives an upgrade: the fields of each struct, as rows of its table.
 */
#include "supervisor/state_field.h"

#include "base/cleanup.h"
#include "policy/sources.h"

#define TABLE(name_, what_)                                                                        \
	const struct state_table state_##name_##_table = {                                         \
		.fields = name_##_fields,                                                          \
		.count = COUNT_OF(name_##_fields),                                                 \
		.what = (what_),                                                                   \
	}

static const struct state_field supervisor_fields[] = {
	STATE_ROW_REQUIRED(struct supervisor, "generation", generation, 1, UINT32_MAX),
	STATE_ROW_NUMBER(struct supervisor, "upgrades", upgrades, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct supervisor, "started_ns", started_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "started_s", started_s, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "log_level", world.log_level, 0, LOG_LEVEL_DEBUG),
	STATE_ROW_NUMBER(struct supervisor, "source_key_0", world.source_key[0], INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "source_key_1", world.source_key[1], INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct supervisor, "next_serial", world.next_serial, 0, INT64_MAX),
	STATE_ROW_BOOL(struct supervisor, "has_store", sockets.store.is_open),
	STATE_ROW_FD(struct supervisor, "journal", world.journal_fd),
	STATE_ROW_FD(struct supervisor, "ports", world.ports_fd),
	STATE_ROW_FD(struct supervisor, "bans", world.bans.fd),
};
TABLE(supervisor, "the supervisor");

static const struct state_field record_fields[] = {
	STATE_ROW_BOOL(struct reload_record, "is_known", is_known),
	STATE_ROW_BOOL(struct reload_record, "is_ok", is_ok),
	STATE_ROW_NUMBER(struct reload_record, "at", at, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct reload_record, "generation", generation, 0, UINT32_MAX),
	STATE_ROW_OPTIONAL_TEXT(struct reload_record, "text", text),
};
TABLE(record, "the last reload");

static const struct state_field origin_fields[] = {
	STATE_ROW_TEXT(struct state_origin, "version", version),
	STATE_ROW_TEXT(struct state_origin, "program", program),
	STATE_ROW_REQUIRED(struct state_origin, "pid", pid, 1, INT32_MAX),
	STATE_ROW_NUMBER(struct state_origin, "began_ns", began_ns, 0, INT64_MAX),
};
TABLE(origin, "the state");

static const struct state_field pin_fields[] = {
	STATE_ROW_FD(struct pin, "fd", fd),
	STATE_ROW_TEXT(struct pin, "path", path),
	STATE_ROW_NUMBER(struct pin, "device", st.st_dev, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "inode", st.st_ino, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "size", st.st_size, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "mtime_s", st.st_mtim.tv_sec, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct pin, "mtime_ns", st.st_mtim.tv_nsec, 0, 999999999),
};
TABLE(pin, "a handler file");

static const struct state_field identity_fields[] = {
	STATE_ROW_BOOL(struct identity, "is_dropped", is_dropped),
	STATE_ROW_REQUIRED(struct identity, "uid", uid, 0, UINT32_MAX),
	STATE_ROW_REQUIRED(struct identity, "gid", gid, 0, UINT32_MAX),
	STATE_ROW_TEXT(struct identity, "user", user),
	STATE_ROW_TEXT(struct identity, "home", home),
};
TABLE(identity, "an identity");

static const struct state_field listener_fields[] = {
	STATE_ROW_TEXT(struct listener, "name", name),
	STATE_ROW_TEXT(struct listener, "handler", handler),
	STATE_ROW_NUMBER(struct listener, "socket_uid", socket_owner.uid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct listener, "socket_gid", socket_owner.gid, 0, UINT32_MAX),
	STATE_ROW_FD(struct listener, "vacancy", vacancy_fd),
	STATE_ROW_BOOL(struct listener, "is_rolled_back", is_rolled_back),
	STATE_ROW_BOOL(struct listener, "wants_back", wants_back),
	STATE_ROW_BOOL(struct listener, "is_paused", is_paused),
	STATE_ROW_NUMBER(struct listener, "limit", limit, 0, UINT32_MAX),
	STATE_ROW_BOOL(struct listener, "has_sessions", has_sessions),
	STATE_ROW_NUMBER(struct listener, "stalled_since_ns", stall.since_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "stall_taken", stall.taken, INT64_MIN, INT64_MAX),
	STATE_ROW_BOOL(struct listener, "is_stalled", stall.is_stalled),
	STATE_ROW_BOOL(struct listener, "is_shedding", overload.is_shedding),
	STATE_ROW_NUMBER(struct listener, "shedding_since_ns", overload.since_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "shed_before", overload.refused, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "memory_well", overload.memory_well, INT64_MIN,
			 INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "recycled", recycle.count, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct listener, "calls_refused", refusals.total, 0, INT64_MAX),
};
TABLE(listener, "a listener");

static const struct state_field fallback_fields[] = {
	STATE_ROW_NUMBER(struct fallback, "socket_uid", socket_owner.uid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "socket_gid", socket_owner.gid, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "generation", generation, 0, UINT32_MAX),
	STATE_ROW_NUMBER(struct fallback, "crash_count", crash_count, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct fallback, "next_crash", next_crash, 0, INT32_MAX),
};
TABLE(fallback, "what a listener was before");

static const struct state_field totals_fields[] = {
	STATE_ROW_NUMBER(struct scoreboard_totals, "accepted", accepted, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "finished", finished, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "refused", refused, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "failed", failed, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "crashed", crashed, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "timed_out", timed_out, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct scoreboard_totals, "unlogged", unlogged, INT64_MIN, INT64_MAX),
};
TABLE(totals, "the totals of a listener");

static const struct state_field address_fields[] = {
	STATE_ROW_BOOL(struct conf_address, "is_dual_stack", is_dual_stack),
	STATE_ROW_CHARS(struct conf_address, "name", name),
};
TABLE(address, "an address");

static const struct state_field socket_fields[] = {
	STATE_ROW_FD(struct held_socket, "fd", fd),
	STATE_ROW_NUMBER(struct held_socket, "index", index, 0, 65535),
	STATE_ROW_BOOL(struct held_socket, "is_adopted", is_adopted),
	STATE_ROW_OPTIONAL_TEXT(struct held_socket, "store_name", store_name),
	STATE_ROW_NUMBER(struct held_socket, "device", identity.device, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct held_socket, "inode", identity.inode, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct held_socket, "passed_backlog", passed_backlog, 0, INT32_MAX),
	STATE_ROW_CHARS(struct held_socket, "spoilt_by", spoilt_by),
};
TABLE(socket, "a socket");

static const struct state_field child_fields[] = {
	STATE_ROW_REQUIRED(struct child, "generation", generation, 1, UINT32_MAX),
	STATE_ROW_NUMBER(struct child, "pid", process.pid, 0, INT32_MAX),
	STATE_ROW_NUMBER(struct child, "protocol", process.protocol, 0, UINT16_MAX),
	STATE_ROW_FD(struct child, "channel", process.channel.fd),
	STATE_ROW_FD(struct child, "refusals", process.refusals.source.fd),
	STATE_ROW_BOOL(struct child, "is_confined", process.is_confined),
	STATE_ROW_BOOL(struct child, "is_on_demand", is_on_demand),
	STATE_ROW_BOOL(struct child, "has_accepted", has_accepted),
	STATE_ROW_BOOL(struct child, "is_retiring", is_retiring),
	STATE_ROW_BOOL(struct child, "is_pausing", is_pausing),
	STATE_ROW_BOOL(struct child, "is_quiet", is_quiet),
	STATE_ROW_BOOL(struct child, "was_ready", was_ready),
	STATE_ROW_NUMBER(struct child, "ready_ns", ready_ns, 0, INT64_MAX),
	STATE_ROW_OPTIONAL_TEXT(struct child, "version", version),
	STATE_ROW_NUMBER(struct child, "deadline_ns", deadline_ns, 0, INT64_MAX),
	STATE_ROW_BOOL(struct child, "timer_is_armed", timer.is_armed),
	STATE_ROW_NUMBER(struct child, "timer_ns", timer.when_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "crashes", crashes, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "stuck_ns", stuck_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct child, "last_status", last_status, INT32_MIN, INT32_MAX),
	STATE_ROW_FD(struct child, "handler", handler_fd),
	STATE_ROW_FD(struct child, "program", program_fd),
	STATE_ROW_CHARS(struct child, "build_id", build_id),
	STATE_ROW_FD(struct child, "board", board_fd),
	STATE_ROW_NUMBER(struct child, "slots", board_slots, 0, SCOREBOARD_MOST_SLOTS),
	STATE_ROW_NUMBER(struct child, "sets", board_sets, 0, SOURCES_MOST_SETS),
};
TABLE(child, "a worker");

static const struct state_field buckets_fields[] = {
	STATE_ROW_FD(struct buckets_table, "fd", fd),
	STATE_ROW_NUMBER(struct buckets_table, "sets", sets, 0, SOURCES_MOST_SETS),
	STATE_ROW_NUMBER(struct buckets_table, "until_ns", until_ns, 0, INT64_MAX),
};
TABLE(buckets, "what is left of rates");

static const struct state_field backoff_fields[] = {
	STATE_ROW_NUMBER(struct backoff, "early_delay_ns", early_delay_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct backoff, "crash_delay_ns", crash_delay_ns, 0, INT64_MAX),
	STATE_ROW_NUMBER(struct backoff, "next_crash", next_crash, 0, BACKOFF_BURST - 1),
};
TABLE(backoff, "the pauses of a worker");

static const struct state_field report_entry_fields[] = {
	STATE_ROW_BOOL(struct report_entry, "is_warning", is_warning),
	STATE_ROW_NUMBER(struct report_entry, "line", line, 0, UINT32_MAX),
};
TABLE(report_entry, "a worker's complaint");

static const struct state_field conf_origin_fields[] = {
	STATE_ROW_NUMBER(struct conf_origin, "line", line, 0, UINT32_MAX),
};
TABLE(conf_origin, "a place in a file");

static const struct state_field control_fields[] = {
	STATE_ROW_FD(struct control_state, "fd", listening_fd),
	STATE_ROW_OPTIONAL_TEXT(struct control_state, "path", place.path),
	STATE_ROW_BOOL(struct control_state, "is_asked", place.is_asked),
	STATE_ROW_BOOL(struct control_state, "is_written", place.is_written),
	STATE_ROW_BOOL(struct control_state, "needs_parent", place.needs_parent),
	STATE_ROW_NUMBER(struct control_state, "parent_mode", place.parent_mode, 0, 07777),
	STATE_ROW_NUMBER(struct control_state, "device", identity.device, INT64_MIN, INT64_MAX),
	STATE_ROW_NUMBER(struct control_state, "inode", identity.inode, INT64_MIN, INT64_MAX),
	STATE_ROW_BOOL(struct control_state, "has_group", group.is_given),
	STATE_ROW_NUMBER(struct control_state, "gid", group.gid, 0, UINT32_MAX),
};
TABLE(control, "the control socket");

static const struct state_field access_fields[] = {
	STATE_ROW_FD(struct access_lists, "fd", writer.fd),
	STATE_ROW_NUMBER(struct access_lists, "file_entries", said.entries, 0, INT64_MAX),
	STATE_ROW_BOOL(struct access_lists, "file_allows", said.allows),
	STATE_ROW_BOOL(struct access_lists, "file_is_closed", said.is_closed),
};
TABLE(access, "access lists");
