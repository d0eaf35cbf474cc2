/*
 * fiber_context_x86_64.S - what a function must preserve goes onto the stack that is left, and comes
 * from the one that is switched to.
 */
	.text

/* void fiber_context_switch_stack(void **from_sp, void *to_sp) */
	.globl	fiber_context_switch_stack
	.hidden	fiber_context_switch_stack
	.type	fiber_context_switch_stack, @function
	.p2align 4
fiber_context_switch_stack:
	.cfi_startproc
	endbr64
	pushq	%rbp
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbp, 0
	pushq	%rbx
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset rbx, 0
	pushq	%r12
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r12, 0
	pushq	%r13
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r13, 0
	pushq	%r14
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r14, 0
	pushq	%r15
	.cfi_adjust_cfa_offset 8
	.cfi_rel_offset r15, 0
	subq	$8, %rsp
	.cfi_adjust_cfa_offset 8
	/* rounding modes and the like belong to the flow, too */
	stmxcsr	(%rsp)
	fnstcw	4(%rsp)
	movl	(%rsp), %eax
	movzwl	4(%rsp), %ecx

	movq	%rsp, (%rdi)
	movq	%rsi, %rsp

	/* they are seldom changed, and dear to load */
	cmpl	%eax, (%rsp)
	je	1f
	ldmxcsr	(%rsp)
1:	cmpw	%cx, 4(%rsp)
	je	2f
	fldcw	4(%rsp)
2:	addq	$8, %rsp
	.cfi_adjust_cfa_offset -8
	popq	%r15
	.cfi_adjust_cfa_offset -8
	.cfi_restore r15
	popq	%r14
	.cfi_adjust_cfa_offset -8
	.cfi_restore r14
	popq	%r13
	.cfi_adjust_cfa_offset -8
	.cfi_restore r13
	popq	%r12
	.cfi_adjust_cfa_offset -8
	.cfi_restore r12
	popq	%rbx
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbx
	popq	%rbp
	.cfi_adjust_cfa_offset -8
	.cfi_restore rbp
	/* a return would be predicted to go back to the flow that was left */
	popq	%rcx
	.cfi_adjust_cfa_offset -8
	.cfi_register rip, rcx
	notrack jmp *%rcx
	.cfi_endproc
	.size	fiber_context_switch_stack, . - fiber_context_switch_stack

/* The first frame of a flow: nobody called it. */
	.globl	fiber_context_begin
	.hidden	fiber_context_begin
	.type	fiber_context_begin, @function
	.p2align 4
fiber_context_begin:
	.cfi_startproc
	.cfi_undefined rip
	endbr64
	xorl	%ebp, %ebp
	movq	%r12, %rdi
	callq	*%r13
	ud2
	.cfi_endproc
	.size	fiber_context_begin, . - fiber_context_begin

	.section .note.GNU-stack, "", @progbits

/* Indirect branches land where they may, and a shadow stack is refused before it is in the way. */
	.section .note.gnu.property, "a"
	.p2align 3
	.long	4, 16, 5
	.asciz	"GNU"
	.long	0xc0000002, 4, 3, 0
