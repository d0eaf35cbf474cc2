/*
 * fingerprint.h - what is set on a socket that clients come to. A worker has it too, and may set
 * whatever the kernel lets it; what it has set outlives it. So all that can be asked for is noted
 * before a worker gets the socket, and put back later where it differs.
 *
 * What cannot be asked for (keys of TCP-MD5 and TCP-AO, groups of multicast) is not in it.
 */
#ifndef NET_FINGERPRINT_H
#define NET_FINGERPRINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FINGERPRINT_MOST_OPTIONS 112
#define FINGERPRINT_VALUE_SIZE 16
/* For the names of what was put back. */
#define FINGERPRINT_NAMES_SIZE 96

struct fingerprint_value {
	bool is_there; /* this socket has such an option */
	uint8_t length;
	unsigned char bytes[FINGERPRINT_VALUE_SIZE];
};

struct fingerprint {
	struct fingerprint_value values[FINGERPRINT_MOST_OPTIONS]; /* rows of a table */
	bool is_known;
};

void fingerprint_take(int fd, struct fingerprint *ret);

/*
 * Puts back what differs. Returns 0 if nothing did, 1 if all is as it was again, with the options'
 * names in `names` ("IP_MINTTL, SO_RCVBUF"), or a negative errno for one that cannot be put back,
 * whose name alone is in `names` then: the socket is spoilt for good.
 */
int fingerprint_put_back(int fd, const struct fingerprint *fingerprint,
			 char names[FINGERPRINT_NAMES_SIZE]);

/* The configuration has changed options: what differs between two sockets that were made as it was
 * and as it is becomes part of the fingerprint. */
void fingerprint_follow(struct fingerprint *fingerprint, const struct fingerprint *before,
			const struct fingerprint *now);

/* Leaves out what listening alone may change: for one that was taken from a socket that does not
 * listen. */
void fingerprint_forget_listening(struct fingerprint *fingerprint);

/* As a text of names and values, for the caller to free, and back. What such a text has that is not
 * known here is left out, and what is known here and not in it stays as it is. */
char *fingerprint_format(const struct fingerprint *fingerprint);
void fingerprint_parse(const char *text, struct fingerprint *to);

#endif
