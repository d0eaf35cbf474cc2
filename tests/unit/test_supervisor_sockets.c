/*
 * test_supervisor_sockets.c - listening sockets outlive configurations: kept, opened, given up, and
 * never half.
 */
#include "supervisor/sockets.h"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "base/log.h"
#include "net/listen.h"
#include "unit.h"

static struct sockets sockets;
static struct report report;
static const struct socket_owner nobody = {(uid_t)-1, (gid_t)-1};

static void
clean(void)
{
	sockets_close_all(&sockets);
	ck_assert_uint_eq(sockets.count, 0);
	report_free(&report);
}

/* A listener of the configuration, with one address. */
struct wish {
	struct conf_listener listener;
	struct conf_address address;
	char *text;
};

static struct wish *
wish_for(const char *name, const char *address, int64_t backlog)
{
	struct wish *wish = calloc(1, sizeof(*wish));
	const char *reason;
	unsigned count;

	ck_assert_ptr_nonnull(wish);
	ck_assert_int_eq(conf_address_parse(address, false, &wish->address, &count, &reason), 0);
	wish->text = (char *)(uintptr_t)address;
	wish->listener = (struct conf_listener){
		.name = (char *)(uintptr_t)name,
		.address_texts = {.items = &wish->text, .count = 1},
		.addresses = &wish->address,
		.backlog = backlog,
		.address_origin = {.file = "a.conf", .line = 9},
	};
	return wish;
}

static struct held_socket *
want(const char *name, const char *address, int64_t backlog)
{
	struct wish *wish = wish_for(name, address, backlog);
	struct held_socket *held = sockets_want(&sockets, &wish->listener, 0, 0, &nobody, &report);

	free(wish);
	return held;
}

static uint16_t
port_of(const struct held_socket *held)
{
	return ntohs(((const struct sockaddr_in *)(const void *)&held->bound.addr)->sin_port);
}

/* "127.0.0.1:PORT" of a port that was free a moment ago. */
static const char *
free_address(void)
{
	static char texts[4][32];
	static unsigned next;
	char *text = texts[next++ % 4];
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_storage addr;
	socklen_t length;
	const char *step;
	int fd = listen_open(&(struct listen_spec){.type = SOCK_STREAM,
						   .addr = (struct sockaddr *)&in,
						   .length = sizeof(in)},
			     &step);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(listen_get_address(fd, &addr, &length), 0);
	memcpy(&in, &addr, sizeof(in));
	(void)close(fd);
	(void)snprintf(text, sizeof(texts[0]), "127.0.0.1:%u", ntohs(in.sin_port));
	return text;
}

static unsigned
backlog_of(int fd)
{
	struct tcp_info info;
	socklen_t length = sizeof(info);

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
	return info.tcpi_sacked;
}

START_TEST(new_socket_listens_on_its_real_port)
{
	struct held_socket *held;

	sockets_begin(&sockets);
	held = want("a", "127.0.0.1:0", 5);
	ck_assert_ptr_nonnull(held);
	ck_assert(held->is_new && held->is_wanted);
	ck_assert_uint_ne(port_of(held), 0);
	ck_assert(listen_is_alive(held->fd));
	ck_assert_uint_eq(backlog_of(held->fd), 5);
	sockets_commit(&sockets);
	ck_assert_str_eq(held->owner, "a");
	ck_assert_uint_eq(sockets.count, 1);
}
END_TEST

START_TEST(kept_socket_is_the_same_one_whatever_its_listener_is_called)
{
	const char *address = free_address();
	struct held_socket *held;
	int fd;

	sockets_begin(&sockets);
	held = want("a", address, 0);
	ck_assert_ptr_nonnull(held);
	fd = held->fd;
	sockets_commit(&sockets);
	sockets_begin(&sockets);
	ck_assert_ptr_eq(want("renamed", address, 0), held);
	ck_assert(!held->is_new);
	ck_assert_int_eq(held->fd, fd);
	/* nothing is changed before the commit */
	ck_assert_str_eq(held->owner, "a");
	sockets_commit(&sockets);
	ck_assert_str_eq(held->owner, "renamed");
}
END_TEST

START_TEST(port_0_belongs_to_the_listener_that_asked)
{
	struct held_socket *a, *b;

	sockets_begin(&sockets);
	a = want("a", "127.0.0.1:0", 0);
	b = want("b", "127.0.0.1:0", 0);
	ck_assert_ptr_ne(a, b);
	ck_assert_uint_ne(port_of(a), port_of(b));
	sockets_commit(&sockets);
	/* in another order, each finds its own */
	sockets_begin(&sockets);
	ck_assert_ptr_eq(want("b", "127.0.0.1:0", 0), b);
	ck_assert_ptr_eq(want("a", "127.0.0.1:0", 0), a);
	sockets_commit(&sockets);
	/* a new name gets a new port, and the old one goes */
	sockets_begin(&sockets);
	ck_assert_ptr_eq(want("a", "127.0.0.1:0", 0), a);
	ck_assert(want("c", "127.0.0.1:0", 0)->is_new);
	sockets_commit(&sockets);
	ck_assert_uint_eq(sockets.count, 2);
}
END_TEST

START_TEST(two_of_port_0_in_one_listener_are_two_sockets)
{
	struct held_socket *first, *second;

	sockets_begin(&sockets);
	first = want("a", "127.0.0.1:0", 0);
	second = want("a", "127.0.0.1:0", 0);
	ck_assert_ptr_ne(first, second);
	sockets_commit(&sockets);
	sockets_begin(&sockets);
	ck_assert_ptr_eq(want("a", "127.0.0.1:0", 0), first);
	ck_assert_ptr_eq(want("a", "127.0.0.1:0", 0), second);
	sockets_commit(&sockets);
}
END_TEST

START_TEST(commit_closes_what_is_not_wanted_any_more)
{
	const char *address = free_address();
	int before = unit_count_fds();

	sockets_begin(&sockets);
	ck_assert_ptr_nonnull(want("a", address, 0));
	ck_assert_ptr_nonnull(want("b", "127.0.0.1:0", 0));
	ck_assert_ptr_nonnull(want("c", "127.0.0.1:0", 0));
	sockets_commit(&sockets);
	sockets_begin(&sockets);
	ck_assert_ptr_nonnull(want("b", "127.0.0.1:0", 0));
	sockets_commit(&sockets);
	ck_assert_uint_eq(sockets.count, 1);
	ck_assert_str_eq(sockets.items[0]->owner, "b");
	ck_assert_int_eq(unit_count_fds(), before + 1);
	/* the address is free again */
	sockets_begin(&sockets);
	ck_assert(want("d", address, 0)->is_new);
	sockets_commit(&sockets);
}
END_TEST

START_TEST(roll_back_closes_what_is_new_and_changes_nothing_else)
{
	const char *address = free_address();
	struct held_socket *held;
	int before;

	sockets_begin(&sockets);
	held = want("a", address, 5);
	sockets_commit(&sockets);
	before = unit_count_fds();
	for (int i = 0; i < 3; i++) {
		sockets_begin(&sockets);
		ck_assert_ptr_eq(want("renamed", address, 9), held);
		ck_assert_ptr_nonnull(want("b", "127.0.0.1:0", 0));
		ck_assert_ptr_nonnull(want("c", "127.0.0.1:0", 0));
		sockets_roll_back(&sockets);
		ck_assert_uint_eq(sockets.count, 1);
		ck_assert_str_eq(held->owner, "a");
		ck_assert_uint_eq(backlog_of(held->fd), 5);
		ck_assert_int_eq(unit_count_fds(), before);
	}
}
END_TEST

START_TEST(backlog_changes_at_the_commit)
{
	const char *address = free_address();
	struct held_socket *held;

	sockets_begin(&sockets);
	held = want("a", address, 5);
	sockets_commit(&sockets);
	sockets_begin(&sockets);
	ck_assert_ptr_eq(want("a", address, 9), held);
	ck_assert_uint_eq(backlog_of(held->fd), 5);
	sockets_commit(&sockets);
	ck_assert_uint_eq(backlog_of(held->fd), 9);
	ck_assert_int_eq(held->settings.backlog, 9);
}
END_TEST

START_TEST(address_that_overlaps_a_held_one_names_the_holder)
{
	const char *address = free_address();
	char wildcard[32];

	sockets_begin(&sockets);
	ck_assert_ptr_nonnull(want("old", address, 0));
	sockets_commit(&sockets);
	(void)snprintf(wildcard, sizeof(wildcard), "0.0.0.0%s", strchr(address, ':'));
	sockets_begin(&sockets);
	ck_assert_ptr_null(want("new", wildcard, 0));
	ck_assert_uint_eq(report.errors, 1);
	ck_assert_str_eq(report.entries[0].file, "a.conf");
	ck_assert_uint_eq(report.entries[0].line, 9);
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "listener 'new' cannot bind 0.0.0.0"));
	ck_assert_ptr_nonnull(
		strstr(report.entries[0].text, "listener 'old' still holds 127.0.0.1:"));
	sockets_roll_back(&sockets);
	ck_assert_uint_eq(sockets.count, 1);
}
END_TEST

START_TEST(address_of_another_program_or_machine_gets_advice)
{
	const char *address = free_address();
	struct sockets other = {0};
	struct wish *wish = wish_for("x", address, 0);

	ck_assert_ptr_nonnull(sockets_want(&other, &wish->listener, 0, 0, &nobody, &report));
	sockets_begin(&sockets);
	ck_assert_ptr_null(want("a", address, 0));
	ck_assert_ptr_nonnull(strstr(report.entries[0].text, "another program listens there"));
	ck_assert_ptr_null(want("a", "192.0.2.1:0", 0));
	ck_assert_ptr_nonnull(strstr(report.entries[1].text, "does not have that address"));
	ck_assert_uint_eq(sockets.count, 0);
	sockets_close_all(&other);
	free(wish);
}
END_TEST

START_TEST(socket_that_a_handler_shut_down_is_opened_anew_on_its_port)
{
	struct held_socket *held;
	uint16_t port;

	log_set_level(0);
	sockets_begin(&sockets);
	held = want("a", "127.0.0.1:0", 5);
	sockets_commit(&sockets);
	port = port_of(held);
	ck_assert(!held_revive(held, false));
	ck_assert_int_eq(shutdown(held->fd, SHUT_RDWR), 0);
	ck_assert(held_revive(held, false));
	ck_assert(listen_is_alive(held->fd));
	ck_assert_uint_eq(port_of(held), port);
	ck_assert_uint_eq(backlog_of(held->fd), 5);
	ck_assert(!held_revive(held, false));
}
END_TEST

static void
set_min_ttl(const struct held_socket *held, int value)
{
	ck_assert_int_eq(setsockopt(held->fd, IPPROTO_IP, IP_MINTTL, &value, sizeof(value)), 0);
}

static int
min_ttl_of(const struct held_socket *held)
{
	int value = -1;
	socklen_t length = sizeof(value);

	ck_assert_int_eq(getsockopt(held->fd, IPPROTO_IP, IP_MINTTL, &value, &length), 0);
	return value;
}

START_TEST(what_a_state_does_not_tell_of_a_socket_is_what_the_settings_say)
{
	struct held_socket *held;

	log_set_level(0);
	sockets_begin(&sockets);
	held = want("a", "127.0.0.1:0", 5);
	sockets_commit(&sockets);
	/* as from a version that had no fingerprints, with a handler that was there already */
	memset(&held->fingerprint, 0, sizeof(held->fingerprint));
	set_min_ttl(held, 255);
	held_mend(held);
	ck_assert_int_eq(min_ttl_of(held), 255);
	held_resume(held);
	held_mend(held);
	ck_assert_int_eq(min_ttl_of(held), 0);
	/* of systemd's there is nothing to go by but what it has */
	memset(&held->fingerprint, 0, sizeof(held->fingerprint));
	set_min_ttl(held, 3);
	held->is_adopted = true;
	held_resume(held);
	set_min_ttl(held, 255);
	held_mend(held);
	ck_assert_int_eq(min_ttl_of(held), 3);
	held->is_adopted = false;
}
END_TEST

START_TEST(socket_that_cannot_be_opened_anew_is_tried_again)
{
	const char *address = free_address();
	struct sockaddr_storage bound;
	struct held_socket *held;
	const char *step;
	socklen_t length;
	int thief;

	log_set_level(0);
	sockets_begin(&sockets);
	held = want("a", address, 0);
	sockets_commit(&sockets);
	ck_assert_int_eq(listen_get_address(held->fd, &bound, &length), 0);
	(void)close(held->fd);
	held->fd = -1;
	thief = listen_open(&(struct listen_spec){.type = SOCK_STREAM,
						  .addr = (struct sockaddr *)&bound,
						  .length = length},
			    &step);
	ck_assert_int_ge(thief, 0);
	ck_assert(held_revive(held, false));
	ck_assert_int_lt(held->fd, 0);
	(void)close(thief);
	ck_assert(held_revive(held, false));
	ck_assert(listen_is_alive(held->fd));
}
END_TEST

START_TEST(many_reloads_leave_no_descriptor_behind)
{
	static const char *const names[] = {"a", "b", "c", "d", "e"};
	int before = unit_count_fds();

	for (int i = 0; i < 200; i++) {
		sockets_begin(&sockets);
		for (int j = 0; j < 5; j++) {
			if ((i + j) % 3 != 0)
				ck_assert_ptr_nonnull(want(names[j], "127.0.0.1:0", i));
		}
		if (i % 4 == 0)
			sockets_roll_back(&sockets);
		else
			sockets_commit(&sockets);
		ck_assert_int_eq(unit_count_fds(), before + (int)sockets.count);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("sockets");

	tcase_add_checked_fixture(cases, NULL, clean);
	tcase_add_test(cases, new_socket_listens_on_its_real_port);
	tcase_add_test(cases, kept_socket_is_the_same_one_whatever_its_listener_is_called);
	tcase_add_test(cases, port_0_belongs_to_the_listener_that_asked);
	tcase_add_test(cases, two_of_port_0_in_one_listener_are_two_sockets);
	tcase_add_test(cases, commit_closes_what_is_not_wanted_any_more);
	tcase_add_test(cases, roll_back_closes_what_is_new_and_changes_nothing_else);
	tcase_add_test(cases, backlog_changes_at_the_commit);
	tcase_add_test(cases, address_that_overlaps_a_held_one_names_the_holder);
	tcase_add_test(cases, address_of_another_program_or_machine_gets_advice);
	tcase_add_test(cases, socket_that_a_handler_shut_down_is_opened_anew_on_its_port);
	tcase_add_test(cases, what_a_state_does_not_tell_of_a_socket_is_what_the_settings_say);
	tcase_add_test(cases, socket_that_cannot_be_opened_anew_is_tried_again);
	tcase_add_test(cases, many_reloads_leave_no_descriptor_behind);
	return unit_run("supervisor_sockets", cases);
}
