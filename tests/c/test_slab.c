// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_slab.c - kmalloc and kfree: their results and their counts.
 */
#include <string.h>

#include "harness.h"
#include "kernel/kernel.h"
#include "kernel/kernel.h"

static struct fake_kernel kernel;

static uint64_t count(enum pcpu_service service)
{
	return kernel.faults.calls[service];
}

static void start(void)
{
	memset(&kernel, 0, sizeof(kernel));
}

TEST(kmalloc_returns_memory_and_kfree_frees_it)
{
	char *mem;

	start();
	mem = fake_kmalloc(&kernel, 100);
	CHECK(mem);
	memset(mem, 1, 100);
	CHECK(count(PCPU_KMALLOC) == 1);
	fake_kfree(&kernel, mem);
	CHECK(count(PCPU_KFREE) == 1);
}

TEST(kzalloc_returns_zeroed_memory)
{
	char *mem;
	int sum = 0;

	start();
	mem = fake_kzalloc(&kernel, 100);
	for (int i = 0; i < 100; i++)
		sum |= mem[i];
	CHECK(sum == 0);
	CHECK(count(PCPU_KMALLOC) == 1);
	fake_kfree(&kernel, mem);
}

TEST(kmalloc_of_zero_bytes_returns_a_token_that_is_not_counted)
{
	void *token;

	start();
	token = fake_kmalloc(&kernel, 0);
	CHECK(token);
	CHECK(count(PCPU_KMALLOC) == 0);
	fake_kfree(&kernel, token);
	fake_kfree(&kernel, token);
	CHECK(count(PCPU_KFREE) == 0);
}

TEST(kmalloc_of_zero_bytes_never_fails)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };

	start();
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_KMALLOC, &fault));
	CHECK(fake_kmalloc(&kernel, 0));
	CHECK(!fake_kmalloc(&kernel, 1));
}

TEST(kfree_of_null_does_nothing)
{
	start();
	fake_kfree(&kernel, NULL);
	CHECK(count(PCPU_KFREE) == 0);
}

TEST(a_failed_call_is_counted)
{
	struct pcpu_fault fault = { 1, 1, 2, 1.0, 0 };

	start();
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_KMALLOC, &fault));
	CHECK(!fake_kmalloc(&kernel, 8));
	CHECK(!fake_kzalloc(&kernel, 8));
	CHECK(count(PCPU_KMALLOC) == 2);
}
