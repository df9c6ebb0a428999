/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pairs.h - several threads share one allocator: how much each achieves.
 */
#ifndef PERCPU_BENCH_PAIRS_H
#define PERCPU_BENCH_PAIRS_H

#include "measure.h"

/* threads that allocate an area and free it, again and again: a pair */
struct pcpu_pairs {
	struct pcpu_contender contender; /* shared by all of them */
	struct pcpu_kind kind;	/* size and alignment of each area */
	size_t nr_threads;	/* from 1 */
	size_t nr_intervals;	/* of which each is counted by itself */
	uint64_t interval_ns;	/* length of each */
	uint64_t *pairs;	/* nr_threads counts for each interval */
	uint64_t *ns;		/* nr_intervals, as measured */
	uint64_t failures;	/* requests that failed, of all threads */
};

/**
 * pcpu_bench_pairs - let threads allocate and free, and count
 * @run: what to run; gets the counts
 *
 * Each thread is bound to a CPU of its own, as far as there are enough.  The
 * calling thread sleeps meanwhile.  A signal that it handles ends the run,
 * and the interval is not counted.
 * Return: complete intervals; or -errno if a thread cannot be created, after
 * those that exist have ended.
 */
int pcpu_bench_pairs(struct pcpu_pairs *run);

#endif /* PERCPU_BENCH_PAIRS_H */
