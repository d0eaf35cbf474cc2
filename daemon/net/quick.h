/*
 * quick.h - system calls on the way of every message, without what the C library adds.
 *
 * In a process with threads its recv, send and the like are cancellation points: two locked
 * instructions around each. No flow here is ever cancelled that way. Sanitizers watch the C
 * library's functions, so their builds have those.
 */
#ifndef NET_QUICK_H
#define NET_QUICK_H

#include <stddef.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define QUICK_IS_WATCHED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define QUICK_IS_WATCHED 1
#endif

/* Machines of 64 bits pass all arguments as they are. */
#if defined(__LP64__) && !defined(QUICK_IS_WATCHED) && defined(SYS_recvfrom) && defined(SYS_sendto)

static inline ssize_t
quick_recv(int fd, void *buf, size_t size, int flags)
{
	return (ssize_t)syscall(SYS_recvfrom, fd, buf, size, flags, NULL, NULL);
}

static inline ssize_t
quick_send(int fd, const void *buf, size_t size, int flags)
{
	return (ssize_t)syscall(SYS_sendto, fd, buf, size, flags, NULL, 0);
}

static inline ssize_t
quick_sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
	     socklen_t length)
{
	return (ssize_t)syscall(SYS_sendto, fd, buf, size, flags, to, length);
}

static inline int
quick_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return (int)syscall(SYS_recvmmsg, fd, messages, count, flags, NULL);
}

static inline int
quick_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms)
{
	return (int)syscall(SYS_epoll_pwait, epoll_fd, events, count, timeout_ms, NULL, 0);
}

#else

static inline ssize_t
quick_recv(int fd, void *buf, size_t size, int flags)
{
	return recv(fd, buf, size, flags);
}

static inline ssize_t
quick_send(int fd, const void *buf, size_t size, int flags)
{
	return send(fd, buf, size, flags);
}

static inline ssize_t
quick_sendto(int fd, const void *buf, size_t size, int flags, const struct sockaddr *to,
	     socklen_t length)
{
	return sendto(fd, buf, size, flags, to, length);
}

static inline int
quick_recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags)
{
	return recvmmsg(fd, messages, count, flags, NULL);
}

static inline int
quick_epoll_wait(int epoll_fd, struct epoll_event *events, int count, int timeout_ms)
{
	return epoll_wait(epoll_fd, events, count, timeout_ms);
}

#endif

#endif
