/*
 * address.h - addresses as the configuration writes them. Hosts are numeric.
 */
#ifndef CONF_ADDRESS_H
#define CONF_ADDRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

enum conf_address_kind {
	CONF_ADDRESS_INET,    /* IPv4 or IPv6, with a port */
	CONF_ADDRESS_UNIX,    /* a path or an abstract name */
	CONF_ADDRESS_SYSTEMD, /* a socket that systemd has bound and passes on */
};

struct conf_address {
	enum conf_address_kind kind;
	struct sockaddr_storage addr; /* empty for CONF_ADDRESS_SYSTEMD, with length 0 */
	socklen_t length;
	bool is_dual_stack; /* "*:PORT": an IPv6 socket that takes IPv4 as well */
	char name[256];	    /* of "systemd:NAME" */
};

/* The most ports that one range may mean. */
#define CONF_ADDRESS_PORTS_MAX 1024

/*
 * "HOST:PORT" (IPv4), "[V6]:PORT" and "[V6%scope]:PORT" (IPv6 only), "*:PORT" (dual stack), each
 * with "PORT-PORT" for a range; where `is_unix`, "/PATH" and "@NAME" instead; "systemd:NAME" in
 * both. Returns 0 with *ret_count, the number of consecutive ports that are meant, the first of
 * them in *ret; or -EINVAL with *ret_reason, a static sentence part such as "the port is missing".
 */
int conf_address_parse(const char *text, bool is_unix, struct conf_address *ret,
		       unsigned *ret_count, const char **ret_reason);

/* The address in the configuration's notation, with its real port; returns buf. */
const char *conf_address_format(const struct conf_address *address, char *buf, size_t size);

/* "systemd:" and a name of 255 bytes are the longest. */
#define CONF_ADDRESS_TEXT_SIZE 272

/* 0 for what has no port. */
unsigned conf_address_port(const struct conf_address *address);

/* Only for CONF_ADDRESS_INET. */
void conf_address_set_port(struct conf_address *address, unsigned port);

/* Whether it is "@NAME", which is not in the file system. */
bool conf_address_is_abstract(const struct conf_address *address);

/* Whether a socket on one would keep another of the same type from being bound on the other: same
 * port (not 0) and the same host or a wildcard that covers it, same path or abstract name, same
 * name of systemd. */
bool conf_address_overlaps(const struct conf_address *a, const struct conf_address *b);

#endif
