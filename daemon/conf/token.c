/*
 * token.c - libconfig's lexical rules, by hand: the longest match wins, and a number ends where no
 * further character can belong to it, whatever follows.
 */
#include "conf/token.h"

#include <string.h>
#include <strings.h>

static const char digits[] = "0123456789";
static const char hex_digits[] = "0123456789abcdefABCDEF";
static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

void
tokenizer_start(struct tokenizer *tokenizer, const char *text, size_t length)
{
	*tokenizer = (struct tokenizer){.at = text, .end = text + length, .line = 1};
}

static bool
token_is_in(char c, const char *set)
{
	return c != '\0' && strchr(set, c) != NULL;
}

/* The first place from p on that is not in the set. */
static const char *
token_skip(const char *p, const char *end, const char *set)
{
	while (p < end && token_is_in(*p, set))
		p++;
	return p;
}

/* Moves on, counting lines. */
static void
tokenizer_move(struct tokenizer *tokenizer, const char *to)
{
	for (; tokenizer->at < to; tokenizer->at++) {
		if (*tokenizer->at == '\n')
			tokenizer->line++;
	}
}

/* Moves behind space and comments. False: a comment never ends; the place is its beginning. */
static bool
tokenizer_skip_space(struct tokenizer *tokenizer)
{
	const char *p, *end = tokenizer->end;

	for (;;) {
		tokenizer_move(tokenizer, token_skip(tokenizer->at, end, " \t\n\r\f"));
		p = tokenizer->at;
		if ((p < end && *p == '#') || (end - p >= 2 && p[0] == '/' && p[1] == '/')) {
			p = memchr(p, '\n', (size_t)(end - p));
			tokenizer_move(tokenizer, p != NULL ? p : end);
		} else if (end - p >= 2 && p[0] == '/' && p[1] == '*') {
			p = memmem(p + 2, (size_t)(end - p) - 2, "*/", 2);
			if (p == NULL)
				return false;
			tokenizer_move(tokenizer, p + 2);
		} else {
			return true;
		}
	}
}

/* The end of a string that begins at p with its quote; NULL: there is none. */
static const char *
token_string_end(const char *p, const char *end)
{
	for (p++; p < end; p++) {
		if (*p == '"')
			return p + 1;
		if (*p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\'))
			p++;
	}
	return NULL;
}

/* Behind an exponent at p, or p. */
static const char *
token_exponent_end(const char *p, const char *end)
{
	const char *q = p;

	if (q < end && (*q == 'e' || *q == 'E')) {
		q++;
		if (q < end && (*q == '-' || *q == '+'))
			q++;
		if (q < end && token_is_in(*q, digits))
			return token_skip(q, end, digits);
	}
	return p;
}

/* Behind an "L" or "LL" at p, or p. */
static const char *
token_long_end(const char *p, const char *end)
{
	if (p < end && *p == 'L')
		p++;
	else
		return p;
	return p < end && *p == 'L' ? p + 1 : p;
}

/* The end of a number that begins at the token's start; NULL: none begins there. */
static const char *
token_number_end(struct token *token, const char *end)
{
	const char *p = token->start, *q;

	if (end - p >= 3 && p[0] == '0' && (p[1] == 'x' || p[1] == 'X') &&
	    token_is_in(p[2], hex_digits)) {
		token->kind = TOKEN_HEX;
		p = token_skip(p + 2, end, hex_digits);
	} else {
		if (p < end && (*p == '-' || *p == '+'))
			p++;
		q = token_skip(p, end, digits);
		if (q < end && *q == '.') {
			token->kind = TOKEN_FLOAT;
			return token_exponent_end(token_skip(q + 1, end, digits), end);
		}
		if (q == p)
			return NULL;
		p = token_exponent_end(q, end);
		token->kind = p > q ? TOKEN_FLOAT : TOKEN_INTEGER;
		if (p > q)
			return p;
	}
	q = token_long_end(p, end);
	token->is_long = q > p;
	return q;
}

static bool
token_is_bool(const struct token *token)
{
	return (token->length == 4 && strncasecmp(token->start, "true", 4) == 0) ||
	       (token->length == 5 && strncasecmp(token->start, "false", 5) == 0);
}

/* The end of the name at p; p: none begins there. */
static const char *
token_name_end(const char *p, const char *end)
{
	if (p == end || !(token_is_in(*p, letters) || *p == '*'))
		return p;
	while (p < end &&
	       (token_is_in(*p, letters) || token_is_in(*p, digits) || token_is_in(*p, "*-_")))
		p++;
	return p;
}

struct token
tokenizer_next(struct tokenizer *tokenizer)
{
	const char *before = tokenizer->at, *end = tokenizer->end, *stop;
	bool is_ended = tokenizer_skip_space(tokenizer);
	struct token token = {
		.kind = TOKEN_OTHER,
		.start = tokenizer->at,
		.line = tokenizer->line,
		.is_touching = tokenizer->at == before,
	};

	if (!is_ended) {
		token.kind = TOKEN_OPEN_COMMENT;
		stop = end;
	} else if (token.start == end) {
		token.kind = TOKEN_END;
		stop = end;
	} else if (*token.start == '"') {
		stop = token_string_end(token.start, end);
		token.kind = stop != NULL ? TOKEN_STRING : TOKEN_OPEN_STRING;
		stop = stop != NULL ? stop : end;
	} else if ((stop = token_name_end(token.start, end)) > token.start) {
		token.kind = TOKEN_NAME;
	} else if ((stop = token_number_end(&token, end)) == NULL) {
		stop = token.start + 1;
		token.kind = token_is_in(*token.start, "=:,;{}[]()") ? TOKEN_MARK : TOKEN_OTHER;
	}
	token.length = (size_t)(stop - token.start);
	if (token.kind == TOKEN_NAME && token_is_bool(&token))
		token.kind = TOKEN_BOOL;
	tokenizer_move(tokenizer, stop);
	token.last_line = tokenizer->line;
	return token;
}

bool
token_is_mark(const struct token *token, char mark)
{
	return token->kind == TOKEN_MARK && *token->start == mark;
}
