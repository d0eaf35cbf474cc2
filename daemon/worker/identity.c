/*
 * identity.c - the order of the drop: oom score - mounts - limits, priority, processors - keyring -
 * groups, gid, uid - capability sets - no_new_privs - umask - death signal.
 *
 * The table of steps is that order. Each is undone by none after it.
 */
#include "worker/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/cleanup.h"

void
identity_name_step(struct identity_failure *failure, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(failure->step, sizeof(failure->step), format, args);
	va_end(args);
}

static int
identity_compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

static int
identity_set_groups(const struct worker_settings *settings, struct identity_failure *failure)
{
	size_t size = settings->group_count * sizeof(gid_t);
	CLEANUP_FREE gid_t *wanted = malloc(size + 1);
	CLEANUP_FREE gid_t *have = malloc(size + 1);
	int n;

	(void)failure;
	if (!settings->has_identity)
		return 0;
	if (wanted == NULL || have == NULL)
		return -ENOMEM;
	if (size > 0)
		memcpy(wanted, settings->groups, size);
	if (setgroups(settings->group_count, wanted) < 0)
		return -errno;
	n = getgroups((int)settings->group_count, have);
	if (n < 0 || (uint32_t)n != settings->group_count)
		return -EPERM;
	qsort(wanted, settings->group_count, sizeof(gid_t), identity_compare_gids);
	qsort(have, settings->group_count, sizeof(gid_t), identity_compare_gids);
	return memcmp(wanted, have, size) == 0 ? 0 : -EPERM;
}

static int
identity_set_gid(const struct worker_settings *settings, struct identity_failure *failure)
{
	gid_t gid = settings->gid, real, effective, saved;

	(void)failure;
	if (!settings->has_identity)
		return 0;
	if (setresgid(gid, gid, gid) < 0)
		return -errno;
	if (getresgid(&real, &effective, &saved) < 0)
		return -errno;
	return real == gid && effective == gid && saved == gid ? 0 : -EPERM;
}

static int
identity_set_uid(const struct worker_settings *settings, struct identity_failure *failure)
{
	uid_t uid = settings->uid, real, effective, saved;

	(void)failure;
	if (!settings->has_identity)
		return 0;
	/* the bounding set is emptied after this, which needs the permitted set until then */
	if (uid != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (setresuid(uid, uid, uid) < 0)
		return -errno;
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	return real == uid && effective == uid && saved == uid ? 0 : -EPERM;
}

/* Who this process is by now. `user = "root"`, spelled out, is asked for its powers: they stay. */
static bool
identity_is_root(const struct worker_settings *settings)
{
	return (settings->has_identity ? settings->uid : geteuid()) == 0;
}

/* Who has a keyring has what is in it, whoever he is by now: the session's is inherited. The new
 * one is empty. Made before the user is changed, since ordinary users may have few. */
static int
identity_join_keyring(const struct worker_settings *settings, struct identity_failure *failure)
{
	long joined, have;

	(void)failure;
	if (identity_is_root(settings))
		return 0;
	joined = syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL);
	if (joined < 0) {
		int error = errno;

		/* all that there are in the old one are the same user's */
		if (error == EDQUOT && !settings->has_identity)
			return 0;
		/* no keys at all: in this kernel, or as a filter around the daemon has it */
		if ((error == ENOSYS || error == EPERM) &&
		    syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0) < 0 &&
		    errno == error)
			return 0;
		return -error;
	}
	have = syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 0);
	return have == joined ? 0 : -EPERM;
}

static int
identity_clear_ambient(const struct worker_settings *settings, struct identity_failure *failure)
{
	(void)failure;
	if (identity_is_root(settings))
		return 0;
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++) {
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) != 0)
			return -EPERM;
	}
	return 0;
}

/* The bounding set can only be emptied with CAP_SETPCAP, which an ordinary user does not have;
 * there no_new_privs must do. */
static int
identity_clear_bounding(const struct worker_settings *settings, struct identity_failure *failure)
{
	struct capabilities have;
	int r = capabilities_get(&have);

	(void)failure;
	if (r < 0 || identity_is_root(settings))
		return r;
	if ((have.sets[0].permitted & (1U << CAP_SETPCAP)) == 0)
		return 0;
	have.sets[0].effective |= 1U << CAP_SETPCAP;
	r = capabilities_set(&have);
	if (r < 0)
		return r;
	for (unsigned long cap = 0;; cap++) {
		int is_there = prctl(PR_CAPBSET_READ, cap, 0, 0, 0);

		if (is_there < 0)
			return 0;
		if (is_there == 0)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) != 0)
			return -EPERM;
	}
}

static int
identity_clear_capabilities(const struct worker_settings *settings,
			    struct identity_failure *failure)
{
	struct capabilities have = {0};
	int r;

	(void)failure;
	if (identity_is_root(settings))
		return 0;
	r = capabilities_set(&have);
	if (r >= 0)
		r = capabilities_get(&have);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if ((have.sets[i].effective | have.sets[i].permitted | have.sets[i].inheritable) !=
		    0)
			return -EPERM;
	}
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0) == 0 ? 0 : -EPERM;
}

/* Nothing of root is left and nothing brings it back. */
static int
identity_verify(const struct worker_settings *settings, struct identity_failure *failure)
{
	uid_t uid = settings->has_identity ? settings->uid : geteuid();

	(void)failure;
	if (uid == 0)
		return 0;
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return -EPERM;
	return geteuid() == uid ? 0 : -EPERM;
}

static int
identity_no_new_privileges(const struct worker_settings *settings, struct identity_failure *failure)
{
	(void)settings, (void)failure;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

static int
identity_set_umask(const struct worker_settings *settings, struct identity_failure *failure)
{
	mode_t mask = (mode_t)settings->umask & 0777;

	(void)failure;
	(void)umask(mask);
	return umask(mask) == mask ? 0 : -EPERM;
}

/* Changing identity cleared it; the supervisor may be gone since. */
static int
identity_set_death_signal(const struct worker_settings *settings, struct identity_failure *failure)
{
	int number = 0;

	(void)failure;
	if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0 ||
	    prctl(PR_GET_PDEATHSIG, &number, 0, 0, 0) < 0)
		return -errno;
	if (number != SIGTERM)
		return -EPERM;
	return getppid() == settings->supervisor_pid ? 0 : -ESRCH;
}

/* What a step that is refused lacks in a systemd unit: capabilities, or system calls. */
struct identity_right {
	uint32_t capabilities; /* bits */
	const char *on_capability;
	const char *on_filter;
};

#define IDENTITY_IN_A_UNIT "; in a systemd unit, "

static const struct identity_right identity_setuid_right = {
	.capabilities = 1U << CAP_SETUID | 1U << CAP_SETGID,
	.on_capability =
		IDENTITY_IN_A_UNIT "CapabilityBoundingSet= must have CAP_SETUID and CAP_SETGID",
	.on_filter = IDENTITY_IN_A_UNIT
	"SystemCallFilter= must not leave out @setuid (nor @privileged, which has it)",
};

static const struct identity_right identity_mount_right = {
	.capabilities = 1U << CAP_SYS_ADMIN,
	.on_capability = "; only root can, and in a systemd unit, CapabilityBoundingSet= must have "
			 "CAP_SYS_ADMIN",
	.on_filter = IDENTITY_IN_A_UNIT
	"RestrictNamespaces= must allow mnt, and SystemCallFilter= must have @mount",
};

static const struct identity_right identity_resource_right = {
	.capabilities = 1U << CAP_SYS_RESOURCE,
	.on_capability = "; only root can, and in a systemd unit, CapabilityBoundingSet= must have "
			 "CAP_SYS_RESOURCE",
	.on_filter = IDENTITY_IN_A_UNIT
	"SystemCallFilter= must not leave out @resources; of open files, fs.nr_open is "
	"the most",
};

static const struct identity_right identity_nice_right = {
	.capabilities = 1U << CAP_SYS_NICE,
	.on_capability = "; only root can, and in a systemd unit, CapabilityBoundingSet= must have "
			 "CAP_SYS_NICE",
	.on_filter = IDENTITY_IN_A_UNIT "SystemCallFilter= must not leave out @resources",
};

static const struct identity_step {
	const char *what; /* for behind "cannot" */
	int (*take)(const struct worker_settings *settings, struct identity_failure *failure);
	const struct identity_right *right;
	/* for -EINVAL */
	const char *on_invalid;
} identity_steps[] = {
	/* first: the /proc of a root of its own is read-only */
	{"set oom_score_adj", identity_set_oom_score, &identity_resource_right, NULL},
	{"set root_directory", identity_set_root, &identity_mount_right, NULL},
	{"set rlimits", identity_set_limits, &identity_resource_right, NULL},
	{"set nice", identity_set_nice, &identity_nice_right, NULL},
	{"set cpu_affinity", identity_set_cpus, &identity_nice_right,
	 "; none of these processors may be used here (AllowedCPUs= of a systemd unit, or a "
	 "cpuset, "
	 "leaves them out)"},
	{"join a session keyring of its own", identity_join_keyring, NULL, NULL},
	{"set the supplementary groups", identity_set_groups, &identity_setuid_right, NULL},
	{"set the group", identity_set_gid, &identity_setuid_right, NULL},
	{"set the user", identity_set_uid, &identity_setuid_right, NULL},
	{"clear the ambient capabilities", identity_clear_ambient, NULL, NULL},
	{"clear the bounding set of capabilities", identity_clear_bounding, NULL, NULL},
	{"give up all capabilities", identity_clear_capabilities, NULL, NULL},
	{"make sure that the previous user cannot come back", identity_verify, NULL, NULL},
	{"set no_new_privs", identity_no_new_privileges, NULL, NULL},
	{"set umask", identity_set_umask, NULL, NULL},
	{"die with the supervisor", identity_set_death_signal, NULL, NULL},
};

static const char *
identity_advise(const struct identity_step *step, int error)
{
	const struct identity_right *right = step->right;
	struct capabilities have;

	if (error == -EINVAL && step->on_invalid != NULL)
		return step->on_invalid;
	if (error == -EDQUOT)
		return "; kernel.keys.maxkeys is how many keyrings a user may have";
	if (error == -EROFS && right == &identity_mount_right)
		return "; make it by hand where it is writable";
	if (error == -ENOSYS)
		return "; it takes a newer kernel, Linux 5.12";
	if ((error != -EPERM && error != -EACCES) || right == NULL || capabilities_get(&have) < 0)
		return "";
	if ((have.sets[0].effective & right->capabilities) != right->capabilities)
		return right->on_capability;
	return right->on_filter;
}

int
identity_drop(const struct worker_settings *settings, struct identity_failure *ret_failure)
{
	for (size_t i = 0; i < COUNT_OF(identity_steps); i++) {
		const struct identity_step *step = &identity_steps[i];
		int r;

		identity_name_step(ret_failure, "%s", step->what);
		ret_failure->advice = "";
		r = step->take(settings, ret_failure);
		if (r < 0) {
			ret_failure->advice = identity_advise(step, r);
			return r;
		}
	}
	return 0;
}
