/*
 * test_options.c - options of sockets: each is set, read back, and goes back to what a new socket
 * has.
 */
#include "net/options.h"

#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "unit.h"

#define NOBODY 65534

static int
get(int fd, int level, int option)
{
	int value = -1;
	socklen_t length = sizeof(value);

	ck_assert_msg(getsockopt(fd, level, option, &value, &length) == 0, "%d/%d: %s", level,
		      option, strerror(errno));
	return value;
}

static int
make(int family, int type)
{
	int fd = socket(family, type | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

/* Whether the kernel allows a number there: some need privileges. */
static bool
may(int level, int option, int value)
{
	int fd = make(AF_INET, SOCK_STREAM);
	bool is_allowed = setsockopt(fd, level, option, &value, sizeof(value)) == 0;

	(void)close(fd);
	return is_allowed;
}

static const struct row {
	struct socket_options options;
	int level, option, value;
	int level6, option6; /* of an IPv6 socket, if it is another one */
} rows[] = {
	{{.freebind = true}, IPPROTO_IP, IP_FREEBIND, 1, IPPROTO_IPV6, 78},
	{{.transparent = true}, IPPROTO_IP, IP_TRANSPARENT, 1, IPPROTO_IPV6, IPV6_TRANSPARENT},
	{{.reuse_port = true}, SOL_SOCKET, SO_REUSEPORT, 1, 0, 0},
	{{.mark = 7}, SOL_SOCKET, SO_MARK, 7, 0, 0},
	{{.mark = 0xfffffff0U}, SOL_SOCKET, SO_MARK, -16, 0, 0},
	{{.tos = 0x48}, IPPROTO_IP, IP_TOS, 0x48, IPPROTO_IPV6, IPV6_TCLASS},
	{{.receive_buffer = 60000}, SOL_SOCKET, SO_RCVBUF, 120000, 0, 0},
	{{.send_buffer = 50000}, SOL_SOCKET, SO_SNDBUF, 100000, 0, 0},
	/* from here on TCP alone */
	{{.keepalive = true}, SOL_SOCKET, SO_KEEPALIVE, 1, 0, 0},
	{{.keepalive_idle_s = 33}, IPPROTO_TCP, TCP_KEEPIDLE, 33, 0, 0},
	{{.keepalive_interval_s = 11}, IPPROTO_TCP, TCP_KEEPINTVL, 11, 0, 0},
	{{.keepalive_count = 4}, IPPROTO_TCP, TCP_KEEPCNT, 4, 0, 0},
	{{.defer_accept_s = 7}, IPPROTO_TCP, TCP_DEFER_ACCEPT, 7, 0, 0},
	{{.fast_open = 5}, IPPROTO_TCP, TCP_FASTOPEN, 5, 0, 0},
};

static const int families[] = {AF_INET, AF_INET6};

START_TEST(option_is_set_and_goes_back_to_what_a_new_socket_has)
{
	static const struct socket_options none;
	const struct row *row = &rows[_i];
	const char *step;

	if (!may(row->level, row->option, row->value)) {
		(void)fprintf(stderr, "skipped: option %d needs privileges\n", row->option);
		return;
	}
	for (int i = 0; i < UNIT_COUNT(families); i++) {
		bool is_other = families[i] == AF_INET6 && row->option6 != 0;
		int level = is_other ? row->level6 : row->level;
		int option = is_other ? row->option6 : row->option;
		int fd = make(families[i], SOCK_STREAM), fresh = make(families[i], SOCK_STREAM);

		ck_assert_int_ne(get(fd, level, option), row->value);
		ck_assert_int_eq(socket_options_set(fd, &row->options, NULL, &step), 0);
		ck_assert_int_eq(get(fd, level, option), row->value);
		/* dual-stack: for IPv4 clients as well */
		ck_assert_int_eq(get(fd, row->level, row->option), row->value);
		/* what is there already stays */
		ck_assert_int_eq(socket_options_set(fd, &row->options, &row->options, &step), 0);
		ck_assert_int_eq(get(fd, level, option), row->value);
		ck_assert_int_eq(socket_options_set(fd, &none, &row->options, &step), 0);
		ck_assert_int_eq(get(fd, level, option), get(fresh, level, option));
		ck_assert_int_eq(get(fd, row->level, row->option),
				 get(fresh, row->level, row->option));
		(void)close(fd);
		(void)close(fresh);
	}
}
END_TEST

START_TEST(what_a_kind_of_socket_does_not_know_is_left_out)
{
	static const struct {
		int family, type;
	} kinds[] = {{AF_INET, SOCK_DGRAM},
		     {AF_INET6, SOCK_DGRAM},
		     {AF_UNIX, SOCK_DGRAM},
		     {AF_UNIX, SOCK_STREAM}};
	struct socket_options options = {.freebind = true,
					 .reuse_port = true,
					 .device = "lo",
					 .keepalive = true,
					 .keepalive_idle_s = 1,
					 .keepalive_interval_s = 1,
					 .keepalive_count = 1,
					 .defer_accept_s = 1,
					 .fast_open = 1,
					 .tos = 8,
					 .receive_buffer = 60000,
					 .congestion = "there_is_none"};
	const char *step;

	for (int i = 0; i < UNIT_COUNT(kinds); i++) {
		int fd = make(kinds[i].family, kinds[i].type);
		int r = socket_options_set(fd, &options, NULL, &step);

		ck_assert_msg(r == 0, "%d: %s: %s", i, step, strerror(-r));
		ck_assert_int_eq(get(fd, SOL_SOCKET, SO_RCVBUF), 120000);
		ck_assert_int_eq(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
		(void)close(fd);
	}
}
END_TEST

START_TEST(ipv6_alone_is_not_given_what_is_of_ipv4)
{
	struct socket_options options = {.tos = 0x48};
	int fd = make(AF_INET6, SOCK_DGRAM), one = 1;
	const char *step;

	ck_assert_int_eq(setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one)), 0);
	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), 0);
	ck_assert_int_eq(get(fd, IPPROTO_IPV6, IPV6_TCLASS), 0x48);
	ck_assert_int_eq(get(fd, IPPROTO_IP, IP_TOS), 0);
	(void)close(fd);
}
END_TEST

START_TEST(device_binds_and_is_given_up_again)
{
	static const struct socket_options none;
	struct socket_options options = {.device = "lo"};
	int fd = make(AF_INET, SOCK_DGRAM);
	char name[IFNAMSIZ] = "";
	socklen_t length = sizeof(name);
	const char *step;

	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), 0);
	ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
	ck_assert_str_eq(name, "lo");
	/* to leave a device needs CAP_NET_RAW */
	if (geteuid() == 0) {
		ck_assert_int_eq(socket_options_set(fd, &none, &options, &step), 0);
		length = sizeof(name);
		ck_assert_int_eq(getsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, name, &length), 0);
		ck_assert_uint_eq(length, 0);
	}
	(void)snprintf(options.device, sizeof(options.device), "nosuchdevice0");
	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), -ENODEV);
	ck_assert_str_eq(step, "socket.device");
	(void)close(fd);
}
END_TEST

START_TEST(congestion_control_is_set_and_goes_back)
{
	static const struct socket_options none;
	struct socket_options options = {.congestion = "reno"};
	int fd = make(AF_INET, SOCK_STREAM);
	char fresh[16] = "", name[16] = "";
	socklen_t length = sizeof(fresh);
	const char *step;

	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, fresh, &length), 0);
	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), 0);
	length = sizeof(name);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
	ck_assert_str_eq(name, "reno");
	ck_assert_int_eq(socket_options_set(fd, &none, &options, &step), 0);
	length = sizeof(name);
	ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, name, &length), 0);
	ck_assert_str_eq(name, fresh);
	(void)snprintf(options.congestion, sizeof(options.congestion), "there_is_none");
	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), -ENOENT);
	ck_assert_str_eq(step, "socket.congestion");
	(void)close(fd);
}
END_TEST

START_TEST(buffers_that_go_back_are_the_kernel_s_to_choose)
{
	static const struct socket_options none;
	struct socket_options options = {.receive_buffer = 60000, .send_buffer = 50000};
	int fd = make(AF_INET, SOCK_STREAM), lock = 0;
	const int so_buf_lock = 72;
	socklen_t length = sizeof(lock);
	const char *step;

	if (getsockopt(fd, SOL_SOCKET, so_buf_lock, &lock, &length) < 0) {
		(void)fprintf(stderr, "skipped: the kernel has no SO_BUF_LOCK\n");
		return;
	}
	ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, so_buf_lock), 3);
	/* one goes back, the other one stays */
	ck_assert_int_eq(socket_options_set(fd, &(struct socket_options){.send_buffer = 50000},
					    &options, &step),
			 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, so_buf_lock), 1);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_SNDBUF), 100000);
	ck_assert_int_eq(socket_options_set(fd, &none, &options, &step), 0);
	ck_assert_int_eq(get(fd, SOL_SOCKET, so_buf_lock), 0);
	(void)close(fd);
}
END_TEST

/* Runs as an ordinary user, in a child; returns its exit status. */
static int
as_nobody(int (*run)(void))
{
	int status;
	pid_t pid = fork();

	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(geteuid() == 0 && setuid(NOBODY) < 0 ? 99 : run());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int
ask_for_much(void)
{
	struct socket_options options = {.receive_buffer = 1 << 29, .send_buffer = 1 << 29};
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), receive = 0, sent = 0;
	const char *step;

	if (socket_options_set(fd, &options, NULL, &step) != 0)
		return 1;
	if (socket_options_got_buffers(fd, &options, &receive, &sent) != 1)
		return 2;
	return receive > 0 && receive < 1 << 29 && sent > 0 && sent < 1 << 29 ? 0 : 3;
}

START_TEST(smaller_buffers_than_asked_are_told)
{
	struct socket_options options = {.receive_buffer = 64 << 20, .send_buffer = 64 << 20};
	int fd = make(AF_INET, SOCK_DGRAM), receive, sent;
	const char *step;

	if (geteuid() == 0) {
		ck_assert_int_eq(socket_options_set(fd, &options, NULL, &step), 0);
		ck_assert_int_eq(socket_options_got_buffers(fd, &options, &receive, &sent), 0);
		ck_assert_int_eq(receive, 64 << 20);
		ck_assert_int_eq(sent, 64 << 20);
	}
	ck_assert_int_eq(socket_options_got_buffers(fd, &(struct socket_options){0}, NULL, NULL),
			 0);
	ck_assert_int_eq(as_nobody(ask_for_much), 0);
	ck_assert_int_eq(socket_options_got_buffers(-1, &options, NULL, NULL), -EBADF);
	(void)close(fd);
}
END_TEST

static int
ask_for_transparent(void)
{
	struct socket_options options = {.freebind = true, .transparent = true};
	const char *step;

	if (socket_options_try(AF_INET, SOCK_STREAM, &options, &step) != -EPERM)
		return 1;
	return strcmp(step, "socket.transparent") == 0 ? 0 : 2;
}

START_TEST(trial_tells_what_would_fail_and_leaves_nothing_open)
{
	struct socket_options options = {.keepalive_idle_s = 1 << 20};
	int before = unit_count_fds();
	const char *step;

	ck_assert_int_eq(socket_options_try(AF_INET, SOCK_STREAM, &options, &step), -EINVAL);
	ck_assert_str_eq(step, "socket.keepalive.idle");
	ck_assert_int_eq(socket_options_try(AF_INET, SOCK_DGRAM, &options, &step), 0);
	ck_assert_int_lt(socket_options_try(AF_APPLETALK, SOCK_STREAM, &options, &step), 0);
	ck_assert_str_eq(step, "make a socket");
	ck_assert_int_eq(socket_options_set(-1, &options, NULL, &step), -EBADF);
	ck_assert_int_eq(as_nobody(ask_for_transparent), 0);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(change_that_failed_is_taken_back_by_the_opposite_one)
{
	struct socket_options old = {.keepalive_idle_s = 50};
	struct socket_options next = {
		.keepalive = true, .keepalive_idle_s = 60, .tos = 8, .congestion = "there_is_none"};
	int fd = make(AF_INET, SOCK_STREAM);
	const char *step;

	ck_assert_int_eq(socket_options_set(fd, &old, NULL, &step), 0);
	ck_assert_int_eq(socket_options_set(fd, &next, &old, &step), -ENOENT);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
	ck_assert_int_eq(socket_options_set(fd, &old, &next, &step), 0);
	ck_assert_int_eq(get(fd, IPPROTO_TCP, TCP_KEEPIDLE), 50);
	ck_assert_int_eq(get(fd, SOL_SOCKET, SO_KEEPALIVE), 0);
	ck_assert_int_eq(get(fd, IPPROTO_IP, IP_TOS), 0);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("options");

	tcase_add_loop_test(cases, option_is_set_and_goes_back_to_what_a_new_socket_has, 0,
			    UNIT_COUNT(rows));
	tcase_add_test(cases, what_a_kind_of_socket_does_not_know_is_left_out);
	tcase_add_test(cases, ipv6_alone_is_not_given_what_is_of_ipv4);
	tcase_add_test(cases, device_binds_and_is_given_up_again);
	tcase_add_test(cases, congestion_control_is_set_and_goes_back);
	tcase_add_test(cases, buffers_that_go_back_are_the_kernel_s_to_choose);
	tcase_add_test(cases, smaller_buffers_than_asked_are_told);
	tcase_add_test(cases, trial_tells_what_would_fail_and_leaves_nothing_open);
	tcase_add_test(cases, change_that_failed_is_taken_back_by_the_opposite_one);
	return unit_run("options", cases);
}
