/*
 * usage.h - how much memory and processor time a worker takes, as the kernel tells it in /proc.
 */
#ifndef SUPERVISOR_USAGE_H
#define SUPERVISOR_USAGE_H

#include <stdint.h>
#include <sys/types.h>

struct usage {
	uint64_t memory; /* bytes that are in memory, shared ones included: what ps(1) shows as RSS
			  */
	uint64_t ticks;	 /* of processors, dead and buried children included; see sysconf(3) */
};

/*
 * What the other processes of its group have is included, whoever has made them, daemon or handler:
 * of memory, what each has of its own beyond what the process itself has, so that pages that it
 * shares with its parent count once. Returns 0, or a negative errno: -ENOENT also where /proc hides
 * it.
 */
int usage_read(pid_t pid, struct usage *ret);

#endif
