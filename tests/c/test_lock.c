// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lock.c - an allocator's lock by itself: threads take turns, sleep, wake.
 *
 * test_threads.c and test_reentry.c test allocators, which have the same lock.
 */
#define _GNU_SOURCE 1	/* alarm, fork, pthread_kill */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "internal.h"
#include "kernel/clock.h"

#define USEC		((uint64_t)1000)
#define MSEC		((uint64_t)1000000)
#define PATIENCE	(50 * USEC)	/* until a thread is the heir */
#define OTHER		((uintptr_t)2)		/* a thread that never runs */
#define MOST_THREADS	4
#define ROUNDS		10	/* tries, where a busy machine may disturb */

#ifdef FEW_OPERATIONS	/* for each of thousands of mutants */
#define CALLS		1000
#define SIGNALS		50
#else
#define CALLS		20000
#define SIGNALS		500
#endif

static struct pcpu_lock lock;
static pthread_t threads[MOST_THREADS];
static int nr_threads;
static int inside;		/* threads that hold the lock: at most one */
static int overlaps;		/* times that there was another one */

static void start(int n, void *(*run)(void *))
{
	alarm(60);		/* ends the test at a deadlock */
	for (nr_threads = 0; nr_threads < n; nr_threads++)
		CHECK(!pthread_create(&threads[nr_threads], NULL, run,
				      (void *)(intptr_t)nr_threads));
}

static void finish(void)
{
	while (nr_threads)
		pthread_join(threads[--nr_threads], NULL);
	alarm(0);
	CHECK(!overlaps);
}

static void *pause_for_ever(void *arg)
{
	while (true)
		pause();
	return arg;
}

/* from now on the process has a second thread */
static void be_one_of_several(void)
{
	static pthread_t second;

	if (!second)
		CHECK(!pthread_create(&second, NULL, pause_for_ever, NULL));
}

static void rest(uint64_t ns)
{
	struct timespec ts = { 0, (long)ns };

	nanosleep(&ts, NULL);
}

/* what a thread does while it holds the lock */
static void be_inside(uint64_t ns)
{
	uint64_t end = ktime_get_ns() + ns;

	overlaps += inside++ != 0;
	while (ktime_get_ns() < end)
		;
	inside--;
}

static uintptr_t heir(void)
{
	return __atomic_load_n(&lock.heir, __ATOMIC_RELAXED);
}

static bool some_sleep(void)
{
	return __atomic_load_n(&lock.asleep, __ATOMIC_RELAXED) == 1;
}

/* --- refusals */

static void check_refusal(void)
{
	CHECK(pcpu_lock_take(&lock));
	CHECK(!pcpu_lock_take(&lock));
	CHECK(!pcpu_lock_take(&lock));
	pcpu_lock_drop(&lock);
	CHECK(pcpu_lock_take(&lock));
	pcpu_lock_drop(&lock);
	CHECK(!lock.owner && !lock.heir && !lock.asleep);
}

/* the first test: no other thread exists yet */
TEST(a_thread_that_holds_the_lock_is_refused)
{
	pcpu_lock_init(&lock);
	check_refusal();
	be_one_of_several();
	check_refusal();
}

/* for the hook that frees its memory, see test_reentry.c */
TEST(a_lock_that_has_ended_refuses)
{
	struct pcpu_lock ended = { 0 };

	pcpu_lock_init(&ended);
	pcpu_lock_exit(&ended);
	be_one_of_several();
	CHECK(!pcpu_lock_take(&ended));
}

/* --- turns */

static int64_t calls[MOST_THREADS];	/* of each thread */
static _Atomic int64_t most_calls;	/* of a thread */

static void *call_often(void *arg)
{
	for (int i = 0; i < CALLS; i++) {
		pcpu_lock_take(&lock);
		be_inside(0);
		calls[0]++;
		pcpu_lock_drop(&lock);
	}
	return arg;
}

TEST(one_thread_is_inside_at_a_time)
{
	calls[0] = 0;
	start(MOST_THREADS, call_often);
	finish();
	CHECK(calls[0] == MOST_THREADS * CALLS);
}

/* long calls, with no time between them, until a thread has made many */
static void *call_long(void *arg)
{
	int64_t *mine = &calls[(intptr_t)arg];

	while (most_calls < 50) {
		pcpu_lock_take(&lock);
		be_inside(MSEC);
		if (++*mine > most_calls)
			most_calls = *mine;
		pcpu_lock_drop(&lock);
	}
	return arg;
}

/*
 *	thread 0   call|call|call|waits     heir|call|call| ...
 *	thread 1   waits     heir|call|call|call|waits
 *
 * A thread that leaves is the first that can enter again, so that without an
 * heir another one gets hardly a turn.  Equal shares are usual; a busy machine
 * may not run one of the threads at all, so that the test needs another attempt.
 */
TEST(each_of_two_threads_gets_its_turns)
{
	bool both = false;

	for (int attempt = 0; attempt < 4 && !both; attempt++) {
		memset(calls, 0, sizeof(calls));
		most_calls = 0;
		start(2, call_long);
		finish();
		both = calls[0] >= 5 && calls[1] >= 5;
	}
	CHECK(both);
}

static bool seen_inside;	/* by take_once: that threads may sleep */

static void *take_once(void *arg)
{
	CHECK(pcpu_lock_take(&lock));
	be_inside(0);
	seen_inside = some_sleep();
	pcpu_lock_drop(&lock);
	return arg;
}

/* let a thread wait for the lock, which the caller holds, until it sleeps */
static void let_sleep(void)
{
	lock.asleep = 0;
	start(1, take_once);
	while (!some_sleep())
		rest(100 * USEC);
}

TEST(a_thread_is_the_heir_while_it_sleeps_until_it_enters)
{
	be_one_of_several();
	CHECK(pcpu_lock_take(&lock));
	let_sleep();
	CHECK(heir() == (uintptr_t)threads[0]);
	pcpu_lock_drop(&lock);
	finish();
	CHECK(!lock.heir && !lock.owner);
}

TEST(others_sleep_while_there_is_an_heir_and_do_not_take_its_place)
{
	be_one_of_several();
	CHECK(pcpu_lock_take(&lock));
	lock.heir = OTHER;
	let_sleep();
	CHECK(heir() == OTHER);
	__atomic_store_n(&lock.heir, PCPU_OWNER_NONE, __ATOMIC_RELAXED);
	pcpu_lock_drop(&lock);
	finish();
}

/* the heir may not run for a while: then another thread takes its place */
TEST(an_heir_that_does_not_come_holds_the_others_up_for_a_moment)
{
	uint64_t begin, least = UINT64_MAX;

	be_one_of_several();
	for (int i = 0; i < ROUNDS; i++) {
		lock.heir = OTHER;
		lock.asleep = 0;
		begin = ktime_get_ns();
		CHECK(pcpu_lock_take(&lock));
		begin = ktime_get_ns() - begin;
		least = begin < least ? begin : least;
		CHECK(!lock.heir && !lock.asleep);
		pcpu_lock_drop(&lock);
	}
	CHECK(least >= PATIENCE && least < 40 * MSEC);	/* without a sleep */
}

/* --- sleep */

static uint64_t took[MOST_THREADS];	/* when each thread had the lock */
static uint64_t cpu_time;		/* that a thread used until then */

static uint64_t own_cpu_time(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (uint64_t)ts.tv_sec * 1000000000 + (uint64_t)ts.tv_nsec;
}

static void *take_and_measure(void *arg)
{
	uint64_t before = own_cpu_time();

	CHECK(pcpu_lock_take(&lock));
	be_inside(0);
	took[(intptr_t)arg] = ktime_get_ns();
	cpu_time = own_cpu_time() - before;
	pcpu_lock_drop(&lock);
	return arg;
}

/* another thread may be inside for seconds, such as in a long replay */
TEST(a_thread_that_waits_long_uses_no_cpu_time)
{
	be_one_of_several();
	CHECK(pcpu_lock_take(&lock));
	start(1, take_and_measure);
	rest(40 * MSEC);
	pcpu_lock_drop(&lock);
	finish();
	CHECK(cpu_time < 10 * MSEC);
}

/* let threads wait until they sleep; return when the last one had its turn */
static uint64_t wake_up_ns(int n, void (*leave)(void))
{
	uint64_t left, last = 0;

	CHECK(pcpu_lock_take(&lock));
	start(n, take_and_measure);
	rest(4 * MSEC);
	left = ktime_get_ns();
	leave();
	finish();
	for (int i = 0; i < n; i++)
		last = took[i] > last ? took[i] : last;
	return last - left;
}

static void leave_and_wake(void)
{
	pcpu_lock_drop(&lock);
}

/* a thread that was woken wakes the next one, in case there is one */
TEST(a_thread_that_slept_leaves_a_wake_up)
{
	be_one_of_several();
	CHECK(pcpu_lock_take(&lock));
	let_sleep();
	pcpu_lock_drop(&lock);
	finish();
	CHECK(seen_inside && !lock.asleep && !lock.heir_asleep);
}

/* if not woken they come 50 ms after they began to sleep */
TEST(threads_that_sleep_wake_one_after_the_other)
{
	uint64_t least = UINT64_MAX;

	be_one_of_several();
	for (int i = 0; i < ROUNDS && least > 5 * MSEC; i++) {
		uint64_t ns = wake_up_ns(3, leave_and_wake);

		least = ns < least ? ns : least;
	}
	CHECK(least <= 5 * MSEC);
}

/* as if the thread that leaves looked for sleepers just before there was one */
static void leave_unnoticed(void)
{
	__atomic_store_n(&lock.owner, PCPU_OWNER_NONE, __ATOMIC_RELEASE);
}

TEST(a_thread_whose_wake_up_was_missed_comes_by_itself)
{
	be_one_of_several();
	CHECK(wake_up_ns(1, leave_unnoticed) < 500 * MSEC);
}

/* --- signal handlers: forbidden, but nothing breaks */

static atomic_int answers[2];	/* the handler's: refused, taken */

static void take_in_handler(int signal)
{
	int saved = errno;
	bool ok = pcpu_lock_take(&lock);

	(void)signal;
	if (ok) {
		be_inside(0);
		pcpu_lock_drop(&lock);
	}
	answers[ok]++;
	errno = saved;
}

static atomic_bool stop;

static void *call_until_stopped(void *arg)
{
	while (!stop) {
		pcpu_lock_take(&lock);
		be_inside((intptr_t)arg * 20 * USEC);
		pcpu_lock_drop(&lock);
	}
	return arg;
}

/*
 * The handler interrupts threads anywhere: inside, while they take or leave the
 * lock, while they wait, as the heir, and asleep.
 */
TEST(a_signal_handler_is_refused_or_takes_the_lock)
{
	int sent = 0;

	be_one_of_several();
	signal(SIGUSR1, take_in_handler);
	stop = false;
	start(MOST_THREADS, call_until_stopped);
	while (sent < SIGNALS || !answers[false] || !answers[true]) {
		CHECK(!pthread_kill(threads[sent++ % MOST_THREADS], SIGUSR1));
		rest(20 * USEC);
	}
	stop = true;
	finish();
	signal(SIGUSR1, SIG_DFL);
	CHECK(!lock.owner && !lock.heir);
}

/* --- forks */

/*
 * Threads that wait for the end of a fork do so in the parent only.  This one has
 * the lock already, like a hook that forks, so the state is known; it keeps it.
 */
TEST(a_child_does_not_know_threads_that_waited)
{
	uintptr_t self;
	pid_t child;
	int status;

	be_one_of_several();
	CHECK(pcpu_lock_take(&lock));
	self = lock.owner;
	lock.heir = OTHER;
	lock.asleep = 1;
	child = fork();
	if (!child) {
		if (lock.owner != self || lock.heir)
			_exit(1);
		pcpu_lock_drop(&lock);
		_exit(lock.owner || lock.asleep);
	}
	CHECK(waitpid(child, &status, 0) == child && status == 0);
	CHECK(lock.owner == self && lock.heir == OTHER && lock.asleep);
	lock.heir = PCPU_OWNER_NONE;
	pcpu_lock_drop(&lock);
	CHECK(!lock.owner && !lock.asleep);
}
