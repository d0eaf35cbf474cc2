/*
 * control_access.c - who may ask what over the control socket.
 */
#include "supervisor/control_access.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

/* The kernel's own limit of a process's groups. */
#define CONTROL_MOST_GROUPS 65536
/* Nearly everybody has fewer. */
#define CONTROL_FEW_GROUPS 32

static int
control_peer_read_groups(int fd, struct control_peer *ret)
{
	socklen_t size = CONTROL_FEW_GROUPS * sizeof(gid_t);

	/* a second time if there are more; credentials of a connection never change */
	for (int i = 0; i < 2; i++) {
		gid_t *groups = malloc(size);

		if (groups == NULL)
			return -ENOMEM;
		if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) == 0) {
			ret->groups = groups;
			ret->group_count = size / sizeof(gid_t);
			return 0;
		}
		free(groups);
		if (errno != ERANGE || size > CONTROL_MOST_GROUPS * sizeof(gid_t))
			return -errno;
	}
	return -ERANGE;
}

int
control_peer_read(int fd, struct control_peer *ret)
{
	struct ucred cred;
	socklen_t length = sizeof(cred);

	*ret = (struct control_peer){0};
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &cred, &length) < 0)
		return -errno;
	ret->pid = cred.pid;
	ret->uid = cred.uid;
	ret->gid = cred.gid;
	return control_peer_read_groups(fd, ret);
}

void
control_peer_free(struct control_peer *peer)
{
	free(peer->groups);
	*peer = (struct control_peer){0};
}

enum control_access
control_access_decide(const struct control_peer *peer, uid_t own, const struct control_group *group,
		      bool is_worker)
{
	if (peer->uid == 0 || peer->uid == own)
		return CONTROL_ALL;
	if (is_worker || !group->is_given)
		return CONTROL_NOTHING;
	if (peer->gid == group->gid)
		return CONTROL_READ;
	for (size_t i = 0; i < peer->group_count; i++) {
		if (peer->groups[i] == group->gid)
			return CONTROL_READ;
	}
	return CONTROL_NOTHING;
}
