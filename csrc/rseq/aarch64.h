/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * aarch64.h - restartable sequences on little-endian arm64; x86_64.h has the
 * explanations.
 */
#ifndef PCPU_RSEQ_AARCH64_H
#define PCPU_RSEQ_AARCH64_H

static inline char *pcpu_thread_pointer(void)
{
	char *pointer;

	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
	return pointer;
}

static inline bool pcpu_rseq_add(struct pcpu_rseq *rseq,
				 const struct pcpu_rseq_copies *copies,
				 uint64_t amount)
{
	uint64_t offset, sum;
	int added;

	__asm__ __volatile__(
		PCPU_RSEQ_DESCRIPTOR
		"mov %w[added], #0\n\t"
		"adrp %[offset], 11b\n\t"
		"add %[offset], %[offset], :lo12:11b\n\t"
		"str %[offset], %[rseq_cs]\n"
	"12:\t"	"ldr %w[offset], %[cpu_id]\n\t"
		"cmp %w[offset], %w[cpus]\n\t"
		"b.hs 15f\n\t"
		"mul %[offset], %[offset], %[stride]\n\t"
		"ldr %[sum], [%[address], %[offset]]\n\t"
		"add %[sum], %[sum], %[amount]\n\t"
		"str %[sum], [%[address], %[offset]]\n"
	"13:\t"	"mov %w[added], #1\n"
	"15:\t"	"str xzr, %[rseq_cs]\n\t"
		/* the signature is a brk */
		PCPU_RSEQ_ABORT(".inst 0xd428bc00", "b")
		: [offset] "=&r"(offset), [added] "=&r"(added),
		  [sum] "=&r"(sum), [rseq_cs] "=m"(rseq->rseq_cs)
		: [cpu_id] "m"(rseq->cpu_id), [cpus] "r"(copies->cpus),
		  [stride] "r"(copies->stride), [address] "r"(copies->address),
		  [amount] "r"(amount)
		: "memory", "cc");
	return added;
}

#endif /* PCPU_RSEQ_AARCH64_H */
