/*
 * address.h - addresses as the configuration writes them. Hosts are numeric.
 */
#ifndef CONF_ADDRESS_H
#define CONF_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

struct conf_address {
	struct sockaddr_storage addr;
	socklen_t length;
	bool is_dual_stack; /* "*:PORT": an IPv6 socket that takes IPv4 as well */
};

/*
 * "HOST:PORT" (IPv4), "[V6]:PORT" and "[V6%scope]:PORT" (IPv6 only), "*:PORT" (dual stack). Returns
 * 0, or -EINVAL with *ret_reason, a static sentence part such as "the port is missing".
 */
int conf_address_parse(const char *text, struct conf_address *ret, const char **ret_reason);

/* The address in the configuration's notation, with its real port; returns buf. */
const char *conf_address_format(const struct conf_address *address, char *buf, size_t size);

#define CONF_ADDRESS_TEXT_SIZE 128

/* Whether a socket on one would keep the other from being bound: same port (not 0) and the same
 * host, or a wildcard that covers it. */
bool conf_address_overlaps(const struct conf_address *a, const struct conf_address *b);

#endif
