/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * x86_64.h - restartable sequences on x86-64.
 */
#ifndef PCPU_RSEQ_X86_64_H
#define PCPU_RSEQ_X86_64_H

static inline char *pcpu_thread_pointer(void)
{
	char *pointer;

	__asm__("movq %%fs:0, %0" : "=r"(pointer));
	return pointer;
}

/**
 * pcpu_rseq_add - add to the copy of the CPU that the thread runs on
 * @rseq: the thread's area
 * @copies: the copies, which are written to in no other way
 * @amount: what to add
 *
 * The store that announces the sequence, before 12, is the last instruction
 * before it.  If a thread were interrupted between the two, the kernel would
 * clear the announcement.  It is cleared at the end, at 15, so that the library
 * may be unloaded: the kernel might read the descriptor later.
 *
 * Return: true if it was added; false if the sequence was interrupted, or if
 * there is no such copy.
 */
static inline bool pcpu_rseq_add(struct pcpu_rseq *rseq,
				 const struct pcpu_rseq_copies *copies,
				 uint64_t amount)
{
	uint64_t offset;
	int added;

	__asm__ __volatile__(
		PCPU_RSEQ_DESCRIPTOR
		"xorl %[added], %[added]\n\t"
		"leaq 11b(%%rip), %[offset]\n\t"
		"movq %[offset], %[rseq_cs]\n"
	"12:\t"	"movl %[cpu_id], %k[offset]\n\t"
		"cmpl %k[cpus], %k[offset]\n\t" /* unsigned: also below 0 */
		"jae 15f\n\t"
		"imulq %[stride], %[offset]\n\t"
		"addq %[amount], (%[address], %[offset])\n"
	"13:\t"	"incl %[added]\n"
	"15:\t"	"movq $0, %[rseq_cs]\n\t"
		/* a ud1 that has the signature as its operand */
		PCPU_RSEQ_ABORT(".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053",
				"jmp")
		: [offset] "=&r"(offset), [added] "=&r"(added),
		  [rseq_cs] "=m"(rseq->rseq_cs)
		: [cpu_id] "m"(rseq->cpu_id), [cpus] "r"(copies->cpus),
		  [stride] "r"(copies->stride), [address] "r"(copies->address),
		  [amount] "r"(amount)
		: "memory", "cc");
	return added;
}

#endif /* PCPU_RSEQ_X86_64_H */
