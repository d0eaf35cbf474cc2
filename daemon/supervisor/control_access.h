/*
 * control_access.h - who may ask what over the control socket.
 *
 * The kernel tells who connected (SO_PEERCRED, SO_PEERGROUPS); the mode of the socket keeps others
 * out already, and is not relied upon.
 */
#ifndef SUPERVISOR_CONTROL_ACCESS_H
#define SUPERVISOR_CONTROL_ACCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum control_access {
	CONTROL_NOTHING,
	CONTROL_READ, /* what there is to see */
	CONTROL_ALL,
};

struct control_peer {
	pid_t pid;
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* owned */
	size_t group_count;
};

/* A group whose members may read. */
struct control_group {
	bool is_given;
	gid_t gid;
};

/* Who is at the other end. 0 or a negative errno. */
int control_peer_read(int fd, struct control_peer *ret);
void control_peer_free(struct control_peer *peer);

/* `own` is the supervisor's effective uid. A worker is never let in for its groups. */
enum control_access control_access_decide(const struct control_peer *peer, uid_t own,
					  const struct control_group *group, bool is_worker);

#endif
