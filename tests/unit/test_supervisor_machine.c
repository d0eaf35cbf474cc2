/*
 * test_supervisor_machine.c - memory and load as different machines tell them.
 */
#include "supervisor/machine.h"

#include "unit.h"

/* Writes a file below the test's own directory, and the directories on the way. */
static void
put(const char *path, const char *text)
{
	char full[512];
	FILE *file;

	(void)snprintf(full, sizeof(full), "%s/%s", unit_directory, path);
	for (char *slash = full + strlen(unit_directory) + 1; (slash = strchr(slash, '/')) != NULL;
	     slash++) {
		*slash = '\0';
		(void)mkdir(full, 0755);
		*slash = '/';
	}
	file = fopen(full, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_int_ge(fputs(text, file), 0);
	ck_assert_int_eq(fclose(file), 0);
}

static int64_t
memory(void)
{
	return machine_read(unit_directory).memory;
}

static void
put_machine(void)
{
	put("proc/meminfo", "MemTotal:       1000000 kB\nMemFree:          10000 kB\n"
			    "MemAvailable:    600000 kB\nBuffers:           1000 kB\n");
	put("proc/loadavg", "3.07 2.10 1.05 2/321 4711\n");
}

START_TEST(machine_without_control_groups_tells_of_itself)
{
	put_machine();
	ck_assert_int_eq(memory(), 400);
	ck_assert_int_eq(machine_read(unit_directory).load, 3070);
}
END_TEST

START_TEST(what_is_hidden_is_not_known)
{
	ck_assert_int_eq(memory(), -1);
	ck_assert_int_eq(machine_read(unit_directory).load, -1);
	put("proc/meminfo", "MemTotal: 0 kB\nMemAvailable: 0 kB\n");
	ck_assert_int_eq(memory(), -1);
	put("proc/meminfo", "MemTotal: 100 kB\n");
	ck_assert_int_eq(memory(), -1);
	put("proc/loadavg", "none\n");
	ck_assert_int_eq(machine_read(unit_directory).load, -1);
}
END_TEST

START_TEST(group_of_version_2_counts_without_what_can_be_had_back_at_once)
{
	put_machine();
	put("proc/self/cgroup", "0::/system.slice/handlerd.service\n");
	put("sys/fs/cgroup/system.slice/handlerd.service/memory.max", "1000000\n");
	put("sys/fs/cgroup/system.slice/handlerd.service/memory.current", "900000\n");
	put("sys/fs/cgroup/system.slice/handlerd.service/memory.stat",
	    "anon 500000\nfile 400000\ninactive_file 200000\nactive_file 200000\n");
	ck_assert_int_eq(memory(), 700);
	/* the machine itself is nearer to its end */
	put("proc/meminfo", "MemTotal: 100 kB\nMemAvailable: 25 kB\n");
	ck_assert_int_eq(memory(), 750);
}
END_TEST

START_TEST(group_without_a_limit_counts_by_the_one_that_it_is_in)
{
	put_machine();
	put("proc/self/cgroup", "0::/system.slice/handlerd.service\n");
	put("sys/fs/cgroup/system.slice/handlerd.service/memory.max", "max\n");
	put("sys/fs/cgroup/system.slice/handlerd.service/memory.current", "900000\n");
	ck_assert_int_eq(memory(), 400);
	put("sys/fs/cgroup/system.slice/memory.max", "1000\n");
	put("sys/fs/cgroup/system.slice/memory.current", "2000\n");
	ck_assert_int_eq(memory(), 1000);
}
END_TEST

START_TEST(namespace_has_its_group_at_the_root)
{
	put_machine();
	put("proc/self/cgroup", "0::/\n");
	put("sys/fs/cgroup/memory.max", "1000\n");
	put("sys/fs/cgroup/memory.current", "505\n");
	ck_assert_int_eq(memory(), 505);
}
END_TEST

START_TEST(group_of_version_1_is_found_among_the_others)
{
	put_machine();
	put("proc/self/cgroup", "5:memory_not:/a\n4:cpu,memory:/b/c\n1:name=systemd:/d\n0::/\n");
	put("sys/fs/cgroup/unified/cgroup.controllers", "");
	put("sys/fs/cgroup/memory/b/c/memory.limit_in_bytes", "2000\n");
	put("sys/fs/cgroup/memory/b/c/memory.usage_in_bytes", "1500\n");
	put("sys/fs/cgroup/memory/b/c/memory.stat", "inactive_file 1\ntotal_inactive_file 100\n");
	put("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "9223372036854771712\n");
	put("sys/fs/cgroup/memory/b/memory.usage_in_bytes", "1500\n");
	ck_assert_int_eq(memory(), 700);
}
END_TEST

START_TEST(garbage_is_no_group)
{
	static const char *const lines[] = {
		"", ":", "0", "0:", "0:\n", "0::", "4:memory", "::::\n"};

	put_machine();
	for (int i = 0; i < UNIT_COUNT(lines); i++) {
		put("proc/self/cgroup", lines[i]);
		ck_assert_int_eq(memory(), 400);
	}
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("machine");

	tcase_add_checked_fixture(cases, unit_make_directory, unit_remove_directory);
	tcase_add_test(cases, machine_without_control_groups_tells_of_itself);
	tcase_add_test(cases, what_is_hidden_is_not_known);
	tcase_add_test(cases, group_of_version_2_counts_without_what_can_be_had_back_at_once);
	tcase_add_test(cases, group_without_a_limit_counts_by_the_one_that_it_is_in);
	tcase_add_test(cases, namespace_has_its_group_at_the_root);
	tcase_add_test(cases, group_of_version_1_is_found_among_the_others);
	tcase_add_test(cases, garbage_is_no_group);
	return unit_run("machine", cases);
}
