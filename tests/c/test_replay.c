// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_replay.c - pcpu_replay(): runs operations and computes figures.
 */
#define _GNU_SOURCE 1	/* clock_gettime */
#include <time.h>

#include "small.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define HANDLES		8

static const struct pcpu_kind kinds[] = {
	{ 8, 8, 0 }, { 100, 4, 0 }, { UNIT, 8, 0 }, { 0, 8, 0 },
	{ 8, 8, PCPU_ATOMIC }, { 8, 8, PCPU_ATOMIC | PCPU_RESERVED },
	{ 8, 8, UINT32_MAX },
};

/* indices of kinds */
enum { EIGHT, HUNDRED, WHOLE, BAD, ATOMIC, RESERVED, ALL_FLAGS };

static struct pcpu_replay_handle handles[HANDLES];
static int64_t pointers[16];
static struct pcpu_replay replay;

static void start(const struct pcpu_op *ops)
{
	memset(handles, 0, sizeof(handles));
	memset(pointers, 0x55, sizeof(pointers));
	replay = (struct pcpu_replay){
		.ops = ops,
		.kinds = kinds,
		.nr_kinds = COUNT(kinds),
		.handles = handles,
		.nr_handles = HANDLES,
		.pointers = pointers,
	};
}

static void ignore_text(void *arg, int about, const char *text)
{
	(void)about;
	(void)arg;
	(void)text;
}

TEST(operations_run_in_order_and_store_their_pointers)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0xb, 1, HUNDRED },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xc, 0, EIGHT },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == BASE + STATIC);
	CHECK(pointers[1] == BASE + STATIC + 8);
	CHECK(pointers[2] == pointers[0]);
	CHECK(pointers[3] == pointers[0]);
	CHECK(replay.failures == 0);
	CHECK(handles[0].ptr == pointers[0] && handles[0].size == 8);
	CHECK(handles[1].ptr == pointers[1] && handles[1].size == 100);
	CHECK_MAP(pcpu, 0, "-128 -8 -100 788 (free 788 hint 788)");
	pcpu_destroy(pcpu);
}

TEST(figures_are_noted_after_each_operation)
{
	/* the second area fills a chunk of its own, which goes with it */
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0xb, 1, WHOLE },
		{ 0xc, 2, BAD },
		{ 0xb, 1, PCPU_OP_FREE },
	};
	int64_t pages[COUNT(ops)], chunks[COUNT(ops)], hidden[COUNT(ops)];
	const struct pcpu_replay_curves curves = { pages, chunks, hidden };
	struct pcpu *pcpu = small(2);
	struct pcpu_info info;
	size_t i;

	start(ops);
	replay.curves = &curves;
	for (i = 0; i < COUNT(ops); i++) {
		CHECK(!pcpu_replay(pcpu, &replay, i, i + 1));
		CHECK(!pcpu_info(pcpu, &info));
		CHECK(pages[i] == info.pages && chunks[i] == info.chunks);
		CHECK(hidden[i] == info.hidden_bytes);
	}
	CHECK(chunks[0] == 1 && chunks[1] == 2 && chunks[2] == 2);
	CHECK(pages[1] > pages[0] && pages[2] == pages[1]);
	pcpu_destroy(pcpu);
}

TEST(a_replay_may_run_without_storing_pointers)
{
	const struct pcpu_op ops[] = { { 0xa, 0, EIGHT } };
	struct pcpu *pcpu = small(2);

	start(ops);
	replay.pointers = NULL;
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
	CHECK(handles[0].ptr == BASE + STATIC);
	pcpu_destroy(pcpu);
}

/* this policy has no background work; the handle has no meaning */
TEST(background_work_does_nothing)
{
	const struct pcpu_op ops[] = {
		{ 0, 0, PCPU_OP_BALANCE },
		{ 0xa, 0, EIGHT },
		{ 0, UINT32_MAX, PCPU_OP_BALANCE },
		{ 0xa, 0, PCPU_OP_BALANCE },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay_check(&replay, COUNT(ops)));
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == 0 && pointers[2] == 0 && pointers[3] == 0);
	CHECK(handles[0].ptr == pointers[1]);
	CHECK(replay.failures == 0 && replay.live_bytes == 8);
	CHECK_MAP(pcpu, 0, "-128 -8 888 (free 888 hint 888)");
	pcpu_destroy(pcpu);
}

/* this policy has no reserved chunk, and treats all callers alike */
TEST(flags_of_requests_are_ignored)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT }, { 0xb, 1, ATOMIC }, { 0xc, 2, RESERVED },
		{ 0xd, 3, ALL_FLAGS }, { 0xb, 1, PCPU_OP_FREE },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay_check(&replay, COUNT(ops)));
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[1] == pointers[0] + 8 && pointers[2] == pointers[1] + 8);
	CHECK(replay.failures == 0 && replay.live_bytes == 24);
	CHECK(replay.ignored_flags == 3);
	CHECK_MAP(pcpu, 0, "-128 -8 8 -8 -8 864 (free 872 hint 864)");
	pcpu_destroy(pcpu);
}

/* frees of areas that are older than the recording, and of empty handles */
TEST(orphan_frees_and_frees_of_empty_handles_are_skipped)
{
	const struct pcpu_op ops[] = {
		{ 0xa, PCPU_OP_ORPHAN, PCPU_OP_FREE },
		{ 0xb, 3, PCPU_OP_FREE },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == 0 && pointers[1] == 0);
	CHECK(replay.failures == 0);
	pcpu_destroy(pcpu);
}

TEST(a_live_handle_is_freed_first)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0xa, 0, HUNDRED },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[1] == BASE + STATIC);
	CHECK(replay.live_bytes == 100);
	CHECK_MAP(pcpu, 0, "-128 -100 796 (free 796 hint 796)");
	pcpu_destroy(pcpu);
}

TEST(a_failed_operation_is_counted_and_the_replay_continues)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, BAD },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xb, 1, WHOLE },
		{ 0xc, 2, EIGHT },
	};
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.log = ignore_text;
	pcpu = create(&config);
	fail_at(pcpu, PCPU_GET_VM_AREA, 1);
	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == -PCPU_E_SIZE);
	CHECK(pointers[1] == 0);
	CHECK(pointers[2] == NOMEM(GET_VM_AREA));
	CHECK(pointers[3] == BASE + STATIC);
	CHECK(replay.failures == 2);
	CHECK(replay.live_bytes == 8);
	CHECK(handles[0].ptr == 0 && handles[1].ptr == 0);
	pcpu_destroy(pcpu);
}

/* the old area is freed before the allocation that fails */
TEST(a_handle_is_empty_after_a_failed_allocation)
{
	const struct pcpu_op ops[] = { { 0xa, 0, EIGHT }, { 0xa, 0, WHOLE } };
	struct pcpu *pcpu = small(2);

	start(ops);
	fail_at(pcpu, PCPU_GET_VM_AREA, 1);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 2));
	CHECK(handles[0].ptr == 0 && handles[0].size == 0);
	CHECK(replay.live_bytes == 0);
	CHECK(replay.peak_live_bytes == 8);
	pcpu_destroy(pcpu);
}

TEST(a_pinned_area_keeps_its_handle)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xa, 0, HUNDRED },
	};
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	struct pcpu_pin pin = { 0 };

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
	CHECK(!pcpu_pin(pcpu, pointers[0], 0, &pin));
	CHECK(!pcpu_replay(pcpu, &replay, 1, 3));
	CHECK(pointers[1] == -PCPU_E_PINNED);
	CHECK(pointers[2] == -PCPU_E_PINNED);
	CHECK(replay.failures == 2);
	CHECK(replay.live_bytes == 8);
	CHECK(handles[0].ptr == pointers[0]);
	pcpu_unpin(&pin);
	pcpu_destroy(pcpu);
}

/*
 *	operation	a	b	-a	c	-c	-b
 *	live bytes	8	108	100	1124	100	0
 *	pages of unit 0	3	4	4	4	4	4
 *	of chunk 1				16	16	16
 */
TEST(figures_follow_live_bytes_and_pages)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0xb, 1, HUNDRED },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xc, 2, WHOLE },
		{ 0xc, 2, PCPU_OP_FREE },
		{ 0xb, 1, PCPU_OP_FREE },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
	CHECK(replay.peak_pages == 3 * 2);
	CHECK(replay.peak_chunks == 1);
	CHECK(!pcpu_replay(pcpu, &replay, 1, 3));
	CHECK(replay.live_bytes == 100);
	CHECK(replay.peak_live_bytes == 108);
	CHECK(replay.pages_at_peak == 4 * 2);
	CHECK(!pcpu_replay(pcpu, &replay, 3, COUNT(ops)));
	CHECK(replay.live_bytes == 0);
	CHECK(replay.peak_live_bytes == 1124);
	CHECK(replay.pages_at_peak == 20 * 2);
	CHECK(replay.peak_pages == 20 * 2);
	CHECK(replay.peak_chunks == 2);
	pcpu_destroy(pcpu);
}

/* the peak of pages may come later: freed areas leave their pages populated */
TEST(peaks_of_pages_and_of_bytes_are_independent)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, HUNDRED },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xb, 0, EIGHT },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
	pcpu_alloc(pcpu, 300, 8);
	CHECK(!pcpu_replay(pcpu, &replay, 1, 3));
	CHECK(replay.pages_at_peak == 4 * 2);
	CHECK(replay.peak_pages == 9 * 2);
	pcpu_destroy(pcpu);
}

/* the bytes of the peak are live again when 9 pages are populated */
TEST(pages_at_the_peak_are_those_of_the_first_time)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, HUNDRED },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xb, 0, HUNDRED },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 2));
	CHECK(replay.pages_at_peak == 4 * 2);
	pcpu_alloc(pcpu, 300, 8);
	CHECK(!pcpu_replay(pcpu, &replay, 2, 3));
	CHECK(replay.live_bytes == replay.peak_live_bytes);
	CHECK(replay.pages_at_peak == 4 * 2);
	CHECK(replay.peak_pages == info_of(pcpu).pages);
	pcpu_destroy(pcpu);
}

/*
 * The first chunk, two pages of 64 bytes, is full.  Areas of its second page are
 * freed: the chunk's hint stays 0 until the page is empty.
 *
 *	|aaaaaaaa|01234567|	|aaaaaaaa|0......7|	|aaaaaaaa|........|
 */
TEST(most_hidden_bytes_are_those_before_the_last_free)
{
	struct pcpu_config config = small_config(1);
	struct pcpu_op ops[16];
	struct pcpu *pcpu;
	int i;

	config.policy = PCPU_POLICY_BITMAP;
	config.unit_size = UNIT;
	config.dyn_size = 128;
	pcpu = create(&config);
	CHECK(pcpu_alloc(pcpu, 64, 4) > 0);
	for (i = 0; i < 8; i++) {
		ops[i] = (struct pcpu_op){ 0xa, (uint32_t)i, EIGHT };
		ops[8 + i] = (struct pcpu_op){ 0xa, (uint32_t)i, PCPU_OP_FREE };
	}
	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 9));
	CHECK(replay.failures == 0 && replay.peak_hidden == 8);
	CHECK(!pcpu_replay(pcpu, &replay, 9, 16));
	CHECK(replay.peak_hidden == 7 * 8 && info_of(pcpu).hidden_bytes == 0);
	pcpu_destroy(pcpu);
}

/* the chunk is created, then no page for it can be allocated */
TEST(a_chunk_that_a_failed_allocation_created_counts_for_the_peak)
{
	const struct pcpu_op ops[] = { { 0xa, 0, WHOLE } };
	struct pcpu *pcpu = small(2);

	start(ops);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
	CHECK(replay.failures == 1 && pointers[0] == NOMEM(ALLOC_PAGE));
	CHECK(replay.peak_chunks == 2);
	pcpu_destroy(pcpu);
}

TEST(a_replay_in_pieces_equals_one_in_full)
{
	struct pcpu *full = small(2), *pieces = small(2);
	struct pcpu_op ops[200];
	struct pcpu_replay at_once;
	char map[TEXT];

	for (int i = 0; i < 200; i++)
		ops[i] = (struct pcpu_op){ 0, pick(HANDLES),
			pick(3) ? pick(3) : PCPU_OP_FREE };
	start(ops);
	replay.pointers = NULL;
	CHECK(!pcpu_replay(full, &replay, 0, 200));
	at_once = replay;
	start(ops);
	replay.pointers = NULL;
	for (size_t i = 0; i < 200; i += 8)
		CHECK(!pcpu_replay(pieces, &replay, i, i + 8));
	CHECK(replay.live_bytes == at_once.live_bytes);
	CHECK(replay.peak_live_bytes == at_once.peak_live_bytes);
	CHECK(replay.pages_at_peak == at_once.pages_at_peak);
	CHECK(replay.peak_pages == at_once.peak_pages);
	CHECK(replay.peak_chunks == at_once.peak_chunks);
	strcpy(map, map_of(full, 0));
	CHECK_MAP(pieces, 0, map);
	strcpy(map, slots_of(full));
	CHECK_SLOTS(pieces, map);
	pcpu_destroy(full);
	pcpu_destroy(pieces);
}

TEST(a_null_array_with_a_length_is_refused)
{
	static const struct pcpu_op ops[] = { { 0xa, 0, EIGHT } };
	struct pcpu *pcpu = small(2);

	/* all lengths are 0 */
	replay = (struct pcpu_replay){ 0 };
	CHECK(!pcpu_replay_check(&replay, 0));
	CHECK(!pcpu_replay(pcpu, &replay, 0, 0));

	start(NULL);
	CHECK(pcpu_replay_check(&replay, 1) == -PCPU_E_NULL);
	CHECK(pcpu_replay(pcpu, &replay, 0, 1) == -PCPU_E_NULL);
	CHECK(!pcpu_replay_check(&replay, 0));
	CHECK(!pcpu_replay(pcpu, &replay, 1, 1));

	start(ops);
	replay.kinds = NULL;
	CHECK(pcpu_replay_check(&replay, 1) == -PCPU_E_NULL);
	CHECK(pcpu_replay(pcpu, &replay, 0, 1) == -PCPU_E_NULL);

	start(ops);
	replay.nr_faults = 1;
	CHECK(pcpu_replay_check(&replay, 1) == -PCPU_E_NULL);
	CHECK(pcpu_replay(pcpu, &replay, 0, 1) == -PCPU_E_NULL);

	/* a check needs no handles */
	start(ops);
	replay.handles = NULL;
	CHECK(!pcpu_replay_check(&replay, 1));
	CHECK(pcpu_replay(pcpu, &replay, 0, 1) == -PCPU_E_NULL);
	CHECK(info_of(pcpu).pages == 4);	/* only the static area's */
	pcpu_destroy(pcpu);
}

TEST(an_invalid_operation_is_refused_before_any_runs)
{
	const struct pcpu_op bad[] = {
		{ 0xa, HANDLES, EIGHT },		/* no such handle */
		{ 0xa, HANDLES, PCPU_OP_FREE },
		{ 0xa, PCPU_OP_ORPHAN, EIGHT },	/* a handle is needed */
		{ 0xa, 0, COUNT(kinds) },	/* no such kind */
		{ 0xa, 0, PCPU_OP_FAULT },	/* no such fault */
		{ 0xa, 0, PCPU_OP_FIRST - 1 },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		const struct pcpu_op ops[] = { { 0xb, 1, EIGHT }, bad[i] };
		struct pcpu *pcpu = small(2);

		start(ops);
		CHECK(pcpu_replay_check(&replay, 2) == -PCPU_E_TRACE);
		CHECK(!pcpu_replay_check(&replay, 1));
		/* outside the requested range it is not an error */
		CHECK(!pcpu_replay(pcpu, &replay, 0, 1));
		CHECK(handles[1].ptr == BASE + STATIC);
		CHECK(pcpu_replay(pcpu, &replay, 1, 2) == -PCPU_E_TRACE);
		CHECK_MAP(pcpu, 0, "-128 -8 888 (free 888 hint 888)");
		pcpu_destroy(pcpu);
	}
}

/*
 * The operations change after the check: here the replay itself stores its
 * first pointer in the second operation.
 *
 *	ops[0]			ops[1]
 *	| key  | handle | kind |	| key  | handle | kind |
 *					<- pointers[0] ->
 */
TEST(an_operation_that_changes_during_the_replay_is_not_run)
{
	struct pcpu_op ops[] = { { 0xa, 0, EIGHT }, { 0xb, 1, EIGHT } };
	struct pcpu *pcpu = small(2);

	start(ops);
	replay.pointers = (int64_t *)(void *)&ops[1].handle;
	CHECK(pcpu_replay(pcpu, &replay, 0, 2) == -PCPU_E_TRACE);
	CHECK(handles[0].ptr == BASE + STATIC);
	CHECK_MAP(pcpu, 0, "-128 -8 888 (free 888 hint 888)");
	pcpu_destroy(pcpu);
}

TEST(the_pages_at_the_peak_are_those_of_the_first_time)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, HUNDRED },
		{ 0xa, 0, PCPU_OP_FREE },
		{ 0xb, 0, HUNDRED },
	};
	struct pcpu *pcpu = small(2);

	start(ops);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 2));
	pcpu_alloc(pcpu, 300, 8);
	CHECK(!pcpu_replay(pcpu, &replay, 2, 3));
	CHECK(replay.pages_at_peak == 4 * 2);
	pcpu_destroy(pcpu);
}

TEST(the_first_operation_is_checked_too)
{
	const struct pcpu_op ops[] = { { 0xa, HANDLES, EIGHT } };

	start(ops);
	CHECK(pcpu_replay_check(&replay, 1) == -PCPU_E_TRACE);
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

TEST(elapsed_time_is_summed)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_op ops[1000];
	uint64_t before, begin;

	for (uint32_t i = 0; i < 1000; i++)
		ops[i] = (struct pcpu_op){ 0, i % HANDLES, HUNDRED };
	start(ops);
	replay.pointers = NULL;
	begin = now_ns();
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1000));
	before = replay.elapsed_ns;
	CHECK(before > 0 && before <= now_ns() - begin);
	CHECK(!pcpu_replay(pcpu, &replay, 0, 1000));
	CHECK(replay.elapsed_ns > before);
	pcpu_destroy(pcpu);
}

/* a trace may contain operations that set and clear faults */
TEST(faults_are_set_and_cleared_by_operations)
{
	static const struct pcpu_replay_fault faults[] = {
		{ .site = PCPU_ALLOC_PAGE,
		  .fault = { .nth = 1, .interval = 1, .times = -1,
			     .probability = 1.0 } },
		{ .site = PCPU_ALLOC_PAGE, .clear = 1 },
	};
	const struct pcpu_op ops[] = {
		{ 0xa, 0, EIGHT },
		{ 0, 0, PCPU_OP_FAULT },
		{ 0xb, 1, HUNDRED },
		{ 0, 1, PCPU_OP_FAULT },
		{ 0xb, 1, HUNDRED },
	};
	struct pcpu *pcpu = small(1);

	start(ops);
	replay.faults = faults;
	replay.nr_faults = COUNT(faults);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == BASE + STATIC);
	CHECK(pointers[1] == 0 && pointers[3] == 0);
	CHECK(pointers[2] == NOMEM(ALLOC_PAGE));
	CHECK(pointers[4] == BASE + STATIC + 8);
	CHECK(replay.failures == 1);
	pcpu_destroy(pcpu);
}

TEST(an_invalid_fault_is_counted_and_the_replay_continues)
{
	static const struct pcpu_replay_fault faults[] = {
		{ .site = PCPU_KFREE, .clear = 1 },
		{ .site = PCPU_MAP, .fault = { .nth = 0 } },
	};
	const struct pcpu_op ops[] = {
		{ 0, 0, PCPU_OP_FAULT },
		{ 0, 1, PCPU_OP_FAULT },
		{ 0xa, 0, EIGHT },
	};
	struct pcpu *pcpu = small(1);

	start(ops);
	replay.faults = faults;
	replay.nr_faults = COUNT(faults);
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == -PCPU_E_SITE);
	CHECK(pointers[1] == -PCPU_E_CONFIG);
	CHECK(pointers[2] == BASE + STATIC);
	CHECK(replay.failures == 2);
	pcpu_destroy(pcpu);
}
