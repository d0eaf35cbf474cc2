/*
 * table.h - rows of cells, printed in columns as wide as their widest cell.
 *
 *	static const struct table_column columns[] = {{"NAME"}, {"TOTAL", .is_number = true}};
 *	struct table table = {.columns = columns, .column_count = COUNT_OF(columns)};
 *
 *	table_add_row(&table);
 *	table_set(&table, 0, SCREEN_PLAIN, "%s", name);
 */
#ifndef HANDLERCTL_TABLE_H
#define HANDLERCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "handlerctl/screen.h"

struct table_column {
	const char *title;
	bool is_number; /* stands at the right */
};

struct table_cell {
	char *text; /* NULL: empty */
	enum screen_color color;
};

struct table_row {
	struct table_cell *cells; /* one for each column, or NULL: */
	char *note;		  /* a line that keeps to no column */
};

struct table {
	const struct table_column *columns; /* not owned */
	size_t column_count;
	struct table_row *rows;
	size_t row_count;
};

void table_add_row(struct table *table);
/* Fills a cell of the last row. Nothing that is printed may hold control characters. */
void table_set(struct table *table, size_t column, enum screen_color color, const char *format, ...)
	__attribute__((format(printf, 4, 5)));
/* A line below the rows so far. */
void table_add_note(struct table *table, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Titles and rows; no line ends with blanks. */
void table_print(const struct table *table, bool is_colored, FILE *out);
void table_free(struct table *table);

#endif
