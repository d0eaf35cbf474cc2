/*
 * options.c - complaints about options, with the one that may have been meant.
 */
#include "handlerctl/options.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/parse.h"
#include "base/suggest.h"
#include "handlerctl/ctl.h"

/* Nobody waits for longer, and the clock's arithmetic has room for it. */
#define OPTIONS_LONGEST_MS (INT64_C(24) * 60 * 60 * 1000)

void
options_refuse(const char *command, const struct option *options, int found, const char *word,
	       const char *hint)
{
	/* one letter of several in a word, or the whole word */
	CLEANUP_FREE char *name = optopt > 0 && optopt < OPTIONS_FIRST
					  ? memory_format("-%c", optopt)
					  : memory_format("%.*s", (int)strcspn(word, "="), word);
	struct suggest suggest = {.word = name};

	if (found == ':') {
		(void)ctl_complain_usage(command, "%s needs a value", name);
		return;
	}
	for (const struct option *at = options; at->name != NULL; at++) {
		if (strncmp(name, "--", 2) != 0)
			break;
		suggest.word = name + 2;
		if (strcmp(name + 2, at->name) == 0) {
			(void)ctl_complain_usage(command, "%s takes no value", name);
			return;
		}
		suggest_offer(&suggest, at->name);
	}
	if (suggest.nearest != NULL)
		(void)ctl_complain_usage(command, "there is no option '%s'; did you mean '--%s'?",
					 name, suggest.nearest);
	else
		(void)ctl_complain_usage(command, "there is no option '%s'%s", name, hint);
}

int
options_take_duration(const char *command, const char *name, const char *text, int64_t least_ms,
		      int64_t *ret_ms)
{
	int64_t ms;

	if (parse_duration(text, &ms) < 0) {
		(void)ctl_complain_usage(command, "%s '%s' is no duration, such as 250ms or 2s",
					 name, text);
		return -EINVAL;
	}
	if (ms > OPTIONS_LONGEST_MS || (ms < least_ms && !(ms == PARSE_NONE && least_ms > 0))) {
		(void)ctl_complain_usage(command, "%s must be from %s to 1d, not '%s'", name,
					 least_ms > 0 ? "1ms" : "0s", text);
		return -EINVAL;
	}
	*ret_ms = ms;
	return 0;
}
