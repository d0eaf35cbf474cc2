/*
 * load.h - what the parts of the load generator share.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <time.h>

static inline int64_t
now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

/* --- load_options.c: what to do --- */

enum mode { MODE_RR, MODE_CRR, MODE_FLOOD, MODE_PACED };

struct address {
	int family;
	int type;
	struct sockaddr_storage name;
	socklen_t length;
	bool on_loopback; /* of IPv4 */
};

struct options {
	enum mode mode;
	int connections;
	double seconds;
	double rate; /* connections per second, of MODE_PACED */
	size_t size;
	uint64_t datagrams;
	struct address peer;
};

/* Ends the program when the command line is wrong. */
void options_parse(int argc, char **argv, struct options *ret);

/* --- load_latency.c: a histogram --- */

void latency_add(int64_t ns);
uint64_t latency_count(void);
double latency_percentile_us(double share);

/* --- load_flood.c --- */

/* Sends COUNT datagrams of SIZE bytes as fast as it can and prints the result. An exit status. */
int flood_run(const struct address *peer, uint64_t count, size_t size);

/* --- load_paced.c --- */

/* Makes RATE connections per second and prints a line for each. An exit status. */
int paced_run(const struct address *peer, double rate, double seconds, size_t size);

#endif
