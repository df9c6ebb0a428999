// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bitmap_walk.c - walks along slots with many chunks, which are in groups.
 *
 * "2:960, 1 slots, 5 chunks" means: chunk 2 serves the request at offset 960,
 * after a walk along so many slots and chunks, as a kernel would visit them.
 *
 * Chunks are free at the end of their unit, and have no pages there; the first
 * chunk, 0, is full.  Free bytes and slots:
 *
 *	slot	0	1	2	3	4	5	9	10
 *	free	none	4-	16-	32-	64-	128-	sidelined all
 */
#include "grouped.h"
#include "small_bitmap.h"

static struct pcpu *pcpu;

static void start(void)
{
	pcpu = small_bitmap();
	fill_first(pcpu);
	CHECK_LISTS(pcpu, "0:0");
}

static struct bitmap_chunk *create_free(void)
{
	int error;

	return to_bitmap(pcpu_create_chunk(pcpu, &error));
}

/* a chunk with so many bytes free; it becomes the last one of its slot */
static struct bitmap_chunk *make(int bytes)
{
	struct bitmap_chunk *chunk = create_free();

	pcpu_areas_take(&chunk->areas, 0, (UNIT - bytes) / 4, NULL);
	chunk->areas.nr_read = 0;
	bitmap_relocate(pcpu, chunk, pcpu_free_slot(pcpu));
	return chunk;
}

static void make_several(int n, int bytes)
{
	while (n--)
		make(bytes);
}

/* such a chunk, which is isolated and was depopulated */
static void make_sidelined(int bytes)
{
	struct bitmap_chunk *chunk = make(bytes);

	pcpu_isolate_chunk(pcpu, chunk);
	bitmap_move(pcpu, chunk, pcpu_sidelined_slot(pcpu), false);
}

static const char *walk_text(int size, unsigned int flags)
{
	static char text[128];
	const struct pcpu_work *work = &pcpu->alloc_work;
	struct pcpu_work before = *work;
	int64_t ptr = pcpu_alloc_gfp(pcpu, size, 4, flags);

	sprintf(text, "%s, %d slots, %d chunks",
		ptr == -PCPU_E_NO_PLACE ? "none" : place_text(pcpu, ptr),
		(int)(work->slots_visited - before.slots_visited),
		(int)(work->chunks_visited - before.chunks_visited));
	return text;
}

#define CHECK_WALK(size, flags, text) \
	CHECK(same_text(walk_text(size, flags), text))

/* the number of groups of a slot; what they say is true */
static int nr_groups(int slot)
{
	int n = 0;

	CHECK(groups_fit(pcpu, slot, &n));
	return n;
}

static struct pcpu_group *first_group(int slot)
{
	return list_entry(pcpu->slot_groups[slot].next, struct pcpu_group,
			  list);
}

/* --- slots that get groups */

TEST(a_slot_gets_groups_when_a_walk_visits_more_than_8_of_its_chunks)
{
	start();
	make_several(8, 64);
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 8 chunks");
	CHECK(nr_groups(4) == 0);
	make(64);
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 9 chunks");
	CHECK(nr_groups(4) == 1);
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 9 chunks");
	pcpu_destroy(pcpu);
}

/* the ninth serves it and moves to slot 2 */
TEST(a_slot_gets_groups_also_if_the_walk_ends_in_it)
{
	start();
	make_several(8, 64);
	make(100);
	CHECK_WALK(72, 0, "9:924, 1 slots, 9 chunks");
	CHECK_LISTS(pcpu, "0:0 2:9 4:1,2,3,4,5,6,7,8");
	CHECK(nr_groups(4) == 1 && first_group(4)->nr_chunks == 8);
	pcpu_destroy(pcpu);
}

/* chunks that fail there go to slot 0, so the slot is soon short */
TEST(slots_below_3_have_no_groups)
{
	start();
	make_several(10, 20);
	make_several(10, 8);
	CHECK_WALK(24, PCPU_ATOMIC, "none, 9 slots, 10 chunks");
	CHECK_LISTS(pcpu, "0:10,9,8,7,6,5,4,3,2,1,0 "
			  "1:11,12,13,14,15,16,17,18,19,20");
	CHECK_WALK(12, PCPU_ATOMIC, "none, 10 slots, 10 chunks");
	CHECK_LISTS(pcpu, "0:20,19,18,17,16,15,14,13,12,11,"
			  "10,9,8,7,6,5,4,3,2,1,0");
	CHECK(nr_groups(0) == 0 && nr_groups(1) == 0 && nr_groups(2) == 0);
	pcpu_destroy(pcpu);
}

/* the one that serves is reintegrated: it is full now */
TEST(sidelined_chunks_are_walked_in_groups)
{
	start();
	for (int i = 0; i < 9; i++)
		make_sidelined(64);
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 9 chunks");
	CHECK(nr_groups(9) == 1);
	CHECK_WALK(64, 0, "1:960, 6 slots, 1 chunks");
	CHECK_LISTS(pcpu, "0:1,0 9:2,3,4,5,6,7,8,9");
	CHECK(nr_groups(9) == 1 && first_group(9)->nr_chunks == 8);
	pcpu_destroy(pcpu);
}

/* no page is populated, so atomic requests walk along all; work destroys them */
TEST(free_chunks_are_walked_in_groups)
{
	start();
	for (int i = 0; i < 9; i++)
		create_free();
	CHECK_WALK(16, PCPU_ATOMIC, "none, 9 slots, 9 chunks");
	CHECK(nr_groups(10) == 1);
	create_free();
	CHECK_LISTS(pcpu, "0:0 10:10,9,8,7,6,5,4,3,2,1");
	CHECK(nr_groups(10) == 2);
	CHECK_WALK(16, PCPU_ATOMIC, "none, 9 slots, 10 chunks");
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK_LISTS(pcpu, "0:0 10:10");
	CHECK(nr_groups(10) == 1 && list_length(&pcpu->spare_groups) == 1);
	CHECK_WALK(16, 0, "10:0, 9 slots, 1 chunks");
	CHECK_LISTS(pcpu, "0:0 7:10");
	CHECK(nr_groups(10) == 0 && list_length(&pcpu->spare_groups) == 2);
	pcpu_destroy(pcpu);
}

/* allocations do not walk along it */
TEST(a_chunk_to_depopulate_leaves_its_group)
{
	start();
	make_several(9, 64);
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 9 chunks");
	for (int id = 1; id <= 9; id++) {
		pcpu_isolate_chunk(pcpu, chunk_of(pcpu, id));
		CHECK(nr_groups(4) == (id < 9) && nr_groups(11) == 0);
	}
	CHECK_LISTS(pcpu, "0:0 11:9,8,7,6,5,4,3,2,1");
	pcpu_destroy(pcpu);
}

/* --- counts */

/*
 * The same chunks twice: with groups, and without.  Those with 100 free bytes
 * are searched: two blocks that have room, but no pages.
 */
TEST(chunks_in_groups_are_counted_one_by_one)
{
	for (int groups = 0; groups < 2; groups++) {
		start();
		for (int i = 0; i < 20; i++) {
			make(64);
			make(100);
		}
		if (groups)
			pcpu_make_groups(pcpu, 4);
		CHECK(nr_groups(4) == 2 * groups);
		pcpu->alloc_work.entries_scanned = 0;
		CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 40 chunks");
		CHECK(pcpu->alloc_work.entries_scanned == 20 * 2);
		CHECK_WALK(104, PCPU_ATOMIC, "none, 7 slots, 40 chunks");
		CHECK(pcpu->alloc_work.entries_scanned == 20 * 2);
		CHECK_WALK(100, 0, "2:924, 1 slots, 2 chunks");
		CHECK_WALK(100, 0, "4:924, 1 slots, 3 chunks");
		CHECK_WALK(64, 0, "1:960, 1 slots, 1 chunks");
		pcpu_destroy(pcpu);
	}
}

/* 33 chunks are two groups */
TEST(a_walk_goes_on_after_a_group)
{
	start();
	make_several(32, 64);
	make(100);
	pcpu_make_groups(pcpu, 4);
	CHECK(nr_groups(4) == 2);
	CHECK_WALK(72, 0, "33:924, 1 slots, 33 chunks");
	make(300);
	CHECK_WALK(72, 0, "34:724, 3 slots, 33 chunks");
	pcpu_destroy(pcpu);
}

/* --- what groups know
 *
 * Here a group says something wrong, so that the answer shows what was read.
 */

TEST(a_group_whose_largest_hint_is_too_small_is_passed)
{
	start();
	make_several(2, 100);
	pcpu_make_groups(pcpu, 4);
	first_group(4)->largest = 17;
	CHECK_WALK(72, PCPU_ATOMIC, "none, 7 slots, 2 chunks");
	first_group(4)->largest = 18;
	CHECK_WALK(72, 0, "1:924, 1 slots, 1 chunks");
	pcpu_destroy(pcpu);
}

TEST(a_chunk_whose_hint_is_too_small_is_passed)
{
	start();
	make_several(3, 100);
	pcpu_make_groups(pcpu, 4);
	first_group(4)->hint[0] = 17;
	first_group(4)->hint[1] = 18;
	CHECK_WALK(72, 0, "2:924, 1 slots, 2 chunks");
	pcpu_destroy(pcpu);
}

/* only if it comes to the group's end */
TEST(a_walk_lowers_what_a_group_says_is_the_largest_hint)
{
	start();
	make(64);
	make(100);
	make(120);
	pcpu_make_groups(pcpu, 4);
	first_group(4)->largest = 1000;
	CHECK_WALK(72, 0, "2:924, 1 slots, 2 chunks");
	CHECK(first_group(4)->largest == 1000);
	CHECK_WALK(124, PCPU_ATOMIC, "none, 7 slots, 2 chunks");
	CHECK(first_group(4)->largest == 30);	/* granules */
	pcpu_destroy(pcpu);
}

/* chunk 1 stays on slot 5
 *
 *	|########|aaaa|.......|	200 bytes are free, or 148
 *	0       824  876   1024
 */
TEST(a_group_knows_of_changes_that_move_no_chunk)
{
	int64_t ptr;

	start();
	make(200);
	make_several(8, 148);
	pcpu_make_groups(pcpu, 5);
	ptr = alloc(pcpu, 52);
	CHECK_PLACE(pcpu, ptr, "1:824");
	CHECK(nr_groups(5) == 1 && first_group(5)->hint[0] == 37);
	CHECK_WALK(152, PCPU_ATOMIC, "none, 6 slots, 9 chunks");
	CHECK(first_group(5)->largest == 37);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(nr_groups(5) == 1 && first_group(5)->hint[0] == 50);
	CHECK_WALK(152, 0, "1:824, 1 slots, 1 chunks");
	pcpu_destroy(pcpu);
}

/* --- groups with many free seats */

/* nine groups of slot 4, of which each has one chunk left; the last one has 100
   bytes free, the others 64 */
static void make_sparse_groups(void)
{
	struct bitmap_chunk *chunks[9 * 32];
	int n = 9 * 32;

	start();
	for (int i = 0; i < n; i++)
		chunks[i] = make(i == n - 32 ? 100 : 64);
	pcpu_make_groups(pcpu, 4);
	for (int i = 0; i < n; i++)
		if (i % 32)
			pcpu_kill_chunk(pcpu, &chunks[i]->chunk);
	CHECK(nr_groups(4) == 9);
}

TEST(a_walk_past_many_free_seats_makes_fewer_groups)
{
	make_sparse_groups();
	CHECK_WALK(104, PCPU_ATOMIC, "none, 7 slots, 9 chunks");
	CHECK(nr_groups(4) == 1 && first_group(4)->seats == 0x1ff);
	pcpu_destroy(pcpu);
}

/* the chunk that serves the request leaves the slot */
TEST(a_walk_past_many_free_seats_makes_fewer_groups_also_if_it_ends_in_the_slot)
{
	make_sparse_groups();
	CHECK_WALK(100, 0, "257:924, 1 slots, 9 chunks");
	CHECK(nr_groups(4) == 1 && first_group(4)->seats == 0xff);
	pcpu_destroy(pcpu);
}

/* many: 128 more than half of all, so 129 with 15 chunks, 128 with 16 */
TEST(free_seats_count_in_proportion_to_the_chunks)
{
	make_sparse_groups();
	make_several(7, 64);	/* they come to the last group */
	CHECK_WALK(104, PCPU_ATOMIC, "none, 7 slots, 16 chunks");
	CHECK(nr_groups(4) == 9);
	CHECK_WALK(100, 0, "257:924, 1 slots, 9 chunks");
	CHECK(nr_groups(4) == 9);
	CHECK_WALK(104, PCPU_ATOMIC, "none, 7 slots, 15 chunks");
	CHECK(nr_groups(4) == 1);
	pcpu_destroy(pcpu);
}
