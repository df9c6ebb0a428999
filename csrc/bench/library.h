/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * library.h - a malloc library as a per-CPU allocator, for comparison.
 *
 * What a program does without a per-CPU allocator: an area is one block of
 * zeroed memory, in which each CPU's copy has cache lines of its own.
 *
 *	|copy of CPU 0 |pad|copy of CPU 1 |pad|...
 *	0                  stride
 */
#ifndef PERCPU_BENCH_LIBRARY_H
#define PERCPU_BENCH_LIBRARY_H

#include "measure.h"

#define PCPU_CACHE_LINE	64

/* the functions are those of C11, from any library */
struct pcpu_library {
	void *(*aligned_alloc)(size_t align, size_t size);
				/* its blocks are cleared with memset() */
	void *(*calloc)(size_t n, size_t size);
				/* used where its alignment suffices; or NULL */
	void (*free)(void *ptr); /* frees the blocks of both */
	size_t cpus;		/* copies of each area */
	int64_t limit;		/* bytes of a copy: larger requests fail */
};

/**
 * pcpu_contender_library - allocate with the functions of a library
 * @library: these functions; used as long as the result is
 *
 * A copy takes the size, rounded up to the alignment, or to a cache line if
 * that is more.  Blocks are aligned likewise, except those of calloc().
 * Return: the contender.
 */
struct pcpu_contender pcpu_contender_library(struct pcpu_library *library);

#endif /* PERCPU_BENCH_LIBRARY_H */
