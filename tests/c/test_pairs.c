// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pairs.c - what threads achieve that share an allocator.
 */
#define _GNU_SOURCE 1	/* sched_getcpu, CPU_SET, setitimer */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/time.h>

#include "bench/pairs.h"
#include "small.h"

#define MS		1000000u
#define THREADS		3
#define INTERVALS	2
#define AREA		1	/* any positive pointer is a success */

static uint64_t pairs[INTERVALS * THREADS], ns[INTERVALS];
static _Atomic uint64_t allocated, freed; /* by all threads */
static _Atomic int64_t fails;	/* allocations that fail from now on */
static int64_t failure;		/* what a failed allocation returns */
static int serves;		/* allocations of a thread that succeed, or 0 */
static _Thread_local int served; /* of these */
static atomic_int exhausted;	/* threads with no more of them */
static bool frees_fail;
static atomic_int wrong;	/* requests of another kind, or with signals */
static _Thread_local int held;	/* areas of a thread: 0 or 1 */
static atomic_int most_held;
static atomic_uint used_cpus;	/* a bit for each */

static int64_t count_alloc(struct pcpu *pcpu, int64_t size, int64_t align)
{
	sigset_t blocked;

	(void)pcpu;
	pthread_sigmask(SIG_SETMASK, NULL, &blocked);
	if (size != 64 || align != 8 || !sigismember(&blocked, SIGALRM))
		atomic_store(&wrong, 1);
	if (atomic_load(&fails) > 0 && atomic_fetch_sub(&fails, 1) > 0)
		return failure;
	if (serves && served++ >= serves) {
		atomic_fetch_add(&exhausted, served == serves + 1);
		return failure;
	}
	if (++held > atomic_load(&most_held))
		atomic_store(&most_held, held);
	atomic_fetch_or(&used_cpus, 1u << (sched_getcpu() & 31));
	atomic_fetch_add(&allocated, 1);
	return AREA;
}

static int count_free(struct pcpu *pcpu, int64_t ptr)
{
	(void)pcpu;
	if (ptr != AREA)
		return 0;	/* as for a NULL pointer */
	if (frees_fail)
		return -PCPU_E_PINNED;
	held--;
	atomic_fetch_add(&freed, 1);
	return 0;
}

/* --- the host: the linker has these called instead of its functions */

static bool no_memory, no_affinity;
static int threads_left = 99;	/* that the system allows */
static int wait_for;		/* exhausted threads: the last one starts */

void *__real_aligned_alloc(size_t align, size_t size);
void *__wrap_aligned_alloc(size_t align, size_t size);
int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg);
int __real_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);

void *__wrap_aligned_alloc(size_t align, size_t size)
{
	return no_memory ? NULL : __real_aligned_alloc(align, size);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr,
			  void *(*run)(void *), void *arg)
{
	while (threads_left == 1 && atomic_load(&exhausted) < wait_for)
		sched_yield();
	return threads_left-- > 0 ?
	       __real_pthread_create(thread, attr, run, arg) : EAGAIN;
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set)
{
	return no_affinity ? -1 : __real_sched_getaffinity(pid, size, set);
}

/* --- runs */

static struct pcpu_pairs run_of(size_t threads, size_t intervals)
{
	fails = 0;
	failure = -PCPU_E_SIZE;
	serves = wait_for = exhausted = 0;
	threads_left = 99;
	return (struct pcpu_pairs){
		.contender = { count_alloc, count_free, NULL },
		.kind = { 64, 8, 0 },
		.nr_threads = threads, .nr_intervals = intervals,
		.interval_ns = 3 * MS, .pairs = pairs, .ns = ns,
		.failures = 99,	/* from an earlier run */
	};
}

static bool each_has_pairs(const struct pcpu_pairs *run)
{
	for (size_t i = 0; i < run->nr_threads * run->nr_intervals; i++) {
		if (!pairs[i])
			return false;
	}
	return true;
}

/* run; again and longer if a busy machine did not run some thread */
static int run_pairs_of(struct pcpu_pairs *run)
{
	int64_t fails_before = fails;
	int done;

	do {
		memset(pairs, 0, sizeof(pairs));
		memset(ns, 0, sizeof(ns));
		allocated = freed = 0;
		used_cpus = 0;
		fails = fails_before;
		done = pcpu_bench_pairs(run);
		run->interval_ns *= 4;
	} while (!each_has_pairs(run) && run->failures <= 5 &&
		 run->interval_ns < 30000ull * MS);
	return done;
}

TEST(each_thread_is_counted_in_each_interval)
{
	struct pcpu_pairs run = run_of(THREADS, INTERVALS);
	uint64_t sum = 0;

	CHECK(run_pairs_of(&run) == INTERVALS);
	for (int i = 0; i < INTERVALS * THREADS; i++)
		sum += pairs[i];
	for (int i = 0; i < INTERVALS; i++)
		CHECK(ns[i] >= 3 * MS && ns[i] < 10000ull * MS);
	CHECK(each_has_pairs(&run));
	CHECK(sum <= freed);	/* some follow the last interval */
	CHECK(allocated == freed);
	CHECK(most_held == 1 && !wrong);
	CHECK(run.failures == 0);
}

TEST(intervals_do_not_count_a_pair_twice)
{
	struct pcpu_pairs run = run_of(1, INTERVALS);

	CHECK(run_pairs_of(&run) == INTERVALS);
	CHECK(pairs[0] > 0 && pairs[1] > 0);
	CHECK(pairs[0] + pairs[1] <= freed);
}

TEST(a_failed_request_is_no_pair)
{
	struct pcpu_pairs run = run_of(1, 1);

	fails = 5;
	CHECK(run_pairs_of(&run) == 1);
	CHECK(run.failures == 5);
	CHECK(allocated == freed && pairs[0] > 0);
	run = run_of(1, 1);
	fails = INT64_MAX;
	CHECK(run_pairs_of(&run) == 1);
	CHECK(run.failures > 5 && pairs[0] == 0);
}

/*
 *	thread 0	10 pairs |.............|
 *	thread 1	10 pairs |.............|
 *	thread 2	         |  10 pairs   |
 */
TEST(a_head_start_is_not_counted)
{
	struct pcpu_pairs run = run_of(3, 1);

	serves = 10;
	wait_for = 2;
	threads_left = 3;
	CHECK(pcpu_bench_pairs(&run) == 1);
	CHECK(pairs[0] == 0 && pairs[1] == 0 && pairs[2] <= 10);
	CHECK(exhausted >= 2);
}

TEST(zero_is_a_failure)
{
	struct pcpu_pairs run = run_of(1, 1);

	fails = INT64_MAX;
	failure = 0;
	CHECK(run_pairs_of(&run) == 1);
	CHECK(run.failures > 0 && pairs[0] == 0);
}

TEST(a_failed_free_is_no_pair)
{
	struct pcpu_pairs run = run_of(1, 1);

	frees_fail = true;
	CHECK(run_pairs_of(&run) == 1);
	CHECK(run.failures > 0 && pairs[0] == 0);
	frees_fail = false;
}

/* as many CPUs as there are, or as threads; a process may not use them all */
TEST(threads_are_spread_over_the_cpus)
{
	struct pcpu_pairs run = run_of(2, 1);
	cpu_set_t usable, one;
	int first = 0;

	sched_getaffinity(0, sizeof(usable), &usable);
	run_pairs_of(&run);
	CHECK(__builtin_popcount(used_cpus) ==
	      (CPU_COUNT(&usable) > 1 ? 2 : 1));

	while (!CPU_ISSET(first, &usable))
		first++;
	CPU_ZERO(&one);
	CPU_SET(first, &one);
	sched_setaffinity(0, sizeof(one), &one);
	run = run_of(2, 1);
	CHECK(run_pairs_of(&run) == 1);
	CHECK(used_cpus == 1u << (first & 31));
	sched_setaffinity(0, sizeof(usable), &usable);
}

TEST(threads_of_a_machine_with_too_many_cpus_are_not_bound)
{
	struct pcpu_pairs run = run_of(2, 1);

	no_affinity = true;
	CHECK(run_pairs_of(&run) == 1);
	CHECK(pairs[0] + pairs[1] > 0);
	no_affinity = false;
}

/* the system allows two of four threads: they end without a pair */
TEST(a_thread_that_cannot_be_created_is_an_error)
{
	struct pcpu_pairs run = run_of(4, 1);

	threads_left = 2;
	allocated = freed = 0;
	pairs[0] = 0;
	CHECK(pcpu_bench_pairs(&run) == -EAGAIN);
	CHECK(threads_left == -1 && allocated == freed && !pairs[0]);
	no_memory = true;
	CHECK(pcpu_bench_pairs(&run) == -ENOMEM);
	no_memory = false;
}

TEST(threads_handle_no_signals)
{
	struct pcpu_pairs run = run_of(1, 1);

	CHECK(run_pairs_of(&run) == 1);
	CHECK(!wrong);
}

static void handle(int sig)
{
	(void)sig;
}

/*
 * A run of a minute that a signal ends.  It comes again and again: the first
 * one may be too early.
 */
TEST(a_signal_ends_the_run)
{
	struct pcpu_pairs run = run_of(2, INTERVALS);
	struct sigaction action = { .sa_handler = handle }, before;
	struct itimerval soon = { { 0, 5000 }, { 0, 5000 } }, never = { 0 };

	run.interval_ns = 60000ull * MS;
	ns[0] = 0;
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &soon, NULL);
	CHECK(pcpu_bench_pairs(&run) == 0);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	CHECK(ns[0] == 0);
}

TEST(threads_share_the_port)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_pairs run = run_of(2, 1);

	run.contender = (struct pcpu_contender){ pcpu_alloc, pcpu_free, pcpu };
	CHECK(run_pairs_of(&run) == 1);
	CHECK(run.failures == 0 && pairs[0] + pairs[1] > 0);
	CHECK_MAP(pcpu, 0, "-128 896 (free 896 hint 896)");
	pcpu_destroy(pcpu);
}
