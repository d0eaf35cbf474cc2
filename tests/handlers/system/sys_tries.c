/*
 * sys_tries - does what its client names, and answers with what came of it: one line for each line,
 * 0 or a positive number, or the name of an error. A call is made here, or by a `thread`, a `child`
 * or a `program`, if one of these words stands before it.
 */
#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <handlerd/handler.h>
#include <ifaddrs.h>
#include <linux/keyctl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "tries.h"

#define LINE 256

static const struct hd_option options[] = {
	HD_OPTION_STRING("at_start", "", "what server_start tries; its result is logged"),
	HD_OPTION_STRING("helper", "/bin/false", "a program that makes the call it is given"),
	HD_OPTION_END,
};

static int on_server_start(struct hd_server *server);

HD_HANDLER(.name = "sys_tries", .version = "1",
	   .flags = HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS, .options = options,
	   .server_start = on_server_start);

extern char **environ;

#if defined(__x86_64__)
/* The 32-bit way into the kernel, and x32's numbers: getpid of each. */
static long
try_int80(void)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
	return r > 0 ? 0 : r;
}

static long
try_x32(void)
{
	return result(syscall(0x40000000 | SYS_getpid)) > 0 ? 0 : -errno;
}
#else
static long
try_int80(void)
{
	return -EPERM;
}

static long
try_x32(void)
{
	return -EPERM;
}
#endif

static void *
idle_thread(void *argument)
{
	return argument;
}

static long
try_pthread(void)
{
	pthread_t thread;
	int r = pthread_create(&thread, NULL, idle_thread, NULL);

	return r != 0 ? -r : -pthread_join(thread, NULL);
}

static long
wait_for(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -EINTR;
}

static long
try_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : wait_for(pid);
}

static long
try_spawn(void)
{
	static char *const arguments[] = {"true", NULL};
	pid_t pid;
	int r = posix_spawn(&pid, "/bin/true", NULL, NULL, arguments, environ);

	return r != 0 ? -r : wait_for(pid);
}

static long
try_system(void)
{
	int status = system("exit 7");

	return status < 0 ? -errno : WEXITSTATUS(status);
}

static long
try_getaddrinfo(const char *name)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG};
	struct addrinfo *found;
	int r = getaddrinfo(name, "http", &hints, &found);

	if (r == 0)
		freeaddrinfo(found);
	return r == 0 ? 0 : -EHOSTUNREACH;
}

static long
try_getifaddrs(void)
{
	struct ifaddrs *found;
	long r = result(getifaddrs(&found));

	if (r == 0)
		freeifaddrs(found);
	return r;
}

static long
try_shared_memory(void)
{
	int fd = memfd_create("tries", MFD_CLOEXEC);
	void *at;

	if (fd < 0)
		return -errno;
	at = ftruncate(fd, 4096) < 0 ? MAP_FAILED
				     : mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)close(fd);
	return at == MAP_FAILED ? -errno : result(munmap(at, 4096));
}

static long
try_pair(void)
{
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -errno;
	(void)close(ends[0]);
	(void)close(ends[1]);
	return 0;
}

static void
fill_loopback(struct sockaddr_in *to, const char *port)
{
	*to = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(port)),
		.sin_addr = {htonl(INADDR_LOOPBACK)},
	};
}

/* A client's own socket, or the listening one, is let go and used to connect elsewhere. */
static long
try_reuse(int fd, const char *port, int is_fast)
{
	static const struct sockaddr none = {.sa_family = AF_UNSPEC};
	struct sockaddr_in to;

	fill_loopback(&to, port);
	(void)connect(fd, &none, sizeof(none));
	if (is_fast)
		return result(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL,
				     (struct sockaddr *)&to, sizeof(to)));
	return result(connect(fd, (struct sockaddr *)&to, sizeof(to)));
}

/* The listener's own socket is easily found. */
static long
try_reuse_listening(const char *port, int is_fast)
{
	for (int fd = 0; fd < 100; fd++) {
		int is_listening = 0;
		socklen_t length = sizeof(is_listening);

		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &length) == 0 &&
		    is_listening) {
			/* the worker closes its own when it sees what was done to it */
			int own = dup(fd);

			(void)shutdown(own, SHUT_RDWR);
			return try_reuse(own, port, is_fast);
		}
	}
	return -ENOENT;
}

static long
try_hd_connect(struct hd_request *req, const char *address)
{
	int error = 0;
	struct hd_request *other = hd_connect(req, address, 2000, &error);

	if (other == NULL)
		return error < 0 ? error : -error;
	return hd_close(other);
}

/* Files: `read PATH`, `write PATH`, `make PATH`, `list PATH`, `run PATH`, `remove PATH`. */
static long
try_file(const char *how, const char *path)
{
	int fd = -1;

	if (strcmp(how, "read") == 0)
		fd = open(path, O_RDONLY | O_CLOEXEC);
	else if (strcmp(how, "write") == 0)
		fd = open(path, O_WRONLY | O_CLOEXEC);
	else if (strcmp(how, "make") == 0)
		fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	else if (strcmp(how, "list") == 0)
		fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	else if (strcmp(how, "shorten") == 0)
		return result(truncate(path, 0));
	else if (strcmp(how, "remove") == 0)
		return result(unlink(path));
	else if (strcmp(how, "mkdir") == 0)
		return result(mkdir(path, 0700));
	else
		return -ENOENT;
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

static long
try_run(const char *path)
{
	char *const arguments[] = {(char *)path, NULL};
	pid_t pid;
	int r = posix_spawn(&pid, path, NULL, NULL, arguments, environ);

	return r != 0 ? -r : wait_for(pid);
}

/* A child that is the supervisor's, who knows nothing of it. */
static long
try_adoption(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_PARENT | SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(0);
	return pid < 0 ? -errno : 0;
}

/* As programs do that become daemons: children of children, which have no parent any more when they
 * end. */
static long
try_orphans(int count)
{
	for (int i = 0; i < count; i++) {
		pid_t pid = fork();
		int status;

		if (pid < 0)
			return -errno;
		if (pid == 0) {
			(void)fork();
			_exit(0);
		}
		while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
			;
	}
	return 0;
}

/* Out of the group that is killed whole; whoever `stops`, too, hears of no order any more. */
static long
try_leave_group(int stops)
{
	long r = result(setpgid(0, getpgid(getppid())));

	if (stops)
		(void)kill(getpid(), SIGSTOP);
	return r;
}

/* A child in a session of its own. */
static long
try_session(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(setsid() < 0 ? errno : 0);
	return pid < 0 ? -errno : -wait_for(pid);
}

/* A signal to a process, `how`: by its number, with a value, by a descriptor, or to whoever owns a
 * socket when something arrives there. */
static long
try_signal(const char *how, pid_t pid)
{
	siginfo_t info = {.si_code = SI_QUEUE};
	int ends[2], fd;
	long r;

	if (strcmp(how, "signal") == 0)
		return result(kill(pid, SIGSTOP));
	if (strcmp(how, "signal_queue") == 0)
		return result(syscall(SYS_rt_sigqueueinfo, pid, SIGSTOP, &info));
	if (strcmp(how, "signal_pidfd") == 0) {
		fd = (int)syscall(SYS_pidfd_open, pid, 0);
		if (fd < 0)
			return -errno;
		r = result(syscall(SYS_pidfd_send_signal, fd, SIGSTOP, NULL, 0));
		(void)close(fd);
		return r;
	}
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -errno;
	r = result(fcntl(ends[0], F_SETSIG, SIGSTOP));
	if (r == 0)
		r = result(fcntl(ends[0], F_SETOWN, pid));
	if (r == 0)
		r = result(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK));
	if (r == 0)
		r = result(write(ends[1], "x", 1));
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

/* The memory of a child of its own is written and read. */
static long
try_memory_of(pid_t pid)
{
	static char word[] = "before";
	char path[64], back[sizeof(word)] = "";
	long r = -EIO;
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (pwrite(fd, "after", 6, (off_t)(size_t)word) == 6 &&
	    pread(fd, back, 6, (off_t)(size_t)word) == 6)
		r = strcmp(back, "after") == 0 && strcmp(word, "before") == 0 ? 0 : -EIO;
	(void)close(fd);
	return r;
}

/* A child of its own, in another session too, is killed; its `memory` is looked at before. */
static long
try_own_child(const char *how)
{
	pid_t pid = fork();
	long r = 0;
	int status;

	if (pid == 0) {
		if (strcmp(how, "own_child_session") == 0)
			(void)setsid();
		for (;;)
			(void)pause();
	}
	if (pid < 0)
		return -errno;
	if (strcmp(how, "own_child_memory") == 0)
		r = try_memory_of(pid);
	if (kill(pid, SIGKILL) < 0)
		r = -errno;
	if (waitpid(pid, &status, 0) != pid || !WIFSIGNALED(status))
		r = -ECHILD;
	return r;
}

/* The limits, priorities and processors of a process: as they are, but for the limit. */
static long
try_share_of(const char *how, pid_t pid)
{
	struct {
		uint32_t size, policy;
		uint64_t flags;
		int32_t nice;
		uint32_t priority;
		uint64_t more[3];
	} attributes = {.size = sizeof(attributes)};
	struct sched_param param = {0};
	struct rlimit limit;
	cpu_set_t cpus;

	(void)getrlimit(RLIMIT_NOFILE, &limit);
	(void)sched_getaffinity(0, sizeof(cpus), &cpus);
	if (pid != 0)
		limit.rlim_cur = limit.rlim_max = 1;
	if (strcmp(how, "share_limit") == 0)
		return result(prlimit(pid, RLIMIT_NOFILE, &limit, NULL));
	if (strcmp(how, "share_nice") == 0)
		return result(setpriority(PRIO_PROCESS, (id_t)pid, getpriority(PRIO_PROCESS, 0)));
	if (strcmp(how, "share_nice_group") == 0)
		return result(setpriority(PRIO_PGRP, (id_t)pid, 19));
	if (strcmp(how, "share_nice_user") == 0)
		return result(setpriority(PRIO_USER, (id_t)pid, 19));
	/* 1, 2, 3: a process, a group, a user; the idle class, and none of its own */
	if (strcmp(how, "share_io") == 0)
		return result(syscall(SYS_ioprio_set, 1, pid, 0));
	if (strcmp(how, "share_io_group") == 0)
		return result(syscall(SYS_ioprio_set, 2, pid, 3 << 13));
	if (strcmp(how, "share_io_user") == 0)
		return result(syscall(SYS_ioprio_set, 3, pid, 3 << 13));
	if (strcmp(how, "share_affinity") == 0)
		return result(sched_setaffinity(pid, sizeof(cpus), &cpus));
	if (strcmp(how, "share_scheduler") == 0)
		return result(sched_setscheduler(pid, SCHED_OTHER, &param));
	if (strcmp(how, "share_param") == 0)
		return result(sched_setparam(pid, &param));
	if (strcmp(how, "share_attributes") == 0)
		return result(syscall(SYS_sched_setattr, pid, &attributes, 0));
	return -ENOENT;
}

/* A thread on one processor, as the C library does it. */
static long
try_pinned_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	cpu_set_t cpus;
	int r;

	(void)sched_getaffinity(0, sizeof(cpus), &cpus);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setaffinity_np(&attributes, sizeof(cpus), &cpus);
	r = pthread_create(&thread, &attributes, idle_thread, NULL);
	(void)pthread_attr_destroy(&attributes);
	return r != 0 ? -r : -pthread_join(thread, NULL);
}

/* A key that whoever started the daemon had in its session. */
static long
try_key(const char *name)
{
	char text[64];
	long id = result(
		syscall(SYS_keyctl, KEYCTL_SEARCH, KEY_SPEC_SESSION_KEYRING, "user", name, 0));

	if (id >= 0)
		id = result(syscall(SYS_keyctl, KEYCTL_READ, id, text, sizeof(text)));
	return id;
}

/* A datagram to a Unix socket, by one of a pair. */
static long
try_pair_to(const char *path, int type)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	int ends[2];
	long r;

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
	if (socketpair(AF_UNIX, type, 0, ends) < 0)
		return -errno;
	r = result(sendto(ends[0], "x", 1, MSG_NOSIGNAL, (struct sockaddr *)&to, sizeof(to)));
	(void)close(ends[0]);
	(void)close(ends[1]);
	return r;
}

/* A connection whose other end reads nothing, full. */
static int
make_full(void)
{
	struct sockaddr_in at;
	socklen_t length = sizeof(at);
	static char block[65536];
	int listening = socket(AF_INET, SOCK_STREAM, 0), fd = socket(AF_INET, SOCK_STREAM, 0);

	fill_loopback(&at, "0");
	if (bind(listening, (struct sockaddr *)&at, sizeof(at)) < 0 || listen(listening, 1) < 0 ||
	    getsockname(listening, (struct sockaddr *)&at, &length) < 0 ||
	    connect(fd, (struct sockaddr *)&at, sizeof(at)) < 0 ||
	    accept(listening, NULL, NULL) < 0)
		return -errno;
	while (send(fd, block, sizeof(block), MSG_DONTWAIT) > 0)
		;
	return fd;
}

/* Sends the supervisor a descriptor that it takes a minute to close. */
static long
try_linger(void)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 60};
	char text[] = "a message";
	struct iovec iov = {.iov_base = text, .iov_len = sizeof(text)};
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control),
	};
	int fd = make_full();
	long r;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0)
		return -errno;
	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	r = result(sendmsg(3, &msg, MSG_DONTWAIT));
	/* the last one is whoever receives it; until then this is dead */
	linger.l_onoff = 0;
	if (r < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(fd);
	return r;
}

/* What is open in every worker and of which others have the other end: `shut FD`, `divert FD
 * PATH`. */
static long
try_shut(const char *fd)
{
	return result(shutdown(atoi(fd), SHUT_RDWR));
}

static long
try_divert(char *argument)
{
	struct sockaddr_un to = {.sun_family = AF_UNIX};
	char *path;
	long fd = strtol(argument, &path, 10);

	(void)snprintf(to.sun_path, sizeof(to.sun_path), "%s", path + strspn(path, " "));
	return result(connect((int)fd, (struct sockaddr *)&to, sizeof(to)));
}

/* From now on whoever writes by that descriptor does so where it stands, not at the end. */
static long
try_overwrite(int fd)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_APPEND) < 0)
		return -errno;
	return result(lseek(fd, 0, SEEK_SET));
}

/* A line on standard error, past the log. */
static long
try_complain(const char *text)
{
	return dprintf(STDERR_FILENO, "%s\n", text) < 0 ? -errno : 0;
}

#define OWN_BOARD 5

/* Pages that all workers have in common, and that are the supervisor's to write. */
static int
is_page(const char *name)
{
	return strstr(name, "memfd:handlerd-access") != NULL ||
	       strstr(name, "memfd:handlerd-bans") != NULL ||
	       strstr(name, "memfd:handlerd-ports") != NULL ||
	       strstr(name, "memfd:handlerd-buckets") != NULL;
}

static int
is_board(const char *name)
{
	return strstr(name, "memfd:handlerd-scoreboard") != NULL;
}

static long
try_open_anew(const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

/* How many of them, and of other workers' scoreboards, can be opened anew, or can be written where
 * they are mapped. */
static long
try_pages(void)
{
	char path[64], name[256], line[512];
	unsigned long from, to;
	long count = 0;
	FILE *maps;

	for (int fd = 0; fd < 256; fd++) {
		ssize_t n;

		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		n = readlink(path, name, sizeof(name) - 1);
		name[n < 0 ? 0 : n] = '\0';
		if (!is_page(name) && (fd == OWN_BOARD || !is_board(name)))
			continue;
		(void)fchmod(fd, 0666);
		count += try_open_anew(path);
	}
	maps = fopen("/proc/self/maps", "re");
	while (maps != NULL && fgets(line, sizeof(line), maps) != NULL) {
		/* the one that it may write to is its own */
		if (!is_page(line) && (!is_board(line) || strstr(line, " r--s ") == NULL))
			continue;
		if (sscanf(line, "%lx-%lx", &from, &to) != 2)
			continue;
		count += mprotect((void *)from, (size_t)(to - from), PROT_READ | PROT_WRITE) == 0;
		(void)snprintf(path, sizeof(path), "/proc/self/map_files/%lx-%lx", from, to);
		count += try_open_anew(path);
	}
	if (maps != NULL)
		(void)fclose(maps);
	return count;
}

struct job {
	const char *what;
	long result;
};

/* `flood NAME COUNT`, until the drain deadline at the latest; how many failed with EPERM. */
static long
try_flood(struct hd_request *req, const char *name, long count)
{
	long refused = 0;

	for (long i = 0; i < count && (req == NULL || !hd_draining(req)); i++)
		refused += try_call(name) == -EPERM;
	return refused;
}

static long
try_words(struct hd_request *req, char *what)
{
	char *argument = strchr(what, ' ');

	if (argument != NULL)
		*argument++ = '\0';
	else
		argument = "";
	if (strcmp(what, "int80") == 0)
		return try_int80();
	if (strcmp(what, "x32") == 0)
		return try_x32();
	if (strcmp(what, "pthread_create") == 0)
		return try_pthread();
	if (strcmp(what, "fork") == 0)
		return try_fork();
	if (strcmp(what, "posix_spawn") == 0)
		return try_spawn();
	if (strcmp(what, "system") == 0)
		return try_system();
	if (strcmp(what, "getaddrinfo") == 0)
		return try_getaddrinfo(argument);
	if (strcmp(what, "getifaddrs") == 0)
		return try_getifaddrs();
	if (strcmp(what, "memfd") == 0)
		return try_shared_memory();
	if (strcmp(what, "socketpair") == 0)
		return try_pair();
	if (strcmp(what, "hd_connect") == 0)
		return try_hd_connect(req, argument);
	if (strcmp(what, "reuse_client") == 0)
		return try_reuse(hd_fd(req), argument, 0);
	if (strcmp(what, "reuse_client_fast") == 0)
		return try_reuse(hd_fd(req), argument, 1);
	if (strcmp(what, "reuse_listening") == 0)
		return try_reuse_listening(argument, 0);
	if (strcmp(what, "reuse_listening_fast") == 0)
		return try_reuse_listening(argument, 1);
	if (strcmp(what, "shut") == 0)
		return try_shut(argument);
	if (strcmp(what, "divert") == 0)
		return try_divert(argument);
	if (strcmp(what, "empty") == 0)
		return result(ftruncate(atoi(argument), 0));
	if (strcmp(what, "overwrite") == 0)
		return try_overwrite(atoi(argument));
	if (strcmp(what, "stop_terminal") == 0)
		return result(tcflow(STDERR_FILENO, TCOOFF));
	if (strcmp(what, "complain") == 0)
		return try_complain(argument);
	if (strcmp(what, "linger") == 0)
		return try_linger();
	if (strcmp(what, "adoption") == 0)
		return try_adoption();
	if (strcmp(what, "orphans") == 0)
		return try_orphans(atoi(argument));
	if (strcmp(what, "leave_group") == 0)
		return try_leave_group(0);
	if (strcmp(what, "leave_group_and_stop") == 0)
		return try_leave_group(1);
	if (strcmp(what, "session") == 0)
		return try_session();
	if (strncmp(what, "signal", strlen("signal")) == 0)
		return try_signal(what, (pid_t)atol(argument));
	if (strncmp(what, "own_child", strlen("own_child")) == 0)
		return try_own_child(what);
	if (strncmp(what, "share_", strlen("share_")) == 0)
		return try_share_of(what, (pid_t)atol(argument));
	if (strcmp(what, "pinned_thread") == 0)
		return try_pinned_thread();
	if (strcmp(what, "key") == 0)
		return try_key(argument);
	if (strcmp(what, "write_pages") == 0)
		return try_pages();
	if (strcmp(what, "pair_to") == 0)
		return try_pair_to(argument, SOCK_DGRAM);
	if (strcmp(what, "raw_pair_to") == 0)
		return try_pair_to(argument, SOCK_RAW);
	if (strcmp(what, "run") == 0)
		return try_run(argument);
	if (strcmp(what, "dlopen") == 0)
		return dlopen(argument, RTLD_NOW | RTLD_LOCAL) != NULL ? 0 : -ENOEXEC;
	if (strcmp(what, "flood") == 0) {
		char *count = strchr(argument, ' ');

		if (count == NULL)
			return -EINVAL;
		*count++ = '\0';
		return try_flood(req, argument, atol(count));
	}
	if (*argument != '\0')
		return try_file(what, argument);
	return try_call(what);
}

static void *
thread_main(void *argument)
{
	struct job *job = argument;

	job->result = try_call(job->what);
	return NULL;
}

static long
in_thread(const char *what)
{
	struct job job = {.what = what};
	pthread_t thread;
	int r = pthread_create(&thread, NULL, thread_main, &job);

	if (r != 0)
		return -r;
	(void)pthread_join(thread, NULL);
	return job.result;
}

static long
in_child(const char *what)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit((int)-try_call(what));
	return pid < 0 ? -errno : -wait_for(pid);
}

/* The program makes the call and exits with its errno. */
static long
in_program(const char *helper, const char *what)
{
	char *const arguments[] = {(char *)helper, (char *)what, NULL};
	pid_t pid;
	int r = posix_spawn(&pid, helper, NULL, NULL, arguments, environ);

	return r != 0 ? -r : -wait_for(pid);
}

static long
try_line(struct hd_request *req, char *line)
{
	if (strncmp(line, "thread ", 7) == 0)
		return in_thread(line + 7);
	if (strncmp(line, "child ", 6) == 0)
		return in_child(line + 6);
	if (strncmp(line, "program ", 8) == 0)
		return in_program(hd_option_string(hd_request_server(req), "helper"), line + 8);
	return try_words(req, line);
}

static int
on_server_start(struct hd_server *server)
{
	const char *what = hd_option_string(server, "at_start");

	if (*what != '\0') {
		long r = strcmp(what, "write_pages") == 0 ? try_pages() : try_call(what);

		if (r > 0)
			hd_server_log(server, HD_LOG_NOTICE, "at start %s: %ld", what, r);
		else
			hd_server_log(server, HD_LOG_NOTICE, "at start %s: %s", what,
				      r < 0 ? strerrorname_np((int)-r) : "0");
	}
	return 0;
}

int
handle(struct hd_request *req)
{
	char line[LINE];
	ssize_t n;
	int r = 0;

	while (r >= 0 && (n = hd_readline(req, line, sizeof(line))) > 0) {
		long answer;

		line[strcspn(line, "\n")] = '\0';
		answer = try_line(req, line);
		if (answer < 0)
			r = hd_printf(req, "%s\n", strerrorname_np((int)-answer));
		else
			r = hd_printf(req, "%ld\n", answer);
	}
	return r;
}
