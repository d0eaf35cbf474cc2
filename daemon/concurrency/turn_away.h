/*
 * turn_away.h - what happens to clients that may not come in.
 */
#ifndef CONCURRENCY_TURN_AWAY_H
#define CONCURRENCY_TURN_AWAY_H

#include "concurrency/concurrency.h"
#include "policy/admission.h"

/* Counts and logs it, and closes the connection. */
void turn_away_connection(const struct concurrency *mode, const struct admission_peer *peer,
			  enum close_reason reason);

/* Counts and logs it: a datagram that was read is gone. */
void turn_away_datagram(const struct concurrency *mode, const struct admission_peer *peer,
			enum close_reason reason);

#endif
