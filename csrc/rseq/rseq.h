/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rseq.h - restartable sequences: the thread's area that the kernel keeps up to
 * date, and an add that happens on one CPU or not at all.
 *
 * The C library registers an area for each thread with the system call rseq(2),
 * glibc since 2.35, unless GLIBC_TUNABLES=glibc.pthread.rseq=0 or the kernel
 * refuses.  Two of its variables say where the areas are.  They are weak here:
 * other C libraries do not have them.
 *
 * The code for each machine is in a header of its own: x86_64.h, aarch64.h.
 */
#ifndef PCPU_RSEQ_H
#define PCPU_RSEQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* the first fields of the kernel's struct rseq; there are more, unused here */
struct pcpu_rseq {
	uint32_t cpu_id_start;	/* not used here */
	int32_t cpu_id;		/* where the thread runs; < 0: not registered */
	uint64_t rseq_cs;	/* descriptor of the sequence it is in, or 0 */
};

/* 8 bytes for each CPU */
struct pcpu_rseq_copies {
	int64_t address;	/* CPU 0's */
	int64_t stride;		/* from one CPU's to the next */
	int64_t cpus;		/* how many */
};

/*
 * Code around a sequence, which has these labels:
 *
 *	11	its descriptor, a struct rseq_cs: version and flags, both 0, start,
 *		length, abort handler
 *	12, 13	its start and its end
 *	14	its abort handler: an interrupted thread continues there
 *	15	the end of the handler
 *
 * The kernel requires the signature, with which the C library registered the
 * thread, before the handler.  It is in a section without functions, so that no
 * thread can run into it.
 */
#define PCPU_RSEQ_DESCRIPTOR						\
		".pushsection .data.rel.ro, \"aw\", @progbits\n\t"	\
		".balign 32\n"						\
	"11:\t"	".long 0, 0\n\t"					\
		".quad 12f, 13f - 12f, 14f\n\t"				\
		".popsection\n\t"

#define PCPU_RSEQ_ABORT(signature, jump)				\
		".pushsection .text.pcpu_rseq_abort, \"ax\", @progbits\n\t" \
		signature "\n"						\
	"14:\t"	jump " 15b\n\t"						\
		".popsection"

#ifdef __has_feature
#if __has_feature(thread_sanitizer)
#define PCPU_RSEQ_TSAN	1	/* clang */
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define PCPU_RSEQ_TSAN	1	/* gcc */
#endif

#if defined(__x86_64__) && defined(__LP64__)
#include "x86_64.h"
#define PCPU_RSEQ_AREA	1	/* pcpu_thread_pointer() is there */
#elif defined(__aarch64__) && defined(__AARCH64EL__) && defined(__LP64__)
#include "aarch64.h"
#define PCPU_RSEQ_AREA	1
#endif

/* ThreadSanitizer cannot look into a sequence */
#if defined(PCPU_RSEQ_AREA) && !defined(PCPU_RSEQ_TSAN)
#define PCPU_RSEQ_ADD	1	/* pcpu_rseq_add() is there, for use */
#endif

#ifdef PCPU_RSEQ_AREA

/* from the thread pointer to the area, and bytes of it in use; 0: no areas */
extern const ptrdiff_t __rseq_offset
	__attribute__((__weak__, __visibility__("default")));
extern const unsigned int __rseq_size
	__attribute__((__weak__, __visibility__("default")));

/*
 * The calling thread's area, or NULL: the C library registers none.  NULL for
 * all threads or for none, for as long as the process lives.  A thread may
 * still have none registered: its cpu_id is negative then.
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

#endif /* PCPU_RSEQ_H */
