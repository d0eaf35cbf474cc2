/*
 * test_supervisor_control.c - what clients of the control socket may take: slots, memory, time.
 */
#include "supervisor/control.h"

#include <grp.h>
#include <jansson.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "supervisor/control_client.h"
#include "supervisor/supervisor.h"
#include "unit.h"

#define STRANGER 65533 /* an account that does not exist, and a group of it */
#define MANY 70000

static struct supervisor supervisor;
static struct cmdline cmdline;
static struct report report;

static void
prepare(void)
{
	unit_make_directory();
	supervisor = (struct supervisor){.cmdline = &cmdline};
	cmdline.control = unit_path("c.sock");
	cmdline.file = "/etc/handlerd/handlerd.conf";
	ck_assert_int_eq(loop_init(&supervisor.loop), 0);
	control_init(&supervisor.control);
	stall_init(&supervisor.stalls);
	supervisor.reload.config = config_new("/usr/lib/handlerd");
	ck_assert(control_prepare(&supervisor, supervisor.reload.config, &(struct identities){0},
				  &report));
	if (geteuid() == 0)
		supervisor.control.next_group = (struct control_group){true, STRANGER};
	ck_assert(control_open(&supervisor, &report));
	supervisor.config = supervisor.reload.config;
	supervisor.generation = 1;
	/* those who are not root must reach it */
	ck_assert_int_eq(chmod(unit_directory, 0755), 0);
}

static void
clean(void)
{
	control_close(&supervisor);
	loop_close(&supervisor.loop);
	config_free(supervisor.reload.config);
	report_free(&report);
	unit_remove_directory();
}

/* Turns until nothing happens any more. */
static void
turn(void)
{
	struct pollfd row = {.fd = supervisor.loop.epoll_fd, .events = POLLIN};

	while (poll(&row, 1, 0) > 0)
		ck_assert_int_eq(loop_turn(&supervisor.loop), 0);
}

static int
dial(void)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", cmdline.control);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	return fd;
}

static int
connect_one(void)
{
	int fd = dial();

	turn();
	return fd;
}

/* A client that is a member of the group and nothing else. */
static int
connect_member(void)
{
	int fd;

	ck_assert_int_eq(setgroups(0, NULL), 0);
	ck_assert_int_eq(setegid(STRANGER), 0);
	ck_assert_int_eq(seteuid(STRANGER), 0);
	fd = dial();
	ck_assert_int_eq(seteuid(0), 0);
	ck_assert_int_eq(setegid(0), 0);
	turn();
	return fd;
}

static void
ask(int fd, const char *line)
{
	ck_assert_int_eq(send(fd, line, strlen(line), MSG_NOSIGNAL), (ssize_t)strlen(line));
	turn();
}

/* What has come so far, up to the end if there is one; *ret_is_over: there is. */
static char *
receive(int fd, bool *ret_is_over)
{
	size_t length = 0, room = 65536;
	char *text = malloc(room);
	ssize_t n;

	while ((n = recv(fd, text + length, room - length - 1, MSG_DONTWAIT)) > 0) {
		length += (size_t)n;
		if (room - length < 65536) {
			room *= 2;
			text = realloc(text, room);
		}
		turn();
	}
	ck_assert_ptr_nonnull(text);
	text[length] = '\0';
	*ret_is_over = n == 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
	return text;
}

static void
expect(int fd, const char *words)
{
	bool is_over;
	char *text = receive(fd, &is_over);

	ck_assert_msg(strstr(text, words) != NULL, "%s", text);
	ck_assert(is_over);
	free(text);
	(void)close(fd);
	turn();
}

static void
expect_nothing(int fd)
{
	char byte;

	ck_assert_int_eq(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
	ck_assert_int_eq(errno, EAGAIN);
}

/* As if the time that every client has had passed. */
static void
let_time_pass(void)
{
	for (struct control_client *client = supervisor.control.clients; client != NULL;
	     client = client->next) {
		if (client->timer.is_armed)
			loop_arm(&supervisor.loop, &client->timer, 0);
	}
	ck_assert_int_eq(loop_turn(&supervisor.loop), 0);
	turn();
}

START_TEST(client_is_answered_and_gone)
{
	int fd = connect_one();

	ck_assert_uint_eq(supervisor.control.client_count, 1);
	ask(fd, "{\"command\":\"wait\",\"for\":\"ready\"}\n");
	expect(fd, "{\"ok\":true}\n");
	ck_assert_uint_eq(supervisor.control.client_count, 0);
	ck_assert_uint_eq(supervisor.control.output, 0);
}
END_TEST

START_TEST(one_more_than_there_are_slots_is_turned_away)
{
	int fds[CONTROL_MOST_CLIENTS];

	for (int i = 0; i < CONTROL_MOST_CLIENTS; i++)
		fds[i] = connect_one();
	expect(connect_one(), "too many ask at the same time");
	for (int i = 0; i < CONTROL_MOST_CLIENTS; i++)
		expect_nothing(fds[i]);
	(void)close(fds[0]);
	turn();
	fds[0] = connect_one();
	ask(fds[0], "{\"command\":\"log-level\"}\n");
	expect(fds[0], "{\"ok\":true,\"level\":\"info\"}\n");
	for (int i = 1; i < CONTROL_MOST_CLIENTS; i++)
		(void)close(fds[i]);
	turn();
	ck_assert_uint_eq(supervisor.control.client_count, 0);
}
END_TEST

START_TEST(those_who_may_only_look_leave_slots_for_the_others)
{
	int most = CONTROL_MOST_CLIENTS - CONTROL_KEPT_CLIENTS, fds[CONTROL_MOST_CLIENTS];

	if (geteuid() != 0)
		return;
	for (int i = 0; i < most; i++)
		fds[i] = connect_member();
	ck_assert_uint_eq(supervisor.control.reader_count, (size_t)most);
	expect(connect_member(), "too many ask at the same time");
	for (int i = most; i < CONTROL_MOST_CLIENTS; i++)
		fds[i] = connect_one();
	ck_assert_uint_eq(supervisor.control.client_count, CONTROL_MOST_CLIENTS);
	ask(fds[CONTROL_MOST_CLIENTS - 1], "{\"command\":\"log-level\"}\n");
	expect(fds[CONTROL_MOST_CLIENTS - 1], "\"level\":\"info\"");
	for (int i = 0; i < CONTROL_MOST_CLIENTS - 1; i++)
		(void)close(fds[i]);
	turn();
	ck_assert_uint_eq(supervisor.control.client_count, 0);
	ck_assert_uint_eq(supervisor.control.reader_count, 0);
}
END_TEST

START_TEST(those_who_may_only_look_have_no_slots_beside_the_others)
{
	int fds[CONTROL_MOST_CLIENTS];

	if (geteuid() != 0)
		return;
	for (int i = 0; i < CONTROL_MOST_CLIENTS; i++)
		fds[i] = connect_one();
	expect(connect_member(), "too many ask at the same time");
	for (int i = 0; i < CONTROL_MOST_CLIENTS; i++)
		(void)close(fds[i]);
	turn();
}
END_TEST

START_TEST(client_that_does_not_ask_in_time_is_told_so_and_closed)
{
	int silent = connect_one(), slow = connect_one();

	ask(slow, "{\"command\":");
	let_time_pass();
	expect(silent, "not complete within 5 s");
	expect(slow, "not complete within 5 s");
	ck_assert_uint_eq(supervisor.control.client_count, 0);
}
END_TEST

START_TEST(line_is_refused_at_4096_bytes_and_not_before)
{
	char line[CONTROL_REQUEST_SIZE + 2];
	int length = snprintf(line, sizeof(line), "{\"command\":\"log-level\"}");
	int fd = connect_one();

	memset(line + length, ' ', sizeof(line) - (size_t)length);
	line[CONTROL_REQUEST_SIZE] = '\n';
	line[CONTROL_REQUEST_SIZE + 1] = '\0';
	ask(fd, line);
	expect(fd, "\"level\":\"info\"");
	fd = connect_one();
	line[CONTROL_REQUEST_SIZE] = ' ';
	ask(fd, line);
	expect(fd, "longer than 4096 bytes");
}
END_TEST

START_TEST(what_is_sent_behind_the_request_does_not_disturb_the_answer)
{
	int fd = connect_one();

	ask(fd, "{\"command\":\"log-level\"}\n{\"command\":\"stop\"}\ngarbage");
	expect(fd, "{\"ok\":true,\"level\":\"info\"}\n");
	ck_assert(!supervisor.is_stopping);
}
END_TEST

/* A listener whose worker shows very many connections, each as long in words as it can be. */
static struct listener *
make_busy(void)
{
	static struct listener listener = {.name = (char *)(uintptr_t) "busy"};
	static struct listener *list[] = {&listener};
	static struct child child;

	child = (struct child){.state = CHILD_SERVING, .generation = UINT32_MAX};
	child.board = aligned_alloc(64, scoreboard_size(MANY));
	ck_assert_ptr_nonnull(child.board);
	memset(child.board, 0xff, scoreboard_size(MANY));
	child.board_slots = MANY;
	listener.current = &child;
	supervisor.listeners = list;
	supervisor.listener_count = 1;
	return &listener;
}

static void
free_busy(struct listener *listener)
{
	free(listener->current->board);
	supervisor.listeners = NULL;
	supervisor.listener_count = 0;
}

START_TEST(list_of_connections_is_cut_where_it_gets_too_long)
{
	struct listener *listener = make_busy();
	int fd = connect_one();
	bool is_over;
	json_t *answer;
	char *text;

	ask(fd, "{\"command\":\"connections\"}\n");
	text = receive(fd, &is_over);
	ck_assert(is_over);
	ck_assert_uint_le(strlen(text), CONTROL_MOST_OUTPUT);
	ck_assert_uint_gt(strlen(text), CONTROL_MOST_OUTPUT / 2);
	answer = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(answer);
	ck_assert(json_is_true(json_object_get(answer, "is_cut")));
	/* numbers that a worker made up stay numbers that JSON has */
	ck_assert_int_eq(json_integer_value(json_object_get(
				 json_array_get(json_object_get(answer, "connections"), 0), "id")),
			 INT64_MAX);
	json_decref(answer);
	free(text);
	(void)close(fd);
	free_busy(listener);
}
END_TEST

START_TEST(clients_that_do_not_read_are_bounded_together_and_closed)
{
	struct listener *listener = make_busy();
	int fds[8], reader;

	for (int i = 0; i < 8; i++) {
		fds[i] = connect_one();
		ask(fds[i], "{\"command\":\"connections\"}\n");
	}
	ck_assert_uint_le(supervisor.control.output,
			  CONTROL_MOST_OUTPUT_OF_ALL + 8 * UINT64_C(8192));
	ck_assert_uint_gt(supervisor.control.output, CONTROL_MOST_OUTPUT_OF_ALL / 2);
	/* a short answer is always to be had */
	reader = connect_one();
	ask(reader, "{\"command\":\"shutdown\"}\n");
	expect(reader, "no command 'shutdown'");
	let_time_pass();
	ck_assert_uint_eq(supervisor.control.client_count, 0);
	ck_assert_uint_eq(supervisor.control.output, 0);
	for (int i = 0; i < 8; i++)
		(void)close(fds[i]);
	free_busy(listener);
}
END_TEST

START_TEST(client_that_reads_slowly_gets_all_of_it)
{
	struct listener *listener = make_busy();
	int fd = connect_one();
	size_t length = 0;
	char piece[20000];
	ssize_t n;

	ask(fd, "{\"command\":\"connections\"}\n");
	while ((n = recv(fd, piece, sizeof(piece), 0)) > 0) {
		length += (size_t)n;
		turn();
	}
	ck_assert_int_eq(n, 0);
	ck_assert_uint_gt(length, CONTROL_MOST_OUTPUT / 2);
	(void)close(fd);
	free_busy(listener);
}
END_TEST

START_TEST(waiting_client_that_goes_away_is_forgotten)
{
	int fd;

	supervisor.generation = 0;
	fd = connect_one();
	ask(fd, "{\"command\":\"wait\",\"for\":\"ready\"}\n");
	expect_nothing(fd);
	ck_assert_uint_eq(supervisor.control.client_count, 1);
	/* half of it is not all */
	ck_assert_int_eq(shutdown(fd, SHUT_WR), 0);
	turn();
	ck_assert_uint_eq(supervisor.control.client_count, 1);
	(void)close(fd);
	turn();
	ck_assert_uint_eq(supervisor.control.client_count, 0);
	control_look(&supervisor);
}
END_TEST

START_TEST(descriptors_that_run_out_cost_no_turns)
{
	struct rlimit limit, none;
	int fd;

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	none.rlim_cur = (rlim_t)fd + 1;
	(void)close(fd);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	fd = connect_one(); /* takes the last one there is */
	ck_assert(supervisor.control.again.is_armed);
	ck_assert(!supervisor.control.listening.is_added);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	loop_arm(&supervisor.loop, &supervisor.control.again, 0);
	ck_assert_int_eq(loop_turn(&supervisor.loop), 0);
	turn();
	ask(fd, "{\"command\":\"log-level\"}\n");
	expect(fd, "\"level\":\"info\"");
}
END_TEST

START_TEST(upgrade_carries_socket_and_waiting_clients_over)
{
	struct control_state state;
	int waits = connect_one(), other = connect_one(), again;

	control_client_wait(supervisor.control.clients->next, CONTROL_WAITS_UPGRADE, -1);
	control_save(&supervisor.control, &state);
	ck_assert_uint_eq(state.waiting_count, 1);
	ck_assert_str_eq(state.place.path, cmdline.control);
	/* the new program has descriptors of its own */
	state.listening_fd = dup(state.listening_fd);
	state.waiting_fds[0] = dup(state.waiting_fds[0]);
	state.place.path = strdup(state.place.path);
	ck_assert_int_eq(rename(cmdline.control, unit_path("kept")), 0);
	control_close(&supervisor);
	ck_assert_int_eq(rename(unit_path("kept"), cmdline.control), 0);
	ck_assert_int_eq(control_restore(&supervisor, &state), 0);
	free(state.place.path);
	turn();

	ck_assert_uint_eq(supervisor.control.client_count, 1);
	ck_assert_int_eq(supervisor.control.clients->wait, CONTROL_WAITS_UPGRADE);
	control_client_answer(supervisor.control.clients, control_result());
	turn();
	expect(waits, "{\"ok\":true}\n");
	again = connect_one();
	ask(again, "{\"command\":\"log-level\"}\n");
	expect(again, "\"level\":\"info\"");
	(void)close(other);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("control");

	tcase_set_timeout(cases, 60);
	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_test(cases, client_is_answered_and_gone);
	tcase_add_test(cases, one_more_than_there_are_slots_is_turned_away);
	tcase_add_test(cases, those_who_may_only_look_leave_slots_for_the_others);
	tcase_add_test(cases, those_who_may_only_look_have_no_slots_beside_the_others);
	tcase_add_test(cases, client_that_does_not_ask_in_time_is_told_so_and_closed);
	tcase_add_test(cases, line_is_refused_at_4096_bytes_and_not_before);
	tcase_add_test(cases, what_is_sent_behind_the_request_does_not_disturb_the_answer);
	tcase_add_test(cases, list_of_connections_is_cut_where_it_gets_too_long);
	tcase_add_test(cases, clients_that_do_not_read_are_bounded_together_and_closed);
	tcase_add_test(cases, client_that_reads_slowly_gets_all_of_it);
	tcase_add_test(cases, waiting_client_that_goes_away_is_forgotten);
	tcase_add_test(cases, descriptors_that_run_out_cost_no_turns);
	tcase_add_test(cases, upgrade_carries_socket_and_waiting_clients_over);
	return unit_run("control", cases);
}
