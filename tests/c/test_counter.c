// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_counter.c - a counter loses no add, whatever interrupts the threads that
 * add.
 *
 * All tests run again in a process without restartable sequences.
 * `make sanitize` runs them under ThreadSanitizer too.
 */
#define _GNU_SOURCE 1	/* sched_setaffinity, timer_create */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>

#include "cpus.h"
#include "small.h"

#define THREADS	4		/* more than the CPUs of a small machine */
#ifdef FEW_OPERATIONS	/* for each of thousands of mutants */
#define MOVES	100
#define SIGNALS	100
#else
#define MOVES	4000
#define SIGNALS	2000
#endif

/* whether adds are restartable sequences here */
static bool has_sequences(void)
{
#ifdef PCPU_RSEQ_ADD
	return pcpu_rseq_area();
#else
	return false;
#endif
}

static struct pcpu *counting(struct pcpu_counter *counter, int64_t cpus)
{
	struct pcpu_config config = mapped_config(cpus);
	struct pcpu *pcpu = create(&config);

	CHECK(!pcpu_counter_init(counter, pcpu, 0));
	return pcpu;
}

static void done(struct pcpu_counter *counter, struct pcpu *pcpu)
{
	CHECK(!pcpu_counter_exit(counter));
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
}

static int64_t sum_of(const struct pcpu_counter *counter)
{
	int64_t sum = -1;

	CHECK(!pcpu_counter_sum(counter, &sum));
	return sum;
}

static int64_t copy_at(const struct pcpu_counter *counter, int cpu)
{
	int64_t copy = pcpu_address(counter->pin.pcpu, counter->pin.ptr, cpu);

	CHECK(copy > 0);
	return *(int64_t *)(uintptr_t)copy;
}

/* --- one thread */

#ifdef PCPU_RSEQ_AREA
TEST(the_area_of_a_thread_is_that_of_the_c_library)
{
	bool registered = &__rseq_size && __rseq_size;

	CHECK((char *)pcpu_rseq_area() ==
	      (registered ? pcpu_thread_pointer() + __rseq_offset : NULL));
}
#endif

TEST(a_sum_is_what_was_added)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());

	CHECK(sum_of(&counter) == 0);
	CHECK(!pcpu_counter_add(&counter, 5));
	CHECK(!pcpu_counter_add(&counter, -7));
	CHECK(sum_of(&counter) == -2);
	done(&counter, pcpu);
}

TEST(a_counter_starts_with_an_amount)
{
	struct pcpu_counter counter;
	struct pcpu_config config = mapped_config(1);
	struct pcpu *pcpu = create(&config);

	CHECK(!pcpu_counter_init(&counter, pcpu, -40));
	CHECK((int64_t)counter.elsewhere == -40 && copy_at(&counter, 0) == 0);
	CHECK(!pcpu_counter_add(&counter, 1));
	CHECK(sum_of(&counter) == -39);
	done(&counter, pcpu);
}

TEST(a_sum_wraps_around)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());

	CHECK(!pcpu_counter_add(&counter, INT64_MAX));
	CHECK(!pcpu_counter_add(&counter, 2));
	CHECK(sum_of(&counter) == INT64_MIN + 1);
	done(&counter, pcpu);
}

static void *add_on_each_cpu(void *arg)
{
	struct pcpu_counter *counter = arg;

	for (int i = 0; i < usable_cpus(); i++) {
		int cpu = usable_cpu(i);

		move_to(0, cpu);
		for (int n = 0; n < 1000; n++)
			CHECK(!pcpu_counter_add(counter, 1));
		/* an interrupt may divert a few of them to "elsewhere" */
		CHECK(copy_at(counter, cpu) > 500);
		CHECK(copy_at(counter, cpu) <= 1000);
		CHECK(sum_of(counter) == 1000 * (i + 1));
	}
	return NULL;
}

TEST(an_add_goes_to_the_copy_of_the_threads_cpu)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, add_on_each_cpu, &counter));
	pthread_join(thread, NULL);
	done(&counter, pcpu);
}

static void *add_unregistered(void *counter)
{
	bool registered = pcpu_rseq_area();

	CHECK(unregister_thread() == registered);
	CHECK(!pcpu_counter_add(counter, 3));
	return NULL;
}

/* without sequences all threads add to copies, atomically */
TEST(a_thread_that_is_not_registered_adds_elsewhere)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, add_unregistered, &counter));
	pthread_join(thread, NULL);
	CHECK(sum_of(&counter) == 3);
	CHECK(counter.elsewhere == (has_sequences() ? 3 : 0));
	done(&counter, pcpu);
}

/* --- many threads */

struct adder {
	pthread_t thread;	/* runs add_until_stop() */
	_Atomic pid_t tid;	/* thread ID; 0: not yet running */
	int64_t added;		/* sum of its adds */
	struct pcpu_counter *counter; /* that it adds to */
};

static struct adder adders[THREADS];
static atomic_bool stop;

static void *add_until_stop(void *arg)
{
	struct adder *adder = arg;

	atomic_store(&adder->tid, (pid_t)syscall(SYS_gettid));
	while (!atomic_load_explicit(&stop, memory_order_relaxed)) {
		pcpu_counter_add(adder->counter, 3);
		adder->added += 3;
	}
	return NULL;
}

static void start_adders(struct pcpu_counter *counter)
{
	atomic_store(&stop, false);
	for (int i = 0; i < THREADS; i++) {
		adders[i] = (struct adder){ .counter = counter };
		CHECK(!pthread_create(&adders[i].thread, NULL, add_until_stop,
				      &adders[i]));
	}
	for (int i = 0; i < THREADS; i++)
		while (!atomic_load(&adders[i].tid))
			sched_yield();
}

static int64_t stop_adders(void)
{
	int64_t added = 0;

	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(adders[i].thread, NULL);
		added += adders[i].added;
	}
	return added;
}

/*
 * Another thread moves them, so it interrupts them anywhere.  They add 3: the
 * sum would show an add that is done in part.
 */
static void move_adders(int moves)
{
	for (int i = 0; i < moves; i++)
		move_to(atomic_load(&adders[i % THREADS].tid),
			usable_cpu(i / THREADS + i % 3));
}

static void check_moved_adders(int64_t cpus)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, cpus);
	int64_t added;

	start_adders(&counter);
	move_adders(MOVES);
	added = stop_adders();
	CHECK(sum_of(&counter) == added);
	done(&counter, pcpu);
}

TEST(threads_that_are_moved_in_the_middle_of_an_add_lose_nothing)
{
	check_moved_adders(all_cpus());
}

TEST(an_allocator_of_one_cpu_loses_nothing)
{
	check_moved_adders(1);
}

static struct pcpu_counter *signalled;
static atomic_int signals;

static void add_in_handler(int signal)
{
	(void)signal;
	pcpu_counter_add(signalled, 1000000);
	atomic_fetch_add(&signals, 1);
}

/* send a signal to this process every @ns nanoseconds */
static timer_t start_signals(long ns)
{
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec often = { { 0, ns }, { 0, ns } };
	struct sigaction action = { .sa_handler = add_in_handler };
	timer_t timer;

	CHECK(!sigaction(SIGALRM, &action, NULL));
	CHECK(!timer_create(CLOCK_MONOTONIC, &event, &timer));
	CHECK(!timer_settime(timer, 0, &often, NULL));
	return timer;
}

TEST(a_signal_handler_may_add_in_the_middle_of_an_add)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	int64_t added = 0;
	timer_t timer;

	signalled = &counter;
	atomic_store(&signals, 0);
	timer = start_signals(20000);
	while (signals < SIGNALS) {
		pcpu_counter_add(&counter, 1);
		added++;
	}
	CHECK(!timer_delete(timer));
	CHECK(sum_of(&counter) == added + 1000000 * (int64_t)signals);
	done(&counter, pcpu);
}

enum { SUM_IS_RIGHT = 1, WENT_ELSEWHERE = 2, NOT_TRACED = 4 };

/* stop, add, stop: the parent steps through the add */
static _Noreturn void add_between_stops(struct pcpu_counter *counter)
{
	int64_t sum = 0;
	int seen = 0;

	if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
		_exit(NOT_TRACED);
	raise(SIGSTOP);
	pcpu_counter_add(counter, 5);
	raise(SIGSTOP);
	pcpu_counter_sum(counter, &sum);
	seen |= sum == 5 ? SUM_IS_RIGHT : 0;
	seen |= counter->elsewhere == 5 ? WENT_ELSEWHERE : 0;
	_exit(seen);
}

/*
 * For the kernel each step is an interruption.  An interrupted sequence
 * continues at the abort handler, so here the handler is certain to run.
 * Signals rarely interrupt a sequence.
 */
TEST(an_add_that_is_stepped_through_goes_elsewhere)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	int status = 0, steps = 0;
	pid_t child = fork();

	if (!child)
		add_between_stops(&counter);
	CHECK(waitpid(child, &status, 0) == child);
	if (WIFEXITED(status) && WEXITSTATUS(status) == NOT_TRACED) {
		done(&counter, pcpu);
		skip("processes cannot be traced");
		return;
	}
	CHECK(WIFSTOPPED(status));
	do {
		steps++;
		if (ptrace(PTRACE_SINGLESTEP, child, NULL, NULL))
			break;
		waitpid(child, &status, 0);
	} while (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
	CHECK(steps > 20);
	CHECK(!ptrace(PTRACE_CONT, child, NULL, NULL));
	CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status));
	CHECK(WEXITSTATUS(status) ==
	      (SUM_IS_RIGHT | (has_sequences() ? WENT_ELSEWHERE : 0)));
	done(&counter, pcpu);
}

TEST(a_sum_during_adds_never_decreases)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	int64_t last = 0;

	start_adders(&counter);
	for (int i = 0; i < 10000; i++) {
		int64_t sum = sum_of(&counter);

		CHECK(sum >= last && sum % 3 == 0);
		last = sum;
	}
	CHECK(last <= stop_adders());
	done(&counter, pcpu);
}

TEST(after_a_fork_each_process_counts_for_itself)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, all_cpus());
	int status = -1;
	pid_t pid;

	CHECK(!pcpu_counter_add(&counter, 1));
	pid = fork();
	if (!pid) {
		pcpu_counter_add(&counter, 10);
		_exit((int)sum_of(&counter));
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 11);
	CHECK(sum_of(&counter) == 1);
	done(&counter, pcpu);
}

/* --- its memory */

TEST(a_live_counter_keeps_its_memory)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, 2);

	CHECK(pcpu_free(pcpu, counter.pin.ptr) == -PCPU_E_PINNED);
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	CHECK(!pcpu_counter_add(&counter, 1));
	CHECK(sum_of(&counter) == 1);
	done(&counter, pcpu);
}

TEST(exit_frees_the_memory)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, 2);
	int64_t ptr = counter.pin.ptr;

	CHECK(info_of(pcpu).areas == 1 && info_of(pcpu).min_size == 8);
	CHECK(!pcpu_counter_exit(&counter));
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_NOT_LIVE);
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
}

/* the sanitizer notices an exit that uses the handle it destroyed */
TEST(the_last_exit_completes_a_destroy)
{
	struct pcpu_counter first, second;
	struct pcpu *pcpu = counting(&first, 2);

	CHECK(!pcpu_counter_init(&second, pcpu, 7));
	pcpu_destroy(pcpu);
	CHECK(!pcpu_counter_exit(&first));
	CHECK(!pcpu_counter_add(&second, 1));
	CHECK(sum_of(&second) == 8);
	CHECK(!pcpu_counter_exit(&second));
}

TEST(exit_is_refused_while_another_pin_exists)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, 2);
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, counter.pin.ptr, 1, &pin));
	CHECK(pcpu_counter_exit(&counter) == -PCPU_E_PINNED);
	/* the refused exit changed nothing */
	CHECK(!pcpu_counter_add(&counter, 1));
	CHECK(sum_of(&counter) == 1);
	pcpu_unpin(&pin);
	CHECK(pcpu_free(pcpu, counter.pin.ptr) == -PCPU_E_PINNED);
	done(&counter, pcpu);
}

/* --- what is refused */

/* its pin is in the allocator's tree at the old place */
TEST(exit_of_a_counter_that_was_moved_is_refused)
{
	struct pcpu_counter counter, moved;
	struct pcpu *pcpu = counting(&counter, all_cpus());

	moved = counter;
	CHECK(pcpu_counter_exit(&moved) == -PCPU_E_PINNED);
	CHECK(!memcmp(&moved, &counter, sizeof(moved)));
	CHECK(!pcpu_counter_add(&counter, 3) && sum_of(&counter) == 3);
	done(&counter, pcpu);
}

static struct pcpu_counter from_within;
static int exit_from_within;

static void add_and_exit(void *arg, const struct pcpu_event *event)
{
	(void)arg;
	if (event->kind != PCPU_EVENT_ALLOC || event->size != 16)
		return;
	CHECK(!pcpu_counter_add(&from_within, 1));
	exit_from_within = pcpu_counter_exit(&from_within);
}

TEST(a_hook_may_add_but_not_exit)
{
	struct pcpu_hooks hooks = { .event = add_and_exit };
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;

	config.hooks = &hooks;
	pcpu = create(&config);
	CHECK(!pcpu_counter_init(&from_within, pcpu, 0));
	CHECK(pcpu_alloc(pcpu, 16, 8) > 0);
	CHECK(exit_from_within == -PCPU_E_BUSY);
	CHECK(sum_of(&from_within) == 1);
	CHECK(!pcpu_counter_exit(&from_within));
	pcpu_destroy(pcpu);
}

static void check_dead(struct pcpu_counter *counter)
{
	int64_t sum;

	CHECK(pcpu_counter_add(counter, 1) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_counter_sum(counter, &sum) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_counter_exit(counter) == -PCPU_E_NOT_LIVE);
}

TEST(a_counter_that_is_not_set_up_is_refused)
{
	struct pcpu_counter counter = { 0 };
	struct pcpu *pcpu;

	check_dead(&counter);
	pcpu = counting(&counter, 2);
	done(&counter, pcpu);
	check_dead(&counter);
}

TEST(null_is_refused)
{
	struct pcpu_counter counter;
	struct pcpu *pcpu = counting(&counter, 2);
	int64_t sum;

	CHECK(pcpu_counter_init(NULL, pcpu, 0) == -PCPU_E_NULL);
	CHECK(pcpu_counter_add(NULL, 1) == -PCPU_E_NULL);
	CHECK(pcpu_counter_sum(NULL, &sum) == -PCPU_E_NULL);
	CHECK(pcpu_counter_sum(&counter, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_counter_exit(NULL) == -PCPU_E_NULL);
	done(&counter, pcpu);
	CHECK(pcpu_counter_init(&counter, NULL, 0) == -PCPU_E_NULL);
	check_dead(&counter);
}

/* the error of a pcpu_counter_init() that must leave no area */
static int refused(const struct pcpu_config *config, bool close, int site)
{
	struct pcpu *pcpu = create(config);
	struct pcpu_counter counter;
	int err;

	if (close)
		CHECK(!pcpu_close(pcpu));
	if (site)
		fail_at(pcpu, site, 1);
	err = pcpu_counter_init(&counter, pcpu, 0);
	check_dead(&counter);
	if (!close)	/* the first area is not live */
		CHECK(pcpu_free(pcpu, info_of(pcpu).static_ptr +
				config->static_size) == -PCPU_E_NOT_LIVE);
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
	return err;
}

TEST(a_counter_needs_mapped_memory_and_no_rollback)
{
	struct pcpu_config config = mapped_config(2);

	CHECK(refused(&config, true, 0) == -PCPU_E_CLOSED);
	config.static_size = sysconf(_SC_PAGESIZE); /* next page missing */
	CHECK(refused(&config, false, PCPU_ALLOC_PAGE) == NOMEM(ALLOC_PAGE));
	config.quirks = PCPU_QUIRK_ROLLBACK;
	CHECK(refused(&config, false, 0) == -PCPU_E_ROLLBACK);
	config = small_config(2);
	CHECK(refused(&config, false, 0) == -PCPU_E_NO_MEMORY_MAPPED);
	config.page_size = 4;	/* less than a counter's alignment */
	config.static_size = 4;
	CHECK(refused(&config, false, 0) == -PCPU_E_NO_MEMORY_MAPPED);
}

TEST(a_counter_that_is_refused_has_allocated_nothing)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu_work alloc, free;
	struct pcpu_counter counter;
	struct pcpu *pcpu;

	config.quirks = PCPU_QUIRK_ROLLBACK;
	pcpu = create(&config);
	CHECK(pcpu_counter_init(&counter, pcpu, 0) == -PCPU_E_ROLLBACK);
	CHECK(!pcpu_work(pcpu, &alloc, &free));
	CHECK(alloc.operations == 0 && free.operations == 0);
	pcpu_destroy(pcpu);
}

TEST(all_tests_pass_without_restartable_sequences)
{
	check_all_without_rseq();
}
