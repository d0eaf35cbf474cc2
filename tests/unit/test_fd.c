/*
 * test_fd.c - sealed memory files stay as they are, and reads are whole or an error.
 */
#include "base/fd.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>

#include "unit.h"

START_TEST(sealed_memfd_cannot_be_changed_in_any_way)
{
	char back[6] = "";
	int fd = fd_sealed_memfd("test", "hello", 5);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fd_pread_all(fd, back, 5, 0), 0);
	ck_assert_str_eq(back, "hello");
	ck_assert_int_eq(pwrite(fd, "X", 1, 0), -1);
	ck_assert_int_eq(pwrite(fd, "X", 1, 5), -1);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 100), -1);
	ck_assert_int_eq(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 5), -1);
	ck_assert_ptr_eq(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
	/* nor can the seals be */
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(fd_pread_all(fd, back, 5, 0), 0);
	ck_assert_str_eq(back, "hello");
	(void)close(fd);
}
END_TEST

START_TEST(empty_sealed_memfd_is_a_file_too)
{
	int fd = fd_sealed_memfd("test", NULL, 0);
	struct stat st;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	(void)close(fd);
}
END_TEST

START_TEST(shared_memfd_is_zeroed_writable_and_of_one_size)
{
	int fd = fd_shared_memfd("test", 10000);
	unsigned char *a, *b;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fcntl(fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(ftruncate(fd, 0), -1);
	ck_assert_int_eq(ftruncate(fd, 9999), -1);
	ck_assert_int_eq(ftruncate(fd, 10001), -1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	a = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	b = mmap(NULL, 10000, PROT_READ, MAP_SHARED, fd, 0);
	ck_assert_ptr_ne(a, MAP_FAILED);
	ck_assert_ptr_ne(b, MAP_FAILED);
	for (int i = 0; i < 10000; i++)
		ck_assert_int_eq(b[i], 0);
	a[9999] = 7;
	ck_assert_int_eq(b[9999], 7);
	(void)close(fd);
}
END_TEST

START_TEST(shared_memfd_is_mapped_whole_or_not_at_all)
{
	int fd = fd_shared_memfd("test", 10000);
	void *memory = NULL;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fd_map_shared(fd, 9999, &memory), -EBADF);
	ck_assert_int_eq(fd_map_shared(fd, 10001, &memory), -EBADF);
	ck_assert_int_eq(fd_map_shared(-1, 10000, &memory), -EBADF);
	ck_assert_ptr_null(memory);
	ck_assert_int_eq(fd_map_shared(fd, 10000, &memory), 0);
	ck_assert_int_eq(pwrite(fd, "x", 1, 9999), 1);
	ck_assert_int_eq(((char *)memory)[9999], 'x');
	((char *)memory)[0] = 'y';
	(void)munmap(memory, 10000);
	(void)close(fd);
}
END_TEST

START_TEST(read_is_whole_or_tells_that_there_is_not_enough)
{
	char buf[16] = "";
	int fd = fd_sealed_memfd("test", "0123456789", 10);
	int pipes[2];

	ck_assert_int_eq(fd_pread_all(fd, buf, 4, 6), 0);
	ck_assert_str_eq(buf, "6789");
	ck_assert_int_eq(fd_pread_all(fd, buf, 0, 10), 0);
	ck_assert_int_eq(fd_pread_all(fd, buf, 5, 6), -ENODATA);
	ck_assert_int_eq(fd_pread_all(fd, buf, 1, 10), -ENODATA);
	ck_assert_int_eq(fd_pread_all(fd, buf, 1, INT64_MAX), -ENODATA);
	ck_assert_int_eq(fd_pread_all(fd, buf, 1, UINT64_MAX), -ENODATA);
	ck_assert_int_eq(fd_pread_all(-1, buf, 1, 0), -EBADF);
	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	ck_assert_int_eq(fd_pread_all(pipes[0], buf, 1, 0), -ESPIPE);
	(void)close(fd);
}
END_TEST

START_TEST(event_is_raised_and_cleared_without_waiting)
{
	int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	struct pollfd row = {.fd = fd, .events = POLLIN};

	fd_clear_event(fd);
	ck_assert_int_eq(poll(&row, 1, 0), 0);
	fd_raise_event(fd);
	fd_raise_event(fd);
	ck_assert_int_eq(poll(&row, 1, 0), 1);
	fd_clear_event(fd);
	ck_assert_int_eq(poll(&row, 1, 0), 0);
	/* a counter at its end: nobody waits */
	ck_assert_int_eq(write(fd, &(uint64_t){UINT64_MAX - 1}, 8), 8);
	fd_raise_event(fd);
	ck_assert_int_eq(poll(&row, 1, 0), 1);
	(void)close(fd);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("fd");

	tcase_add_test(cases, sealed_memfd_cannot_be_changed_in_any_way);
	tcase_add_test(cases, empty_sealed_memfd_is_a_file_too);
	tcase_add_test(cases, shared_memfd_is_zeroed_writable_and_of_one_size);
	tcase_add_test(cases, shared_memfd_is_mapped_whole_or_not_at_all);
	tcase_add_test(cases, read_is_whole_or_tells_that_there_is_not_enough);
	tcase_add_test(cases, event_is_raised_and_cleared_without_waiting);
	return unit_run("fd", cases);
}
