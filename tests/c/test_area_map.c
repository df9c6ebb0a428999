// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_area_map.c - the policy of 2009: which chunk serves a request, to which
 * slot it moves, when empty chunks are destroyed and maps grow.
 *
 * "7:0 9:2,1" means: chunk 0 in slot 7, chunks 2 and 1 in slot 9.  With units
 * of 1 KiB slot 9 is the slot for empty chunks.
 */
#include "area_map/area_map.h"
#include "area_map/chunk.h"
#include "small.h"

/* slots 0 to 8 for sizes up to 1 KiB, slot 9 for empty chunks */
TEST(a_unit_has_a_slot_for_each_power_of_two_and_one_for_empty_chunks)
{
	struct pcpu_geometry geo = { .unit_size = UNIT };

	area_map_geometry(&geo);
	CHECK(geo.nr_slots == 10);
	geo.unit_size = 65536;
	area_map_geometry(&geo);
	CHECK(geo.nr_slots == 16);
}

/* 64 regions of 1 KiB, one for the end, and what a scan may read after them */
TEST(a_chunk_has_a_bound_for_each_region_after_its_map)
{
	struct pcpu_geometry geo = { .unit_size = 65536 };

	area_map_geometry(&geo);
	CHECK(geo.policy_size == sizeof(struct area_map_chunk) +
				 (64 + 1 + PCPU_MAP_BLOCK) * sizeof(int));
}

/* 896 free bytes: slot 7; 888: still 7; 511: slot 6; none: slot 0 */
TEST(a_chunk_that_fills_moves_down)
{
	struct pcpu *pcpu = small(2);

	CHECK_SLOTS(pcpu, "7:0");
	pcpu_alloc(pcpu, 8, 4);
	CHECK_SLOTS(pcpu, "7:0");
	pcpu_alloc(pcpu, 888 - 511, 1);
	CHECK_SLOTS(pcpu, "6:0");
	pcpu_alloc(pcpu, 511 - 15, 1);
	CHECK_SLOTS(pcpu, "1:0");
	pcpu_alloc(pcpu, 15, 1);
	CHECK_SLOTS(pcpu, "0:0");
	pcpu_destroy(pcpu);
}

TEST(a_chunk_that_drains_moves_up)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 400, 4), b = pcpu_alloc(pcpu, 496, 4);

	CHECK_SLOTS(pcpu, "0:0");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_SLOTS(pcpu, "6:0");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_SLOTS(pcpu, "7:0");
	CHECK_MAP(pcpu, 0, "-128 896 (free 896 hint 896)");
	pcpu_destroy(pcpu);
}

/* slot 0: no usable free range */
TEST(a_chunk_with_less_than_four_bytes_is_in_slot_0)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 3, 1), b = pcpu_alloc(pcpu, 4, 1);

	pcpu_alloc(pcpu, 889, 1);
	CHECK_SLOTS(pcpu, "0:0");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_MAP(pcpu, 0, "-128 3 -4 -889 (free 3 hint 3)");
	CHECK_SLOTS(pcpu, "0:0");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_SLOTS(pcpu, "1:0");
	pcpu_destroy(pcpu);
}

TEST(a_chunk_with_a_free_range_of_four_bytes_is_in_slot_1)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 892, 1);
	CHECK_MAP(pcpu, 0, "-128 -892 4 (free 4 hint 4)");
	CHECK_SLOTS(pcpu, "1:0");
	CHECK(pcpu_alloc(pcpu, 4, 1) == BASE + STATIC + 892);
	pcpu_destroy(pcpu);
}

TEST(a_request_that_fits_in_no_chunk_creates_one)
{
	struct pcpu *pcpu = small(2);

	CHECK(pcpu_alloc(pcpu, 897, 1) == BASE + 2 * UNIT);
	CHECK_MAP(pcpu, 1, "-897 127 (free 127 hint 127)");
	CHECK_SLOTS(pcpu, "4:1 7:0");
	pcpu_destroy(pcpu);
}

/* so that emptier chunks can drain */
TEST(the_fullest_chunk_that_fits_serves_a_request)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 1000, 1);
	CHECK_SLOTS(pcpu, "2:1 7:0");
	CHECK(pcpu_alloc(pcpu, 8, 1) == BASE + 2 * UNIT + 1000);
	CHECK(pcpu_alloc(pcpu, 24, 1) == BASE + STATIC);
	pcpu_destroy(pcpu);
}

/* moving up: to the front of the list; moving down: to the back */
TEST(a_chunk_that_moves_up_becomes_first_and_one_that_moves_down_last)
{
	struct pcpu *pcpu = small(2);
	int64_t a, b;

	pcpu_alloc(pcpu, 896, 1);
	a = pcpu_alloc(pcpu, 700, 1);
	CHECK_SLOTS(pcpu, "0:0 6:1");
	b = pcpu_alloc(pcpu, 700, 1);
	CHECK_SLOTS(pcpu, "0:0 6:1,2");
	pcpu_alloc(pcpu, 700, 1);
	CHECK_SLOTS(pcpu, "0:0 6:1,2,3");
	pcpu_alloc(pcpu, 324, 1);
	CHECK_SLOTS(pcpu, "0:0,1 6:2,3");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_SLOTS(pcpu, "0:0,1 6:3 9:2");
	pcpu_alloc(pcpu, 600, 1);
	CHECK_SLOTS(pcpu, "0:0,1 6:3,2");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_SLOTS(pcpu, "0:0 6:3,2 7:1");
	pcpu_destroy(pcpu);
}

TEST(a_chunk_that_moves_up_precedes_the_chunks_of_its_new_slot)
{
	struct pcpu *pcpu = small(2);
	int64_t a;

	pcpu_alloc(pcpu, 896, 1);
	a = pcpu_alloc(pcpu, 200, 1);
	pcpu_alloc(pcpu, 700, 1);
	pcpu_alloc(pcpu, 700, 1);
	CHECK_SLOTS(pcpu, "0:0 4:1 6:2");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_SLOTS(pcpu, "0:0 6:1,2");
	pcpu_destroy(pcpu);
}

/* chunk 1 has three free ranges of 110 bytes, too small for the last request */
TEST(a_chunk_that_stays_in_its_slot_keeps_its_place)
{
	static const int sizes[] = { 110, 300, 110, 300, 110, 94 };
	struct pcpu *pcpu = small(2);
	int64_t ptrs[6];

	pcpu_alloc(pcpu, 896, 1);
	for (int i = 0; i < 6; i++)
		ptrs[i] = pcpu_alloc(pcpu, sizes[i], 1);
	for (int i = 0; i < 6; i += 2)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	pcpu_alloc(pcpu, 600, 1);
	CHECK_SLOTS(pcpu, "0:0 6:1,2");
	/* 424 free bytes become 274: slot 6 as before */
	CHECK(pcpu_alloc(pcpu, 150, 1) > 0);
	CHECK_MAP(pcpu, 2, "-600 -150 274 (free 274 hint 274)");
	CHECK_SLOTS(pcpu, "0:0 6:1,2");
	pcpu_destroy(pcpu);
}

/* without a scan the hint stays too high */
TEST(a_chunk_with_a_hint_below_the_request_is_not_scanned)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 40, 4), c;

	pcpu_alloc(pcpu, 4, 4);
	c = pcpu_alloc(pcpu, 16, 4);
	pcpu_alloc(pcpu, 836, 4);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, c));
	pcpu_alloc(pcpu, 20, 4);
	CHECK_MAP(pcpu, 0, "-128 -20 20 -4 16 -836 (free 36 hint 40)");
	CHECK_SLOTS(pcpu, "3:0");
	/* 36 and 44 bytes are in the same slot, 3 */
	CHECK(pcpu_alloc(pcpu, 44, 4) == BASE + 2 * UNIT);
	CHECK_MAP(pcpu, 0, "-128 -20 20 -4 16 -836 (free 36 hint 40)");
	pcpu_destroy(pcpu);
}

TEST(one_empty_chunk_is_kept)
{
	struct pcpu *pcpu = small(2);
	int64_t ptr = pcpu_alloc(pcpu, UNIT, 1);

	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_SLOTS(pcpu, "7:0 9:1");
	CHECK_PAGES(pcpu, 1, "2222222222222222");
	CHECK(pcpu_alloc(pcpu, UNIT, 1) == ptr);
	CHECK(info_of(pcpu).chunks_created == 1);
	pcpu_destroy(pcpu);
}

/* the one that became empty first is destroyed */
TEST(of_two_empty_chunks_the_first_to_become_empty_is_destroyed)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, UNIT, 1), b = pcpu_alloc(pcpu, UNIT, 1);

	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	CHECK_SLOTS(pcpu, "7:0 9:2");
	CHECK(info_of(pcpu).chunks_destroyed == 1);
	CHECK(info_of(pcpu).pages == 2 * 2 + 2 * 16);
	CHECK(calls_of(pcpu, PCPU_FREE_VM_AREA) == 1);
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 2 * 16);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 2);
	/* no live area is in it: no flush is needed */
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VUNMAP) == 0);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) == 0);
	/* its pointer is wild, and a new chunk reuses its address */
	CHECK(pcpu_free(pcpu, a) == -PCPU_E_WILD);
	pcpu_alloc(pcpu, UNIT, 1);
	CHECK(pcpu_alloc(pcpu, UNIT, 1) == a);
	CHECK_SLOTS(pcpu, "0:2,3 7:0");
	pcpu_destroy(pcpu);
}

TEST(the_first_chunk_stays_when_it_is_unused)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, UNIT, 8);

	CHECK(!pcpu_free(pcpu, b));
	CHECK(!pcpu_free(pcpu, a));
	CHECK_SLOTS(pcpu, "7:0 9:1");
	pcpu_destroy(pcpu);
}

/* a hint may be too high: the scan corrects it, and the next chunk is tried */
TEST(a_chunk_whose_hint_is_too_high_is_skipped)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 32, 4);

	pcpu_alloc(pcpu, 896 - 32, 4);
	CHECK(!pcpu_free(pcpu, a));
	pcpu_alloc(pcpu, 16, 4);
	CHECK_MAP(pcpu, 0, "-128 -16 16 -864 (free 16 hint 32)");
	CHECK(pcpu_alloc(pcpu, 24, 4) == BASE + 2 * UNIT);
	CHECK_MAP(pcpu, 0, "-128 -16 16 -864 (free 16 hint 16)");
	pcpu_destroy(pcpu);
}

/*
 * The "walk" defect: chunk 0 has a hint of 32, but its free ranges have one
 * byte each.  A request for two bytes corrects the hint, which moves the chunk
 * to slot 0 during the walk through slot 1; the 2009 file then continues in
 * slot 0.  The port continues in slot 1, where chunk 1 serves the request.
 */
TEST(the_walk_continues_in_the_slot_that_the_chunk_left)
{
	struct pcpu *pcpu = small(1);
	int64_t a = pcpu_alloc(pcpu, 32, 1), ptrs[28];
	int i;

	pcpu_alloc(pcpu, 896 - 32, 1);
	CHECK(!pcpu_free(pcpu, a));
	for (i = 0; i < 28; i++)
		ptrs[i] = pcpu_alloc(pcpu, 1, 1);
	CHECK(pcpu_alloc(pcpu, 1, 1) == a + 28);	/* plus its tail */
	for (i = 0; i < 28; i += 4)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	CHECK_SLOTS(pcpu, "1:0");
	pcpu_alloc(pcpu, UNIT - 8, 1);
	CHECK_SLOTS(pcpu, "1:0,1");

	CHECK(pcpu_alloc(pcpu, 2, 1) == BASE + UNIT + UNIT - 8);
	CHECK_SLOTS(pcpu, "0:0 1:1");
	pcpu_destroy(pcpu);
}

/* 16 entries at first, then twice as many; above a page from vmalloc */
TEST(a_full_map_doubles)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_snapshot *snapshot;
	int error;

	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 1);
	CHECK(calls_of(pcpu, PCPU_VMALLOC) == 0);
	pcpu_alloc(pcpu, 8, 8);
	/* 32 entries are 128 bytes, two pages of 64 */
	CHECK(calls_of(pcpu, PCPU_VMALLOC) == 1);
	CHECK(calls_of(pcpu, PCPU_KFREE) == 1);
	for (int i = 15; i < 31; i++)
		pcpu_alloc(pcpu, 8, 8);
	CHECK(calls_of(pcpu, PCPU_VMALLOC) == 2);
	CHECK(calls_of(pcpu, PCPU_VFREE) == 1);
	CHECK(calls_of(pcpu, PCPU_KFREE) == 1);

	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->chunks[0].map_alloc == 64);
	CHECK(snapshot->chunks[0].map_used == 33);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

TEST(a_first_map_whose_allocation_fails_is_allocated_by_the_next_request)
{
	struct pcpu *pcpu = small(2);

	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(KMALLOC));
	CHECK_MAP(pcpu, 0, "(free 896 hint 896)");
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + STATIC);
	pcpu_destroy(pcpu);
}

/* no request scans such a chunk; here the test does
 *
 *	|################|	the static area is the whole unit
 *	0             1024
 */
TEST(the_first_map_of_a_chunk_without_free_bytes_has_one_entry)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;
	int offset;

	config.static_size = UNIT;
	pcpu = create(&config);
	CHECK_SLOTS(pcpu, "0:0");
	CHECK(pcpu_alloc_area(pcpu, pcpu->first_chunk, 8, 8, &offset) ==
	      PCPU_NO_SPACE);
	CHECK_MAP(pcpu, 0, "-1024 (free 0 hint 0)");
	CHECK_SLOTS(pcpu, "0:0");
	pcpu_destroy(pcpu);
}

TEST(a_map_that_cannot_grow_fails_the_request_and_changes_nothing)
{
	struct pcpu *pcpu = small(2);
	char before[TEXT];

	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	strcpy(before, map_of(pcpu, 0));
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK_MAP(pcpu, 0, before);
	CHECK(info_of(pcpu).chunks == 1);
	CHECK(info_of(pcpu).partial_failures == 0);
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + STATIC + 14 * 8);
	pcpu_destroy(pcpu);
}

/*
 * The "half-done" defect, which the port keeps: the head of three bytes joins
 * the area before it, and then the map cannot grow.
 */
TEST(a_head_stays_parked_when_the_map_cannot_grow)
{
	struct pcpu *pcpu = small(2);

	for (int i = 0; i < 13; i++)
		pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 5, 1);
	CHECK_MAP(pcpu, 0, "-128 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -5 787 "
		  "(free 787 hint 787)");
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK_MAP(pcpu, 0, "-128 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 -8 784 "
		  "(free 784 hint 787)");
	CHECK(info_of(pcpu).partial_failures == 1);
	pcpu_destroy(pcpu);
}

/*
 * Part of "half-done": without the parked bytes the chunk belongs in another
 * slot, but it stays in its list.  So it does after the next request, which
 * finds no change of slot.
 *
 *	|####| ... |####|............|####|	16 entries: the map is full
 *	0         224  229          263 1024
 */
TEST(a_head_that_a_failed_request_parks_leaves_the_chunk_in_the_wrong_slot)
{
	struct pcpu *pcpu = small(2);
	int64_t ptr;

	for (int i = 0; i < 12; i++)
		pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 5, 1);
	ptr = pcpu_alloc(pcpu, 34, 1);
	pcpu_alloc(pcpu, 761, 1);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_SLOTS(pcpu, "3:0");	/* 34 bytes */
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK_SLOTS(pcpu, "3:0");	/* 31 bytes: slot 2 */
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + 232);
	CHECK_SLOTS(pcpu, "3:0");	/* 23 bytes: slot 2 as before */
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + 240);
	CHECK_SLOTS(pcpu, "1:0");	/* 15 bytes */
	pcpu_destroy(pcpu);
}

/* the walk ends at any error except "no space" */
TEST(out_of_memory_in_one_chunk_ends_the_walk)
{
	struct pcpu *pcpu = small(2);

	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, UNIT, 8);
	CHECK(!pcpu_free(pcpu, BASE + 2 * UNIT));
	CHECK_SLOTS(pcpu, "7:0 9:1");
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK_MAP(pcpu, 1, "1024 (free 1024 hint 1024)");
	pcpu_destroy(pcpu);
}

/* chunk 0 fills and drains: slot 1 is empty, but is visited once more */
TEST(an_empty_slot_does_not_end_the_walk)
{
	struct pcpu *pcpu = small(2);
	int64_t ptr = pcpu_alloc(pcpu, 400, 4);

	pcpu_alloc(pcpu, 484, 4);
	CHECK_SLOTS(pcpu, "1:0");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_SLOTS(pcpu, "6:0");
	for (int i = 0; i < 3; i++)
		CHECK(pcpu_alloc(pcpu, 4, 4) == ptr + 4 * i);
	CHECK_SLOTS(pcpu, "6:0");
	CHECK(info_of(pcpu).chunks == 1);
	pcpu_destroy(pcpu);
}

/* such as the offset in a recording; the first chunk's map is created, too
 *
 *	|####|................|	-> |####|......|#|........|
 *	0   128            1024	   0   128    512 520   1024
 */
TEST(an_area_can_be_taken_at_a_given_offset)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_location location;

	CHECK(!area_map_take_at(pcpu, pcpu->first_chunk, 512, 8));
	CHECK_MAP(pcpu, 0, "-128 384 -8 504 (free 888 hint 896)");
	CHECK_SLOTS(pcpu, "7:0");
	CHECK(!pcpu_locate(pcpu, BASE + 512, &location));
	CHECK(location.offset == 512 && location.size == 8);
	CHECK(!area_map_take_at(pcpu, pcpu->first_chunk, 128, 384));
	CHECK_MAP(pcpu, 0, "-128 -384 -8 504 (free 504 hint 896)");
	CHECK_SLOTS(pcpu, "6:0");
	/* later requests use the free ranges around them */
	CHECK(pcpu_alloc(pcpu, 504, 8) == BASE + 520);
	CHECK_SLOTS(pcpu, "0:0");
	pcpu_destroy(pcpu);
}

TEST(a_range_that_is_not_free_cannot_be_taken)
{
	struct pcpu *pcpu = small(2);
	char before[TEXT];

	pcpu_alloc(pcpu, 8, 8);
	strcpy(before, map_of(pcpu, 0));
	CHECK(area_map_take_at(pcpu, pcpu->first_chunk, 0, 8) ==
	      PCPU_NO_SPACE);
	CHECK(area_map_take_at(pcpu, pcpu->first_chunk, 132, 8) ==
	      PCPU_NO_SPACE);
	CHECK(area_map_take_at(pcpu, pcpu->first_chunk, UNIT - 4, 8) ==
	      PCPU_NO_SPACE);
	CHECK_MAP(pcpu, 0, before);
	pcpu_destroy(pcpu);
}

TEST(taking_a_given_offset_needs_memory_for_the_map)
{
	struct pcpu *pcpu = small(2);

	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(area_map_take_at(pcpu, pcpu->first_chunk, 512, 8) ==
	      NOMEM(KMALLOC));
	CHECK_MAP(pcpu, 0, "(free 896 hint 896)");
	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	fail_at(pcpu, PCPU_VMALLOC, 1);
	CHECK(area_map_take_at(pcpu, pcpu->first_chunk, 512, 8) ==
	      NOMEM(VMALLOC));
	CHECK(info_of(pcpu).partial_failures == 0);
	CHECK(!area_map_take_at(pcpu, pcpu->first_chunk, 512, 8));
	pcpu_destroy(pcpu);
}
