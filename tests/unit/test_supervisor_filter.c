/*
 * test_supervisor_filter.c - the table of system calls is complete, and the programs made of it do
 * what it says: they are run here, on calls that are made up.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "supervisor/filter.h"
#include "unit.h"

#define ALLOW SECCOMP_RET_ALLOW
#define TELL SECCOMP_RET_USER_NOTIF
#define UNKNOWN (SECCOMP_RET_ERRNO | ENOSYS)
#define MOST_CALLS 1024
#define ARGUMENTS_BEGIN offsetof(struct seccomp_data, args)

static const uint32_t machines[] = {SCMP_ARCH_X86_64, SCMP_ARCH_AARCH64};

static const struct filter_kind standard = {.has_network = true, .may_connect = true};
static const struct filter_kind strict = {
	.is_strict = true, .has_network = true, .may_connect = true};
static const struct filter_kind unconnected = {.may_connect = true};
static const struct filter_kind old_kernel = {.has_network = false};

static struct filter
built(const struct filter_kind *kind, uint32_t arch)
{
	struct filter filter = {.rows = NULL};

	ck_assert_int_eq(filter_build(kind, arch, &filter), 0);
	ck_assert_uint_gt(filter.count, 100);
	ck_assert_uint_le(filter.count, BPF_MAXINSNS);
	return filter;
}

/* What the kernel's interpreter does, of what there is in these programs. *ret_looked tells whether
 * an argument was loaded. */
static uint32_t
run(const struct filter *filter, const struct seccomp_data *data, bool *ret_looked)
{
	const struct sock_filter *rows = (const struct sock_filter *)filter->rows;
	uint32_t a = 0;

	*ret_looked = false;
	for (size_t at = 0; at < filter->count; at++) {
		const struct sock_filter *row = &rows[at];
		bool is_so;

		switch (row->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			ck_assert_uint_le(row->k + sizeof(a), sizeof(*data));
			memcpy(&a, (const char *)data + row->k, sizeof(a));
			*ret_looked |= row->k >= ARGUMENTS_BEGIN;
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= row->k;
			continue;
		case BPF_RET | BPF_K:
			return row->k;
		case BPF_JMP | BPF_JA:
			at += row->k;
			continue;
		case BPF_JMP | BPF_JEQ | BPF_K:
			is_so = a == row->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			is_so = a > row->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			is_so = a >= row->k;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			is_so = (a & row->k) != 0;
			break;
		default:
			ck_abort_msg("instruction %#x", row->code);
		}
		at += is_so ? row->jt : row->jf;
	}
	ck_abort_msg("the program has no end");
	return 0;
}

static uint32_t
verdict(const struct filter *filter, uint32_t arch, const char *name, uint64_t first,
	uint64_t second, uint64_t third, uint64_t fourth)
{
	struct seccomp_data data = {
		.nr = seccomp_syscall_resolve_name_arch(arch, name),
		.arch = arch,
		.args = {first, second, third, fourth},
	};
	bool is_looked;

	ck_assert_int_ge(data.nr, 0);
	return run(filter, &data, &is_looked);
}

/* How often the name stands in the table, and in which group. */
static int
count_in_table(const char *name, enum filter_group *ret_group)
{
	size_t length = strlen(name);
	int count = 0;

	for (size_t i = 0; i < filter_table_count; i++) {
		const char *at = filter_table[i].names;

		while ((at = strstr(at, name)) != NULL) {
			bool begins = at == filter_table[i].names || at[-1] == ' ';

			if (begins && (at[length] == ' ' || at[length] == '\0')) {
				*ret_group = filter_table[i].group;
				count++;
			}
			at += length;
		}
	}
	return count;
}

START_TEST(every_call_that_there_is_stands_in_one_group)
{
	uint32_t arch = machines[_i];
	int known = 0;

	for (int number = 0; number < MOST_CALLS; number++) {
		CLEANUP_FREE char *name = seccomp_syscall_resolve_num_arch(arch, number);
		enum filter_group group;

		if (name == NULL)
			continue;
		known++;
		ck_assert_msg(count_in_table(name, &group) == 1,
			      "'%s' stands in the table %d times: put it into one group", name,
			      count_in_table(name, &group));
	}
	ck_assert_int_gt(known, 250);
}
END_TEST

START_TEST(every_group_says_what_for)
{
	for (size_t i = 0; i < filter_table_count; i++) {
		ck_assert_uint_gt(strlen(filter_table[i].what_for), 3);
		ck_assert_ptr_null(strstr(filter_table[i].names, "  "));
	}
}
END_TEST

static uint32_t
expected(const struct filter_kind *kind, enum filter_group group)
{
	switch (group) {
	case FILTER_ALLOWED:
		return ALLOW;
	case FILTER_EXECUTION:
	case FILTER_SOCKETS:
	case FILTER_LEAVING:
		return kind->is_strict ? TELL : ALLOW;
	case FILTER_CONNECTING:
		return kind->is_strict || !kind->may_connect ? TELL : ALLOW;
	case FILTER_REFUSED:
		return TELL;
	default:
		return UNKNOWN;
	}
}

/* Arguments of 0 refuse nothing, except a socket of no family. */
static void
check_whole_table(const struct filter_kind *kind, uint32_t arch)
{
	struct filter filter = built(kind, arch);

	for (int number = 0; number < MOST_CALLS; number++) {
		CLEANUP_FREE char *name = seccomp_syscall_resolve_num_arch(arch, number);
		struct seccomp_data data = {.nr = number, .arch = arch};
		enum filter_group group = FILTER_UNKNOWN;
		bool is_looked;
		uint32_t found;

		if (name != NULL && strncmp(name, "socket", strlen("socket")) == 0)
			data.args[0] = AF_UNIX;
		found = run(&filter, &data, &is_looked);
		if (name != NULL)
			ck_assert_int_eq(count_in_table(name, &group), 1);
		if (name != NULL && strcmp(name, FILTER_SANITIZER_CALL) == 0)
			group = FILTER_ALLOWED;
		ck_assert_msg(found == expected(kind, group), "%s (%d): %#x, not %#x",
			      name != NULL ? name : "unknown", number, found,
			      expected(kind, group));
		/* the kernel keeps in mind what is allowed without a look */
		if (found == ALLOW && filter_find_argument(name, NULL) < 0)
			ck_assert_msg(!is_looked, "an argument of %s is looked at", name);
	}
	free(filter.rows);
}

START_TEST(programs_do_what_the_table_says)
{
	check_whole_table(&standard, machines[_i]);
	check_whole_table(&strict, machines[_i]);
	check_whole_table(&unconnected, machines[_i]);
	check_whole_table(&old_kernel, machines[_i]);
}
END_TEST

START_TEST(numbers_of_other_architectures_are_refused)
{
	static const uint32_t others[] = {AUDIT_ARCH_I386, AUDIT_ARCH_ARM, AUDIT_ARCH_RISCV64, 0};
	struct filter filter = built(&standard, machines[_i]);

	for (size_t i = 0; i < COUNT_OF(others); i++) {
		for (int number = 0; number < MOST_CALLS; number++) {
			struct seccomp_data data = {.nr = number, .arch = others[i]};
			bool is_looked;

			ck_assert_uint_eq(run(&filter, &data, &is_looked), TELL);
		}
	}
	/* x32 calls itself x86-64 */
	if (machines[_i] == SCMP_ARCH_X86_64) {
		for (int number = 0; number < MOST_CALLS; number++) {
			struct seccomp_data data = {.nr = 0x40000000 | number,
						    .arch = machines[_i]};
			bool is_looked;

			ck_assert_uint_eq(run(&filter, &data, &is_looked), TELL);
		}
	}
	free(filter.rows);
}
END_TEST

/* What is above the 32 bits that the kernel looks at makes no difference. */
static const uint64_t highs[] = {0, UINT64_C(1) << 32, UINT64_C(0xffffffff) << 32};

START_TEST(namespaces_are_refused_one_by_one)
{
	static const uint64_t refused[] = {CLONE_NEWNS,	 CLONE_NEWCGROUP, CLONE_NEWUTS,
					   CLONE_NEWIPC, CLONE_NEWUSER,	  CLONE_NEWPID,
					   CLONE_NEWNET};
	static const uint64_t thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND |
				       CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS |
				       CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID;
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch);

	for (size_t i = 0; i < COUNT_OF(highs); i++) {
		for (size_t j = 0; j < COUNT_OF(refused); j++)
			ck_assert_uint_eq(verdict(&filter, arch, "clone",
						  highs[i] | refused[j] | SIGCHLD, 0, 0, 0),
					  TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "clone", highs[i] | thread, 0, 0, 0),
				  ALLOW);
		ck_assert_uint_eq(verdict(&filter, arch, "clone",
					  highs[i] | CLONE_VM | CLONE_VFORK | SIGCHLD, 0, 0, 0),
				  ALLOW);
	}
	free(filter.rows);
}
END_TEST

START_TEST(no_process_gets_another_parent)
{
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch);

	for (size_t i = 0; i < COUNT_OF(highs); i++)
		ck_assert_uint_eq(
			verdict(&filter, arch, "clone", highs[i] | CLONE_PARENT | SIGCHLD, 0, 0, 0),
			TELL);
	free(filter.rows);
}
END_TEST

START_TEST(pairs_that_take_addresses_are_not_of_strict)
{
	static const uint64_t flags[] = {0, SOCK_CLOEXEC, SOCK_NONBLOCK | SOCK_CLOEXEC};
	uint32_t arch = machines[_i];
	struct filter filters[] = {built(&standard, arch), built(&strict, arch)};

	for (size_t i = 0; i < COUNT_OF(highs); i++) {
		for (size_t j = 0; j < COUNT_OF(flags); j++) {
			for (size_t k = 0; k < COUNT_OF(filters); k++) {
				uint64_t more = highs[i] | flags[j];
				uint32_t of_address = k == 0 ? ALLOW : TELL;

				ck_assert_uint_eq(verdict(&filters[k], arch, "socketpair", AF_UNIX,
							  SOCK_STREAM | more, 0, 0),
						  ALLOW);
				ck_assert_uint_eq(verdict(&filters[k], arch, "socketpair", AF_UNIX,
							  SOCK_SEQPACKET | more, 0, 0),
						  ALLOW);
				ck_assert_uint_eq(verdict(&filters[k], arch, "socketpair", AF_UNIX,
							  SOCK_DGRAM | more, 0, 0),
						  of_address);
				ck_assert_uint_eq(verdict(&filters[k], arch, "socketpair", AF_UNIX,
							  SOCK_RAW | more, 0, 0),
						  of_address);
			}
		}
	}
	free(filters[0].rows);
	free(filters[1].rows);
}
END_TEST

START_TEST(argument_that_is_told_is_the_one_that_was_refused)
{
	static const uint64_t of_type[] = {AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, 0};
	static const uint64_t of_family[] = {AF_INET, SOCK_STREAM, 0, 0};
	static const uint64_t harmless[] = {SIGCHLD, 0, 0, 0};
	static const uint64_t of_option[] = {11, SOL_SOCKET, SO_LOCK_FILTER, 0};
	static const uint64_t of_another[] = {11, IPPROTO_TCP, SO_LOCK_FILTER, 0};

	ck_assert_int_eq(filter_find_argument("setsockopt", of_option), 2);
	ck_assert_int_eq(filter_find_argument("setsockopt", of_another), -1);
	ck_assert_int_eq(filter_find_argument("socketpair", of_type), 1);
	ck_assert_int_eq(filter_find_argument("socketpair", of_family), 0);
	ck_assert_int_eq(filter_find_argument("clone", harmless), -1);
	ck_assert_int_eq(filter_find_argument("keyctl", harmless), -1);
}
END_TEST

START_TEST(limits_and_priorities_are_the_callers_own)
{
	static const char *const by_strict[] = {"sched_setaffinity", "sched_setscheduler",
						"sched_setparam", "sched_setattr"};
	static const uint64_t others[] = {1, 4711, 0x80000000, UINT32_MAX};
	uint32_t arch = machines[_i];
	struct filter filters[] = {built(&standard, arch), built(&strict, arch)};

	for (size_t k = 0; k < COUNT_OF(filters); k++) {
		const struct filter *filter = &filters[k];

		for (size_t i = 0; i < COUNT_OF(highs); i++) {
			uint64_t high = highs[i];

			/* which: 0 is a process for one of them, 1 for the other */
			ck_assert_uint_eq(verdict(filter, arch, "prlimit64", high, 7, 1, 0), ALLOW);
			ck_assert_uint_eq(verdict(filter, arch, "setpriority", high, high, 9, 0),
					  ALLOW);
			ck_assert_uint_eq(verdict(filter, arch, "setpriority", high | 1, 0, 9, 0),
					  TELL);
			ck_assert_uint_eq(verdict(filter, arch, "setpriority", high | 2, 0, 9, 0),
					  TELL);
			ck_assert_uint_eq(verdict(filter, arch, "ioprio_set", high | 1, high, 9, 0),
					  ALLOW);
			ck_assert_uint_eq(verdict(filter, arch, "ioprio_set", high | 2, 0, 9, 0),
					  TELL);
			ck_assert_uint_eq(verdict(filter, arch, "ioprio_set", high | 3, 0, 9, 0),
					  TELL);
			for (size_t j = 0; j < COUNT_OF(others); j++) {
				uint64_t pid = high | others[j];

				ck_assert_uint_eq(verdict(filter, arch, "prlimit64", pid, 7, 1, 0),
						  TELL);
				ck_assert_uint_eq(
					verdict(filter, arch, "setpriority", 0, pid, 9, 0), TELL);
				ck_assert_uint_eq(verdict(filter, arch, "ioprio_set", 1, pid, 9, 0),
						  TELL);
				for (size_t n = 0; n < COUNT_OF(by_strict); n++)
					ck_assert_uint_eq(
						verdict(filter, arch, by_strict[n], pid, 8, 1, 0),
						k == 0 ? ALLOW : TELL);
			}
			for (size_t n = 0; n < COUNT_OF(by_strict); n++)
				ck_assert_uint_eq(
					verdict(filter, arch, by_strict[n], high, 8, 1, 0), ALLOW);
		}
	}
	free(filters[0].rows);
	free(filters[1].rows);
}
END_TEST

START_TEST(the_log_is_neither_cut_off_nor_shut_down)
{
	static const char *const names[] = {"ftruncate", "fallocate", "shutdown"};
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch), most = built(&strict, arch);

	for (size_t i = 0; i < COUNT_OF(highs) * COUNT_OF(names); i++) {
		const char *name = names[i % COUNT_OF(names)];
		uint64_t high = highs[i / COUNT_OF(names)];

		ck_assert_uint_eq(verdict(&filter, arch, name, high | 2, 0, 0, 0), TELL);
		ck_assert_uint_eq(verdict(&most, arch, name, high | 2, 0, 0, 0), TELL);
		/* of what a handler executes these are something else */
		ck_assert_uint_eq(verdict(&filter, arch, name, high | 1, 0, 0, 0), ALLOW);
		ck_assert_uint_eq(verdict(&most, arch, name, high | 1, 0, 0, 0), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, name, high | 7, 0, 0, 0), ALLOW);
		ck_assert_uint_eq(verdict(&most, arch, name, high | 7, 0, 0, 0), TELL);
		ck_assert_uint_eq(verdict(&most, arch, name, high | 8, 2, 2, 2), ALLOW);
	}
	free(filter.rows);
	free(most.rows);
}
END_TEST

START_TEST(terminals_are_neither_typed_on_nor_stopped)
{
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch), most = built(&strict, arch);

	for (size_t i = 0; i < COUNT_OF(highs); i++) {
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | TIOCSTI, 0, 0),
				  TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | TIOCLINUX, 0, 0),
				  TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | TCXONC, 0, 0),
				  TELL);
		ck_assert_uint_eq(verdict(&most, arch, "ioctl", 0, highs[i] | TCXONC, 0, 0), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | TCSETSF, 0, 0),
				  ALLOW);
		ck_assert_uint_eq(verdict(&most, arch, "ioctl", 0, highs[i] | TCSETSF, 0, 0), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | FIONREAD, 0, 0),
				  ALLOW);
		ck_assert_uint_eq(verdict(&most, arch, "ioctl", 0, highs[i] | FIONREAD, 0, 0),
				  ALLOW);
		ck_assert_uint_eq(verdict(&filter, arch, "ioctl", 0, highs[i] | 0x80045430, 0, 0),
				  ALLOW);
	}
	free(filter.rows);
	free(most.rows);
}
END_TEST

START_TEST(sockets_are_of_few_families)
{
	static const uint64_t with_network[] = {AF_UNIX, AF_INET, AF_INET6};
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch);
	struct filter without = built(&unconnected, arch);

	for (size_t i = 0; i < COUNT_OF(highs); i++) {
		for (uint64_t family = 0; family < 64; family++) {
			bool is_good = false;

			for (size_t j = 0; j < COUNT_OF(with_network); j++)
				is_good = is_good || with_network[j] == family;
			if (family == AF_NETLINK)
				is_good = true;
			ck_assert_uint_eq(
				verdict(&filter, arch, "socket", highs[i] | family, 1, 0, 0),
				is_good ? ALLOW : TELL);
			ck_assert_uint_eq(
				verdict(&without, arch, "socket", highs[i] | family, 1, 0, 0),
				family == AF_UNIX ? ALLOW : TELL);
			ck_assert_uint_eq(
				verdict(&filter, arch, "socketpair", highs[i] | family, 1, 0, 0),
				family == AF_UNIX ? ALLOW : TELL);
		}
		ck_assert_uint_eq(verdict(&filter, arch, "socket", AF_NETLINK, SOCK_RAW,
					  highs[i] | NETLINK_AUDIT, 0),
				  TELL);
		/* the third argument is another thing elsewhere */
		ck_assert_uint_eq(verdict(&filter, arch, "socket", AF_INET, SOCK_DGRAM, 17, 0),
				  ALLOW);
	}
	free(filter.rows);
	free(without.rows);
}
END_TEST

START_TEST(nobody_connects_by_sending)
{
	static const uint64_t fast_open = 0x20000000;
	static const struct filter_kind *const kinds[] = {&unconnected, &strict, &old_kernel};
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch);

	ck_assert_uint_eq(verdict(&filter, arch, "sendto", 0, 0, 0, fast_open), ALLOW);
	free(filter.rows);
	for (size_t i = 0; i < COUNT_OF(kinds); i++) {
		filter = built(kinds[i], arch);
		ck_assert_uint_eq(
			verdict(&filter, arch, "sendto", 0, 0, 0, fast_open | MSG_NOSIGNAL), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "sendmsg", 0, 0, fast_open, 0), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "sendmmsg", 0, 0, 0, fast_open), TELL);
		ck_assert_uint_eq(verdict(&filter, arch, "sendto", 0, 0, 0, MSG_NOSIGNAL), ALLOW);
		ck_assert_uint_eq(verdict(&filter, arch, "sendmsg", 0, 0, MSG_NOSIGNAL, fast_open),
				  ALLOW);
		free(filter.rows);
	}
}
END_TEST

START_TEST(personality_and_devices_are_as_they_are)
{
	uint32_t arch = machines[_i];
	struct filter filter = built(&standard, arch);

	ck_assert_uint_eq(verdict(&filter, arch, "personality", 0, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(verdict(&filter, arch, "personality", UINT32_MAX, 0, 0, 0), ALLOW);
	ck_assert_uint_eq(verdict(&filter, arch, "personality", 0x0040000, 0, 0, 0), TELL);
	ck_assert_uint_eq(verdict(&filter, arch, "mknodat", 0, 0, S_IFCHR | 0600, 0), TELL);
	ck_assert_uint_eq(verdict(&filter, arch, "mknodat", 0, 0, S_IFBLK | 0600, 0), TELL);
	ck_assert_uint_eq(verdict(&filter, arch, "mknodat", 0, 0, S_IFIFO | 0600, 0), ALLOW);
	ck_assert_uint_eq(verdict(&filter, arch, "mknodat", 0, 0, 0600, 0), ALLOW);
	free(filter.rows);
}
END_TEST

START_TEST(each_kind_is_built_once)
{
	struct filters filters = {.count = 0};
	const struct filter *first, *second;

	ck_assert_int_eq(filters_find(&filters, &standard, &first), 0);
	ck_assert_int_eq(filters_find(&filters, &strict, &second), 0);
	ck_assert_ptr_ne(first, second);
	ck_assert_int_eq(filters_find(&filters, &standard, &second), 0);
	ck_assert_ptr_eq(first, second);
	ck_assert_uint_eq(filters.count, 2);
	filters_free(&filters);
	ck_assert_uint_eq(filters.count, 0);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("supervisor_filter");
	int count = UNIT_COUNT(machines);

	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, every_call_that_there_is_stands_in_one_group, 0, count);
	tcase_add_test(cases, every_group_says_what_for);
	tcase_add_loop_test(cases, programs_do_what_the_table_says, 0, count);
	tcase_add_loop_test(cases, numbers_of_other_architectures_are_refused, 0, count);
	tcase_add_loop_test(cases, namespaces_are_refused_one_by_one, 0, count);
	tcase_add_loop_test(cases, no_process_gets_another_parent, 0, count);
	tcase_add_loop_test(cases, pairs_that_take_addresses_are_not_of_strict, 0, count);
	tcase_add_test(cases, argument_that_is_told_is_the_one_that_was_refused);
	tcase_add_loop_test(cases, limits_and_priorities_are_the_callers_own, 0, count);
	tcase_add_loop_test(cases, the_log_is_neither_cut_off_nor_shut_down, 0, count);
	tcase_add_loop_test(cases, terminals_are_neither_typed_on_nor_stopped, 0, count);
	tcase_add_loop_test(cases, sockets_are_of_few_families, 0, count);
	tcase_add_loop_test(cases, nobody_connects_by_sending, 0, count);
	tcase_add_loop_test(cases, personality_and_devices_are_as_they_are, 0, count);
	tcase_add_test(cases, each_kind_is_built_once);
	return unit_run("supervisor_filter", cases);
}
