/*
 * fiber.h - one fiber: a flow of control with a stack of its own, that runs on one thread for all
 * its life and gives way to others where it would wait.
 *
 *	FREE --start--> RUNNING --park--> PARKED --wake--> QUEUED --its turn--> RUNNING
 *	  ^                |  |                              ^
 *	  +----- over -----+  +----------- yield ------------+
 *
 * A fiber serves one request after the other; between two of them it is FREE. Its memory goes back
 * when it was not needed for a while.
 */
#ifndef CONCURRENCY_FIBER_H
#define CONCURRENCY_FIBER_H

#include <stdbool.h>
#include <stdint.h>

#include "api/request.h"
#include "concurrency/fiber_context.h"
#include "concurrency/fiber_stack.h"

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_HAS_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_HAS_ASAN 1
#endif
#endif

#if defined(__SANITIZE_THREAD__)
#define FIBER_HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FIBER_HAS_TSAN 1
#endif
#endif

struct fiber_thread;
struct session;

enum fiber_state {
	FIBER_FREE,
	FIBER_RUNNING,
	FIBER_PARKED,
	FIBER_QUEUED,
};

/* A flow of a thread: a fiber, or the thread's own loop. */
struct fiber_flow {
	struct fiber_context context;
#if defined(FIBER_HAS_ASAN)
	const void *stack_low; /* as AddressSanitizer has it */
	size_t stack_size;
	void *fake_stack;
#endif
#if defined(FIBER_HAS_TSAN)
	void *tsan; /* ThreadSanitizer's */
#endif
};

/* What valgrind was told. */
struct fiber_tools {
	unsigned valgrind_id;
};

/* What the C++ ABI keeps for each thread: exceptions that are being handled. */
struct fiber_exceptions {
	void *caught;
	unsigned uncaught;
#if defined(__ARM_EABI_UNWINDER__)
	void *propagating;
#endif
};

struct fiber {
	/* What a turn of it needs is together: a cache line, and the first ones of the request. */
	struct fiber_flow flow;
	struct fiber_thread *thread; /* not owned */
	struct fiber *next;	     /* of the queue, or of the free ones */
	int64_t deadline_ns;	     /* of this wait; FIBER_NEVER: none */
	struct fiber_stack stack;
	uint32_t index; /* in thread->table */
	uint32_t use;	/* which of its requests this is: what the kernel tells of an older one is
			   ignored */
	enum fiber_state state;
	bool is_late;	     /* the deadline has passed */
	uint8_t idle_rounds; /* of tidying, that it has not run; with the second its stack is
				trimmed */
	bool has_slot;	     /* of the scoreboard */
	bool is_in_inbox;    /* guarded by thread->inbox_lock, as next_woken */
	_Alignas(64) struct hd_request request;

	int64_t timer_ns; /* when its timer goes off, which may be before the deadline */
	uint32_t timer;	  /* place in the heap, from 1; 0: none is set */
	struct fiber *next_woken;
	struct session *session;	    /* of a UDP peer that it serves; not owned */
	struct fiber_exceptions exceptions; /* its own, while others run */
	struct fiber_tools tools;
};

#define FIBER_NEVER INT64_MAX

/* In its thread. A new one, which is FREE; NULL: there is no memory, or no more mappings. */
struct fiber *fiber_make(struct fiber_thread *thread);
/* Of one that is FREE. */
void fiber_destroy(struct fiber *fiber);

/* In its thread's loop: it runs until it parks, yields or is over. */
void fiber_resume(struct fiber *fiber);

/* In the fiber itself: others run until fiber_wake, or until its deadline. It must look whether
 * what it waits for is there: others may have woken it. */
void fiber_park(struct fiber *fiber, int64_t deadline_ns);
/* In the fiber itself: others have their turn first. */
void fiber_yield(struct fiber *fiber);

/* From any flow, of any thread: it goes on if it is parked, or does not park the next time. */
void fiber_wake(struct fiber *fiber);
/* The same, together with the flag that it waits for: it may be gone as soon as it sees that. */
void fiber_wake_done(struct fiber *fiber, _Atomic bool *is_done);
/* The same from its own thread. */
void fiber_queue(struct fiber *fiber);

#endif
