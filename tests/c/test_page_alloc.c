// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_page_alloc.c - page frames: from which node they come, and its limit.
 *
 * A text has a digit for each page of a run: the number of CPUs, of four, that
 * have a frame for it.  "420" is a run that failed in its second page.
 */
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "kernel/kernel.h"

static struct fake_kernel kernel;

static void start(int64_t cpus, int64_t nodes, int64_t limit)
{
	memset(&kernel, 0, sizeof(kernel));
	CHECK(fake_pages_init(&kernel, cpus, nodes, limit));
}

static void end(void)
{
	fake_pages_exit(&kernel);
}

TEST(cpus_are_assigned_to_nodes_in_even_blocks)
{
	start(8, 4, 0);
	for (int64_t cpu = 0; cpu < 8; cpu++)
		CHECK(fake_cpu_to_node(&kernel.pages, cpu) == cpu / 2);
	end();
}

TEST(blocks_differ_by_at_most_one_cpu)
{
	int64_t cpus_on[3] = { 0 };

	start(7, 3, 0);
	for (int64_t cpu = 0; cpu < 7; cpu++) {
		int64_t node = fake_cpu_to_node(&kernel.pages, cpu);

		CHECK(node >= 0 && node < 3);
		cpus_on[node]++;
	}
	for (int node = 0; node < 3; node++)
		CHECK(cpus_on[node] == 2 || cpus_on[node] == 3);
	end();
}

TEST(a_page_comes_from_the_node_of_its_cpu)
{
	start(4, 2, 0);
	CHECK(fake_alloc_page(&kernel, 1));
	CHECK(fake_alloc_page(&kernel, 2));
	CHECK(fake_alloc_page(&kernel, 3));
	CHECK(kernel.pages.held[0] == 1);
	CHECK(kernel.pages.held[1] == 2);
	fake_free_page(&kernel, 2);
	CHECK(kernel.pages.held[1] == 1);
	end();
}

TEST(a_node_provides_as_many_pages_as_its_limit)
{
	start(2, 1, 3);
	CHECK(fake_alloc_page(&kernel, 0));
	CHECK(fake_alloc_page(&kernel, 1));
	CHECK(fake_alloc_page(&kernel, 0));
	CHECK(!fake_alloc_page(&kernel, 1));
	CHECK(kernel.pages.held[0] == 3);
	fake_free_page(&kernel, 0);
	CHECK(fake_alloc_page(&kernel, 1));
	end();
}

TEST(a_node_at_its_limit_does_not_use_the_next_node)
{
	start(2, 2, 1);
	CHECK(fake_alloc_page(&kernel, 0));
	CHECK(!fake_alloc_page(&kernel, 0));
	CHECK(fake_alloc_page(&kernel, 1));
	end();
}

TEST(limit_zero_means_no_limit)
{
	start(1, 1, 0);
	for (int i = 0; i < 1000; i++)
		CHECK(fake_alloc_page(&kernel, 0));
	CHECK(kernel.pages.held[0] == 1000);
	end();
}

TEST(calls_are_counted_including_failed_ones)
{
	start(1, 1, 1);
	CHECK(fake_alloc_page(&kernel, 0));
	CHECK(!fake_alloc_page(&kernel, 0));
	fake_free_page(&kernel, 0);
	CHECK(kernel.faults.calls[PCPU_ALLOC_PAGE] == 2);
	CHECK(kernel.faults.calls[PCPU_FREE_PAGE] == 1);
	end();
}

TEST(a_failed_page_is_not_held)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };

	start(1, 1, 1);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_ALLOC_PAGE, &fault));
	CHECK(!fake_alloc_page(&kernel, 0));
	CHECK(kernel.pages.held[0] == 0);
	CHECK(fake_alloc_page(&kernel, 0));
	end();
}

static int64_t calls(enum pcpu_service service)
{
	return (int64_t)kernel.faults.calls[service];
}

/* --- runs of three pages for four CPUs */

enum { CPUS = 4, RUN = 3 };

static uint32_t run[RUN];	/* CPUs that have a frame, for each page */
static char asked[256];		/* calls of the hooks: "+0 " for CPU 0, "-0 " */
static int refused;		/* the call that alloc_page refuses, from 1 */

static int alloc_frame(void *arg, int cpu, int node)
{
	(void)arg;
	(void)node;
	sprintf(asked + strlen(asked), "+%d ", cpu);
	return --refused ? 0 : -1;
}

static void free_frame(void *arg, int cpu, int node)
{
	(void)arg;
	(void)node;
	sprintf(asked + strlen(asked), "-%d ", cpu);
}

static void fail_call(uint64_t nth)
{
	struct pcpu_fault fault = { nth, 1, 1, 1.0, 0 };

	CHECK(!fake_fault_arm(&kernel.faults, PCPU_ALLOC_PAGE, &fault));
}

/* hooks, of which alloc_page refuses the n-th call */
static void start_with_hooks(int n)
{
	memset(&kernel, 0, sizeof(kernel));
	kernel.host.hooks.alloc_page = alloc_frame;
	kernel.host.hooks.free_page = free_frame;
	refused = n;
	*asked = '\0';
	CHECK(fake_pages_init(&kernel, CPUS, 1, 0));
}

static int64_t take_run(void)
{
	memset(run, 0, sizeof(run));
	return fake_alloc_pages(&kernel, run, RUN);
}

static bool run_is(const char *text)
{
	int page;

	for (page = 0; page < RUN; page++)
		if (text[page] - '0' != (int)run[page])
			return false;
	return true;
}

/* end with a run's frames freed: none is held */
static void end_without_run(int64_t frames)
{
	int64_t free_calls = calls(PCPU_FREE_PAGE);
	int node;

	CHECK(fake_free_pages(&kernel, run, RUN) == frames);
	CHECK(run_is("000"));
	CHECK(calls(PCPU_FREE_PAGE) - free_calls == frames);
	for (node = 0; node < kernel.pages.nodes; node++)
		CHECK(kernel.pages.held[node] == 0);
	end();
}

/* one node without a limit or with one that is not exceeded, two nodes, a call
 * that fails later, hooks
 */
TEST(a_run_is_counted_like_single_frames)
{
	for (int way = 0; way < 5; way++) {
		if (way == 4)
			start_with_hooks(13);
		else
			start(CPUS, way == 2 ? 2 : 1, way == 1 ? 12 : 0);
		if (way == 3)
			fail_call(13);
		CHECK(take_run() == 12);
		CHECK(run_is("444"));
		CHECK(calls(PCPU_ALLOC_PAGE) == 12);
		CHECK(kernel.pages.held[0] == (way == 2 ? 6 : 12));
		end_without_run(12);
	}
}

/*
 *	page	0 1 2
 *	CPU 0	+ +
 *	    1	+ +
 *	    2	+ !	the seventh call fails: a limit, a fault, a hook
 *	    3	+
 */
TEST(a_run_ends_at_the_first_frame_that_is_refused)
{
	for (int way = 0; way < 3; way++) {
		if (way == 2)
			start_with_hooks(7);
		else
			start(CPUS, 1, way == 0 ? 6 : 0);
		if (way == 1)
			fail_call(7);
		CHECK(take_run() == 6);
		CHECK(run_is("420"));
		CHECK(calls(PCPU_ALLOC_PAGE) == 7);
		CHECK(kernel.pages.held[0] == 6);
		end_without_run(6);
	}
}

/* node 0 has CPUs 0 and 1: five frames are two pages and a frame of the third */
TEST(a_run_ends_at_the_limit_of_any_node)
{
	start(CPUS, 2, 5);
	CHECK(take_run() == 9);
	CHECK(run_is("441"));
	CHECK(calls(PCPU_ALLOC_PAGE) == 10);
	CHECK(kernel.pages.held[0] == 5);
	CHECK(kernel.pages.held[1] == 4);
	end_without_run(9);
}

TEST(the_frames_of_earlier_runs_count_against_the_limit)
{
	start(CPUS, 1, 14);
	CHECK(take_run() == 12);
	CHECK(take_run() == 2);
	CHECK(run_is("200"));
	end();
}

/* a boot-time frame that is freed adds to the limit */
TEST(a_run_may_use_a_freed_boot_time_frame)
{
	start(CPUS, 1, 11);
	CHECK(take_run() == 11);
	CHECK(fake_free_pages(&kernel, run, RUN) == 11);
	fake_free_page(&kernel, 0);
	CHECK(take_run() == 12);
	end();
}

TEST(hooks_are_called_page_by_page_and_cpu_by_cpu)
{
	start_with_hooks(7);
	take_run();
	CHECK(!strcmp(asked, "+0 +1 +2 +3 +0 +1 +2 "));
	*asked = '\0';
	end_without_run(6);
	CHECK(!strcmp(asked, "-0 -1 -2 -3 -0 -1 "));
}
