/*
 * screen.c - widths in the environment's characters; the few colours that every terminal has.
 */
#include "handlerctl/screen.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

static const char *const screen_codes[] = {
	[SCREEN_PLAIN] = "",	   [SCREEN_GREEN] = "\033[32m", [SCREEN_YELLOW] = "\033[33m",
	[SCREEN_RED] = "\033[31m", [SCREEN_BOLD] = "\033[1m",
};

void
screen_start(void)
{
	(void)setlocale(LC_CTYPE, "");
}

size_t
screen_width(const char *text)
{
	size_t left = strlen(text), width = 0;
	mbstate_t state = {0};

	while (left > 0) {
		wchar_t character;
		size_t length = mbrtowc(&character, text, left, &state);
		int columns = 1;

		if (length == 0 || length > left) { /* no character, or the beginning of one */
			length = 1;
			state = (mbstate_t){0};
		} else {
			columns = wcwidth(character);
		}
		width += columns < 0 ? 1 : (size_t)columns;
		text += length;
		left -= length;
	}
	return width;
}

const char *
screen_branch(void)
{
	return strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ? "└" : "\\";
}

bool
screen_wants_color(int fd)
{
	const char *off = getenv("NO_COLOR"), *term = getenv("TERM");

	if (off != NULL && off[0] != '\0')
		return false;
	return term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0 && isatty(fd) == 1;
}

void
screen_paint(FILE *out, bool is_colored, enum screen_color color, const char *text)
{
	bool is_painted = is_colored && color != SCREEN_PLAIN;

	(void)fprintf(out, "%s%s%s", is_painted ? screen_codes[color] : "", text,
		      is_painted ? "\033[0m" : "");
}
