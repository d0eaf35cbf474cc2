/*
 * verb.h - what a command of handlerctl is: a row of the table in main.c.
 */
#ifndef HANDLERCTL_VERB_H
#define HANDLERCTL_VERB_H

/* Options that some commands have, beside those that all have that talk to the daemon. */
enum verb_option {
	VERB_VERBOSE = 1 << 0,
	VERB_DRY_RUN = 1 << 1,
	VERB_NOW = 1 << 2,
	VERB_TIMEOUT = 1 << 3,
	VERB_GID = 1 << 4,
	VERB_CLEAR = 1 << 5,
};

struct verb {
	const char *name;
	const char *arguments; /* as help shows them: "NAME", "[NAME]", "NAME OTHER", or "" */
	int (*run)(const struct verb *verb, int argc, char **argv); /* argv[0] is the command;
								       returns the exit status */
	const char *help;
	unsigned options; /* enum verb_option */
};

#endif
