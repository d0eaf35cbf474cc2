/*
 * table.c - measures all cells, then prints.
 */
#include "handlerctl/table.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/cleanup.h"
#include "base/memory.h"

#define TABLE_GAP 2

static struct table_row *
table_append(struct table *table)
{
	table->rows = memory_grow(table->rows, table->row_count, sizeof(*table->rows));
	table->rows[table->row_count] = (struct table_row){.note = NULL};
	return &table->rows[table->row_count++];
}

static const char *
table_text(const struct table_cell *cell)
{
	return cell->text == NULL ? "" : cell->text;
}

/* The width of each column; the caller frees it. */
static size_t *
table_measure(const struct table *table)
{
	size_t *widths = memory_zero(table->column_count, sizeof(*widths));

	for (size_t i = 0; i < table->column_count; i++)
		widths[i] = screen_width(table->columns[i].title);
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; table->rows[row].cells != NULL && i < table->column_count; i++) {
			size_t width = screen_width(table_text(&table->rows[row].cells[i]));

			if (width > widths[i])
				widths[i] = width;
		}
	}
	return widths;
}

static void
table_print_blanks(FILE *out, size_t count)
{
	(void)fprintf(out, "%*s", (int)count, "");
}

static void
table_print_cells(const struct table *table, const struct table_cell *cells, const size_t *widths,
		  bool is_colored, FILE *out)
{
	size_t blanks = 0; /* that are owed: none are written behind the last text */

	for (size_t i = 0; i < table->column_count; i++) {
		const char *text = table_text(&cells[i]);
		size_t left = widths[i] - screen_width(text);

		if (text[0] == '\0') {
			blanks += widths[i] + TABLE_GAP;
			continue;
		}
		if (table->columns[i].is_number) {
			blanks += left;
			left = 0;
		}
		table_print_blanks(out, blanks);
		screen_paint(out, is_colored, cells[i].color, text);
		blanks = left + TABLE_GAP;
	}
	(void)fputc('\n', out);
}

static void
table_print_titles(const struct table *table, const size_t *widths, bool is_colored, FILE *out)
{
	CLEANUP_FREE struct table_cell *cells = memory_zero(table->column_count, sizeof(*cells));

	for (size_t i = 0; i < table->column_count; i++) {
		cells[i].text = memory_text(table->columns[i].title);
		cells[i].color = SCREEN_BOLD;
	}
	table_print_cells(table, cells, widths, is_colored, out);
	for (size_t i = 0; i < table->column_count; i++)
		free(cells[i].text);
}

void
table_add_row(struct table *table)
{
	table_append(table)->cells = memory_zero(table->column_count, sizeof(struct table_cell));
}

void
table_set(struct table *table, size_t column, enum screen_color color, const char *format, ...)
{
	struct table_cell *cell;
	va_list args;

	CHECK(table->row_count > 0 && column < table->column_count);
	cell = &table->rows[table->row_count - 1].cells[column];
	free(cell->text);
	va_start(args, format);
	*cell = (struct table_cell){.text = memory_vformat(format, args), .color = color};
	va_end(args);
}

void
table_add_note(struct table *table, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	table_append(table)->note = memory_vformat(format, args);
	va_end(args);
}

void
table_print(const struct table *table, bool is_colored, FILE *out)
{
	CLEANUP_FREE size_t *widths = table_measure(table);

	table_print_titles(table, widths, is_colored, out);
	for (size_t i = 0; i < table->row_count; i++) {
		if (table->rows[i].cells == NULL)
			(void)fprintf(out, "%s\n", table->rows[i].note);
		else
			table_print_cells(table, table->rows[i].cells, widths, is_colored, out);
	}
}

void
table_free(struct table *table)
{
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; table->rows[row].cells != NULL && i < table->column_count; i++)
			free(table->rows[row].cells[i].text);
		free(table->rows[row].cells);
		free(table->rows[row].note);
	}
	free(table->rows);
	*table = (struct table){.rows = NULL};
}
