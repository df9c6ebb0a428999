/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * measure.h - run operations through any allocator, and measure the time.
 *
 * A contender is a pair of functions with the signatures of pcpu_alloc() and
 * pcpu_free(), so that the port itself needs no wrapper.  Nothing here knows
 * how an allocator works.
 */
#ifndef PERCPU_BENCH_MEASURE_H
#define PERCPU_BENCH_MEASURE_H

#include "../percpu.h"

/* what is measured */
struct pcpu_contender {
	int64_t (*alloc)(struct pcpu *pcpu, int64_t size, int64_t align);
				/* a pointer; 0 or less: failed */
	int (*free)(struct pcpu *pcpu, int64_t ptr); /* 0, or an error */
	struct pcpu *pcpu;	/* first argument of both; not used here */
};

/* a run; areas stay live from one run to the next */
struct pcpu_bench {
	struct pcpu_contender contender; /* runs it */
	const struct pcpu_kind *kinds;	/* size and alignment of each kind */
	int64_t *ptrs;			/* by handle, zeroed before the first run */
	uint64_t failures;		/* operations that failed, in all runs */
};

/**
 * pcpu_bench_run - run operations in one loop
 * @bench: the contender and its areas
 * @ops: the operations: allocations and frees, no faults.  Their handles and
 *	kinds are not checked, see pcpu_replay_check()
 * @n: how many
 *
 * An allocation with a handle that is in use frees that area first; a free of a
 * handle without an area does nothing.
 * Return: nanoseconds for all operations.
 */
uint64_t pcpu_bench_run(struct pcpu_bench *bench, const struct pcpu_op *ops,
			size_t n);

/* --- contenders for comparison, which allocate nothing per CPU */

/**
 * pcpu_contender_malloc - the C library: one block, not one for each CPU
 *
 * Return: the contender.
 */
struct pcpu_contender pcpu_contender_malloc(void);

/**
 * pcpu_contender_empty - does nothing: what the loop and the calls cost
 *
 * Return: the contender.
 */
struct pcpu_contender pcpu_contender_empty(void);

/**
 * pcpu_empty_alloc - does nothing, with the signature of pcpu_alloc()
 * @pcpu: unused
 * @size: unused
 * @align: unused
 *
 * Return: a number like a pointer.
 */
int64_t pcpu_empty_alloc(struct pcpu *pcpu, int64_t size, int64_t align);

/**
 * pcpu_empty_free - does nothing, with the signature of pcpu_free()
 * @pcpu: unused
 * @ptr: unused
 *
 * Return: 0.
 */
int pcpu_empty_free(struct pcpu *pcpu, int64_t ptr);

/* --- the latency of each call */

/*
 * Log-linear buckets: 16 to an octave, so a bucket is at most 1/16 as wide as
 * what is in it; below 32 ns each nanosecond has its own.
 *
 *	bucket	0 ... 15 16 ... 31 32    33    ... 47    48    ... 975
 *	ns	0 ... 15 16 ... 31 32-33 34-35 ... 62-63 64-67 ... up to 2^64
 */
#define PCPU_LATENCY_BUCKETS	0x3d0u

/* another contender, and how long each of its calls took */
struct pcpu_latency {
	struct pcpu_contender of;	/* the one that is called */
	uint64_t *alloc;		/* PCPU_LATENCY_BUCKETS counts */
	uint64_t *free;			/* the same for frees */
};

/**
 * pcpu_contender_timed - measures each call of another contender
 * @latency: that contender and the counts; used as long as the result is
 *
 * Reading the clock is part of each latency: that of the empty contender
 * shows how much.
 * Return: the contender.
 */
struct pcpu_contender pcpu_contender_timed(struct pcpu_latency *latency);

/**
 * pcpu_latency_bucket - return the bucket of a latency
 * @ns: nanoseconds
 *
 * Return: its index.
 */
unsigned int pcpu_latency_bucket(uint64_t ns);

#endif /* PERCPU_BENCH_MEASURE_H */
