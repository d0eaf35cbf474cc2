/*
 * crash.c - records a crash. What runs in the signal handler is async-signal-safe: _dl_find_object
 * is documented to be, and the unwinder, which is linked into the worker, asks nobody else. glibc's
 * backtrace would be the same with a library more in every process, which each fork copies.
 */
#include "concurrency/crash.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

/* The unwinder and the widest registers fit several times. */
#define CRASH_STACK_SIZE 65536
/* A process whose memory is spoilt may not even find its own stack: then it ends all the same. */
#define CRASH_MOST_SECONDS 2
/* Another thread has crashed first: so long, ten times, it may write. */
#define CRASH_WAIT_NS 100000000

static struct {
	struct crash_record *record; /* shared; NULL: nothing is recorded */
	pid_t pid;
	char path[64];
	char name[CRASH_MODULE_SIZE];
	_Atomic int signal; /* the first */
	_Atomic pid_t thread;
} crash;

static _Thread_local const struct scoreboard_slot *crash_slot;
static _Thread_local void *crash_stack; /* of this thread; owned */
/* Below the stack that runs; 0: not known. */
static _Thread_local uintptr_t crash_guard_low, crash_guard_high;

/* Where it happened; 0 on a machine that is not known here. */
static uintptr_t
crash_find_place(const void *context)
{
	const ucontext_t *user = context;

#if defined(__x86_64__)
	return (uintptr_t)user->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)user->uc_mcontext.pc;
#elif defined(__i386__)
	return (uintptr_t)user->uc_mcontext.gregs[REG_EIP];
#elif defined(__riscv)
	return (uintptr_t)user->uc_mcontext.__gregs[REG_PC];
#else
	(void)user;
	return 0;
#endif
}

/* What a register holds, as the pointer that it may be. */
static void *
crash_to_pointer(uintptr_t address)
{
	void *pointer;

	memcpy(&pointer, &address, sizeof(pointer));
	return pointer;
}

/* Who called what is no function: the unwinder cannot tell. Reading may crash in its turn. */
static uintptr_t
crash_find_caller(const void *context)
{
	const ucontext_t *user = context;

#if defined(__x86_64__)
	return *(const uintptr_t *)crash_to_pointer((uintptr_t)user->uc_mcontext.gregs[REG_RSP]);
#elif defined(__aarch64__)
	return (uintptr_t)user->uc_mcontext.regs[30];
#else
	(void)user;
	return 0;
#endif
}

static void
crash_copy_name(char *to, const char *from)
{
	size_t i = 0;

	for (; i < CRASH_MODULE_SIZE - 1 && from[i] != '\0'; i++)
		to[i] = from[i];
	to[i] = '\0';
}

/* The part behind the last slash. */
static const char *
crash_strip_directories(const char *path)
{
	const char *name = path;

	for (; *path != '\0'; path++) {
		if (path[0] == '/' && path[1] != '\0')
			name = path + 1;
	}
	return name;
}

static bool
crash_is_known(uintptr_t address)
{
	struct dl_find_object found;

	return _dl_find_object(crash_to_pointer(address), &found) == 0;
}

/* Adds one frame. A return address belongs to the call before it. */
static void
crash_add_frame(struct crash_record *record, uintptr_t address, bool is_return)
{
	uint32_t count = atomic_load(&record->frame_count);
	struct crash_frame *frame;
	struct dl_find_object found;

	/* others may write there */
	if (count >= CRASH_MOST_FRAMES)
		return;
	frame = &record->frames[count];
	frame->offset = address;
	frame->module = CRASH_MODULE_UNKNOWN;
	frame->name[0] = '\0';
	if (_dl_find_object(crash_to_pointer(address - (is_return ? 1 : 0)), &found) == 0) {
		const struct link_map *map = found.dlfo_link_map;

		frame->offset = address - map->l_addr;
		if (map->l_name[0] == '\0') {
			frame->module = CRASH_MODULE_PROGRAM;
			crash_copy_name(frame->name, "handlerd-worker");
		} else if (strcmp(map->l_name, crash.path) == 0) {
			frame->module = CRASH_MODULE_HANDLER;
			crash_copy_name(frame->name, crash.name);
		} else {
			frame->module = CRASH_MODULE_LIBRARY;
			crash_copy_name(frame->name, crash_strip_directories(map->l_name));
		}
	}
	atomic_store(&record->frame_count, count + 1);
}

/* What the unwinder's walk goes through. */
struct crash_walk {
	struct crash_record *record;
	uintptr_t place;
	bool is_behind; /* the place was passed: frames before it are of this signal handler */
};

static _Unwind_Reason_Code
crash_on_frame(struct _Unwind_Context *context, void *argument)
{
	struct crash_walk *walk = argument;
	int is_exact = 0;
	uintptr_t address = (uintptr_t)_Unwind_GetIPInfo(context, &is_exact);

	if (walk->is_behind && address != 0)
		crash_add_frame(walk->record, address, is_exact == 0);
	walk->is_behind = walk->is_behind || address == walk->place;
	return atomic_load(&walk->record->frame_count) < CRASH_MOST_FRAMES ? _URC_NO_REASON
									   : _URC_END_OF_STACK;
}

/* The frames from the place on. */
static void
crash_add_stack(struct crash_record *record, const void *context)
{
	struct crash_walk walk = {.record = record, .place = crash_find_place(context)};

	crash_add_frame(record, walk.place, false);
	if (!crash_is_known(walk.place)) {
		uintptr_t caller = crash_find_caller(context);

		if (crash_is_known(caller))
			crash_add_frame(record, caller, true);
	}
	(void)_Unwind_Backtrace(crash_on_frame, &walk);
}

/* From now on the signal does what it does to any process. SA_RESETHAND is not enough where a
 * handler has put its own signal handler in front of this one. */
static void
crash_reset(int number)
{
	struct sigaction action = {.sa_handler = SIG_DFL};

	(void)sigaction(number, &action, NULL);
}

/* Nothing that goes wrong here may keep the process from ending. */
static void
crash_limit_time(void)
{
	sigset_t set;

	crash_reset(SIGALRM);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, SIGALRM);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
	(void)alarm(CRASH_MOST_SECONDS);
}

/* A stack that is used up runs into its guard. */
static bool
crash_is_overflow(const siginfo_t *info)
{
	uintptr_t address = (uintptr_t)info->si_addr;

	return info->si_signo == SIGSEGV && info->si_code > 0 && address >= crash_guard_low &&
	       address < crash_guard_high;
}

static void
crash_write(int number, const siginfo_t *info, const void *context)
{
	struct crash_record *record = crash.record;
	int32_t nobody = 0;

	if (!atomic_compare_exchange_strong(&record->pid, &nobody, crash.pid))
		return;
	atomic_store(&record->frame_count, 0);
	record->signal = number;
	record->code = info->si_code;
	record->address = info->si_code > 0 ? (uint64_t)(uintptr_t)info->si_addr : 0;
	record->is_stack_overflow = crash_is_overflow(info);
	record->connection_id = crash_slot != NULL ? atomic_load(&crash_slot->connection_id) : 0;
	crash_limit_time();
	crash_add_stack(record, context);
	(void)alarm(0);
}

/* A crash while the first is written down. */
static void
crash_again(void)
{
	struct timespec moment = {.tv_nsec = CRASH_WAIT_NS};
	int first = atomic_load(&crash.signal);
	sigset_t set;

	if (atomic_load(&crash.thread) != gettid()) {
		for (int i = 0; i < 10; i++)
			(void)nanosleep(&moment, NULL);
		return;
	}
	/* what was being written is the death that counts */
	crash_reset(first);
	(void)sigemptyset(&set);
	(void)sigaddset(&set, first);
	(void)raise(first);
	(void)pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}

/* A fault happens anew on return, with all that a core dump shows; a signal that was sent must be
 * sent again. */
static void
crash_on_signal(int number, siginfo_t *info, void *context)
{
	int saved_errno = errno;

	if (getpid() == crash.pid) {
		int nobody = 0;

		if (atomic_compare_exchange_strong(&crash.signal, &nobody, number)) {
			atomic_store(&crash.thread, gettid());
			crash_write(number, info, context);
		} else {
			crash_again();
		}
	}
	crash_reset(number);
	if (info->si_code <= 0 || number == SIGSYS)
		(void)raise(number);
	errno = saved_errno;
}

/* Gives this thread a stack for signal handlers, if it has none (a sanitizer's). */
static bool
crash_set_stack(void *memory)
{
	stack_t stack = {.ss_sp = memory, .ss_size = CRASH_STACK_SIZE}, old;

	return sigaltstack(NULL, &old) == 0 && (old.ss_flags & SS_DISABLE) != 0 &&
	       sigaltstack(&stack, NULL) == 0;
}

void
crash_open(struct crash_record *record, const char *path, const char *name)
{
	struct sigaction action = {
		.sa_sigaction = crash_on_signal,
		.sa_flags = SA_SIGINFO | SA_ONSTACK | (int)SA_RESETHAND,
	};
	void *stack;

	crash.record = record;
	crash.pid = getpid();
	(void)snprintf(crash.path, sizeof(crash.path), "%s", path);
	crash_copy_name(crash.name, crash_strip_directories(name));
	/* from the heap: a mapping of its own would be copied at each fork */
	stack = malloc(CRASH_STACK_SIZE);
	if (stack != NULL && !crash_set_stack(stack))
		free(stack);
	for (const int *number = crash_signals; *number != 0; number++) {
		struct sigaction old;

		/* somebody else's: a sanitizer takes them before main */
		if (sigaction(*number, NULL, &old) == 0 && old.sa_handler == SIG_DFL)
			(void)sigaction(*number, &action, NULL);
	}
}

void
crash_begin_thread(const struct scoreboard_slot *slot)
{
	void *memory;

	if (crash.record == NULL)
		return;
	crash_slot = slot;
	memory = mmap(NULL, CRASH_STACK_SIZE, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return;
	if (crash_set_stack(memory))
		crash_stack = memory;
	else
		(void)munmap(memory, CRASH_STACK_SIZE);
}

void
crash_end_thread(void)
{
	stack_t none = {.ss_flags = SS_DISABLE};

	crash_slot = NULL;
	if (crash_stack == NULL)
		return;
	(void)sigaltstack(&none, NULL);
	(void)munmap(crash_stack, CRASH_STACK_SIZE);
	crash_stack = NULL;
}

void
crash_set_flow(const struct scoreboard_slot *slot, const void *stack_low, size_t guard_size)
{
	crash_slot = slot;
	crash_guard_high = (uintptr_t)stack_low;
	crash_guard_low = crash_guard_high - guard_size;
}

void
crash_begin_child(const struct scoreboard_slot *slot)
{
	crash.pid = getpid();
	crash_slot = slot;
}
