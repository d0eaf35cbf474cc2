/*
 * access_writer.h - makes the memory that access.h reads, and publishes tables and times in it.
 */
#ifndef POLICY_ACCESS_WRITER_H
#define POLICY_ACCESS_WRITER_H

#include "policy/access.h"

/* The most rules of a table, whatever memory there is. */
#define ACCESS_MOST_RULES 500000

struct access_rule {
	struct access_entry entry;
	bool is_allow;
};

struct access_writer {
	int fd;		/* -1: there is none; owned, as what follows */
	int reading_fd; /* for workers */
	struct access_page *page;
	struct access view; /* the whole of it */
};

#define ACCESS_WRITER_NONE ((struct access_writer){.fd = -1, .reading_fd = -1})

/* Memory for tables of so many rules, which stays empty (everybody may come in, always) until
 * something is published. 0 or a negative errno. */
int access_writer_open(struct access_writer *writer, size_t most_rules);
/* The same of a descriptor that access_writer_open has given to another execution of this program;
 * it is the writer's from now on. */
int access_writer_reopen(struct access_writer *writer, int fd);
void access_writer_close(struct access_writer *writer);

/* From now on these rules hold; an answer's `rule` is 1 + an index here. 0; -E2BIG: they have no
 * room; another negative errno. What held before stays then. */
int access_writer_publish(struct access_writer *writer, const struct access_rule *rules,
			  size_t count);

/* From now on it is open then. */
void access_writer_publish_schedule(struct access_writer *writer, const struct schedule *schedule);

#endif
