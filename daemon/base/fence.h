/*
 * fence.h - fences between what one process writes and another one reads.
 *
 * ThreadSanitizer knows none, and gcc warns where it is asked for; it sees one process only, so
 * nothing is lost where they are left out for it.
 */
#ifndef BASE_FENCE_H
#define BASE_FENCE_H

#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define FENCE(order) atomic_signal_fence(order)
#else
#define FENCE(order) atomic_thread_fence(order)
#endif

#endif
