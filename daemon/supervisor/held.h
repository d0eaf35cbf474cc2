/*
 * held.h - one socket that the supervisor holds: opened or taken over from systemd, changed at a
 * commit, opened anew when a handler has broken it.
 */
#ifndef SUPERVISOR_HELD_H
#define SUPERVISOR_HELD_H

#include <stdbool.h>
#include <stddef.h>

#include "conf/config.h"
#include "net/fingerprint.h"
#include "net/listen.h"
#include "net/local.h"

/* What can be changed while clients use the socket. */
struct held_settings {
	int64_t backlog; /* 0: somaxconn */
	struct socket_options options;
	/* of a Unix path */
	mode_t mode;
	uid_t owner;
	gid_t group;
};

struct held_socket {
	int fd; /* -1: it was broken and cannot be opened again */
	int64_t protocol;
	struct conf_address asked;	/* as configured; with port 0, `owner` tells which it is */
	size_t index;			/* among those of this address: reuse_port, or systemd's */
	struct conf_address bound;	/* with its real port */
	bool is_adopted;		/* bound by a .socket unit of systemd's */
	char *store_name;		/* in systemd's store; NULL: not there */
	bool leaves_path;		/* the store goes on with it when we close it */
	bool is_connection;		/* adopted, and no socket that clients come to */
	struct local_identity identity; /* of a path that we have bound */
	char *owner;			/* the listener's name */
	struct held_settings settings;
	struct fingerprint fingerprint;		/* what is set on it, as no worker has changed it */
	int passed_backlog;			/* of one that was bound elsewhere; 0: not known */
	char spoilt_by[FINGERPRINT_NAMES_SIZE]; /* what cannot be put back; empty: nothing */
	char *next_owner; /* as the configuration that is being prepared has them */
	struct held_settings next_settings;
	bool is_wanted; /* by the configuration that is being prepared */
	bool is_new;	/* opened for it */
};

/* Where a socket comes from that is bound already. */
struct held_source {
	int fd;		  /* -1: it is to be bound here */
	char *store_name; /* of one that comes back from systemd's store; NULL: a .socket unit's */
	const struct conf_address *address; /* to bind; NULL: as asked */
};

/* Opens a socket for address `asked`, or takes over what the source has. NULL with *ret_error, a
 * negative errno of the step in *ret_step (static). */
struct held_socket *held_open(int64_t protocol, const struct conf_address *asked, size_t index,
			      const struct held_settings *settings,
			      const struct held_source *source, const char **ret_step,
			      int *ret_error);

/* The path of a Unix socket that is ours to remove; NULL: it has none. */
const char *held_path(const struct held_socket *held);

/* Closes it; the path of a Unix socket goes with it. */
void held_free(struct held_socket *held);

/* Whether it can be given its next settings. 0 or a negative errno of the step. */
int held_try(const struct held_socket *held, const char **ret_step);
/* Gives it its next settings and owner; what fails is logged. */
void held_commit(struct held_socket *held);

/* A handler may have set anything on it. Puts that back, and tells of it; what cannot be put back
 * is noted in spoilt_by. Nothing for one that serves as it should. */
void held_mend(struct held_socket *held);

/*
 * A handler may have shut it down, too, or have spoilt it. Mends it, or opens it anew on the same
 * address. is_shared: workers still have copies, which hold a name that is no path. Returns whether
 * it was dead or spoilt for good.
 */
bool held_revive(struct held_socket *held, bool is_shared);

/* Of a state that does not tell how it was: notes how it is, as far as the settings do not say. */
void held_resume(struct held_socket *held);

/* Whether options that can be set before bind only are the same. */
bool held_is_bound_alike(const struct socket_options *a, const struct socket_options *b);

/* Datagrams that the kernel has dropped for want of buffer; 0 if that cannot be told. */
uint64_t held_count_drops(const struct held_socket *held);

#endif
