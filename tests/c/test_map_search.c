// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_map_search.c - which parts of a map a search skips, and what it learns.
 *
 * Regions have 16 bytes.  Above each test is a drawing of the map at its start:
 * #### is an area, .... a free range, and the numbers below are offsets.
 *
 * Some tests change the map so that a place is there that no search should
 * notice: the answer shows what was not looked at.
 */
#include "one_map.h"

/* --- regions */

TEST(there_are_as_many_regions_as_a_region_has_entries_of_16_bytes)
{
	CHECK(1 << pcpu_region_shift(65536) == 64 * 16);
	CHECK(1 << pcpu_region_shift(1024) == 8 * 16);
	CHECK(1 << pcpu_region_shift(2048) == 8 * 16);	/* rounded down */
	CHECK(1 << pcpu_region_shift(1 << 30) == 8192 * 16);
}

/* 64 regions, or 8.5, and the end of the unit; then zeros for a scan */
TEST(each_region_and_the_end_of_the_unit_has_a_bound)
{
	CHECK(pcpu_nr_bounds(65536) == 64 + 1 + PCPU_MAP_BLOCK);
	CHECK(pcpu_nr_bounds(1024 + 64) == 8 + 1 + PCPU_MAP_BLOCK);
}

/*
 *	region	0               1               2
 *		|####|....|#####|####|....|#####|####|............|
 *		0    8   12    16   20   28    32   36           48
 */
static void three_regions(void)
{
	GIVEN(12, -8, 4, -4, -4, 8, -4, -4, 12);
	CHECK(tested.bound[0] == 4 && tested.bound[1] == 8);
	CHECK(tested.bound[2] == 12);
}

TEST(a_region_whose_bound_is_too_low_is_skipped)
{
	three_regions();
	CHECK(pcpu_map_search(map, 8, 4) == 4);
	three_regions();
	tested.bound[1] = 7;	/* wrong, so that the skip shows */
	CHECK(pcpu_map_search(map, 8, 4) == 7);
}

TEST(a_search_lowers_the_bounds_of_the_regions_that_it_scans)
{
	three_regions();
	tested.bound[0] = tested.bound[1] = tested.bound[2] = 99;
	CHECK(pcpu_map_search(map, 12, 4) == 7);
	CHECK(tested.bound[0] == 4 && tested.bound[1] == 8);
	CHECK(tested.bound[2] == 99);	/* not to its end */
}

/* the area at 16 is taken first; then a search starts after it, in region 0
 *
 *	|####|..........|##|........|........|####|....|####|
 *	0    4         15 16       24       32   64   72   80
 *
 * Regions have 64 bytes here.  At 4 are 11 free bytes, but none aligned.
 */
TEST(a_search_from_the_middle_of_a_region_keeps_its_bound)
{
	GIVEN(16, -4, 11, -1, 16, -32, 8, -8);
	memset(tested.bound, 0, sizeof(tested.bound));
	map->region_shift = 6;
	tested.bound[0] = 16;
	tested.bound[1] = 99;
	CHECK(alloc(8, 16) == 16);
	CHECK(alloc(9, 16) == -1);
	CHECK(tested.bound[0] >= 11);
	CHECK(tested.bound[1] == 8);	/* scanned from its start */
}

/* at 10 a search starts in region 0; no entry starts in regions 1 and 2
 *
 *	|##|....|##|....|######################|........|####|
 *	0  2    8  10   14                    48       56   64
 */
TEST(a_region_without_entries_has_no_effect_on_the_next_one)
{
	GIVEN(8, -2, 6, -2, 4, -34, 8, -8);
	for (int r = 0; r < 4; r++)
		tested.bound[r] = 99;
	map->first_free = 1;
	map->last = 3;
	map->searched = 10;
	map->exact = true;	/* no other scan follows */
	CHECK(pcpu_map_search(map, 20, 1) == 7);
	CHECK(tested.bound[1] == 0 && tested.bound[2] == 0);
	CHECK(tested.bound[3] == 8);
	CHECK(tested.bound[0] == 99);	/* not from its start */
}

/* in a unit of 20 bytes, region 1 is short; a map without free ranges has
 * only the end to search
 *
 *	|####################|
 *	0               16  20
 */
TEST(the_region_of_the_end_is_searched)
{
	GIVEN(99, -20);
	tested.bound[1] = 99;
	CHECK(pcpu_map_search(map, 4, 4) == 1);
	CHECK(map->contig_hint == 0 && tested.bound[1] == 0);
	GIVEN(99, -17, 3);
	CHECK(pcpu_map_search(map, 3, 1) == 1);
	CHECK(pcpu_map_search(map, 3, 4) == 2 && map->contig_hint == 3);
}

/* --- bounds that rise
 *
 *	|################|################|####|
 *	0               16               32   36
 */
TEST(a_released_area_raises_the_bound_of_the_region_where_it_starts)
{
	GIVEN(0, -16, -16, -4);
	pcpu_map_release(map, 1);
	CHECK(tested.bound[0] == 0 && tested.bound[1] == 16);
	pcpu_map_release(map, 0);	/* merged: it starts in region 0 */
	CHECK(tested.bound[0] == 32);
	CHECK(pcpu_map_search(map, 32, 1) == 0);
}

/*
 *	|................................|
 *	0               16              32
 */
TEST(a_tail_raises_the_bound_of_the_region_where_it_starts)
{
	GIVEN(32, 32);
	CHECK(alloc(16, 4) == 0);
	CHECK(tested.bound[0] == 32 && tested.bound[1] == 16);
}

/* the head of 2 bytes joins the area; what is left starts in region 1
 *
 *	|####|..................|
 *	0   14                 32
 */
TEST(a_free_range_that_loses_its_head_raises_the_bound_of_its_new_region)
{
	GIVEN(18, -14, 18);
	CHECK(pcpu_map_fit(map, 4, 16, &fit));
	CHECK(tested.bound[1] == 16);
	EXPECT(18, -16, 16);
}

/* --- searches that go on where the last one ended
 *
 *	|####|....|####|....|####|....|####|
 *	0    4    8   16   24   28   36   40
 */
static void after_a_search(void)
{
	GIVEN(8, -4, 4, -8, 8, -4, 8, -4);
	CHECK(pcpu_map_search(map, 8, 4) == 3);
	/* 8 free bytes at 8, which no search has seen */
	put_edge(2, pcpu_free_from(8));
	pcpu_region_raise(map, 8, 8);
}

TEST(a_search_goes_on_where_the_last_one_ended)
{
	after_a_search();
	CHECK(pcpu_map_search(map, 8, 4) == 3);
	after_a_search();
	CHECK(pcpu_map_search(map, 8, 8) == 3);
	after_a_search();
	CHECK(pcpu_map_fit(map, 8, 4, &fit) && fit.index == 3);
	pcpu_map_take(map, &fit);	/* the next one starts after the area */
	CHECK(pcpu_map_search(map, 8, 4) == 5);
	after_a_search();
	CHECK(pcpu_map_search(map, 9, 4) == 7);	/* none */
	CHECK(pcpu_map_search(map, 9, 4) == 7);
}

TEST(a_smaller_request_is_searched_from_the_first_free_range_on)
{
	after_a_search();
	CHECK(pcpu_map_search(map, 7, 4) == 2);
}

TEST(a_less_aligned_request_is_searched_from_the_first_free_range_on)
{
	after_a_search();
	CHECK(pcpu_map_search(map, 8, 2) == 2);
}

/* the last change was elsewhere: the place is found by its offset */
TEST(a_search_goes_on_after_a_change_of_another_entry)
{
	after_a_search();
	map->last = 5;
	CHECK(pcpu_map_search(map, 8, 4) == 3);
	after_a_search();
	map->last = 1;
	CHECK(pcpu_map_search(map, 8, 4) == 3);
	after_a_search();
	pcpu_map_release(map, 6);	/* the areas from 28 on, merged */
	CHECK(map->last == 5 && map->searched == 16);
	CHECK(pcpu_map_search(map, 12, 4) == 5);
}

/* at each of the free ranges in turn; the area before it is free by mistake
 *
 *	|####|....|####|....|####|....|   ...
 *	0    4    8    12   16   20   24
 */
TEST(a_search_goes_on_at_any_entry)
{
	int sizes[40];

	for (int i = 0; i < 40; i++)
		sizes[i] = i & 1 ? 4 : -4;
	for (int at = 3; at < 40; at += 2) {
		set_map(run_nr, 4, sizes, 40);
		map->first_free = 1;
		map->searched = 4 * at;
		map->searched_size = map->searched_align = 4;
		put_edge(at - 1, pcpu_free_from(4 * (at - 1)));
		CHECK(pcpu_map_search(map, 4, 4) == at);
	}
}

/* the free range at 16 loses its head to the area: it starts at 18
 *
 *	|####|....|####|..........|####|....|####|
 *	0    4    8   14         30   32   40   44
 */
TEST(a_search_goes_on_after_the_head_of_its_place_was_given_away)
{
	GIVEN(16, -4, 4, -6, 16, -2, 8, -4);
	CHECK(pcpu_map_search(map, 8, 4) == 3 && map->searched == 14);
	CHECK(pcpu_map_fit(map, 8, 16, &fit) && fit.offset == 16);
	CHECK(pcpu_map_search(map, 8, 16) == 3 && map->searched == 16);
}

TEST(a_free_before_the_place_sends_the_search_back)
{
	after_a_search();
	put_edge(2, pcpu_in_use_from(8));
	pcpu_map_release(map, 2);
	CHECK(map->searched == 4);	/* merged with the range at 4 */
	CHECK(pcpu_map_search(map, 8, 4) == 1);
}

TEST(a_free_after_the_place_does_not_send_the_search_back)
{
	after_a_search();
	CHECK(map->searched == 16);
	pcpu_map_release(map, 6);
	CHECK(map->searched == 16);
	pcpu_map_release(map, 4);	/* merged: it starts at the place */
	CHECK(map->searched == 16);
	CHECK(pcpu_map_search(map, 24, 4) == 3);
}

/* no free range is before the place, so the first one is where to start
 *
 *	|####|########|....|####|
 *	0    4       12   20   24
 */
TEST(a_free_of_the_first_areas_sends_the_search_to_them)
{
	GIVEN(8, -4, -8, 8, -4);
	CHECK(pcpu_map_search(map, 8, 4) == 2 && map->first_free == 2);
	pcpu_map_release(map, 1);
	CHECK(map->first_free == 1 && map->searched == 4);
	CHECK(pcpu_map_search(map, 16, 1) == 1);
	pcpu_map_release(map, 0);
	CHECK(map->first_free == 0 && map->searched == 0);
	CHECK(pcpu_map_search(map, 20, 1) == 0);
}

/* --- the first free range
 *
 *	|####|####| ... |####|........|		20 areas
 *	0    4    8    76   80       88
 */
TEST(a_search_passes_at_most_8_areas_to_find_the_first_free_range)
{
	int sizes[21];

	for (int i = 0; i < 21; i++)
		sizes[i] = i < 20 ? -4 : 8;
	set_map(run_nr, 8, sizes, 21);
	CHECK(pcpu_map_search(map, 8, 4) == 20);
	CHECK(map->first_free == 8);
	CHECK(pcpu_map_search(map, 7, 4) == 20);
	CHECK(map->first_free == 16);
	CHECK(pcpu_map_search(map, 6, 4) == 20);
	CHECK(map->first_free == 20);
	CHECK(pcpu_map_search(map, 5, 4) == 20);
	CHECK(map->first_free == 20);
}

TEST(a_map_without_free_ranges_has_its_first_one_at_the_end)
{
	GIVEN(4, -4, -4, -4);
	CHECK(pcpu_map_search(map, 4, 4) == 3);
	CHECK(map->first_free == 3);
	CHECK(pcpu_map_search(map, 2, 2) == 3);
	CHECK(map->first_free == 3);
}

/* if a neighbour of the last area holds the request, no region is searched */
TEST(the_entry_after_the_last_area_is_tried_first)
{
	three_regions();
	memset(tested.bound, 0, sizeof(tested.bound));
	CHECK(pcpu_map_search(map, 4, 4) == 1);
	three_regions();
	CHECK(alloc(4, 16) == -1);
	memset(tested.bound, 0, sizeof(tested.bound));
	map->searched = 20;
	map->last = 3;		/* the area at 16 */
	CHECK(pcpu_map_search(map, 8, 16) == map->map_used);
	map->searched = 16;
	map->searched_align = 4;
	CHECK(pcpu_map_search(map, 8, 4) == 4);
}

/* --- the largest free range, and the hint */

TEST(the_largest_free_range_is_found_with_bounds_that_are_too_high)
{
	three_regions();
	tested.bound[0] = 50;
	tested.bound[1] = 40;
	map->contig_hint = 60;
	CHECK(pcpu_map_largest(map) == 12);
	CHECK(tested.bound[0] == 4 && tested.bound[1] == 8);
	CHECK(tested.bound[2] == 12);
	tested.bound[2] = 40;	/* above the hint */
	map->contig_hint = 12;
	CHECK(pcpu_map_largest(map) == 12 && tested.bound[2] == 12);
	GIVEN(0, -8, -40);
	CHECK(pcpu_map_largest(map) == 0);
}

/*
 *	|....|####|....|####|		the largest is in the first region, where
 *	0   12   20   24   32		a free range is as long as its bound
 */
TEST(a_region_is_not_scanned_if_no_larger_free_range_can_be_there)
{
	GIVEN(12, 12, -8, 4, -8);
	tested.bound[1] = 12;	/* too high */
	CHECK(pcpu_map_largest(map) == 12);
	CHECK(tested.bound[1] == 12);
	tested.bound[1] = 13;
	CHECK(pcpu_map_largest(map) == 12);
	CHECK(tested.bound[1] == 4);
	memset(tested.bound, 0, sizeof(tested.bound));	/* wrong */
	CHECK(pcpu_map_largest(map) == 0);
}

TEST(a_search_that_fails_makes_the_hint_exact)
{
	three_regions();
	map->contig_hint = 99;
	CHECK(pcpu_map_search(map, 13, 1) == map->map_used);
	CHECK(map->exact && map->contig_hint == 12);
	three_regions();
	map->contig_hint = 99;
	CHECK(pcpu_map_search(map, 12, 1) < map->map_used);
	CHECK(!map->exact && map->contig_hint == 99);
}

TEST(an_exact_hint_is_not_computed_again)
{
	three_regions();
	map->contig_hint = 99;	/* wrong, so that it shows */
	map->exact = true;
	CHECK(pcpu_map_search(map, 13, 1) == map->map_used);
	CHECK(map->contig_hint == 99);
}

/* less is free than the last search found
 *
 *	|####|....|####|		-> |####|##|..|####|
 *	0    4   12   20		   0    4  8 12   20
 */
TEST(after_an_allocation_the_hint_is_no_longer_exact)
{
	GIVEN(99, -4, 8, -8);
	CHECK(alloc(8, 16) == -1 && map->exact);
	CHECK(alloc(4, 4) == 4 && !map->exact);
	EXPECT(8, -4, -4, 4, -8);
	CHECK(alloc(8, 16) == -1 && map->exact);
	EXPECT(4, -4, -4, 4, -8);
}

/* also if the fit is not taken
 *
 *	|####|...................|	-> |######|................|
 *	0   13                  64	   0     16               64
 */
TEST(after_a_head_is_parked_the_hint_is_no_longer_exact)
{
	GIVEN(99, -13, 51);
	CHECK(alloc(60, 4) == -1 && map->exact);
	CHECK(pcpu_map_fit(map, 8, 16, &fit) && !map->exact);
	EXPECT(51, -16, 48);
	CHECK(alloc(60, 4) == -1 && map->exact);
	EXPECT(48, -16, 48);
}

TEST(after_a_release_an_exact_hint_stays_exact)
{
	GIVEN(99, -4, 8, -8, -4);
	CHECK(alloc(16, 4) == -1 && map->exact);
	pcpu_map_release(map, 3);
	CHECK(map->exact && map->contig_hint == 8);
	pcpu_map_release(map, 2);
	CHECK(map->exact && map->contig_hint == 20);
}

/* the last entry may be at any place: the 2009 file has scanned all before it
 *
 *	|####|......|####|........|		hint 99 is too high
 *	0    4     14   16       32
 */
TEST(taking_the_last_entry_makes_the_hint_exact_whatever_was_passed)
{
	GIVEN(99, -4, 10, -2, 16);
	CHECK(alloc(11, 4) == 16);	/* the tail of 5 is not the largest */
	EXPECT(10, -4, 10, -2, -11, 5);
	CHECK(map->exact);
	GIVEN(99, -4, 10, -2, 32);
	CHECK(alloc(11, 4) == 16);	/* the tail of 21 is */
	EXPECT(21, -4, 10, -2, -11, 21);
	CHECK(map->exact);
	/* aligned: up to size + align - 2 bytes may have been passed */
	GIVEN(99, -1, 38, -25, 45);
	CHECK(alloc(8, 32) == 64);
	EXPECT(38, -1, 38, -25, -8, 37);
	GIVEN(99, -4, 22, -6, 32);
	CHECK(alloc(8, 32) == 32);
	EXPECT(24, -4, 22, -6, -8, 24);
	GIVEN(99, -1, 31, -32, 40);
	CHECK(alloc(8, 32) == 64);
	EXPECT(32, -1, 31, -32, -8, 32);
	GIVEN(99, -1, 31, -32, 38);
	CHECK(alloc(8, 32) == 64);
	EXPECT(31, -1, 31, -32, -8, 30);
}

/* --- the same with a plain map: signed sizes, of which a search scans each */

static int plain[ROOM];
static int plain_used, plain_hint;

static int longest_of(int from, int to)
{
	int longest = 0;

	for (int i = from; i < to; i++)
		longest = plain[i] > longest ? plain[i] : longest;
	return longest;
}

/* put @n sizes in the place of entry @i */
static void plain_replace(int i, const int *sizes, int n)
{
	memmove(plain + i + n, plain + i + 1,
		(size_t)(plain_used - i - 1) * sizeof(*plain));
	plain_used += n - 1;
	while (n--)
		plain[i + n] = sizes[n];
}

/* take @size bytes after @head bytes of free entry @i */
static void plain_split(int i, int head, int size)
{
	int sizes[3], n = 0, rest = plain[i] - head - size;

	if (head && head < 4)
		plain[i - 1] -= head;
	else if (head)
		sizes[n++] = head;
	sizes[n++] = -(rest < 4 ? size + rest : size);
	if (rest >= 4)
		sizes[n++] = rest;
	plain_replace(i, sizes, n);
}

static int plain_alloc(int size, int align)
{
	for (int i = 0, at = 0; i < plain_used; at += abs(plain[i++])) {
		int head = -at & (align - 1);
		bool last = i + 1 == plain_used;

		if (plain[i] < head + size)
			continue;
		plain_split(i, head, size);
		if (last)
			plain_hint = longest_of(0, plain_used);
		return at + head;
	}
	plain_hint = longest_of(0, plain_used);
	return -1;
}

/* take a given place; return whether it is free */
static bool plain_take_at(int offset, int size)
{
	for (int i = 0, at = 0; i < plain_used; at += abs(plain[i++])) {
		int head = offset - at;

		if (head < 0 || head + size > plain[i] ||
		    (head && head < 4 && !i))
			continue;
		plain_split(i, head, size);
		return true;
	}
	return false;
}

static void plain_free(int offset)
{
	int i = 0;

	for (int at = 0; at < offset; i++)
		at += abs(plain[i]);
	plain[i] = -plain[i];
	if (i + 1 < plain_used && plain[i + 1] > 0) {
		plain[i] += plain[i + 1];
		plain_replace(i + 1, NULL, 0);
	}
	if (i && plain[i - 1] > 0) {
		plain[i - 1] += plain[i];
		plain_replace(i, NULL, 0);
		i--;
	}
	if (plain_hint < plain[i])
		plain_hint = plain[i];
}

/* whether what the map knows of its free ranges is true */
static bool knows_the_truth(void)
{
	int longest = 0;

	for (int i = 0; i < map->map_used; i++) {
		const uint32_t *edge = pcpu_map_edge(map, i);
		int start = pcpu_edge_offset(*edge);
		int size = pcpu_map_size(map, i);

		if (!pcpu_edge_is_free(*edge))
			continue;
		longest = size > longest ? size : longest;
		if (i < map->first_free ||
		    tested.bound[start >> map->region_shift] < size ||
		    (start < map->searched &&
		     pcpu_edge_holds(edge, map->searched_size,
				     map->searched_align)))
			return false;
	}
	return map->last < map->map_used && map->contig_hint >= longest &&
	       (!map->exact || map->contig_hint == longest);
}

#define AREAS	48
#define UNIT	512

static int offset_of[AREAS];	/* of each area, or -1 */
static int failures, searches_that_went_on;

/* one random operation on both maps */
static void random_step(int longest)
{
	int id = (int)pick(AREAS);
	int size = 1 + (int)pick((uint32_t)longest);
	int align = 1 << pick(6);
	int at = (int)pick(UNIT);

	if (offset_of[id] >= 0) {
		pcpu_map_release(map, pcpu_map_find(map, offset_of[id]));
		plain_free(offset_of[id]);
		offset_of[id] = -1;
	} else if (pick(16)) {
		searches_that_went_on += map->searched_size <= size &&
					 map->searched_align <= align;
		offset_of[id] = alloc(size, align);
		CHECK(offset_of[id] == plain_alloc(size, align));
		failures += offset_of[id] < 0;
	} else if (pcpu_map_fit_at(map, at, size, &fit)) {
		pcpu_map_take(map, &fit);
		CHECK(plain_take_at(at, size));
		offset_of[id] = at;
	} else {
		CHECK(!plain_take_at(at, size));
	}
}

TEST(random_requests_have_the_places_and_hints_of_a_plain_map)
{
	failures = searches_that_went_on = 0;
	for (int shift = 2; shift <= 9; shift++) {
		GIVEN(UNIT, UNIT);
		memset(tested.bound, 0, sizeof(tested.bound));
		map->region_shift = shift;
		tested.bound[0] = UNIT;
		plain[0] = plain_hint = UNIT;
		plain_used = 1;
		memset(offset_of, -1, sizeof(offset_of));
		for (int step = 0; step < 5000; step++) {
			random_step(step & 512 ? 12 : 60);
			CHECK(map_is(plain_hint, plain, plain_used));
			CHECK(knows_the_truth());
		}
	}
	CHECK(failures > 1000 && failures < 10000);
	CHECK(searches_that_went_on > 1000);
}
