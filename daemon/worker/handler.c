/*
 * handler.c - the loader.
 *
 * Constructors of an incompatible handler never run: the descriptor's prefix, the kind of machine,
 * the stack, text relocations and the library search path are read from the file before dlopen. The
 * file is the one that the supervisor opened and checked, reached through its descriptor.
 */
#include "worker/handler.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/elf.h"
#include "base/fd.h"
#include "base/memory.h"
#include "base/suggest.h"
#include "base/trusted.h"
#include "ipc/protocol.h"

#define HANDLER_SYMBOL "hd_handler_v1"
#define HANDLER_KNOWN_FLAGS (HD_STREAM | HD_DGRAM | HD_THREADS | HD_FIBERS)

/* What a handler built for 1.0 has at least. */
#define HANDLER_SIZE_1_0 (offsetof(struct hd_handler, service_actions) + sizeof(void *))
#define HANDLER_OPTION_SIZE_1_0 (offsetof(struct hd_option, text) + sizeof(void *))

/* The part of the descriptor that never changes. */
struct handler_prefix {
	uint32_t magic;
	uint16_t abi_major, abi_minor;
	uint32_t size, option_size;
};
_Static_assert(sizeof(struct handler_prefix) == 16, "the prefix is 16 bytes for ever");
_Static_assert(offsetof(struct hd_handler, name) == 16, "the name follows the prefix");

/* What a load is about, for its messages. */
struct handler_load {
	const struct worker_settings *settings;
	struct report *report;
	struct elf_file elf;
	struct handler_prefix prefix;
};

static void handler_complain(const struct handler_load *load, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
handler_complain(const struct handler_load *load, const char *format, ...)
{
	const struct worker_settings *settings = load->settings;
	CLEANUP_FREE char *text = NULL;
	va_list args;

	va_start(args, format);
	text = memory_vformat(format, args);
	va_end(args);
	report_error(load->report, settings->handler_file, settings->handler_line,
		     "handler '%s' (%s) %s", settings->handler, settings->handler_path, text);
}

/* Every directory the dynamic linker would look into must be as trustworthy as the handler. */
/* What stands in the way of loading code, for behind the message; "" if nothing is known. */
static const char *
handler_advise(void)
{
	struct statvfs place;

	if (fstatvfs(WORKER_FD_HANDLER, &place) == 0 && (place.f_flag & ST_NOEXEC) != 0)
		return "; its file system is mounted noexec: in a systemd unit, ExecPaths= and "
		       "BindReadOnlyPaths= must have its directory";
	return "";
}

static bool
handler_check_search_path(const struct handler_load *load)
{
	struct trusted_owner owner = {
		.uid = load->settings->supervisor_uid,
		.also = (uid_t)-1,
		.is_strict = load->settings->supervisor_uid == 0,
	};
	CLEANUP_FREE char *path = memory_text(load->elf.search_path);
	char *rest = path, *directory;

	while ((directory = strsep(&rest, ":")) != NULL) {
		CLEANUP_FREE char *reason = NULL;
		CLEANUP_CLOSE int fd = -1;

		if (directory[0] != '/' || strchr(directory, '$') != NULL) {
			handler_complain(load,
					 "looks for libraries in '%s' (RPATH or RUNPATH), which is "
					 "not absolute; link it without -rpath",
					 directory);
			return false;
		}
		fd = trusted_open(directory, TRUSTED_DIRECTORY, &owner, &reason, NULL);
		/* one that is not there could be made by anybody who may write above it */
		if (fd < 0) {
			handler_complain(load, "looks for libraries in '%s' (RPATH or RUNPATH): %s",
					 directory, reason);
			return false;
		}
	}
	return true;
}

static bool
handler_check_prefix(struct handler_load *load)
{
	const struct handler_prefix *prefix = &load->prefix;
	uint64_t offset, size;

	if (elf_find_data(&load->elf, HANDLER_SYMBOL, &offset, &size) < 0 ||
	    size < sizeof(*prefix) ||
	    fd_pread_all(WORKER_FD_HANDLER, &load->prefix, sizeof(load->prefix), offset) < 0 ||
	    prefix->magic != HD_HANDLER_MAGIC) {
		handler_complain(load,
				 "is not a handlerd handler: it has no descriptor (HD_HANDLER)");
		return false;
	}
	if (prefix->abi_major != HD_ABI_MAJOR) {
		handler_complain(load, "was built for handler ABI %u, this is %u; build it anew",
				 prefix->abi_major, HD_ABI_MAJOR);
		return false;
	}
	if (prefix->abi_minor > HD_ABI_MINOR) {
		handler_complain(load, "needs handler ABI %u.%u, this is %u.%u; upgrade handlerd",
				 prefix->abi_major, prefix->abi_minor, HD_ABI_MAJOR, HD_ABI_MINOR);
		return false;
	}
	if (prefix->size < HANDLER_SIZE_1_0 || prefix->size > size ||
	    prefix->option_size < HANDLER_OPTION_SIZE_1_0) {
		handler_complain(load, "has a damaged descriptor: size %u, option size %u",
				 prefix->size, prefix->option_size);
		return false;
	}
	return true;
}

/* All that can be known without running a line of the handler. */
static bool
handler_check_file(struct handler_load *load)
{
	const char *reason;
	int r = elf_open(&load->elf, WORKER_FD_HANDLER, &reason);

	if (r == -ENOEXEC) {
		handler_complain(load, "%s", reason);
		return false;
	}
	if (r < 0) {
		handler_complain(load, "cannot be read: %s", strerror(-r));
		return false;
	}
	if (!handler_check_prefix(load))
		return false;
	if (load->elf.has_executable_stack) {
		handler_complain(load, "asks for an executable stack; link it with -z noexecstack");
		return false;
	}
	if (load->elf.has_text_relocations) {
		handler_complain(load, "has text relocations; compile it with -fPIC");
		return false;
	}
	return load->elf.search_path == NULL || handler_check_search_path(load);
}

/* The entry point of this name if it is the handler's own: dlsym also finds functions of the
 * libraries that the handler links. */
static void *
handler_find(void *library, const char *name)
{
	struct link_map *own = NULL, *found = NULL;
	void *address = dlsym(library, name);
	Dl_info info;

	if (address == NULL || dlinfo(library, RTLD_DI_LINKMAP, &own) != 0 ||
	    dladdr1(address, &info, (void **)&found, RTLD_DL_LINKMAP) == 0)
		return NULL;
	return found == own ? address : NULL;
}

static void
handler_warn_misspelt(const struct handler_load *load, const char *name)
{
	for (size_t i = 0; i < load->elf.symbol_count; i++) {
		const char *exported = elf_function_name(&load->elf, i);

		if (exported == NULL || suggest_distance(exported, name, 2) > 2)
			continue;
		report_warning(
			load->report, load->settings->handler_file, load->settings->handler_line,
			"handler '%s' (%s) has no function '%s', but one named '%s'",
			load->settings->handler, load->settings->handler_path, name, exported);
		return;
	}
}

/* The descriptor as this program knows it, from a handler of the same or an older minor version. */
static bool
handler_take_descriptor(const struct handler_load *load, const void *at, struct hd_handler *ret)
{
	uint32_t unknown;

	*ret = (struct hd_handler){0};
	memcpy(ret, at, load->prefix.size < sizeof(*ret) ? load->prefix.size : sizeof(*ret));
	if (ret->name == NULL || ret->name[0] == '\0') {
		handler_complain(load, "does not tell its name; write HD_HANDLER(.name = \"...\")");
		return false;
	}
	unknown = ret->flags & ~HANDLER_KNOWN_FLAGS;
	if (unknown != 0) {
		handler_complain(load, "has flags that this handlerd does not know: 0x%x", unknown);
		return false;
	}
	if ((ret->flags & (HD_STREAM | HD_DGRAM)) == 0) {
		handler_complain(load, "serves nothing: neither HD_STREAM nor HD_DGRAM is set");
		return false;
	}
	return true;
}

const char *
handler_format_path(char *buf, size_t size)
{
	/* not /proc/self: a debugger that opens the same path would open its own descriptor */
	(void)snprintf(buf, size, "/proc/%d/fd/%d", (int)getpid(), WORKER_FD_HANDLER);
	return buf;
}

static bool
handler_open(struct handler_load *load, bool wants_warnings, struct server_handler *ret)
{
	char path[HANDLER_PATH_SIZE];
	void *library, *descriptor;

	(void)handler_format_path(path, sizeof(path));
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (library == NULL) {
		handler_complain(load, "cannot be opened%s: %s%s",
				 access(path, R_OK) < 0
					 ? " (the user of the worker cannot read the file)"
					 : "",
				 dlerror(), handler_advise());
		return false;
	}
	ret->name = load->settings->handler;
	*(void **)&ret->setup = handler_find(library, "setup");
	*(void **)&ret->handle = handler_find(library, "handle");
	*(void **)&ret->finish = handler_find(library, "finish");
	*(void **)&ret->exceptions = dlsym(library, "__cxa_get_globals");
	if (ret->handle == NULL) {
		handler_warn_misspelt(load, "handle");
		handler_complain(load, "has no function 'handle'");
		return false;
	}
	if (wants_warnings && ret->setup == NULL)
		handler_warn_misspelt(load, "setup");
	if (wants_warnings && ret->finish == NULL)
		handler_warn_misspelt(load, "finish");
	descriptor = handler_find(library, HANDLER_SYMBOL);
	if (descriptor == NULL) {
		handler_complain(load,
				 "is not a handlerd handler: it has no descriptor of its own");
		return false;
	}
	return handler_take_descriptor(load, descriptor, &ret->descriptor);
}

bool
handler_load(const struct worker_settings *settings, bool wants_warnings,
	     struct server_handler *ret, struct report *report)
{
	struct handler_load load = {.settings = settings, .report = report};
	bool is_loaded;

	is_loaded = handler_check_file(&load) && handler_open(&load, wants_warnings, ret);
	(void)elf_format_build_id(load.elf.build_id, load.elf.build_id_size, ret->build_id);
	elf_close(&load.elf);
	return is_loaded;
}

static const char *const handler_protocols[] = {
	[WORKER_TCP] = "tcp",
	[WORKER_UDP] = "udp",
	[WORKER_UNIX] = "unix",
	[WORKER_UNIXGRAM] = "unixgram",
};

bool
handler_check_mode(const struct worker_settings *settings, const struct server_handler *handler,
		   struct report *report)
{
	struct handler_load load = {.settings = settings, .report = report};
	uint32_t flags = handler->descriptor.flags;
	bool is_fit = true;

	bool is_datagram =
		settings->protocol == WORKER_UDP || settings->protocol == WORKER_UNIXGRAM;

	if ((flags & (is_datagram ? HD_DGRAM : HD_STREAM)) == 0) {
		handler_complain(&load, "does not serve %s, but listener '%s' is %s",
				 is_datagram ? "datagrams" : "connections", settings->listener,
				 handler_protocols[settings->protocol & 3]);
		is_fit = false;
	}
	if (settings->concurrency == WORKER_THREADING && (flags & HD_THREADS) == 0) {
		handler_complain(
			&load,
			"is not thread-safe (HD_THREADS), but listener '%s' says threading; "
			"use concurrency = \"forking\" or \"serial\"",
			settings->listener);
		is_fit = false;
	}
	if (settings->concurrency == WORKER_FIBERS && (flags & HD_FIBERS) == 0) {
		handler_complain(
			&load,
			"is not made for fibers (HD_FIBERS), but listener '%s' says fibers; use "
			"concurrency = %s",
			settings->listener,
			(flags & HD_THREADS) != 0 ? "\"threading\"" : "\"forking\" or \"serial\"");
		is_fit = false;
	} else if (settings->concurrency == WORKER_FIBERS && settings->fiber_threads > 1 &&
		   (flags & HD_THREADS) == 0) {
		handler_complain(&load,
				 "is not thread-safe (HD_THREADS), but listener '%s' says "
				 "fibers.threads = %u; set it to 1",
				 settings->listener, settings->fiber_threads);
		is_fit = false;
	}
	return is_fit;
}
