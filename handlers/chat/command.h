/*
 * command.h - what a member writes: a name first, then commands and what is said.
 */
#ifndef CHAT_COMMAND_H
#define CHAT_COMMAND_H

#include <stddef.h>

struct member;

#define COMMAND_END 1

/* Puts down what a client reads first. */
void command_greet(struct member *member);

/* Does what one line says; it is changed, and has room for a NUL at its end. `lobby` is the room to
 * begin in. Answers are put down for the member. Returns 0, or COMMAND_END. */
int command_run(struct member *member, const char *lobby, char *line, size_t length);

#endif
