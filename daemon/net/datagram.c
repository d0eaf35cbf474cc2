/*
 * datagram.c - receiving and sending with control data. The plain calls are used where nothing but
 * bytes and the sender's address is to be had: they cost less.
 */
#include "net/datagram.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "net/quick.h"

/* A socket for both families tells an IPv4 address in both ways. */
union datagram_control {
	char paths[CMSG_SPACE(sizeof(struct in6_pktinfo)) + CMSG_SPACE(sizeof(struct in_pktinfo))];
	char credentials[CMSG_SPACE(sizeof(struct ucred))];
	struct cmsghdr header;
};

int
datagram_socket_open(int fd, struct datagram_socket *ret)
{
	struct sockaddr_storage addr = {0};
	struct sockaddr_in in;
	struct sockaddr_in6 in6;
	socklen_t length = sizeof(addr);

	if (getsockname(fd, (struct sockaddr *)&addr, &length) < 0)
		return -errno;
	memcpy(&in, &addr, sizeof(in));
	memcpy(&in6, &addr, sizeof(in6));
	*ret = (struct datagram_socket){.fd = fd, .family = addr.ss_family};
	if (addr.ss_family == AF_INET)
		ret->has_control = in.sin_addr.s_addr == htonl(INADDR_ANY);
	else if (addr.ss_family == AF_INET6)
		ret->has_control = IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr);
	else
		ret->has_control = true;
	return 0;
}

void
datagram_path_local(const struct datagram_path *path, struct sockaddr_storage *addr,
		    socklen_t *length)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_addr = path->in};
	struct sockaddr_in6 in6;

	if (path->family == AF_INET) {
		/* it stands at the same place in both families */
		in.sin_port = ((const struct sockaddr_in *)addr)->sin_port;
		memcpy(addr, &in, sizeof(in));
		*length = sizeof(in);
	} else if (path->family == AF_INET6 && addr->ss_family == AF_INET6) {
		memcpy(&in6, addr, sizeof(in6));
		in6.sin6_addr = path->in6;
		in6.sin6_scope_id = path->interface;
		memcpy(addr, &in6, sizeof(in6));
	}
}

int
datagram_init(struct datagram *datagram, size_t room)
{
	*datagram = (struct datagram){.room = room};
	datagram->data = malloc(room);
	return datagram->data == NULL ? -ENOMEM : 0;
}

void
datagram_free(struct datagram *datagram)
{
	free(datagram->data);
	*datagram = (struct datagram){0};
}

static void
datagram_take_in(const struct cmsghdr *header, struct datagram *ret)
{
	struct in_pktinfo info;

	memcpy(&info, CMSG_DATA(header), sizeof(info));
	/* for a broadcast it is the address of the interface: one that can be answered from */
	ret->path.family = AF_INET;
	ret->path.in = info.ipi_spec_dst;
}

static void
datagram_take_in6(const struct cmsghdr *header, struct datagram *ret)
{
	struct in6_pktinfo info;

	memcpy(&info, CMSG_DATA(header), sizeof(info));
	if (IN6_IS_ADDR_MULTICAST(&info.ipi6_addr))
		return;
	ret->path.family = AF_INET6;
	ret->path.in6 = info.ipi6_addr;
	/* elsewhere the way back is for the routes to choose */
	if (IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr))
		ret->path.interface = info.ipi6_ifindex;
}

static void
datagram_take_control(struct msghdr *message, struct datagram *ret)
{
	ret->path = (struct datagram_path){0};
	ret->has_credentials = false;
	for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header != NULL;
	     header = CMSG_NXTHDR(message, header)) {
		if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO)
			datagram_take_in(header, ret);
		else if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO)
			datagram_take_in6(header, ret);
		else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_CREDENTIALS) {
			memcpy(&ret->credentials, CMSG_DATA(header), sizeof(ret->credentials));
			ret->has_credentials = true;
		} else if (header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS) {
			/* there is no room for one beside the credentials; be sure */
			for (size_t at = CMSG_LEN(0); at + sizeof(int) <= header->cmsg_len;
			     at += sizeof(int)) {
				int fd;

				memcpy(&fd, (const char *)header + at, sizeof(fd));
				(void)close(fd);
			}
		}
	}
}

/* Room for a descriptor beside the credentials would let a client open files in this process. */
static size_t
datagram_control_size(const struct datagram_socket *socket)
{
	union datagram_control control;

	if (!socket->has_control)
		return 0;
	return socket->family == AF_UNIX ? sizeof(control.credentials) : sizeof(control.paths);
}

/* Where one message is to go. */
static void
datagram_point(const struct datagram_socket *socket, struct datagram *datagram, struct iovec *iov,
	       union datagram_control *control, struct msghdr *ret)
{
	*iov = (struct iovec){.iov_base = datagram->data, .iov_len = datagram->room};
	*ret = (struct msghdr){
		.msg_name = &datagram->client,
		.msg_namelen = sizeof(datagram->client),
		.msg_iov = iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = datagram_control_size(socket),
	};
}

/* False: it was too long. */
static bool
datagram_take(struct datagram *datagram, struct msghdr *message, size_t length)
{
	/* descriptors come with a datagram that is too long, too */
	datagram_take_control(message, datagram);
	if ((message->msg_flags & MSG_TRUNC) != 0)
		return false;
	datagram->length = length;
	datagram->client_length =
		message->msg_namelen > sizeof(sa_family_t) ? message->msg_namelen : 0;
	return true;
}

/* More of those in a row have a cause that lasts. */
#define DATAGRAM_MOST_PASSING 16

/* A signal or what the network says of an earlier answer: the next call may do. */
static bool
datagram_is_passing(int error, int *tries)
{
	if (error != EINTR && error != ECONNREFUSED && error != EHOSTUNREACH &&
	    error != ENETUNREACH && error != ENETDOWN)
		return false;
	return ++*tries < DATAGRAM_MOST_PASSING;
}

static int
datagram_receive_plain(const struct datagram_socket *socket, struct datagram *ret)
{
	int tries = 0;
	ssize_t n;

	do {
		ret->client_length = sizeof(ret->client);
		n = recvfrom(socket->fd, ret->data, ret->room, MSG_DONTWAIT | MSG_TRUNC,
			     (struct sockaddr *)&ret->client, &ret->client_length);
	} while (n < 0 && datagram_is_passing(errno, &tries));
	if (n < 0)
		return -errno;
	if ((size_t)n > ret->room)
		return -EMSGSIZE;
	ret->length = (size_t)n;
	ret->path.family = AF_UNSPEC;
	ret->has_credentials = false;
	return 0;
}

int
datagram_receive(const struct datagram_socket *socket, struct datagram *ret)
{
	union datagram_control control;
	struct msghdr message;
	struct iovec iov;
	int tries = 0;
	ssize_t n;

	if (!socket->has_control)
		return datagram_receive_plain(socket, ret);
	do {
		datagram_point(socket, ret, &iov, &control, &message);
		n = recvmsg(socket->fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (n < 0 && datagram_is_passing(errno, &tries));
	if (n < 0)
		return -errno;
	return datagram_take(ret, &message, (size_t)n) ? 0 : -EMSGSIZE;
}

int
datagram_receive_batch(const struct datagram_socket *socket, struct datagram *datagrams,
		       unsigned count, unsigned *ret_too_long)
{
	union datagram_control control[DATAGRAM_BATCH];
	struct mmsghdr messages[DATAGRAM_BATCH];
	struct iovec iov[DATAGRAM_BATCH];
	int received, good = 0, tries = 0;

	*ret_too_long = 0;
	if (count > DATAGRAM_BATCH)
		count = DATAGRAM_BATCH;
	for (unsigned i = 0; i < count; i++)
		datagram_point(socket, &datagrams[i], &iov[i], &control[i], &messages[i].msg_hdr);
	do {
		received = quick_recvmmsg(socket->fd, messages, count,
					  MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	} while (received < 0 && datagram_is_passing(errno, &tries));
	if (received < 0)
		return -errno;
	for (int i = 0; i < received; i++) {
		struct datagram taken = datagrams[i];

		if (!datagram_take(&taken, &messages[i].msg_hdr, messages[i].msg_len)) {
			(*ret_too_long)++;
			continue;
		}
		/* the good ones come first, each buffer still once */
		datagrams[i] = datagrams[good];
		datagrams[good++] = taken;
	}
	return good;
}

static void
datagram_add_path(struct msghdr *message, union datagram_control *control,
		  const struct datagram_path *path)
{
	struct in_pktinfo in = {.ipi_spec_dst = path->in};
	struct in6_pktinfo in6 = {.ipi6_addr = path->in6, .ipi6_ifindex = path->interface};
	bool is_in6 = path->family == AF_INET6;
	size_t size = is_in6 ? sizeof(in6) : sizeof(in);
	struct cmsghdr *header;

	memset(control, 0, sizeof(*control));
	message->msg_control = control;
	message->msg_controllen = CMSG_SPACE(size);
	header = CMSG_FIRSTHDR(message);
	header->cmsg_level = is_in6 ? IPPROTO_IPV6 : IPPROTO_IP;
	header->cmsg_type = is_in6 ? IPV6_PKTINFO : IP_PKTINFO;
	header->cmsg_len = CMSG_LEN(size);
	memcpy(CMSG_DATA(header), is_in6 ? (const void *)&in6 : (const void *)&in, size);
}

/* A socket for both families knows IPv4 addresses as a part of IPv6's. */
static struct sockaddr_in6
datagram_map(const struct sockaddr *to)
{
	struct sockaddr_in6 in6 = {.sin6_family = AF_INET6};
	struct sockaddr_in in;

	memcpy(&in, to, sizeof(in));
	in6.sin6_port = in.sin_port;
	in6.sin6_addr.s6_addr[10] = in6.sin6_addr.s6_addr[11] = 0xff;
	memcpy(&in6.sin6_addr.s6_addr[12], &in.sin_addr, sizeof(in.sin_addr));
	return in6;
}

ssize_t
datagram_send(const struct datagram_socket *socket, const struct iovec *iov, int count,
	      const struct sockaddr *to, socklen_t length, const struct datagram_path *path)
{
	struct sockaddr_in6 mapped;
	struct msghdr message = {
		.msg_name = (void *)to,
		.msg_namelen = length,
		.msg_iov = (struct iovec *)iov,
		.msg_iovlen = (size_t)(count > IOV_MAX ? IOV_MAX : count),
	};
	bool has_path = path != NULL && path->family != AF_UNSPEC;
	union datagram_control control;
	ssize_t n;

	if (socket->family == AF_INET6 && length >= sizeof(struct sockaddr_in) &&
	    to->sa_family == AF_INET) {
		mapped = datagram_map(to);
		message.msg_name = &mapped;
		message.msg_namelen = sizeof(mapped);
	}
	if (has_path)
		datagram_add_path(&message, &control, path);
	for (;;) {
		if (count == 1 && !has_path)
			n = quick_sendto(socket->fd, iov->iov_base, iov->iov_len,
					 MSG_DONTWAIT | MSG_NOSIGNAL, message.msg_name,
					 message.msg_namelen);
		else
			n = sendmsg(socket->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (n >= 0)
			return n;
		if (errno == EINTR)
			continue;
		/* an address that cannot be sent from, such as a broadcast's, or one that is gone;
		 * which error that is depends on the kernel */
		if (has_path &&
		    (errno == EINVAL || errno == EADDRNOTAVAIL || errno == ENETUNREACH)) {
			has_path = false;
			message.msg_control = NULL;
			message.msg_controllen = 0;
			continue;
		}
		return -errno;
	}
}
