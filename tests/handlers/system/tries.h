/*
 * tries.h - system calls by name, for a handler and for a program that it starts.
 */
#ifndef SYSTEM_TRIES_H
#define SYSTEM_TRIES_H

#include <errno.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static long
result(long r)
{
	return r < 0 ? -errno : r;
}

/* System calls that nothing comes of: the arguments are made so that they fail by themselves, with
 * another error than the filter's. */
static const struct {
	const char *name;
	long number;
	long arguments[6];
} calls[] = {
	{"mount", SYS_mount, {0, 0, 0, 0, 0}},
	{"keyctl", SYS_keyctl, {-1, 0, 0, 0, 0}},
	{"unshare", SYS_unshare, {0}},
	{"unshare_user", SYS_unshare, {CLONE_NEWUSER}},
	{"bpf", SYS_bpf, {-1, 0, 0}},
	{"ptrace", SYS_ptrace, {-1, 0, 0, 0}},
	{"perf_event_open", SYS_perf_event_open, {0, 0, 0, 0, 0}},
	{"userfaultfd", SYS_userfaultfd, {-1}},
	{"io_uring_setup", SYS_io_uring_setup, {0, 0}},
	{"setns", SYS_setns, {-1, 0}},
	{"chroot", SYS_chroot, {0}},
	{"reboot", SYS_reboot, {0, 0, 0, 0}},
	{"clone3", SYS_clone3, {0, 0}},
	{"not_there", 999, {0}},
	{"clone_newuser", SYS_clone, {CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0}},
	{"clone_newnet_high", SYS_clone, {CLONE_NEWNET | SIGCHLD | (1L << 40), 0, 0, 0, 0}},
	{"ioctl_sti", SYS_ioctl, {-1, TIOCSTI, 0}},
	{"ioctl_sti_high", SYS_ioctl, {-1, TIOCSTI | (1L << 32), 0}},
	{"ioctl_linux", SYS_ioctl, {-1, TIOCLINUX, 0}},
	{"ioctl_flow", SYS_ioctl, {-1, TCXONC, 0}},
	{"ioctl_exclusive", SYS_ioctl, {-1, TIOCEXCL, 0}},
	{"ioctl_discipline", SYS_ioctl, {-1, TIOCSETD, 0}},
	{"ioctl_attributes", SYS_ioctl, {-1, TCSETSW, 0}},
	{"ioctl_flush", SYS_ioctl, {-1, TCFLSH, 0}},
	{"ioctl_other", SYS_ioctl, {-1, FIONREAD, 0}},
	{"personality_ask", SYS_personality, {0xffffffff}},
	{"personality_other", SYS_personality, {PER_SVR4}},
	{"mknod_device", SYS_mknodat, {-1, (long)"x", S_IFCHR | 0600, 0}},
	{"mknod_fifo", SYS_mknodat, {-1, (long)"x", S_IFIFO | 0600, 0}},
	{"socket_packet", SYS_socket, {AF_PACKET, SOCK_RAW, 0}},
	{"socket_alg", SYS_socket, {AF_ALG, SOCK_SEQPACKET, 0}},
	{"socket_high", SYS_socket, {AF_PACKET | (1L << 32), SOCK_RAW, 0}},
	{"socket_audit", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_AUDIT}},
	{"socket_route", SYS_socket, {AF_NETLINK, SOCK_RAW, NETLINK_ROUTE}},
	{"socket_inet", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
	{"socket_inet6", SYS_socket, {AF_INET6, SOCK_STREAM, 0}},
	{"socket_udp", SYS_socket, {AF_INET, SOCK_DGRAM, 0}},
	{"socket_unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
	{"option_filter", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_FILTER, 0, 0}},
	{"option_filter_high",
	 SYS_setsockopt,
	 {-1, SOL_SOCKET | (1L << 32), SO_ATTACH_FILTER | (1L << 32), 0, 0}},
	{"option_bpf", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_BPF, 0, 0}},
	{"option_lock", SYS_setsockopt, {-1, SOL_SOCKET, SO_LOCK_FILTER, 0, 0}},
	{"option_reuseport", SYS_setsockopt, {-1, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, 0, 0}},
	{"option_key", SYS_setsockopt, {-1, IPPROTO_TCP, TCP_MD5SIG, 0, 0}},
	{"option_encap", SYS_setsockopt, {-1, IPPROTO_UDP, UDP_ENCAP, 0, 0}},
	/* the same numbers are others on other levels */
	{"option_detach", SYS_setsockopt, {-1, SOL_SOCKET, SO_DETACH_FILTER, 0, 0}},
	{"option_tcp", SYS_setsockopt, {-1, IPPROTO_TCP, SO_ATTACH_FILTER, 0, 0}},
	{"option_socket", SYS_setsockopt, {-1, SOL_SOCKET, TCP_MD5SIG, 0, 0}},
	{"execve", SYS_execve, {0, 0, 0}},
	{"adjtimex", SYS_adjtimex, {0}},
};

static long
try_call(const char *name)
{
	for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
		const long *a = calls[i].arguments;

		if (strcmp(calls[i].name, name) == 0) {
			long r = result(
				syscall(calls[i].number, a[0], a[1], a[2], a[3], a[4], a[5]));

			/* a descriptor is not kept */
			if (r > 2 && (calls[i].number == SYS_socket))
				(void)close((int)r);
			return r > 0 ? 0 : r;
		}
	}
	return -ENOENT;
}

#endif
