/*
 * crash.c - reads the record of a crash, and makes words of it.
 */
#include "ipc/crash.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/elf_symbol.h"
#include "base/text.h"

/* Of the name of a function; those of C++ templates have no end. */
#define CRASH_FUNCTION_SIZE 128
#define CRASH_TEXT_SIZE 320
/* Frames behind the last one of the handler: they tell the entry point. */
#define CRASH_FRAMES_BEHIND 1

_Static_assert(sizeof(struct crash_record) % 64 == 0, "slots behind it begin on a cache line");

const int crash_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, 0};

static bool
crash_is_signal(int signal)
{
	for (const int *known = crash_signals; *known != 0; known++) {
		if (*known == signal)
			return true;
	}
	return false;
}

/* Whatever goes on there, this is one copy. */
static void
crash_copy(void *to, const volatile void *from, size_t size)
{
	const volatile unsigned char *source = from;
	unsigned char *target = to;

	for (size_t i = 0; i < size; i++)
		target[i] = source[i];
}

bool
crash_take(struct crash_record *record, pid_t pid, struct crash_report *ret)
{
	uint32_t count = atomic_load(&record->frame_count);

	if (pid == 0 || atomic_load(&record->pid) != pid)
		return false;
	*ret = (struct crash_report){
		.frame_count = count < CRASH_MOST_FRAMES ? count : CRASH_MOST_FRAMES,
	};
	crash_copy(&ret->signal, &record->signal, sizeof(ret->signal));
	crash_copy(&ret->code, &record->code, sizeof(ret->code));
	crash_copy(&ret->address, &record->address, sizeof(ret->address));
	crash_copy(&ret->connection_id, &record->connection_id, sizeof(ret->connection_id));
	ret->is_stack_overflow = record->is_stack_overflow != 0;
	crash_copy(ret->frames, record->frames, sizeof(ret->frames));
	for (uint32_t i = 0; i < CRASH_MOST_FRAMES; i++) {
		struct crash_frame *frame = &ret->frames[i];

		frame->name[CRASH_MODULE_SIZE - 1] = '\0';
		if (frame->module > CRASH_MODULE_LIBRARY)
			frame->module = CRASH_MODULE_UNKNOWN;
	}
	atomic_store(&record->frame_count, 0);
	atomic_store(&record->pid, 0);
	return crash_is_signal(ret->signal);
}

static const char *
crash_find_cause(const struct crash_report *report)
{
	static const struct {
		int signal, code;
		const char *text;
	} causes[] = {
		{SIGSEGV, SEGV_MAPERR, "is not mapped"},
		{SIGSEGV, SEGV_ACCERR, "may not be accessed so"},
		{SIGBUS, BUS_ADRALN, "is not aligned"},
		{SIGBUS, BUS_ADRERR, "is behind the end of a mapped file"},
		{SIGBUS, BUS_MCEERR_AR, "is in memory that is broken"},
	};

	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++) {
		if (causes[i].signal == report->signal && causes[i].code == report->code)
			return causes[i].text;
	}
	return NULL;
}

bool
crash_add_cause(const struct crash_report *report, struct buf *text)
{
	const char *cause = crash_find_cause(report);

	if (report->is_stack_overflow && report->signal == SIGSEGV)
		buf_add_format(text,
			       "the stack of its fiber is used up; raise fibers.stack_size, or "
			       "keep large variables in hd_alloc");
	else if (cause != NULL)
		buf_add_format(text, "address 0x%" PRIx64 " %s", report->address, cause);
	else if (report->signal == SIGFPE && report->code == FPE_INTDIV)
		buf_add_format(text, "integer division by zero");
	else if (report->signal == SIGSEGV && report->code == SI_KERNEL)
		buf_add_format(text, "an address that cannot be");
	else if (report->signal != SIGABRT && report->code <= 0)
		buf_add_format(text, "sent with kill or raise");
	else
		return false;
	return true;
}

/* Both files, opened as far as they can be. */
struct crash_symbols {
	struct elf_symbols handler, program;
	bool has_handler, has_program;
};

static void
crash_open_symbols(struct crash_symbols *symbols, const struct crash_files *files)
{
	*symbols = (struct crash_symbols){0};
	if (files->handler_fd >= 0)
		symbols->has_handler = elf_symbols_open(&symbols->handler, files->handler_fd) == 0;
	if (files->program_fd >= 0)
		symbols->has_program = elf_symbols_open(&symbols->program, files->program_fd) == 0;
}

static void
crash_close_symbols(struct crash_symbols *symbols)
{
	elf_symbols_close(&symbols->handler);
	elf_symbols_close(&symbols->program);
}

static const struct elf_symbols *
crash_choose_symbols(const struct crash_symbols *symbols, const struct crash_frame *frame)
{
	if (frame->module == CRASH_MODULE_HANDLER && symbols->has_handler)
		return &symbols->handler;
	if (frame->module == CRASH_MODULE_PROGRAM && symbols->has_program)
		return &symbols->program;
	return NULL;
}

/* "#0 crash_here+0x12 (crash.so+0x1234)", "#1 libc.so.6+0x3c050", "#2 0x10". */
static void
crash_format_frame(const struct crash_report *report, uint32_t i,
		   const struct crash_symbols *symbols, char *out, size_t size)
{
	const struct crash_frame *frame = &report->frames[i];
	const struct elf_symbols *file = crash_choose_symbols(symbols, frame);
	char module[2 * CRASH_MODULE_SIZE], function[CRASH_FUNCTION_SIZE];
	const char *name = NULL;
	/* a call that never returns may be the last of its function: what follows is another's */
	uint64_t before = i > 0 && frame->offset > 0 ? 1 : 0, within = 0;

	if (frame->module == CRASH_MODULE_UNKNOWN) {
		(void)snprintf(out, size, "#%" PRIu32 " 0x%" PRIx64, i, frame->offset);
		return;
	}
	(void)text_escape(frame->name, strlen(frame->name), module, sizeof(module));
	if (file != NULL)
		name = elf_symbols_find(file, frame->offset - before, &within);
	if (name == NULL) {
		(void)snprintf(out, size, "#%" PRIu32 " %s+0x%" PRIx64, i, module, frame->offset);
		return;
	}
	(void)text_escape(name, strnlen(name, 4 * CRASH_FUNCTION_SIZE), function, sizeof(function));
	(void)snprintf(out, size, "#%" PRIu32 " %s+0x%" PRIx64 " (%s+0x%" PRIx64 ")", i, function,
		       within + before, module, frame->offset);
}

/* How many frames are worth a line: what called the handler is always the same. */
static uint32_t
crash_count_frames(const struct crash_report *report)
{
	uint32_t count = 0;

	for (uint32_t i = 0; i < report->frame_count; i++) {
		if (report->frames[i].module == CRASH_MODULE_HANDLER)
			count = i + 1 + CRASH_FRAMES_BEHIND;
	}
	return count == 0 || count > report->frame_count ? report->frame_count : count;
}

void
crash_add_frames(const struct crash_report *report, const struct crash_files *files, uint32_t most,
		 struct buf *text)
{
	struct crash_symbols symbols;
	char line[CRASH_TEXT_SIZE];

	crash_open_symbols(&symbols, files);
	for (uint32_t i = 0; i < crash_count_frames(report) && i < most; i++) {
		crash_format_frame(report, i, &symbols, line, sizeof(line));
		buf_add_format(text, "%s%s", i > 0 ? ", " : "", line);
	}
	crash_close_symbols(&symbols);
}

void
crash_log_frames(const struct crash_report *report, const struct crash_files *files,
		 const struct log_context *context, const char *who)
{
	struct log_context frame = *context;
	struct crash_symbols symbols;
	char line[CRASH_TEXT_SIZE];

	frame.event = LOG_EVENT_BACKTRACE;
	crash_open_symbols(&symbols, files);
	for (uint32_t i = 0; i < crash_count_frames(report); i++) {
		crash_format_frame(report, i, &symbols, line, sizeof(line));
		log_write(LOG_LEVEL_ERROR, &frame, "%s: %s", who, line);
	}
	crash_close_symbols(&symbols);
}
