// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_map_scan.c - the scans in blocks, compared with one at a time.
 *
 * This file includes map_scan.c as compiled for a machine without AVX2, so that
 * the test covers both variants on any machine.
 */
#define pcpu_bound_scan plain_bound_scan
#define pcpu_map_scan plain_map_scan
#define scan_bounds plain_scan_bounds
#define scan_bounds_avx2 plain_scan_bounds_avx2
#define scan_blocks plain_scan_blocks
#define scan_blocks_avx2 plain_scan_blocks_avx2
#define any plain_any
#define first plain_first
#undef FOR_AVX2
#undef HAS_AVX2
#define PCPU_NO_AVX2
#include "area_map/map_scan.c"
#undef pcpu_bound_scan
#undef pcpu_map_scan
#undef any
#undef first

int pcpu_bound_scan(const int *bound, int r, int end, int size);
int pcpu_map_scan(const uint32_t *edge, int used, int stop, int size, int align,
		  int *largest);

#include <stdlib.h>

#include "harness.h"
#include "pick.h"

#define MOST	300	/* entries, or regions */

static uint32_t edge[MOST + 1 + PCPU_MAP_BLOCK];
static int bound[MOST + PCPU_MAP_BLOCK];

/*
 * Random entries of 1 to @longest bytes; no two free ranges are adjacent.  What
 * follows the end is another map, or memory that was never written.
 */
static int make_map(int n, int longest)
{
	bool is_free = pick(2);
	int at = 0;

	for (int i = 0; i < n; i++) {
		edge[i] = is_free ? pcpu_free_from(at) : pcpu_in_use_from(at);
		at += 1 + (int)pick((uint32_t)longest);
		is_free = is_free ? false : pick(4) != 0;
	}
	edge[n] = pcpu_in_use_from(at);
	for (int i = 1; i <= PCPU_MAP_BLOCK; i++)
		edge[n + i] = pick(2) ? pcpu_free_from(at + 100 * i) :
					(uint32_t)-1;
	return at;
}

static int one_by_one(int used, int stop, int size, int align, int *largest)
{
	for (int i = 0; i < used && pcpu_edge_offset(edge[i]) < stop; i++) {
		int start = pcpu_edge_offset(edge[i]);
		int end = pcpu_edge_offset(edge[i + 1]);

		if (!pcpu_edge_is_free(edge[i]))
			continue;
		while (start % align)
			start++;
		if (start + size <= end)
			return i;
		if (*largest < pcpu_edge_size(edge + i))
			*largest = pcpu_edge_size(edge + i);
	}
	return used;
}

/* whether both variants find what a scan of each entry finds */
static bool scans_agree(int used, int stop, int size, int align)
{
	int so_far = pick(4) ? 0 : (int)pick(40);	/* the largest */
	int wide = so_far, plain = so_far, slow = so_far;
	int expected = one_by_one(used, stop, size, align, &slow);

	if (pcpu_map_scan(edge, used, stop, size, align, &wide) != expected ||
	    plain_map_scan(edge, used, stop, size, align, &plain) != expected)
		return false;
	return expected < used || (wide == slow && plain == slow);
}

TEST(both_variants_find_what_a_scan_of_each_entry_finds)
{
	int found = 0, slow = 0;

	for (int round = 0; round < 20000; round++) {
		int used = (int)pick(MOST + 1);
		int scale = round % 3 ? 1 : 20;	/* below or above a block */
		int size = (1 + (int)pick(24)) * scale;
		int align = 1 << pick(5);
		int end = make_map(used, (round % 7 ? 12 : 30) * scale);
		int stop = round % 2 ? end : (int)pick((uint32_t)end + 40);

		CHECK(scans_agree(used, stop, size, align));
		found += one_by_one(used, stop, size, align, &slow) < used;
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
		int at = 0;

		for (int i = 0; i < MOST; i++) {
			edge[i] = i & 1 ? pcpu_free_from(at) :
					  pcpu_in_use_from(at);
			at += i == position ? 8 : 4;
		}
		edge[MOST] = pcpu_in_use_from(at);
		CHECK(scans_agree(MOST, at, 8, 4));
		CHECK(scans_agree(MOST, at, 9, 4));
	}
}

/* the stop is not a multiple of anything: the scan ends within a block
 *
 *	|....|##|....|##|....|##|	each free range has 4 bytes, one at 36: 6
 *	0    4  6   10 12   16 18
 */
TEST(a_free_range_that_starts_at_the_stop_or_after_it_does_not_count)
{
	int largest = 0, at = 0;

	for (int i = 0; i < 20; i++) {
		edge[i] = i & 1 ? pcpu_in_use_from(at) : pcpu_free_from(at);
		at += i & 1 ? 2 : i == 12 ? 6 : 4;
	}
	edge[20] = pcpu_in_use_from(at);
	CHECK(pcpu_map_scan(edge, 20, 37, 6, 1, &largest) == 12);
	CHECK(pcpu_map_scan(edge, 20, 36, 6, 1, &largest) == 20);
	CHECK(largest == 4);
	CHECK(pcpu_map_scan(edge, 20, 37, 7, 1, &largest) == 20);
	CHECK(largest == 6);
	CHECK(pcpu_map_scan(edge, 20, 0, 1, 1, &largest) == 20);
	CHECK(largest == 6);		/* it is only raised */
	for (int stop = 0; stop <= at; stop++)
		CHECK(scans_agree(20, stop, 6, 1) && scans_agree(20, stop, 7, 1));
}

/*
 *	|....................|	a whole unit of 1 GiB
 *	0                 2^30
 */
TEST(the_largest_unit_is_scanned)
{
	int largest = 0;

	edge[0] = pcpu_free_from(0);
	edge[1] = pcpu_in_use_from(1 << 30);
	CHECK(pcpu_map_scan(edge, 1, 1 << 30, 1 << 30, 1 << 20, &largest) == 0);
	edge[0] = pcpu_free_from(4);
	CHECK(pcpu_map_scan(edge, 1, 1 << 30, 1 << 30, 1 << 20, &largest) == 1);
	CHECK(largest == (1 << 30) - 4);
	largest = 0;
	CHECK(plain_map_scan(edge, 1, 1 << 30, 1 << 30, 4, &largest) == 1);
	CHECK(largest == (1 << 30) - 4);
}

/* the sanitizer notices a read after them */
TEST(a_scan_reads_less_than_a_block_after_the_end)
{
	const int n = 9 + PCPU_MAP_BLOCK - 1;
	uint32_t *edges = malloc((size_t)n * sizeof(*edges));
	int *bounds = malloc((size_t)n * sizeof(*bounds));
	int largest;

	for (int i = 0; i < n; i++) {
		edges[i] = i <= 8 ? pcpu_in_use_from(i) : pcpu_free_from(i);
		bounds[i] = 0;
	}
	for (int used = 0; used <= 8; used++) {
		CHECK(pcpu_map_scan(edges, used, 99, 1, 1, &largest) == used);
		CHECK(plain_map_scan(edges, used, 99, 1, 1, &largest) == used);
		CHECK(pcpu_bound_scan(bounds, used, 9, 1) == -1);
		CHECK(plain_bound_scan(bounds, used, 9, 1) == -1);
	}
	free(edges);
	free(bounds);
}

static int bound_by_bound(int r, int end, int size)
{
	for (; r < end; r++) {
		if (bound[r] >= size)
			return r;
	}
	return -1;
}

TEST(both_variants_find_the_first_region_whose_bound_is_not_too_low)
{
	int found = 0;

	for (int round = 0; round < 20000; round++) {
		int end = (int)pick(MOST + 1);
		int r = (int)pick((uint32_t)end + 1);
		int size = 1 + (int)pick(20);
		int expected;

		memset(bound, 0, sizeof(bound));
		for (int i = 0; i < end; i++)
			bound[i] = pick(8) ? 0 : (int)pick(22);
		expected = bound_by_bound(r, end, size);
		CHECK(pcpu_bound_scan(bound, r, end, size) == expected);
		CHECK(plain_bound_scan(bound, r, end, size) == expected);
		found += expected >= 0;
	}
	CHECK(found > 2000 && found < 18000);
}
