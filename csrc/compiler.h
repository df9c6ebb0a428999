/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compiler.h - hints for the compiler, by the kernel's names.
 *
 * An allocation that finds its place at once touches little: its path is
 * compiled as one function (flatten), and rare work stays out of it (noinline).
 * What runs once in an allocator's life, or for few lines of a recording, is
 * small rather than fast (__cold).  The compiler treats a function that always
 * calls a cold one as cold.
 */
#ifndef PCPU_COMPILER_H
#define PCPU_COMPILER_H

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* keep the order of memory accesses before and after, as the thread sees it */
#define barrier()	__asm__ __volatile__("" : : : "memory")

#define noinline	__attribute__((__noinline__))
#define always_inline	inline __attribute__((__always_inline__))
#define flatten		__attribute__((__flatten__))
#define __cold		__attribute__((__cold__))
#define __maybe_unused	__attribute__((__unused__))

#endif /* PCPU_COMPILER_H */
