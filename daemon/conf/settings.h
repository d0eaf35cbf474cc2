/*
 * settings.h - the table of every configuration key: the only place where one is declared. Parser,
 * range checks, `handlerd -T` and handlerd.conf(5) are made from it.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_type {
	SETTING_INT,	   /* int64_t */
	SETTING_BOOL,	   /* bool */
	SETTING_TEXT,	   /* char * */
	SETTING_TEXTS,	   /* struct conf_texts; one string or a list of strings */
	SETTING_DURATION,  /* int64_t, milliseconds */
	SETTING_SIZE,	   /* int64_t, bytes */
	SETTING_BYTE_RATE, /* int64_t, bytes per second */
	SETTING_PERCENT,   /* int64_t, parts in a hundred */
	SETTING_RATE,	   /* int64_t, so many for an hour */
	SETTING_MODE,	   /* int64_t, permission bits, in octal */
	SETTING_FRACTION,  /* int64_t, thousandths */
	SETTING_CHOICE,	   /* int64_t, index into choices plus first_choice */
	SETTING_SWITCH,	   /* bool; true or false, or a group, as below, that means true */
	SETTING_GROUP,	   /* a group whose rows have this row's label as their group */
	SETTING_OPTIONS,   /* the handler's own group */
	SETTING_VARIABLES, /* a group of strings */
	SETTING_ENTRIES,   /* the list of listeners */
	SETTING_DEFAULTS,  /* a group of listener keys */
};

enum setting_scope {
	SETTING_TOP,	  /* of the file */
	SETTING_LISTENER, /* of a listener, and of defaults unless it is unique to a listener */
};

struct setting {
	enum setting_scope scope;
	const char *group; /* "" or the group the key stands in, such as "socket.keepalive" */
	const char *name;
	enum setting_type type;
	size_t offset;		  /* into struct config or struct conf_listener */
	int64_t min, max;	  /* of numbers, inclusive; max of texts: bytes, 0 for any number */
	int64_t none;		  /* SETTING_OR_NONE: what it is stored as */
	const char *default_text; /* as written, less the quotes; NULL: required, unset or empty */
	const char *const *choices; /* NULL-terminated */
	int64_t first_choice;	    /* value of choices[0] */
	unsigned protocols;	    /* SETTING_FOR of those that have the key; 0: all */
	unsigned flags;
	const char *help; /* one line, plain sentences */
};

#define SETTING_REQUIRED 0x1U	 /* an entry must have it */
#define SETTING_NO_DEFAULTS 0x2U /* may not stand in defaults */
#define SETTING_PLUS_INSTALLED                                                                     \
	0x4U /* the default goes on with the installed handlers' directory                         \
	      */

#define SETTING_OR_NONE 0x8U	    /* 0, "0B" or "none" are taken beside what the range holds */
#define SETTING_WHOLE_SECONDS 0x10U /* a duration without a fraction of a second */
#define SETTING_BEFORE_BIND 0x20U   /* not for a socket that systemd has bound */
#define SETTING_OR_EMPTY 0x40U	    /* a string that may be "" */
#define SETTING_OR_UNSET 0x80U	    /* without a default: CONF_UNSET; of texts, no list at all */
#define SETTING_OR_UNLIMITED 0x100U /* "unlimited" is taken too, as CONF_UNLIMITED */
#define SETTING_OR_CONTROL 0x200U   /* a string that may have line ends and the like in it */
#define SETTING_NOT_EMPTY 0x400U    /* a list that has something in it, where there is one */

#define SETTING_FOR(protocol) (1U << (protocol))

extern const struct setting settings[];
extern const size_t setting_count;

/* The row of a key; NULL if there is none. */
const struct setting *setting_find(enum setting_scope scope, const char *group, const char *name);

/* "name" or "group.name", as messages and the rows of its group write it; returns buf. */
const char *setting_label(const struct setting *row, char *buf, size_t size);

#define SETTING_LABEL_SIZE 64

/* Whether it is a number with a range. */
bool setting_has_range(const struct setting *row);

/* Whether a value of the row stands in double quotes. */
bool setting_is_quoted(const struct setting *row);

/* Whether this number of the row stands in double quotes. */
bool setting_is_number_quoted(const struct setting *row, int64_t number);

/* Whether the row's field says that the key was not given, so that there is nothing to write. */
bool setting_is_unset(const struct setting *row, const void *field);

/* A number of the row as it is written, less the quotes; returns buf. */
const char *setting_format(const struct setting *row, int64_t number, char *buf, size_t size);

#define SETTING_NUMBER_SIZE 40

#endif
