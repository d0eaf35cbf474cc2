/*
 * test_supervisor_adopted.c - sockets from systemd, and sockets for datagrams: what is taken, what
 * is refused and why, and which ports are shown.
 */
#include "supervisor/adopted.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "base/log.h"
#include "supervisor/sockets.h"
#include "unit.h"

static struct report report;
static struct sockets sockets;
static struct adopted adopted;
static const struct socket_owner nobody = {(uid_t)-1, (gid_t)-1};

static void
prepare(void)
{
	log_set_level(0);
}

static void
clean(void)
{
	sockets_close_all(&sockets);
	adopted_close_rest(&adopted);
	report_free(&report);
}

static void
pass(int fd, const char *name)
{
	ck_assert_int_ge(fd, 0);
	adopted.items = realloc(adopted.items, (adopted.count + 1) * sizeof(*adopted.items));
	ck_assert_ptr_nonnull(adopted.items);
	adopted.items[adopted.count++] = (struct adopted_socket){.fd = fd, .name = strdup(name)};
}

static int
open_socket(int type, bool is_listening)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	if (is_listening)
		ck_assert_int_eq(listen(fd, 1), 0);
	return fd;
}

static int
open_pair(int type)
{
	int ends[2];

	ck_assert_int_eq(socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends), 0);
	(void)close(ends[1]);
	return ends[0];
}

/* What systemd passes, what the listener is, what is said of it (NULL: it is taken). */
static const struct {
	int kind;
	int64_t protocol;
	const char *fault;
} offers[] = {
	{0, CONF_TCP, NULL},
	{0, CONF_UDP, "is tcp, but the listener is udp"},
	{1, CONF_UDP, NULL},
	{1, CONF_TCP, "is udp, but the listener is tcp"},
	{1, CONF_UNIXGRAM, "is udp, but the listener is unixgram"},
	{2, CONF_TCP, "does not listen"},
	{3, CONF_TCP, "is no socket"},
	{4, CONF_UNIX, "is a connection"},
	{5, CONF_TCP, "is of a kind"},
};

static int
open_kind(int kind)
{
	switch (kind) {
	case 0:
		return open_socket(SOCK_STREAM, true);
	case 1:
		return open_socket(SOCK_DGRAM, false);
	case 2:
		return open_socket(SOCK_STREAM, false);
	case 3:
		return open("/dev/null", O_RDONLY | O_CLOEXEC);
	case 4:
		return open_pair(SOCK_STREAM);
	default:
		return open_pair(SOCK_SEQPACKET);
	}
}

START_TEST(socket_is_taken_only_by_a_listener_of_its_kind)
{
	struct conf_listener listener = {.name = (char *)(uintptr_t) "a",
					 .protocol = offers[_i].protocol,
					 .address_origin = {.file = "a.conf", .line = 9}};
	int before = unit_count_fds();
	int fd;

	pass(open_kind(offers[_i].kind), "web");
	fd = adopted_claim(&adopted, &listener, "web", &report);
	ck_assert_uint_eq(adopted.count, 0);
	if (offers[_i].fault == NULL) {
		ck_assert_int_ge(fd, 0);
		ck_assert((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
		ck_assert_uint_eq(report.count, 0);
		(void)close(fd);
	} else {
		ck_assert_int_eq(fd, -1);
		ck_assert_uint_eq(report.count, 1);
		ck_assert_msg(strstr(report.entries[0].text, offers[_i].fault) != NULL, "%s",
			      report.entries[0].text);
	}
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(sockets_of_one_name_are_taken_in_order_and_the_rest_is_closed)
{
	struct conf_listener listener = {.name = (char *)(uintptr_t) "a", .protocol = CONF_UDP};
	int before = unit_count_fds();
	int first = open_socket(SOCK_DGRAM, false), other = open_socket(SOCK_DGRAM, false);
	int second = open_socket(SOCK_DGRAM, false);

	pass(first, "dns");
	pass(other, "other");
	pass(second, "dns");
	ck_assert_uint_eq(adopted_count(&adopted, "dns"), 2);
	ck_assert_uint_eq(adopted_count(&adopted, "none"), 0);
	ck_assert_int_eq(adopted_claim(&adopted, &listener, "none", &report), -1);
	ck_assert_int_eq(adopted_claim(&adopted, &listener, "dns", &report), first);
	ck_assert_int_eq(adopted_claim(&adopted, &listener, "dns", &report), second);
	ck_assert_int_eq(adopted_claim(&adopted, &listener, "dns", &report), -1);
	ck_assert_uint_eq(report.count, 0);
	(void)close(first);
	(void)close(second);
	adopted_close_rest(&adopted);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

static struct held_socket *
want(int64_t protocol, const char *text)
{
	struct conf_address address;
	struct conf_listener listener = {.name = (char *)(uintptr_t) "a",
					 .protocol = protocol,
					 .addresses = &address,
					 .address_origin = {.file = "a.conf", .line = 9}};
	const char *reason;
	unsigned count;

	ck_assert_int_eq(conf_address_parse(text, false, &address, &count, &reason), 0);
	return sockets_want(&sockets, &listener, 0, 0, &nobody, &report);
}

START_TEST(every_udp_port_that_is_held_is_shown_and_no_other)
{
	struct port_page *page = calloc(1, sizeof(*page));
	struct held_socket *udp, *again, *tcp;
	char text[32];
	uint16_t port;

	ck_assert_ptr_nonnull(page);
	sockets_begin(&sockets);
	udp = want(CONF_UDP, "127.0.0.1:0");
	ck_assert_ptr_nonnull(udp);
	port = (uint16_t)conf_address_port(&udp->bound);
	ck_assert_uint_ne(port, 0);
	/* the same number over TCP is another socket, and no port of ours */
	(void)snprintf(text, sizeof(text), "127.0.0.2:%u", port);
	tcp = want(CONF_TCP, text);
	ck_assert_ptr_nonnull(tcp);
	ck_assert_ptr_ne(tcp, udp);
	sockets_commit(&sockets);
	sockets_show_ports(&sockets, page);
	ck_assert(ports_has(page, port));
	/* a socket that was shut down comes back on its port */
	ck_assert(!held_revive(udp, false));
	ck_assert_int_eq(connect(udp->fd, (struct sockaddr *)&udp->bound.addr, udp->bound.length),
			 0);
	ck_assert(held_revive(udp, false));
	ck_assert_uint_eq((uint16_t)conf_address_port(&udp->bound), port);
	ck_assert_uint_eq(held_count_drops(udp), 0);
	ck_assert_uint_eq(held_count_drops(tcp), 0);
	/* kept as it is by a reload that still wants it, gone with one that does not */
	sockets_begin(&sockets);
	again = want(CONF_UDP, "127.0.0.1:0");
	ck_assert_ptr_eq(again, udp);
	sockets_commit(&sockets);
	ck_assert_uint_eq(sockets.count, 1);
	sockets_begin(&sockets);
	sockets_commit(&sockets);
	sockets_show_ports(&sockets, page);
	ck_assert(!ports_has(page, port));
	free(page);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("adopted");

	tcase_add_checked_fixture(cases, prepare, clean);
	tcase_add_loop_test(cases, socket_is_taken_only_by_a_listener_of_its_kind, 0,
			    UNIT_COUNT(offers));
	tcase_add_test(cases, sockets_of_one_name_are_taken_in_order_and_the_rest_is_closed);
	tcase_add_test(cases, every_udp_port_that_is_held_is_shown_and_no_other);
	return unit_run("supervisor_adopted", cases);
}
