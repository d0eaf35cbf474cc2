/*
 * fiber_context_aarch64.S - what a function must preserve goes onto the stack that is left, and
 * comes from the one that is switched to.
 */
	.text

/* void fiber_context_switch_stack(void **from_sp, void *to_sp) */
	.globl	fiber_context_switch_stack
	.hidden	fiber_context_switch_stack
	.type	fiber_context_switch_stack, %function
	.p2align 4
fiber_context_switch_stack:
	.cfi_startproc
	hint	#34			/* bti c */
	sub	sp, sp, #176
	.cfi_adjust_cfa_offset 176
	stp	x19, x20, [sp, #0]
	.cfi_rel_offset x19, 0
	.cfi_rel_offset x20, 8
	stp	x21, x22, [sp, #16]
	.cfi_rel_offset x21, 16
	.cfi_rel_offset x22, 24
	stp	x23, x24, [sp, #32]
	.cfi_rel_offset x23, 32
	.cfi_rel_offset x24, 40
	stp	x25, x26, [sp, #48]
	.cfi_rel_offset x25, 48
	.cfi_rel_offset x26, 56
	stp	x27, x28, [sp, #64]
	.cfi_rel_offset x27, 64
	.cfi_rel_offset x28, 72
	stp	x29, x30, [sp, #80]
	.cfi_rel_offset x29, 80
	.cfi_rel_offset x30, 88
	stp	d8, d9, [sp, #96]
	stp	d10, d11, [sp, #112]
	stp	d12, d13, [sp, #128]
	stp	d14, d15, [sp, #144]
	/* rounding modes belong to the flow, too */
	mrs	x2, fpcr
	str	x2, [sp, #160]

	mov	x3, sp
	str	x3, [x0]
	mov	sp, x1

	/* seldom changed, and dear to write */
	ldr	x4, [sp, #160]
	cmp	x4, x2
	b.eq	1f
	msr	fpcr, x4
1:	ldp	d14, d15, [sp, #144]
	ldp	d12, d13, [sp, #128]
	ldp	d10, d11, [sp, #112]
	ldp	d8, d9, [sp, #96]
	ldp	x29, x30, [sp, #80]
	ldp	x27, x28, [sp, #64]
	ldp	x25, x26, [sp, #48]
	ldp	x23, x24, [sp, #32]
	ldp	x21, x22, [sp, #16]
	ldp	x19, x20, [sp, #0]
	add	sp, sp, #176
	.cfi_adjust_cfa_offset -176
	.cfi_restore x19
	.cfi_restore x20
	.cfi_restore x21
	.cfi_restore x22
	.cfi_restore x23
	.cfi_restore x24
	.cfi_restore x25
	.cfi_restore x26
	.cfi_restore x27
	.cfi_restore x28
	.cfi_restore x29
	.cfi_restore x30
	ret
	.cfi_endproc
	.size	fiber_context_switch_stack, . - fiber_context_switch_stack

/* The first frame of a flow: nobody called it. */
	.globl	fiber_context_begin
	.hidden	fiber_context_begin
	.type	fiber_context_begin, %function
	.p2align 4
fiber_context_begin:
	.cfi_startproc
	.cfi_undefined x30
	hint	#36			/* bti j */
	mov	x29, xzr
	mov	x0, x19
	blr	x20
	brk	#0
	.cfi_endproc
	.size	fiber_context_begin, . - fiber_context_begin

	.section .note.GNU-stack, "", %progbits

/* Indirect branches land where they may. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000000, 4, 1, 0
