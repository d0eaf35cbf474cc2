/*
 * sys_tries_program - a program that a handler starts: `sys_tries_program CALL` makes it, and exits
 * with the number of its error. `sys_tries_program --listened PROGRAM ARGUMENT...` executes that
 * under a filter of system calls that allows all and has a listener, as managers of containers do.
 * `sys_tries_program --denied CALL ERROR PROGRAM ARGUMENT...`, numbers both, executes it where that
 * call fails so, as where the kernel does not have it.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/prctl.h>

#include "tries.h"

static int
execute_listened(char **arguments)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = 1, .filter = &allow};
	long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			  &program);

	if (fd < 0 && errno == EACCES && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER,
			     &program);
	/* without its listener the filter has none */
	if (fd < 0 || fcntl((int)fd, F_SETFD, 0) < 0)
		return errno;
	(void)execv(arguments[0], arguments);
	return errno;
}

static int
execute_denied(unsigned call, unsigned error, char **arguments)
{
	struct sock_filter rows[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {.len = 4, .filter = rows};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) < 0)
		return errno;
	(void)execv(arguments[0], arguments);
	return errno;
}

int
main(int argc, char **argv)
{
	if (argc > 2 && strcmp(argv[1], "--listened") == 0)
		return execute_listened(argv + 2);
	if (argc > 4 && strcmp(argv[1], "--denied") == 0)
		return execute_denied((unsigned)strtoul(argv[2], NULL, 10),
				      (unsigned)strtoul(argv[3], NULL, 10), argv + 4);
	return argc == 2 ? (int)-try_call(argv[1]) : EINVAL;
}
