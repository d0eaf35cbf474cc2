/*
 * test_supervisor_control_access.c - who may ask what.
 */
#include "supervisor/control_access.h"

#include <grp.h>
#include <sys/socket.h>

#include "unit.h"

#define OWN 1000 /* the supervisor */
#define GROUP 50
#define STRANGER 1001

static const struct row {
	const char *who;
	uid_t uid;
	gid_t gid;
	gid_t more[2];
	bool has_group, is_worker;
	enum control_access access;
} rows[] = {
	{"root", 0, 0, {0, 0}, false, false, CONTROL_ALL},
	{"root that workers run as", 0, 0, {0, 0}, false, true, CONTROL_ALL},
	{"the supervisor's user", OWN, 7, {7, 7}, false, false, CONTROL_ALL},
	{"a worker that is that user", OWN, 7, {7, 7}, true, true, CONTROL_ALL},
	{"a stranger", STRANGER, 7, {7, 8}, true, false, CONTROL_NOTHING},
	{"a stranger in group 0", STRANGER, 0, {0, 0}, false, false, CONTROL_NOTHING},
	{"a member by its own group", STRANGER, GROUP, {7, 8}, true, false, CONTROL_READ},
	{"a member by another group", STRANGER, 7, {8, GROUP}, true, false, CONTROL_READ},
	{"a member where no group is given",
	 STRANGER,
	 GROUP,
	 {GROUP, 8},
	 false,
	 false,
	 CONTROL_NOTHING},
	{"a worker", STRANGER, 7, {7, 8}, true, true, CONTROL_NOTHING},
	{"a worker that is a member", STRANGER, GROUP, {GROUP, 8}, true, true, CONTROL_NOTHING},
};

START_TEST(access_is_as_the_kernel_says_who_it_is)
{
	const struct row *row = &rows[_i];
	gid_t groups[2] = {row->more[0], row->more[1]};
	struct control_peer peer = {
		.uid = row->uid, .gid = row->gid, .groups = groups, .group_count = 2};
	/* a group that is not given has no number to be compared with */
	struct control_group group = {.is_given = row->has_group,
				      .gid = row->has_group ? GROUP : 0};

	ck_assert_msg(control_access_decide(&peer, OWN, &group, row->is_worker) == row->access,
		      "%s", row->who);
}
END_TEST

static int
compare_groups(const void *a, const void *b)
{
	return *(const gid_t *)a < *(const gid_t *)b ? -1 : *(const gid_t *)a > *(const gid_t *)b;
}

static void
expect_own_groups(void)
{
	static gid_t groups[65536];
	struct control_peer peer;
	int count = getgroups(UNIT_COUNT(groups), groups), ends[2];

	ck_assert_int_ge(count, 0);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
	ck_assert_int_eq(control_peer_read(ends[0], &peer), 0);
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.gid, getegid());
	ck_assert_uint_eq(peer.group_count, (size_t)count);
	qsort(groups, (size_t)count, sizeof(*groups), compare_groups);
	if (count > 0) {
		qsort(peer.groups, peer.group_count, sizeof(*groups), compare_groups);
		ck_assert_mem_eq(peer.groups, groups, (size_t)count * sizeof(*groups));
	}
	control_peer_free(&peer);
	(void)close(ends[0]);
	(void)close(ends[1]);
}

START_TEST(peer_is_told_with_all_its_groups)
{
	expect_own_groups();
}
END_TEST

START_TEST(peer_may_have_very_many_groups)
{
	static gid_t groups[3000];

	if (geteuid() != 0)
		return;
	for (int i = 0; i < UNIT_COUNT(groups); i++)
		groups[i] = (gid_t)(100000 + i);
	ck_assert_int_eq(setgroups((size_t)UNIT_COUNT(groups), groups), 0);
	expect_own_groups();
	ck_assert_int_eq(setgroups(0, NULL), 0);
	expect_own_groups();
}
END_TEST

START_TEST(what_is_no_unix_socket_has_no_peer)
{
	struct control_peer peer;
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)control_peer_read(-1, &peer);
	ck_assert_int_lt(control_peer_read(-1, &peer), 0);
	ck_assert_int_lt(control_peer_read(fd, &peer), 0);
	control_peer_free(&peer);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("control_access");

	tcase_add_loop_test(cases, access_is_as_the_kernel_says_who_it_is, 0, UNIT_COUNT(rows));
	tcase_add_test(cases, peer_is_told_with_all_its_groups);
	tcase_add_test(cases, peer_may_have_very_many_groups);
	tcase_add_test(cases, what_is_no_unix_socket_has_no_peer);
	return unit_run("control_access", cases);
}
