/*
 * filter.c - from the table of calls to a program: libseccomp knows the numbers of each machine,
 * and makes a tree of comparisons of them, which the kernel walks once for each call that is always
 * allowed, and never again.
 */
#include "supervisor/filter.h"

#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/memory.h"

/* The first version of libseccomp's interface that knows of notifications. Whether the kernel does,
 * the worker sees when it installs the program. */
#define FILTER_API 5
/* Rules as a tree instead of a list. */
#define FILTER_OPTIMIZE_TREE 2
#define FILTER_NAME_SIZE 64
/* Of Landlock: what asks for its version, and the first that knows of TCP. */
#define FILTER_LANDLOCK_VERSION 1U
#define FILTER_LANDLOCK_NETWORK 4

#define CALLS(group_, what_for_, names_)                                                           \
	{.group = FILTER_##group_, .what_for = (what_for_), .names = (names_)},
const struct filter_calls filter_table[] = {
#include "supervisor/filter_table.inc"
};
#undef CALLS
const size_t filter_table_count = COUNT_OF(filter_table);

static bool
filter_refuses(const struct filter_kind *kind, enum filter_group group)
{
	switch (group) {
	case FILTER_EXECUTION:
	case FILTER_SOCKETS:
	case FILTER_LEAVING:
		return kind->is_strict;
	case FILTER_CONNECTING:
		return kind->is_strict || (!kind->has_network && !kind->may_connect);
	case FILTER_REFUSED:
		return true;
	default:
		return false;
	}
}

/* A name that this machine, or this libseccomp, does not have is none. */
static int
filter_add_call(scmp_filter_ctx context, uint32_t arch, uint32_t action, const char *name)
{
	int number;

	if (seccomp_syscall_resolve_name_arch(arch, name) < 0)
		return 0;
	/* rules are told with the numbers of the machine that builds them */
	number = seccomp_syscall_resolve_name(name);
	return number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(context, action, number, 0);
}

static int
filter_add_calls(scmp_filter_ctx context, const struct filter_kind *kind, uint32_t arch,
		 const struct filter_calls *calls)
{
	uint32_t action = filter_refuses(kind, calls->group) ? SCMP_ACT_NOTIFY : SCMP_ACT_ALLOW;
	const char *at = calls->names;
	int r = 0;

	/* as is what is not in the table */
	if (calls->group == FILTER_UNKNOWN)
		return 0;
	while (*at != '\0' && r >= 0) {
		size_t length = strcspn(at, " ");
		char name[FILTER_NAME_SIZE];

		CHECK(length < sizeof(name));
		memcpy(name, at, length);
		name[length] = '\0';
		r = filter_add_call(
			context, arch,
			strcmp(name, FILTER_SANITIZER_CALL) == 0 ? SCMP_ACT_ALLOW : action, name);
		at += length;
		at += strspn(at, " ");
	}
	return r;
}

static int
filter_choose_arch(scmp_filter_ctx context, uint32_t arch)
{
	int r;

	if (arch == SCMP_ARCH_NATIVE || arch == seccomp_arch_native())
		return 0;
	r = seccomp_arch_add(context, arch);
	return r < 0 ? r : seccomp_arch_remove(context, SCMP_ARCH_NATIVE);
}

static int
filter_fill(scmp_filter_ctx context, const struct filter_kind *kind, uint32_t arch)
{
	int r = seccomp_attr_set(context, SCMP_FLTATR_CTL_OPTIMIZE, FILTER_OPTIMIZE_TREE);

	/* calls of another architecture have other numbers */
	if (r >= 0)
		r = seccomp_attr_set(context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_NOTIFY);
	if (r >= 0)
		r = filter_choose_arch(context, arch);
	for (size_t i = 0; i < filter_table_count && r >= 0; i++)
		r = filter_add_calls(context, kind, arch, &filter_table[i]);
	return r;
}

/* The program as libseccomp has made it, behind what is there. */
static int
filter_export(scmp_filter_ctx context, struct buf *program)
{
	CLEANUP_CLOSE int fd = memfd_create("handlerd-filter", MFD_CLOEXEC);
	CLEANUP_FREE char *bytes = NULL;
	struct stat st;
	int r;

	if (fd < 0)
		return -errno;
	r = seccomp_export_bpf(context, fd);
	if (r < 0)
		return r;
	if (fstat(fd, &st) < 0)
		return -errno;
	bytes = memory_zero(1, (size_t)st.st_size);
	r = fd_pread_all(fd, bytes, (size_t)st.st_size, 0);
	if (r >= 0)
		buf_add(program, bytes, (size_t)st.st_size);
	return r;
}

int
filter_build(const struct filter_kind *kind, uint32_t arch, struct filter *ret)
{
	scmp_filter_ctx context;
	struct buf program = {0};
	int r = seccomp_api_set(FILTER_API);

	if (r < 0)
		return r;
	if (arch == SCMP_ARCH_NATIVE)
		arch = seccomp_arch_native();
	context = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
	if (context == NULL)
		return -ENOMEM;
	filter_add_arguments(kind, arch, &program);
	r = filter_fill(context, kind, arch);
	if (r >= 0)
		r = filter_export(context, &program);
	seccomp_release(context);
	if (r >= 0 && program.length / sizeof(struct sock_filter) > BPF_MAXINSNS)
		r = -E2BIG;
	if (r >= 0) {
		ret->kind = *kind;
		ret->count = (uint32_t)(program.length / sizeof(struct sock_filter));
		ret->rows = memory_zero(ret->count, sizeof(*ret->rows));
		memcpy(ret->rows, program.data, program.length);
	}
	buf_free(&program);
	return r < 0 ? r : 0;
}

bool
filter_can_do_without_tcp(void)
{
	return syscall(SYS_landlock_create_ruleset, NULL, 0, FILTER_LANDLOCK_VERSION) >=
	       FILTER_LANDLOCK_NETWORK;
}

static bool
filter_is_of(const struct filter *filter, const struct filter_kind *kind)
{
	return filter->kind.is_strict == kind->is_strict &&
	       filter->kind.has_network == kind->has_network &&
	       filter->kind.may_connect == kind->may_connect;
}

int
filters_find(struct filters *filters, const struct filter_kind *kind, const struct filter **ret)
{
	int r;

	for (size_t i = 0; i < filters->count; i++) {
		*ret = &filters->items[i];
		if (filter_is_of(*ret, kind))
			return 0;
	}
	CHECK(filters->count < COUNT_OF(filters->items));
	*ret = &filters->items[filters->count];
	r = filter_build(kind, SCMP_ARCH_NATIVE, &filters->items[filters->count]);
	if (r >= 0)
		filters->count++;
	return r;
}

void
filters_free(struct filters *filters)
{
	for (size_t i = 0; i < filters->count; i++)
		free(filters->items[i].rows);
	*filters = (struct filters){0};
}
