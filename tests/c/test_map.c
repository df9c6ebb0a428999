// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_map.c - scan, split and merge on one chunk's map.
 *
 * Above each test is a drawing of the map at its start: #### is an area, .... a
 * free range, and the numbers below are offsets.
 */
#include "one_map.h"

/* a map of @in_use and @free bytes; its room has other values */
static void start(int in_use, int free)
{
	set_map(0, free, NULL, 0);
	map->free_size = free;
	map->room = NULL;
	map->map_alloc = 0;
	pcpu_map_move(map, room, ROOM);
	pcpu_map_start(map, in_use, free);
}

/*
 *	|####|............|	|............|	|############|
 *	0    8           64	0           64	0           64
 */
TEST(a_map_starts_with_the_static_area_and_a_free_range)
{
	start(8, 56);
	EXPECT(56, -8, 56);
	CHECK(map->first_free == 1);
	CHECK(alloc(57, 1) == -1 && alloc(56, 4) == 8);
	start(0, 64);
	EXPECT(64, 64);
	CHECK(map->first_free == 0);
	CHECK(alloc(65, 1) == -1 && alloc(64, 4) == 0);
	start(64, 0);
	EXPECT(0, -64);
	CHECK(map->first_free == 1);
	CHECK(alloc(1, 1) == -1);
}

/* regions of 16 bytes
 *
 *	|####|............|	region 0 has the area, region 1 the free range
 *	0   16           64
 */
TEST(a_map_starts_with_a_bound_for_its_free_range)
{
	start(16, 48);
	CHECK(tested.bound[0] == 0 && tested.bound[1] == 48);
	CHECK(tested.bound[2] == 0 && tested.bound[3] == 0);
}

/*
 *	|................|
 *	0               64
 */
TEST(the_first_area_of_an_empty_unit_is_at_its_start)
{
	GIVEN(64, 64);
	CHECK(alloc(16, 4) == 0);
	EXPECT(48, -16, 48);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_free_range_that_fits_exactly_is_not_split)
{
	GIVEN(64, 64);
	CHECK(alloc(64, 4) == 0);
	EXPECT(0, -64);
}

/*
 *	|####|....|####|........|
 *	0    8   16   24       64
 */
TEST(the_first_free_range_that_is_large_enough_is_taken)
{
	GIVEN(40, -8, 8, -8, 40);
	CHECK(alloc(8, 4) == 8);
	EXPECT(40, -8, -8, -8, 40);
}

/*
 *	|####|....|####|........|
 *	0    8   16   24       64
 */
TEST(free_ranges_that_are_too_small_are_skipped)
{
	GIVEN(40, -8, 8, -8, 40);
	CHECK(alloc(12, 4) == 24);
	EXPECT(28, -8, 8, -8, -12, 28);
}

/* large enough for the size, but not from the aligned start on
 *
 *	|####|............|####|................|
 *	0    8           28   32               96
 */
TEST(a_free_range_must_have_room_after_its_aligned_start)
{
	GIVEN(64, -8, 20, -4, 64);
	CHECK(alloc(16, 16) == 32);
	EXPECT(48, -8, 20, -4, -16, 48);
}

/*
 *	|####|...................|
 *	0   12                  64
 */
TEST(a_head_of_four_bytes_stays_a_free_range)
{
	GIVEN(52, -12, 52);
	CHECK(alloc(8, 16) == 16);
	EXPECT(40, -12, 4, -8, 40);
}

/*
 *	|####|...................|
 *	0   13                  64
 */
TEST(a_head_of_three_bytes_joins_the_area_before)
{
	GIVEN(51, -13, 51);
	CHECK(alloc(8, 16) == 16);
	EXPECT(40, -16, -8, 40);
}

/* as in the 2009 file when the map cannot grow, see "half-done"
 *
 *	|####|...................|
 *	0   13                  64
 */
TEST(a_head_is_parked_even_if_the_fit_is_not_taken)
{
	GIVEN(51, -13, 51);
	CHECK(pcpu_map_fit(map, 8, 16, &fit));
	EXPECT(51, -16, 48);
	CHECK(fit.index == 1 && fit.offset == 16 && fit.head == 0);
}

/* a head is parked only if the area fits in its free range
 *
 *	|####|...|####|..........|
 *	0   13  17   20         64
 */
TEST(a_skipped_free_range_keeps_its_head)
{
	GIVEN(44, -13, 4, -3, 44);
	CHECK(alloc(4, 16) == 32);
	EXPECT(28, -13, 4, -3, 12, -4, 28);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_tail_of_four_bytes_stays_a_free_range)
{
	GIVEN(64, 64);
	CHECK(alloc(60, 4) == 0);
	EXPECT(4, -60, 4);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_tail_of_three_bytes_joins_the_area)
{
	GIVEN(64, 64);
	CHECK(alloc(61, 4) == 0);
	EXPECT(0, -64);
}

/*
 *	|####|...................|####|
 *	0    4                  40   44
 */
TEST(an_area_in_the_middle_splits_a_free_range_in_three)
{
	GIVEN(36, -4, 36, -4);
	CHECK(pcpu_map_fit(map, 8, 16, &fit));
	CHECK(fit.index == 1 && fit.offset == 16);
	CHECK(fit.head == 12 && fit.tail == 16);
	CHECK(pcpu_fit_extra(&fit) == 2);
	pcpu_map_take(map, &fit);
	EXPECT(36, -4, 12, -8, 16, -4);
}

/*
 *	|####|.......|####|
 *	0    8      32   36
 */
TEST(a_split_at_the_end_leaves_only_a_head)
{
	GIVEN(24, -8, 24, -4);
	CHECK(alloc(16, 16) == 16);
	EXPECT(24, -8, 8, -16, -4);
}

/* all entries were scanned, so the largest free range is known
 *
 *	|####|....|####|..........|		hint 99 is too high
 *	0    8   16   24         64
 */
TEST(taking_the_last_entry_makes_the_hint_exact)
{
	GIVEN(99, -8, 8, -8, 40);
	CHECK(alloc(36, 4) == 24);
	EXPECT(8, -8, 8, -8, -36, 4);
}

/* later entries are not scanned: the old hint may still be right
 *
 *	|####|....|####|..........|		hint 99 is too high
 *	0    8   16   24         64
 */
TEST(taking_an_earlier_entry_does_not_lower_the_hint)
{
	GIVEN(99, -8, 8, -8, 40);
	CHECK(alloc(8, 4) == 8);
	EXPECT(99, -8, -8, -8, 40);
}

/*
 *	|####|........|####|....|####|		hint 99 is too high
 *	0    4       12   16   20   24
 */
TEST(when_nothing_fits_the_hint_becomes_exact)
{
	GIVEN(99, -4, 8, -4, 4, -4);
	CHECK(alloc(12, 4) == -1);
	EXPECT(8, -4, 8, -4, 4, -4);
}

/*
 *	|####|####|
 *	0    8   16
 */
TEST(a_full_map_has_hint_zero)
{
	GIVEN(99, -8, -8);
	CHECK(alloc(1, 1) == -1);
	EXPECT(0, -8, -8);
}

/*
 *	|####|####|####|
 *	0    8   24   32
 */
TEST(a_released_area_between_areas_becomes_a_free_range)
{
	GIVEN(0, -8, -16, -8);
	pcpu_map_release(map, 1);
	EXPECT(16, -8, 16, -8);
}

/*
 *	|####|....|####|####|
 *	0    8   16   32   40
 */
TEST(a_released_area_merges_with_the_free_range_before)
{
	GIVEN(8, -8, 8, -16, -8);
	pcpu_map_release(map, 2);
	EXPECT(24, -8, 24, -8);
}

/*
 *	|####|####|....|####|
 *	0    8   24   32   40
 */
TEST(a_released_area_merges_with_the_free_range_after)
{
	GIVEN(8, -8, -16, 8, -8);
	pcpu_map_release(map, 1);
	EXPECT(24, -8, 24, -8);
}

/*
 *	|####|....|####|....|####|
 *	0    8   16   32   44   48
 */
TEST(a_released_area_merges_with_free_ranges_on_both_sides)
{
	GIVEN(12, -8, 8, -16, 12, -4);
	pcpu_map_release(map, 2);
	EXPECT(36, -8, 36, -4);
}

/*
 *	|####|####|
 *	0    8   64
 */
TEST(the_first_and_the_last_area_can_be_released)
{
	GIVEN(0, -8, -56);
	pcpu_map_release(map, 0);
	EXPECT(8, 8, -56);
	pcpu_map_release(map, 1);
	EXPECT(64, 64);
}

/*
 *	|####|####|....|			hint 20
 *	0    4   12   32
 */
TEST(a_release_does_not_lower_the_hint)
{
	GIVEN(20, -4, -8, 20);
	pcpu_map_release(map, 0);
	EXPECT(20, 4, -8, 20);
}

/* the sanitizer notices a read before the first entry or after the last
 *
 *	|####|....|####|
 *	0    8   24   32	three entries: the map is full
 */
TEST(nothing_outside_the_map_is_read)
{
	uint32_t *exact = malloc((3 + PCPU_MAP_EXTRA + PCPU_MAP_BLOCK) *
				 sizeof(*exact));

	GIVEN(16, -8, 16, -8);
	pcpu_map_move(map, exact, 3);
	CHECK(!pcpu_map_fit(map, 17, 1, &fit));
	CHECK(pcpu_map_find(map, 24) == 2);
	CHECK(pcpu_map_find(map, 32) == -PCPU_E_WILD);
	pcpu_map_release(map, 2);
	CHECK(map->map_used == 2 && pcpu_map_size(map, 1) == 24);
	pcpu_map_release(map, 0);
	CHECK(map->map_used == 1 && pcpu_map_size(map, 0) == 32);
	CHECK(pcpu_map_fit(map, 32, 1, &fit));
	pcpu_map_take(map, &fit);
	CHECK(fit.offset == 0 && map->map_used == 1);
	free(exact);
}

/* later entries move up, once for each free range that is merged
 *
 *	|####|....|####|....|####|####|
 *	0    8   16   32   44   48   52
 */
TEST(a_release_returns_how_many_entries_the_2009_file_moves)
{
	GIVEN(12, -8, 8, -16, 12, -4, -4);
	CHECK(pcpu_map_release(map, 5) == 0);	/* no merge: nothing moves */
	CHECK(pcpu_map_release(map, 2) == 3 + 2); /* first 3 to 5, then 4, 5 */
	EXPECT(36, -8, 36, -4, 4);
	CHECK(pcpu_map_release(map, 2) == 1 + 0);
	EXPECT(44, -8, 44);
}

/* --- the gap
 *
 *	|####|....|####|........|
 *	0    8   16   24       40
 */
TEST(the_gap_moves_to_an_entry_that_is_inserted)
{
	for (int at = 0; at <= 4; at++) {
		GIVEN_WITH_GAP(at, 16, -8, 8, -8, 16);
		CHECK(alloc(4, 4) == 8);
		CHECK(map->gap_at == 3);
		EXPECT(16, -8, -4, 4, -8, 16);
	}
}

/* in the middle of a free range two entries are inserted: area and tail */
TEST(the_gap_moves_to_the_second_of_two_entries)
{
	for (int at = 0; at <= 4; at++) {
		GIVEN_WITH_GAP(at, 44, -4, 44, -8, -8);
		CHECK(alloc(8, 16) == 16);
		CHECK(map->gap_at == 4);
		EXPECT(44, -4, 12, -8, 24, -8, -8);
	}
}

/*
 *	|####|....|####|....|####|
 *	0    8   16   32   44   48
 */
TEST(the_gap_moves_to_the_entries_that_are_removed)
{
	for (int at = 0; at <= 5; at++) {
		GIVEN_WITH_GAP(at, 12, -8, 8, -16, 12, -4);
		pcpu_map_release(map, 2);
		CHECK(map->gap_at == 2);
		EXPECT(36, -8, 36, -4);
	}
}

TEST(the_gap_stays_if_no_entry_is_inserted_or_removed)
{
	for (int at = 0; at <= 4; at++) {
		GIVEN_WITH_GAP(at, 16, -8, 8, -8, 16);
		CHECK(alloc(8, 4) == 8);
		EXPECT(16, -8, -8, -8, 16);
		CHECK(map->gap_at == at);
		pcpu_map_release(map, 1);
		EXPECT(16, -8, 8, -8, 16);
		CHECK(map->gap_at == at);
	}
}

/* room for the entries, the end, and the copy of an edge
 *
 *	map_alloc 4	|####|....|copy|####|####|end |
 */
TEST(a_gap_without_room_for_an_entry_can_move)
{
	static uint32_t little[4 + PCPU_MAP_EXTRA + PCPU_MAP_BLOCK];

	for (int at = 0; at <= 4; at++) {
		GIVEN_WITH_GAP(at, 8, -8, 8, -8, -8);
		pcpu_map_move(map, little, 4);
		CHECK(map->after - map->room == 1);
		CHECK(alloc(8, 4) == 8);
		EXPECT(8, -8, -8, -8, -8);
		pcpu_map_release(map, 3);
		pcpu_map_release(map, 1);
		EXPECT(8, -8, 8, -8, 8);
	}
}

/*
 *	|####|....|####|........|
 *	0    8   16   24       40
 */
TEST(a_map_that_moves_keeps_its_gap_where_it_is)
{
	static uint32_t more[2 * ROOM + PCPU_MAP_EXTRA + PCPU_MAP_BLOCK];

	for (int at = 0; at <= 4; at++) {
		GIVEN_WITH_GAP(at, 16, -8, 8, -8, 16);
		pcpu_map_move(map, more, 2 * ROOM);
		CHECK(map->room == more && map->gap_at == at);
		EXPECT(16, -8, 8, -8, 16);
	}
}

/* in a long map
 *
 *	|....|####|####|  ...  |####|
 */
TEST(many_entries_can_be_moved)
{
	int sizes[41], expected[41];

	for (int i = 0; i < 41; i++)
		sizes[i] = expected[i] = i == 20 ? 8 : -8;
	set_map(5 * run_nr, 8, sizes, 41);
	CHECK(alloc(4, 4) == 160);
	CHECK(alloc(4, 4) == 164);
	CHECK(map->map_used == 42 && map->free_size == 0);
	pcpu_map_release(map, 20);
	pcpu_map_release(map, 21);
	CHECK(map_is(8, expected, 41));
}

/* also if it is taken only in part; a head is before the area
 *
 *	|####|....|####|............|
 *	0    8   16   24           64
 */
TEST(the_first_free_range_is_after_an_area_that_takes_its_start)
{
	GIVEN(40, -8, 8, -8, 40);
	map->first_free = 1;
	CHECK(alloc(8, 4) == 8 && map->first_free == 2);
	map->first_free = 3;
	CHECK(alloc(8, 4) == 24 && map->first_free == 4);
	CHECK(alloc(8, 16) == 32 && map->first_free == 5);
	CHECK(alloc(8, 16) == 48 && map->first_free == 5);
	EXPECT(8, -8, -8, -8, -8, -8, 8, -8, 8);
	pcpu_map_release(map, 2);
	CHECK(map->first_free == 2);
	pcpu_map_release(map, 3);
	CHECK(map->first_free == 2);
}

/* take @size bytes at @offset; return whether they were free */
static bool take_at(int offset, int size)
{
	if (!pcpu_map_fit_at(map, offset, size, &fit))
		return false;
	CHECK(fit.offset == offset);
	pcpu_map_take(map, &fit);
	return true;
}

/*
 *	|................|	-> |....|####|........|
 *	0               64	   0   16   24       64
 */
TEST(an_area_at_a_given_offset_splits_a_free_range_in_three)
{
	GIVEN(64, 64);
	CHECK(take_at(16, 8));
	/* no entries were scanned, so the hint stays */
	EXPECT(64, 16, -8, 40);
	CHECK(alloc(16, 1) == 0);
	CHECK(alloc(40, 1) == 24);
	EXPECT(0, -16, -8, -40);
}

/*
 *	|####|....|####|....|
 *	0    8   24   32   64
 */
TEST(a_given_range_may_be_the_start_the_end_or_all_of_a_free_range)
{
	GIVEN(32, -8, 16, -8, 32);
	CHECK(take_at(8, 16));
	EXPECT(32, -8, -16, -8, 32);
	CHECK(take_at(56, 8));
	EXPECT(32, -8, -16, -8, 24, -8);
	CHECK(take_at(32, 8));
	EXPECT(32, -8, -16, -8, -8, 16, -8);
	CHECK(take_at(55, 1));
	EXPECT(32, -8, -16, -8, -8, 15, -1, -8);
	GIVEN(64, 64);
	CHECK(take_at(0, 8));
	EXPECT(64, -8, 56);
}

/*
 *	|####|....|####|....|
 *	0    8   24   32   64
 */
TEST(a_given_range_that_is_not_free_or_not_in_the_map_is_refused)
{
	GIVEN(32, -8, 16, -8, 32);
	CHECK(!take_at(0, 8));		/* an area */
	CHECK(!take_at(4, 8));		/* the area's end, and free bytes */
	CHECK(!take_at(16, 12));	/* free bytes, and the next area */
	CHECK(!take_at(8, 24));		/* free bytes, and all of an area */
	CHECK(!take_at(28, 2));		/* in the middle of an area */
	CHECK(!take_at(60, 8));		/* past the end */
	CHECK(!take_at(64, 1));
	CHECK(!take_at(INT_MAX, 1));
	CHECK(!take_at(32, INT_MAX));
	CHECK(!take_at(-1, 8));
	CHECK(!take_at(8, 0));
	CHECK(!take_at(8, -8));
	EXPECT(32, -8, 16, -8, 32);
}

/* three bytes do not become an entry, as in a search
 *
 *	|####|................|	-> |######|#############|
 *	0    8               64	   0     10            64
 */
TEST(a_small_head_or_tail_of_a_given_range_joins_an_area)
{
	GIVEN(56, -8, 56);
	CHECK(take_at(10, 51));
	EXPECT(56, -10, -54);
	GIVEN(56, -8, 56);
	CHECK(take_at(12, 48));
	EXPECT(56, -8, 4, -48, 4);
}

/* no area is before the head that it could join
 *
 *	|....................|
 *	0                   64
 */
TEST(a_given_offset_of_one_to_three_in_an_empty_unit_is_refused)
{
	GIVEN(64, 64);
	CHECK(!take_at(1, 8));
	CHECK(!take_at(3, 8));
	EXPECT(64, 64);
	CHECK(take_at(4, 8));
	EXPECT(64, 4, -8, 52);
	GIVEN(62, -2, 62);
	CHECK(take_at(3, 8));
	EXPECT(62, -3, -8, 53);
	/* the place starts a free range that is not the first one */
	GIVEN(60, 1, -1, 60, -2);
	CHECK(take_at(2, 8));
	EXPECT(60, 1, -1, -8, 52, -2);
}

/*
 *	|####|....|####|####|....|
 *	0    8   24   32   40   64
 */
TEST(next_returns_the_first_area_at_an_offset_or_after_it)
{
	GIVEN(24, -8, 16, -8, -8, 24);
	CHECK(pcpu_map_next(map, 0) == 0);
	CHECK(pcpu_map_next(map, 1) == 2);
	CHECK(pcpu_map_next(map, 8) == 2);
	CHECK(pcpu_map_next(map, 24) == 2);
	CHECK(pcpu_map_next(map, 25) == 3);
	CHECK(pcpu_map_next(map, 32) == 3);
	CHECK(pcpu_map_next(map, 33) == map->map_used);
	CHECK(pcpu_map_next(map, 64) == map->map_used);
	CHECK(pcpu_map_next(map, 65) == map->map_used);
	map->map_used = 0;
	CHECK(pcpu_map_next(map, 0) == 0);
}

/*
 *	|####|....|####|
 *	0    8   24   32
 */
TEST(find_returns_the_entry_of_an_area)
{
	GIVEN(16, -8, 16, -8);
	CHECK(pcpu_map_find(map, 0) == 0);
	CHECK(pcpu_map_find(map, 24) == 2);
}

/* the last used entry is only offset_of the search begins
 *
 *	|####|....|####|####|....|####|
 *	0    8   16   24   32   40   48
 */
TEST(find_does_not_depend_on_the_last_used_entry)
{
	GIVEN(8, -8, 8, -8, -8, 8, -8);
	/* an edge after the end, from when the map was longer */
	pcpu_map_edge(map, map->map_used)[1] = pcpu_in_use_from(16);
	for (map->last = 0; map->last <= map->map_used; map->last++) {
		CHECK(pcpu_map_find(map, 0) == 0);
		CHECK(pcpu_map_find(map, 8) == -PCPU_E_NOT_LIVE);
		CHECK(pcpu_map_find(map, 16) == 2);
		CHECK(pcpu_map_find(map, 24) == 3);
		CHECK(pcpu_map_find(map, 40) == 5);
		CHECK(pcpu_map_find(map, 41) == -PCPU_E_INTERIOR);
		CHECK(pcpu_map_find(map, 48) == -PCPU_E_WILD);
	}
}

/*
 *	|####|................|####|
 *	0    8               40   48
 */
TEST(the_last_used_entry_is_recorded)
{
	GIVEN(32, -8, 32, -8);
	CHECK(alloc(8, 8) == 8 && map->last == 1);
	CHECK(alloc(8, 32) == 32 && map->last == 3);	/* after a head */
	pcpu_map_release(map, 1);
	CHECK(map->last == 1);
	pcpu_map_release(map, 2);	/* merges with the range before */
	CHECK(map->last == 1);
	EXPECT(32, -8, 32, -8);
}

/* in reverse order a binary search does not find the areas, only a direct check
 *
 *	edges	| 32 | 24 | 16 |  8 |  0 | end 40
 *	                    last
 */
TEST(find_checks_the_last_used_entry_and_its_neighbours_first)
{
	GIVEN(0, -8, -8, -8, -8, -8);
	for (int i = 0; i < 5; i++)
		put_edge(i, pcpu_in_use_from(32 - 8 * i));
	map->last = 2;
	CHECK(pcpu_map_find(map, 16) == 2);
	CHECK(pcpu_map_find(map, 8) == 3);
	CHECK(pcpu_map_find(map, 24) == 1);
	CHECK(pcpu_map_find(map, 0) == 4);
	/* not found; a gap would divide the search */
	map->last = 1;
	CHECK(map->gap_at || pcpu_map_find(map, 0) == -PCPU_E_INTERIOR);
}

/*
 *	|####|....|####|
 *	0    8   24   32
 */
TEST(find_distinguishes_free_interior_and_wild)
{
	GIVEN(16, -8, 16, -8);
	CHECK(pcpu_map_find(map, 1) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(map, 7) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(map, 8) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(map, 9) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(map, 23) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(map, 31) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(map, 32) == -PCPU_E_WILD);
	CHECK(pcpu_map_find(map, 33) == -PCPU_E_WILD);
}

TEST(find_in_a_map_without_entries_is_wild)
{
	set_map(0, 0, NULL, 0);
	CHECK(pcpu_map_find(map, 0) == -PCPU_E_WILD);
}

/*
 * A simple model of the map: for each byte of a unit the area that it belongs
 * to; 0 is free.
 */
#define UNIT	256

static int owner[UNIT];

/* first fit over bytes, with the rules for heads and tails below four bytes */
static int model_alloc(int id, int size, int align)
{
	int start, end, at, i;

	for (start = 0; start < UNIT; start = end) {
		end = start + 1;
		if (owner[start])
			continue;
		while (end < UNIT && !owner[end])
			end++;
		for (at = start; at % align; at++)
			;
		if (at + size > end)
			continue;
		for (i = start; at - start < 4 && i < at; i++)
			owner[i] = owner[start - 1];
		for (i = at; i < at + size; i++)
			owner[i] = id;
		for (; end - (at + size) < 4 && i < end; i++)
			owner[i] = id;
		return at;
	}
	return -1;
}

static void model_free(int id)
{
	for (int i = 0; i < UNIT; i++) {
		if (owner[i] == id)
			owner[i] = 0;
	}
}

/* whether the map equals the model, is merged, and has a hint high enough */
static bool map_matches_model(void)
{
	int entries[UNIT], at = 0, free_size = 0, largest = 0;

	pcpu_map_sizes(map, entries);

	for (int i = 0; i < map->map_used; i++) {
		int size = abs(entries[i]);

		if (size == 0 || at + size > UNIT)
			return false;
		for (int byte = at; byte < at + size; byte++) {
			if (owner[byte] ? owner[byte] != owner[at] ||
					  entries[i] > 0 : entries[i] < 0)
				return false;
		}
		if (entries[i] > 0) {
			if (i && entries[i - 1] > 0)
				return false;
			free_size += size;
			largest = size > largest ? size : largest;
		}
		at += size;
	}
	return at == UNIT && map->free_size == free_size &&
	       map->contig_hint >= largest;
}

TEST(random_requests_match_a_map_of_bytes)
{
	int offset_of[64] = { 0 };	/* offset of area id, -1 when free */
	int failures = 0;

	GIVEN(UNIT, UNIT);
	memset(owner, 0, sizeof(owner));
	memset(offset_of, -1, sizeof(offset_of));
	for (int step = 0; step < 20000; step++) {
		int id = 1 + (int)pick(63);

		if (offset_of[id] >= 0) {
			int index = pcpu_map_find(map, offset_of[id]);

			CHECK(index >= 0);
			if (index < 0)
				return;
			pcpu_map_release(map, index);
			model_free(id);
			offset_of[id] = -1;
		} else {
			int size = 1 + (int)pick(step & 1 ? 9 : 40);
			int align = 1 << pick(6);

			offset_of[id] = alloc(size, align);
			CHECK(offset_of[id] == model_alloc(id, size, align));
			failures += offset_of[id] < 0;
		}
		CHECK(map_matches_model());
	}
	/* the unit was sometimes full and sometimes empty */
	CHECK(failures > 100 && failures < 15000);
}
