/*
 * explain.c - walks through the tokens by the grammar of libconfig, and at the first that does not
 * fit says what would have. It decides nothing: a text comes here after it was refused.
 *
 *	group:	( NAME ( '=' | ':' ) value [ ';' | ',' ] )*	the file itself is one, too
 *	value:	plain | '{' group '}' | '(' [ value ( ',' value )* ] ')' | '[' [ plain ... ] ']'
 *	plain:	number | bool | STRING+
 */
#include "conf/explain.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"
#include "conf/token.h"

/* What has been read of the innermost bracket. */
enum explain_state {
	EXPLAIN_BEGUN,	/* nothing yet, or in a group: a value and its ';' */
	EXPLAIN_NAME,	/* a key */
	EXPLAIN_EQUALS, /* a key and '=' */
	EXPLAIN_COMMA,	/* in a list: a value and its ',' */
	EXPLAIN_VALUE,	/* a value */
};

struct explain_name {
	const char *start;
	size_t length;
	unsigned line;
};

/* One open bracket, or the file itself. */
struct explain_frame {
	char open; /* '{', '(', '[', or 0 for the file */
	unsigned line;
	enum explain_state state;
	struct explain_name *names; /* the keys of a group so far */
	size_t name_count;
	bool is_unit; /* the last of them touches a number: 30s without quotes */
};

struct explain {
	struct explain_frame *frames;
	size_t depth; /* of frames */
	unsigned parser_line;
	unsigned fault_line;	  /* where the sentence points to */
	struct token before;	  /* the token before the current one */
	unsigned long_string;	  /* the line where the last string of several lines began */
	unsigned long_string_end; /* and where it ended */
};

static struct explain_frame *
explain_top(const struct explain *explain)
{
	CHECK(explain->depth > 0);
	return &explain->frames[explain->depth - 1];
}

static bool
explain_is_group(const struct explain_frame *frame)
{
	return frame->open == '{' || frame->open == 0;
}

static void
explain_push(struct explain *explain, char open, unsigned line)
{
	explain->frames = memory_grow(explain->frames, explain->depth, sizeof(*explain->frames));
	explain->frames[explain->depth++] = (struct explain_frame){.open = open, .line = line};
}

static void
explain_pop(struct explain *explain)
{
	free(explain_top(explain)->names);
	explain->depth--;
}

static char
explain_closer(char open)
{
	return open == '{' ? '}' : open == '(' ? ')' : ']';
}

/* The token as a message shows it. */
static char *
explain_show(const struct token *token)
{
	int shown = token->length > 40 ? 40 : (int)token->length;
	unsigned char c = token->kind == TOKEN_END ? 0 : (unsigned char)*token->start;

	if (token->kind == TOKEN_END)
		return memory_text("the end of the file");
	if (token->kind == TOKEN_STRING)
		return memory_text("a string");
	if (token->kind == TOKEN_OTHER && (c < ' ' || c >= 0x7f))
		return memory_format("the byte 0x%02x", c);
	return memory_format("'%.*s'", shown, token->start);
}

static bool
explain_is_plain(const struct token *token)
{
	return token->kind == TOKEN_BOOL || token->kind == TOKEN_INTEGER ||
	       token->kind == TOKEN_HEX || token->kind == TOKEN_FLOAT ||
	       token->kind == TOKEN_STRING;
}

static bool
explain_is_number(const struct token *token)
{
	return token->kind == TOKEN_INTEGER || token->kind == TOKEN_FLOAT;
}

/* Remembers a key; a sentence if the group has it already. */
static char *
explain_add_name(struct explain_frame *frame, const struct token *token)
{
	for (size_t i = 0; i < frame->name_count; i++) {
		const struct explain_name *name = &frame->names[i];

		if (name->length == token->length &&
		    memcmp(name->start, token->start, name->length) == 0)
			return memory_format("the key '%.*s' was already given on line %u",
					     (int)name->length, name->start, name->line);
	}
	frame->names = memory_grow(frame->names, frame->name_count, sizeof(*frame->names));
	frame->names[frame->name_count++] = (struct explain_name){
		.start = token->start,
		.length = token->length,
		.line = token->line,
	};
	return NULL;
}

/* A bracket closes that cannot. */
static char *
explain_close(const struct explain_frame *frame, char mark)
{
	if (frame->open == 0)
		return memory_format("'%c' closes nothing; it is one too many", mark);
	return memory_format("'%c' stands here, but the '%c' of line %u is still open; close it "
			     "with '%c' first",
			     mark, frame->open, frame->line, explain_closer(frame->open));
}

/* The file ends within a bracket. */
static char *
explain_open(struct explain *explain)
{
	const struct explain_frame *frame = explain_top(explain);

	explain->fault_line = frame->line;
	return memory_format("the '%c' that opens here is never closed", frame->open);
}

/* Where a key should stand. */
static char *
explain_no_key(struct explain *explain, const struct token *token)
{
	CLEANUP_FREE char *shown = explain_show(token);
	const struct explain_frame *frame = explain_top(explain);

	if (token->kind == TOKEN_END)
		return explain_open(explain);
	if (token->kind == TOKEN_MARK && strchr("}])", *token->start) != NULL)
		return explain_close(frame, *token->start);
	if (token_is_mark(token, ';') || token_is_mark(token, ','))
		return memory_format("%s is one too many; one ends a value", shown);
	if (frame->state == EXPLAIN_VALUE && explain_is_number(&explain->before))
		return memory_format("%s cannot follow a number; text, and a number with a unit, "
				     "stand in double quotes",
				     shown);
	if (token->kind == TOKEN_STRING)
		return memory_text("a key must stand here, not a string; keys have no quotes");
	return memory_format("%s stands where a key must; text stands in double quotes", shown);
}

/* After a key. */
static char *
explain_no_equals(struct explain *explain, const struct token *token)
{
	const struct explain_frame *frame = explain_top(explain);
	const struct explain_name *name = &frame->names[frame->name_count - 1];
	int shown = name->length > 40 ? 40 : (int)name->length;

	explain->fault_line = name->line;
	if (frame->is_unit)
		return memory_format("'%.*s' follows a number; a number with a unit stands in "
				     "double quotes (\"30s\", \"64KiB\")",
				     shown, name->start);
	if (token->kind == TOKEN_MARK && *token->start == '{')
		return memory_format("'=' is missing between '%.*s' and '{'", shown, name->start);
	return memory_format("'=' is missing after '%.*s'; a key is written NAME = VALUE, and text "
			     "stands in double quotes",
			     shown, name->start);
}

/* Where a value should stand. */
static char *
explain_no_value(struct explain *explain, const struct token *token)
{
	CLEANUP_FREE char *shown = explain_show(token);
	const struct explain_frame *frame = explain_top(explain);
	const struct explain_name *name =
		frame->name_count > 0 ? &frame->names[frame->name_count - 1] : NULL;
	char mark = token->kind == TOKEN_MARK ? *token->start : '\0';

	if (frame->state == EXPLAIN_COMMA && mark == explain_closer(frame->open))
		return memory_format("remove the comma before '%c'", mark);
	if (frame->open == '[' && (mark == '{' || mark == '(' || mark == '['))
		return memory_format("'%c' cannot stand between [ and ], which hold plain values; "
				     "a list of groups is written ( { ... }, { ... } )",
				     mark);
	if (token->kind == TOKEN_END && !explain_is_group(frame))
		return explain_open(explain);
	if (!explain_is_group(frame) && mark != '\0' && strchr("}])", mark) != NULL)
		return explain_close(frame, mark);
	if (mark == ',')
		return memory_text("',' stands where a value must; it is one too many");
	if (explain_is_group(frame) && name != NULL && (mark != '\0' || token->kind == TOKEN_END))
		return memory_format("the value of '%.*s' is missing before %s",
				     (int)(name->length > 40 ? 40 : name->length), name->start,
				     shown);
	if (frame->open == '(' && token->kind == TOKEN_NAME)
		return memory_format("%s stands where a value must; a group begins with '{', and "
				     "text stands in double quotes",
				     shown);
	return memory_format("%s stands where a value must; text stands in double quotes", shown);
}

/* In a list, after a value. */
static char *
explain_no_comma(struct explain *explain, const struct token *token)
{
	CLEANUP_FREE char *shown = explain_show(token);
	const struct explain_frame *frame = explain_top(explain);

	if (token->kind == TOKEN_END)
		return explain_open(explain);
	if (token->kind == TOKEN_MARK && strchr("}])", *token->start) != NULL)
		return explain_close(frame, *token->start);
	if (token_is_mark(token, ';'))
		return memory_format("';' stands in the list of line %u; its values are separated "
				     "by ','",
				     frame->line);
	return memory_format("',' is missing before %s; the values of a list are separated by ','",
			     shown);
}

/* Takes a token that begins a value; false: it does not. */
static bool
explain_take_value(struct explain *explain, const struct token *token)
{
	struct explain_frame *frame = explain_top(explain);

	if (explain_is_plain(token)) {
		frame->state = EXPLAIN_VALUE;
		return true;
	}
	if (token->kind != TOKEN_MARK || strchr("{([", *token->start) == NULL || frame->open == '[')
		return false;
	frame->state = EXPLAIN_VALUE;
	explain_push(explain, *token->start, token->line);
	return true;
}

static char *
explain_in_group(struct explain *explain, const struct token *token)
{
	struct explain_frame *frame = explain_top(explain);
	bool is_separator = token_is_mark(token, ';') || token_is_mark(token, ',');

	switch (frame->state) {
	case EXPLAIN_NAME:
		if (!token_is_mark(token, '=') && !token_is_mark(token, ':'))
			return explain_no_equals(explain, token);
		frame->state = EXPLAIN_EQUALS;
		return NULL;
	case EXPLAIN_EQUALS:
		return explain_take_value(explain, token) ? NULL : explain_no_value(explain, token);
	default:
		break;
	}
	if (frame->state == EXPLAIN_VALUE && is_separator) {
		frame->state = EXPLAIN_BEGUN;
		return NULL;
	}
	/* adjacent strings are one value */
	if (frame->state == EXPLAIN_VALUE && token->kind == TOKEN_STRING &&
	    explain->before.kind == TOKEN_STRING)
		return NULL;
	if (token->kind == TOKEN_NAME) {
		frame->is_unit = frame->state == EXPLAIN_VALUE && token->is_touching &&
				 explain_is_number(&explain->before);
		frame->state = EXPLAIN_NAME;
		return explain_add_name(frame, token);
	}
	if (frame->open == '{' && token_is_mark(token, '}')) {
		explain_pop(explain);
		return NULL;
	}
	if (frame->open == 0 && token->kind == TOKEN_END)
		return NULL;
	return explain_no_key(explain, token);
}

static char *
explain_in_list(struct explain *explain, const struct token *token)
{
	struct explain_frame *frame = explain_top(explain);
	bool is_close = token_is_mark(token, explain_closer(frame->open));
	bool is_comma_accepted = token->line < explain->parser_line;

	if (frame->state == EXPLAIN_VALUE && token_is_mark(token, ',')) {
		frame->state = EXPLAIN_COMMA;
		return NULL;
	}
	if (is_close && (frame->state != EXPLAIN_COMMA || is_comma_accepted)) {
		explain_pop(explain);
		return NULL;
	}
	if (frame->state == EXPLAIN_VALUE && token->kind == TOKEN_STRING &&
	    explain->before.kind == TOKEN_STRING)
		return NULL;
	if (frame->state == EXPLAIN_VALUE)
		return explain_no_comma(explain, token);
	return explain_take_value(explain, token) ? NULL : explain_no_value(explain, token);
}

/* A quote that is missing turns what follows inside out, up to where nothing fits any more. */
static char *
explain_add_string_hint(const struct explain *explain, char *sentence)
{
	char *longer;

	if (sentence == NULL || explain->long_string == 0)
		return sentence;
	longer = memory_format("%s (the string that begins on line %u ends on line %u: is its "
			       "closing quote missing?)",
			       sentence, explain->long_string, explain->long_string_end);
	free(sentence);
	return longer;
}

char *
explain_syntax(const char *text, size_t length, unsigned parser_line, unsigned *ret_line)
{
	struct explain explain = {.parser_line = parser_line};
	struct tokenizer tokenizer;
	struct token token;
	char *sentence = NULL;

	tokenizer_start(&tokenizer, text, length);
	explain_push(&explain, 0, 1);
	do {
		token = tokenizer_next(&tokenizer);
		explain.fault_line = token.line;
		sentence = explain_is_group(explain_top(&explain))
				   ? explain_in_group(&explain, &token)
				   : explain_in_list(&explain, &token);
		if (token.kind == TOKEN_STRING && token.last_line > token.line) {
			explain.long_string = token.line;
			explain.long_string_end = token.last_line;
		}
		explain.before = token;
	} while (sentence == NULL && token.kind != TOKEN_END);

	sentence = explain_add_string_hint(&explain, sentence);
	while (explain.depth > 0)
		explain_pop(&explain);
	free(explain.frames);
	*ret_line = explain.fault_line;
	return sentence;
}
