/*
 * command.c - what a member writes: a name first, then commands and what is said.
 */
#include "command.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "hall.h"
#include "text.h"

#define COMMAND_LIST_SIZE 1024

/* Names of those who give none. Nobody else may have such a name, so they are always free. */
#define COMMAND_GUEST "guest"

static void
command_default_name(const struct member *member, char name[HALL_NAME_SIZE])
{
	(void)snprintf(name, HALL_NAME_SIZE, COMMAND_GUEST "%" PRIu64, member->number);
}

void
command_greet(struct member *member)
{
	char name[HALL_NAME_SIZE];

	command_default_name(member, name);
	member_tell(member, "* welcome; your name? (an empty line for %s)", name);
}

/* Whether it looks like the name that somebody else is given. */
static bool
command_is_guest(const char *name)
{
	size_t length = strlen(COMMAND_GUEST);

	return strncmp(name, COMMAND_GUEST, length) == 0 && name[length] >= '0' &&
	       name[length] <= '9';
}

static int
command_take_name(struct member *member, const char *name)
{
	char own[HALL_NAME_SIZE];
	int r;

	command_default_name(member, own);
	if (!text_is_name(name, HALL_NAME_SIZE)) {
		member_tell(member,
			    "* a name has %d bytes at most, no space, and none of / * < in front",
			    HALL_NAME_SIZE - 1);
		return -EINVAL;
	}
	r = command_is_guest(name) && strcmp(name, own) != 0 ? -EEXIST
							     : member_rename(member, name);
	if (r == -EEXIST)
		member_tell(member, "* somebody else is %s", name);
	else if (r < 0)
		member_tell(member, "* no memory is left for names; try again later");
	return r;
}

static int
command_join(struct member *member, const char *name)
{
	int r = -EINVAL;

	if (text_is_name(name, HALL_NAME_SIZE))
		r = member_join(member, name);
	switch (r) {
	case 0:
		member_tell(member, "* you are in %s", name);
		break;
	case -EINVAL:
		member_tell(member,
			    "* a room's name has %d bytes at most, no space, and none of / * < in "
			    "front",
			    HALL_NAME_SIZE - 1);
		break;
	case -EALREADY:
		member_tell(member, "* you are there already");
		break;
	case -ENFILE:
		member_tell(member, "* there are too many rooms; /rooms lists them");
		break;
	case -EUSERS:
		member_tell(member, "* %s is full", name);
		break;
	default:
		member_tell(member, "* no memory is left for rooms; try again later");
		break;
	}
	return 0;
}

static int
command_nick(struct member *member, const char *name)
{
	if (command_take_name(member, name) == 0)
		member_tell(member, "* you are %s", member->name);
	return 0;
}

static int
command_who(struct member *member, const char *argument)
{
	char list[COMMAND_LIST_SIZE];

	(void)argument;
	if (member_list_room(member, list, sizeof(list)))
		member_tell(member, "* %s", list);
	else
		member_tell(member, "* you are in no room; /join ROOM takes you into one");
	return 0;
}

static int
command_rooms(struct member *member, const char *argument)
{
	char list[COMMAND_LIST_SIZE];

	(void)argument;
	member_list_rooms(member, list, sizeof(list));
	member_tell(member, "* %s", list);
	return 0;
}

static int
command_quit(struct member *member, const char *argument)
{
	(void)argument;
	member_tell(member, "* good bye");
	return COMMAND_END;
}

static int command_help(struct member *member, const char *argument);

static const struct command {
	const char *name, *argument, *help;
	int (*run)(struct member *member, const char *argument);
} commands[] = {
	{"/join", " ROOM", "go into a room; it is made if it is not there", command_join},
	{"/nick", " NAME", "take another name", command_nick},
	{"/who", "", "who is in this room", command_who},
	{"/rooms", "", "which rooms there are", command_rooms},
	{"/quit", "", "leave", command_quit},
	{"/help", "", "this; anything without a / is said to the room", command_help},
};

#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static int
command_help(struct member *member, const char *argument)
{
	(void)argument;
	for (size_t i = 0; i < COMMANDS; i++)
		member_tell(member, "* %s%s - %s", commands[i].name, commands[i].argument,
			    commands[i].help);
	return 0;
}

static int
command_obey(struct member *member, char *line)
{
	char *argument = line + strcspn(line, " ");

	if (*argument != '\0')
		*argument++ = '\0';
	argument += strspn(argument, " ");
	argument[strcspn(argument, " ")] = '\0';
	for (size_t i = 0; i < COMMANDS; i++) {
		if (strcmp(line, commands[i].name) == 0)
			return commands[i].run(member, argument);
	}
	member_tell(member, "* %.64s is no command; /help lists those that are", line);
	return 0;
}

/* The first line is a name. Only who has one can be in a room. */
static int
command_arrive(struct member *member, const char *lobby, const char *line)
{
	char name[HALL_NAME_SIZE];

	if (line[0] == '\0') {
		command_default_name(member, name);
		line = name;
	}
	if (command_take_name(member, line) < 0)
		return 0;
	member_tell(member, "* you are %s; /help lists what you can do", member->name);
	return command_join(member, lobby);
}

int
command_run(struct member *member, const char *lobby, char *line, size_t length)
{
	length = text_clean(line, length);
	/* who has no name yet may go, too */
	if (member->name[0] == '\0' && strcmp(line, "/quit") != 0)
		return command_arrive(member, lobby, line);
	if (line[0] == '/')
		return command_obey(member, line);
	if (length > 0 && !member_say(member, line))
		member_tell(member, "* you are in no room; /join ROOM takes you into one");
	return 0;
}
