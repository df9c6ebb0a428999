// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_fault.c - which calls to a service fail; all calls are counted.
 */
#include <math.h>
#include <string.h>

#include "harness.h"
#include "kernel/kernel.h"

static struct fake_faults faults;

/* make @n calls; return a text with an X for each call that fails */
static const char *calls(int n)
{
	static char text[65];

	for (int i = 0; i < n; i++)
		text[i] = fake_should_fail(&faults, PCPU_KMALLOC) ? 'X' : '.';
	text[n] = '\0';
	return text;
}

/* reset the faults and set one plan, for kmalloc */
static void plan(uint64_t nth, uint64_t interval, int64_t times)
{
	struct pcpu_fault fault = { nth, interval, times, 1.0, 0 };

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
}

TEST(without_a_plan_nothing_fails)
{
	memset(&faults, 0, sizeof(faults));
	CHECK(!strcmp(calls(8), "........"));
}

TEST(nth_counts_from_one)
{
	plan(1, 1, 1);
	CHECK(!strcmp(calls(8), "X......."));
	plan(3, 1, 1);
	CHECK(!strcmp(calls(8), "..X....."));
}

TEST(times_limits_the_failures)
{
	plan(2, 1, 3);
	CHECK(!strcmp(calls(8), ".XXX...."));
}

TEST(times_minus_one_is_no_limit)
{
	plan(2, 1, -1);
	CHECK(!strcmp(calls(8), ".XXXXXXX"));
}

TEST(a_new_plan_does_not_wait_for_the_old_one)
{
	struct pcpu_fault next = { 2, 1, 1, 1.0, 0 };

	plan(5, 7, 3);
	CHECK(!strcmp(calls(6), "....X."));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &next));
	CHECK(!strcmp(calls(8), ".X......"));
}

TEST(interval_is_the_distance_between_failures)
{
	plan(1, 3, -1);
	CHECK(!strcmp(calls(10), "X..X..X..X"));
	plan(2, 3, 2);
	CHECK(!strcmp(calls(10), ".X..X....."));
}

TEST(nth_counts_from_the_moment_the_plan_is_set)
{
	struct pcpu_fault fault = { 2, 1, 1, 1.0, 0 };

	memset(&faults, 0, sizeof(faults));
	calls(5);
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(!strcmp(calls(4), ".X.."));
}

TEST(a_new_plan_replaces_the_old_one)
{
	struct pcpu_fault fault = { 3, 1, 1, 1.0, 0 };

	plan(1, 1, -1);
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(!strcmp(calls(5), "..X.."));
}

TEST(clearing_stops_the_failures)
{
	plan(1, 1, -1);
	CHECK(!strcmp(calls(3), "XXX"));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, NULL));
	CHECK(!strcmp(calls(3), "..."));
}

static int never(void *arg, int service)
{
	(void)arg;
	(void)service;
	return 0;
}

TEST(clearing_stops_the_failures_if_a_hook_is_asked_too)
{
	plan(1, 1, -1);
	fake_fault_ask(&faults, never, NULL);
	CHECK(!strcmp(calls(3), "XXX"));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, NULL));
	CHECK(!strcmp(calls(3), "..."));
}

TEST(every_call_is_counted_including_failed_ones)
{
	plan(2, 2, -1);
	calls(10);
	CHECK(faults.calls[PCPU_KMALLOC] == 10);
	fake_count(&faults, PCPU_KFREE);
	CHECK(faults.calls[PCPU_KFREE] == 1);
}

TEST(the_share_of_failures_approaches_the_probability)
{
	struct pcpu_fault fault = { 1, 1, -1, 0.25, 1 };
	int failures = 0;

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	for (int i = 0; i < 10000; i++)
		failures += fake_should_fail(&faults, PCPU_KMALLOC);
	/* four standard deviations: 4 * sqrt(10000 * .25 * .75) = 173 */
	CHECK(failures > 2500 - 173 && failures < 2500 + 173);
}

/* 10^-12 is less than one step of the 32-bit random numbers */
TEST(the_smallest_probability_does_not_become_zero)
{
	struct pcpu_fault fault = { 1, 1, -1, 1e-12, 0 };

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(faults.plan[PCPU_KMALLOC].threshold > 0);
}

/* whether the @nth candidate fails with a probability of @share / 2^32 */
static bool strikes(uint64_t seed, int nth, uint64_t share)
{
	struct pcpu_fault fault = { 1, 1, -1, 0, seed };
	bool failed = false;

	fault.probability = (double)share / 4294967296.0;
	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	while (nth--)
		failed = fake_should_fail(&faults, PCPU_KMALLOC);
	return failed;
}

/*
 * The first numbers of splitmix64 from 1234567, as published: the high halves
 * decide.  Then a hundred others.
 */
TEST(random_numbers_are_those_of_splitmix64)
{
	static const uint64_t numbers[] = {
		6457827717110365317u, 3203168211198807973u,
		9817491932198370423u, 4593380528125082431u,
		16408922859458223821u,
	};
	uint64_t seed = 188793728486294383u;

	for (int i = 0; i < 5; i++) {
		CHECK(!strikes(1234567, i + 1, numbers[i] >> 32));
		CHECK(strikes(1234567, i + 1, (numbers[i] >> 32) + 1));
	}
	for (int i = 0; i < 100; i++, seed++) {
		uint64_t z = seed + 0x9e3779b97f4a7c15u;

		z ^= z >> 30;
		z *= 0xbf58476d1ce4e5b9u;
		z ^= z >> 27;
		z *= 0x94d049bb133111ebu;
		z ^= z >> 31;
		z >>= 32;
		CHECK(!z || !strikes(seed, 1, z));
		CHECK(strikes(seed, 1, z + 1));
	}
}

/* the first number of one seed is 1, of the other 0 */
TEST(the_smallest_probability_is_one_step)
{
	const struct pcpu_fault fault = { 1, 1, -1, 1e-12, 188793728486294383u };
	const struct pcpu_fault zero = { 1, 1, -1, 1e-12, 7046029254386353131u };

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(!fake_should_fail(&faults, PCPU_KMALLOC));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &zero));
	CHECK(fake_should_fail(&faults, PCPU_KMALLOC));
}

TEST(times_counts_failures_and_not_calls)
{
	struct pcpu_fault fault = { 1, 1, 5, 0.5, 1 };
	int failures = 0;

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	for (int i = 0; i < 100; i++)
		failures += fake_should_fail(&faults, PCPU_KMALLOC);
	CHECK(failures == 5);
}

TEST(with_the_same_seed_the_same_calls_fail)
{
	struct pcpu_fault fault = { 1, 1, -1, 0.5, 7 };
	char first[65];

	memset(&faults, 0, sizeof(faults));
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	strcpy(first, calls(64));
	CHECK(strchr(first, 'X') && strchr(first, '.'));

	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(!strcmp(first, calls(64)));

	fault.seed = 8;
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(strcmp(first, calls(64)));
}

TEST(a_refused_plan_changes_nothing)
{
	const struct pcpu_fault refused[] = {
		{ 0, 1, 1, 1.0, 0 },		/* nth counts from 1 */
		{ 1, 0, 1, 1.0, 0 },		/* interval too */
		{ 1, 1, 0, 1.0, 0 },		/* NULL is for no failures */
		{ 1, 1, -2, 1.0, 0 },
		{ 1, 1, 1, 0.0, 0 },
		{ 1, 1, 1, -0.5, 0 },
		{ 1, 1, 1, 1.001, 0 },
		{ 1, 1, 1, (double)NAN, 0 },
		{ 1, 1, 1, (double)INFINITY, 0 },
	};

	plan(2, 1, 1);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		CHECK(fake_fault_arm(&faults, PCPU_KMALLOC, &refused[i]) ==
		      -PCPU_E_CONFIG);
	CHECK(!strcmp(calls(4), ".X.."));
}

TEST(five_services_can_fail_the_others_are_refused)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };
	int sites = 0;

	memset(&faults, 0, sizeof(faults));
	for (int site = -1; site <= PCPU_NR_SERVICES; site++) {
		int err = fake_fault_arm(&faults, site, &fault);

		CHECK(!err || err == -PCPU_E_SITE);
		CHECK(err == fake_fault_arm(&faults, site, NULL));
		sites += !err;
	}
	CHECK(sites == 5);
	CHECK(!fake_fault_arm(&faults, PCPU_KMALLOC, &fault));
	CHECK(!fake_fault_arm(&faults, PCPU_VMALLOC, &fault));
	CHECK(!fake_fault_arm(&faults, PCPU_GET_VM_AREA, &fault));
	CHECK(!fake_fault_arm(&faults, PCPU_ALLOC_PAGE, &fault));
	CHECK(!fake_fault_arm(&faults, PCPU_MAP, &fault));
}

/* call each service that can fail; return one bit for each that fails */
static unsigned int failed_services(struct fake_kernel *kernel)
{
	struct fake_vm_area *area = fake_get_vm_area(kernel, 4096);
	void *small = fake_kmalloc(kernel, 8);
	void *zeroed = fake_kzalloc(kernel, 8);
	void *large = fake_vmalloc(kernel, 8);
	unsigned int failed = 0;

	failed |= (unsigned int)!area << PCPU_GET_VM_AREA;
	failed |= (unsigned int)(!small && !zeroed) << PCPU_KMALLOC;
	failed |= (unsigned int)!large << PCPU_VMALLOC;
	failed |= (unsigned int)!fake_alloc_page(kernel, 0) << PCPU_ALLOC_PAGE;
	failed |= (unsigned int)!!fake_map_kernel_range(kernel, 4096, 4096, 0)
		  << PCPU_MAP;
	if (area)
		fake_free_vm_area(kernel, area);
	if (large)
		fake_vfree(kernel, large);
	fake_kfree(kernel, small);
	fake_kfree(kernel, zeroed);
	return failed;
}

TEST(only_the_named_service_fails)
{
	static const int sites[] = { PCPU_KMALLOC, PCPU_VMALLOC,
		PCPU_GET_VM_AREA, PCPU_ALLOC_PAGE, PCPU_MAP };
	struct pcpu_fault fault = { 1, 1, -1, 1.0, 0 };
	const struct fake_space space = { .page_size = 4096, .base = 4096,
		.area_size = 4096 };
	struct fake_kernel kernel;

	memset(&kernel, 0, sizeof(kernel));
	CHECK(fake_pages_init(&kernel, 1, 1, 0));
	CHECK(!fake_vmalloc_init(&kernel, &space));
	CHECK(failed_services(&kernel) == 0);
	for (size_t i = 0; i < sizeof(sites) / sizeof(sites[0]); i++) {
		CHECK(!fake_fault_arm(&kernel.faults, sites[i], &fault));
		CHECK(failed_services(&kernel) == 1u << sites[i]);
		CHECK(!fake_fault_arm(&kernel.faults, sites[i], NULL));
	}
	fake_pages_exit(&kernel);
}
