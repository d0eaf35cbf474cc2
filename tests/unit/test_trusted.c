/*
 * test_trusted.c - who can put something else where a file is opened? As root and, in a child that
 * has dropped to it, as an ordinary user.
 */
#include "base/trusted.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "unit.h"

#define ORDINARY 65533 /* an account that owns nothing */
#define STRANGER 65532

static const struct trusted_owner strict = {.uid = 0, .also = (uid_t)-1, .is_strict = true};

static void
setup(void)
{
	unit_make_directory();
	if (geteuid() == 0)
		ck_assert_int_eq(chmod(unit_directory, 0755), 0);
	ck_assert_int_eq(mkdir(unit_path("d"), 0755), 0);
	unit_write_file(unit_path("d/f"), "x", 1);
}

/* Opens and closes; the reason and the warning go where they are wanted, or are freed. */
static int
try_open(const char *path, enum trusted_kind kind, const struct trusted_owner *owner, char *reason,
	 char *warning)
{
	CLEANUP_FREE char *why = NULL;
	CLEANUP_FREE char *told = NULL;
	int fd = trusted_open(path, kind, owner, &why, &told);

	(void)snprintf(reason, 256, "%s", why != NULL ? why : "");
	(void)snprintf(warning, 256, "%s", told != NULL ? told : "");
	ck_assert_msg((fd < 0) == (why != NULL), "%s: %d without or with a reason", path, fd);
	ck_assert(fd >= 0 || told == NULL);
	if (fd < 0)
		return fd;
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	(void)close(fd);
	return 0;
}

/* Owners and modes of directory and file, and what comes of it. */
static const struct trust {
	uid_t directory_uid, file_uid;
	mode_t directory_mode, file_mode;
	bool is_root_good;     /* under a root supervisor */
	bool is_ordinary_good; /* as user ORDINARY */
	bool is_ordinary_warned;
	const char *offender; /* d: the directory, f: the file */
} trusts[] = {
	{0, 0, 0755, 0644, true, true, false, NULL},
	{0, 0, 0711, 0644, true, true, false, NULL},
	{0, 0, 0775, 0644, false, true, true, "d"},
	{0, 0, 0757, 0644, false, false, false, "d"},
	{0, 0, 0777, 0644, false, false, false, "d"},
	{0, 0, 0755, 0664, false, true, true, "f"},
	{0, 0, 0755, 0646, false, false, false, "f"},
	{0, 0, 0755, 0666, false, false, false, "f"},
	{STRANGER, 0, 0755, 0644, false, false, false, "d"},
	{0, STRANGER, 0755, 0644, false, false, false, "f"},
	{STRANGER, STRANGER, 0755, 0644, false, false, false, "d"},
	{ORDINARY, 0, 0755, 0644, false, true, false, "d"},
	{0, ORDINARY, 0755, 0644, false, true, false, "f"},
	{ORDINARY, ORDINARY, 0755, 0644, false, true, false, "d"},
	/* sticky: others may write, but not replace what is not theirs */
	{0, 0, 01777, 0644, true, true, false, NULL},
	{0, 0, 01777, 0666, false, false, false, "f"},
	{0, STRANGER, 01777, 0644, false, false, false, "f"},
	{STRANGER, 0, 01777, 0644, false, false, false, "d"},
};

static void
prepare(const struct trust *trust)
{
	ck_assert_int_eq(chown(unit_path("d/f"), trust->file_uid, 0), 0);
	ck_assert_int_eq(chmod(unit_path("d/f"), trust->file_mode), 0);
	ck_assert_int_eq(chown(unit_path("d"), trust->directory_uid, 0), 0);
	ck_assert_int_eq(chmod(unit_path("d"), trust->directory_mode), 0);
}

static void
check_offender(const struct trust *trust, const char *reason)
{
	char quoted[300];

	(void)snprintf(quoted, sizeof(quoted), "%s '%s'",
		       trust->offender[0] == 'd' ? "directory" : "file",
		       unit_path(trust->offender[0] == 'd' ? "d" : "d/f"));
	ck_assert_msg(strstr(reason, quoted) != NULL, "'%s' does not name %s", reason, quoted);
}

START_TEST(root_trusts_only_what_nobody_else_can_replace)
{
	const struct trust *trust = &trusts[_i];
	char reason[256], warning[256];
	int r;

	if (geteuid() != 0)
		return;
	prepare(trust);
	r = try_open(unit_path("d/f"), TRUSTED_FILE, &strict, reason, warning);
	ck_assert_msg(r == (trust->is_root_good ? 0 : -EPERM), "%d: %s", r, reason);
	ck_assert_str_eq(warning, "");
	if (r < 0)
		check_offender(trust, reason);
}
END_TEST

START_TEST(ordinary_user_trusts_itself_and_is_warned_of_groups)
{
	const struct trust *trust = &trusts[_i];
	char reason[256], warning[256];
	int r, status;
	pid_t pid;

	if (geteuid() != 0)
		return;
	prepare(trust);
	/* Check's assertions do not come out of a grandchild: the status tells */
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		struct trusted_owner owner;

		if (setgid(ORDINARY) < 0 || setuid(ORDINARY) < 0)
			_exit(9);
		owner = trusted_owner_self(false);
		if (owner.is_strict || owner.uid != ORDINARY)
			_exit(8);
		r = try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning);
		if (r != (trust->is_ordinary_good ? 0 : -EPERM))
			_exit(1);
		_exit((warning[0] != '\0') == trust->is_ordinary_warned ? 0 : 2);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
}
END_TEST

START_TEST(own_files_are_trusted_whoever_runs_this)
{
	struct trusted_owner owner = trusted_owner_self(false);
	char reason[256], warning[256];

	ck_assert_int_eq(try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning), 0);
	ck_assert_int_eq(try_open(unit_path("d"), TRUSTED_DIRECTORY, &owner, reason, warning), 0);
	ck_assert_int_eq(try_open("/", TRUSTED_DIRECTORY, &owner, reason, warning), 0);
	ck_assert_int_eq(chmod(unit_path("d/f"), 0646), 0);
	ck_assert_int_eq(try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning), -EPERM);
	ck_assert_msg(strstr(reason, "mode 0646") != NULL, "%s", reason);
}
END_TEST

START_TEST(one_more_owner_can_be_allowed)
{
	struct trusted_owner owner = strict;
	char reason[256], warning[256];

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chown(unit_path("d/f"), STRANGER, 0), 0);
	ck_assert_int_eq(try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning), -EPERM);
	owner.also = STRANGER;
	ck_assert_int_eq(try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning), 0);
}
END_TEST

START_TEST(sudo_user_counts_only_where_it_is_asked_for)
{
	static const struct {
		const char *text;
		uid_t also;
	} rows[] = {
		{"1000", 1000},	      {"", (uid_t)-1},		 {"-1", (uid_t)-1},
		{"root", (uid_t)-1},  {"4294967295", (uid_t)-1}, {"4294967294", 4294967294U},
		{"1000 ", (uid_t)-1},
	};

	ck_assert_int_eq(unsetenv("SUDO_UID"), 0);
	ck_assert_uint_eq(trusted_owner_self(true).also, (uid_t)-1);
	for (int i = 0; i < UNIT_COUNT(rows); i++) {
		ck_assert_int_eq(setenv("SUDO_UID", rows[i].text, 1), 0);
		ck_assert_msg(trusted_owner_self(true).also == rows[i].also, "%s", rows[i].text);
		ck_assert_uint_eq(trusted_owner_self(false).also, (uid_t)-1);
	}
}
END_TEST

START_TEST(link_is_followed_and_judged_by_where_it_leads)
{
	char reason[256], warning[256];

	if (geteuid() != 0)
		return;
	ck_assert_int_eq(mkdir(unit_path("bad"), 0777), 0);
	ck_assert_int_eq(chmod(unit_path("bad"), 0777), 0);
	unit_write_file(unit_path("bad/f"), "x", 1);
	ck_assert_int_eq(symlink(unit_path("bad/f"), unit_path("d/to_bad")), 0);
	ck_assert_int_eq(symlink(unit_path("d/f"), unit_path("d/to_good")), 0);
	ck_assert_int_eq(symlink(unit_path("bad"), unit_path("d/dir")), 0);
	ck_assert_int_eq(symlink("loop", unit_path("d/loop")), 0);
	ck_assert_int_eq(try_open(unit_path("d/to_good"), TRUSTED_FILE, &strict, reason, warning),
			 0);
	ck_assert_int_eq(try_open(unit_path("d/to_bad"), TRUSTED_FILE, &strict, reason, warning),
			 -EPERM);
	ck_assert_msg(strstr(reason, unit_path("bad")) != NULL, "%s", reason);
	ck_assert_int_eq(try_open(unit_path("d/dir/f"), TRUSTED_FILE, &strict, reason, warning),
			 -EPERM);
	ck_assert_int_eq(try_open(unit_path("d/loop"), TRUSTED_FILE, &strict, reason, warning),
			 -ELOOP);
}
END_TEST

START_TEST(only_a_regular_file_is_a_file)
{
	struct trusted_owner owner = trusted_owner_self(false);
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char reason[256], warning[256];

	ck_assert_int_eq(mkfifo(unit_path("d/fifo"), 0600), 0);
	(void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", unit_path("d/sock"));
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(chmod(unit_path("d/sock"), 0600), 0);
	/* nobody writes to it: opening must not wait */
	ck_assert_int_eq(try_open(unit_path("d/fifo"), TRUSTED_FILE, &owner, reason, warning),
			 -EPERM);
	ck_assert_msg(strstr(reason, "not a regular file") != NULL, "%s", reason);
	ck_assert_int_eq(try_open(unit_path("d/sock"), TRUSTED_FILE, &owner, reason, warning),
			 -ENXIO);
	ck_assert_int_eq(try_open(unit_path("d"), TRUSTED_FILE, &owner, reason, warning), -EPERM);
	ck_assert_int_eq(try_open(unit_path("d/f"), TRUSTED_DIRECTORY, &owner, reason, warning),
			 -ENOTDIR);
	(void)close(fd);
}
END_TEST

START_TEST(what_is_not_there_is_told_as_such)
{
	struct trusted_owner owner = trusted_owner_self(false);
	char reason[256], warning[256];

	ck_assert_int_eq(try_open(unit_path("no"), TRUSTED_FILE, &owner, reason, warning), -ENOENT);
	ck_assert_msg(strstr(reason, unit_path("no")) != NULL, "%s", reason);
	ck_assert_int_eq(try_open(unit_path("no/f"), TRUSTED_FILE, &owner, reason, warning),
			 -ENOENT);
	ck_assert_int_eq(try_open(unit_path("d/f/g"), TRUSTED_FILE, &owner, reason, warning),
			 -ENOTDIR);
	ck_assert_int_eq(try_open("", TRUSTED_FILE, &owner, reason, warning), -ENOENT);
}
END_TEST

START_TEST(sticky_directory_at_the_end_of_the_path_is_open_to_others)
{
	char reason[256], warning[256];

	/* whoever may create files in it decides what a search there finds */
	ck_assert_int_eq(chmod(unit_path("d"), 01777), 0);
	ck_assert_int_eq(try_open(unit_path("d"), TRUSTED_DIRECTORY,
				  &(struct trusted_owner){.uid = geteuid(), .also = (uid_t)-1},
				  reason, warning),
			 -EPERM);
	ck_assert_int_eq(try_open("/tmp", TRUSTED_DIRECTORY, &strict, reason, warning), -EPERM);
}
END_TEST

/* In a mount namespace of its own: a file system that is mounted read-only in one place. */
static int
look_at_mounts(void)
{
	char reason[256], warning[256], path[160];

	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("none", unit_path("d"), "tmpfs", 0, "mode=0777") < 0)
		return 77;
	(void)snprintf(path, sizeof(path), "%s", unit_path("d/f"));
	unit_write_file(path, "x", 1);
	if (chown(path, STRANGER, STRANGER) < 0)
		return 1;
	if (mount("none", unit_path("d"), NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		return 2;
	if (try_open(path, TRUSTED_FILE, &strict, reason, warning) != -EPERM)
		return 3;
	if (mount("none", unit_path("d"), NULL, MS_REMOUNT | MS_RDONLY, NULL) < 0)
		return 4;
	return try_open(path, TRUSTED_FILE, &strict, reason, warning) == 0 ? 0 : 5;
}

START_TEST(read_only_file_system_is_trusted_and_a_read_only_mount_is_not)
{
	int status;
	pid_t pid;

	if (geteuid() != 0) {
		(void)fprintf(stderr, "skipped: needs root\n");
		return;
	}
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		_exit(look_at_mounts());
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	if (WEXITSTATUS(status) == 77)
		(void)fprintf(stderr, "skipped: cannot mount\n");
	else
		ck_assert_int_eq(WEXITSTATUS(status), 0);
}
END_TEST

START_TEST(nothing_stays_open_whatever_the_answer)
{
	struct trusted_owner owner = trusted_owner_self(false);
	char reason[256], warning[256];
	int before = unit_count_fds();

	ck_assert_int_eq(chmod(unit_path("d/f"), 0666), 0);
	for (int i = 0; i < 20; i++) {
		(void)try_open(unit_path("d/f"), TRUSTED_FILE, &owner, reason, warning);
		(void)try_open(unit_path("d/no"), TRUSTED_FILE, &owner, reason, warning);
		(void)try_open(unit_path("d"), TRUSTED_FILE, &owner, reason, warning);
		(void)try_open(unit_path("d"), TRUSTED_DIRECTORY, &owner, reason, warning);
	}
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("trusted");

	tcase_add_checked_fixture(cases, setup, unit_remove_directory);
	tcase_add_loop_test(cases, root_trusts_only_what_nobody_else_can_replace, 0,
			    UNIT_COUNT(trusts));
	tcase_add_loop_test(cases, ordinary_user_trusts_itself_and_is_warned_of_groups, 0,
			    UNIT_COUNT(trusts));
	tcase_add_test(cases, own_files_are_trusted_whoever_runs_this);
	tcase_add_test(cases, one_more_owner_can_be_allowed);
	tcase_add_test(cases, sudo_user_counts_only_where_it_is_asked_for);
	tcase_add_test(cases, link_is_followed_and_judged_by_where_it_leads);
	tcase_add_test(cases, only_a_regular_file_is_a_file);
	tcase_add_test(cases, what_is_not_there_is_told_as_such);
	tcase_add_test(cases, sticky_directory_at_the_end_of_the_path_is_open_to_others);
	tcase_add_test(cases, read_only_file_system_is_trusted_and_a_read_only_mount_is_not);
	tcase_add_test(cases, nothing_stays_open_whatever_the_answer);
	return unit_run("trusted", cases);
}
