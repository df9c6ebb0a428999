// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_slots.c - the lists of chunks, and their empty pages.
 *
 * "0:0 7:1,2" means: chunk 0 in slot 0, chunks 1 and 2 in slot 7.  "4 of 0:4
 * 1:2 isolated" means: 4 empty pages in all, chunk 1 has 2 that do not count.
 */
#include "small_bitmap.h"

/* --- slots by contig hint */

TEST(slots_each_cover_a_power_of_two)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK(bitmap_size_to_slot(pcpu, 0) == 1);
	CHECK(bitmap_size_to_slot(pcpu, 4) == 1);
	CHECK(bitmap_size_to_slot(pcpu, 15) == 1);
	CHECK(bitmap_size_to_slot(pcpu, 16) == 2);
	CHECK(bitmap_size_to_slot(pcpu, 31) == 2);
	CHECK(bitmap_size_to_slot(pcpu, 32) == 3);
	CHECK(bitmap_size_to_slot(pcpu, 64) == 4);
	CHECK(bitmap_size_to_slot(pcpu, 1020) == 7);
	pcpu_destroy(pcpu);
}

/* 8 would be the slot of 1 KiB: sidelined, free and to depopulate follow */
TEST(slots_end_with_sidelined_free_and_to_depopulate)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK(pcpu->geo.nr_slots == 12);
	CHECK(pcpu_sidelined_slot(pcpu) == 9);
	CHECK(pcpu_free_slot(pcpu) == 10);
	CHECK(pcpu_to_depopulate_slot(pcpu) == 11);
	CHECK(bitmap_size_to_slot(pcpu, UNIT) == 10);
	pcpu_destroy(pcpu);
}

/* the maps (a bit more for bounds) and the blocks follow the struct */
TEST(slots_and_the_size_of_a_chunk_depend_on_the_unit)
{
	struct pcpu_geometry geo = { .unit_size = 1024, .unit_pages = 16 };

	bitmap_geometry(&geo);
	CHECK(geo.nr_slots == 12);
	CHECK(geo.policy_size == sizeof(struct bitmap_chunk) + (4 + 5 + 3) * 8 +
				 16 * sizeof(struct pcpu_block_md));
	geo.unit_size = 1276;	/* 319 granules: no word more for bounds */
	bitmap_geometry(&geo);
	CHECK(geo.policy_size == sizeof(struct bitmap_chunk) + (5 + 5 + 3) * 8 +
				 16 * sizeof(struct pcpu_block_md));
	geo.unit_size = 2 << 20;
	geo.unit_pages = 512;
	bitmap_geometry(&geo);
	CHECK(geo.nr_slots == 23);
}

/* contig hint, not free bytes
 *
 *	|a...............|b..............|c...|
 */
TEST(slots_follow_the_contig_hint_of_a_chunk)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);

	CHECK_LISTS(pcpu, "6:0");
	alloc(pcpu, 4);
	CHECK_LISTS(pcpu, "5:0");
	chunk->areas.chunk_md.contig_hint = 4;
	CHECK(bitmap_chunk_slot(pcpu, chunk) == 2);
	chunk->areas.chunk_md.contig_hint = 1;
	CHECK(bitmap_chunk_slot(pcpu, chunk) == 1);
	chunk->areas.chunk_md.contig_hint = 0;
	CHECK(bitmap_chunk_slot(pcpu, chunk) == 0);
	chunk->areas.chunk_md.contig_hint = 63;
	chunk->areas.free_bits = 0;
	CHECK(bitmap_chunk_slot(pcpu, chunk) == 0);
	pcpu_destroy(pcpu);
}

/* --- moves: to the head of a higher slot, to the tail of a lower one */

TEST(slots_a_new_chunk_is_at_the_head)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	pcpu_create_chunk(pcpu, &error);
	pcpu_create_chunk(pcpu, &error);
	CHECK_LISTS(pcpu, "6:0 10:2,1");
	pcpu_destroy(pcpu);
}

TEST(slots_a_chunk_that_fills_goes_to_the_tail)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	CHECK_LISTS(pcpu, "0:0 6:1");
	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "0:0 6:1 7:2");
	alloc(pcpu, LARGEST - 128);
	CHECK_LISTS(pcpu, "0:0 5:2 6:1");
	alloc(pcpu, 128);
	CHECK_LISTS(pcpu, "0:0,2 6:1");
	alloc(pcpu, 256);
	CHECK_LISTS(pcpu, "0:0,2,1");
	pcpu_destroy(pcpu);
}

TEST(slots_a_chunk_that_drains_goes_to_the_head)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b, c;

	fill_first(pcpu);
	a = alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	b = alloc(pcpu, 256);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	CHECK_LISTS(pcpu, "0:0,1,2");
	c = alloc(pcpu, 256);
	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "0:0,1,2 6:3");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_LISTS(pcpu, "0:0,1 6:2,3");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_LISTS(pcpu, "0:0 6:2,3 7:1");
	(void)c;
	pcpu_destroy(pcpu);
}

TEST(slots_a_chunk_whose_slot_stays_keeps_its_place)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a[2], b[2];

	fill_first(pcpu);
	for (int i = 0; i < 2; i++) {
		a[i] = alloc(pcpu, 192);
		b[i] = alloc(pcpu, 32);
		alloc(pcpu, LARGEST);
		alloc(pcpu, 288);
	}
	CHECK(!pcpu_free(pcpu, a[0]));
	CHECK(!pcpu_free(pcpu, a[1]));
	CHECK_LISTS(pcpu, "0:0 5:2,1");
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "2:0");
	CHECK_LISTS(pcpu, "0:0 5:2,1");
	CHECK(!pcpu_free(pcpu, b[0]));
	CHECK_AREAS(pcpu, 1, "224 -512 -288 (free 224 hint 192)");
	CHECK_LISTS(pcpu, "0:0 5:2,1");
	pcpu_destroy(pcpu);
}

/* an isolated chunk stays where it is, whatever happens to its hint */
TEST(slots_an_isolated_chunk_does_not_move)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk;
	int64_t a;

	fill_first(pcpu);
	a = alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	chunk = chunk_of(pcpu, 1);
	pcpu_isolate_chunk(pcpu, chunk);
	CHECK_LISTS(pcpu, "0:0 11:1");
	CHECK(!pcpu_free(pcpu, a));
	CHECK(bitmap_chunk_slot(pcpu, chunk) == 7);
	CHECK_LISTS(pcpu, "0:0 11:1");
	bitmap_relocate(pcpu, chunk, 0);
	CHECK_LISTS(pcpu, "0:0 11:1");
	pcpu_reintegrate_chunk(pcpu, chunk);
	CHECK_LISTS(pcpu, "0:0 7:1");
	pcpu_destroy(pcpu);
}

/* the head of its slot */
TEST(slots_a_reintegrated_chunk_goes_to_the_head)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	pcpu_create_chunk(pcpu, &error);
	pcpu_create_chunk(pcpu, &error);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_LISTS(pcpu, "6:0 10:2 11:1");
	pcpu_reintegrate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_LISTS(pcpu, "6:0 10:1,2");
	/* one that is not isolated stays */
	pcpu_reintegrate_chunk(pcpu, chunk_of(pcpu, 2));
	CHECK_LISTS(pcpu, "6:0 10:1,2");
	pcpu_destroy(pcpu);
}

TEST(slots_an_isolated_chunk_goes_to_the_head_each_time)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	pcpu_create_chunk(pcpu, &error);
	pcpu_create_chunk(pcpu, &error);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 2));
	CHECK_LISTS(pcpu, "6:0 11:2,1");
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_LISTS(pcpu, "6:0 11:1,2");
	pcpu_destroy(pcpu);
}

TEST(slots_the_reserved_chunk_is_in_none)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	int64_t ptr;

	config.reserved_size = 64;
	pcpu = create(&config);
	CHECK_LISTS(pcpu, "6:0");
	ptr = pcpu_alloc_gfp(pcpu, 16, 4, PCPU_RESERVED);
	CHECK_PLACE(pcpu, ptr, "-1:0");
	CHECK_LISTS(pcpu, "6:0");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_LISTS(pcpu, "6:0");
	pcpu_destroy(pcpu);
}

/* --- empty pages: populated, and all free */

TEST(empty_pages_are_those_without_areas)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b;

	CHECK_EMPTY(pcpu, "4 of 0:4");
	a = alloc(pcpu, 4);
	CHECK_EMPTY(pcpu, "3 of 0:3");
	b = alloc(pcpu, 64);
	CHECK_EMPTY(pcpu, "2 of 0:2");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_EMPTY(pcpu, "2 of 0:2");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_EMPTY(pcpu, "4 of 0:4");
	CHECK(info_of(pcpu).empty_pages == 4);
	pcpu_destroy(pcpu);
}

/* pages under an area are populated, the others of a new chunk are not */
TEST(empty_pages_of_a_new_chunk_are_none)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr;

	fill_first(pcpu);
	ptr = alloc(pcpu, 130);
	CHECK_POPULATED(pcpu, 1, "1110000000000000");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_EMPTY(pcpu, "3 of 0:0 1:3");
	pcpu_destroy(pcpu);
}

/* the reserved chunk's pages never count */
TEST(empty_pages_of_the_reserved_chunk_do_not_count)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.reserved_size = 128;
	pcpu = create(&config);
	CHECK_EMPTY(pcpu, "4 of -1:2 0:4");
	CHECK(pcpu_alloc_gfp(pcpu, 16, 4, PCPU_RESERVED) > 0);
	CHECK_EMPTY(pcpu, "4 of -1:1 0:4");
	pcpu_destroy(pcpu);
}

TEST(empty_pages_of_an_isolated_chunk_do_not_count)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);

	pcpu_isolate_chunk(pcpu, chunk);
	CHECK_EMPTY(pcpu, "0 of 0:4 isolated");
	pcpu_isolate_chunk(pcpu, chunk);
	CHECK_EMPTY(pcpu, "0 of 0:4 isolated");
	pcpu_update_empty_pages(pcpu, chunk, -1);
	CHECK_EMPTY(pcpu, "0 of 0:3 isolated");
	pcpu_reintegrate_chunk(pcpu, chunk);
	CHECK_EMPTY(pcpu, "3 of 0:3");
	pcpu_update_empty_pages(pcpu, chunk, 1);
	CHECK_EMPTY(pcpu, "4 of 0:4");
	pcpu_destroy(pcpu);
}

/* --- when work is requested */

TEST(work_is_requested_below_2_empty_pages)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, 128);
	CHECK_EMPTY(pcpu, "2 of 0:2");
	CHECK(!is_requested(pcpu));
	alloc(pcpu, 4);
	CHECK_EMPTY(pcpu, "1 of 0:1");
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/*
 * Chunks 1 and 2 of 16 pages are full.  @others pages of chunk 1 become empty,
 * then @own pages of chunk 2, in one free.
 */
static struct pcpu *drained(int others, int own)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b;

	fill_first(pcpu);
	a = alloc(pcpu, others * PAGE);
	alloc(pcpu, UNIT / 2);
	alloc(pcpu, UNIT / 2 - others * PAGE);
	CHECK_LISTS(pcpu, "0:0,1");
	b = alloc(pcpu, own * PAGE);
	alloc(pcpu, UNIT / 2);
	alloc(pcpu, UNIT / 2 - own * PAGE);
	CHECK_LISTS(pcpu, "0:0,1,2");
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!is_requested(pcpu));
	CHECK(!pcpu_free(pcpu, b));
	return pcpu;
}

TEST(a_chunk_is_isolated_if_the_others_have_more_than_4_empty_pages)
{
	struct pcpu *pcpu = drained(5, 4);

	CHECK_LISTS(pcpu, "0:0 6:1 11:2");
	CHECK_EMPTY(pcpu, "5 of 0:0 1:5 2:4 isolated");
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);

	pcpu = drained(4, 4);
	CHECK_LISTS(pcpu, "0:0 6:2,1");
	CHECK_EMPTY(pcpu, "8 of 0:0 1:4 2:4");
	CHECK(!is_requested(pcpu));
	pcpu_destroy(pcpu);
}

TEST(a_chunk_is_isolated_if_a_quarter_of_its_pages_is_empty)
{
	struct pcpu *pcpu = drained(5, 3);

	CHECK_LISTS(pcpu, "0:0 5:2 6:1");
	CHECK(!is_requested(pcpu));
	pcpu_destroy(pcpu);

	pcpu = drained(5, 7);
	CHECK_LISTS(pcpu, "0:0 6:1 11:2");
	pcpu_destroy(pcpu);
}

/* an isolated chunk with an empty page comes first, and work is requested */
TEST(an_isolated_chunk_that_drains_is_isolated_again)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);
	int64_t a, b, c;
	int error;

	fill_first(pcpu);
	a = alloc(pcpu, 4);
	b = alloc(pcpu, 60);
	c = alloc(pcpu, 64);
	chunk = chunk_of(pcpu, 1);
	pcpu_create_chunk(pcpu, &error);
	pcpu_isolate_chunk(pcpu, chunk);
	bitmap_move(pcpu, chunk, pcpu_sidelined_slot(pcpu), false);
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, a));
	CHECK_LISTS(pcpu, "0:0 9:1 10:2");
	CHECK(!is_requested(pcpu));
	CHECK(!pcpu_free(pcpu, b));
	CHECK_LISTS(pcpu, "0:0 10:2 11:1");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:1 isolated 2:0");
	CHECK(is_requested(pcpu));
	/* also when it is all free */
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, c));
	CHECK_LISTS(pcpu, "0:0 10:2 11:1");
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}

TEST(the_first_chunk_is_never_isolated)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	int64_t a, b;

	pcpu = create(&config);
	a = fill_first(pcpu);
	b = alloc(pcpu, LARGEST);
	alloc(pcpu, 4);
	CHECK(!pcpu_free(pcpu, b));
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, a));
	CHECK_EMPTY(pcpu, "12 of 0:4 1:8");
	CHECK(!is_requested(pcpu));
	pcpu_destroy(pcpu);
}

TEST(the_reserved_chunk_is_never_isolated)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	int64_t a, b;

	config.reserved_size = 64;
	pcpu = create(&config);
	fill_first(pcpu);
	a = pcpu_alloc_gfp(pcpu, 64, 4, PCPU_RESERVED);
	b = alloc(pcpu, LARGEST);
	alloc(pcpu, 4);
	CHECK(!pcpu_free(pcpu, b));
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, a));
	CHECK_EMPTY(pcpu, "8 of -1:1 0:0 1:8");
	CHECK_LISTS(pcpu, "0:0 7:1");
	CHECK(!is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/* a chunk that is all free: only another free one requests work */
TEST(a_second_free_chunk_requests_work)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b, c;

	fill_first(pcpu);
	a = alloc(pcpu, LARGEST);
	b = alloc(pcpu, LARGEST);
	c = alloc(pcpu, 4);
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	CHECK_LISTS(pcpu, "0:0 7:2 10:1");
	CHECK_EMPTY(pcpu, "16 of 0:0 1:16 2:0");
	CHECK(!is_requested(pcpu));
	CHECK(!pcpu_free(pcpu, c));
	CHECK_LISTS(pcpu, "0:0 10:2,1");
	CHECK_EMPTY(pcpu, "17 of 0:0 1:16 2:1");
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/* the same if the free chunk is at the tail, or not in its slot at all */
TEST(a_free_chunk_looks_for_others_on_both_sides)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	pcpu_create_chunk(pcpu, &error);
	bitmap_check_high(pcpu, chunk_of(pcpu, 1));
	CHECK(!is_requested(pcpu));
	pcpu_create_chunk(pcpu, &error);
	bitmap_check_high(pcpu, chunk_of(pcpu, 1));
	CHECK(is_requested(pcpu));
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK_LISTS(pcpu, "6:0 10:2");
	bitmap_move(pcpu, chunk_of(pcpu, 2), 0, true);
	bitmap_check_high(pcpu, chunk_of(pcpu, 2));
	CHECK(!is_requested(pcpu));
	pcpu_create_chunk(pcpu, &error);
	bitmap_check_high(pcpu, chunk_of(pcpu, 2));
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}
