// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lives.c - the lives of areas in a trace, and what is counted of them.
 *
 * The trace of most tests; kinds 0, 1 and 2 have 8, 16 and 4 bytes:
 *
 *	operation    0   1   2   3   4   5   6   7
 *	handle 0     o-------x               o....	life 0 (8), life 3 (4)
 *	handle 1         o-----------:-------x		life 1 (16), life 2 (8)
 *	no area                  f       b
 *	live bytes   8  24  16  16   8   8  12   4
 *
 * x is a free; at the colon the pointer is allocated again, without a free;
 * f sets a fault, b is background work.
 */
#include <stdlib.h>
#include <string.h>

#include "analysis/lives.h"
#include "harness.h"
#include "host_faults.h"
#include "pick.h"

#define ROOM	8
#define NR(a)	(sizeof(a) / sizeof((a)[0]))

static const int64_t sizes[] = { 8, 16, 4 };
static const struct pcpu_op story[] = {
	{ 1, 0, 0 },
	{ 2, 1, 1 },
	{ 1, 0, PCPU_OP_FREE },
	{ 0, 0, PCPU_OP_FAULT },
	{ 2, 1, 0 },
	{ 0, 0, PCPU_OP_BALANCE },
	{ 3, 0, 2 },
	{ 2, 1, PCPU_OP_FREE },
};

static uint64_t born[ROOM], died[ROOM], spans[ROOM], current[2];
static uint32_t kinds[ROOM];
static uint8_t fates[ROOM], uncertain[ROOM];
static struct pcpu_lives lives;

static int find(const struct pcpu_op *ops, size_t n)
{
	lives = (struct pcpu_lives){
		.born = born, .died = died, .spans = spans, .kinds = kinds,
		.fates = fates, .uncertain = uncertain, .n = ROOM,
	};
	return pcpu_lives_find(&lives, ops, n, sizes, NR(sizes), current, 2);
}

static void time_story(const uint64_t *times, const uint64_t *gaps, size_t n)
{
	struct pcpu_clock clock = { times, gaps, n };

	CHECK(find(story, NR(story)) == 0);
	pcpu_lives_time(&lives, &clock);
}

TEST(each_allocation_begins_a_life)
{
	const uint64_t from[] = { 0, 1, 4, 6 }, to[] = { 2, 4, 7, 8 };
	const uint32_t requests[] = { 0, 1, 0, 2 };
	const uint8_t ends[] = {
		PCPU_FREED, PCPU_REALLOCATED, PCPU_FREED, PCPU_KEPT
	};

	CHECK(find(story, NR(story)) == 0);
	CHECK(lives.n == 4);
	CHECK(!memcmp(born, from, sizeof(from)));
	CHECK(!memcmp(died, to, sizeof(to)));
	CHECK(!memcmp(kinds, requests, sizeof(requests)));
	CHECK(!memcmp(fates, ends, sizeof(ends)));
}

TEST(the_peak_has_most_live_bytes)
{
	CHECK(find(story, NR(story)) == 0);
	CHECK(lives.peak == 1);
	CHECK(lives.peak_bytes[0] == 24 && lives.peak_bytes[1] == 0);
}

TEST(the_first_of_equal_peaks_counts)
{
	const struct pcpu_op ops[] = {
		{ 1, 0, 0 }, { 1, 0, PCPU_OP_FREE }, { 1, 0, 0 },
	};

	CHECK(find(ops, 3) == 0);
	CHECK(lives.peak == 0);
}

TEST(a_trace_without_allocations_has_no_peak)
{
	CHECK(find(NULL, 0) == 0);
	CHECK(lives.n == 0 && lives.peak == -1 && lives.peak_bytes[0] == 0);
}

TEST(each_byte_counts)
{
	const int64_t one[] = { 1 };

	find(story, 0);
	lives.n = ROOM;
	CHECK(!pcpu_lives_find(&lives, story, 1, one, 1, current, 2));
	CHECK(lives.peak_bytes[0] == 1);
}

TEST(an_area_without_bytes_can_be_the_peak)
{
	const int64_t none[] = { -8 };

	find(story, 0);
	lives.n = ROOM;
	CHECK(!pcpu_lives_find(&lives, story, 1, none, 1, current, 2));
	CHECK(lives.peak == 0 && lives.peak_bytes[0] == 0);
}

/* the sum of three is 3 * 2^63 - 3 = 2^64 + 2^63 - 3 */
TEST(live_bytes_may_have_more_than_64_bits)
{
	const int64_t huge[] = { INT64_MAX };
	const struct pcpu_op ops[] = { { 1, 0, 0 }, { 2, 1, 0 }, { 3, 2, 0 } };
	uint64_t handles[3];

	find(story, 0);
	lives.n = ROOM;
	CHECK(!pcpu_lives_find(&lives, ops, 3, huge, 1, handles, 3));
	CHECK(lives.peak == 2 && lives.peak_bytes[1] == 1);
	CHECK(lives.peak_bytes[0] == (UINT64_C(1) << 63) - 3);
}

TEST(a_free_of_no_area_ends_no_life)
{
	const struct pcpu_op ops[] = {
		{ 1, 0, 0 },
		{ 9, PCPU_OP_ORPHAN, PCPU_OP_FREE },
		{ 2, 1, PCPU_OP_FREE },
	};

	CHECK(find(ops, 3) == 0);
	CHECK(lives.n == 1 && fates[0] == PCPU_KEPT && died[0] == 3);
}

TEST(a_handle_that_is_not_there_is_refused)
{
	const struct pcpu_op alloc = { 1, 2, 0 }, frees = { 1, 2, PCPU_OP_FREE };

	CHECK(find(&alloc, 1) == -1);
	CHECK(find(&frees, 1) == -1);
}

TEST(a_kind_that_is_not_there_is_refused)
{
	const struct pcpu_op op = { 1, 0, NR(sizes) };

	CHECK(find(&op, 1) == -1);
}

TEST(more_lives_than_room_are_refused)
{
	find(story, 0);
	lives.n = 3;
	CHECK(pcpu_lives_find(&lives, story, NR(story), sizes, NR(sizes),
			      current, 2) == -1);
	CHECK(lives.n == 3);
}

TEST(without_times_a_lifetime_is_in_operations)
{
	time_story(NULL, NULL, 0);
	CHECK(spans[0] == 2 && spans[2] == 3);
	CHECK(spans[1] == PCPU_NO_SPAN && spans[3] == PCPU_NO_SPAN);
}

TEST(nothing_is_written_after_the_last_life)
{
	spans[4] = 77;
	uncertain[4] = 78;
	time_story(NULL, NULL, 0);
	CHECK(lives.n == 4);
	CHECK(spans[4] == 77 && uncertain[4] == 78);
}

TEST(with_times_a_lifetime_is_in_nanoseconds)
{
	const uint64_t times[] = { 10, 11, 25, 26, 27, 28, 29, 27 };

	time_story(times, NULL, 0);
	CHECK(spans[0] == 15 && spans[2] == 0);
}

TEST(a_free_timed_before_its_allocation_gives_no_lifetime)
{
	const uint64_t times[] = { 10, 11, 9, 26, 27, 28, 29, 30 };

	time_story(times, NULL, 0);
	CHECK(spans[0] == PCPU_NO_SPAN && spans[2] == 3);
	CHECK(!uncertain[0]);
}

TEST(an_unknown_time_gives_no_lifetime)
{
	const uint64_t times[] = {
		UINT64_MAX, 1, 2, 3, 4, 5, 6, UINT64_MAX
	};

	time_story(times, NULL, 0);
	CHECK(spans[0] == PCPU_NO_SPAN && spans[2] == PCPU_NO_SPAN);
}

/* life 0 is from 0 to 2: a gap before 0 is too early, one before 3 too late */
TEST(lost_events_within_a_life_make_it_uncertain)
{
	for (uint64_t gap = 0; gap <= 8; gap++) {
		time_story(NULL, &gap, 1);
		CHECK(uncertain[0] == (gap == 1 || gap == 2));
		CHECK(uncertain[2] == (gap >= 5 && gap <= 7));
		CHECK((spans[0] == PCPU_NO_SPAN) == uncertain[0]);
		CHECK(!uncertain[1] && !uncertain[3]);
	}
}

TEST(each_of_several_gaps_counts)
{
	const uint64_t gaps[] = { 0, 2, 2, 7 };

	time_story(NULL, gaps, NR(gaps));
	CHECK(uncertain[0] && uncertain[2]);
}

/*
 *	item    0  1  2  3  4
 *	row     5  3  0  5  4
 *	value   b  a  a  b  a	those of column[2 * row]
 *	before  0  0  1  0  0
 *	after   0  1  2  0  1
 */
TEST(groups_are_split_by_values)
{
	const uint64_t rows[] = { 5, 3, 0, 5, 4 };
	const uint32_t column[] = { 7, 0, 0, 0, 0, 0, 7, 1, 7, 2, 9 };
	const uint32_t after[] = { 0, 1, 2, 0, 1 };
	uint32_t groups[] = { 0, 0, 1, 0, 0 };

	CHECK(pcpu_lives_split(groups, rows, 5, column, 2) == 3);
	CHECK(!memcmp(groups, after, sizeof(after)));
}

TEST(a_value_may_have_all_32_bits)
{
	const uint64_t rows[] = { 0, 1, 2, 3 };
	const uint32_t column[] = { 0x80000000, 0, UINT32_MAX, 0x7fffffff };
	uint32_t groups[] = { 0, 1, 0, 1 };

	CHECK(pcpu_lives_split(groups, rows, 4, column, 1) == 4);
}

TEST(no_items_have_no_groups)
{
	CHECK(pcpu_lives_split(NULL, NULL, 0, NULL, 1) == 0);
}

TEST(a_host_without_memory_is_reported)
{
	const uint64_t row = 0;
	const uint32_t column = 3;
	uint32_t group = 0;

	host_fail(HOST_ALLOC, 0, 1);
	CHECK(pcpu_lives_split(&group, &row, 1, &column, 1) == -1);
}

TEST(lives_are_counted_by_group)
{
	const uint32_t groups[] = { 1, 0, 1, 1 };
	const uint64_t gap = 7;
	struct pcpu_life_counts counts[2] = { { 0 } };
	const struct pcpu_life_counts one = {
		.allocs = 3, .kept = 1, .frees = 2, .at_peak = 1, .known = 1,
		.uncertain = 1, .first = 0, .last_free = 7,
	};
	const struct pcpu_life_counts zero = {
		.allocs = 1, .reallocs = 1, .at_peak = 1, .first = 1,
	};

	time_story(NULL, &gap, 1);
	pcpu_lives_count(&lives, groups, counts);
	CHECK(!memcmp(&counts[0], &zero, sizeof(zero)));
	CHECK(!memcmp(&counts[1], &one, sizeof(one)));
}

/* the areas of the story at each moment, as if it had been the peak */
TEST(an_area_is_live_from_its_allocation_to_its_end)
{
	const uint64_t live[] = { 1, 2, 1, 1, 1, 1, 2, 1 };
	const uint32_t groups[4] = { 0 };

	for (size_t i = 0; i < NR(live); i++) {
		struct pcpu_life_counts count = { 0 };

		time_story(NULL, NULL, 0);
		lives.peak = (int64_t)i;
		pcpu_lives_count(&lives, groups, &count);
		CHECK(count.at_peak == live[i]);
	}
}

/* handle 1 is freed first, though it was allocated last */
TEST(the_last_free_is_that_of_any_life)
{
	const struct pcpu_op ops[] = {
		{ 1, 0, 0 },
		{ 2, 1, 0 },
		{ 2, 1, PCPU_OP_FREE },
		{ 1, 0, PCPU_OP_FREE },
	};
	const uint32_t groups[2] = { 0 };
	struct pcpu_life_counts count = { 0 };

	CHECK(find(ops, 4) == 0);
	pcpu_lives_count(&lives, groups, &count);
	CHECK(count.last_free == 3 && count.first == 0);
}

/* row 0 has groups 0 and 2, row 1 has group 3; group 1 is left out */
TEST(known_lifetimes_are_put_side_by_side)
{
	uint64_t values[] = { 9, 5, 7, PCPU_NO_SPAN, 3, 1 };
	const uint32_t groups[] = { 3, 1, 0, 0, 2, 3 };
	const uint32_t rows[] = { 0, PCPU_NO_ROW, 0, 1 };
	const uint64_t expected[] = { 7, 3, 9, 1 };
	uint64_t ends[] = { 0, 2 }, sorted[4];
	const struct pcpu_lives some = { .spans = values, .n = 6 };

	pcpu_lives_sort(&some, groups, rows, ends, sorted);
	CHECK(ends[0] == 2 && ends[1] == 4);
	CHECK(!memcmp(sorted, expected, sizeof(sorted)));
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

TEST(a_ranked_value_is_that_of_the_sorted_values)
{
	enum { N = 60 };
	uint64_t values[N], sorted[N];

	for (int run = 0; run < 50; run++) {
		for (int i = 0; i < N; i++)
			values[i] = (uint64_t)pick(5) << pick(62);
		values[0] = UINT64_MAX - 1;
		memcpy(sorted, values, sizeof(values));
		qsort(sorted, N, sizeof(*sorted), compare);
		for (size_t rank = 0; rank < N; rank++)
			CHECK(pcpu_lives_ranked(values, N, rank) ==
			      sorted[rank]);
	}
}
