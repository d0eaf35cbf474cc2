/*
 * siphash.c - SipHash-2-4 as Aumasson and Bernstein have published it.
 */
#include "base/siphash.h"

#include <endian.h>
#include <string.h>

static uint64_t
siphash_rotate(uint64_t word, unsigned bits)
{
	return (word << bits) | (word >> (64 - bits));
}

static void
siphash_round(uint64_t v[4])
{
	v[0] += v[1];
	v[1] = siphash_rotate(v[1], 13) ^ v[0];
	v[0] = siphash_rotate(v[0], 32);
	v[2] += v[3];
	v[3] = siphash_rotate(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = siphash_rotate(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = siphash_rotate(v[1], 17) ^ v[2];
	v[2] = siphash_rotate(v[2], 32);
}

static void
siphash_add(uint64_t v[4], uint64_t word)
{
	v[3] ^= word;
	siphash_round(v);
	siphash_round(v);
	v[0] ^= word;
}

uint64_t
siphash(const struct siphash_key *key, const void *data, size_t size)
{
	const unsigned char *at = data;
	uint64_t k0 = key->words[0], k1 = key->words[1], word;
	uint64_t v[4] = {
		k0 ^ UINT64_C(0x736f6d6570736575),
		k1 ^ UINT64_C(0x646f72616e646f6d),
		k0 ^ UINT64_C(0x6c7967656e657261),
		k1 ^ UINT64_C(0x7465646279746573),
	};
	size_t left = size;

	for (; left >= sizeof(word); left -= sizeof(word), at += sizeof(word)) {
		memcpy(&word, at, sizeof(word));
		siphash_add(v, le64toh(word));
	}
	word = 0;
	memcpy(&word, at, left);
	siphash_add(v, le64toh(word) | (uint64_t)size << 56);
	v[2] ^= 0xff;
	for (int i = 0; i < 4; i++)
		siphash_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}
