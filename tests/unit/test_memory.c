/*
 * test_memory.c - allocation that does not fail, and the end of the process where it must.
 */
#include "base/memory.h"

#include <sys/resource.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "unit.h"

START_TEST(array_grows_by_doubling_and_keeps_its_elements)
{
	uint32_t *array = NULL;

	for (uint32_t i = 0; i < 5000; i++) {
		array = memory_grow(array, i, sizeof(*array));
		array[i] = i;
		/* all that was there is still there, and a sanitizer sees too little room */
		ck_assert_uint_eq(array[i / 2], i / 2);
	}
	for (uint32_t i = 0; i < 5000; i++)
		ck_assert_uint_eq(array[i], i);
	free(array);
}
END_TEST

START_TEST(nothing_is_still_something)
{
	char *p = memory_zero(0, 0);

	ck_assert_ptr_nonnull(p);
	free(p);
	p = memory_zero(3, 5);
	for (int i = 0; i < 15; i++)
		ck_assert_int_eq(p[i], 0);
	free(p);
	ck_assert_ptr_null(memory_text(NULL));
}
END_TEST

START_TEST(texts_are_copies)
{
	char source[] = "abc";
	char *copy = memory_text(source);
	char *formatted = memory_format("%s-%d", source, 7);

	source[0] = '#';
	ck_assert_str_eq(copy, "abc");
	ck_assert_str_eq(formatted, "abc-7");
	free(copy);
	free(formatted);
}
END_TEST

#if !UNIT_IS_SANITIZED
START_TEST(no_memory_ends_the_process_with_status_1)
{
	(void)memory_zero(SIZE_MAX / 2, 2);
}
END_TEST

START_TEST(array_too_large_to_grow_ends_the_process_with_status_1)
{
	/* a power of two, so that it must grow */
	(void)memory_grow(NULL, (SIZE_MAX >> 1) + 1, 1);
}
END_TEST
#endif

START_TEST(broken_invariant_aborts)
{
	struct rlimit none = {0};

	(void)setrlimit(RLIMIT_CORE, &none);
	CHECK(1 == 1);
	CHECK(unit_directory[0] == 'x');
}
END_TEST

#if !UNIT_IS_SANITIZED
/* From now on there is no more than so much. */
static void
leave_room(size_t size)
{
	struct rlimit limit;
	char line[64];
	FILE *file = fopen("/proc/self/statm", "r");

	ck_assert_ptr_nonnull(file);
	ck_assert_ptr_nonnull(fgets(line, sizeof(line), file));
	(void)fclose(file);
	limit.rlim_cur = strtoul(line, NULL, 10) * 4096 + size;
	limit.rlim_max = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_AS, &limit), 0);
}

START_TEST(what_was_kept_is_there_when_nothing_else_is)
{
	size_t size = 8 << 20;
	void *first, *fit;

	ck_assert(memory_keep(size * 2));
	leave_room(1 << 20);
	ck_assert(!memory_has_room(size));
	first = memory_zero(1, size);
	/* it is spent, and cannot be had again */
	ck_assert(!memory_has_room(1));
	free(first);
	ck_assert(memory_has_room(1));
	leave_room(64 << 20);
	ck_assert(memory_has_room(size));
	fit = memory_zero(1, size);
	memset(fit, 1, size);
	free(fit);
}
END_TEST
#endif

START_TEST(ownership_is_handed_over_once)
{
	int fd = dup(0), taken;
	char *text = memory_text("x"), *taken_text;

	ck_assert_int_ge(fd, 0);
	taken = take_fd(&fd);
	ck_assert_int_eq(fd, -1);
	ck_assert_int_ge(fcntl(taken, F_GETFD), 0);
	{
		CLEANUP_CLOSE int scoped = taken;

		(void)scoped;
	}
	ck_assert_int_eq(fcntl(taken, F_GETFD), -1);
	taken_text = take_pointer(&text);
	ck_assert_ptr_null(text);
	free(taken_text);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("memory");

	tcase_add_test(cases, array_grows_by_doubling_and_keeps_its_elements);
	tcase_add_test(cases, nothing_is_still_something);
	tcase_add_test(cases, texts_are_copies);
#if !UNIT_IS_SANITIZED
	tcase_add_test(cases, what_was_kept_is_there_when_nothing_else_is);
	tcase_add_exit_test(cases, no_memory_ends_the_process_with_status_1, 1);
	tcase_add_exit_test(cases, array_too_large_to_grow_ends_the_process_with_status_1, 1);
#endif
	tcase_add_test_raise_signal(cases, broken_invariant_aborts, 6);
	tcase_add_test(cases, ownership_is_handed_over_once);
	return unit_run("memory", cases);
}
