/*
 * identity.c - the order of the drop: groups, gid, uid - capability sets - no_new_privs - death
 * signal.
 */
#include "worker/identity.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Descriptors a worker needs beside its connections. */
#define IDENTITY_FILES_SPARE 64

static int
capabilities_get(struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capget, &header, data) < 0 ? -errno : 0;
}

static int
capabilities_set(const struct __user_cap_data_struct data[2])
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};

	return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* The bounding set can only be emptied with CAP_SETPCAP; without it no_new_privs must do. */
static void
capabilities_drop_bounding(void)
{
	struct __user_cap_data_struct data[2] = {0};

	if (capabilities_get(data) < 0 || (data[0].permitted & (1U << CAP_SETPCAP)) == 0)
		return;
	data[0].effective |= 1U << CAP_SETPCAP;
	if (capabilities_set(data) < 0)
		return;
	for (unsigned long cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		(void)prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

static int
capabilities_clear(void)
{
	struct __user_cap_data_struct data[2] = {0};
	int r;

	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	capabilities_drop_bounding();
	r = capabilities_set((const struct __user_cap_data_struct[2]){0});
	if (r < 0)
		return r;
	r = capabilities_get(data);
	if (r < 0)
		return r;
	for (int i = 0; i < 2; i++) {
		if ((data[i].effective | data[i].permitted | data[i].inheritable) != 0)
			return -EPERM;
	}
	return prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0 ? -errno : 0;
}

static int
identity_compare_gids(const void *a, const void *b)
{
	gid_t x = *(const gid_t *)a, y = *(const gid_t *)b;

	return x < y ? -1 : x > y;
}

static int
identity_set_groups(const struct worker_settings *settings)
{
	size_t size = settings->group_count * sizeof(gid_t);
	CLEANUP_FREE gid_t *wanted = malloc(size + 1);
	CLEANUP_FREE gid_t *have = malloc(size + 1);
	int n;

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
identity_set_gid(gid_t gid)
{
	gid_t real, effective, saved;

	if (setresgid(gid, gid, gid) < 0)
		return -errno;
	if (getresgid(&real, &effective, &saved) < 0)
		return -errno;
	return real == gid && effective == gid && saved == gid ? 0 : -EPERM;
}

static int
identity_set_uid(uid_t uid)
{
	uid_t real, effective, saved;

	/* the bounding set is emptied after this, which needs the permitted set until then */
	if (uid != 0 && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		return -errno;
	if (setresuid(uid, uid, uid) < 0)
		return -errno;
	if (getresuid(&real, &effective, &saved) < 0)
		return -errno;
	return real == uid && effective == uid && saved == uid ? 0 : -EPERM;
}

/* Nothing of root is left and nothing brings it back. */
static int
identity_verify(uid_t uid)
{
	if (uid == 0)
		return 0;
	if (setresuid((uid_t)-1, 0, (uid_t)-1) == 0)
		return -EPERM;
	return geteuid() == uid ? 0 : -EPERM;
}

static int
identity_no_new_privileges(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 ? 0 : -EPERM;
}

int
identity_drop(const struct worker_settings *settings, const char **ret_step)
{
	uid_t uid = settings->has_identity ? settings->uid : geteuid();
	int r = 0;

	if (settings->has_identity) {
		*ret_step = "set the supplementary groups";
		r = identity_set_groups(settings);
		if (r >= 0) {
			*ret_step = "set the group";
			r = identity_set_gid(settings->gid);
		}
		if (r >= 0) {
			*ret_step = "set the user";
			r = identity_set_uid(settings->uid);
		}
	}
	/* `user = "root"`, spelled out, is asked for its powers: they stay */
	if (r >= 0 && uid != 0) {
		*ret_step = "give up all capabilities";
		r = capabilities_clear();
	}
	if (r >= 0) {
		*ret_step = "make sure that the previous user cannot come back";
		r = identity_verify(uid);
	}
	if (r >= 0) {
		*ret_step = "set no_new_privs";
		r = identity_no_new_privileges();
	}
	if (r >= 0) {
		*ret_step = "die with the supervisor";
		/* changing identity cleared it; the supervisor may be gone since */
		if (prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0) < 0)
			r = -errno;
		else if (getppid() != settings->supervisor_pid)
			r = -ESRCH;
	}
	return r;
}

const char *
identity_advise(int error)
{
	struct __user_cap_data_struct data[2] = {0};
	uint32_t needed = 1U << CAP_SETUID | 1U << CAP_SETGID;

	if (error != -EPERM || capabilities_get(data) < 0)
		return "";
	if ((data[0].effective & needed) != needed)
		return "; in a systemd unit, CapabilityBoundingSet= must have CAP_SETUID and "
		       "CAP_SETGID";
	return "; in a systemd unit, SystemCallFilter= must not leave out @setuid (nor "
	       "@privileged, "
	       "which has it)";
}

uint32_t
identity_raise_files(uint32_t connections, uint32_t more)
{
	struct rlimit limit;
	/* beside the connection a wait needs an eventfd, and an hd_poll one more */
	rlim_t wanted = (rlim_t)connections * 3 + more + IDENTITY_FILES_SPARE;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return connections;
	if (limit.rlim_cur < wanted) {
		limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &limit);
	}
	if (limit.rlim_cur >= (rlim_t)connections + IDENTITY_FILES_SPARE)
		return connections;
	return limit.rlim_cur > IDENTITY_FILES_SPARE
		       ? (uint32_t)(limit.rlim_cur - IDENTITY_FILES_SPARE)
		       : 1;
}
