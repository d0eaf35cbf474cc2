/*
 * test_ports.c - the page of our own ports: a bit for each, and no worker writes it.
 */
#include "ipc/ports.h"

#include "base/fd.h"

#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>

#include "unit.h"

static struct port_page *page;
static int page_fd = -1, reading_fd = -1;

static void
open_page(void)
{
	page_fd = ports_open(&page);
	ck_assert_int_ge(page_fd, 0);
	reading_fd = fd_open_for_reading(page_fd);
	ck_assert_int_ge(reading_fd, 0);
}

static void
close_page(void)
{
	ports_close(page);
	(void)close(page_fd);
	(void)close(reading_fd);
}

START_TEST(port_stands_alone_at_every_place)
{
	static const uint16_t ports[] = {0, 1, 63, 64, 65, 1023, 1024, 32767, 65471, 65472, 65535};

	for (int i = 0; i < UNIT_COUNT(ports); i++) {
		static struct port_list list;
		int others = 0;

		memset(&list, 0, sizeof(list));
		ports_add(&list, ports[i]);
		ports_replace(page, &list);
		ck_assert(ports_has(page, ports[i]));
		for (unsigned port = 0; port <= UINT16_MAX; port++)
			others += port != ports[i] && ports_has(page, (uint16_t)port);
		ck_assert_int_eq(others, 0);
	}
}
END_TEST

static uint64_t
hash_of(const char *path, size_t more)
{
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	size_t length = path[0] == '@' ? strlen(path) : strlen(path) + more;

	memcpy(un.sun_path, path, strlen(path));
	if (path[0] == '@')
		un.sun_path[0] = '\0';
	return ports_hash_name((struct sockaddr *)&un,
			       (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
}

START_TEST(names_are_known_however_long_their_address_is)
{
	static struct port_list list;

	ck_assert(!ports_has_name(page, hash_of("/run/a", 1)));
	ports_add_name(&list, hash_of("/run/a", 1));
	ports_add_name(&list, hash_of("@b", 0));
	ports_replace(page, &list);
	ck_assert(ports_has_name(page, hash_of("/run/a", 0)));
	ck_assert(ports_has_name(page, hash_of("/run/a", 1)));
	ck_assert(ports_has_name(page, hash_of("/run/a", 20)));
	ck_assert(ports_has_name(page, hash_of("@b", 0)));
	ck_assert(!ports_has_name(page, hash_of("@bb", 0)));
	ck_assert(!ports_has_name(page, hash_of("/run/ab", 1)));
	for (int i = 0; i < 2 * PORTS_NAMES; i++)
		ports_add_name(&list, (uint64_t)i + 1);
	ports_replace(page, &list);
	ck_assert(ports_has_name(page, hash_of("/run/a", 1)));
	ck_assert(!ports_has_name(page, 2 * PORTS_NAMES));
}
END_TEST

START_TEST(reader_sees_what_is_written_later)
{
	const struct port_page *seen = ports_map(reading_fd);
	static struct port_list list;

	ck_assert_ptr_nonnull(seen);
	ck_assert(!ports_has(seen, 5353));
	ports_add(&list, 5353);
	ports_replace(page, &list);
	ck_assert(ports_has(seen, 5353));
	memset(&list, 0, sizeof(list));
	ports_replace(page, &list);
	ck_assert(!ports_has(seen, 5353));
	ports_close((struct port_page *)(uintptr_t)seen);
}
END_TEST

START_TEST(descriptors_are_close_on_exec)
{
	ck_assert_int_eq(fcntl(page_fd, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(reading_fd, F_GETFD), FD_CLOEXEC);
}
END_TEST

START_TEST(workers_cannot_write_the_page)
{
	size_t size = sizeof(struct port_page);
	const struct port_page *seen = ports_map(reading_fd);

	ck_assert_ptr_nonnull(seen);
	ck_assert_int_eq(mprotect((void *)(uintptr_t)seen, size, PROT_READ | PROT_WRITE), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_ptr_eq(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, reading_fd, 0),
			 MAP_FAILED);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(pwrite(reading_fd, "x", 1, 0), -1);
	/* a hole would be zeros: all ports forgotten */
	ck_assert_int_eq(
		fallocate(reading_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, (off_t)size),
		-1);
	ck_assert(!ports_has(page, 0));
	ports_close((struct port_page *)(uintptr_t)seen);
}
END_TEST

START_TEST(other_users_cannot_open_it_anew)
{
	char path[64];
	struct stat st;

	ck_assert_int_eq(fstat(reading_fd, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	if (geteuid() != 0)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", reading_fd);
	ck_assert_int_eq(seteuid(65534), 0);
	ck_assert_int_eq(open(path, O_RDWR | O_CLOEXEC), -1);
	ck_assert_int_eq(errno, EACCES);
	ck_assert_int_eq(fchmod(reading_fd, 0666), -1);
	ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

START_TEST(page_is_found_again_by_its_descriptor)
{
	struct port_page *again = NULL;
	static struct port_list list;
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	ck_assert_int_eq(ports_reopen(page_fd, &again), 0);
	ports_add(&list, 99);
	ports_replace(again, &list);
	ck_assert(ports_has(page, 99));
	ports_close(again);
	again = NULL;
	ck_assert_int_lt(ports_reopen(reading_fd, &again), 0);
	ck_assert_int_eq(ports_reopen(null_fd, &again), -EBADF);
	ck_assert_int_eq(ports_reopen(-1, &again), -EBADF);
	ck_assert_ptr_null(again);
	(void)close(null_fd);
}
END_TEST

START_TEST(size_and_seals_stay)
{
	off_t size = sizeof(struct port_page);

	ck_assert_int_eq(ftruncate(page_fd, 0), -1);
	ck_assert_int_eq(ftruncate(page_fd, size - 1), -1);
	ck_assert_int_eq(ftruncate(page_fd, size + 1), -1);
	ck_assert_int_eq(fallocate(page_fd, 0, size, 4096), -1);
	ck_assert_int_eq(lseek(page_fd, 0, SEEK_END), size);
	ck_assert_int_eq(fcntl(page_fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	ck_assert_int_eq(errno, EPERM);
}
END_TEST

START_TEST(what_is_no_page_cannot_be_mapped)
{
	int ends[2];

	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	ck_assert_ptr_null(ports_map(ends[0]));
	ck_assert_ptr_null(ports_map(-1));
	ports_close(NULL);
	(void)close(ends[0]);
	(void)close(ends[1]);
}
END_TEST

START_TEST(page_that_cannot_be_had_leaves_nothing_behind)
{
	struct rlimit limit, none_left = {0};
	struct port_page *none = NULL;
	int before = unit_count_fds();

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none_left.rlim_max = limit.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none_left), 0);
	ck_assert_int_eq(ports_open(&none), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_ptr_null(none);
	ck_assert_int_eq(unit_count_fds(), before);
}
END_TEST

int
main(void)
{
	TCase *cases = tcase_create("ports");

	tcase_add_checked_fixture(cases, open_page, close_page);
	tcase_add_test(cases, port_stands_alone_at_every_place);
	tcase_add_test(cases, names_are_known_however_long_their_address_is);
	tcase_add_test(cases, reader_sees_what_is_written_later);
	tcase_add_test(cases, descriptors_are_close_on_exec);
	tcase_add_test(cases, workers_cannot_write_the_page);
	tcase_add_test(cases, other_users_cannot_open_it_anew);
	tcase_add_test(cases, page_is_found_again_by_its_descriptor);
	tcase_add_test(cases, size_and_seals_stay);
	tcase_add_test(cases, what_is_no_page_cannot_be_mapped);
	tcase_add_test(cases, page_that_cannot_be_had_leaves_nothing_behind);
	return unit_run("ports", cases);
}
