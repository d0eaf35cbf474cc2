/*
 * offload.c - the helper threads: a queue, and as many threads as have something to do.
 */
#include "concurrency/offload.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "concurrency/crash.h"
#include "concurrency/fiber.h"

/* Name servers that do not answer hold up each thread that asks them for some seconds. */
#define OFFLOAD_MOST_THREADS 64
#define OFFLOAD_IDLE_NS (10 * CLOCK_NS_PER_S)
#define OFFLOAD_STACK_SIZE ((size_t)256 * 1024)

void
offload_init(struct offload *offload)
{
	pthread_condattr_t attributes;

	*offload = (struct offload){0};
	offload->last = &offload->first;
	(void)pthread_mutex_init(&offload->lock, NULL);
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&offload->called, &attributes);
	(void)pthread_condattr_destroy(&attributes);
}

/* Under the lock: the next job, waiting for one for a while; NULL: there was none. */
static struct offload_job *
offload_next(struct offload *offload)
{
	int64_t until_ns = clock_now_ns() + OFFLOAD_IDLE_NS;
	struct timespec until = {
		.tv_sec = until_ns / CLOCK_NS_PER_S,
		.tv_nsec = until_ns % CLOCK_NS_PER_S,
	};
	struct offload_job *job;
	int r = 0;

	offload->idle++;
	while (offload->first == NULL && r == 0)
		r = pthread_cond_timedwait(&offload->called, &offload->lock, &until);
	offload->idle--;
	job = offload->first;
	if (job == NULL)
		return NULL;
	offload->first = job->next;
	if (offload->first == NULL)
		offload->last = &offload->first;
	offload->waiting--;
	return job;
}

/* The function has called pthread_exit: its fiber would wait for ever. */
static void
offload_on_escape(void *argument)
{
	(void)argument;
	log_error("a function that was given to hd_offload has ended its helper thread; that ends "
		  "the "
		  "worker");
	abort();
}

static void *
offload_run(void *argument)
{
	struct offload *offload = argument;
	struct offload_job *job;

	crash_begin_thread(NULL);
	(void)pthread_mutex_lock(&offload->lock);
	while ((job = offload_next(offload)) != NULL) {
		struct fiber *fiber = job->fiber;

		(void)pthread_mutex_unlock(&offload->lock);
		crash_set_flow(job->slot, NULL, 0);
		pthread_cleanup_push(offload_on_escape, offload);
		job->run(job->argument);
		pthread_cleanup_pop(0);
		crash_set_flow(NULL, NULL, 0);
		fiber_wake_done(fiber, &job->is_done);
		(void)pthread_mutex_lock(&offload->lock);
	}
	offload->threads--;
	(void)pthread_mutex_unlock(&offload->lock);
	crash_end_thread();
	return NULL;
}

/* Under the lock. 0 or a negative errno. */
static int
offload_make_thread(struct offload *offload)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int r = pthread_attr_init(&attributes);

	if (r != 0)
		return -r;
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	(void)pthread_attr_setstacksize(&attributes, OFFLOAD_STACK_SIZE);
	r = pthread_create(&thread, &attributes, offload_run, offload);
	(void)pthread_attr_destroy(&attributes);
	offload->threads += r == 0;
	return -r;
}

int
offload_start(struct offload *offload, struct offload_job *job, struct fiber *fiber)
{
	int r = 0;

	job->fiber = fiber;
	(void)pthread_mutex_lock(&offload->lock);
	if (offload->waiting >= offload->idle && offload->threads < OFFLOAD_MOST_THREADS)
		r = offload_make_thread(offload);
	/* with fewer threads than there might be it takes longer */
	if (r == 0 || offload->threads > 0) {
		r = 0;
		*offload->last = job;
		offload->last = &job->next;
		offload->waiting++;
		(void)pthread_cond_signal(&offload->called);
	}
	(void)pthread_mutex_unlock(&offload->lock);
	return r;
}
