/*
 * identity_root.c - a root of the worker's own: a mount namespace in which the root directory of
 * the listener is the root, and over it what loading a handler takes.
 *
 * Mounts are made from descriptors and put onto descriptors, which are found below the root without
 * following a link: whatever stands in it, nothing outside of it is touched. The namespace ends
 * with its processes, and its mounts with it; what stays is the mount points, empty.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/trusted.h"
#include "worker/identity.h"

#define ROOT_READ_ONLY (MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV)

/* What is bound, at the same place, where the machine has it. */
static const struct root_place {
	const char *path;
	uint64_t attributes;
	bool is_spared; /* what the root directory has there itself is left */
} root_places[] = {
	{"/usr", ROOT_READ_ONLY, false},
	{"/lib", ROOT_READ_ONLY, false},
	{"/lib32", ROOT_READ_ONLY, false},
	{"/lib64", ROOT_READ_ONLY, false},
	{"/libx32", ROOT_READ_ONLY, false},
	{"/bin", ROOT_READ_ONLY, false},
	{"/sbin", ROOT_READ_ONLY, false},
	/* which libraries there are, and the links among them */
	{"/etc/ld.so.cache", ROOT_READ_ONLY, false},
	{"/etc/ld.so.conf", ROOT_READ_ONLY, false},
	{"/etc/ld.so.conf.d", ROOT_READ_ONLY, false},
	{"/etc/alternatives", ROOT_READ_ONLY, false},
	{"/etc/localtime", ROOT_READ_ONLY, true},
	{"/etc/locale.alias", ROOT_READ_ONLY, true},
	{"/proc", ROOT_READ_ONLY | MOUNT_ATTR_NOEXEC, false},
};

static const char *const root_devices[] = {"null", "zero", "full", "random", "urandom"};

/* One making of a root. */
struct root {
	const struct worker_settings *settings;
	struct identity_failure *failure;
	int fd; /* of the mount that becomes the root */
};

static const char *
root_name(const struct root *root)
{
	return root->settings->root_directory;
}

/* One component of a path, not followed if it is a link. Not openat2, which would take a whole
 * path: a unit with RestrictSUIDSGID= has none. */
static int
root_open_one(int directory_fd, const char *name)
{
	int fd;

	if (strcmp(name, "..") == 0)
		return -EINVAL;
	fd = openat(directory_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Makes a component of a path, unless something is there. */
static int
root_make_one(int directory_fd, const char *name, bool is_directory)
{
	int fd;

	if (is_directory)
		return mkdirat(directory_fd, name, 0755) < 0 && errno != EEXIST ? -errno : 0;
	fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	return close(fd) < 0 ? -errno : 0;
}

/* A mount point at an absolute path, made with all above it where it is missing. */
static int
root_make_point(const struct root *root, int directory_fd, const char *path, bool is_directory)
{
	CLEANUP_FREE char *rest_of = memory_text(path + 1);
	CLEANUP_CLOSE int fd = fcntl(directory_fd, F_DUPFD_CLOEXEC, 0);
	char *rest = rest_of, *name;
	struct stat st;

	identity_name_step(root->failure, "make the mount point '%s' in root_directory '%s'", path,
			   root_name(root));
	while (fd >= 0 && (name = strsep(&rest, "/")) != NULL) {
		int next_fd, r;

		next_fd = root_open_one(fd, name);
		if (next_fd == -ENOENT) {
			r = root_make_one(fd, name, rest != NULL || is_directory);
			if (r < 0)
				return r;
			next_fd = root_open_one(fd, name);
		}
		if (next_fd < 0)
			return next_fd;
		(void)close(fd);
		fd = next_fd;
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	return S_ISLNK(st.st_mode) ? -ELOOP : take_fd(&fd);
}

/* A copy of what is mounted at a path, and below it, with these attributes. */
static int
root_copy_mount(const char *path, uint64_t attributes)
{
	struct mount_attr attr = {.attr_set = attributes};
	CLEANUP_CLOSE int fd =
		open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

	if (fd < 0 || mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return take_fd(&fd);
}

static int
root_attach(int mount_fd, int point_fd)
{
	return move_mount(mount_fd, "", point_fd, "",
			  MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0
		       ? -errno
		       : 0;
}

/* Binds the machine's path at a path below a directory of the new root. */
static int
root_bind(const struct root *root, int directory_fd, const char *path, const char *inside,
	  uint64_t attributes)
{
	CLEANUP_CLOSE int point_fd = -1;
	CLEANUP_CLOSE int mount_fd = -1;
	struct stat source, point;

	if (stat(path, &source) < 0)
		return errno == ENOENT ? 0 : -errno;
	point_fd = root_make_point(root, directory_fd, inside, S_ISDIR(source.st_mode));
	if (point_fd < 0)
		return point_fd;
	identity_name_step(root->failure, "bind '%s' into root_directory '%s'", path,
			   root_name(root));
	if (fstat(point_fd, &point) < 0)
		return -errno;
	if (S_ISDIR(source.st_mode) != S_ISDIR(point.st_mode))
		return S_ISDIR(source.st_mode) ? -ENOTDIR : -EISDIR;
	mount_fd = root_copy_mount(path, attributes);
	return mount_fd < 0 ? mount_fd : root_attach(mount_fd, point_fd);
}

/* Whether the root directory has something there that is no empty file: a mount point of ours is
 * one. A link on the way counts as something. */
static bool
root_has(const struct root *root, const char *path)
{
	CLEANUP_FREE char *rest_of = memory_text(path + 1);
	CLEANUP_CLOSE int fd = fcntl(root->fd, F_DUPFD_CLOEXEC, 0);
	char *rest = rest_of, *name;
	struct stat st;

	while (fd >= 0 && (name = strsep(&rest, "/")) != NULL) {
		int next_fd = root_open_one(fd, name);

		if (next_fd < 0)
			return next_fd != -ENOENT;
		(void)close(fd);
		fd = next_fd;
	}
	return fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > 0;
}

/* /lib is a link to usr/lib, where the machine has it so; and then it is one inside. A link that is
 * there is left: it leads to nowhere outside. */
static int
root_link(const struct root *root, const char *path, bool *ret_is_done)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	*ret_is_done = false;
	if (strchr(path + 1, '/') != NULL)
		return 0;
	if (fstatat(root->fd, path + 1, &st, AT_SYMLINK_NOFOLLOW) == 0) {
		*ret_is_done = S_ISLNK(st.st_mode);
		return 0;
	}
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0)
		return 0;
	target[n] = '\0';
	*ret_is_done = true;
	identity_name_step(root->failure, "make the link '%s' in root_directory '%s'", path,
			   root_name(root));
	/* another worker may be making the same root */
	return symlinkat(target, root->fd, path + 1) < 0 && errno != EEXIST ? -errno : 0;
}

static int
root_bind_places(const struct root *root)
{
	for (size_t i = 0; i < COUNT_OF(root_places); i++) {
		const struct root_place *place = &root_places[i];
		bool is_done = false;
		int r = 0;

		if (place->is_spared && root_has(root, place->path))
			continue;
		if (!place->is_spared)
			r = root_link(root, place->path, &is_done);
		if (r >= 0 && !is_done)
			r = root_bind(root, root->fd, place->path, place->path, place->attributes);
		if (r < 0)
			return r;
	}
	return 0;
}

/* A new, empty file system in memory; a descriptor. */
static int
root_make_tmpfs(const char *size, const char *mode, uint64_t attributes)
{
	CLEANUP_CLOSE int fs_fd = fsopen("tmpfs", FSOPEN_CLOEXEC);
	int fd;

	if (fs_fd < 0 || fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "handlerd", 0) < 0 ||
	    fsconfig(fs_fd, FSCONFIG_SET_STRING, "size", size, 0) < 0 ||
	    fsconfig(fs_fd, FSCONFIG_SET_STRING, "mode", mode, 0) < 0 ||
	    fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -errno;
	fd = fsmount(fs_fd, FSMOUNT_CLOEXEC, (unsigned)attributes);
	return fd < 0 ? -errno : fd;
}

/* Puts one at a place of a directory. Returns a descriptor of it. */
static int
root_mount_tmpfs(const struct root *root, int directory_fd, const char *path, const char *size,
		 const char *mode, uint64_t attributes)
{
	CLEANUP_CLOSE int point_fd = root_make_point(root, directory_fd, path, true);
	CLEANUP_CLOSE int mount_fd = -1;
	int r;

	if (point_fd < 0)
		return point_fd;
	identity_name_step(root->failure, "mount '%s' in root_directory '%s'", path,
			   root_name(root));
	mount_fd = root_make_tmpfs(size, mode, attributes);
	if (mount_fd < 0)
		return mount_fd;
	r = root_attach(mount_fd, point_fd);
	return r < 0 ? r : take_fd(&mount_fd);
}

/* A /dev with what every program expects and nothing of the machine. */
static int
root_make_devices(const struct root *root)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{"fd", "/proc/self/fd"},
		{"stdin", "fd/0"},
		{"stdout", "fd/1"},
		{"stderr", "fd/2"},
	};
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY};
	CLEANUP_CLOSE int fd = root_mount_tmpfs(root, root->fd, "/dev", "64k", "0755",
						MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	CLEANUP_CLOSE int shm_fd = -1;

	if (fd < 0)
		return fd;
	for (size_t i = 0; i < COUNT_OF(root_devices); i++) {
		char path[32];
		int r;

		(void)snprintf(path, sizeof(path), "/dev/%s", root_devices[i]);
		r = root_bind(root, fd, path, path + strlen("/dev"),
			      MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
		if (r < 0)
			return r;
	}
	shm_fd = root_mount_tmpfs(root, fd, "/shm", "10%", "1777",
				  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (shm_fd < 0)
		return shm_fd;
	identity_name_step(root->failure, "make '/dev' in root_directory '%s'", root_name(root));
	for (size_t i = 0; i < COUNT_OF(links); i++) {
		if (symlinkat(links[i].target, fd, links[i].name) < 0)
			return -errno;
	}
	return mount_setattr(fd, "", AT_EMPTY_PATH, &attr, sizeof(attr)) < 0 ? -errno : 0;
}

static bool
root_is_below(const char *path, const char *directory)
{
	size_t length = strlen(directory);

	return strncmp(path, directory, length) == 0 &&
	       (path[length] == '/' || path[length] == '\0');
}

/* The handler itself is loaded through its descriptor. Its directory is there for what it finds
 * beside itself: libraries that it was linked with a path to, data. */
static int
root_bind_handler(const struct root *root)
{
	CLEANUP_FREE char *directory = memory_text(root->settings->handler_path);
	char *slash = strrchr(directory, '/');

	if (slash == NULL || slash == directory)
		return 0;
	*slash = '\0';
	if (root_is_below(directory, root_name(root)))
		return 0;
	for (size_t i = 0; i < COUNT_OF(root_places); i++) {
		if (root_is_below(directory, root_places[i].path))
			return 0;
	}
	return root_bind(root, root->fd, directory, directory, ROOT_READ_ONLY);
}

/* The mount of the root directory, in a namespace of our own; what is mounted in it comes along. */
static int
root_begin(struct root *root)
{
	struct trusted_owner owner = {
		.uid = root->settings->supervisor_uid,
		.also = (uid_t)-1,
		.is_strict = true,
	};
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	CLEANUP_FREE char *reason = NULL;
	CLEANUP_CLOSE int fd = -1;

	identity_name_step(root->failure, "make a mount namespace for root_directory '%s'",
			   root_name(root));
	/* what is mounted here is not seen elsewhere; what is unmounted elsewhere goes here, too */
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_SLAVE | MS_REC, NULL) < 0)
		return -errno;
	/* of the new namespace: what is opened before stays in the old one */
	fd = trusted_open(root_name(root), TRUSTED_DIRECTORY, &owner, &reason, NULL);
	if (fd < 0) {
		identity_name_step(root->failure, "take root_directory '%s' (%s)", root_name(root),
				   reason);
		return fd;
	}
	identity_name_step(root->failure, "mount root_directory '%s'", root_name(root));
	root->fd = open_tree(fd, "",
			     OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE);
	if (root->fd < 0 ||
	    mount_setattr(root->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof(attr)) < 0)
		return -errno;
	return root_attach(root->fd, fd);
}

/* The old root is left for good: nothing that this process has open is in it but files. */
static int
root_enter(const struct root *root)
{
	struct stat wanted, have;

	identity_name_step(root->failure, "make root_directory '%s' the root", root_name(root));
	if (fchdir(root->fd) < 0 || fstat(root->fd, &wanted) < 0 ||
	    syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 ||
	    chdir("/") < 0 || stat("/", &have) < 0)
		return -errno;
	return have.st_dev == wanted.st_dev && have.st_ino == wanted.st_ino ? 0 : -EPERM;
}

static int
root_fill(const struct root *root)
{
	int r = root_bind_places(root), tmp_fd;

	if (r >= 0)
		r = root_make_devices(root);
	if (r < 0)
		return r;
	tmp_fd = root_mount_tmpfs(root, root->fd, "/tmp", "10%", "1777",
				  MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (tmp_fd < 0)
		return tmp_fd;
	(void)close(tmp_fd);
	/* after /tmp, below which it may be */
	return root_bind_handler(root);
}

int
identity_set_root(const struct worker_settings *settings, struct identity_failure *failure)
{
	struct root root = {.settings = settings, .failure = failure, .fd = -1};
	int r;

	if (settings->root_directory == NULL)
		return 0;
	/* for mount points, which others must be able to go through; the listener's comes later */
	(void)umask(0022);
	r = root_begin(&root);
	if (r >= 0)
		r = root_fill(&root);
	if (r >= 0)
		r = root_enter(&root);
	if (root.fd >= 0)
		(void)close(root.fd);
	return r;
}
