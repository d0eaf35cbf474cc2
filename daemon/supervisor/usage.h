/*
 * usage.h - how much memory a worker takes, as the kernel tells it in /proc.
 */
#ifndef SUPERVISOR_USAGE_H
#define SUPERVISOR_USAGE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Bytes of a process that are in memory, what it shares with others included: what ps(1) shows.
 * With its family, also what each other process of its group (a worker's forked children) has
 * written to beyond what the process itself has; pages that a child still shares with its parent
 * are counted once. Returns 0, or a negative errno: -ENOENT also where /proc hides it.
 */
int usage_read_memory(pid_t pid, bool with_family, uint64_t *ret_bytes);

#endif
