/*
 * pin.c - finds and pins handler files.
 */
#include "supervisor/pin.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "base/trusted.h"

static int
pin_compare_files(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Takes the file at `path`. 0; -ENOENT if there is none; another negative errno, told. */
static int
pin_take(struct pin *pin, const char *path, const char *handler, const struct conf_origin *origin,
	 struct report *report)
{
	struct trusted_owner owner = trusted_owner_self(origin->file == NULL);
	CLEANUP_FREE char *reason = NULL;
	CLEANUP_FREE char *warning = NULL;
	struct elf_file elf;
	const char *elf_reason;
	int fd = trusted_open(path, TRUSTED_FILE, &owner, &reason, &warning);

	if (fd < 0) {
		if (fd != -ENOENT)
			report_error(report, origin->file, origin->line, "handler '%s': %s",
				     handler, reason);
		return fd;
	}
	if (warning != NULL)
		report_warning(report, origin->file, origin->line, "handler '%s': %s", handler,
			       warning);
	pin->fd = fd;
	pin->path = memory_text(path);
	if (fstat(fd, &pin->st) < 0)
		pin->st = (struct stat){0};
	/* a file that is no handler is refused by the worker that is to load it, with its reason */
	if (elf_open(&elf, fd, &elf_reason) >= 0) {
		memcpy(pin->build_id, elf.build_id, elf.build_id_size);
		pin->build_id_size = elf.build_id_size;
		elf_close(&elf);
	}
	return 0;
}

/* Handlers whose name is near. */
static char *
pin_suggest(const char *handler, const struct conf_texts *directories)
{
	struct suggest suggest = {.word = handler};
	char *nearest = NULL;

	for (size_t i = 0; i < directories->count; i++) {
		DIR *directory = opendir(directories->items[i]);
		const struct dirent *entry;

		while (directory != NULL && (entry = readdir(directory)) != NULL) {
			CLEANUP_FREE char *name = memory_text(entry->d_name);
			size_t length = strlen(name);

			if (length <= 3 || strcmp(name + length - 3, ".so") != 0)
				continue;
			name[length - 3] = '\0';
			suggest.nearest = nearest;
			suggest_offer(&suggest, name);
			if (suggest.nearest != name)
				continue;
			free(nearest);
			nearest = take_pointer(&name);
		}
		if (directory != NULL)
			(void)closedir(directory);
	}
	return nearest;
}

static void
pin_complain_missing(const char *handler, const struct conf_texts *directories,
		     const struct conf_origin *origin, struct report *report)
{
	CLEANUP_FREE char *nearest = pin_suggest(handler, directories);
	CLEANUP_FREE char *list = memory_text("");

	for (size_t i = 0; i < directories->count; i++) {
		char *longer =
			memory_format("%s%s%s", list, i > 0 ? ", " : "", directories->items[i]);

		free(list);
		list = longer;
	}
	report_error(report, origin->file, origin->line,
		     "there is no handler '%s': no %s.so in %s%s%s%s", handler, handler, list,
		     nearest != NULL ? "; did you mean '" : "", nearest != NULL ? nearest : "",
		     nearest != NULL ? "'?" : "");
}

bool
pin_open(struct pin *pin, const char *handler, const struct conf_texts *directories,
	 const struct conf_origin *origin, struct report *report)
{
	int r;

	*pin = PIN_NONE;
	if (handler[0] == '/') {
		r = pin_take(pin, handler, handler, origin, report);
		if (r == -ENOENT)
			report_error(report, origin->file, origin->line,
				     "there is no handler file '%s'", handler);
		return r >= 0;
	}
	for (size_t i = 0; i < directories->count; i++) {
		CLEANUP_FREE char *path = memory_format("%s/%s.so", directories->items[i], handler);

		r = pin_take(pin, path, handler, origin, report);
		if (r != -ENOENT)
			return r >= 0;
	}
	pin_complain_missing(handler, directories, origin, report);
	return false;
}

bool
pin_equal(const struct pin *a, const struct pin *b)
{
	return pin_compare_files(&a->st, &b->st) && a->build_id_size == b->build_id_size &&
	       memcmp(a->build_id, b->build_id, a->build_id_size) == 0;
}

bool
pin_was_overwritten(const struct pin *pin)
{
	struct stat now;

	return fstat(pin->fd, &now) == 0 && !pin_compare_files(&now, &pin->st);
}

void
pin_close(struct pin *pin)
{
	if (pin->fd >= 0)
		(void)close(pin->fd);
	free(pin->path);
	*pin = PIN_NONE;
}
