/*
 * channel.c - message framing on SOCK_SEQPACKET.
 */
#include "ipc/channel.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

int
channel_open(int ret_ends[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_ends) < 0)
		return -errno;
	return 0;
}

/* Room for one descriptor; aligned as it is, a second one fits in. */
union channel_control {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(sizeof(int))];
};
#define CHANNEL_MOST_FDS ((CMSG_SPACE(sizeof(int)) - CMSG_LEN(0)) / sizeof(int))

/* With control, what it holds goes along. */
static int
channel_send_message(int fd, const struct protocol_header *header, const struct buf *payload,
		     union channel_control *control)
{
	struct iovec iov[2] = {
		{.iov_base = (void *)header, .iov_len = sizeof(*header)},
		{.iov_base = payload != NULL ? payload->data : NULL,
		 .iov_len = payload != NULL ? payload->length : 0},
	};
	struct msghdr msg = {
		.msg_iov = iov,
		.msg_iovlen = 2,
		.msg_control = control,
		.msg_controllen = control != NULL ? sizeof(*control) : 0,
	};
	ssize_t n;

	if (iov[1].iov_len > PROTOCOL_MESSAGE_SIZE - sizeof(*header))
		return -EMSGSIZE;
	do {
		n = sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : 0;
}

int
channel_send_version(int fd, uint16_t version, uint32_t generation, enum protocol_type type,
		     const struct buf *payload)
{
	struct protocol_header header = {
		.version = version,
		.type = (uint16_t)type,
		.generation = generation,
	};

	return channel_send_message(fd, &header, payload, NULL);
}

int
channel_send(int fd, uint32_t generation, enum protocol_type type, const struct buf *payload)
{
	return channel_send_version(fd, PROTOCOL_VERSION, generation, type, payload);
}

int
channel_send_fd(int fd, uint32_t generation, enum protocol_type type, const struct buf *payload,
		int passed_fd)
{
	struct protocol_header header = {
		.version = PROTOCOL_VERSION,
		.type = (uint16_t)type,
		.generation = generation,
	};
	union channel_control control = {0};

	control.header.cmsg_level = SOL_SOCKET;
	control.header.cmsg_type = SCM_RIGHTS;
	control.header.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.header), &passed_fd, sizeof(int));
	return channel_send_message(fd, &header, payload, &control);
}

/* An empty packet reads like an end of file. */
static bool
channel_is_closed(int fd)
{
	struct pollfd row = {.fd = fd, .events = POLLRDHUP};

	return poll(&row, 1, 0) > 0;
}

/* Without control, descriptors do not get in; with it, *ret_size is how much of it was used. */
static int
channel_receive_message(int fd, struct channel_message *ret, union channel_control *control,
			size_t *ret_size)
{
	struct protocol_header header;
	struct iovec iov = {.iov_base = ret->bytes, .iov_len = sizeof(ret->bytes)};
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = control != NULL ? sizeof(*control) : 0,
	};
	ssize_t n;

	do {
		n = recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	*ret_size = n < 0 ? 0 : msg.msg_controllen;
	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return channel_is_closed(fd) ? 0 : -EBADMSG;
	if ((size_t)n < sizeof(header) || (msg.msg_flags & MSG_TRUNC) != 0)
		return -EBADMSG;
	memcpy(&header, ret->bytes, sizeof(header));
	if (header.version < PROTOCOL_OLDEST || header.version > PROTOCOL_VERSION)
		return -EBADMSG;
	ret->version = header.version;
	ret->type = (enum protocol_type)header.type;
	ret->generation = header.generation;
	ret->payload = (struct buf_reader){
		.data = ret->bytes + sizeof(header),
		.length = (size_t)n - sizeof(header),
	};
	return 1;
}

int
channel_look(int fd)
{
	char byte;
	struct iovec iov = {.iov_base = &byte, .iov_len = 1};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n;

	/* a reset is told once, whatever is left to be read */
	do {
		n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);
	} while (n < 0 && (errno == EINTR || errno == ECONNRESET));
	if (n < 0)
		return errno == EAGAIN ? CHANNEL_NOTHING : -errno;
	/* there is no room for them, which is told; and the message still has them */
	return (msg.msg_flags & MSG_CTRUNC) != 0 ? CHANNEL_FDS : CHANNEL_CLEAN;
}

ssize_t
channel_receive_bytes(int fd, void *bytes, size_t size)
{
	struct iovec iov = {.iov_base = bytes, .iov_len = size};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	ssize_t n = recvmsg(fd, &msg, MSG_PEEK | MSG_DONTWAIT);

	if (n >= 0 && (msg.msg_flags & MSG_CTRUNC) != 0)
		return -EPERM;
	/* what was seen, and nothing that has come since; an empty message, too */
	if (n >= 0)
		n = recv(fd, bytes, (size_t)n, MSG_DONTWAIT);
	return n < 0 ? -errno : n;
}

int
channel_receive(int fd, struct channel_message *ret)
{
	size_t size;

	return channel_receive_message(fd, ret, NULL, &size);
}

/* How many descriptors came along. */
static size_t
channel_count_fds(const union channel_control *control, size_t size)
{
	size_t count;

	if (size < CMSG_LEN(sizeof(int)) || control->header.cmsg_level != SOL_SOCKET ||
	    control->header.cmsg_type != SCM_RIGHTS ||
	    control->header.cmsg_len < CMSG_LEN(sizeof(int)))
		return 0;
	count = (control->header.cmsg_len - CMSG_LEN(0)) / sizeof(int);
	return count < CHANNEL_MOST_FDS ? count : CHANNEL_MOST_FDS;
}

int
channel_receive_fd(int fd, struct channel_message *ret, int *ret_fd)
{
	union channel_control control = {0};
	int fds[CHANNEL_MOST_FDS];
	size_t size, count;
	int r = channel_receive_message(fd, ret, &control, &size);

	*ret_fd = -1;
	count = channel_count_fds(&control, size);
	memcpy(fds, CMSG_DATA(&control.header), count * sizeof(int));
	if (r == 1 && count == 1) {
		*ret_fd = fds[0];
		return r;
	}
	for (size_t i = 0; i < count; i++)
		(void)close(fds[i]);
	return r;
}
