/*
 * local.c - Unix sockets with a path.
 *
 * Who may connect is decided by the inode's mode, and bind makes the inode: a umask of 0777 makes
 * it closed. Everything else goes through a descriptor of the inode, not through the path, which
 * may have become something else.
 */
#include "net/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"

/* sun_path needs no NUL at its end, system calls on paths do */
#define LOCAL_PATH_SIZE (sizeof(((struct sockaddr_un *)NULL)->sun_path) + 1)
#define LOCAL_MODE_BITS 07777

bool
local_is_path(const struct sockaddr *addr, socklen_t length)
{
	const struct sockaddr_un *un = (const struct sockaddr_un *)(const void *)addr;

	return length > offsetof(struct sockaddr_un, sun_path) && addr->sa_family == AF_UNIX &&
	       un->sun_path[0] != '\0';
}

static void
local_copy_path(const struct sockaddr *addr, socklen_t length, char path[LOCAL_PATH_SIZE])
{
	const char *from = (const char *)addr + offsetof(struct sockaddr_un, sun_path);
	size_t size = length - offsetof(struct sockaddr_un, sun_path);

	memcpy(path, from, size);
	path[size] = '\0';
}

/* A descriptor of the socket at `path` that is good for looking and changing only. A symbolic link
 * is not followed, and not a socket. */
static int
local_open(const char *path, struct stat *ret)
{
	CLEANUP_CLOSE int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);

	*ret = (struct stat){0};
	if (fd < 0 || fstat(fd, ret) < 0)
		return -errno;
	return S_ISSOCK(ret->st_mode) ? take_fd(&fd) : -ENOTSOCK;
}

static int
local_set_mode(int fd, mode_t mode)
{
	char path[32];

	/* fchmod refuses descriptors of this kind */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return chmod(path, mode) < 0 ? -errno : 0;
}

static int
local_set_owner(int fd, uid_t owner, gid_t group)
{
	return fchownat(fd, "", owner, group, AT_EMPTY_PATH) < 0 ? -errno : 0;
}

/*
 * Gives the socket, which is ours and looks like `st`, its mode, group and owner. The mode may be
 * changed by the owner only, so the owner is last: root needs no capability but CAP_CHOWN. The
 * group is first, so that no other one can ever do what the mode lets its group do.
 */
static int
local_give(int fd, const struct stat *st, mode_t mode, uid_t owner, gid_t group,
	   const char **ret_step)
{
	int r = 0;

	*ret_step = "change the owner of";
	if (group != (gid_t)-1 && group != st->st_gid)
		r = local_set_owner(fd, (uid_t)-1, group);
	if (r >= 0 && mode != (st->st_mode & LOCAL_MODE_BITS)) {
		*ret_step = "change the mode of";
		r = local_set_mode(fd, mode);
	}
	if (r >= 0 && owner != (uid_t)-1 && owner != st->st_uid) {
		*ret_step = "change the owner of";
		r = local_set_owner(fd, owner, (gid_t)-1);
	}
	return r;
}

static bool
local_is_same(const struct stat *st, const struct local_identity *identity)
{
	return st->st_dev == identity->device && st->st_ino == identity->inode;
}

/* Connects as `uid`, for a root that lacks the capability to pass over the mode of what `uid` owns.
 * Returns 0 or a negative errno. */
static int
local_connect_as(int fd, const struct sockaddr *addr, socklen_t length, uid_t uid)
{
	int is_dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
	int before = setfsuid(uid);
	int r = connect(fd, addr, length) < 0 ? -errno : 0;

	(void)setfsuid((uid_t)before);
	/* the kernel takes the change for a program that may have learned what it must not show */
	if (is_dumpable == 1)
		(void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
	return r;
}

/*
 * Whether no process has the socket at `path`, which `owner` owns, open: 1 or 0, or a negative
 * errno. A datagram socket asks, because it can ask a stream socket too and leaves no connection
 * there: that one answers EPROTOTYPE, even between its bind and its listen, where a stream socket
 * would be refused.
 */
static int
local_is_stale(const struct sockaddr *addr, socklen_t length, uid_t owner)
{
	CLEANUP_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	int r;

	if (fd < 0)
		return -errno;
	r = connect(fd, addr, length) < 0 ? -errno : 0;
	if (r == -EACCES && geteuid() == 0)
		r = local_connect_as(fd, addr, length, owner);
	return r == -ECONNREFUSED;
}

/* Removes a stale socket. 0 if there is nothing any more, or why that name cannot be had. */
static int
local_make_way(const struct sockaddr *addr, socklen_t length, const char *path, uid_t owner,
	       const char **ret_step)
{
	struct stat st, again;
	/* while it is open, nobody else's new socket gets the same inode number */
	CLEANUP_CLOSE int inode = local_open(path, &st);
	int r;

	if (inode == -ENOENT)
		return 0;
	if (inode < 0)
		return inode;
	if (geteuid() != 0 && st.st_uid != geteuid() && st.st_uid != owner)
		return -EPERM;
	r = local_is_stale(addr, length, st.st_uid);
	if (r <= 0)
		return r < 0 ? r : -EADDRINUSE;
	if (lstat(path, &again) < 0)
		return errno == ENOENT ? 0 : -errno;
	/* somebody else had the same idea at the same time */
	if (again.st_dev != st.st_dev || again.st_ino != st.st_ino)
		return -EADDRINUSE;
	*ret_step = "replace the stale socket";
	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	*ret_step = "bind";
	return 0;
}

static int
local_bind_masked(int fd, const struct sockaddr *addr, socklen_t length)
{
	mode_t before = umask(0777);
	int r = bind(fd, addr, length) < 0 ? -errno : 0;

	(void)umask(before);
	return r;
}

int
local_bind_closed(int fd, const struct sockaddr *addr, socklen_t length, uid_t owner,
		  const char **ret_step)
{
	char path[LOCAL_PATH_SIZE];
	int r;

	*ret_step = "bind";
	if (!local_is_path(addr, length))
		return -EINVAL;
	if (length > sizeof(struct sockaddr_un))
		return -ENAMETOOLONG;
	local_copy_path(addr, length, path);
	r = local_bind_masked(fd, addr, length);
	if (r != -EADDRINUSE)
		return r;
	r = local_make_way(addr, length, path, owner, ret_step);
	return r < 0 ? r : local_bind_masked(fd, addr, length);
}

int
local_admit(const char *path, mode_t mode, uid_t owner, gid_t group, const char **ret_step)
{
	struct stat st;
	CLEANUP_CLOSE int inode = local_open(path, &st);

	*ret_step = "find what was bound at";
	if (inode < 0)
		return inode;
	/* who may write to the directory can put something else there, but not one that looks so */
	if (st.st_uid != geteuid() || st.st_nlink != 1 || (st.st_mode & LOCAL_MODE_BITS) != 0)
		return -ESTALE;
	return local_give(inode, &st, mode & LOCAL_MODE_BITS, owner, group, ret_step);
}

int
local_bind(int fd, const struct sockaddr *addr, socklen_t length, mode_t mode, uid_t owner,
	   gid_t group, const char **ret_step)
{
	struct local_identity identity = {0};
	char path[LOCAL_PATH_SIZE];
	int r = local_bind_closed(fd, addr, length, owner, ret_step);

	if (r < 0)
		return r;
	local_copy_path(addr, length, path);
	r = local_identify(path, &identity);
	if (r < 0) {
		*ret_step = "find what was bound at";
		return r;
	}
	r = local_admit(path, mode, owner, group, ret_step);
	/* what is somebody else's by now stays */
	if (r < 0 && r != -ESTALE)
		local_remove(path, &identity);
	return r;
}

int
local_identify(const char *path, struct local_identity *ret)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode))
		return -ENOTSOCK;
	*ret = (struct local_identity){.device = st.st_dev, .inode = st.st_ino};
	return 0;
}

void
local_remove(const char *path, const struct local_identity *identity)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode) && local_is_same(&st, identity))
		(void)unlink(path);
}

int
local_change(const char *path, const struct local_identity *identity, mode_t mode, uid_t owner,
	     gid_t group)
{
	struct stat before = {0}, st;
	CLEANUP_CLOSE int inode = local_open(path, &before);
	mode_t old = before.st_mode & LOCAL_MODE_BITS;
	const char *step;
	int r = 0;

	if (inode < 0)
		return inode;
	if (!local_is_same(&before, identity))
		return -ESTALE;
	mode &= LOCAL_MODE_BITS;
	st = before;
	if (owner == (uid_t)-1)
		owner = before.st_uid;
	if (mode != old && before.st_uid != geteuid()) {
		r = local_set_owner(inode, geteuid(), (gid_t)-1);
		if (r < 0)
			return r;
		st.st_uid = geteuid();
	}
	/* what is left while the owner changes, the old ones had and the new ones may have */
	if (old != (old & mode)) {
		r = local_set_mode(inode, old & mode);
		st.st_mode = (st.st_mode & ~(mode_t)LOCAL_MODE_BITS) | (old & mode);
	}
	if (r >= 0)
		r = local_give(inode, &st, mode, owner, group, &step);
	if (r >= 0)
		return 0;
	/* back to what was; there is nothing more to do if that fails too */
	if (local_set_owner(inode, st.st_uid, before.st_gid) == 0 &&
	    local_set_mode(inode, old) == 0)
		(void)local_set_owner(inode, before.st_uid, (gid_t)-1);
	return r;
}
