// SPDX-License-Identifier: GPL-2.0-only
/*
 * measure.c - run operations through any allocator, and measure the time.
 */
#define _GNU_SOURCE 1	/* clock_gettime */
#include "measure.h"

#include <stdalign.h>
#include <stdlib.h>

#include "../kernel/clock.h"
#include "../kernel/kernel.h"

static void free_handle(struct pcpu_bench *bench, int64_t *ptr)
{
	if (bench->contender.free(bench->contender.pcpu, *ptr))
		bench->failures++;
	*ptr = 0;
}

static void alloc_handle(struct pcpu_bench *bench, int64_t *ptr,
		       const struct pcpu_kind *kind)
{
	*ptr = bench->contender.alloc(bench->contender.pcpu, kind->size,
				      kind->align);
	if (*ptr <= 0) {
		bench->failures++;
		*ptr = 0;
	}
}

uint64_t pcpu_bench_run(struct pcpu_bench *bench, const struct pcpu_op *ops,
			size_t n)
{
	const struct pcpu_op *op;
	uint64_t start = ktime_get_ns();

	for (op = ops; op < ops + n; op++) {
		int64_t *ptr;

		if (op->handle == PCPU_OP_ORPHAN)
			continue;
		ptr = &bench->ptrs[op->handle];
		if (*ptr)
			free_handle(bench, ptr);
		if (op->kind != PCPU_OP_FREE)
			alloc_handle(bench, ptr, &bench->kinds[op->kind]);
	}
	return ktime_get_ns() - start;
}

/* --- the C library */

static int64_t libc_alloc(struct pcpu *pcpu, int64_t size, int64_t align)
{
	size_t room = (size_t)(size + align - 1) & ~(size_t)(align - 1);

	(void)pcpu;
	return (int64_t)(uintptr_t)(align > (int64_t)alignof(max_align_t) ?
				    aligned_alloc((size_t)align, room) :
				    malloc((size_t)size));
}

static int libc_free(struct pcpu *pcpu, int64_t ptr)
{
	(void)pcpu;
	free((void *)(uintptr_t)ptr);
	return 0;
}

struct pcpu_contender pcpu_contender_malloc(void)
{
	return (struct pcpu_contender){ libc_alloc, libc_free, NULL };
}

/* --- nothing; not inlined, since a call is what is to be measured */

noinline int64_t pcpu_empty_alloc(struct pcpu *pcpu, int64_t size,
				  int64_t align)
{
	(void)pcpu;
	(void)size;
	(void)align;
	return 12288;
}

noinline int pcpu_empty_free(struct pcpu *pcpu, int64_t ptr)
{
	(void)pcpu;
	(void)ptr;
	return 0;
}

struct pcpu_contender pcpu_contender_empty(void)
{
	return (struct pcpu_contender){ pcpu_empty_alloc, pcpu_empty_free,
					NULL };
}

/* --- latencies */

unsigned int pcpu_latency_bucket(uint64_t ns)
{
	/* the highest five bits say which bucket, the shift which octave */
	int shift = 59 - __builtin_clzll(ns | 16);

	return (unsigned int)shift * 16 + (unsigned int)(ns >> shift);
}

/* the handle of this contender is the latency that it writes */
static int64_t timed_alloc(struct pcpu *handle, int64_t size, int64_t align)
{
	struct pcpu_latency *latency = (struct pcpu_latency *)(void *)handle;
	uint64_t start = ktime_get_ns();
	int64_t ptr = latency->of.alloc(latency->of.pcpu, size, align);

	latency->alloc[pcpu_latency_bucket(ktime_get_ns() - start)]++;
	return ptr;
}

static int timed_free(struct pcpu *handle, int64_t ptr)
{
	struct pcpu_latency *latency = (struct pcpu_latency *)(void *)handle;
	uint64_t start = ktime_get_ns();
	int error = latency->of.free(latency->of.pcpu, ptr);

	latency->free[pcpu_latency_bucket(ktime_get_ns() - start)]++;
	return error;
}

struct pcpu_contender pcpu_contender_timed(struct pcpu_latency *latency)
{
	return (struct pcpu_contender){ timed_alloc, timed_free,
					(struct pcpu *)(void *)latency };
}
