// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_this_cpu.c - pcpu_this_cpu(), with and without restartable sequences.
 */
#define _GNU_SOURCE 1	/* sched_setaffinity */
#include <errno.h>
#include <pthread.h>

#include "cpus.h"
#include "small.h"

/* this program is linked with --wrap, so that a test can let it fail */
static int getcpu_calls;
static bool getcpu_is_filtered;

int __real_sched_getcpu(void);
int __wrap_sched_getcpu(void);

int __wrap_sched_getcpu(void)
{
	getcpu_calls++;
	return getcpu_is_filtered ? -1 : __real_sched_getcpu();
}

static void check_each_cpu(void)
{
	for (int i = 0; i < usable_cpus(); i++) {
		move_to(0, usable_cpu(i));
		CHECK(pcpu_this_cpu() == usable_cpu(i));
	}
}

static void *in_thread(void *test)
{
	(*(void (**)(void))test)();
	return NULL;
}

/* in a thread of its own, because a test binds or unregisters it */
static void run_in_thread(void (*test)(void))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, in_thread, &test));
	pthread_join(thread, NULL);
}

TEST(the_cpu_of_a_bound_thread_is_returned)
{
	run_in_thread(check_each_cpu);
}

TEST(sched_getcpu_is_called_only_without_an_rseq_area)
{
	getcpu_calls = 0;
	run_in_thread(check_each_cpu);
	CHECK(getcpu_calls == (pcpu_rseq_area() ? 0 : usable_cpus()));
}

TEST(rseq_areas_can_be_switched_off)
{
	CHECK(!is_switched_off() || !pcpu_rseq_area());
}

static void check_unregistered(void)
{
	bool registered = pcpu_rseq_area();

	CHECK(unregister_thread() == registered);
	getcpu_calls = 0;
	check_each_cpu();
	CHECK(getcpu_calls == usable_cpus());
}

TEST(a_thread_that_is_not_registered_calls_sched_getcpu)
{
	run_in_thread(check_unregistered);
}

static void check_filtered(void)
{
	unregister_thread();
	getcpu_is_filtered = true;
	CHECK(pcpu_this_cpu() == -PCPU_E_CPU);
	getcpu_is_filtered = false;
}

TEST(a_failed_sched_getcpu_is_an_error)
{
	run_in_thread(check_filtered);
}

static void check_counter_filtered(void)
{
	struct pcpu_config config = mapped_config(1);
	struct pcpu *pcpu = create(&config);
	struct pcpu_counter counter;
	int64_t sum = 0;

	unregister_thread();
	getcpu_is_filtered = true;
	CHECK(!pcpu_counter_init(&counter, pcpu, 0));
	CHECK(!pcpu_counter_add(&counter, 5));
	CHECK(!pcpu_counter_sum(&counter, &sum) && sum == 5);
	CHECK(counter.elsewhere == 5);
	CHECK(!pcpu_counter_exit(&counter));
	getcpu_is_filtered = false;
	pcpu_destroy(pcpu);
}

TEST(a_counter_counts_even_without_sched_getcpu)
{
	run_in_thread(check_counter_filtered);
}

TEST(all_tests_pass_without_restartable_sequences)
{
	check_all_without_rseq();
}
