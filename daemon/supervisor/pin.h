/*
 * pin.h - the handler file of a generation: opened once, checked, and handed to every worker of it,
 * so that a crash never deploys code that nobody reloaded.
 */
#ifndef SUPERVISOR_PIN_H
#define SUPERVISOR_PIN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "base/elf.h"
#include "base/report.h"
#include "conf/config.h"

struct pin {
	int fd; /* -1: none; owned */
	char *path;
	struct stat st;
	unsigned char build_id[ELF_BUILD_ID_SIZE];
	size_t build_id_size;
};

#define PIN_NONE ((struct pin){.fd = -1})

/*
 * Finds the handler (a name, looked for in the directories as NAME.so, or an absolute path), checks
 * its path and opens it. Returns whether it could; what could not goes into the report with the
 * origin.
 */
bool pin_open(struct pin *pin, const char *handler, const struct conf_texts *directories,
	      const struct conf_origin *origin, struct report *report);

/* Whether both are the same file with the same content, as far as its inode tells. */
bool pin_equal(const struct pin *a, const struct pin *b);

/* Whether the file was written to since it was opened: installers must rename instead. */
bool pin_was_overwritten(const struct pin *pin);

void pin_close(struct pin *pin);

#endif
