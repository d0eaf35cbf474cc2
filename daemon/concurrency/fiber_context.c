/*
 * fiber_context.c - the C side of switching: a stack that looks as if its flow had been left.
 */
#include "concurrency/fiber_context.h"

#include <stdint.h>
#include <string.h>

#if defined(FIBER_CONTEXT_UCONTEXT)

/* makecontext(3) passes only int: a pointer goes in two. */
static void
fiber_context_begin(unsigned main_high, unsigned main_low, unsigned argument_high,
		    unsigned argument_low)
{
	uintptr_t main_address = (uintptr_t)(((uint64_t)main_high << 32) | main_low);
	uintptr_t argument_address = (uintptr_t)(((uint64_t)argument_high << 32) | argument_low);
	void (*main)(void *);
	void *argument;

	memcpy(&main, &main_address, sizeof(main));
	memcpy(&argument, &argument_address, sizeof(argument));
	main(argument);
	__builtin_trap();
}

void
fiber_context_make(struct fiber_context *context, void *low, size_t size, void (*main)(void *),
		   void *argument)
{
	uint64_t main_address = (uint64_t)(uintptr_t)main;
	uint64_t argument_address = (uint64_t)(uintptr_t)argument;

	(void)getcontext(&context->registers);
	context->registers.uc_stack.ss_sp = low;
	context->registers.uc_stack.ss_size = size;
	context->registers.uc_link = NULL;
	makecontext(&context->registers, (void (*)(void))fiber_context_begin, 4,
		    (unsigned)(main_address >> 32), (unsigned)main_address,
		    (unsigned)(argument_address >> 32), (unsigned)argument_address);
}

void
fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
	(void)swapcontext(&from->registers, &to->registers);
}

const void *
fiber_context_stack_pointer(const struct fiber_context *context)
{
	(void)context;
	return NULL;
}

/* The C library switches that one, too. */
bool
fiber_context_has_shadow_stack(void)
{
	return false;
}

#else

/* In fiber_context_ARCH.S. The second begins a flow: it calls the function in one saved register
 * with the argument in another. */
void fiber_context_switch_stack(void **from_sp, void *to_sp);
extern const char fiber_context_begin[];

#if defined(__x86_64__)
/* As fiber_context_switch_stack saves them. */
struct fiber_frame {
	uint32_t mxcsr;
	uint16_t x87_control, padding;
	uintptr_t r15, r14, r13, r12, rbx, rbp, rip;
	uintptr_t end[2]; /* the stack is aligned where rip has been taken off */
};

static void
fiber_frame_fill(struct fiber_frame *frame, void (*main)(void *), void *argument)
{
	__asm__ volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(frame->mxcsr), "=m"(frame->x87_control));
	frame->r12 = (uintptr_t)argument;
	frame->r13 = (uintptr_t)main;
	frame->rip = (uintptr_t)fiber_context_begin;
}

bool
fiber_context_has_shadow_stack(void)
{
	uint64_t pointer = 0;

	/* does nothing where there is none */
	__asm__ volatile("rdsspq %0" : "+r"(pointer));
	return pointer != 0;
}
#elif defined(__aarch64__)
struct fiber_frame {
	uintptr_t x19, x20, x21, x22, x23, x24, x25, x26, x27, x28, x29, x30;
	uint64_t d8_to_d15[8];
	uint64_t fpcr, padding;
};

static void
fiber_frame_fill(struct fiber_frame *frame, void (*main)(void *), void *argument)
{
	__asm__ volatile("mrs %0, fpcr" : "=r"(frame->fpcr));
	frame->x19 = (uintptr_t)argument;
	frame->x20 = (uintptr_t)main;
	frame->x30 = (uintptr_t)fiber_context_begin;
}

bool
fiber_context_has_shadow_stack(void)
{
	register uint64_t features __asm__("x16") = 1;

	/* CHKFEAT clears the bit of a feature that is on; where it is unknown, it does nothing */
	__asm__ volatile("hint #40" : "+r"(features));
	return features == 0;
}
#else
#error "no switch for this machine: configure with -DHANDLERD_FIBER_CONTEXT=ucontext"
#endif

void
fiber_context_make(struct fiber_context *context, void *low, size_t size, void (*main)(void *),
		   void *argument)
{
	unsigned char *top = (unsigned char *)low + size;
	struct fiber_frame *frame;

	top -= (uintptr_t)top & 15;
	frame = (struct fiber_frame *)(void *)(top - sizeof(*frame));

	*frame = (struct fiber_frame){0};
	fiber_frame_fill(frame, main, argument);
	context->sp = frame;
}

const void *
fiber_context_stack_pointer(const struct fiber_context *context)
{
	return context->sp;
}

void
fiber_context_switch(struct fiber_context *from, struct fiber_context *to)
{
	fiber_context_switch_stack(&from->sp, to->sp);
}

#endif
