/*
 * capability.h - the capability sets of this process, by their system calls.
 */
#ifndef BASE_CAPABILITY_H
#define BASE_CAPABILITY_H

#include <linux/capability.h>
#include <stdbool.h>

struct capabilities {
	struct __user_cap_data_struct sets[2]; /* capabilities 0 to 31, and the rest */
};

/* 0 or a negative errno. */
int capabilities_get(struct capabilities *ret);
int capabilities_set(const struct capabilities *wanted);

/* Whether it is in the effective set, so that the kernel would let us. */
bool capability_is_effective(int number);

#endif
