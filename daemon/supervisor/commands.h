/*
 * commands.h - the commands of handlerd that do not serve.
 */
#ifndef SUPERVISOR_COMMANDS_H
#define SUPERVISOR_COMMANDS_H

#include <stdbool.h>

struct supervisor;

/* -t and -T: checks everything, loads every handler on trial, binds nothing. Exit status. */
int command_test(struct supervisor *supervisor, bool is_dumped);

/* --describe. Exit status. */
int command_describe(struct supervisor *supervisor);

#endif
