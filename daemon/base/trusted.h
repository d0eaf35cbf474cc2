/*
 * trusted.h - opens a path only if nobody but its owners could have put something else there.
 *
 * The path is made canonical first and then walked with openat, component by component; the file
 * and every directory must belong to root or the allowed owner and must not be writable by group
 * or others. A sticky directory passes if its next component is so owned; a
 * read-only file system passes, one that is only mounted so does not. The descriptor that was
 * checked is the one that is returned.
 */
#ifndef BASE_TRUSTED_H
#define BASE_TRUSTED_H

#include <stdbool.h>
#include <sys/types.h>

struct trusted_owner {
	uid_t uid;	/* besides root */
	uid_t also;	/* one more that counts (sudo's user); (uid_t)-1: none */
	bool is_strict; /* group-writable is refused; else it is told in *ret_warning only */
};

enum trusted_kind {
	TRUSTED_FILE,
	TRUSTED_DIRECTORY,
};

/*
 * Opens `path` (absolute) for reading, close-on-exec, never waiting for a FIFO's other end. Returns
 * the descriptor; a negative errno if it cannot be opened; -EPERM if it is not to be trusted. On
 * every failure *ret_reason is a new sentence that names the offending path, for the caller to
 * free. *ret_warning (may be NULL) likewise, or NULL, on success.
 */
int trusted_open(const char *path, enum trusted_kind kind, const struct trusted_owner *owner,
		 char **ret_reason, char **ret_warning);

/* The identity of this process, and SUDO_UID where `use_sudo`. */
struct trusted_owner trusted_owner_self(bool use_sudo);

#endif
