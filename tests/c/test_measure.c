// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_measure.c - the benchmark's loop, contenders and latency buckets.
 */
#define _GNU_SOURCE 1	/* clock_gettime */
#include <stdalign.h>
#include <string.h>
#include <time.h>

#include "bench/measure.h"
#include "kernel/clock.h"
#include "kernel/kernel.h"
#include "small.h"

#define HANDLES	4
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* a contender that records its calls as text: "a8/4=100 f100 ..." */
struct scribe {
	char text[TEXT];	/* the calls so far */
	int64_t next;		/* the pointer that it returns next */
};

static int64_t scribe_alloc(struct pcpu *handle, int64_t size, int64_t align)
{
	struct scribe *scribe = (struct scribe *)(void *)handle;
	char *end = scribe->text + strlen(scribe->text);

	sprintf(end, "a%d/%d=%d ", (int)size, (int)align, (int)scribe->next);
	return scribe->next > 0 ? scribe->next++ : scribe->next;
}

static int scribe_free(struct pcpu *handle, int64_t ptr)
{
	struct scribe *scribe = (struct scribe *)(void *)handle;

	sprintf(scribe->text + strlen(scribe->text), "f%d ", (int)ptr);
	return ptr == 13 ? -PCPU_E_PINNED : 0;
}

static const struct pcpu_kind kinds[] = { { 8, 4, 0 }, { 64, 32, 0 } };
static int64_t ptrs[HANDLES];
static struct scribe scribe;

static struct pcpu_bench start(int64_t next)
{
	struct pcpu_bench bench = {
		.contender = { scribe_alloc, scribe_free,
			       (struct pcpu *)(void *)&scribe },
		.kinds = kinds,
		.ptrs = ptrs,
	};

	memset(ptrs, 0, sizeof(ptrs));
	scribe = (struct scribe){ .next = next };
	return bench;
}

TEST(operations_run_in_order)
{
	const struct pcpu_op ops[] = {
		{ 0, 0, 0 }, { 0, 1, 1 }, { 0, 0, PCPU_OP_FREE },
	};
	struct pcpu_bench bench = start(10);

	CHECK(pcpu_bench_run(&bench, ops, COUNT(ops)) > 0);
	CHECK(!strcmp(scribe.text, "a8/4=10 a64/32=11 f10 "));
	CHECK(ptrs[0] == 0 && ptrs[1] == 11);
	CHECK(bench.failures == 0);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

TEST(the_clock_is_that_of_the_host_in_nanoseconds)
{
	uint64_t before = now_ns(), ns = ktime_get_ns();

	CHECK(before <= ns && ns <= now_ns());
}

TEST(the_time_is_that_of_the_loop)
{
	const struct pcpu_op ops[] = { { 0, 0, 0 } };
	struct pcpu_bench bench = start(10);
	uint64_t begin = now_ns(), ns = pcpu_bench_run(&bench, ops, COUNT(ops));

	CHECK(ns > 0 && ns <= now_ns() - begin);
}

TEST(a_live_handle_is_freed_first)
{
	const struct pcpu_op ops[] = { { 0, 2, 0 }, { 0, 2, 1 } };
	struct pcpu_bench bench = start(10);

	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(!strcmp(scribe.text, "a8/4=10 f10 a64/32=11 "));
}

TEST(frees_of_empty_handles_and_orphan_frees_are_skipped)
{
	const struct pcpu_op ops[] = {
		{ 0, 3, PCPU_OP_FREE }, { 0, PCPU_OP_ORPHAN, PCPU_OP_FREE },
	};
	struct pcpu_bench bench = start(10);

	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(!strcmp(scribe.text, ""));
}

TEST(failures_are_counted_and_leave_the_handle_empty)
{
	const struct pcpu_op ops[] = { { 0, 0, 0 }, { 0, 0, PCPU_OP_FREE } };
	struct pcpu_bench bench = start(0);

	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(bench.failures == 1);
	bench = start(-PCPU_E_SIZE);
	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(!strcmp(scribe.text, "a8/4=-1 "));
	CHECK(bench.failures == 1);
	bench = start(13);
	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(!strcmp(scribe.text, "a8/4=13 f13 "));
	CHECK(bench.failures == 1);
	CHECK(ptrs[0] == 0);
}

TEST(any_positive_pointer_is_a_success)
{
	const struct pcpu_op ops[] = { { 0, 0, 0 } };
	struct pcpu_bench bench = start(1);

	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(bench.failures == 0 && ptrs[0] == 1);
}

TEST(the_port_runs_without_an_adapter)
{
	const struct pcpu_op ops[] = { { 0, 0, 0 }, { 0, 1, 1 } };
	struct pcpu *pcpu = small(2);
	struct pcpu_bench bench = start(0);

	bench.contender = (struct pcpu_contender){ pcpu_alloc, pcpu_free, pcpu };
	pcpu_bench_run(&bench, ops, COUNT(ops));
	CHECK(ptrs[0] == BASE + STATIC);
	CHECK_MAP(pcpu, 0, "-128 -8 24 -64 800 (free 824 hint 800)");
	pcpu_destroy(pcpu);
}

TEST(the_malloc_contender_aligns_more_than_malloc_does)
{
	struct pcpu_contender libc = pcpu_contender_malloc();

	for (int64_t align = 1; align <= 4096; align *= 2) {
		for (int64_t size = 1; size < 6000; size += 2 * size + 6) {
			int64_t ptr = libc.alloc(NULL, size + align, align);

			CHECK(ptr > 0 && ptr % align == 0);
			memset((void *)(uintptr_t)ptr, 1,
			       (size_t)(size + align));
			CHECK(libc.free(NULL, ptr) == 0);
		}
		libc.free(NULL, libc.alloc(NULL, 1, align));
	}
	CHECK(alignof(max_align_t) < 4096);
}

TEST(the_empty_contender_always_succeeds)
{
	struct pcpu_contender empty = pcpu_contender_empty();

	CHECK(empty.alloc(NULL, 8, 8) == 12288);
	CHECK(empty.free(NULL, 8) == 0);
}

/* each bucket starts where the previous one ends; its width is 1/16 or less */
TEST(buckets_are_narrow_and_contiguous)
{
	for (uint64_t ns = 0; ns < 32; ns++)
		CHECK(pcpu_latency_bucket(ns) == ns);
	for (int octave = 5; octave < 64; octave++) {
		uint64_t width = (uint64_t)1 << (octave - 4);

		for (uint64_t i = 16; i < 32; i++) {
			uint64_t first = i * width, last = first + width - 1;

			CHECK(pcpu_latency_bucket(first) ==
			      pcpu_latency_bucket(first - 1) + 1);
			CHECK(pcpu_latency_bucket(first) ==
			      pcpu_latency_bucket(last));
		}
	}
	CHECK(pcpu_latency_bucket(UINT64_MAX) == PCPU_LATENCY_BUCKETS - 1);
}

static uint64_t allocs[PCPU_LATENCY_BUCKETS], frees[PCPU_LATENCY_BUCKETS];

static uint64_t sum(const uint64_t *counts)
{
	uint64_t total = 0;

	for (unsigned int i = 0; i < PCPU_LATENCY_BUCKETS; i++)
		total += counts[i];
	return total;
}

TEST(a_timed_contender_forwards_and_counts_each_call)
{
	const struct pcpu_op ops[] = {
		{ 0, 0, 0 }, { 0, 1, 0 }, { 0, 0, PCPU_OP_FREE }, { 0, 2, 1 },
		{ 0, 2, PCPU_OP_FREE },
	};
	struct pcpu_bench bench = start(12);
	struct pcpu_latency latency = { bench.contender, allocs, frees };
	unsigned int longest;

	bench.contender = pcpu_contender_timed(&latency);
	longest = pcpu_latency_bucket(pcpu_bench_run(&bench, ops, COUNT(ops)));
	CHECK(!strcmp(scribe.text, "a8/4=12 a8/4=13 f12 a64/32=14 f14 "));
	CHECK(sum(allocs) == 3);
	CHECK(sum(frees) == 2);
	for (unsigned int i = longest + 1; i < PCPU_LATENCY_BUCKETS; i++)
		CHECK(!allocs[i] && !frees[i]);
	CHECK(bench.failures == 0);
	CHECK(bench.contender.free(bench.contender.pcpu, 13) == -PCPU_E_PINNED);
}
