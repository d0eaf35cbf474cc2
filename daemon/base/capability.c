/*
 * capability.c - capget and capset.
 */
#include "base/capability.h"

#include <errno.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

int
capabilities_get(struct capabilities *ret)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	*ret = (struct capabilities){0};
	return syscall(SYS_capget, &header, ret->sets) < 0 ? -errno : 0;
}

int
capabilities_set(const struct capabilities *wanted)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, wanted->sets) < 0 ? -errno : 0;
}

bool
capability_is_effective(int number)
{
	struct capabilities have;

	return capabilities_get(&have) >= 0 &&
	       (have.sets[number / 32].effective >> (number % 32) & 1) != 0;
}
