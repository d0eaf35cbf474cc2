/*
 * token.h - splits the text of a configuration file into the words and marks that libconfig sees
 * in it, comments left out. scan.c looks at them before libconfig reads the file, explain.c after
 * libconfig found no sense in it.
 */
#ifndef CONF_TOKEN_H
#define CONF_TOKEN_H

#include <stdbool.h>
#include <stddef.h>

enum token_kind {
	TOKEN_END,
	TOKEN_NAME,
	TOKEN_BOOL,
	TOKEN_INTEGER, /* with or without L */
	TOKEN_HEX,     /* with or without L */
	TOKEN_FLOAT,
	TOKEN_STRING,	    /* one pair of quotes with what is between them */
	TOKEN_MARK,	    /* one of = : , ; { } [ ] ( ) */
	TOKEN_OTHER,	    /* a byte that begins nothing */
	TOKEN_OPEN_STRING,  /* a string that never ends */
	TOKEN_OPEN_COMMENT, /* a comment that never ends */
};

struct token {
	enum token_kind kind;
	const char *start; /* into the text */
	size_t length;
	unsigned line;	    /* of its first character */
	unsigned last_line; /* of its last; only strings have several */
	bool is_long;	    /* a number with L */
	bool is_touching;   /* nothing stands between it and the token before */
};

struct tokenizer {
	const char *at, *end;
	unsigned line;
};

void tokenizer_start(struct tokenizer *tokenizer, const char *text, size_t length);

/* The next token; TOKEN_END and the two that never end are the last. */
struct token tokenizer_next(struct tokenizer *tokenizer);

bool token_is_mark(const struct token *token, char mark);

#endif
