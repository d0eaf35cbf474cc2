/*
 * local.h - Unix sockets with a path: what stands in the way, who may connect, and what is removed
 * at the end. At no moment can anybody connect who is not meant to.
 *
 * Nothing here is for abstract names. It changes the umask for a moment, so it is for programs
 * without threads.
 */
#ifndef NET_LOCAL_H
#define NET_LOCAL_H

#include <stdbool.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Which socket a path was. It holds while the socket is open: the number is used again later. */
struct local_identity {
	dev_t device;
	ino_t inode;
};

/* Whether it is a Unix address with a path. */
bool local_is_path(const struct sockaddr *addr, socklen_t length);

/*
 * Binds, with mode 000: only a privileged process can connect. A socket that nobody has open any
 * more is replaced. `owner` is whom the socket may have belonged to besides us; (uid_t)-1: nobody.
 * Returns 0, or a negative errno of the step in *ret_step: -EADDRINUSE (it is in use), -ENOTSOCK
 * (something else has that name, and stays), -EPERM (somebody else's socket; root may replace it),
 * -ENAMETOOLONG, -EINVAL (not a path).
 */
int local_bind_closed(int fd, const struct sockaddr *addr, socklen_t length, uid_t owner,
		      const char **ret_step);

/* Gives a socket that was bound so its owner and group ((uid_t)-1, (gid_t)-1: as they are), then
 * its mode. 0, or a negative errno of the step in *ret_step. */
int local_admit(const char *path, mode_t mode, uid_t owner, gid_t group, const char **ret_step);

/* Both; what was bound is removed again if the second fails. */
int local_bind(int fd, const struct sockaddr *addr, socklen_t length, mode_t mode, uid_t owner,
	       gid_t group, const char **ret_step);

/* Which socket the path is. 0, -ENOTSOCK, or a negative errno. */
int local_identify(const char *path, struct local_identity *ret);

/* Removes the path if it still is that very socket. To be called before the socket is closed. */
void local_remove(const char *path, const struct local_identity *identity);

/*
 * Changes mode, owner and group of a socket that is kept; (uid_t)-1 and (gid_t)-1 stay. Never wider
 * than the wider of old and new. 0, -ESTALE if the path is another socket by now, or a negative
 * errno, with all as it was.
 */
int local_change(const char *path, const struct local_identity *identity, mode_t mode, uid_t owner,
		 gid_t group);

#endif
