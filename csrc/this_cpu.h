/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * this_cpu.h - the thread's area that the kernel keeps up to date.
 *
 * The C library registers one for each thread with the system call rseq(2),
 * glibc since 2.35, unless GLIBC_TUNABLES=glibc.pthread.rseq=0 or the kernel
 * refuses.  It says where the areas are by two variables.  They are weak here:
 * other C libraries do not have them.
 */
#ifndef PCPU_THIS_CPU_H
#define PCPU_THIS_CPU_H

#include <stddef.h>
#include <stdint.h>

/* the first fields of the kernel's struct rseq; there are more, unused here */
struct pcpu_rseq {
	uint32_t cpu_id_start;	/* not used here */
	int32_t cpu_id;		/* where the thread runs; < 0: not registered */
	uint64_t rseq_cs;	/* address of the section it is in, or 0 */
};

#if (defined(__x86_64__) && defined(__LP64__)) || defined(__aarch64__)

/* from the thread pointer to the area, and bytes of it in use; 0: no areas */
extern const ptrdiff_t __rseq_offset
	__attribute__((__weak__, __visibility__("default")));
extern const unsigned int __rseq_size
	__attribute__((__weak__, __visibility__("default")));

static inline char *pcpu_thread_pointer(void)
{
	char *pointer;

#ifdef __x86_64__
	__asm__("movq %%fs:0, %0" : "=r"(pointer));
#else
	__asm__("mrs %0, tpidr_el0" : "=r"(pointer));
#endif
	return pointer;
}

/*
 * The calling thread's area, or NULL: the C library registers none.  NULL for
 * all threads or for none, for as long as the process lives.  A thread may still
 * have none registered: its cpu_id is negative then.
 */
static inline struct pcpu_rseq *pcpu_rseq_area(void)
{
	if (!&__rseq_size || !__rseq_size)
		return NULL;
	return (struct pcpu_rseq *)(void *)(pcpu_thread_pointer() +
					    __rseq_offset);
}

#else

static inline struct pcpu_rseq *pcpu_rseq_area(void)
{
	return NULL;
}

#endif

#endif /* PCPU_THIS_CPU_H */
