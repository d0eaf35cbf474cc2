/*
 * settings.h - the table of every configuration key: the only place where one is declared. Parser,
 * range checks, `handlerd -T` and handlerd.conf(5) are made from it.
 */
#ifndef CONF_SETTINGS_H
#define CONF_SETTINGS_H

#include <stddef.h>
#include <stdint.h>

enum setting_type {
	SETTING_INT,	   /* int64_t */
	SETTING_BOOL,	   /* bool */
	SETTING_TEXT,	   /* char * */
	SETTING_TEXTS,	   /* struct conf_texts; one string or a list of strings */
	SETTING_DURATION,  /* int64_t, milliseconds */
	SETTING_SIZE,	   /* int64_t, bytes */
	SETTING_CHOICE,	   /* int64_t, index into choices plus first_choice */
	SETTING_GROUP,	   /* a group whose rows have this row's name as their group */
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
	const char *group; /* "" or the group the key stands in */
	const char *name;
	enum setting_type type;
	size_t offset;		  /* into struct config or struct conf_listener */
	int64_t min, max;	  /* of ints, durations and sizes, inclusive */
	const char *default_text; /* as written, less the quotes; NULL: required, unset or empty */
	const char *const *choices; /* NULL-terminated */
	int64_t first_choice;	    /* value of choices[0] */
	unsigned flags;
	const char *help; /* one line, plain sentences */
};

#define SETTING_REQUIRED 0x1U	 /* an entry must have it */
#define SETTING_NO_DEFAULTS 0x2U /* may not stand in defaults */
#define SETTING_PLUS_INSTALLED                                                                     \
	0x4U /* the default goes on with the installed handlers' directory                         \
	      */

extern const struct setting settings[];
extern const size_t setting_count;

/* The row of a key; NULL if there is none. */
const struct setting *setting_find(enum setting_scope scope, const char *group, const char *name);

/* "name" or "group.name", as messages write it; returns buf. */
const char *setting_label(const struct setting *row, char *buf, size_t size);

#define SETTING_LABEL_SIZE 64

#endif
