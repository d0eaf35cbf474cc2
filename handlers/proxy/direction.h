/*
 * direction.h - one of the two directions of a proxied connection.
 *
 *	           full pieces, several in a row
 *	copies  ---------------------------------->  splices
 *	   ^  <----------------------------------      |
 *	   |         small ones, several in a row      |
 *	   |                                           |
 *	   +-- the end of the input, what is held has been sent, or sending failed --> is over
 */
#ifndef PROXY_DIRECTION_H
#define PROXY_DIRECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hd_request;

struct direction {
	struct hd_request *from, *to; /* not owned; neither ever waits: hd_set_timeout(0) */
	unsigned char *data;	      /* not owned */
	size_t start, end, room;      /* what is held of it */

	int pipe[2];  /* owned; -1 while it copies */
	size_t piped; /* what is held in the pipe */
	bool can_splice, splices;
	size_t last;	   /* the size of the piece before */
	unsigned in_a_row; /* pieces that speak for the other way of moving */

	bool is_at_end; /* nothing more comes in */
	bool is_over;	/* and all of it went out, or nothing can go out any more */
	bool is_cut;	/* receiving failed: there was more, and nobody knows what */
	int error;	/* with which receiving or sending failed, else 0 */
	uint64_t moved; /* bytes that went out */
};

void direction_open(struct direction *direction, struct hd_request *from, struct hd_request *to,
		    void *data, size_t room, bool can_splice);
void direction_close(struct direction *direction);

/* What it waits for. */
bool direction_wants_input(const struct direction *direction);
bool direction_wants_output(const struct direction *direction);

/* Moves what can be moved without waiting: asks for input if there is some, and gives out what is
 * held. */
void direction_move(struct direction *direction, bool is_readable, bool is_writable);

#endif
