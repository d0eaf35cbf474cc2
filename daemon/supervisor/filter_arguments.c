/*
 * filter_arguments.c - calls that are allowed or refused by an argument. libseccomp cannot say what
 * is needed: the kernel looks at the low 32 bits of these arguments and at no others, whoever
 * compares all 64 lets the same call through with a bit more, and of the low 32 there is no
 * "unlike" in libseccomp. So these few instructions stand before its program.
 *
 * They return what refuses, or come to their end. Whatever call has nothing to do with them passes
 * without a look at an argument, so that the kernel sees that it is always allowed.
 */
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "ipc/protocol.h"
#include "supervisor/filter.h"

/* Not of every C library's headers. */
#define ARGUMENT_IO_GROUP 2
#define ARGUMENT_IO_USER 3
#define ARGUMENT_TCSETS2 0x402c542bU
#define ARGUMENT_TCSETSW2 0x402c542cU
#define ARGUMENT_TCSETSF2 0x402c542dU
#define ARGUMENT_FAST_OPEN 0x20000000U
#define ARGUMENT_SOCKET_TYPE 0xfU
#define ARGUMENT_NEW_CGROUP 0x02000000U
#define ARGUMENT_NAMESPACES                                                                        \
	((uint32_t)(CLONE_NEWNS | ARGUMENT_NEW_CGROUP | CLONE_NEWUTS | CLONE_NEWIPC |              \
		    CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET))

/* Later than the C library may be. */
#define ARGUMENT_AO_ADD_KEY 38U
#define ARGUMENT_AO_DEL_KEY 39U
#define ARGUMENT_AO_INFO 40U

#define ARGUMENT_LEVEL 1U
/* More than there are. */
#define ARGUMENT_MOST_ROWS 400

/* Nobody but the caller itself, which is 0: any other process of the user would do, and nothing but
 * the user is asked for. */
#define ARGUMENT_ITSELF .rule = ARGUMENT_REFUSED_BITS, .mask = UINT32_MAX

/* None of these descriptors. */
#define ARGUMENT_OF(...)                                                                           \
	.rule = ARGUMENT_REFUSED_VALUES, .mask = UINT32_MAX, .values = {__VA_ARGS__},              \
	.count = sizeof((int[]){__VA_ARGS__}) / sizeof(int)

enum argument_rule {
	ARGUMENT_REFUSED_BITS,	 /* none of the mask may be set */
	ARGUMENT_REFUSED_VALUES, /* of what the mask leaves */
	ARGUMENT_ALLOWED_VALUES,
};

struct argument_check {
	const char *call;
	unsigned argument; /* counted from 0 */
	enum argument_rule rule;
	uint32_t mask;
	uint32_t values[10];
	size_t count;
	bool has_level; /* of options: only those of this level, which is argument 1 */
	uint32_t level;
	bool is_connecting; /* looked at where connections are not to be made */
	bool is_of_strict;
};

static const struct argument_check argument_checks[] = {
	/* namespaces: a process in a new one is root in it. And children that are the supervisor's,
	 * who knows nothing of them: dead, they would stay until it ends */
	{.call = "clone", .mask = ARGUMENT_NAMESPACES | CLONE_PARENT},
	/* typing on the terminal that the daemon was started from, stopping it, keeping it from
	 * others. Whoever has a terminal of his own, as shells have, has no need of these */
	{
		.call = "ioctl",
		.argument = 1,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {TIOCSTI, TIOCLINUX, TCXONC, TIOCEXCL, TIOCSETD},
		.count = 5,
	},
	/* what a terminal does with what is written, and throwing that away */
	{
		.call = "ioctl",
		.argument = 1,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {TCSETS, TCSETSW, TCSETSF, TCSETA, TCSETAW, TCSETAF, ARGUMENT_TCSETS2,
			   ARGUMENT_TCSETSW2, ARGUMENT_TCSETSF2, TCFLSH},
		.count = 10,
		.is_of_strict = true,
	},
	/* the file that standard error may be, with what everybody has logged, or the socket. A
	 * copy of the descriptor gets around it. Of a program that a handler starts the other two
	 * are whatever it has opened */
	{.call = "shutdown", ARGUMENT_OF(STDERR_FILENO)},
	{.call = "shutdown", ARGUMENT_OF(STDOUT_FILENO, WORKER_FD_LOG), .is_of_strict = true},
	{.call = "ftruncate", ARGUMENT_OF(STDERR_FILENO)},
	{.call = "fallocate", ARGUMENT_OF(STDERR_FILENO)},
	{.call = "ftruncate", ARGUMENT_OF(STDOUT_FILENO, WORKER_FD_LOG), .is_of_strict = true},
	{.call = "fallocate", ARGUMENT_OF(STDOUT_FILENO, WORKER_FD_LOG), .is_of_strict = true},
	/* 0 is Linux's own, and ~0 asks */
	{
		.call = "personality",
		.rule = ARGUMENT_ALLOWED_VALUES,
		.mask = UINT32_MAX,
		.values = {0, UINT32_MAX},
		.count = 2,
	},
	/* devices, of a handler that is root */
	{
		.call = "mknod",
		.argument = 1,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = S_IFMT,
		.values = {S_IFCHR, S_IFBLK},
		.count = 2,
	},
	{
		.call = "mknodat",
		.argument = 2,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = S_IFMT,
		.values = {S_IFCHR, S_IFBLK},
		.count = 2,
	},
	{
		.call = "socketpair",
		.rule = ARGUMENT_ALLOWED_VALUES,
		.mask = UINT32_MAX,
		.values = {AF_UNIX},
		.count = 1,
	},
	/* a pair that takes addresses: it sends to whatever Unix socket there is. SOCK_RAW is the
	 * same there */
	{
		.call = "socketpair",
		.argument = 1,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = ARGUMENT_SOCKET_TYPE,
		.values = {SOCK_DGRAM, SOCK_RAW},
		.count = 2,
		.is_of_strict = true,
	},
	/* what cannot be taken off a socket again, or not be seen on it: a handler has the socket
	 * that clients come to, which outlives it */
	{
		.call = "setsockopt",
		.argument = 2,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {SO_ATTACH_FILTER, SO_ATTACH_BPF, SO_LOCK_FILTER,
			   SO_ATTACH_REUSEPORT_CBPF, SO_ATTACH_REUSEPORT_EBPF},
		.count = 5,
		.has_level = true,
		.level = SOL_SOCKET,
	},
	{
		.call = "setsockopt",
		.argument = 2,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {TCP_MD5SIG, TCP_MD5SIG_EXT, ARGUMENT_AO_ADD_KEY, ARGUMENT_AO_DEL_KEY,
			   ARGUMENT_AO_INFO},
		.count = 5,
		.has_level = true,
		.level = IPPROTO_TCP,
	},
	{
		.call = "setsockopt",
		.argument = 2,
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {UDP_ENCAP},
		.count = 1,
		.has_level = true,
		.level = IPPROTO_UDP,
	},
	/* connects without connect(2), past Landlock: a client's socket that was disconnected, or
	 * the listening one, shut down */
	{
		.call = "sendto",
		.argument = 3,
		.mask = ARGUMENT_FAST_OPEN,
		.is_connecting = true,
	},
	{
		.call = "sendmsg",
		.argument = 2,
		.mask = ARGUMENT_FAST_OPEN,
		.is_connecting = true,
	},
	{
		.call = "sendmmsg",
		.argument = 3,
		.mask = ARGUMENT_FAST_OPEN,
		.is_connecting = true,
	},
	/* limits and priorities of others. The C library gives 0 */
	{.call = "prlimit64", ARGUMENT_ITSELF},
	{
		.call = "setpriority",
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {PRIO_PGRP, PRIO_USER},
		.count = 2,
	},
	{.call = "setpriority", .argument = 1, ARGUMENT_ITSELF},
	{
		.call = "ioprio_set",
		.rule = ARGUMENT_REFUSED_VALUES,
		.mask = UINT32_MAX,
		.values = {ARGUMENT_IO_GROUP, ARGUMENT_IO_USER},
		.count = 2,
	},
	{.call = "ioprio_set", .argument = 1, ARGUMENT_ITSELF},
	/* the C library gives the number of a thread, which is like that of a process:
	 * pthread_setaffinity_np, pthread_setschedparam, pthread_create with such attributes */
	{.call = "sched_setaffinity", ARGUMENT_ITSELF, .is_of_strict = true},
	{.call = "sched_setscheduler", ARGUMENT_ITSELF, .is_of_strict = true},
	{.call = "sched_setparam", ARGUMENT_ITSELF, .is_of_strict = true},
	{.call = "sched_setattr", ARGUMENT_ITSELF, .is_of_strict = true},
};

struct argument_program {
	struct sock_filter rows[ARGUMENT_MOST_ROWS];
	size_t count;
};

static void
argument_add(struct argument_program *program, struct sock_filter row)
{
	CHECK(program->count < ARGUMENT_MOST_ROWS);
	program->rows[program->count++] = row;
}

static void
argument_load(struct argument_program *program, size_t offset)
{
	argument_add(program,
		     (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset));
}

static void
argument_jump(struct argument_program *program, int condition, uint32_t value, uint8_t if_so,
	      uint8_t if_not)
{
	argument_add(program, (struct sock_filter)BPF_JUMP((uint16_t)(BPF_JMP | condition | BPF_K),
							   value, if_so, if_not));
}

/* The low half of an argument, which the kernel goes by. */
static void
argument_load_low(struct argument_program *program, unsigned argument)
{
	size_t low = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? sizeof(uint32_t) : 0;

	argument_load(program,
		      offsetof(struct seccomp_data, args) + argument * sizeof(uint64_t) + low);
}

static void
argument_refuse(struct argument_program *program)
{
	argument_add(program,
		     (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
}

/* What follows is for this call only; returns the jump over it, for argument_end. */
static size_t
argument_begin(struct argument_program *program, int number)
{
	argument_load(program, offsetof(struct seccomp_data, nr));
	argument_jump(program, BPF_JEQ, (uint32_t)number, 0, 0);
	return program->count - 1;
}

static void
argument_end(struct argument_program *program, size_t begin)
{
	size_t length = program->count - begin - 1;

	CHECK(length <= UINT8_MAX);
	program->rows[begin].jf = (uint8_t)length;
}

static void
argument_compare_value(struct argument_program *program, const struct argument_check *check)
{
	argument_load_low(program, check->argument);
	if (check->rule == ARGUMENT_REFUSED_BITS) {
		argument_jump(program, BPF_JSET, check->mask, 0, 1);
		argument_refuse(program);
		return;
	}
	if (check->mask != UINT32_MAX)
		argument_add(program,
			     (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, check->mask));
	for (size_t i = 0; i < check->count; i++) {
		/* over the others, and what refuses */
		uint8_t over = (uint8_t)(check->count - i);

		if (check->rule == ARGUMENT_ALLOWED_VALUES) {
			argument_jump(program, BPF_JEQ, check->values[i], over, 0);
		} else {
			argument_jump(program, BPF_JEQ, check->values[i], 0, 1);
			argument_refuse(program);
		}
	}
	if (check->rule == ARGUMENT_ALLOWED_VALUES)
		argument_refuse(program);
}

static void
argument_compare(struct argument_program *program, const struct argument_check *check)
{
	size_t begin;

	if (!check->has_level) {
		argument_compare_value(program, check);
		return;
	}
	argument_load_low(program, ARGUMENT_LEVEL);
	argument_jump(program, BPF_JEQ, check->level, 0, 0);
	begin = program->count - 1;
	argument_compare_value(program, check);
	argument_end(program, begin);
}

/* Families of sockets: of netlink, which tells of interfaces and routes, nothing but that. */
static void
argument_compare_family(struct argument_program *program, const struct filter_kind *kind)
{
	argument_load_low(program, 0);
	if (!kind->has_network) {
		argument_jump(program, BPF_JEQ, AF_UNIX, 1, 0);
		argument_refuse(program);
		return;
	}
	argument_jump(program, BPF_JEQ, AF_UNIX, 6, 0);
	argument_jump(program, BPF_JEQ, AF_INET, 5, 0);
	argument_jump(program, BPF_JEQ, AF_INET6, 4, 0);
	argument_jump(program, BPF_JEQ, AF_NETLINK, 0, 2);
	argument_load_low(program, 2);
	argument_jump(program, BPF_JEQ, NETLINK_ROUTE, 1, 0);
	argument_refuse(program);
}

static bool
argument_is_refused(const struct argument_check *check, const uint64_t *arguments)
{
	uint32_t value = (uint32_t)arguments[check->argument] & check->mask;
	bool is_listed = false;

	if (check->has_level && (uint32_t)arguments[ARGUMENT_LEVEL] != check->level)
		return false;
	if (check->rule == ARGUMENT_REFUSED_BITS)
		return value != 0;
	for (size_t i = 0; i < check->count; i++)
		is_listed = is_listed || check->values[i] == value;
	return is_listed == (check->rule == ARGUMENT_REFUSED_VALUES);
}

int
filter_find_argument(const char *name, const uint64_t *arguments)
{
	for (size_t i = 0; i < COUNT_OF(argument_checks); i++) {
		const struct argument_check *check = &argument_checks[i];

		if (strcmp(check->call, name) == 0 &&
		    (arguments == NULL || argument_is_refused(check, arguments)))
			return (int)check->argument;
	}
	return strcmp(name, "socket") == 0 ? 0 : -1;
}

void
filter_add_arguments(const struct filter_kind *kind, uint32_t arch, struct buf *to)
{
	struct argument_program program = {.count = 0};
	bool is_unconnected = kind->is_strict || !kind->has_network;
	size_t begin;
	int number;

	/* numbers of another architecture mean something else: libseccomp's part refuses them */
	argument_load(&program, offsetof(struct seccomp_data, arch));
	argument_jump(&program, BPF_JEQ, arch, 1, 0);
	argument_add(&program, (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, 0));
	for (size_t i = 0; i < COUNT_OF(argument_checks); i++) {
		const struct argument_check *check = &argument_checks[i];

		number = seccomp_syscall_resolve_name_arch(arch, check->call);
		if (number < 0 || (check->is_connecting && !is_unconnected) ||
		    (check->is_of_strict && !kind->is_strict))
			continue;
		begin = argument_begin(&program, number);
		argument_compare(&program, check);
		argument_end(&program, begin);
	}
	number = seccomp_syscall_resolve_name_arch(arch, "socket");
	begin = argument_begin(&program, number);
	argument_compare_family(&program, kind);
	argument_end(&program, begin);
	/* the jump at the beginning */
	program.rows[2].k = (uint32_t)(program.count - 3);
	buf_add(to, program.rows, program.count * sizeof(program.rows[0]));
}
