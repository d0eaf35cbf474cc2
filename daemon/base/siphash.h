/*
 * siphash.h - SipHash-2-4: a hash that nobody can aim who does not know the key.
 *
 * Our own, as workers link the C library alone and this is all that they would need of another.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

struct siphash_key {
	uint64_t words[2];
};

uint64_t siphash(const struct siphash_key *key, const void *data, size_t size);

#endif
