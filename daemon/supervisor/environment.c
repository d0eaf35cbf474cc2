/*
 * environment.c - the environment that the workers of a listener get.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "ipc/protocol.h"
#include "supervisor/listener.h"

/* What of the supervisor's own environment workers get. */
static const char *const environment_passed[] = {
	"PATH",		"LANG",		 "TZ",
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	"ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS",
#endif
};

/* Sets NAME=value in place of one of that name, or behind the last. */
static char **
environment_set(char **environment, size_t *count, const char *name, const char *value)
{
	size_t length = strlen(name);

	for (size_t i = 0; i < *count; i++) {
		if (strncmp(environment[i], name, length) == 0 && environment[i][length] == '=') {
			free(environment[i]);
			environment[i] = memory_format("%s=%s", name, value);
			return environment;
		}
	}
	environment = memory_grow(environment, *count, sizeof(char *));
	environment[(*count)++] = memory_format("%s=%s", name, value);
	return environment;
}

char **
listener_environment(const struct identity *identity, const struct conf_listener *conf)
{
	char **environment = NULL;
	size_t count = 0;

	environment = environment_set(environment, &count, WORKER_TUNABLES_NAME, WORKER_TUNABLES);
	for (size_t i = 0; i < COUNT_OF(environment_passed); i++) {
		const char *value = getenv(environment_passed[i]);

		if (value != NULL)
			environment =
				environment_set(environment, &count, environment_passed[i], value);
	}
	for (char **entry = environ; *entry != NULL; entry++) {
		CLEANUP_FREE char *name = strndup(*entry, strcspn(*entry, "="));

		if (name != NULL && strncmp(name, "LC_", 3) == 0)
			environment = environment_set(environment, &count, name,
						      *entry + strcspn(*entry, "=") + 1);
	}
	environment = environment_set(environment, &count, "HOME", identity->home);
	environment = environment_set(environment, &count, "USER", identity->user);
	environment = environment_set(environment, &count, "LOGNAME", identity->user);
	for (size_t i = 0; conf != NULL && i < conf->environment_count; i++)
		environment = environment_set(environment, &count, conf->environment[i].name,
					      conf->environment[i].value);
	environment = memory_grow(environment, count, sizeof(char *));
	environment[count] = NULL;
	return environment;
}

void
listener_free_environment(char **environment)
{
	for (char **entry = environment; entry != NULL && *entry != NULL; entry++)
		free(*entry);
	free(environment);
}
