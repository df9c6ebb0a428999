// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_map.c - scan, split and merge on one chunk's map.
 *
 * Each test has a drawing of the map it starts with: one cell is one entry,
 * #### in use, .... free, the numbers below are offsets.
 */
#include <stdlib.h>
#include <string.h>

#include "area_map/map.h"
#include "harness.h"
#include "percpu.h"
#include "pick.h"

#define ROOM	300

static uint32_t room[ROOM + PCPU_MAP_EXTRA];
static struct pcpu_area_map map;
static struct pcpu_fit fit;

/* put entries into a map; free_size follows from the sizes */
static void fill(struct pcpu_area_map *empty, const int *sizes, int n)
{
	int at = 0;

	pcpu_map_start(empty, 1, 0);
	for (int i = 0; i < n; i++) {
		empty->edge[i] = sizes[i] > 0 ? pcpu_free_from(at) :
						pcpu_in_use_from(at);
		empty->free_size += sizes[i] > 0 ? sizes[i] : 0;
		at += abs(sizes[i]);
	}
	empty->edge[n] = pcpu_in_use_from(at);
	empty->map_used = n;
	empty->first_free = 0;
}

/* the hint is free to lie; @before edges have room in front of the first one */
static void set_map(int before, int hint, const int *sizes, int n)
{
	map = (struct pcpu_area_map){ .contig_hint = hint, .map_alloc = ROOM };
	map.room = room;
	map.edge = room + before;
	fill(&map, sizes, n);
}

static bool map_is(int hint, const int *sizes, int n)
{
	static int found[ROOM];
	int free_size = 0;

	for (int i = 0; i < n; i++)
		free_size += sizes[i] > 0 ? sizes[i] : 0;
	if (map.map_used != n)
		return false;
	pcpu_map_sizes(&map, found);
	return map.contig_hint == hint && map.free_size == free_size &&
	       !memcmp(found, sizes, (size_t)n * sizeof(*sizes));
}

#define LENGTH(...)	(int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))
#define GIVEN(hint, ...) \
	set_map(0, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
#define GIVEN_WITH_ROOM(before, hint, ...) \
	set_map(before, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
#define EXPECT(hint, ...) \
	CHECK(map_is(hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__)))

/* fit and take; the offset, or -1 */
static int alloc(int size, int align)
{
	int used = map.map_used;

	if (!pcpu_map_fit(&map, size, align, &fit))
		return -1;
	CHECK(map.map_used == used);
	used += pcpu_fit_extra(&fit);
	CHECK(used <= ROOM);
	pcpu_map_take(&map, &fit);
	CHECK(map.map_used == used);
	return fit.offset;
}

/* whatever the map was before
 *
 *	|####|####|....|		-> |####|............|
 *	0    8   16   64		   0    8           64
 */
TEST(a_map_that_is_started_knows_nothing_of_earlier_entries)
{
	GIVEN(56, -8, 56);
	CHECK(alloc(8, 4) == 8);
	CHECK(alloc(64, 4) == -1);
	map.contig_hint = map.free_size = 56;
	pcpu_map_start(&map, 8, 56);
	EXPECT(56, -8, 56);
	CHECK(alloc(56, 4) == 8);
}

/*
 *	|................|
 *	0               64
 */
TEST(an_empty_unit_gives_its_start)
{
	GIVEN(64, 64);
	CHECK(alloc(16, 4) == 0);
	EXPECT(48, -16, 48);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_block_that_fits_exactly_is_not_split)
{
	GIVEN(64, 64);
	CHECK(alloc(64, 4) == 0);
	EXPECT(0, -64);
}

/*
 *	|####|....|####|........|
 *	0    8   16   24       64
 */
TEST(the_first_block_that_is_large_enough_is_taken)
{
	GIVEN(40, -8, 8, -8, 40);
	CHECK(alloc(8, 4) == 8);
	EXPECT(40, -8, -8, -8, 40);
}

/*
 *	|####|....|####|........|
 *	0    8   16   24       64
 */
TEST(blocks_that_are_too_small_are_passed)
{
	GIVEN(40, -8, 8, -8, 40);
	CHECK(alloc(12, 4) == 24);
	EXPECT(28, -8, 8, -8, -12, 28);
}

/* large enough for the size, too small with the gap before the aligned start
 *
 *	|####|............|####|................|
 *	0    8           28   32               96
 */
TEST(the_gap_of_an_alignment_counts)
{
	GIVEN(64, -8, 20, -4, 64);
	CHECK(alloc(16, 16) == 32);
	EXPECT(48, -8, 20, -4, -16, 48);
}

/*
 *	|####|...................|
 *	0   12                  64
 */
TEST(a_head_of_four_bytes_stays_a_free_block)
{
	GIVEN(52, -12, 52);
	CHECK(alloc(8, 16) == 16);
	EXPECT(40, -12, 4, -8, 40);
}

/*
 *	|####|...................|
 *	0   13                  64
 */
TEST(a_head_of_three_bytes_is_parked_with_the_area_before)
{
	GIVEN(51, -13, 51);
	CHECK(alloc(8, 16) == 16);
	EXPECT(40, -16, -8, 40);
}

/* the 2009 file does so too when the map cannot grow, see "half-done"
 *
 *	|####|...................|
 *	0   13                  64
 */
TEST(a_head_is_parked_even_if_the_area_is_not_taken)
{
	GIVEN(51, -13, 51);
	CHECK(pcpu_map_fit(&map, 8, 16, &fit));
	EXPECT(51, -16, 48);
	CHECK(fit.index == 1 && fit.offset == 16 && fit.head == 0);
}

/* the head would be parked only in a block that holds the area
 *
 *	|####|...|####|..........|
 *	0   13  17   20         64
 */
TEST(a_block_that_is_passed_keeps_its_head)
{
	GIVEN(44, -13, 4, -3, 44);
	CHECK(alloc(4, 16) == 32);
	EXPECT(28, -13, 4, -3, 12, -4, 28);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_tail_of_four_bytes_stays_a_free_block)
{
	GIVEN(64, 64);
	CHECK(alloc(60, 4) == 0);
	EXPECT(4, -60, 4);
}

/*
 *	|................|
 *	0               64
 */
TEST(a_tail_of_three_bytes_stays_with_the_area)
{
	GIVEN(64, 64);
	CHECK(alloc(61, 4) == 0);
	EXPECT(0, -64);
}

/*
 *	|####|...................|####|
 *	0    4                  40   44
 */
TEST(an_area_in_the_middle_splits_a_block_in_three)
{
	GIVEN(36, -4, 36, -4);
	CHECK(pcpu_map_fit(&map, 8, 16, &fit));
	CHECK(fit.index == 1 && fit.offset == 16);
	CHECK(fit.head == 12 && fit.tail == 16);
	CHECK(pcpu_fit_extra(&fit) == 2);
	pcpu_map_take(&map, &fit);
	EXPECT(36, -4, 12, -8, 16, -4);
}

/*
 *	|####|.......|####|
 *	0    8      32   36
 */
TEST(a_split_at_the_end_leaves_a_head_only)
{
	GIVEN(24, -8, 24, -4);
	CHECK(alloc(16, 16) == 16);
	EXPECT(24, -8, 8, -16, -4);
}

/* the last entry was scanned, so nothing larger can exist anywhere
 *
 *	|####|....|####|..........|		hint 99 lies
 *	0    8   16   24         64
 */
TEST(taking_the_last_entry_makes_the_hint_exact)
{
	GIVEN(99, -8, 8, -8, 40);
	CHECK(alloc(36, 4) == 24);
	EXPECT(8, -8, 8, -8, -36, 4);
}

/* what lies behind was not looked at: an old hint may still be right
 *
 *	|####|....|####|..........|		hint 99 lies
 *	0    8   16   24         64
 */
TEST(taking_an_earlier_entry_does_not_lower_the_hint)
{
	GIVEN(99, -8, 8, -8, 40);
	CHECK(alloc(8, 4) == 8);
	EXPECT(99, -8, -8, -8, 40);
}

/*
 *	|####|..............|####|		hint 4 is too low
 *	0    4             36   40
 */
TEST(taking_an_earlier_entry_raises_the_hint_to_the_tail)
{
	GIVEN(4, -4, 32, -4);
	CHECK(alloc(8, 4) == 4);
	EXPECT(24, -4, -8, 24, -4);
}

/*
 *	|####|..............|####|		hint 4 is too low
 *	0    4             36   40
 */
TEST(taking_an_earlier_entry_raises_the_hint_to_the_head)
{
	GIVEN(4, -4, 32, -4);
	CHECK(alloc(16, 16) == 16);
	EXPECT(12, -4, 12, -16, 4, -4);
}

/*
 *	|####|........|####|....|####|		hint 4 is too low
 *	0    4       20   24   36   40
 */
TEST(taking_an_earlier_entry_raises_the_hint_to_a_passed_one)
{
	GIVEN(4, -1, 19, -12, 16, -4);
	CHECK(alloc(16, 32) == 32);
	EXPECT(19, -1, 19, -12, -16, -4);
}

/*
 *	|####|........|####|....|####|		hint 99 lies
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
TEST(a_released_area_between_areas_stands_alone)
{
	GIVEN(0, -8, -16, -8);
	pcpu_map_release(&map, 1);
	EXPECT(16, -8, 16, -8);
}

/*
 *	|####|....|####|####|
 *	0    8   16   32   40
 */
TEST(a_released_area_merges_with_the_free_block_before)
{
	GIVEN(8, -8, 8, -16, -8);
	pcpu_map_release(&map, 2);
	EXPECT(24, -8, 24, -8);
}

/*
 *	|####|####|....|####|
 *	0    8   24   32   40
 */
TEST(a_released_area_merges_with_the_free_block_behind)
{
	GIVEN(8, -8, -16, 8, -8);
	pcpu_map_release(&map, 1);
	EXPECT(24, -8, 24, -8);
}

/*
 *	|####|....|####|....|####|
 *	0    8   16   32   44   48
 */
TEST(a_released_area_merges_with_both)
{
	GIVEN(12, -8, 8, -16, 12, -4);
	pcpu_map_release(&map, 2);
	EXPECT(36, -8, 36, -4);
}

/*
 *	|####|####|
 *	0    8   64
 */
TEST(the_first_and_the_last_area_can_be_released)
{
	GIVEN(0, -8, -56);
	pcpu_map_release(&map, 0);
	EXPECT(8, 8, -56);
	pcpu_map_release(&map, 1);
	EXPECT(64, 64);
}

/*
 *	|####|####|....|			hint 20 is larger
 *	0    4   12   32
 */
TEST(a_release_does_not_lower_the_hint)
{
	GIVEN(20, -4, -8, 20);
	pcpu_map_release(&map, 0);
	EXPECT(20, 4, -8, 20);
}

/* the sanitizer sees a look before the first entry or behind the last
 *
 *	|####|....|####|
 *	0    8   24   32	three entries, and room for no more
 */
TEST(nothing_outside_of_the_map_is_touched)
{
	static const int sizes[] = { -8, 16, -8 };
	struct pcpu_area_map full = { .map_alloc = 3, .contig_hint = 16 };

	full.room = malloc((3 + PCPU_MAP_EXTRA) * sizeof(*full.room));
	full.edge = full.room;
	fill(&full, sizes, 3);
	CHECK(!pcpu_map_fit(&full, 17, 1, &fit));
	CHECK(pcpu_map_find(&full, 24) == 2);
	CHECK(pcpu_map_find(&full, 32) == -PCPU_E_WILD);
	pcpu_map_release(&full, 2);
	CHECK(full.map_used == 2 && pcpu_map_size(&full, 1) == 24);
	pcpu_map_release(&full, 0);
	CHECK(full.map_used == 1 && pcpu_map_size(&full, 0) == 32);
	CHECK(pcpu_map_fit(&full, 32, 1, &fit));
	pcpu_map_take(&full, &fit);
	CHECK(fit.offset == 0 && full.map_used == 1);
	free(full.room);
}

/* what stands behind moves up, once for each neighbour that is merged
 *
 *	|####|....|####|....|####|####|
 *	0    8   16   32   44   48   52
 */
TEST(a_release_tells_how_many_entries_2009_moves)
{
	GIVEN(12, -8, 8, -16, 12, -4, -4);
	CHECK(pcpu_map_release(&map, 5) == 0);	/* alone: nothing moves */
	CHECK(pcpu_map_release(&map, 2) == 3 + 2); /* first 3 to 5, then 4, 5 */
	EXPECT(36, -8, 36, -4, 4);
	CHECK(pcpu_map_release(&map, 2) == 1 + 0);
	EXPECT(44, -8, 44);
}

/*
 *	edges	|  |  |a |b |c |		two before them
 *	-> in front, since fewer stand there
 */
TEST(the_row_grows_at_its_nearer_end)
{
	GIVEN_WITH_ROOM(2, 8, 8, -8, -8, -8, -8);
	CHECK(alloc(4, 4) == 0);
	CHECK(map.edge == room + 1);
	EXPECT(8, -4, 4, -8, -8, -8, -8);
}

/* two edges before the gap, three behind it: the end is one too */
TEST(the_row_grows_in_front_when_as_many_entries_stand_before_as_behind)
{
	GIVEN_WITH_ROOM(2, 8, -8, 8, -8, -8);
	CHECK(alloc(4, 4) == 8);
	CHECK(map.edge == room + 1);
	EXPECT(8, -8, -4, 4, -8, -8);
}

TEST(the_row_grows_behind_where_it_is_nearer_its_end)
{
	GIVEN_WITH_ROOM(2, 8, -8, -8, -8, 8, -8);
	CHECK(alloc(4, 4) == 24);
	CHECK(map.edge == room + 2);
	EXPECT(8, -8, -8, -8, -4, 4, -8);
}

/* half of the room goes where it is needed, so that this is rare */
TEST(the_row_slides_back_where_there_is_no_room_in_front)
{
	GIVEN_WITH_ROOM(1, 28, -4, 28, -8, -8, -8, -8);
	map.map_alloc = 11;	/* one edge in front, 5 behind */
	CHECK(alloc(8, 16) == 16);	/* a head and a tail: two more */
	CHECK(map.edge == room + 3 - 2);
	EXPECT(28, -4, 12, -8, 8, -8, -8, -8, -8);
}

/* room for 5 in all: two in front, none behind */
TEST(the_row_slides_forward_where_there_is_no_room_behind)
{
	GIVEN_WITH_ROOM(2, 8, -8, -8, -8, 8);
	map.map_alloc = 5;
	CHECK(alloc(4, 4) == 24);
	CHECK(map.edge == room + 1);
	EXPECT(4, -8, -8, -8, -4, 4);
}

TEST(room_that_is_just_enough_is_used)
{
	GIVEN_WITH_ROOM(2, 28, -4, 28, -8, -8, -8, -8);
	CHECK(alloc(8, 16) == 16);
	CHECK(map.edge == room);
	GIVEN_WITH_ROOM(2, 8, -8, -8, -8, 8);
	map.map_alloc = 6;	/* one edge of room behind */
	CHECK(alloc(4, 4) == 24);
	CHECK(map.edge == room + 2);
}

/* 3 edges of room, one in front: two go there, and both are needed */
TEST(the_last_room_is_enough_for_two_entries)
{
	GIVEN_WITH_ROOM(1, 28, -4, 28, -8, -8);
	map.map_alloc = 6;
	CHECK(alloc(8, 16) == 16);
	CHECK(map.edge == room && map.map_used == map.map_alloc);
	EXPECT(28, -4, 12, -8, 8, -8, -8);
	GIVEN_WITH_ROOM(2, 24, -8, -8, -4, 32);
	map.map_alloc = 6;
	CHECK(alloc(8, 16) == 32);
	CHECK(map.edge == room + 1 && map.map_used == map.map_alloc);
	EXPECT(12, -8, -8, -4, 12, -8, 12);
}

TEST(the_row_shrinks_at_its_nearer_end)
{
	GIVEN(8, 8, -8, -8, -8, -8, -8);
	pcpu_map_release(&map, 1);
	CHECK(map.edge == room + 1);
	EXPECT(16, 16, -8, -8, -8, -8);
	pcpu_map_release(&map, 4);
	pcpu_map_release(&map, 3);
	CHECK(map.edge == room + 1);
	EXPECT(16, 16, -8, -8, 16);
}

/* long rows are moved by the C library
 *
 *	|....|####|####|  ...  |####|
 */
TEST(many_entries_can_be_moved)
{
	int sizes[41], expected[41];

	for (int i = 0; i < 41; i++)
		sizes[i] = expected[i] = i == 20 ? 8 : -8;
	set_map(0, 8, sizes, 41);
	CHECK(alloc(4, 4) == 160);
	CHECK(alloc(4, 4) == 164);
	CHECK(map.map_used == 42 && map.free_size == 0);
	pcpu_map_release(&map, 20);
	pcpu_map_release(&map, 21);
	CHECK(map_is(8, expected, 41));
}

/* what was not found is not there until something changes
 *
 *	|####|....|########|....|####|
 *	0    4   12       24   32   36
 */
TEST(a_search_that_failed_is_not_done_again)
{
	GIVEN(8, -4, 8, -12, 8, -4);
	CHECK(alloc(8, 16) == -1);
	CHECK(map.failed_size == 8 && map.failed_align == 16);
	map.edge[2] = pcpu_free_from(12);	/* 16 to 24, but nobody looks */
	CHECK(alloc(8, 16) == -1 && fit.index == 5);
	CHECK(alloc(9, 32) == -1 && fit.index == 5);
	map.edge[2] = pcpu_in_use_from(12);
	CHECK(alloc(4, 16) == -1);	/* easier to please: looked for */
	CHECK(map.failed_size == 4);
	CHECK(alloc(8, 8) == 24);
}

TEST(a_release_lets_a_search_be_done_again)
{
	GIVEN(8, -4, 8, -8, 8, -4);
	CHECK(alloc(16, 4) == -1);
	pcpu_map_release(&map, 2);
	CHECK(alloc(16, 4) == 4);
}

/* there is less room than the search found, so the hint is not exact any more
 *
 *	|####|....|####|		-> |####|##|..|####|
 *	0    4   12   20		   0    4  8 12   20
 */
TEST(an_allocation_lets_a_search_be_done_again)
{
	GIVEN(99, -4, 8, -8);
	CHECK(alloc(8, 16) == -1);
	CHECK(alloc(4, 4) == 4);
	EXPECT(8, -4, -4, 4, -8);
	CHECK(alloc(8, 16) == -1);
	EXPECT(4, -4, -4, 4, -8);
}

/*
 *	|####|...................|	-> |######|................|
 *	0   13                  64	   0     16               64
 */
TEST(a_head_that_is_parked_lets_a_search_be_done_again)
{
	GIVEN(99, -13, 51);
	CHECK(alloc(60, 4) == -1);
	CHECK(pcpu_map_fit(&map, 8, 16, &fit));
	EXPECT(51, -16, 48);
	CHECK(alloc(60, 4) == -1);
	EXPECT(48, -16, 48);
}

/*
 *	|####|####|####|................|
 *	0    8   16   24               64
 */
TEST(areas_before_the_first_hole_are_not_looked_at_again)
{
	GIVEN(40, -8, -8, -8, 40);
	CHECK(alloc(8, 4) == 24);
	CHECK(map.first_free == 4);	/* behind the new one */
	CHECK(alloc(64, 4) == -1);
	CHECK(map.first_free == 4);
	pcpu_map_release(&map, 1);
	CHECK(map.first_free == 1);
	EXPECT(32, -8, 8, -8, -8, 32);
}

/* a search that fits nothing or not at once passes areas, too */
TEST(a_search_learns_where_the_first_hole_is)
{
	GIVEN(8, -8, -8, 8, -8);
	CHECK(map.first_free == 0);
	CHECK(alloc(8, 32) == -1);
	CHECK(map.first_free == 0);	/* a hole was passed */
	CHECK(alloc(8, 8) == 16);
	CHECK(map.first_free == 3);
}

/*
 *	|####|......|####|....|####|
 *	0    4     16   24   32   36
 */
TEST(after_an_allocation_a_search_makes_the_hint_exact_again)
{
	GIVEN(12, -4, 12, -8, 8, -4);
	CHECK(alloc(12, 16) == -1);
	CHECK(alloc(12, 4) == 4);
	EXPECT(12, -4, -12, -8, 8, -4);
	CHECK(alloc(12, 16) == -1);
	EXPECT(8, -4, -12, -8, 8, -4);
}

/* the same where the area was not taken after all
 *
 *	|#####|......|####|...|##|
 *	0     5     16   24  30 32
 */
TEST(after_a_head_was_parked_a_search_makes_the_hint_exact_again)
{
	GIVEN(11, -5, 11, -8, 6, -2);
	CHECK(alloc(32, 4) == -1);
	CHECK(pcpu_map_fit(&map, 8, 8, &fit));
	CHECK(alloc(32, 4) == -1);
	EXPECT(8, -8, 8, -8, 6, -2);
}

/* take a given place; whether it was free */
static bool take_at(int offset, int size)
{
	if (!pcpu_map_fit_at(&map, offset, size, &fit))
		return false;
	CHECK(fit.offset == offset);
	pcpu_map_take(&map, &fit);
	return true;
}

/*
 *	|................|	-> |....|####|........|
 *	0               64	   0   16   24       64
 */
TEST(a_given_place_splits_a_free_entry_in_three)
{
	GIVEN(64, 64);
	CHECK(take_at(16, 8));
	/* the other entries were not looked at, so the hint stays */
	EXPECT(64, 16, -8, 40);
	CHECK(alloc(16, 1) == 0);
	CHECK(alloc(40, 1) == 24);
	EXPECT(0, -16, -8, -40);
}

/*
 *	|####|....|####|....|
 *	0    8   24   32   64
 */
TEST(a_given_place_may_be_the_start_the_end_or_all_of_a_free_entry)
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
TEST(a_given_place_that_is_not_free_or_not_in_the_map_is_refused)
{
	GIVEN(32, -8, 16, -8, 32);
	CHECK(!take_at(0, 8));		/* an area */
	CHECK(!take_at(4, 8));		/* its end, and free bytes */
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

/* three bytes are not worth an entry, as in the search
 *
 *	|####|................|	-> |######|#############|
 *	0    8               64	   0     10            64
 */
TEST(small_rests_of_a_given_place_join_areas)
{
	GIVEN(56, -8, 56);
	CHECK(take_at(10, 51));
	EXPECT(56, -10, -54);
	GIVEN(56, -8, 56);
	CHECK(take_at(12, 48));
	EXPECT(56, -8, 4, -48, 4);
}

/* nothing is before the gap that could take it
 *
 *	|....................|
 *	0                   64
 */
TEST(a_given_place_one_to_three_bytes_into_an_empty_unit_is_refused)
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
}

/*
 *	|####|....|####|####|....|
 *	0    8   24   32   40   64
 */
TEST(the_next_area_starts_at_an_offset_or_after)
{
	GIVEN(24, -8, 16, -8, -8, 24);
	CHECK(pcpu_map_next(&map, 0) == 0);
	CHECK(pcpu_map_next(&map, 1) == 2);
	CHECK(pcpu_map_next(&map, 8) == 2);
	CHECK(pcpu_map_next(&map, 24) == 2);
	CHECK(pcpu_map_next(&map, 25) == 3);
	CHECK(pcpu_map_next(&map, 32) == 3);
	CHECK(pcpu_map_next(&map, 33) == map.map_used);
	CHECK(pcpu_map_next(&map, 64) == map.map_used);
	CHECK(pcpu_map_next(&map, 65) == map.map_used);
	map.map_used = 0;
	CHECK(pcpu_map_next(&map, 0) == 0);
}

/*
 *	|####|....|####|
 *	0    8   24   32
 */
TEST(find_returns_the_entry_of_an_area)
{
	GIVEN(16, -8, 16, -8);
	CHECK(pcpu_map_find(&map, 0) == 0);
	CHECK(pcpu_map_find(&map, 24) == 2);
}

/* whatever was touched last is only where the search begins
 *
 *	|####|....|####|####|....|####|
 *	0    8   16   24   32   40   48
 */
TEST(find_does_not_depend_on_what_was_touched_last)
{
	GIVEN(8, -8, 8, -8, -8, 8, -8);
	/* behind the end, left by a longer row */
	map.edge[map.map_used + 1] = pcpu_in_use_from(16);
	for (map.last = 0; map.last <= map.map_used; map.last++) {
		CHECK(pcpu_map_find(&map, 0) == 0);
		CHECK(pcpu_map_find(&map, 8) == -PCPU_E_NOT_LIVE);
		CHECK(pcpu_map_find(&map, 16) == 2);
		CHECK(pcpu_map_find(&map, 24) == 3);
		CHECK(pcpu_map_find(&map, 40) == 5);
		CHECK(pcpu_map_find(&map, 41) == -PCPU_E_INTERIOR);
		CHECK(pcpu_map_find(&map, 48) == -PCPU_E_WILD);
	}
}

/*
 *	|####|................|####|
 *	0    8               40   48
 */
TEST(what_was_touched_last_is_remembered)
{
	GIVEN(32, -8, 32, -8);
	CHECK(alloc(8, 8) == 8 && map.last == 1);
	CHECK(alloc(8, 32) == 32 && map.last == 3);	/* behind a head */
	pcpu_map_release(&map, 1);
	CHECK(map.last == 1);
	pcpu_map_release(&map, 2);	/* merges with the hole before it */
	CHECK(map.last == 1);
	EXPECT(32, -8, 32, -8);
}

/* in reverse no search by halves finds the areas, only a look at them does
 *
 *	edges	| 32 | 24 | 16 |  8 |  0 | end 40
 *	                    last
 */
TEST(find_looks_at_what_was_touched_last_and_beside_it_first)
{
	GIVEN(0, -8, -8, -8, -8, -8);
	for (int i = 0; i < 5; i++)
		map.edge[i] = pcpu_in_use_from(32 - 8 * i);
	map.last = 2;
	CHECK(pcpu_map_find(&map, 16) == 2);
	CHECK(pcpu_map_find(&map, 8) == 3);
	CHECK(pcpu_map_find(&map, 24) == 1);
	CHECK(pcpu_map_find(&map, 0) == -PCPU_E_INTERIOR);	/* missed */
}

/*
 *	|####|....|####|
 *	0    8   24   32
 */
TEST(find_tells_free_from_interior_from_wild)
{
	GIVEN(16, -8, 16, -8);
	CHECK(pcpu_map_find(&map, 1) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(&map, 7) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(&map, 8) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(&map, 9) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(&map, 23) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_map_find(&map, 31) == -PCPU_E_INTERIOR);
	CHECK(pcpu_map_find(&map, 32) == -PCPU_E_WILD);
	CHECK(pcpu_map_find(&map, 33) == -PCPU_E_WILD);
}

TEST(find_in_a_map_without_entries_is_wild)
{
	map = (struct pcpu_area_map){ 0 };
	CHECK(pcpu_map_find(&map, 0) == -PCPU_E_WILD);
}

/*
 * The naive model: one cell for each byte of a unit says to which area it
 * belongs, 0 is free.
 */
#define UNIT	256

static int owner[UNIT];

/* first fit over bytes, with the two rules for less than four bytes */
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

/* the map says the same as the model, free blocks are merged, the hint holds */
static bool map_matches_model(void)
{
	int entries[UNIT], at = 0, free_size = 0, largest = 0;

	pcpu_map_sizes(&map, entries);

	for (int i = 0; i < map.map_used; i++) {
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
	return at == UNIT && map.free_size == free_size &&
	       map.contig_hint >= largest;
}

TEST(random_requests_match_a_map_of_bytes)
{
	int where[64] = { 0 };	/* offset of area id, -1 when free */
	int failures = 0;

	GIVEN(UNIT, UNIT);
	memset(owner, 0, sizeof(owner));
	memset(where, -1, sizeof(where));
	for (int step = 0; step < 20000; step++) {
		int id = 1 + (int)pick(63);

		if (where[id] >= 0) {
			int index = pcpu_map_find(&map, where[id]);

			CHECK(index >= 0);
			if (index < 0)
				return;
			pcpu_map_release(&map, index);
			model_free(id);
			where[id] = -1;
		} else {
			int size = 1 + (int)pick(step & 1 ? 9 : 40);
			int align = 1 << pick(6);

			where[id] = alloc(size, align);
			CHECK(where[id] == model_alloc(id, size, align));
			failures += where[id] < 0;
		}
		CHECK(map_matches_model());
	}
	/* the unit was full at times and empty at others */
	CHECK(failures > 100 && failures < 15000);
}
