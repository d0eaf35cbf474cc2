/*
 * admit.c - what a worker knows of who may come in: the pages that it was given, and its settings.
 *
 * A descriptor that only reads is no wall: who is of the user that the file belongs to, which is
 * the supervisor's where that is not root, opens it anew by /proc/self/fd, to write. So the pages
 * are mapped before a line of the handler runs, and the descriptors are gone by then. The mapping
 * of one that only reads can never be written.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ipc/protocol.h"
#include "worker/worker.h"

/* The scoreboards of older generations, which its own handler must not write to either, and what is
 * left of the rates of workers that are gone. */
static int
admit_open_older(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	int vacancy_fd = WORKER_FD_SOCKETS + (int)settings->socket_count;
	int r = older_open(&worker->mode.older, vacancy_fd, vacancy_fd + 1, settings->older_slots,
			   settings->older_sets, settings->older_count);

	worker_count_older(worker);
	return r;
}

int
worker_open_pages(struct worker *worker)
{
	const struct worker_settings *settings = &worker->settings;
	struct admission *admission = &worker->server.admission;
	int r;

	/* where one was not handed over, its number may be another's by now */
	if (settings->has_access) {
		r = access_map(WORKER_FD_ACCESS, &admission->access);
		if (r < 0)
			return r;
		(void)close(WORKER_FD_ACCESS);
		admission->is_asked = admission->has_rules = true;
	}
	if (settings->protocol == WORKER_TCP || settings->protocol == WORKER_UDP) {
		admission->bans = bans_map(WORKER_FD_BANS);
		if (admission->bans == NULL)
			return -EBADF;
		(void)close(WORKER_FD_BANS);
	}
	if (worker_is_datagram(settings)) {
		worker->server.ports = ports_map(WORKER_FD_PORTS);
		if (worker->server.ports == NULL)
			return -EBADF;
		(void)close(WORKER_FD_PORTS);
	}
	r = admit_open_older(worker);
	if (r < 0 || settings->sensor_ms == 0)
		return r;
	sensor_open(&admission->sensor, (int64_t)settings->sensor_ms, settings->sensor_excepts,
		    settings->sensor_except_count);
	admission->is_asked = admission->has_rules = true;
	return 0;
}

/* What flows have written for the supervisor. A forked child has no way to it, and this one leads
 * no further than to a ban. */
static void
admit_on_report(struct loop_source *source, uint32_t events)
{
	struct worker *worker = CONTAINER_OF(source, struct worker, sensor);
	struct sensor_report report;

	(void)events;
	for (int i = 0; i < SENSOR_MOST_REPORTS; i++) {
		struct buf payload = {0};

		if (recv(source->fd, &report, sizeof(report), MSG_DONTWAIT | MSG_TRUNC) !=
		    (ssize_t)sizeof(report))
			return;
		buf_add_u64(&payload, report.hi);
		buf_add_u64(&payload, report.lo);
		worker_send(worker, PROTOCOL_SENSED, &payload);
		buf_free(&payload);
	}
}

int
worker_open_sensor(struct worker *worker)
{
	struct sensor *sensor = &worker->server.admission.sensor;
	int fds[2];

	if (sensor->ban_ns == 0)
		return 0;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds) < 0)
		return -errno;
	sensor->report_fd = fds[0];
	sensor->relay_fd = fds[1];
	worker->sensor = (struct loop_source){.fd = fds[1], .on_event = admit_on_report};
	return loop_add(&worker->loop, &worker->sensor, EPOLLIN);
}
