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

enum mode { MODE_RR, MODE_CRR, MODE_IDLE, MODE_FLOOD, MODE_PACED, MODE_REFUSED };

struct address {
	int family;
	int type;
	struct sockaddr_storage name;
	socklen_t length;
	bool on_loopback; /* of IPv4 */
	unsigned sources; /* addresses there that connections begin from; 0: the kernel's choice */
};

struct options {
	enum mode mode;
	int connections;
	int active;   /* requests under way at the same time */
	int pipeline; /* messages that are sent without waiting for an answer */
	int slow;     /* further connections that read at a trickle */
	bool hold;    /* wait for a line before, and for the end of input after the time */
	double seconds;
	double rate; /* connections per second, of MODE_PACED */
	size_t size;
	uint64_t datagrams;
	struct address peer;
};

/* Ends the program when the command line is wrong. */
void options_parse(int argc, char **argv, struct options *ret);

/* --- load_socket.c --- */

/* As many descriptors as the system lets this process have. */
void socket_raise_limit(void);

/* A socket that does not block and is being connected to PEER. RECEIVE_BUFFER bytes of buffer, 0
 * leaves it to the system. -1 when that failed at once. */
int socket_connect(const struct address *peer, int receive_buffer);

/* --- load_latency.c: a histogram --- */

void latency_add(int64_t ns);
uint64_t latency_count(void);
double latency_percentile_us(double share);

/* --- load_echo.c: clients that wait for their answers --- */

struct echo_result {
	uint64_t answered; /* messages */
	uint64_t errors, lost;
	double seconds;
};

/* Makes the clients; those that stay connected have echoed one message each then. 0, or -1. */
int echo_prepare(const struct options *options);

/* Keeps them busy until the time is up. */
void echo_run(struct echo_result *ret);

/* --- load_slow.c: clients that are sent more than they read --- */

/* Connects COUNT of them to PEER and sends until nothing is taken any more. 0, or -1. */
int slow_prepare(const struct address *peer, int count);

/* What is due of their reading and sending; to be called every SLOW_TICK_MS. */
void slow_tick(void);
#define SLOW_TICK_MS 10

/* --- load_flood.c --- */

/* Sends COUNT datagrams of SIZE bytes as fast as it can and prints the result. An exit status. */
int flood_run(const struct address *peer, uint64_t count, size_t size);

/* --- load_paced.c --- */

/* Makes RATE connections per second and prints a line for each. An exit status. */
int paced_run(const struct address *peer, double rate, double seconds, size_t size);

#endif
