/*
 * option.h - checks a listener's options against the rows its handler declares, and keeps them.
 */
#ifndef API_OPTION_H
#define API_OPTION_H

#include <handlerd/option.h>
#include <stddef.h>
#include <stdint.h>

#include "base/report.h"
#include "ipc/worker_settings.h"

struct option_value {
	const struct hd_option *row; /* the handler's */
	int64_t number;
	const char *text; /* not owned: the row's default or the settings' */
	char **items;	  /* not owned */
	unsigned item_count;
};

struct option_store {
	struct option_value *values; /* one for each row */
	size_t count;
};

/*
 * Fills the store from the rows (row_size apart, NULL: none) and the values given. What is wrong,
 * with the rows or with the values, goes into the report; `where` names the listener. The store
 * borrows from rows and settings and lives no longer than they.
 */
void option_store_fill(struct option_store *store, const struct hd_option *rows, size_t row_size,
		       const struct worker_settings *settings, struct report *report);
void option_store_free(struct option_store *store);

/* The i-th row of an array whose rows are row_size apart; NULL at its end. */
const struct hd_option *option_row(const struct hd_option *rows, size_t row_size, size_t i);

/* The name of a row's type ("int", ...), and its default as it would be written (NULL: none). */
const char *option_type_name(const struct hd_option *row);
const char *option_default_text(const struct hd_option *row, char *buf, size_t size);

#endif
