// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_page_alloc.c - page frames: from which node they come, and its limit.
 */
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

/* one node without a limit, two nodes, a limit that is not reached, a fault
 * that is not due: the counts equal those of single pages
 */
TEST(pages_for_several_cpus_are_counted_like_single_ones)
{
	struct pcpu_fault late = { 100, 1, 1, 1.0, 0 };

	for (int way = 0; way < 4; way++) {
		start(4, way == 1 ? 2 : 1, way == 2 ? 9 : 0);
		if (way == 3)
			CHECK(!fake_fault_arm(&kernel.faults, PCPU_ALLOC_PAGE,
					      &late));
		CHECK(fake_alloc_pages(&kernel, 4) == 4);
		CHECK(calls(PCPU_ALLOC_PAGE) == 4);
		CHECK(kernel.pages.held[0] == (way == 1 ? 2 : 4));
		fake_free_pages(&kernel, 3);
		CHECK(calls(PCPU_FREE_PAGE) == 3);
		CHECK(kernel.pages.held[0] == (way == 1 ? 0 : 1));
		end();
	}
}

TEST(the_first_cpu_without_a_page_ends_the_request)
{
	struct pcpu_fault third = { 3, 1, 1, 1.0, 0 };

	start(4, 1, 2);
	CHECK(fake_alloc_pages(&kernel, 4) == 2);
	CHECK(calls(PCPU_ALLOC_PAGE) == 3);
	CHECK(kernel.pages.held[0] == 2);
	end();

	start(4, 1, 0);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_ALLOC_PAGE, &third));
	CHECK(fake_alloc_pages(&kernel, 4) == 2);
	CHECK(calls(PCPU_ALLOC_PAGE) == 3);
	end();
}
