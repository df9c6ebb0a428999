// SPDX-License-Identifier: GPL-2.0-only
/*
 * pairs.c - several threads share one allocator: how much each achieves.
 *
 * Each thread counts for itself, on a cache line of its own, and reads no
 * clock.  The caller sleeps, and reads the counts between two intervals:
 *
 *	thread 0	|.............|.............|.............|
 *	thread 1	|.............|.............|.............|
 *	caller		^ counts      ^ counts      ^ counts      ^ counts, stop
 */
#define _GNU_SOURCE 1	/* clock_nanosleep, CPU_SET */
#include "pairs.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>

#include "../kernel/clock.h"
#include "../kernel/kernel.h"

/* some CPUs fetch two cache lines at a time */
struct pair_worker {
	alignas(128) _Atomic uint64_t pairs; /* so far */
	uint64_t failures;	/* requests that failed */
	const struct pcpu_pairs *run; /* what it does */
	const atomic_bool *stop; /* until when */
	pthread_t thread;	/* does it */
	size_t number;		/* among the threads */
	uint64_t seen;		/* for the caller: pairs that it has counted */
};

/*
 * Bind the calling thread to the CPU with this number among those that it may
 * use: a scheduler may leave all threads on one, where they do not compete.
 */
static void bind_thread(size_t number)
{
	cpu_set_t usable, one;
	size_t cpu = 0;

	if (sched_getaffinity(0, sizeof(usable), &usable))
		return;		/* more CPUs than a set has */
	number %= (size_t)CPU_COUNT(&usable);
	while (!CPU_ISSET(cpu, &usable) || number-- > 0)
		cpu++;
	CPU_ZERO(&one);
	CPU_SET(cpu, &one);
	sched_setaffinity(0, sizeof(one), &one);
}

static void *run_pairs(void *arg)
{
	struct pair_worker *worker = arg;
	const struct pcpu_contender *to = &worker->run->contender;
	struct pcpu_kind kind = worker->run->kind;

	bind_thread(worker->number);
	while (!atomic_load_explicit(worker->stop, memory_order_relaxed)) {
		int64_t ptr = to->alloc(to->pcpu, kind.size, kind.align);

		if (ptr <= 0 || to->free(to->pcpu, ptr)) {
			worker->failures++;
			continue;
		}
		/* no other thread writes it: this need not be one step */
		atomic_store_explicit(&worker->pairs, worker->pairs + 1,
				      memory_order_relaxed);
	}
	return NULL;
}

/* signals are for the caller: workers handle none */
static int create_worker(struct pair_worker *worker)
{
	sigset_t all = { 0 }, before;
	int err;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	err = pthread_create(&worker->thread, NULL, run_pairs, worker);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return err;
}

static bool sleep_until(uint64_t ns)
{
	struct timespec end = {
		.tv_sec = (time_t)(ns / 1000000000u),
		.tv_nsec = (long)(ns % 1000000000u),
	};

	return !clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &end, NULL);
}

/* return the pairs of a thread since the last call */
static uint64_t new_pairs(struct pair_worker *worker)
{
	uint64_t total = atomic_load(&worker->pairs);
	uint64_t pairs = total - worker->seen;

	worker->seen = total;
	return pairs;
}

/* count what each thread does in each interval; return complete intervals */
static int count_intervals(struct pcpu_pairs *run,
			   struct pair_worker *workers)
{
	uint64_t *pairs = run->pairs;
	uint64_t start;
	size_t i, t;

	for (t = 0; t < run->nr_threads; t++)
		new_pairs(&workers[t]);	/* those of a head start */
	start = ktime_get_ns();
	for (i = 0; i < run->nr_intervals; i++) {
		uint64_t now;

		if (!sleep_until(start + run->interval_ns))
			break;
		now = ktime_get_ns();
		for (t = 0; t < run->nr_threads; t++)
			*pairs++ = new_pairs(&workers[t]);
		run->ns[i] = now - start;
		start = now;
	}
	return (int)i;
}

int pcpu_bench_pairs(struct pcpu_pairs *run)
{
	struct pair_worker *workers;
	atomic_bool stop = false;
	size_t made;
	int result = 0;

	workers = aligned_alloc(alignof(struct pair_worker),
				run->nr_threads * sizeof(*workers));
	if (!workers)
		return -ENOMEM;
	for (made = 0; made < run->nr_threads; made++) {
		workers[made] = (struct pair_worker){ .run = run,
						      .stop = &stop,
						      .number = made };
		result = -create_worker(&workers[made]);
		if (result)
			break;
	}
	if (!result)
		result = count_intervals(run, workers);
	atomic_store(&stop, true);
	run->failures = 0;
	while (made--) {
		pthread_join(workers[made].thread, NULL);
		run->failures += workers[made].failures;
	}
	free(workers);
	return result;
}
