// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_walk.c - which chunk serves a request, and what the 2009 file would visit
 * on the way.
 *
 * "2@48, 3 slots, 5 chunks, 9 entries" means: chunk 2 serves it at offset 48,
 * after a walk along so many slots and chunks, in whose maps so many entries
 * were scanned.  Each walk is compared with a plain one: along each chunk, along
 * each entry.
 *
 * Units have 1 KiB.  The first chunk, 0, is full.  Free bytes and slots:
 *
 *	slot	0	1	2	3	4	5	6	7	9
 *	free	none	4-	16-	32-	64-	128-	256-	512-	all
 */
#include <limits.h>
#include <stdlib.h>

#include "area_map/area_map.h"
#include "area_map/chunk.h"
#include "hints.h"
#include "small.h"

static struct pcpu *pcpu;
static struct pcpu_work work;
static struct pcpu_chunk *served; /* the last one that had a place, or NULL */

/* --- a plain walk */

struct outcome {
	int64_t id;		/* of the chunk, or -1 */
	int offset;		/* of the area */
	int error;		/* if there is no chunk: why */
	int slots, chunks, entries; /* visited, scanned */
};

static const struct pcpu_area_map *map_in(const struct list_head *pos)
{
	return &list_entry(pos, const struct area_map_chunk, chunk.list)->map;
}

/* the index of the first entry that holds an area, or map_used */
static int plain_fit(const struct pcpu_area_map *map, int size, int align)
{
	int i = 0;

	while (i < map->map_used &&
	       !pcpu_edge_holds(pcpu_map_edge(map, i), size, align))
		i++;
	return i;
}

static struct outcome plain_walk(int size, int align)
{
	struct outcome walk = { -1, 0, PCPU_NO_SPACE, 0, 0, 0 };
	const struct list_head *pos;
	int slot = size == UNIT ? 9 : __pcpu_size_to_slot(size);

	for (; slot < pcpu->geo.nr_slots; slot++) {
		walk.slots++;
		list_for_each(pos, &pcpu->slots[slot]) {
			const struct pcpu_area_map *map = map_in(pos);
			int i;

			walk.chunks++;
			if (size > map->contig_hint)
				continue;
			i = plain_fit(map, size, align);
			walk.entries += i;
			if (i == map->map_used)
				continue;
			walk.entries++;
			walk.id = list_entry(pos, const struct pcpu_chunk,
					     list)->id;
			walk.offset = pcpu_align_up(
				pcpu_edge_offset(*pcpu_map_edge(map, i)), align);
			return walk;
		}
	}
	return walk;
}

static struct outcome port_walk(int size, int align)
{
	struct outcome walk = { -1, 0, 0, 0, 0, 0 };

	work = (struct pcpu_work){ 0 };
	pcpu->work = &work;
	served = area_map_alloc(pcpu, size, align, &walk.offset, &walk.error);
	walk.id = served ? served->id : -1;
	walk.slots = (int)work.slots_visited;
	walk.chunks = (int)work.chunks_visited;
	walk.entries = (int)work.entries_scanned;
	return walk;
}

static const char *outcome_text(struct outcome walk)
{
	static char text[128];
	char *at = text;

	if (walk.id >= 0)
		at += sprintf(at, "%d@%d", (int)walk.id, walk.offset);
	else
		at += sprintf(at, walk.error == PCPU_NO_SPACE ? "none" :
							       "no memory");
	sprintf(at, ", %d slots, %d chunks, %d entries", walk.slots,
		walk.chunks, walk.entries);
	return text;
}

/* what the port and the plain walk find */
#define CHECK_WALK(size, align, text)					\
	do {								\
		CHECK(same_text(outcome_text(plain_walk(size, align)), text)); \
		CHECK(same_text(outcome_text(port_walk(size, align)), text)); \
	} while (0)

/* --- chunks */

static void start(void)
{
	pcpu = small(1);
	pcpu->work = &work;
	CHECK(!area_map_take_at(pcpu, pcpu->first_chunk, STATIC,
				UNIT - STATIC));
	CHECK_SLOTS(pcpu, "0:0");
}

static void release(struct pcpu_chunk *chunk, int offset)
{
	int size, index = area_map_find(chunk, offset, &size);

	CHECK(index >= 0);
	pcpu_free_area(pcpu, chunk, index);
}

/* a chunk with entries of these sizes, and a hint that may be too high */
static struct area_map_chunk *make(int hint, const int *sizes, int n)
{
	int error;
	struct pcpu_chunk *chunk = pcpu_create_chunk(pcpu, &error);
	struct area_map_chunk *made = to_area_map(chunk);

	for (int i = 0, at = 0; i < n; at += abs(sizes[i++]))
		CHECK(!area_map_take_at(pcpu, chunk, at, abs(sizes[i])));
	for (int i = 0, at = 0; i < n; at += abs(sizes[i++]))
		if (sizes[i] > 0)
			release(chunk, at);
	made->map.contig_hint = hint;
	pcpu_chunk_relocate(pcpu, made);
	return made;
}

/* the chunk becomes the first one of its slot */
#define MAKE(hint, ...) \
	make(hint, (int[]){ __VA_ARGS__ }, \
	     (int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int)))

/* 40 bytes are free, but not 32 that are aligned to 32
 *
 *	|####|..........|####|
 *	0    4         44 1024
 */
static struct area_map_chunk *make_misaligned(void)
{
	return MAKE(40, -4, 40, -980);
}

static struct pcpu_group *group_of(struct area_map_chunk *chunk)
{
	CHECK(chunk->chunk.group);
	return chunk->chunk.group;
}

/* --- the walk */

TEST(the_fullest_chunk_that_has_a_place_serves_a_request)
{
	start();
	MAKE(1024, 1024);
	MAKE(300, -724, 300);
	MAKE(100, -924, 100);
	CHECK_SLOTS(pcpu, "0:0 4:3 6:2 9:1");
	CHECK_WALK(200, 4, "2@724, 2 slots, 1 chunks, 2 entries");
	CHECK_WALK(100, 4, "3@924, 1 slots, 1 chunks, 2 entries");
	CHECK_WALK(1024, 4, "1@0, 1 slots, 1 chunks, 1 entries");
	CHECK_WALK(4, 4, "2@924, 4 slots, 1 chunks, 3 entries");
	CHECK_WALK(97, 4, "none, 6 slots, 1 chunks, 0 entries");
	pcpu_destroy(pcpu);
}

TEST(chunks_with_a_hint_below_the_request_are_visited_but_not_scanned)
{
	start();
	MAKE(60, -964, 60);
	make_misaligned();
	MAKE(20, -4, 20, -4, 20, -976);
	CHECK_SLOTS(pcpu, "0:0 3:3,2,1");
	CHECK_WALK(32, 32, "1@992, 1 slots, 3 chunks, 5 entries");
	CHECK_WALK(41, 1, "none, 7 slots, 2 chunks, 0 entries");
	pcpu_destroy(pcpu);
}

TEST(a_failed_request_visits_all_slots_from_its_own_on)
{
	start();
	make_misaligned();
	MAKE(24, -1000, 24);
	CHECK_WALK(32, 32, "none, 7 slots, 1 chunks, 3 entries");
	CHECK_WALK(1024, 4, "none, 1 slots, 0 chunks, 0 entries");
	CHECK_WALK(25, 4, "1@4, 2 slots, 2 chunks, 2 entries");
	pcpu_destroy(pcpu);
}

/* the mask has bits of slots that were left; a walk clears them */
TEST(a_slot_that_is_empty_is_passed)
{
	struct area_map_chunk *chunk;

	start();
	chunk = MAKE(40, -984, 40);
	MAKE(300, -724, 300);
	CHECK(!area_map_take_at(pcpu, &chunk->chunk, 984, 40));
	CHECK_SLOTS(pcpu, "0:0,1 6:2");
	CHECK(pcpu->slot_mask & 1 << 3);
	CHECK_WALK(36, 4, "2@724, 4 slots, 1 chunks, 2 entries");
	CHECK(!(pcpu->slot_mask & 1 << 3) && pcpu->slot_mask & 1 << 6);
	pcpu_destroy(pcpu);
}

/* the first chunk is tried before the walk, which does not visit it again */
TEST(the_first_chunk_is_counted_once)
{
	start();
	MAKE(60, -964, 60);
	make_misaligned();
	CHECK_SLOTS(pcpu, "0:0 3:2,1");
	CHECK_WALK(32, 32, "1@992, 1 slots, 2 chunks, 5 entries");
	pcpu_destroy(pcpu);
}

/* 16 free bytes in four ranges, so that the true hint is below the request
 *
 *	|.|#|.|#|.|#| ... |###|
 *	0 1 2 3 4 5
 */
static struct area_map_chunk *make_crumbs(int hint)
{
	return MAKE(hint, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1,
		    -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1, -1, 1,
		    -993);
}

/* with "walk", the 2009 file goes on in slot 0 */
TEST(the_walk_goes_on_where_a_chunk_moved_to_slot_0)
{
	start();
	MAKE(20, -1004, 20);
	make_crumbs(20);
	make_crumbs(20);
	CHECK_SLOTS(pcpu, "0:0 2:3,2,1");
	CHECK_WALK(16, 4, "1@1004, 1 slots, 3 chunks, 66 entries");
	CHECK_SLOTS(pcpu, "0:0,3,2 1:1");
	pcpu_destroy(pcpu);
}

/* all chunks of slot 2 move; the walk is not over */
TEST(the_walk_goes_on_after_a_slot_that_it_has_emptied)
{
	start();
	MAKE(300, -724, 300);
	make_crumbs(20);
	CHECK_WALK(16, 4, "1@724, 5 slots, 2 chunks, 34 entries");
	CHECK_SLOTS(pcpu, "0:0,2 6:1");
	pcpu_destroy(pcpu);
}

/* --- groups */

TEST(a_slot_gets_groups_when_a_walk_visits_more_than_8_chunks)
{
	start();
	for (int i = 0; i < 8; i++)
		MAKE(40, -984, 40);
	CHECK_WALK(50, 4, "none, 7 slots, 8 chunks, 0 entries");
	CHECK(list_empty(&pcpu->slot_groups[3]));
	MAKE(40, -984, 40);
	CHECK_WALK(50, 4, "none, 7 slots, 9 chunks, 0 entries");
	CHECK(!list_empty(&pcpu->slot_groups[3]));
	CHECK_WALK(50, 4, "none, 7 slots, 9 chunks, 0 entries");
	pcpu_destroy(pcpu);
}

/* the ninth serves it and moves away */
TEST(a_slot_gets_groups_also_if_the_walk_ends_there)
{
	start();
	MAKE(60, -964, 60);
	for (int i = 0; i < 8; i++)
		MAKE(40, -984, 40);
	CHECK_WALK(50, 4, "1@964, 1 slots, 9 chunks, 2 entries");
	CHECK_SLOTS(pcpu, "0:0 1:1 3:9,8,7,6,5,4,3,2");
	CHECK(!list_empty(&pcpu->slot_groups[3]));
	pcpu_destroy(pcpu);
}

/* the same slot twice: with groups, and without */
TEST(chunks_in_groups_are_counted_one_by_one)
{
	for (int groups = 0; groups < 2; groups++) {
		start();
		MAKE(60, -964, 60);
		for (int i = 0; i < 4; i++)
			make_misaligned();
		for (int i = 0; i < 36; i++)
			MAKE(24, -4, 24, -4, 24, -968);
		for (int i = 0; i < 2; i++)
			make_misaligned();
		if (groups)
			pcpu_make_groups(pcpu, 3);
		CHECK_WALK(50, 4, "1@964, 1 slots, 43 chunks, 2 entries");
		CHECK_WALK(32, 32, "none, 7 slots, 42 chunks, 18 entries");
		CHECK_WALK(32, 4, "43@4, 1 slots, 1 chunks, 2 entries");
		CHECK_WALK(32, 32, "none, 7 slots, 41 chunks, 15 entries");
		CHECK_WALK(32, 8, "42@8, 1 slots, 1 chunks, 2 entries");
		CHECK_WALK(28, 4, "5@4, 2 slots, 37 chunks, 2 entries");
		pcpu_destroy(pcpu);
	}
}

/* hints and the groups' copies of them
 *
 *	largest 24: 24 24 ...  <->  largest 24: 24 24
 */
TEST(a_walk_lowers_what_a_group_says_is_the_largest_hint)
{
	struct area_map_chunk *first, *last;

	start();
	last = MAKE(24, -4, 24, -4, 24, -968);
	for (int i = 0; i < 32; i++)
		first = MAKE(24, -4, 24, -4, 24, -968);
	pcpu_make_groups(pcpu, 3);
	CHECK(first->chunk.group != last->chunk.group);
	first->chunk.group->largest = last->chunk.group->largest = 60;
	CHECK_WALK(50, 4, "none, 7 slots, 33 chunks, 0 entries");
	CHECK(first->chunk.group->largest == 24 && last->chunk.group->largest == 24);
	pcpu_destroy(pcpu);
}

/* groups on slot 3, of which each has one chunk left, and 31 free seats */
static struct area_map_chunk *left[9];

static void make_sparse_groups(int n)
{
	struct area_map_chunk *chunks[9 * 32];

	start();
	left[0] = MAKE(60, -964, 60);	/* the last one, with a place */
	for (int i = 1; i < n * 32; i++)
		chunks[i] = MAKE(24, -4, 24, -4, 24, -968);
	pcpu_make_groups(pcpu, 3);
	for (int i = 1; i < n * 32; i++) {
		if (i % 32)
			pcpu_kill_chunk(pcpu, &chunks[i]->chunk);
		else
			left[i / 32] = chunks[i];
	}
	CHECK(left[0]->chunk.group != left[1]->chunk.group);
}

TEST(a_walk_past_many_free_seats_makes_fewer_groups)
{
	struct pcpu_group *group;

	make_sparse_groups(9);
	CHECK_WALK(61, 4, "none, 7 slots, 9 chunks, 0 entries");
	group = left[0]->chunk.group;
	CHECK(group->nr_chunks == 9 && left[8]->chunk.group == group);
	CHECK(group->seats == 0x1ff);
	pcpu_destroy(pcpu);
}

/* the chunk that serves the request leaves the slot, and its group is spare */
TEST(a_walk_past_many_free_seats_makes_fewer_groups_also_if_it_ends_there)
{
	make_sparse_groups(9);
	CHECK_WALK(50, 4, "1@964, 1 slots, 9 chunks, 2 entries");
	CHECK(!left[0]->chunk.group && left[1]->chunk.group == left[8]->chunk.group);
	CHECK(left[1]->chunk.group->nr_chunks == 8);
	pcpu_destroy(pcpu);
}

TEST(a_walk_past_few_free_seats_leaves_the_groups_as_they_are)
{
	make_sparse_groups(8);
	CHECK_WALK(61, 4, "none, 7 slots, 8 chunks, 0 entries");
	CHECK(left[0]->chunk.group != left[1]->chunk.group && left[0]->chunk.seat == 31);
	pcpu_destroy(pcpu);
}

/* many: 128 more than half of all, so 129 with 15 chunks, 128 with 16 */
TEST(free_seats_count_in_proportion_to_the_chunks)
{
	make_sparse_groups(9);
	for (int i = 0; i < 7; i++)	/* they come to the first group */
		MAKE(24, -4, 24, -4, 24, -968);
	CHECK_WALK(61, 4, "none, 7 slots, 16 chunks, 0 entries");
	CHECK(left[0]->chunk.group != left[1]->chunk.group);
	pcpu_kill_chunk(pcpu, &left[8]->chunk);
	CHECK_WALK(61, 4, "none, 7 slots, 15 chunks, 0 entries");
	CHECK(left[0]->chunk.group == left[1]->chunk.group);
	pcpu_destroy(pcpu);
}

/* the copy of a hint is wrong here, so that the answer shows what was read */
TEST(a_group_whose_largest_hint_is_too_small_is_passed)
{
	struct area_map_chunk *chunk;

	start();
	chunk = MAKE(60, -964, 60);
	MAKE(24, -4, 24, -4, 24, -968);
	pcpu_make_groups(pcpu, 3);
	chunk->chunk.group->largest = 49;
	CHECK(port_walk(50, 4).id == -1 && work.chunks_visited == 2);
	chunk->chunk.group->largest = 50;
	CHECK(port_walk(50, 4).id == 1);
	pcpu_destroy(pcpu);
}

/* --- a failed request, remembered by the group */

/* three chunks in a group, after a failed request */
static struct pcpu_group *after_failure(void)
{
	struct area_map_chunk *chunk;

	start();
	make_misaligned();
	MAKE(24, -4, 24, -4, 24, -968);
	chunk = make_misaligned();
	pcpu_make_groups(pcpu, 3);
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 6 entries");
	CHECK(group_of(chunk)->largest == 40);
	return group_of(chunk);
}

/* the number of entries is wrong here, so that it shows where it comes from */
TEST(a_failed_request_fails_again_without_a_scan)
{
	struct pcpu_group *group = after_failure();

	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 6 entries");
	group->failed_entries = 100;
	CHECK(same_text(outcome_text(port_walk(32, 32)),
			"none, 7 slots, 3 chunks, 100 entries"));
	CHECK(same_text(outcome_text(port_walk(32, 64)),
			"none, 7 slots, 3 chunks, 100 entries"));
	pcpu_destroy(pcpu);
}

TEST(a_request_of_another_size_or_a_smaller_alignment_is_tried)
{
	after_failure();
	CHECK_WALK(33, 32, "none, 7 slots, 3 chunks, 6 entries");
	pcpu_destroy(pcpu);
	after_failure();
	CHECK_WALK(31, 1, "3@4, 2 slots, 1 chunks, 2 entries");
	pcpu_destroy(pcpu);
	after_failure();
	CHECK_WALK(32, 8, "3@8, 1 slots, 1 chunks, 2 entries");
	pcpu_destroy(pcpu);
}

/* chunk 1, the last of the three, has room from 32 to 64 after a free */
TEST(a_failed_request_is_tried_again_after_a_free)
{
	struct area_map_chunk *chunk;

	start();
	chunk = MAKE(40, -4, 40, -20, -960);
	MAKE(24, -4, 24, -4, 24, -968);
	make_misaligned();
	pcpu_make_groups(pcpu, 3);
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 7 entries");
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 7 entries");
	release(&chunk->chunk, 44);
	CHECK_SLOTS(pcpu, "0:0 3:3,2,1");
	CHECK_WALK(32, 32, "1@32, 1 slots, 3 chunks, 5 entries");
	pcpu_destroy(pcpu);
}

/* the maps that are scanned differ */
TEST(a_failed_request_counts_the_maps_as_they_are)
{
	struct pcpu_group *group = after_failure();

	CHECK_WALK(4, 4, "3@4, 3 slots, 1 chunks, 2 entries");
	CHECK(!pcpu_group_failed(group, 32, 32));
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 7 entries");
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 7 entries");
	make_misaligned();	/* it joins them */
	CHECK_WALK(32, 32, "none, 7 slots, 4 chunks, 10 entries");
	CHECK_WALK(32, 32, "none, 7 slots, 4 chunks, 10 entries");
	pcpu_destroy(pcpu);
}

/* a hint is too high at first: only the scan of the first time counts it */
TEST(a_failed_request_counts_the_maps_with_an_exact_hint)
{
	start();
	MAKE(50, -4, 24, -4, 24, -968);
	make_misaligned();
	MAKE(50, -4, 24, -4, 24, -968);
	pcpu_make_groups(pcpu, 3);
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 13 entries");
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 3 entries");
	CHECK_WALK(32, 32, "none, 7 slots, 3 chunks, 3 entries");
	pcpu_destroy(pcpu);
}

/* --- chunks that move while their group is walked */

TEST(a_chunk_that_moves_to_slot_0_leaves_its_group)
{
	struct area_map_chunk *one, *two, *three;

	start();
	one = MAKE(20, -4, 20, -1000);
	two = make_crumbs(20);
	three = MAKE(20, -4, 20, -1000);
	pcpu_make_groups(pcpu, 2);
	CHECK_WALK(16, 32, "none, 8 slots, 3 chunks, 38 entries");
	CHECK_SLOTS(pcpu, "0:0,2 2:3,1");
	CHECK(!two->chunk.group && three->chunk.group == one->chunk.group);
	CHECK(one->chunk.group->nr_chunks == 2 && one->chunk.group->largest == 20);
	CHECK_WALK(16, 32, "none, 8 slots, 2 chunks, 6 entries");
	CHECK_WALK(16, 4, "3@4, 1 slots, 1 chunks, 2 entries");
	pcpu_destroy(pcpu);
}

/* free ranges of 3 bytes that are not aligned to 4; of 4 bytes, the same
 *
 *	|#|...|#####|...|####...	|#|....|####|....|####...
 *	0 1   4     9   12		0 1    5    9    13
 */
TEST(a_chunk_that_moved_is_not_counted_when_a_request_fails_again)
{
	start();
	MAKE(4, -1, 4, -4, 4, -4, 4, -4, 4, -995);
	MAKE(20, -1, 3, -5, 3, -5, 3, -5, 3, -5, 3, -5, 3, -980);
	MAKE(4, -1, 4, -4, 4, -4, 4, -4, 4, -995);
	pcpu_make_groups(pcpu, 2);
	CHECK_WALK(2, 4, "none, 9 slots, 3 chunks, 31 entries");
	CHECK_SLOTS(pcpu, "0:0,2 2:3,1");
	CHECK_WALK(2, 4, "none, 9 slots, 2 chunks, 18 entries");
	pcpu_destroy(pcpu);
}

/* it is tried before the walk along its group */
TEST(the_first_chunk_is_counted_once_also_if_it_moves_to_slot_0)
{
	start();
	MAKE(20, -4, 20, -1000);
	make_crumbs(20);
	pcpu_make_groups(pcpu, 2);
	CHECK_WALK(16, 32, "none, 8 slots, 2 chunks, 35 entries");
	CHECK_SLOTS(pcpu, "0:0,2 2:1");
	pcpu_destroy(pcpu);
}

/* 33 chunks are two groups: the first one is spare after the walk along it */
TEST(the_walk_goes_on_after_a_group_that_it_has_emptied)
{
	struct area_map_chunk *chunk;

	start();
	chunk = MAKE(20, -1004, 20);
	for (int i = 0; i < 32; i++)
		make_crumbs(20);
	pcpu_make_groups(pcpu, 2);
	CHECK_WALK(16, 4, "1@1004, 1 slots, 33 chunks, 1026 entries");
	CHECK_SLOTS(pcpu, "0:0,33,32,31,30,29,28,27,26,25,24,23,22,21,20,19,18,"
			  "17,16,15,14,13,12,11,10,9,8,7,6,5,4,3,2 1:1");
	CHECK(list_empty(&pcpu->slot_groups[2]) && !chunk->chunk.group);
	pcpu_destroy(pcpu);
}

/* --- a map that cannot grow: it has 16 entries, and needs vmalloc for more
 *
 *	|4|4|4| ... |4|....|####|	the free range is entry 14
 *	0 4 8         56  116
 */
static struct area_map_chunk *make_full_map(int free_size)
{
	return MAKE(free_size, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4, -4,
		    -4, -5, free_size, free_size - 967);
}

TEST(the_walk_ends_where_memory_is_lacking)
{
	for (int groups = 0; groups < 2; groups++) {
		start();
		MAKE(60, -964, 60);
		make_full_map(60);
		make_misaligned();
		CHECK_SLOTS(pcpu, "0:0 3:3,2,1");
		if (groups)
			pcpu_make_groups(pcpu, 3);
		fail_at(pcpu, PCPU_VMALLOC, 1);
		CHECK(same_text(outcome_text(port_walk(48, 1)),
				"no memory, 1 slots, 2 chunks, 15 entries"));
		/* nothing is remembered about the group */
		CHECK_WALK(48, 1, "2@57, 1 slots, 2 chunks, 15 entries");
		CHECK_WALK(48, 1, "1@964, 1 slots, 2 chunks, 2 entries");
		pcpu_destroy(pcpu);
	}
}

TEST(memory_may_be_lacking_in_the_first_chunk_of_a_walk)
{
	start();
	make_full_map(60);
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(same_text(outcome_text(port_walk(16, 4)),
			"no memory, 2 slots, 1 chunks, 15 entries"));
	pcpu_destroy(pcpu);
}

/* "half-done": 3 bytes are given away, then the map cannot grow.  With 31 free
 * bytes the chunk belongs in slot 2, but it stays on slot 3, in its group.
 */
TEST(a_chunk_on_a_wrong_slot_is_found_where_it_is)
{
	struct area_map_chunk *chunk;

	start();
	make_misaligned();
	chunk = make_full_map(34);
	pcpu_make_groups(pcpu, 3);
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(port_walk(8, 4).error == NOMEM(VMALLOC));
	CHECK(chunk->slot == 2 && chunk->chunk.group);
	CHECK_SLOTS(pcpu, "0:0 3:2,1");
	CHECK_WALK(16, 4, "2@60, 2 slots, 1 chunks, 15 entries");
	CHECK_SLOTS(pcpu, "0:0 1:2 3:1");	/* 15 bytes */
	pcpu_destroy(pcpu);
}

/* --- at random, with groups on all slots that are long, compared each time */

#define AREAS	2000

static struct area_place {
	struct pcpu_chunk *chunk; /* NULL if it is free */
	int offset;		/* in its units */
} places[AREAS];
static int failures;

/* whether the groups of a slot know the truth about its chunks */
static bool groups_know(int slot)
{
	struct list_head *pos;

	list_for_each(pos, &pcpu->slot_groups[slot]) {
		const struct pcpu_group *group =
			list_entry(pos, struct pcpu_group, list);
		int entries = 0;

		for (int seat = 0; seat < PCPU_GROUP_SEATS; seat++) {
			const struct pcpu_area_map *map;

			if (!(group->seats >> seat & 1))
				continue;
			map = chunk_map(group->chunk[seat]);
			if (group->hint[seat] != map->contig_hint ||
			    group->hint[seat] > group->largest)
				return false;
			if (group->failed_size > map->contig_hint)
				continue;
			if (plain_fit(map, group->failed_size,
				      group->failed_align) < map->map_used)
				return false;
			entries += map->map_used;
		}
		if (group->failed_size < INT_MAX &&
		    group->failed_entries != entries)
			return false;
	}
	return true;
}

/* a walk; if it ends without a place, a new chunk */
static void random_alloc(struct area_place *place, int size, int align)
{
	struct outcome plain = plain_walk(size, align);
	struct outcome port = port_walk(size, align);
	int error;

	place->chunk = served;
	place->offset = port.offset;
	CHECK(port.slots == plain.slots && port.chunks == plain.chunks &&
	      port.entries == plain.entries);
	if (served) {
		CHECK(served->id == plain.id && port.offset == plain.offset);
	} else if (port.error == PCPU_NO_SPACE) {
		CHECK(plain.id < 0);
		place->chunk = pcpu_create_chunk(pcpu, &error);
		CHECK(!pcpu_alloc_area(pcpu, place->chunk, size, align,
				       &place->offset));
	} else {
		CHECK(plain.id >= 0);	/* memory was lacking there */
		failures++;
	}
}

static void random_free(struct area_place *place)
{
	struct pcpu_chunk *spare;

	release(place->chunk, place->offset);
	spare = area_map_spare(pcpu, place->chunk);
	if (spare)
		pcpu_kill_chunk(pcpu, spare);
	place->chunk = NULL;
}

TEST(random_walks_are_those_along_each_chunk)
{
	start();
	failures = 0;
	memset(places, 0, sizeof(places));
	for (int step = 0; step < 30000; step++) {
		struct area_place *place = &places[pick(AREAS)];
		/* areas are short or long by turns; so are their lives */
		int size = 1 + (int)pick(step & 4096 ? 20 : 200);

		if (!pick(64))
			fail_at(pcpu, PCPU_VMALLOC, 1 + pick(3));
		if (!place->chunk)
			random_alloc(place, size, 1 << pick(7));
		else if (pick(step & 8192 ? 1 : 4))
			random_free(place);
		if (step % 16 == 0)
			for (int slot = 0; slot < pcpu->geo.nr_slots; slot++)
				CHECK(groups_know(slot));
	}
	CHECK(pcpu->max_chunks > 100 && failures > 10);
	pcpu_destroy(pcpu);
}
