/*
 * visits - counts visitors, in memory that threads and forked children share, and keeps the name of
 * the last one. The same code serves every concurrency.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <handlerd/handler.h>
#include <pthread.h>
#include <string.h>

struct visits {
	pthread_mutex_t lock; /* guards what follows */
	unsigned long count;
	char last[64];
};

static int start(struct hd_server *server);

HD_HANDLER(.name = "visits", .version = "1.0.0", .summary = "Counts visitors",
	   .flags = HD_STREAM | HD_THREADS | HD_FIBERS, .server_start = start);

static int
start(struct hd_server *server)
{
	struct visits *visits = hd_server_shared(server, sizeof(*visits)); /* zeroed */
	pthread_mutexattr_t attributes;
	int r;

	if (visits == NULL)
		return -ENOMEM;
	/* children are processes; and one that dies must not keep the lock for ever */
	r = pthread_mutexattr_init(&attributes);
	if (r == 0)
		r = pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
	if (r == 0)
		r = pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
	if (r == 0)
		r = pthread_mutex_init(&visits->lock, &attributes);
	hd_server_set_data(server, visits);
	return -r; /* pthread functions return a positive errno */
}

static int
visits_lock(struct visits *visits)
{
	int r = pthread_mutex_lock(&visits->lock);

	/* whoever held it died; a counter and a text need no repair */
	if (r == EOWNERDEAD)
		r = pthread_mutex_consistent(&visits->lock);
	return -r;
}

int
handle(struct hd_request *req)
{
	struct visits *visits = hd_server_data(hd_request_server(req));
	unsigned long count;
	char last[sizeof(visits->last)];
	int r = visits_lock(visits);

	if (r < 0)
		return r;
	count = ++visits->count;
	memcpy(last, visits->last, sizeof(last));
	strncpy(visits->last, hd_client_name(req), sizeof(visits->last) - 1);
	(void)pthread_mutex_unlock(&visits->lock); /* never wait for a client with a lock held */
	return hd_printf(req, "visitor %lu; before you: %s\n", count,
			 last[0] != '\0' ? last : "nobody");
}
