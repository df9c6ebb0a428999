// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_columns.c - the columns of a trace file are decoded and checked.
 */
#include <string.h>

#include "analysis/columns.h"
#include "harness.h"

/* a file has the lowest bytes of all items first */
TEST(bytes_of_items_are_put_together)
{
	const uint8_t bytes[] = {
		0x11, 0x12, 0x21, 0x22, 0x31, 0x32, 0x41, 0x42,
		0x51, 0x52, 0x61, 0x62, 0x71, 0x72, 0x81, 0x82,
	};
	uint64_t longs[2];
	uint32_t words[4];
	uint16_t halves[8];

	pcpu_columns_join(longs, 8, bytes, 8, 2);
	CHECK(longs[0] == 0x8171615141312111);
	CHECK(longs[1] == 0x8272625242322212);
	pcpu_columns_join(words, 4, bytes, 4, 4);
	CHECK(words[0] == 0x71513111);
	CHECK(words[3] == 0x82624222);
	pcpu_columns_join(halves, 2, bytes, 2, 8);
	CHECK(halves[0] == 0x5111);
	CHECK(halves[7] == 0x8242);
}

TEST(items_may_be_apart)
{
	const uint8_t bytes[] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	uint32_t words[] = { 0, 9, 0, 9 };

	pcpu_columns_join(words, 8, bytes, 4, 2);
	CHECK(words[0] == 0x07050301 && words[2] == 0x08060402);
	CHECK(words[1] == 9 && words[3] == 9);
}

TEST(no_items_are_no_bytes)
{
	uint32_t word = 9;

	pcpu_columns_join(&word, 4, NULL, 4, 0);
	CHECK(word == 9);
}

/* a clock may run backwards: by 2 ticks, modulo 2^64 */
TEST(differences_become_times)
{
	uint64_t times[] = { 5, 3, UINT64_MAX - 1, 0 };

	CHECK(pcpu_columns_sum(times, 4, 1000) == 0);
	CHECK(times[0] == 5000 && times[1] == 8000);
	CHECK(times[2] == 6000 && times[3] == 6000);
}

TEST(the_highest_time_has_64_bits)
{
	uint64_t good = UINT64_MAX / 2, bad = UINT64_MAX / 2 + 1;

	CHECK(pcpu_columns_sum(&good, 1, 2) == 0);
	CHECK(good == UINT64_MAX - 1);
	CHECK(pcpu_columns_sum(&bad, 1, 2) == -1);
	good = UINT64_MAX;
	CHECK(pcpu_columns_sum(&good, 1, 1) == 0);
	CHECK(good == UINT64_MAX);
}

TEST(a_table_is_used_up_to_the_highest_index)
{
	const uint32_t none = UINT32_MAX, column[] = { 3, none, 7, 0 };

	CHECK(pcpu_columns_used(column, 4) == 8);
	CHECK(pcpu_columns_used(column, 2) == 4);
	CHECK(pcpu_columns_used(&none, 1) == 0);
	CHECK(pcpu_columns_used(NULL, 0) == 0);
}

static struct pcpu_ops_range range_of(const struct pcpu_op *ops, size_t n)
{
	struct pcpu_ops_range range;

	memset(&range, 0xff, sizeof(range));
	pcpu_columns_range(ops, n, &range);
	return range;
}

TEST(operations_use_handles_kinds_and_faults)
{
	const struct pcpu_op ops[] = {
		{ 1, 4, 2 },
		{ 2, 3, 6 },
		{ 1, 5, PCPU_OP_FREE },
		{ 0, 9, PCPU_OP_FAULT },
		{ 0, 8, PCPU_OP_FAULT },
	};
	struct pcpu_ops_range range = range_of(ops, 5);

	CHECK(range.handles == 6 && range.kinds == 7 && range.faults == 10);
	CHECK(range.allocs == 2 && range.frees == 1);
	CHECK(range_of(ops, 1).handles == 5);
}

TEST(orphans_and_background_work_use_nothing)
{
	const struct pcpu_op ops[] = {
		{ 1, PCPU_OP_ORPHAN, PCPU_OP_FREE },
		{ 0, 7, PCPU_OP_BALANCE },
	};
	struct pcpu_ops_range range = range_of(ops, 2);

	CHECK(!range.handles && !range.kinds && !range.faults);
	CHECK(!range.allocs && range.frees == 1);
}

/* only a free can be an orphan: a file with this is damaged */
TEST(an_allocation_may_claim_the_highest_numbers)
{
	const struct pcpu_op op = { 1, UINT32_MAX, PCPU_OP_FIRST - 1 };
	struct pcpu_ops_range range = range_of(&op, 1);

	CHECK(range.handles == UINT64_C(1) << 32);
	CHECK(range.kinds == PCPU_OP_FIRST && range.allocs == 1);
}
