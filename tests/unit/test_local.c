/*
 * test_local.c - Unix sockets with a path: what is in the way, who may connect, what is removed.
 */
#include "net/local.h"

#include <linux/capability.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "unit.h"

#define NOBODY 65534
#define DAEMON 1
#define KEEP ((uid_t)-1)

static const int types[] = {SOCK_STREAM, SOCK_DGRAM};

static struct sockaddr_un
address(const char *path)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};

	ck_assert_uint_lt(strlen(path), sizeof(un.sun_path));
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	return un;
}

static int
make(int type)
{
	int fd = socket(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	ck_assert_int_ge(fd, 0);
	return fd;
}

static int
bind_to(int fd, const char *path, mode_t mode, uid_t owner, gid_t group, const char **step)
{
	struct sockaddr_un un = address(path);

	return local_bind(fd, (struct sockaddr *)&un, sizeof(un), mode, owner, group, step);
}

/* A socket there that nobody has open. */
static void
leave_stale(const char *path, int type)
{
	struct sockaddr_un un = address(path);
	int fd = make(type);

	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	(void)close(fd);
}

static struct stat
look(const char *path)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st;
}

static bool
is_there(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static mode_t
umask_now(void)
{
	mode_t mask = umask(0);

	(void)umask(mask);
	return mask;
}

/* Runs as an ordinary user, who may write to the directory; returns its exit status. */
static int
as_user(uid_t uid, int (*run)(void))
{
	int status;
	pid_t pid;

	ck_assert_int_eq(chmod(unit_directory, 0777), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(setgid(uid) < 0 || setuid(uid) < 0 ? 99 : run());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static bool
is_root(void)
{
	if (geteuid() != 0)
		(void)fprintf(stderr, "skipped: needs root\n");
	return geteuid() == 0;
}

START_TEST(socket_is_bound_closed_and_then_admits)
{
	const char *path = unit_path("s"), *step;
	struct sockaddr_un un = address(path);
	int fd = make(SOCK_STREAM);

	(void)umask(0);
	ck_assert_int_eq(local_bind_closed(fd, (struct sockaddr *)&un, sizeof(un), KEEP, &step), 0);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK);
	ck_assert_uint_eq(umask_now(), 0);
	ck_assert_int_eq(local_admit(path, 0606, KEEP, KEEP, &step), 0);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0606);
	/* only what is closed is opened: anything else is not what was bound */
	ck_assert_int_eq(local_admit(path, 0666, KEEP, KEEP, &step), -ESTALE);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0606);
	(void)close(fd);
}
END_TEST

START_TEST(mode_owner_and_group_are_exact_whatever_the_umask)
{
	static const mode_t masks[] = {0, 022, 0777};
	const char *step;

	for (int i = 0; i < UNIT_COUNT(masks); i++) {
		const char *path = unit_path(i == 0 ? "a" : i == 1 ? "b" : "c");
		int fd = make(types[i % 2]);
		bool has_root = geteuid() == 0;

		(void)umask(masks[i]);
		ck_assert_int_eq(bind_to(fd, path, 0660, has_root ? NOBODY : KEEP,
					 has_root ? DAEMON : KEEP, &step),
				 0);
		ck_assert_uint_eq(umask_now(), masks[i]);
		ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0660);
		ck_assert_uint_eq(look(path).st_uid, has_root ? NOBODY : geteuid());
		ck_assert_uint_eq(look(path).st_gid, has_root ? DAEMON : getegid());
		(void)close(fd);
	}
}
END_TEST

START_TEST(stale_socket_is_replaced)
{
	const char *path = unit_path("s"), *step;
	int fd = make(types[_i % 2]);

	leave_stale(path, types[_i / 2]);
	ck_assert_int_eq(bind_to(fd, path, 0600, KEEP, KEEP, &step), 0);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0600);
	(void)close(fd);
}
END_TEST

START_TEST(live_socket_of_either_type_is_left_alone)
{
	const char *path = unit_path("s"), *step;
	int live = make(types[_i / 2]), fd = make(types[_i % 2]);
	struct stat before;

	(void)umask(077);
	/* a stream socket that does not listen yet is live too */
	ck_assert_int_eq(bind_to(live, path, 0666, KEEP, KEEP, &step), 0);
	before = look(path);
	ck_assert_int_eq(bind_to(fd, path, 0600, KEEP, KEEP, &step), -EADDRINUSE);
	ck_assert_str_eq(step, "bind");
	ck_assert_uint_eq(umask_now(), 077);
	if (types[_i / 2] == SOCK_STREAM) {
		ck_assert_int_eq(listen(live, 0), 0);
		ck_assert_int_eq(bind_to(fd, path, 0600, KEEP, KEEP, &step), -EADDRINUSE);
		/* and no connection was left there */
		ck_assert_int_lt(accept4(live, NULL, NULL, SOCK_CLOEXEC), 0);
		ck_assert_int_eq(errno, EAGAIN);
	}
	ck_assert_uint_eq(look(path).st_ino, before.st_ino);
	ck_assert_uint_eq(look(path).st_mode, before.st_mode);
	(void)close(live);
	(void)close(fd);
}
END_TEST

START_TEST(what_is_no_socket_is_never_removed)
{
	const char *file = unit_path("file"), *link = unit_path("link"), *stale = unit_path("s");
	const char *step;
	int fd = make(SOCK_STREAM);

	unit_write_file(file, "x", 1);
	leave_stale(stale, SOCK_STREAM);
	ck_assert_int_eq(symlink(stale, link), 0);
	ck_assert_int_eq(bind_to(fd, file, 0600, KEEP, KEEP, &step), -ENOTSOCK);
	ck_assert_str_eq(step, "bind");
	ck_assert_int_eq(bind_to(fd, link, 0600, KEEP, KEEP, &step), -ENOTSOCK);
	ck_assert_int_eq(bind_to(fd, unit_directory, 0600, KEEP, KEEP, &step), -ENOTSOCK);
	ck_assert(S_ISREG(look(file).st_mode) && S_ISLNK(look(link).st_mode) && is_there(stale));
	(void)close(fd);
}
END_TEST

START_TEST(path_that_cannot_be_is_refused_and_the_umask_is_back)
{
	struct sockaddr_storage addr = {.ss_family = AF_UNIX};
	struct sockaddr_un un = address(unit_path("missing/s"));
	socklen_t head = offsetof(struct sockaddr_un, sun_path);
	int fd = make(SOCK_STREAM), before = unit_count_fds();
	const char *step;

	(void)umask(027);
	ck_assert_int_eq(
		local_bind(fd, (struct sockaddr *)&un, sizeof(un), 0600, KEEP, KEEP, &step),
		-ENOENT);
	memset((char *)&addr + head, 'x', sizeof(addr) - head);
	ck_assert_int_eq(
		local_bind(fd, (struct sockaddr *)&addr, sizeof(un) + 1, 0600, KEEP, KEEP, &step),
		-ENAMETOOLONG);
	ck_assert_int_eq(local_bind(fd, (struct sockaddr *)&addr, head, 0600, KEEP, KEEP, &step),
			 -EINVAL);
	ck_assert_str_eq(step, "bind");
	ck_assert_uint_eq(umask_now(), 027);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

START_TEST(longest_path_needs_no_nul)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	char path[sizeof(un.sun_path) + 1] = "";
	int fd = make(SOCK_STREAM), again = make(SOCK_DGRAM);
	const char *step;

	(void)snprintf(path, sizeof(path), "%s/", unit_directory);
	memset(path + strlen(path), 'x', sizeof(path) - 1 - strlen(path));
	memcpy(un.sun_path, path, sizeof(un.sun_path));
	ck_assert_int_eq(
		local_bind(fd, (struct sockaddr *)&un, sizeof(un), 0640, KEEP, KEEP, &step), 0);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0640);
	(void)close(fd);
	/* and is found again */
	ck_assert_int_eq(
		local_bind(again, (struct sockaddr *)&un, sizeof(un), 0604, KEEP, KEEP, &step), 0);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0604);
	(void)close(again);
}
END_TEST

static int
user_meets_foreign_sockets(void)
{
	const char *step;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* of root, with root configured or not; the directory would let us remove it */
	if (bind_to(fd, unit_path("root"), 0600, KEEP, KEEP, &step) != -EPERM)
		return 1;
	if (bind_to(fd, unit_path("daemon"), 0600, KEEP, KEEP, &step) != -EPERM)
		return 2;
	if (!is_there(unit_path("root")) || !is_there(unit_path("daemon")))
		return 3;
	/* the configured owner's is replaced; that owner it cannot get */
	if (bind_to(fd, unit_path("daemon"), 0600, DAEMON, KEEP, &step) != -EPERM ||
	    strcmp(step, "change the owner of") != 0)
		return 4;
	/* what was bound on the way is gone */
	return is_there(unit_path("daemon")) ? 5 : 0;
}

START_TEST(somebody_else_s_stale_socket_is_replaced_by_root_alone)
{
	const char *step;
	int fd = make(SOCK_STREAM);

	if (!is_root())
		return;
	(void)umask(0);
	leave_stale(unit_path("root"), SOCK_STREAM);
	leave_stale(unit_path("daemon"), SOCK_STREAM);
	ck_assert_int_eq(chown(unit_path("daemon"), DAEMON, DAEMON), 0);
	ck_assert_int_eq(as_user(NOBODY, user_meets_foreign_sockets), 0);
	leave_stale(unit_path("daemon"), SOCK_STREAM);
	ck_assert_int_eq(chown(unit_path("daemon"), DAEMON, DAEMON), 0);
	ck_assert_int_eq(bind_to(fd, unit_path("daemon"), 0600, KEEP, KEEP, &step), 0);
	ck_assert_uint_eq(look(unit_path("daemon")).st_uid, 0);
	(void)close(fd);
}
END_TEST

static int
user_does_it_all(void)
{
	const char *path = unit_path("own"), *step;
	struct local_identity identity;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	leave_stale(path, SOCK_DGRAM);
	if (bind_to(fd, path, 0620, NOBODY, NOBODY, &step) != 0)
		return 1;
	if (look(path).st_mode != (S_IFSOCK | 0620) || local_identify(path, &identity) != 0)
		return 2;
	if (local_change(path, &identity, 0666, NOBODY, KEEP) != 0 ||
	    look(path).st_mode != (S_IFSOCK | 0666))
		return 3;
	/* it must not leave the socket half changed */
	if (local_change(path, &identity, 0600, DAEMON, KEEP) != -EPERM ||
	    look(path).st_mode != (S_IFSOCK | 0666))
		return 4;
	local_remove(path, &identity);
	return is_there(path) ? 5 : 0;
}

START_TEST(ordinary_user_needs_no_privileges_for_what_is_its_own)
{
	if (is_root())
		ck_assert_int_eq(as_user(NOBODY, user_does_it_all), 0);
}
END_TEST

/* Root as a service manager may leave it: of what is asked of it here, only giving files away and
 * becoming somebody else. */
static bool
drop_most_capabilities(void)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2] = {0};

	data[0].permitted = 1U << CAP_CHOWN | 1U << CAP_SETUID;
	data[0].effective = data[0].permitted;
	return syscall(SYS_capset, &header, data) == 0;
}

static int
bounded_root_does_it_all(void)
{
	const char *path = unit_path("given"), *stale = unit_path("stale"), *step;
	struct local_identity identity;
	int fd = make(SOCK_STREAM), next = make(SOCK_STREAM);

	leave_stale(stale, SOCK_STREAM);
	if (chmod(stale, 0600) < 0 || chown(stale, DAEMON, DAEMON) < 0 || !drop_most_capabilities())
		return 1;
	if (bind_to(fd, path, 0660, DAEMON, NOBODY, &step) != 0)
		return 2;
	if (look(path).st_mode != (S_IFSOCK | 0660) || look(path).st_uid != DAEMON ||
	    look(path).st_gid != NOBODY || local_identify(path, &identity) != 0)
		return 3;
	if (local_change(path, &identity, 0606, NOBODY, DAEMON) != 0 ||
	    look(path).st_mode != (S_IFSOCK | 0606) || look(path).st_uid != NOBODY ||
	    look(path).st_gid != DAEMON)
		return 4;
	if (local_change(path, &identity, 0600, KEEP, KEEP) != 0 || look(path).st_uid != NOBODY ||
	    look(path).st_mode != (S_IFSOCK | 0600))
		return 5;
	/* live, though its mode lets nobody but its owner ask */
	if (bind_to(next, path, 0600, KEEP, KEEP, &step) != -EADDRINUSE)
		return 6;
	if (bind_to(next, stale, 0600, KEEP, KEEP, &step) != 0 || look(stale).st_uid != 0)
		return 7;
	return prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 1 ? 0 : 8;
}

START_TEST(root_needs_few_capabilities)
{
	if (is_root())
		ck_assert_int_eq(as_user(0, bounded_root_does_it_all), 0);
}
END_TEST

START_TEST(only_the_very_socket_is_removed_or_changed)
{
	const char *path = unit_path("s"), *step;
	struct local_identity identity, other;
	int fd = make(SOCK_STREAM), next = make(SOCK_STREAM);

	ck_assert_int_eq(bind_to(fd, path, 0600, KEEP, KEEP, &step), 0);
	ck_assert_int_eq(local_identify(path, &identity), 0);
	/* somebody took the name while we still have ours open */
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(local_identify(path, &other), -ENOENT);
	ck_assert_int_eq(local_change(path, &identity, 0666, KEEP, KEEP), -ENOENT);
	local_remove(path, &identity);
	ck_assert_int_eq(bind_to(next, path, 0600, KEEP, KEEP, &step), 0);
	local_remove(path, &identity);
	ck_assert(is_there(path));
	ck_assert_int_eq(local_change(path, &identity, 0666, KEEP, KEEP), -ESTALE);
	ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | 0600);
	ck_assert_int_eq(local_identify(path, &other), 0);
	local_remove(path, &other);
	ck_assert(!is_there(path));
	unit_write_file(path, "x", 1);
	ck_assert_int_eq(local_identify(path, &other), -ENOTSOCK);
	ck_assert_int_eq(local_change(path, &identity, 0666, KEEP, KEEP), -ENOTSOCK);
	local_remove(path, &identity);
	ck_assert(is_there(path));
	(void)close(fd);
	(void)close(next);
}
END_TEST

START_TEST(kept_socket_gets_another_mode_and_owner)
{
	static const mode_t modes[] = {0666, 0600, 0060, 0606, 0};
	const char *path = unit_path("s"), *step;
	struct local_identity identity;
	int fd = make(SOCK_DGRAM), before = unit_count_fds();

	ck_assert_int_eq(bind_to(fd, path, 0660, KEEP, KEEP, &step), 0);
	ck_assert_int_eq(local_identify(path, &identity), 0);
	for (int i = 0; i < UNIT_COUNT(modes); i++) {
		uid_t owner = geteuid() != 0 ? KEEP : i % 2 == 0 ? NOBODY : DAEMON;

		ck_assert_int_eq(local_change(path, &identity, modes[i], owner, owner), 0);
		ck_assert_uint_eq(look(path).st_mode, S_IFSOCK | modes[i]);
		if (owner != KEEP) {
			ck_assert_uint_eq(look(path).st_uid, owner);
			ck_assert_uint_eq(look(path).st_gid, owner);
		}
	}
	ck_assert_int_eq(unit_count_fds(), before);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("local");

	tcase_add_checked_fixture(cases, unit_make_directory, unit_remove_directory);
	tcase_add_test(cases, socket_is_bound_closed_and_then_admits);
	tcase_add_test(cases, mode_owner_and_group_are_exact_whatever_the_umask);
	tcase_add_loop_test(cases, stale_socket_is_replaced, 0, 4);
	tcase_add_loop_test(cases, live_socket_of_either_type_is_left_alone, 0, 4);
	tcase_add_test(cases, what_is_no_socket_is_never_removed);
	tcase_add_test(cases, path_that_cannot_be_is_refused_and_the_umask_is_back);
	tcase_add_test(cases, longest_path_needs_no_nul);
	tcase_add_test(cases, somebody_else_s_stale_socket_is_replaced_by_root_alone);
	tcase_add_test(cases, ordinary_user_needs_no_privileges_for_what_is_its_own);
	tcase_add_test(cases, root_needs_few_capabilities);
	tcase_add_test(cases, only_the_very_socket_is_removed_or_changed);
	tcase_add_test(cases, kept_socket_gets_another_mode_and_owner);
	return unit_run("local", cases);
}
