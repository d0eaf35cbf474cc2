/*
 * rlimits.h - the limits of setrlimit(2) by the names that the configuration has for them.
 */
#ifndef IPC_RLIMITS_H
#define IPC_RLIMITS_H

#include <stddef.h>
#include <stdint.h>

/* "nofile" of RLIMIT_NOFILE; NULL of one that cannot be configured. */
const char *rlimits_name(uint32_t resource);

/* A value as the configuration writes it, less the quotes; UINT64_MAX is unlimited. Returns buf. */
const char *rlimits_format(uint32_t resource, uint64_t value, char *buf, size_t size);

#define RLIMITS_TEXT_SIZE 48

#endif
