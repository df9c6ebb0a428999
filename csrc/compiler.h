/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * compiler.h - what the compiler is told beyond the language, with the
 * kernel's names.
 *
 * An allocation that finds its place at once touches little: its path is
 * compiled as one function, flatten, and what is seldom needed stays out of
 * it, noinline.
 */
#ifndef PCPU_COMPILER_H
#define PCPU_COMPILER_H

#define likely(x)	__builtin_expect(!!(x), 1)
#define unlikely(x)	__builtin_expect(!!(x), 0)

/* what is written above is in memory before what stands below */
#define barrier()	__asm__ __volatile__("" : : : "memory")

#define noinline	__attribute__((__noinline__))
#define always_inline	inline __attribute__((__always_inline__))
#define flatten		__attribute__((__flatten__))

#endif /* PCPU_COMPILER_H */
