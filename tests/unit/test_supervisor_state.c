/*
 * test_supervisor_state.c - what one supervisor writes another reads, whole or not at all; with
 * what it does not know it goes on.
 */
#include "supervisor/state.h"

#include <jansson.h>
#include <netinet/in.h>

#include "base/memory.h"
#include "unit.h"

#define HUGE_COUNT UINT64_C(0xfffffffffffffff0)

/* libconfig 1.5 loses a string that stands where none may. */
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void);
const char *
__lsan_default_suppressions(void)
{
	return "leak:libconfig.so\n";
}

__attribute__((visibility("default"))) const char *__lsan_default_options(void);
const char *
__lsan_default_options(void)
{
	return "print_suppressions=0";
}

static const char conf_text[] =
	"drain_timeout = \"7s\"; user = \"nobody\";\n"
	"listeners = (\n"
	"  { name = \"tcp\"; address = \"127.0.0.1:7001\"; handler = \"echo\";\n"
	"    options = { text = \"\xff\\x01 \\\" \"; list = [ \"a\", \"b\" ]; };\n"
	"    environment = { A = \"1\"; }; socket = { mark = 4294967295L; }; },\n"
	"  { name = \"gram\"; protocol = \"unixgram\"; address = \"/run/gram\"; handler = "
	"\"/x.so\"; },\n"
	"  { name = \"off\"; address = \"*:7002\"; handler = \"echo\"; enabled = false; } );\n";

static struct supervisor supervisor, other;
static struct state_origin origin;
static struct state_fds fds, other_fds;
static char *reason;
static struct scoreboard board; /* never looked at */
static int next_fd;

static void
blank(struct supervisor *blank_one)
{
	*blank_one = (struct supervisor){.loop.epoll_fd = -1};
	blank_one->world.journal_fd = blank_one->world.ports_fd = -1;
	blank_one->world.ports_reading_fd = blank_one->signals.fd = -1;
	ban_list_init(&blank_one->world.bans, NULL);
	control_init(&blank_one->control);
	stall_init(&blank_one->stalls);
	blank_one->upgrade.program_fd = blank_one->places.worker_fd = -1;
	blank_one->world.loop = &blank_one->loop;
	blank_one->places.handler_directory = memory_text("/usr/lib/handlerd");
	blank_one->places.program = memory_text("/usr/sbin/h\xff");
}

static struct child *
make_child(struct listener *listener, enum child_state state)
{
	struct child *child = memory_zero(1, sizeof(*child));
	bool is_alive = child_state_has_process(state);

	listener_own(listener, child);
	child->state = state;
	child->generation = child->process.generation = 3;
	child->process.protocol = PROTOCOL_VERSION;
	child->process.pid = is_alive ? 4000 + next_fd : 0;
	child->process.channel.fd = is_alive ? next_fd++ : 4711;
	child->process.refusals.source.fd = is_alive ? next_fd++ : 4712;
	child->process.is_confined = state != CHILD_STARTING;
	child->is_quiet = state == CHILD_DRAINING;
	child->was_ready = true;
	child->ready_ns = 1234567890123456789;
	child->deadline_ns = INT64_MAX / 4;
	child->timer = (struct loop_timer){.is_armed = true, .when_ns = INT64_MAX / 3};
	child->backoff = (struct backoff){.early_delay_ns = 1,
					  .crash_delay_ns = 2,
					  .crashes_ns = {3, 4, 5, 6, 7},
					  .next_crash = 4};
	child->version = memory_text("1.2");
	child->is_on_demand = child->has_accepted = true;
	child->handler_fd = next_fd++;
	child->program_fd = next_fd++;
	(void)strcpy(child->build_id, "00ff");
	child->crashes = 42;
	child->stuck_ns = 43;
	child->last_status = 139;
	child->board = is_alive ? &board : NULL;
	child->board_slots = 1024;
	child->board_fd = is_alive ? next_fd++ : 4712;
	report_add(&child->failures, true, "a.conf", 7, NULL, "text \xff");
	report_add(&child->failures, false, NULL, 0, NULL, "more");
	return child;
}

static void
add_socket(struct supervisor *to, struct listener *listener, const char *text)
{
	struct held_socket *held = memory_zero(1, sizeof(*held));
	const char *why;
	unsigned count;

	ck_assert_int_eq(conf_address_parse(text, listener->protocol != CONF_TCP, &held->asked,
					    &count, &why),
			 0);
	held->bound = held->asked;
	held->fd = next_fd++;
	held->protocol = listener->protocol;
	held->index = 2;
	held->is_adopted = true;
	held->identity = (struct local_identity){.device = (dev_t)HUGE_COUNT, .inode = 99};
	held->owner = memory_text(listener->name);
	held->store_name = memory_text("tcp/2");
	to->sockets.items =
		memory_grow(to->sockets.items, to->sockets.count, sizeof(struct held_socket *));
	to->sockets.items[to->sockets.count++] = held;
	listener->sockets = memory_grow(listener->sockets, listener->socket_count,
					sizeof(struct held_socket *));
	listener->sockets[listener->socket_count++] = held;
}

static struct pin
make_pin(void)
{
	return (struct pin){
		.fd = next_fd++,
		.path = memory_text("/usr/lib/handlerd/\xfe.so"),
		.st = {.st_dev = 5,
		       .st_ino = (ino_t)HUGE_COUNT,
		       .st_size = 12345,
		       .st_mtim = {.tv_sec = -1, .tv_nsec = 999999999}},
		.build_id = {0, 1, 0xff},
		.build_id_size = 3,
	};
}

static struct identity
make_identity(void)
{
	struct identity identity = {
		.is_dropped = true,
		.uid = 65534,
		.gid = UINT32_MAX - 1,
		.groups = memory_zero(2, sizeof(gid_t)),
		.group_count = 2,
		.user = memory_text("nobody"),
		.home = memory_text("/"),
	};

	identity.groups[1] = 44;
	return identity;
}

/* A configuration of before, with another entry of that name. */
static struct config *
make_config(const char *text)
{
	struct conf_part part = {.name = "/etc/old.conf", .text = text};
	struct report report = {0};
	struct config *config = config_load_parts(&part, 1, "/usr/lib/handlerd", &report);

	ck_assert_msg(config != NULL, "%s", report.count > 0 ? report.entries[0].text : "");
	return config;
}

static struct listener *
make_listener(size_t index)
{
	struct listener *listener = memory_zero(1, sizeof(*listener));

	listener->world = &supervisor.world;
	listener->config = supervisor.config;
	listener->conf = &supervisor.config->listeners[index];
	listener->name = memory_text(listener->conf->name);
	listener->handler = memory_text(listener->conf->handler);
	listener->protocol = listener->conf->protocol;
	listener->fallback = FALLBACK_NONE;
	listener->pin = make_pin();
	listener->identity = make_identity();
	listener->socket_owner = (struct socket_owner){.uid = 7, .gid = 8};
	listener->vacancy_fd = next_fd++;
	listener->concurrency = CONF_FORKING;
	listener->start = CONF_START_ON_DEMAND;
	listener->limit = 77;
	listener->is_paused = true;
	listener->stall = (struct stall){.since_ns = 5, .taken = HUGE_COUNT, .is_stalled = true};
	listener->totals = (struct scoreboard_totals){.accepted = HUGE_COUNT,
						      .finished = 1,
						      .refused = 2,
						      .failed = 3,
						      .crashed = 4,
						      .timed_out = 5};
	for (int i = 0; i < SCOREBOARD_DROPS; i++)
		listener->totals.dropped[i] = (uint64_t)i * 10;
	listener_make_image(listener);
	return listener;
}

static void
make_state(void)
{
	static const struct conf_part part = {.name = "/etc/h.conf", .text = conf_text};
	struct report report = {0};
	struct listener *listener;

	next_fd = 10;
	blank(&supervisor);
	blank(&other);
	supervisor.config = config_load_parts(&part, 1, "/usr/lib/handlerd", &report);
	ck_assert_ptr_nonnull(supervisor.config);
	supervisor.generation = 9;
	supervisor.upgrades = 2;
	supervisor.started_ns = 77;
	supervisor.world.next_serial = 18;
	supervisor.world.log_level = 7;
	supervisor.started_s = -5;
	supervisor.sockets.store.is_open = true;
	supervisor.last_reload = (struct reload_record){
		.is_known = true, .at = 1700000000, .generation = 8, .text = memory_text("no")};
	supervisor.control.listening.fd = next_fd++;
	supervisor.control.place = (struct control_place){
		.path = memory_text("/run/control"), .is_asked = true, .parent_mode = 0750};
	supervisor.control.identity.inode = 31;
	supervisor.control.group = (struct control_group){.is_given = true, .gid = 12};
	supervisor.world.journal_fd = next_fd++;
	supervisor.world.ports_fd = next_fd++;
	supervisor.world.bans.fd = next_fd++;
	supervisor.listeners = memory_zero(2, sizeof(struct listener *));
	supervisor.listeners[0] = listener = make_listener(0);
	listener->current = make_child(listener, CHILD_SERVING);
	listener->old = make_child(listener, CHILD_DRAINING);
	listener->old->next = make_child(listener, CHILD_GONE);
	listener->wants_back = true;
	listener->fallback = (struct fallback){
		.config = make_config("drain_timeout = \"3s\"; listeners = ( { name = \"other\";\n"
				      "address = \"*:1\"; handler = \"x\"; }, { name = \"tcp\";\n"
				      "address = \"127.0.0.1:7001\"; handler = \"before\"; } );"),
		.pin = make_pin(),
		.identity = make_identity(),
		.socket_owner = {.uid = 5, .gid = 6},
		.generation = 2,
		.crashes_ns = memory_zero(3, sizeof(int64_t)),
		.crash_room = 3,
		.crash_count = 7,
		.next_crash = 2,
	};
	listener->fallback.conf = &listener->fallback.config->listeners[1];
	listener->fallback.crashes_ns[2] = 12;
	add_socket(&supervisor, listener, "127.0.0.1:7001");
	add_socket(&supervisor, listener, "systemd:echo");
	listener->old->next->next = make_child(listener, CHILD_IDLE);
	supervisor.listeners[1] = listener = make_listener(1);
	listener->own_config = make_config(
		"drain_timeout = \"4s\"; listeners = ( { name = \"gram\";\n"
		"protocol = \"unixgram\"; address = \"/run/gram\"; handler = \"/old.so\"; } );");
	listener->config = listener->own_config;
	listener->conf = &listener->own_config->listeners[0];
	listener->is_rolled_back = true;
	buf_free(&listener->image);
	buf_free(&listener->address_image);
	listener_make_image(listener);
	listener->current = make_child(listener, CHILD_BACKOFF);
	add_socket(&supervisor, listener, "@name");
	supervisor.listener_count = 2;
	supervisor.leaving = memory_zero(1, sizeof(struct listener *));
	supervisor.leaving[0] = listener = make_listener(0);
	free(listener->name);
	listener->name = memory_text("left");
	listener->current = make_child(listener, CHILD_DRAINING);
	supervisor.leaving_count = 1;
}

static void
free_state(void)
{
	supervisor.control.listening.fd = other.control.listening.fd = -1;
	state_let_go(&supervisor);
	supervisor_destroy(&supervisor);
	state_let_go(&other);
	supervisor_destroy(&other);
	state_origin_free(&origin);
	state_fds_free(&fds);
	state_fds_free(&other_fds);
	free(reason);
	reason = NULL;
}

static char *
write_state(void)
{
	size_t length;
	char *text;

	state_fds_free(&fds);
	text = state_write(&supervisor, 55, &length, &fds);
	ck_assert_uint_eq(strlen(text), length);
	return text;
}

static int
read_state(const char *text, size_t length)
{
	state_let_go(&other);
	supervisor_destroy(&other);
	blank(&other);
	state_origin_free(&origin);
	state_fds_free(&other_fds);
	free(reason);
	return state_read(text, length, &other, &origin, &other_fds, &reason);
}

/* As a resumed supervisor has them. */
static void
map_boards(void)
{
	for (size_t i = 0; i < other.listener_count + other.leaving_count; i++) {
		struct listener *listener = i < other.listener_count
						    ? other.listeners[i]
						    : other.leaving[i - other.listener_count];
		struct child *child = listener->current;

		for (; child != NULL;
		     child = child == listener->current ? listener->old : child->next) {
			if (child->board_fd >= 0)
				child->board = &board;
		}
	}
}

/* Changes the value at a path such as "listeners.0.current.pid"; NULL removes it. */
static char *
change(const char *text, const char *path, json_t *value)
{
	json_t *state = json_loads(text, 0, NULL), *at = state;
	char *copy = memory_text(path), *name = strtok(copy, "."), *next, *result;

	for (; (next = strtok(NULL, ".")) != NULL; name = next) {
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name))
				       : json_object_get(at, name);
		ck_assert_msg(at != NULL, "%s", path);
	}
	if (value == NULL)
		ck_assert_msg(json_object_del(at, name) == 0, "%s", path);
	else
		ck_assert_int_eq(json_object_set_new(at, name, value), 0);
	result = json_dumps(state, 0);
	json_decref(state);
	free(copy);
	return result;
}

static void
expect(const char *path, json_t *value, const char *words)
{
	char *text = write_state(), *changed = change(text, path, value);
	int r = read_state(changed, strlen(changed));

	if (words == NULL) {
		ck_assert_msg(r == 0, "%s: %s", path, reason);
	} else {
		ck_assert_msg(r == -EBADMSG, "%s was accepted", path);
		ck_assert_msg(strstr(reason, words) != NULL, "%s: %s", path, reason);
	}
	free(changed);
	free(text);
}

START_TEST(everything_is_read_back_and_written_the_same)
{
	char *first = write_state(), *second;
	size_t length;

	ck_assert_msg(read_state(first, strlen(first)) == 0, "%s", reason);
	map_boards();
	other.control.listening.fd = origin.control.listening_fd;
	other.control.place = origin.control.place;
	other.control.identity = origin.control.identity;
	other.control.group = origin.control.group;
	origin.control.place.path = NULL;
	free(other.places.program);
	other.places.program = memory_text(origin.program);
	state_fds_free(&other_fds);
	second = state_write(&other, origin.began_ns, &length, &other_fds);
	ck_assert_str_eq(first, second);
	ck_assert_uint_eq(fds.count, other_fds.count);
	for (size_t i = 0; i < fds.count; i++)
		ck_assert_int_eq(fds.items[i], other_fds.items[i]);
	ck_assert_str_eq(origin.program, "/usr/sbin/h\xff");
	ck_assert_int_eq(origin.pid, getpid());
	free(first);
	free(second);
}
END_TEST

START_TEST(values_survive)
{
	char *text = write_state();
	const struct listener *a = supervisor.listeners[0], *b;

	ck_assert_msg(read_state(text, strlen(text)) == 0, "%s", reason);
	ck_assert_uint_eq(other.listener_count, 2);
	ck_assert_uint_eq(other.sockets.count, 3);
	ck_assert_uint_eq(other.upgrades, 2);
	ck_assert_int_eq(other.config->drain_timeout_ms, 7000);
	b = other.listeners[0];
	ck_assert_uint_eq(listener_compare(a, b), 0);
	ck_assert_ptr_eq(b->config, other.config);
	ck_assert_ptr_eq(b->current->name, b->name);
	ck_assert_int_eq(b->current->start_timeout_ms, other.config->start_timeout_ms);
	ck_assert_uint_eq(b->totals.accepted, HUGE_COUNT);
	ck_assert_uint_eq(b->totals.dropped[SCOREBOARD_DROPS - 1], (SCOREBOARD_DROPS - 1) * 10);
	ck_assert_int_eq(b->identity.groups[1], 44);
	ck_assert_int_eq(b->current->backoff.crashes_ns[4], 7);
	ck_assert_uint_eq(b->current->crashes, 42);
	ck_assert_int_eq(b->current->stuck_ns, 43);
	ck_assert_int_eq(b->current->process.last_pid, a->current->process.pid);
	ck_assert_uint_eq(b->totals.timed_out, 5);
	ck_assert_str_eq(b->current->failures.entries[0].file, "a.conf");
	ck_assert_int_eq(b->old->state, CHILD_DRAINING);
	ck_assert_int_eq(b->old->next->state, CHILD_GONE);
	ck_assert_int_eq(b->old->next->board_fd, -1);
	ck_assert_uint_eq(b->sockets[0]->settings.options.mark, UINT32_MAX);
	ck_assert_int_eq(
		memcmp(&a->sockets[0]->asked, &b->sockets[0]->asked, sizeof(struct conf_address)),
		0);
	ck_assert_str_eq(b->sockets[1]->asked.name, "echo");
	ck_assert_str_eq(b->conf->handler_origin.file, "/etc/h.conf");
	ck_assert_uint_eq(b->conf->handler_origin.line, 3);
	ck_assert_uint_eq(b->conf->options[0].origin.line, 4);
	ck_assert_str_eq(b->conf->options[0].text, "\xff\x01 \" ");
	ck_assert_int_eq(other.listeners[1]->current->state, CHILD_BACKOFF);
	ck_assert_int_eq(other.listeners[1]->current->process.channel.fd, -1);
	ck_assert_int_eq(b->current->process.refusals.source.fd,
			 a->current->process.refusals.source.fd);
	ck_assert_int_eq(other.listeners[1]->current->process.refusals.source.fd, -1);
	ck_assert_str_eq(other.leaving[0]->name, "left");
	ck_assert_uint_eq(other.world.next_serial, 18);
	ck_assert(other.sockets.store.is_open);
	ck_assert_str_eq(other.last_reload.text, "no");
	ck_assert_str_eq(b->current->version, "1.2");
	ck_assert_str_eq(b->current->build_id, "00ff");
	ck_assert(b->is_paused && b->current->has_accepted && b->current->is_on_demand);
	ck_assert_int_eq(b->concurrency, CONF_FORKING);
	ck_assert_int_eq(other.world.log_level, 7);
	ck_assert_str_eq(b->sockets[0]->store_name, "tcp/2");
	free(text);
}
END_TEST

START_TEST(control_socket_and_its_clients_survive)
{
	char *text = write_state();

	ck_assert_msg(read_state(text, strlen(text)) == 0, "%s", reason);
	ck_assert_int_eq(origin.control.listening_fd, supervisor.control.listening.fd);
	ck_assert_str_eq(origin.control.place.path, "/run/control");
	ck_assert_uint_eq(origin.control.place.parent_mode, 0750);
	ck_assert_uint_eq(origin.control.group.gid, 12);
	ck_assert_uint_eq(origin.control.waiting_count, 0);
	free(text);
	expect("control.waiting", json_pack("[i,i]", 900, 901), NULL);
	ck_assert_uint_eq(origin.control.waiting_count, 2);
	ck_assert_int_eq(origin.control.waiting_fds[1], 901);
	expect("control.asking", json_pack("[i,i]", 900, 900), "no descriptor");
	expect("control", NULL, NULL);
	ck_assert_int_eq(origin.control.listening_fd, -1);
}
END_TEST

START_TEST(what_listeners_were_before_survives)
{
	char *text = write_state();
	const struct listener *a, *b;

	ck_assert_msg(read_state(text, strlen(text)) == 0, "%s", reason);
	a = other.listeners[0];
	ck_assert(a->wants_back && !a->is_rolled_back);
	ck_assert_str_eq(a->fallback.conf->handler, "before");
	ck_assert_uint_eq(a->fallback.conf->handler_origin.line, 3);
	ck_assert_str_eq(a->fallback.conf->handler_origin.file, "/etc/old.conf");
	ck_assert_int_eq(a->fallback.config->drain_timeout_ms, 3000);
	ck_assert_int_eq(a->fallback.crashes_ns[2], 12);
	ck_assert_uint_eq(a->fallback.crash_room, 3);
	ck_assert(pin_equal(&a->fallback.pin, &supervisor.listeners[0]->fallback.pin));
	ck_assert_uint_eq(a->fallback.identity.gid, UINT32_MAX - 1);
	b = other.listeners[1];
	ck_assert(b->is_rolled_back);
	ck_assert_ptr_eq(b->config, b->own_config);
	ck_assert_str_eq(b->conf->handler, "/old.so");
	ck_assert_uint_eq(listener_compare(b, supervisor.listeners[1]), 0);
	ck_assert_ptr_null(b->fallback.config);
	ck_assert_ptr_null(other.leaving[0]->conf);
	free(text);
}
END_TEST

START_TEST(configuration_from_the_command_line_has_no_places)
{
	struct conf_listener *conf = &supervisor.config->listeners[0];
	char *text;

	conf->origin.file = conf->handler_origin.file = conf->address_origin.file = NULL;
	conf->options[0].origin.file = NULL;
	text = write_state();
	ck_assert_msg(read_state(text, strlen(text)) == 0, "%s", reason);
	ck_assert_ptr_null(other.listeners[0]->conf->handler_origin.file);
	ck_assert_ptr_null(other.listeners[0]->conf->options[0].origin.file);
	ck_assert_ptr_nonnull(other.listeners[0]->conf->options[1].origin.file);
	free(text);
}
END_TEST

START_TEST(state_cut_at_any_byte_is_refused)
{
	char *text = write_state();
	size_t length = strlen(text);

	for (size_t i = 0; i < length; i += i < 200 || i > length - 200 ? 1 : 97) {
		ck_assert_int_eq(read_state(text, i), -EBADMSG);
		ck_assert_ptr_nonnull(reason);
	}
	free(text);
}
END_TEST

START_TEST(state_with_any_byte_garbled_is_refused_or_whole)
{
	char *text = write_state();
	size_t length = strlen(text);

	for (size_t i = (size_t)_i; i < length; i += 61) {
		char before = text[i];

		text[i] = (char)("\"{[0-}x"[i % 7]);
		if (read_state(text, length) < 0)
			ck_assert_ptr_nonnull(reason);
		else
			ck_assert_ptr_null(reason);
		text[i] = before;
	}
	free(text);
}
END_TEST

START_TEST(field_that_is_missing_has_a_default)
{
	static const char *const paths[] = {
		"supervisor.upgrades",
		"supervisor.journal",
		"listeners.0.current.crashes",
		"listeners.0.current.backoff",
		"listeners.0.current.failures",
		"listeners.0.current.protocol",
		"listeners.0.current.refusals",
		"listeners.0.current.is_confined",
		"listeners.0.calls_refused",
		"listeners.0.old",
		"listeners.0.totals.failed",
		"leaving",
		"listeners.0.pin.build_id",
		"listeners.0.identity.groups",
		"listeners.0.before",
		"listeners.0.concurrency",
		"listeners.0.start",
		"listeners.0.is_paused",
		"listeners.0.current.build_id",
		"control",
		"last_reload",
		"supervisor.next_serial",
		"listeners.0.before.crash_count",
		"last_reload.text",
		"listeners.0.sockets.0.index",
		"configuration.listeners.0.options",
		"configuration.listeners.0.handler_origin",
		"began_ns",
	};

	for (int i = 0; i < UNIT_COUNT(paths); i++)
		expect(paths[i], NULL, NULL);
}
END_TEST

START_TEST(field_that_must_be_there_is_missed_by_its_name)
{
	expect("version", NULL, "'version'");
	expect("supervisor", NULL, "the supervisor is missing");
	expect("supervisor.generation", NULL, "'generation' of the supervisor is missing");
	expect("configuration", NULL, "'text' of the configuration");
	expect("configuration.listeners.0.text", NULL, "'text' of the configuration");
	expect("listeners.0.name", NULL, "'name' of a listener");
	expect("listeners.0.pin", NULL, "a handler file is missing");
	expect("listeners.0.pin.fd", NULL, "listener 'tcp' is not whole");
	expect("listeners.0.vacancy", NULL, "listener 'tcp' is not whole");
	expect("listeners.0.current", NULL, "listener 'tcp' is not whole");
	expect("listeners.0.identity.uid", NULL, "'uid' of an identity");
	expect("listeners.0.totals", NULL, "the totals of a listener is missing");
	expect("listeners.0.sockets.0.asked.kind", NULL, "'kind' of an address");
	expect("listeners.0.current.generation", NULL, "'generation' of a worker");
	expect("listeners.0.current.channel", NULL, "has process and channel");
}
END_TEST

START_TEST(field_that_is_not_known_is_ignored)
{
	expect("later", json_string("x"), NULL);
	expect("listeners.0.later", json_pack("{s:[i]}", "a", 1), NULL);
	expect("listeners.0.current.later", json_true(), NULL);
	expect("listeners.0.totals.dropped",
	       json_pack("[i,i,i,i,i,i,i,i,i,i,i,i,i,i]", 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4),
	       NULL);
}
END_TEST

START_TEST(value_that_cannot_be_is_refused)
{
	expect("supervisor.generation", json_integer(0), "'generation'");
	expect("supervisor.generation", json_integer(INT64_C(4294967296)), "'generation'");
	expect("supervisor.journal", json_integer(2), "'journal'");
	expect("supervisor.journal", json_integer(-1), "'journal'");
	/* the same number twice */
	expect("supervisor.journal", json_integer(supervisor.world.ports_fd), "'ports'");
	expect("listeners.0.current.pid", json_integer(0), "no process and channel");
	expect("listeners.0.current.pid", json_string("1"), "'pid'");
	expect("listeners.0.current.slots", json_integer(0), "layout");
	/* as many as max_connections may be, though this one has others */
	expect("listeners.0.current.slots", json_integer(1000000), "layout");
	expect("listeners.0.current.slots", json_integer(SCOREBOARD_MOST_SLOTS + 1), "'slots'");
	expect("listeners.0.current.board_size", json_integer(8), "another layout");
	expect("listeners.0.current.backoff.next_crash", json_integer(BACKOFF_BURST), "next_crash");
	expect("listeners.0.current.backoff.crashes_ns", json_pack("[s]", "x"), "list of numbers");
	expect("listeners.0.protocol", json_string("sctp"), "'protocol'");
	expect("listeners.0.concurrency", json_integer(1), "'concurrency'");
	expect("listeners.0.name", json_string("nosuch"), "no listener 'nosuch'");
	expect("listeners.0.name", json_pack("{s:s}", "hex", "6"), "'name'");
	expect("listeners.0.name", json_pack("{s:s}", "hex", "6100"), "'name'");
	expect("listeners.0.identity.groups", json_pack("[i]", -1), "group");
	expect("listeners.0.pin.build_id",
	       json_pack("{s:s++}", "hex", "00112233445566778899aabbccddeeff",
			 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff",
			 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
			 "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"),
	       "too many");
	expect("listeners.0.sockets.0.asked.bytes", json_pack("{s:s}", "hex", "zz"), "bytes");
	expect("listeners.0.before.next_crash", json_integer(3), "not whole");
	expect("listeners.0.before.pin.fd", NULL, "not whole");
	expect("listeners.0.before.configuration.listeners", json_array(), "one listener has 0");
	expect("listeners.1.configuration.text", json_string("x"), "refused");
	expect("configuration.text", json_string("listeners = ( ); nosuch = 1;"), "nosuch");
	expect("configuration.listeners", json_array(), "no listener 'tcp'");
}
END_TEST

START_TEST(worker_of_a_protocol_that_is_not_spoken_is_named)
{
	expect("listeners.0.old.0.protocol", NULL, NULL);
	expect("listeners.0.current.protocol", json_integer(PROTOCOL_VERSION + 1),
	       "the worker of 'tcp' speaks protocol 3, and this version speaks 2 to 2");
	expect("listeners.0.current.protocol", json_integer(PROTOCOL_OLDEST - 1),
	       "speaks protocol 1");
}
END_TEST

START_TEST(state_of_another_version_says_so)
{
	expect("state", json_integer(STATE_VERSION + 1), "hands over a state of version 2");
	expect("state", json_integer(STATE_OLDEST - 1), "understands 1 to 1");
	expect("state", NULL, "no state of handlerd");
	ck_assert_int_eq(read_state("[]", 2), -EBADMSG);
	ck_assert_int_eq(read_state("", 0), -EBADMSG);
}
END_TEST

START_TEST(state_of_a_worker_that_is_not_known_is_the_nearest_one)
{
	expect("listeners.0.current.state", json_string("DREAMING"), NULL);
	ck_assert_int_eq(other.listeners[0]->current->state, CHILD_SERVING);
	expect("listeners.1.current.state", json_string("DREAMING"), NULL);
	ck_assert_int_eq(other.listeners[1]->current->state, CHILD_BACKOFF);
	ck_assert(other.listeners[1]->current->timer.is_armed);
	expect("leaving.0.current.state", json_integer(3), NULL);
	supervisor.listeners[0]->current->was_ready = false;
	expect("listeners.0.current.state", json_string("DREAMING"), NULL);
	ck_assert_int_eq(other.listeners[0]->current->state, CHILD_REPLACING);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("state");

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, make_state, free_state);
	tcase_add_test(cases, everything_is_read_back_and_written_the_same);
	tcase_add_test(cases, values_survive);
	tcase_add_test(cases, control_socket_and_its_clients_survive);
	tcase_add_test(cases, what_listeners_were_before_survives);
	tcase_add_test(cases, configuration_from_the_command_line_has_no_places);
	tcase_add_test(cases, state_cut_at_any_byte_is_refused);
	tcase_add_loop_test(cases, state_with_any_byte_garbled_is_refused_or_whole, 0, 12);
	tcase_add_test(cases, field_that_is_missing_has_a_default);
	tcase_add_test(cases, field_that_must_be_there_is_missed_by_its_name);
	tcase_add_test(cases, field_that_is_not_known_is_ignored);
	tcase_add_test(cases, value_that_cannot_be_is_refused);
	tcase_add_test(cases, worker_of_a_protocol_that_is_not_spoken_is_named);
	tcase_add_test(cases, state_of_another_version_says_so);
	tcase_add_test(cases, state_of_a_worker_that_is_not_known_is_the_nearest_one);
	return unit_run("supervisor_state", cases);
}
