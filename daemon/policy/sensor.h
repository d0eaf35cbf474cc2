/*
 * sensor.h - access.sensor: a listener that nobody has business with. Whoever connects to it is
 * reported to the supervisor, which has all listeners refuse him for a while (ipc/bans.h).
 */
#ifndef POLICY_SENSOR_H
#define POLICY_SENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/prefix.h"
#include "ipc/bans.h"
#include "ipc/scoreboard.h"

/* So many reports of one worker in a second are sent, and taken. */
#define SENSOR_MOST_REPORTS 10
/* Of them at most so many are about those who are banned already: however often they come, others
 * can be reported. */
#define SENSOR_MOST_RENEWALS 5
/* Who is banned is reported again when one part of so many of his ban is over, and a second. */
#define SENSOR_RENEWED_AFTER 8

struct sensor {
	int64_t ban_ns; /* 0: the listener is none */
	struct prefix *excepts;
	size_t except_count;
	/* A pair of sockets inside of the worker: its flows, forked children too, write addresses
	 * to the one, its control flow reads them from the other. -1: none; not owned */
	int report_fd, relay_fd;
};

/* `excepts` are what prefix_parse takes; others are left out. */
void sensor_open(struct sensor *sensor, int64_t ban_ms, char *const *excepts, size_t count);
void sensor_close(struct sensor *sensor);

/* Whether this client, whose address is two numbers as bans.h has them, falls for it: the loopback
 * and those that are excepted do not. */
bool sensor_catches(const struct sensor *sensor, uint64_t hi, uint64_t lo);

/* What is written for one client. */
struct sensor_report {
	uint64_t hi, lo;
};

/* From any flow of a worker: tells its control flow, unless the supervisor has banned him for about
 * as long already, or was told much in this second. Never waits. */
void sensor_report(const struct sensor *sensor, const struct bans_page *page,
		   struct scoreboard *board, uint64_t hi, uint64_t lo);

#endif
