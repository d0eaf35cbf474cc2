/*
 * rights.c - one check for each key that needs a right or a thing of the machine.
 *
 * A right is a capability, not a user: a root whose capabilities a systemd unit has taken is told
 * which one is missing, as an ordinary user is.
 */
#include "supervisor/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/capability.h"
#include "base/cleanup.h"
#include "base/cpus.h"
#include "base/parse.h"
#include "base/trusted.h"
#include "conf/settings.h"
#include "ipc/rlimits.h"
#include "ipc/worker_settings.h"
#include "supervisor/birth.h"

#define RIGHTS_OOM_SCORE "/proc/self/oom_score_adj"

static struct conf_origin
rights_origin(const struct conf_listener *listener, const char *group, const char *name)
{
	const struct setting *row = setting_find(SETTING_LISTENER, group, name);

	if (listener->origins == NULL || listener->origins[row - settings].file == NULL)
		return listener->origin;
	return listener->origins[row - settings];
}

/* What to do where a capability is missing. */
static const char *
rights_advice(const char *of_root, const char *of_unit)
{
	return geteuid() == 0 ? of_unit : of_root;
}

static void
rights_check_rlimits(const struct conf_listener *listener, struct report *report)
{
	struct worker_rlimit limits[BIRTH_MOST_RLIMITS];
	uint32_t count = birth_rlimits(&listener->rlimits, limits);

	for (uint32_t i = 0; i < count; i++) {
		const char *name = rlimits_name(limits[i].resource);
		struct conf_origin origin = rights_origin(listener, "rlimits", name);
		char wanted[RLIMITS_TEXT_SIZE], most[RLIMITS_TEXT_SIZE];
		struct rlimit have;

		if (getrlimit((__rlimit_resource_t)limits[i].resource, &have) < 0 ||
		    limits[i].value <= have.rlim_max || capability_is_effective(CAP_SYS_RESOURCE))
			continue;
		report_error(
			report, origin.file, origin.line,
			"listener '%s': rlimits.%s = %s is above the hard limit that handlerd "
			"was started with, %s, %s",
			listener->name, name,
			rlimits_format(limits[i].resource, limits[i].value, wanted, sizeof(wanted)),
			rlimits_format(limits[i].resource, have.rlim_max, most, sizeof(most)),
			rights_advice("which only root can raise",
				      "and raising it takes CAP_SYS_RESOURCE: in a systemd "
				      "unit, CapabilityBoundingSet= must have it"));
	}
}

static void
rights_check_nice(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = rights_origin(listener, "", "nice");
	struct rlimit limit;
	int own;

	if (listener->nice == CONF_UNSET)
		return;
	errno = 0;
	own = getpriority(PRIO_PROCESS, 0);
	if (errno != 0 || listener->nice >= own || capability_is_effective(CAP_SYS_NICE))
		return;
	/* RLIMIT_NICE counts from 20 downwards */
	if (getrlimit(RLIMIT_NICE, &limit) == 0 && listener->nice >= 20 - (int64_t)limit.rlim_cur)
		return;
	report_error(report, origin.file, origin.line,
		     "listener '%s': nice = %d is below the %d that handlerd has, %s",
		     listener->name, (int)listener->nice, own,
		     rights_advice("and only root can lower it",
				   "and lowering it takes CAP_SYS_NICE: in a systemd unit, "
				   "CapabilityBoundingSet= must have it"));
}

/* The one that handlerd has; false: the kernel does not tell. */
static bool
rights_read_oom_score(int64_t *ret)
{
	CLEANUP_CLOSE int fd = open(RIGHTS_OOM_SCORE, O_RDONLY | O_CLOEXEC);
	char text[32];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	text[strcspn(text, "\n")] = '\0';
	return parse_int64(text, ret) == 0;
}

static void
rights_check_oom_score(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = rights_origin(listener, "", "oom_score_adj");
	int64_t own;

	if (listener->oom_score_adj == CONF_UNSET || !rights_read_oom_score(&own) ||
	    listener->oom_score_adj >= own || capability_is_effective(CAP_SYS_RESOURCE))
		return;
	report_error(report, origin.file, origin.line,
		     "listener '%s': oom_score_adj = %d is below the %d that handlerd has, %s",
		     listener->name, (int)listener->oom_score_adj, (int)own,
		     rights_advice("and only root can lower it",
				   "and lowering it takes CAP_SYS_RESOURCE: in a systemd unit, "
				   "CapabilityBoundingSet= must have it"));
}

/* A configuration may be made for several machines: what one does not have is no error as long as
 * something is left. */
static void
rights_check_cpus(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = rights_origin(listener, "", "cpu_affinity");
	CLEANUP_FREE char *online_text = NULL;
	CLEANUP_FREE char *missing_text = NULL;
	struct cpus wanted = birth_cpus(listener), online, missing;

	if (cpus_count(&wanted) == 0 || cpus_read_online(&online) < 0)
		return;
	missing = cpus_without(&wanted, &online);
	online_text = cpus_format(&online);
	missing_text = cpus_format(&missing);
	wanted = cpus_common(&wanted, &online);
	if (cpus_count(&wanted) == 0)
		report_error(report, origin.file, origin.line,
			     "listener '%s': cpu_affinity: this machine has none of the processors "
			     "%s, but %s",
			     listener->name, missing_text, online_text);
	else if (cpus_count(&missing) > 0)
		report_warning(report, origin.file, origin.line,
			       "listener '%s': cpu_affinity: this machine has no processor %s, but "
			       "%s; the others are taken",
			       listener->name, missing_text, online_text);
}

/* The worker opens it anew, in the same way. */
static void
rights_check_root(const struct conf_listener *listener, struct report *report)
{
	struct conf_origin origin = rights_origin(listener, "", "root_directory");
	struct trusted_owner owner = {.uid = geteuid(), .also = (uid_t)-1, .is_strict = true};
	CLEANUP_FREE char *reason = NULL;
	CLEANUP_CLOSE int fd = -1;

	if (listener->root_directory == NULL)
		return;
	if (!capability_is_effective(CAP_SYS_ADMIN)) {
		report_error(
			report, origin.file, origin.line, "listener '%s': root_directory: %s",
			listener->name,
			rights_advice("only root can give workers a root of their own",
				      "it takes CAP_SYS_ADMIN: in a systemd unit, "
				      "CapabilityBoundingSet= must have it, RestrictNamespaces= "
				      "must allow mnt, and SystemCallFilter= must have @mount"));
		return;
	}
	fd = trusted_open(listener->root_directory, TRUSTED_DIRECTORY, &owner, &reason, NULL);
	if (fd < 0)
		report_error(report, origin.file, origin.line, "listener '%s': root_directory: %s",
			     listener->name, reason);
}

bool
rights_check(const struct conf_listener *listener, struct report *report)
{
	size_t errors = report->errors;

	rights_check_root(listener, report);
	rights_check_rlimits(listener, report);
	rights_check_nice(listener, report);
	rights_check_oom_score(listener, report);
	rights_check_cpus(listener, report);
	return report->errors == errors;
}
