// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_map_scan.c - the scan in blocks, compared with one entry at a time.
 *
 * This file includes map_scan.c as compiled for a machine without AVX2, so that
 * the test covers both variants on any machine.
 */
#define pcpu_map_scan plain_scan
#define pass_blocks plain_blocks
#define pass_blocks_avx2 plain_blocks_avx2
#undef FOR_AVX2
#undef HAS_AVX2
#define PCPU_NO_AVX2
#include "area_map/map_scan.c"
#undef pcpu_map_scan

int pcpu_map_scan(const uint32_t *edge, int i, int used, int size, int align,
		  int *largest);

#include <stdlib.h>

#include "harness.h"
#include "pick.h"

#define MOST	300	/* entries */

static uint32_t edge[MOST + 1];

/* random entries of 1 to @longest bytes; no two free ranges are adjacent */
static void make_map(int n, int longest)
{
	bool is_free = pick(2);
	int at = 0;

	for (int i = 0; i < n; i++) {
		edge[i] = is_free ? pcpu_free_from(at) : pcpu_in_use_from(at);
		at += 1 + (int)pick((uint32_t)longest);
		is_free = is_free ? false : pick(4) != 0;
	}
	edge[n] = pcpu_in_use_from(at);
}

static int one_by_one(int i, int used, int size, int align, int *largest)
{
	for (; i < used; i++) {
		int start = pcpu_edge_offset(edge[i]);
		int end = pcpu_edge_offset(edge[i + 1]);

		if (!pcpu_edge_is_free(edge[i]))
			continue;
		while (start % align)
			start++;
		if (start + size <= end)
			break;
		if (*largest < pcpu_edge_size(edge + i))
			*largest = pcpu_edge_size(edge + i);
	}
	return i;
}

TEST(both_variants_find_what_a_scan_of_each_entry_finds)
{
	int found = 0;

	for (int round = 0; round < 20000; round++) {
		int used = (int)pick(MOST + 1);
		int from = (int)pick((uint32_t)used + 1);
		int scale = round % 3 ? 1 : 20;	/* below or above a block */
		int size = (1 + (int)pick(24)) * scale;
		int align = 1 << pick(5);
		int expected, index, wide = 0, plain = 0, slow = 0;

		make_map(used, (round % 7 ? 12 : 30) * scale);
		expected = one_by_one(from, used, size, align, &slow);
		index = pcpu_map_scan(edge, from, used, size, align, &wide);
		CHECK(index == expected && wide == slow);
		index = plain_scan(edge, from, used, size, align, &plain);
		CHECK(index == expected && plain == slow);
		found += expected < used;
	}
	/* some maps have a free range that fits, others have none */
	CHECK(found > 2000 && found < 18000);
}

/*
 *	|###|...|###|...|  ...  |###|......|###|
 *	 4   4   4   4                8
 */
TEST(a_free_range_is_found_at_any_position_in_a_block)
{
	for (int position = 1; position < MOST; position += 2) {
		int largest = 0;
		int at = 0;

		for (int i = 0; i < MOST; i++) {
			edge[i] = i & 1 ? pcpu_free_from(at) :
					  pcpu_in_use_from(at);
			at += i == position ? 8 : 4;
		}
		edge[MOST] = pcpu_in_use_from(at);
		CHECK(pcpu_map_scan(edge, 0, MOST, 8, 4, &largest) == position);
		CHECK(largest == (position > 1 ? 4 : 0));
	}
}

/* the sanitizer notices a read after the end of a map of exactly one block */
TEST(nothing_after_the_end_of_a_map_is_read)
{
	uint32_t *edges = malloc((BLOCK + 1) * sizeof(*edges));
	int largest = 0;

	for (int i = 0; i <= BLOCK; i++)
		edges[i] = pcpu_in_use_from(i);
	CHECK(pcpu_map_scan(edges, 0, BLOCK, 1, 1, &largest) == BLOCK);
	CHECK(plain_scan(edges, 0, BLOCK, 1, 1, &largest) == BLOCK);
	free(edges);
}
