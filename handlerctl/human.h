/*
 * human.h - durations and amounts of bytes as people read them; --json has the exact ones.
 */
#ifndef HANDLERCTL_HUMAN_H
#define HANDLERCTL_HUMAN_H

#include <stddef.h>
#include <stdint.h>

/* Room for any of them. */
#define HUMAN_SIZE 40

/* "250ms", "1.2s", "12s", "3min 20s", "3h 12min", "2d 4h": two units at most, never rounded up.
 * Less than nothing is "0s". Returns buf, as the others do. */
const char *human_duration(double seconds, char *buf, size_t size);

/* "10 B", "1.5 KiB", "12 KiB", "3 GiB": never rounded up. */
const char *human_bytes(uint64_t bytes, char *buf, size_t size);

#endif
