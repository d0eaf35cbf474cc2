/*
 * sandbox_files.c - Landlock: the files and directories that there are for a handler, and, without
 * network, no TCP; and a wall towards the user's other processes. By system calls: the C library
 * knows none of this.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ipc/protocol.h"
#include "worker/sandbox.h"

/* The kernel's interface, whatever headers this is built with. */
#define FILES_VERSION 1U  /* LANDLOCK_CREATE_RULESET_VERSION */
#define FILES_RULE_PATH 1 /* LANDLOCK_RULE_PATH_BENEATH */

#define FILES_EXECUTE (UINT64_C(1) << 0)
#define FILES_WRITE (UINT64_C(1) << 1)
#define FILES_READ (UINT64_C(1) << 2)
#define FILES_LIST (UINT64_C(1) << 3)
#define FILES_MAKE_CHARACTER (UINT64_C(1) << 6)
#define FILES_MAKE_BLOCK (UINT64_C(1) << 11)
#define FILES_REFER (UINT64_C(1) << 13)
#define FILES_TRUNCATE (UINT64_C(1) << 14)
#define FILES_IOCTL (UINT64_C(1) << 15)
#define FILES_FIRST (FILES_REFER - 1) /* all that the first version has */
#define FILES_REFER_VERSION 2

#define FILES_BIND_TCP (UINT64_C(1) << 0)
#define FILES_CONNECT_TCP (UINT64_C(1) << 1)
#define FILES_NETWORK_VERSION 4

#define FILES_SCOPE_SIGNAL (UINT64_C(1) << 1)
#define FILES_SCOPE_VERSION 6

struct files_ruleset {
	uint64_t files;
	uint64_t network;
	uint64_t scoped;
};

struct files_rule {
	uint64_t allowed;
	int32_t fd;
} __attribute__((packed));

/* What is made of a path. */
#define FILES_OF_LIBRARY (FILES_READ | FILES_LIST)
#define FILES_RO (FILES_READ | FILES_LIST | FILES_EXECUTE)
/* what was written is not executed, and devices are root's to make */
#define FILES_NOT_RW (FILES_EXECUTE | FILES_MAKE_CHARACTER | FILES_MAKE_BLOCK)
/* of what is no directory */
#define FILES_OF_FILE (FILES_EXECUTE | FILES_WRITE | FILES_READ | FILES_TRUNCATE | FILES_IOCTL)

/* What the C library, the dynamic linker and the worker itself need, where it is there. */
static const struct {
	const char *path;
	uint64_t allowed;
} files_needed[] = {
	{"/usr", FILES_OF_LIBRARY},
	{"/lib", FILES_OF_LIBRARY},
	{"/lib32", FILES_OF_LIBRARY},
	{"/lib64", FILES_OF_LIBRARY},
	{"/etc/ld.so.cache", FILES_READ},
	{"/etc/ld.so.preload", FILES_READ},
	{"/etc/localtime", FILES_READ},
	{"/etc/timezone", FILES_READ},
	{"/etc/nsswitch.conf", FILES_READ},
	{"/etc/passwd", FILES_READ},
	{"/etc/group", FILES_READ},
	{"/etc/hosts", FILES_READ},
	{"/etc/host.conf", FILES_READ},
	{"/etc/gai.conf", FILES_READ},
	{"/etc/resolv.conf", FILES_READ},
	{"/etc/services", FILES_READ},
	{"/etc/protocols", FILES_READ},
	{"/dev/null", FILES_READ | FILES_WRITE},
	{"/dev/zero", FILES_READ | FILES_WRITE},
	{"/dev/full", FILES_READ | FILES_WRITE},
	{"/dev/random", FILES_READ},
	{"/dev/urandom", FILES_READ},
	{"/proc", FILES_OF_LIBRARY},
	{"/sys/devices/system/cpu", FILES_OF_LIBRARY},
};

/* The version of the kernel's interface; a negative errno where it has none. */
static int
files_version(void)
{
	long version = syscall(SYS_landlock_create_ruleset, NULL, 0, FILES_VERSION);

	return version < 0 ? -errno : (int)version;
}

static uint64_t
files_handled(int version)
{
	uint64_t handled = FILES_FIRST;

	if (version >= 2)
		handled |= FILES_REFER;
	if (version >= 3)
		handled |= FILES_TRUNCATE;
	if (version >= 5)
		handled |= FILES_IOCTL;
	return handled;
}

static int
files_allow_fd(int ruleset_fd, int fd, uint64_t allowed)
{
	struct files_rule rule = {.allowed = allowed, .fd = fd};
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		rule.allowed &= FILES_OF_FILE;
	if (rule.allowed == 0)
		return 0;
	return syscall(SYS_landlock_add_rule, ruleset_fd, FILES_RULE_PATH, &rule, 0) < 0 ? -errno
											 : 0;
}

static int
files_allow_path(int ruleset_fd, const char *path, uint64_t allowed)
{
	CLEANUP_CLOSE int fd = open(path, O_PATH | O_CLOEXEC);

	return fd < 0 ? -errno : files_allow_fd(ruleset_fd, fd, allowed);
}

/* What is not there is not needed: in a root of its own there may be less. */
static bool
files_is_absent(int error)
{
	return error == -ENOENT || error == -EACCES || error == -ENOTDIR;
}

/* Executed by the kernel with every program that is listed. */
static int
files_allow_linker(int ruleset_fd)
{
	unsigned long base = getauxval(AT_BASE);
	const void *at;
	Dl_info info;

	_Static_assert(sizeof(at) == sizeof(base), "an entry of the vector is an address");
	memcpy(&at, &base, sizeof(at));
	if (dladdr(at, &info) == 0 || info.dli_fname == NULL || info.dli_fname[0] != '/')
		return 0;
	return files_allow_path(ruleset_fd, info.dli_fname, FILES_READ | FILES_EXECUTE);
}

static int
files_allow_needed(int ruleset_fd)
{
	/* loaded through its descriptor, which is opened anew */
	int r = files_allow_fd(ruleset_fd, WORKER_FD_HANDLER, FILES_READ | FILES_EXECUTE);

	if (r >= 0)
		r = files_allow_linker(ruleset_fd);
	if (files_is_absent(r))
		r = 0;
	for (size_t i = 0; i < COUNT_OF(files_needed) && r >= 0; i++) {
		r = files_allow_path(ruleset_fd, files_needed[i].path, files_needed[i].allowed);
		if (files_is_absent(r))
			r = 0;
	}
	return r;
}

/* All that cannot be had are told, not the first one only. */
static bool
files_allow_listed(const struct worker_settings *settings, int ruleset_fd, uint64_t handled,
		   struct report *report)
{
	bool is_good = true;

	for (uint32_t i = 0; i < settings->path_count; i++) {
		const char *path = settings->paths[i] + strlen("ro:");
		bool is_writable = strncmp(settings->paths[i], "rw:", strlen("rw:")) == 0;
		int r = files_allow_path(ruleset_fd, path,
					 handled & (is_writable ? ~FILES_NOT_RW : FILES_RO));

		if (r >= 0)
			continue;
		is_good = false;
		report_error(report, settings->sandbox_file, settings->sandbox_line,
			     "sandbox.filesystem of listener '%s': %s cannot be reached by its "
			     "worker (uid %u): %s",
			     settings->listener, path, (unsigned)geteuid(), strerror(-r));
	}
	return is_good;
}

static const char *
files_advise(int error)
{
	if (error == -EPERM)
		return "; in a systemd unit, SystemCallFilter= must have "
		       "landlock_create_ruleset, landlock_add_rule and landlock_restrict_self";
	if (error == -E2BIG)
		return "; too many sandboxes are around this one";
	return "";
}

static bool
files_fail(const struct worker_settings *settings, int error, struct report *report)
{
	if (error == -ENOSYS || error == -EOPNOTSUPP)
		report_error(report, settings->sandbox_file, settings->sandbox_line,
			     "sandbox.filesystem of listener '%s' needs Landlock, which this "
			     "kernel does not have (Linux 5.13 and later do, unless lsm= on the "
			     "kernel's command line leaves it out)",
			     settings->listener);
	else
		report_error(report, settings->sandbox_file, settings->sandbox_line,
			     "listener '%s' cannot enter its sandbox (Landlock): %s%s",
			     settings->listener, strerror(-error), files_advise(error));
	return false;
}

/* The user's other processes, which may be the supervisor and other listeners' workers: below /proc
 * there is their memory, and directories that lead out of a root of its own. Who is in any domain
 * of Landlock's reaches none outside of it, and what it starts is within. root leaves anyway. */
static bool
files_has_wall(const struct worker_settings *settings)
{
	return (settings->root_directory != NULL || settings->filter_count > 0) && geteuid() != 0;
}

/* What is asked of the kernel. Returns the size of that, as older ones know less. */
static size_t
files_choose(const struct worker_settings *settings, int version, struct files_ruleset *ret)
{
	bool has_wall = files_has_wall(settings);

	*ret = (struct files_ruleset){0};
	if (settings->path_count > 0)
		ret->files = files_handled(version);
	else if (has_wall && version >= FILES_REFER_VERSION)
		/* all files are allowed. The first version would not let them be moved between
		 * directories */
		ret->files = FILES_REFER;
	/* without it, the filter has no connect(2) at all */
	if (!settings->has_network && version >= FILES_NETWORK_VERSION)
		ret->network = FILES_BIND_TCP | FILES_CONNECT_TCP;
	if (has_wall && version >= FILES_SCOPE_VERSION)
		ret->scoped = FILES_SCOPE_SIGNAL;
	if (ret->scoped != 0)
		return sizeof(*ret);
	return ret->network != 0 ? offsetof(struct files_ruleset, scoped)
				 : offsetof(struct files_ruleset, network);
}

bool
sandbox_confine(const struct worker_settings *settings, struct report *report)
{
	int version = files_version();
	struct files_ruleset ruleset;
	size_t size = files_choose(settings, version, &ruleset);
	CLEANUP_CLOSE int fd = -1;
	int r = 0;

	if (settings->path_count > 0 && version < 0)
		return files_fail(settings, version, report);
	if (ruleset.files == 0 && ruleset.network == 0 && ruleset.scoped == 0)
		return true;
	fd = (int)syscall(SYS_landlock_create_ruleset, &ruleset, size, 0);
	if (fd < 0)
		return files_fail(settings, -errno, report);
	if (settings->path_count > 0) {
		r = files_allow_needed(fd);
		if (r >= 0 && !files_allow_listed(settings, fd, ruleset.files, report))
			return false;
	} else if (ruleset.files != 0) {
		r = files_allow_path(fd, "/", ruleset.files);
	}
	if (r >= 0 && syscall(SYS_landlock_restrict_self, fd, 0) < 0)
		r = -errno;
	return r >= 0 || files_fail(settings, r, report);
}
