/*
 * prefix.h - blocks of IP addresses, as access lists name them: "192.0.2.0/24", "2001:db8::/32", or
 * one address.
 *
 * IPv4-mapped IPv6 addresses are IPv4 addresses. Whatever could be meant in two ways is refused:
 * bits behind the prefix, names, ranges, netmasks, scopes.
 */
#ifndef BASE_PREFIX_H
#define BASE_PREFIX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct prefix {
	bool is_ipv6;
	unsigned length;	 /* bits: to 32, to 128 */
	unsigned char bytes[16]; /* as in a packet; of IPv4 the first four */
};

#define PREFIX_TEXT_SIZE 56

/* 0, or -EINVAL with a new sentence for the caller to free: what is wrong, and what to write. */
int prefix_parse(const char *text, struct prefix *ret, char **ret_reason);

/* As it is parsed; a single address without its length. Returns buf. */
const char *prefix_format(const struct prefix *prefix, char *buf, size_t size);

/* The first bits of the address, left-aligned in 128: numbers that are ordered as addresses are. */
void prefix_to_words(const struct prefix *prefix, uint64_t ret_words[2]);

#endif
