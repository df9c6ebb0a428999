// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_choose.c - which chunk serves a request, and where; its pages; requests
 * that fail; allocations that follow a kernel.
 *
 * "1:64" is chunk 1 at offset 64.  See small_bitmap.h for the allocator.
 */
#include "small_bitmap.h"

#define NO_PLACE	"no place for an atomic or reserved request"

/* --- the walk over slots */

TEST(walk_starts_at_the_slot_of_the_size)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "0:0 6:1 7:2");
	/* the fullest chunk that fits serves */
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "1:768");
	CHECK_PLACE(pcpu, alloc(pcpu, 256), "2:512");
	CHECK_LISTS(pcpu, "0:0 5:1 6:2");
	pcpu_destroy(pcpu);
}

/* from the head of each list */
TEST(walk_asks_the_head_of_a_slot_first)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	pcpu_create_chunk(pcpu, &error);
	pcpu_create_chunk(pcpu, &error);
	CHECK_LISTS(pcpu, "0:0 10:2,1");
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "2:0");
	pcpu_destroy(pcpu);
}

/* the walk comes to sidelined chunks, and to free ones after them */
TEST(walk_ends_with_sidelined_and_free_chunks)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	alloc(pcpu, 4);
	pcpu_create_chunk(pcpu, &error);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	bitmap_move(pcpu, chunk_of(pcpu, 1), pcpu_sidelined_slot(pcpu), true);
	CHECK_LISTS(pcpu, "0:0 9:1 10:2");
	CHECK_PLACE(pcpu, alloc(pcpu, LARGEST), "1:4");
	/* it is in use again */
	CHECK_LISTS(pcpu, "0:0 6:1 10:2");
	CHECK(!chunk_of(pcpu, 1)->isolated);
	CHECK_PLACE(pcpu, alloc(pcpu, LARGEST), "2:0");
	pcpu_destroy(pcpu);
}

/* a reintegrated chunk goes to the head, one that lost a slot to the tail */
TEST(walk_an_isolated_chunk_that_serves_goes_to_the_head)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr;

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	ptr = alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "0:0,1 7:2");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_LISTS(pcpu, "0:0 7:1,2");
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	bitmap_move(pcpu, chunk_of(pcpu, 1), pcpu_sidelined_slot(pcpu), true);
	alloc(pcpu, 4);
	CHECK_LISTS(pcpu, "0:0 6:2 9:1");
	CHECK_PLACE(pcpu, alloc(pcpu, 512), "1:512");
	CHECK_LISTS(pcpu, "0:1,0 6:2");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0 2:0");
	pcpu_destroy(pcpu);
}

/* chunks that are to be depopulated are not asked */
TEST(walk_leaves_out_chunks_to_depopulate)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	pcpu_create_chunk(pcpu, &error);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_LISTS(pcpu, "0:0 11:1");
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "2:0");
	pcpu_destroy(pcpu);
}

/* ten chunks of slot 5 have 62 free granules, too few for a request of 63: a
 * walk past so many chunks makes groups
 */
TEST(walk_groups_have_the_hints_of_their_chunks)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	for (int i = 0; i < 10; i++) {
		alloc(pcpu, LARGEST);
		alloc(pcpu, 264);
	}
	CHECK_LISTS(pcpu, "0:0 5:1,2,3,4,5,6,7,8,9,10");
	CHECK_PLACE(pcpu, alloc(pcpu, 252), "11:0");
	for (int id = 1; id <= 10; id++) {
		const struct pcpu_chunk *chunk = &chunk_of(pcpu, id)->chunk;

		CHECK(chunk->group->hint[chunk->seat] == 62);
	}
	pcpu_destroy(pcpu);
}

/* a request of a whole unit has the slot of free chunks */
TEST(walk_asks_a_free_chunk_for_a_whole_unit)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.unit_size = LARGEST;
	pcpu = create(&config);
	CHECK_PLACE(pcpu, alloc(pcpu, LARGEST), "1:0");
	CHECK_LISTS(pcpu, "0:1 6:0");
	pcpu_destroy(pcpu);
}

/* --- chunks that fail
 *
 *	|aaaaaaaaaaaa..|	20 bytes are left, slot 2
 */
TEST(a_chunk_of_a_low_slot_that_fails_goes_to_slot_0)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr = alloc(pcpu, DYN - 20);

	CHECK_LISTS(pcpu, "2:0");
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "1:0");
	CHECK_LISTS(pcpu, "0:0 7:1");
	/* so it serves nothing, until its slot changes */
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "1:24");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_LISTS(pcpu, "6:0 7:1");
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "0:0");
	pcpu_destroy(pcpu);
}

/* slot 1 as well as slot 2, at the head; slot 3 not
 *
 *	|aaaaaaaaaaa....|	36 bytes are left
 */
TEST(a_chunk_of_slot_3_that_fails_stays)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, DYN - 36);
	CHECK_LISTS(pcpu, "3:0");
	CHECK_PLACE(pcpu, alloc(pcpu, 40), "1:0");
	CHECK_LISTS(pcpu, "3:0 7:1");
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "0:220");
	CHECK_LISTS(pcpu, "1:0 7:1");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 12, 64), "1:64");
	CHECK_LISTS(pcpu, "0:0 7:1");
	pcpu_destroy(pcpu);
}

/* its slot is computed, and the list is not asked
 *
 *	page	0	1	2	3
 *		aaaaaaaabbbbbbbbccddeeeeeeeeeee.	c is freed
 */
TEST(a_chunk_that_failed_stays_in_slot_0_while_its_hint_does)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr;

	alloc(pcpu, 128);
	ptr = alloc(pcpu, 16);
	alloc(pcpu, DYN - 144 - 20);
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "1:0");
	CHECK_LISTS(pcpu, "0:0 7:1");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(bitmap_chunk_slot(pcpu, chunk_of(pcpu, 0)) == 2);
	CHECK_LISTS(pcpu, "0:0 7:1");
	pcpu_destroy(pcpu);
}

/*
 * Two chunks of slot 2 with 20 and 28 bytes: the first moves, and the walk
 * continues with the second.
 */
TEST(a_chunk_that_moves_does_not_disturb_the_walk)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, DYN - 20);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST - 28);
	CHECK_LISTS(pcpu, "2:0,1");
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "1:996");
	CHECK_LISTS(pcpu, "0:0 1:1");
	pcpu_destroy(pcpu);
}

TEST(chunks_that_fail_go_to_the_head_of_slot_0)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, DYN - 20);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST - 20);
	CHECK_LISTS(pcpu, "2:0,1");
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "2:0");
	CHECK_LISTS(pcpu, "0:1,0 7:2");
	pcpu_destroy(pcpu);
}

/* a chunk that fails only in the map stays, also in slot 2
 *
 *	hints: 28 bytes at its end; the map: 20
 */
TEST(a_chunk_that_fails_in_the_map_stays)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);

	alloc(pcpu, DYN - 20);
	chunk->areas.chunk_md.contig_hint = 7;
	chunk->areas.blocks[3].contig_hint = 7;
	CHECK_PLACE(pcpu, alloc(pcpu, 24), "1:0");
	CHECK_LISTS(pcpu, "2:0 7:1");
	pcpu_destroy(pcpu);
}

/* what a failed chunk remembered does not reach the one that serves
 *
 *	chunk 0 fails in the map, after a run at granule 40; chunk 1 is full up to
 *	granule 128
 */
TEST(a_remembered_run_of_a_failed_chunk_is_dropped)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);
	int64_t ptr;

	alloc(pcpu, 160);
	ptr = alloc(pcpu, 20);
	alloc(pcpu, DYN - 180);
	CHECK(!pcpu_free(pcpu, ptr));
	alloc(pcpu, LARGEST);
	/* block 2 promises granules 40 to 46 */
	chunk->areas.chunk_md.contig_hint = 7;
	chunk->areas.chunk_md.contig_hint_start = 40;
	chunk->areas.blocks[2].contig_hint = 7;
	bitmap_move(pcpu, chunk, 2, true);
	CHECK_LISTS(pcpu, "2:0 7:1");
	CHECK_PLACE(pcpu, alloc(pcpu, 28), "1:512");
	CHECK(same_text(hints_text(&chunk_of(pcpu, 1)->areas.blocks[2]),
			"0@0 scan 0@0 left 0 right 0 first 0"));
	pcpu_destroy(pcpu);
}

/* a run that the serving chunk remembers is learnt by its block
 *
 *	page 0	aa..bb..ccc.....	granules; b's right neighbour is skipped
 */
TEST(a_remembered_run_is_learnt_by_the_chunk_that_serves)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_areas *areas = &chunk_of(pcpu, 0)->areas;
	int64_t a, b;

	a = alloc(pcpu, 8);
	alloc(pcpu, 8);
	b = alloc(pcpu, 12);
	alloc(pcpu, 8);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	/* forget what the frees told */
	areas->blocks[0] = hints_from("7@9 scan 0@0 left 2 right 7 first 0", 16);
	CHECK_PLACE(pcpu, alloc(pcpu, 20), "0:36");
	CHECK(same_text(hints_text(&areas->blocks[0]),
			"3@4 scan 0@4 left 2 right 2 first 0"));
	pcpu_destroy(pcpu);
}

/* --- no chunk has a place */

TEST(a_chunk_is_created_for_a_request_that_fits_nowhere)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, alloc(pcpu, LARGEST), "1:0");
	CHECK(info_of(pcpu).chunks_created == 1);
	CHECK_LISTS(pcpu, "6:0 7:1");
	pcpu_destroy(pcpu);
}

TEST(a_request_fails_if_no_chunk_can_be_created)
{
	struct pcpu *pcpu = small_bitmap();

	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, LARGEST, 4) == NOMEM(KMALLOC));
	fail_at(pcpu, PCPU_GET_VM_AREA, 1);
	CHECK(pcpu_alloc(pcpu, LARGEST, 4) == NOMEM(GET_VM_AREA));
	CHECK(info_of(pcpu).chunks == 1 && info_of(pcpu).areas == 0);
	CHECK_LISTS(pcpu, "6:0");
	CHECK_EMPTY(pcpu, "4 of 0:4");
	CHECK(!is_requested(pcpu));
	CHECK(calls_of(pcpu, PCPU_KFREE) == 1);
	CHECK_PLACE(pcpu, alloc(pcpu, LARGEST), "1:0");
	pcpu_destroy(pcpu);
}

/* --- atomic requests */

/* it makes no chunk; the work populates 4 pages then */
TEST(an_atomic_request_without_a_place_fails)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_snapshot *snapshot;
	int error;

	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	CHECK(info_of(pcpu).chunks == 1 && info_of(pcpu).areas == 0);
	CHECK(is_requested(pcpu));
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->atomic_failed && snapshot->balance_requested);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

/* one that is not atomic and fails does not */
TEST(another_request_that_fails_requests_no_work)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_snapshot *snapshot;
	int error;

	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, 0) == NOMEM(KMALLOC));
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(!snapshot->atomic_failed && !snapshot->balance_requested);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

/* pages 0 to 2 of chunk 1 are populated, and 1 to 2 free */
TEST(an_atomic_request_is_served_from_populated_pages)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr;

	fill_first(pcpu);
	alloc(pcpu, 64);
	ptr = alloc(pcpu, 128);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_POPULATED(pcpu, 1, "1110000000000000");
	ptr = pcpu_alloc_gfp(pcpu, 132, 4, PCPU_ATOMIC);
	CHECK_PLACE(pcpu, ptr, NO_PLACE);
	ptr = pcpu_alloc_gfp(pcpu, 128, 4, PCPU_ATOMIC);
	CHECK_PLACE(pcpu, ptr, "1:64");
	CHECK_POPULATED(pcpu, 1, "1110000000000000");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	/* others get pages that are not populated yet */
	CHECK_PLACE(pcpu, alloc(pcpu, 132), "1:192");
	CHECK_POPULATED(pcpu, 1, "1111110000000000");
	pcpu_destroy(pcpu);
}

/* a chunk of a low slot without populated pages fails, too */
TEST(an_atomic_request_moves_a_chunk_without_pages_to_slot_0)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST - 20);
	CHECK_LISTS(pcpu, "0:0 2:1");
	bits_clear_one(chunk_of(pcpu, 1)->areas.populated, 15);
	CHECK(pcpu_alloc_gfp(pcpu, 16, 4, PCPU_ATOMIC) == -PCPU_E_NO_PLACE);
	CHECK_LISTS(pcpu, "0:1,0");
	bits_set_one(chunk_of(pcpu, 1)->areas.populated, 15);
	pcpu_destroy(pcpu);
}

TEST(an_atomic_request_requests_work_below_2_empty_pages)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 128, 4, PCPU_ATOMIC), "0:0");
	CHECK(!is_requested(pcpu));
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 4, 4, PCPU_ATOMIC), "0:128");
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/* --- reserved requests */

static struct pcpu *with_reserved(void)
{
	struct pcpu_config config = bitmap_config(1);

	config.reserved_size = 128;
	return create(&config);
}

TEST(a_reserved_request_is_served_from_the_reserved_chunk)
{
	struct pcpu *pcpu = with_reserved();

	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 16, 4, PCPU_RESERVED), "-1:0");
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 16, 4, 0), "0:0");
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 16, 4,
					 PCPU_RESERVED | PCPU_ATOMIC), "-1:16");
	pcpu_destroy(pcpu);
}

/* it takes no other chunk, and makes none */
TEST(a_reserved_request_without_a_place_fails)
{
	struct pcpu *pcpu = with_reserved();

	CHECK(pcpu_alloc_gfp(pcpu, 132, 4, PCPU_RESERVED) == -PCPU_E_NO_PLACE);
	CHECK(info_of(pcpu).chunks == 1 && info_of(pcpu).areas == 0);
	CHECK(!is_requested(pcpu));
	CHECK_LISTS(pcpu, "6:0");
	/* atomic, it requests work */
	CHECK(pcpu_alloc_gfp(pcpu, 132, 4, PCPU_RESERVED | PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	CHECK(is_requested(pcpu));
	/* the map says no, though the hints said yes */
	chunk_of(pcpu, -1)->areas.chunk_md.contig_hint = 33;
	chunk_of(pcpu, -1)->areas.blocks[1].right_free = 20;
	chunk_of(pcpu, -1)->areas.blocks[1].contig_hint = 33;
	CHECK(pcpu_alloc_gfp(pcpu, 132, 4, PCPU_RESERVED) == -PCPU_E_NO_PLACE);
	pcpu_destroy(pcpu);
}

TEST(a_reserved_request_without_a_reserved_chunk_is_like_any_other)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 16, 4, PCPU_RESERVED), "0:0");
	pcpu_destroy(pcpu);
}

/* --- pages under an area, and faults */

static struct pcpu *with_cpus(int cpus)
{
	struct pcpu_config config = bitmap_config(cpus);
	struct pcpu *pcpu = create(&config);

	fill_first(pcpu);
	return pcpu;
}

TEST(populate_takes_a_page_for_each_cpu)
{
	struct pcpu *pcpu = with_cpus(2);

	alloc(pcpu, 68);
	CHECK_POPULATED(pcpu, 1, "2200000000000000");
	CHECK(info_of(pcpu).pages == 2 * (2 + 4) + 2 * 2);
	CHECK(calls_of(pcpu, PCPU_MAP) == 2);
	/* the second page is there */
	alloc(pcpu, 60);
	CHECK_POPULATED(pcpu, 1, "2200000000000000");
	CHECK(calls_of(pcpu, PCPU_MAP) == 2);
	pcpu_destroy(pcpu);
}

/* pages after the first ones of an area are empty until it is taken
 *
 *	page	0	1	2	3
 *	held	yes	no	yes	no
 */
static struct pcpu *with_two_gaps(int64_t *ptr)
{
	struct pcpu *pcpu = with_cpus(1);
	int64_t a;

	a = alloc(pcpu, 64 * 3);
	alloc(pcpu, 4);
	CHECK(!pcpu_free(pcpu, a));
	bitmap_depopulate(pcpu, chunk_of(pcpu, 1), 1, 2);
	CHECK_POPULATED(pcpu, 1, "1011000000000000");
	CHECK_EMPTY(pcpu, "2 of 0:0 1:2");
	*ptr = 0;
	return pcpu;
}

TEST(populate_adds_what_is_missing_run_by_run)
{
	int64_t ptr;
	struct pcpu *pcpu = with_two_gaps(&ptr);

	CHECK_PLACE(pcpu, alloc(pcpu, 192), "1:0");
	CHECK_POPULATED(pcpu, 1, "1111000000000000");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	pcpu_destroy(pcpu);
}

/* with a missing run at both ends: the first stays when the second fails
 *
 *	page	0	1	2	3
 *	held	no	yes	no	yes
 */
TEST(populate_keeps_runs_before_the_one_that_fails)
{
	struct pcpu *pcpu = with_cpus(1);
	int64_t a = alloc(pcpu, 64 * 3);

	alloc(pcpu, 4);
	CHECK(!pcpu_free(pcpu, a));
	bitmap_depopulate(pcpu, chunk_of(pcpu, 1), 0, 1);
	bitmap_depopulate(pcpu, chunk_of(pcpu, 1), 2, 3);
	CHECK_POPULATED(pcpu, 1, "0101000000000000");
	CHECK_EMPTY(pcpu, "1 of 0:0 1:1");
	fail_at(pcpu, PCPU_ALLOC_PAGE, 2);
	CHECK(pcpu_alloc(pcpu, 192, 4) == NOMEM(ALLOC_PAGE));
	CHECK_POPULATED(pcpu, 1, "1101000000000000");
	CHECK_EMPTY(pcpu, "2 of 0:0 1:2");
	CHECK_AREAS(pcpu, 1, "192 -4 828 (free 1020 hint 828)");
	CHECK(info_of(pcpu).areas == 2);
	/* the same with the mapping */
	fail_at(pcpu, PCPU_MAP, 1);
	CHECK(pcpu_alloc(pcpu, 192, 4) == NOMEM(MAP));
	CHECK_POPULATED(pcpu, 1, "1101000000000000");
	CHECK_EMPTY(pcpu, "2 of 0:0 1:2");
	CHECK_PLACE(pcpu, alloc(pcpu, 192), "1:0");
	CHECK_POPULATED(pcpu, 1, "1111000000000000");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	pcpu_destroy(pcpu);
}

/* a failed request frees its area: hints and slot are those of a free */
TEST(populate_that_fails_frees_the_area)
{
	struct pcpu *pcpu = with_cpus(2);

	fail_at(pcpu, PCPU_ALLOC_PAGE, 3);
	CHECK(pcpu_alloc(pcpu, 130, 4) == NOMEM(ALLOC_PAGE));
	CHECK_AREAS(pcpu, 1, "1024 (free 1024 hint 1024)");
	CHECK_POPULATED(pcpu, 1, "0000000000000000");
	CHECK_LISTS(pcpu, "0:0 10:1");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	CHECK(info_of(pcpu).pages == 2 * (2 + 4));
	/* the fill of the first chunk requested work, the failure does not */
	CHECK(is_requested(pcpu));
	CHECK(!pcpu_balance(pcpu, 1, 1));
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, 130, 4) == NOMEM(ALLOC_PAGE));
	CHECK(!is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/* an atomic request needs no page, so no fault fails it */
TEST(populate_is_not_done_for_atomic_requests)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_fault all = { 1, 1, -1, 1.0, 0 };

	CHECK(!pcpu_inject(pcpu, PCPU_ALLOC_PAGE, &all));
	CHECK(!pcpu_inject(pcpu, PCPU_MAP, &all));
	CHECK(!pcpu_inject(pcpu, PCPU_KMALLOC, &all));
	CHECK(!pcpu_inject(pcpu, PCPU_VMALLOC, &all));
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 100, 4, PCPU_ATOMIC), "0:0");
	pcpu_destroy(pcpu);
}

/* no map grows, so there is no other memory than that for chunks */
TEST(no_request_needs_vmalloc)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_fault all = { 1, 1, -1, 1.0, 0 };

	CHECK(!pcpu_inject(pcpu, PCPU_VMALLOC, &all));
	for (int i = 0; i < 300; i++)
		alloc(pcpu, 4);
	CHECK(calls_of(pcpu, PCPU_VMALLOC) == 0);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 1);
	pcpu_destroy(pcpu);
}

/* --- follow a kernel: allocate where it did */

static struct pcpu_choice chosen;

/* follow a kernel to a chunk and an offset */
static int64_t follow(struct pcpu *pcpu, int64_t size, unsigned int flags,
		      int64_t chunk, int64_t offset)
{
	struct pcpu_location kernel = { chunk, offset, 0 };

	return pcpu_follow(pcpu, size, 4, flags, &kernel, &chosen);
}

static const char *choice_text(void)
{
	static char text[64];

	snprintf(text, sizeof(text), "%d:%d there %d%s", (int)chosen.chunk,
		 (int)chosen.offset, (int)chosen.offset_there,
		 chosen.learnt ? " learnt" : "");
	return text;
}

#define CHECK_CHOSEN(text)	CHECK(same_text(choice_text(), text))

TEST(follow_returns_what_the_policy_chooses)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 0), "0:0");
	CHECK_CHOSEN("0:0 there 0");
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 8), "0:8");
	CHECK_CHOSEN("0:8 there 8");
	/* the kernel took another place */
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 128), "0:128");
	CHECK_CHOSEN("0:16 there 16");
	CHECK_AREAS(pcpu, 0, "-8 -8 112 -8 120 (free 232 hint 120)");
	pcpu_destroy(pcpu);
}

/* the chunk after the last one is created; pages are populated */
TEST(follow_creates_the_chunk_after_the_last_one)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, follow(pcpu, 64, 0, 1, 32), "1:32");
	CHECK_CHOSEN("0:0 there 0");
	CHECK_POPULATED(pcpu, 1, "1100000000000000");
	CHECK_EMPTY(pcpu, "4 of 0:4 1:0");
	CHECK(follow(pcpu, 64, 0, 3, 0) == -PCPU_E_WILD);
	CHECK(follow(pcpu, 64, 0, -1, 0) == -PCPU_E_WILD);
	CHECK(info_of(pcpu).chunks == 2 && info_of(pcpu).areas == 1);
	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(follow(pcpu, 64, 0, 2, 0) == NOMEM(KMALLOC));
	pcpu_destroy(pcpu);
}

/* also for an atomic request: where a kernel places it, pages are populated */
TEST(follow_populates_for_an_atomic_request)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, 4);
	CHECK_PLACE(pcpu, follow(pcpu, 64, PCPU_ATOMIC, 1, 64), "1:64");
	CHECK_CHOSEN("0:-23 there -23");
	CHECK_POPULATED(pcpu, 1, "1100000000000000");
	CHECK_PLACE(pcpu, follow(pcpu, 132, PCPU_ATOMIC, 1, 320), "1:320");
	CHECK_POPULATED(pcpu, 1, "1100011100000000");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0");
	/* a failure leaves all as it was */
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(follow(pcpu, 64, PCPU_ATOMIC, 1, 128) == NOMEM(ALLOC_PAGE));
	CHECK_AREAS(pcpu, 1, "-4 60 -64 192 -132 572 (free 824 hint 572)");
	pcpu_destroy(pcpu);
}

TEST(follow_returns_what_the_policy_chooses_in_the_kernels_chunk)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 1, 0), "1:0");
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 1, 8), "1:8");
	CHECK_CHOSEN("0:0 there 8");
	/* no place there, by the policy */
	chunk_of(pcpu, 1)->areas.chunk_md.contig_hint = 1;
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 1, 32), "1:32");
	CHECK_CHOSEN("0:0 there -23");
	pcpu_destroy(pcpu);
}

/* the walk's changes stay: chunk 0 fails in slot 2 */
TEST(follow_in_another_chunk_does_not_move_it_to_slot_0)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, DYN - 20);
	CHECK_LISTS(pcpu, "2:0");
	CHECK(follow(pcpu, 24, 0, 0, 240) == -PCPU_E_NO_PLACE);
	/* the policy searched first, and made a chunk for that */
	CHECK_CHOSEN("1:0 there -23");
	CHECK_LISTS(pcpu, "0:0 10:1");
	bitmap_move(pcpu, chunk_of(pcpu, 0), 2, true);
	/* 8 bytes: chunk 0 serves; the kernel's chunk is asked as in slot 3 */
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 1, 0), "1:0");
	CHECK_CHOSEN("0:236 there 0");
	CHECK_LISTS(pcpu, "2:0 7:1");
	pcpu_destroy(pcpu);
}

/* an atomic request that failed in the kernel, where the policy finds a place */
TEST(follow_a_kernel_that_found_no_place)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK(pcpu_follow(pcpu, 8, 4, PCPU_ATOMIC, NULL, &chosen) ==
	      -PCPU_E_NO_PLACE);
	CHECK(chosen.chunk == 0 && chosen.offset == 0);
	CHECK(chosen.offset_there == -PCPU_E_NO_PLACE);
	CHECK(info_of(pcpu).areas == 0);
	CHECK(is_requested(pcpu));
	CHECK(pcpu_follow(pcpu, LARGEST, 4, PCPU_ATOMIC, NULL, &chosen) ==
	      -PCPU_E_NO_PLACE);
	CHECK(chosen.offset == -PCPU_E_NO_PLACE);
	CHECK(chosen.offset_there == -PCPU_E_NO_PLACE);
	pcpu_destroy(pcpu);
}

/* the policy's choice is returned on errors, too; nothing is taken */
TEST(follow_refuses_a_place_that_is_not_free)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.dyn_size = 250;	/* 248: granules 62 and 63 are hidden */
	pcpu = create(&config);
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 16), "0:16");
	CHECK(follow(pcpu, 8, 0, 0, 20) == -PCPU_E_NO_PLACE);
	CHECK_CHOSEN("0:0 there 0");
	CHECK(follow(pcpu, 8, 0, 0, 12) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 26) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 244) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 248) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 260) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 512) == -PCPU_E_NO_PLACE);
	CHECK(info_of(pcpu).areas == 1);
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 240), "0:240");
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 24), "0:24");
	pcpu_destroy(pcpu);
}

/* granules before the first chunk's start are hidden, and not free */
TEST(follow_refuses_a_place_before_the_first_chunk)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.static_size = 136;
	pcpu = create(&config);
	CHECK(follow(pcpu, 8, 0, 0, 4) == -PCPU_E_NO_PLACE);
	CHECK_CHOSEN("0:8 there 8");
	bits_fill(chunk_of(pcpu, 0)->areas.alloc_map, 0, 2, false);
	CHECK(follow(pcpu, 4, 0, 0, 4) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 0) == -PCPU_E_NO_PLACE);
	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 0, 8), "0:8");
	pcpu_destroy(pcpu);
}

TEST(follow_checks_its_arguments)
{
	struct pcpu_location kernel = { 0, 0, 0 };
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu, *area_map = small(1);

	config.log = ignore_text;
	pcpu = create(&config);

	CHECK(pcpu_follow(pcpu, 8, 4, 0, &kernel, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_follow(NULL, 8, 4, 0, &kernel, &chosen) == -PCPU_E_NULL);
	chosen = (struct pcpu_choice){ 7, 7, 7, 7 };
	CHECK(follow(pcpu, 8, 0, 0, -4) == -PCPU_E_WILD);
	CHECK_CHOSEN("0:-23 there -23");
	CHECK(follow(pcpu, 8, 0, 0, -1) == -PCPU_E_WILD);
	CHECK(follow(pcpu, 8, 0, 0, UNIT) == -PCPU_E_WILD);
	CHECK(follow(pcpu, 8, 0, 0, UNIT - 4) == -PCPU_E_NO_PLACE);
	/* a chunk of 256 bytes */
	CHECK(follow(pcpu, 8, 0, 0, 260) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 0, 0, 252) == -PCPU_E_NO_PLACE);
	CHECK(follow(pcpu, 8, 8, 0, 0) == -PCPU_E_FLAGS);
	CHECK(follow(pcpu, 0, 0, 0, 0) == -PCPU_E_SIZE);
	CHECK(follow(area_map, 8, 0, 0, 0) == -PCPU_E_FLAGS);
	CHECK_CHOSEN("0:-23 there -23");
	CHECK(info_of(pcpu).areas == 0 && info_of(area_map).areas == 0);
	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_ATOMIC | PCPU_RESERVED |
				 PCPU_LEARN, 0, 0), "0:0");
	CHECK(!pcpu_close(pcpu));
	chosen = (struct pcpu_choice){ 7, 7, 7, 7 };
	CHECK(follow(pcpu, 8, 0, 0, 0) == -PCPU_E_CLOSED);
	pcpu_destroy(pcpu);
	pcpu_destroy(area_map);
}

/* --- PCPU_LEARN: a chunk that a running kernel passes over is sidelined */

static struct pcpu *with_two_chunks(void)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "0:0 6:1 7:2");
	return pcpu;
}

TEST(learn_sidelines_the_chunk_that_the_kernel_passes_over)
{
	struct pcpu *pcpu = with_two_chunks();

	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 2, 512), "2:512");
	CHECK_CHOSEN("1:768 there 512 learnt");
	CHECK_LISTS(pcpu, "0:0 6:2 9:1");
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0 isolated 2:0");
	/* next time it is not the policy's choice */
	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 2, 520), "2:520");
	CHECK_CHOSEN("2:520 there 520");
	pcpu_destroy(pcpu);
}

TEST(without_learn_the_chunk_stays)
{
	struct pcpu *pcpu = with_two_chunks();

	CHECK_PLACE(pcpu, follow(pcpu, 8, 0, 2, 512), "2:512");
	CHECK_CHOSEN("1:768 there 512");
	CHECK_LISTS(pcpu, "0:0 6:1,2");
	pcpu_destroy(pcpu);
}

TEST(learn_changes_nothing_if_the_chunk_is_right)
{
	struct pcpu *pcpu = with_two_chunks();

	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 1, 800), "1:800");
	CHECK_CHOSEN("1:768 there 768");
	CHECK_LISTS(pcpu, "0:0 5:1 7:2");
	pcpu_destroy(pcpu);
}

/* the first chunk is never sidelined, nor one that is isolated already */
TEST(learn_leaves_the_first_chunk_and_isolated_chunks)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 1, 0), "1:0");
	CHECK_CHOSEN("0:0 there 0");
	CHECK_LISTS(pcpu, "6:0 7:1");
	pcpu_destroy(pcpu);

	pcpu = with_two_chunks();
	for (int id = 2; id >= 1; id--) {
		pcpu_isolate_chunk(pcpu, chunk_of(pcpu, id));
		bitmap_move(pcpu, chunk_of(pcpu, id), pcpu_sidelined_slot(pcpu),
			    true);
	}
	CHECK_LISTS(pcpu, "0:0 9:1,2");
	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 2, 512), "2:512");
	CHECK_CHOSEN("1:768 there 512");
	CHECK_LISTS(pcpu, "0:0 6:2 9:1");
	pcpu_destroy(pcpu);
}

/* nor the reserved chunk, whose pages do not count */
TEST(learn_leaves_the_reserved_chunk)
{
	struct pcpu *pcpu = with_reserved();

	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN | PCPU_RESERVED, 0, 0),
		    "0:0");
	CHECK_CHOSEN("-1:0 there 0");
	CHECK_EMPTY(pcpu, "3 of -1:2 0:3");
	pcpu_destroy(pcpu);
}

/* sidelined chunks are in the order in which they were passed over */
TEST(learn_appends_to_the_sidelined_chunks)
{
	struct pcpu *pcpu = with_two_chunks();

	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 3, 0), "3:0");
	CHECK_CHOSEN("1:768 there 0 learnt");
	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 3, 8), "3:8");
	CHECK_CHOSEN("2:512 there 8 learnt");
	CHECK_LISTS(pcpu, "0:0 7:3 9:1,2");
	pcpu_destroy(pcpu);
}

/* a chunk that the policy would create is none that was passed over */
TEST(learn_nothing_if_the_policy_finds_no_place)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, 4);
	CHECK_PLACE(pcpu, follow(pcpu, 128, PCPU_LEARN | PCPU_ATOMIC, 1, 64),
		    "1:64");
	CHECK_CHOSEN("0:-23 there -23");
	CHECK_LISTS(pcpu, "0:0 7:1");
	pcpu_destroy(pcpu);
}

/* a chunk that the policy would take from its start, and the kernel did not */
TEST(learn_sidelines_a_chunk_that_is_all_free)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	pcpu_create_chunk(pcpu, &error);
	CHECK_PLACE(pcpu, follow(pcpu, 8, PCPU_LEARN, 2, 0), "2:0");
	CHECK_CHOSEN("1:0 there 0 learnt");
	CHECK_LISTS(pcpu, "0:0 7:2 9:1");
	pcpu_destroy(pcpu);
}

/*
 * The policy's chunk remembers a run at granule 4.  The kernel's has no place by
 * its hints, so nothing is learnt there.
 */
TEST(follow_drops_what_another_chunk_remembers)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_areas *areas;
	int64_t a;

	alloc(pcpu, 16);
	a = alloc(pcpu, 12);
	alloc(pcpu, 8);
	CHECK(!pcpu_free(pcpu, a));
	alloc(pcpu, LARGEST);
	areas = &chunk_of(pcpu, 1)->areas;
	areas->chunk_md.contig_hint = 1;
	chunk_of(pcpu, 0)->areas.blocks[0].scan_hint = 0;
	chunk_of(pcpu, 0)->areas.chunk_md.scan_hint = 0;
	CHECK_PLACE(pcpu, follow(pcpu, 16, 0, 1, 512), "1:512");
	CHECK_CHOSEN("0:36 there -23");
	CHECK(same_text(hints_text(&areas->blocks[0]),
			"0@0 scan 0@0 left 0 right 0 first 16"));
	pcpu_destroy(pcpu);
}

/* the run that the search in the kernel's chunk remembers is learnt there */
TEST(follow_learns_the_run_that_the_kernels_chunk_remembers)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_areas *areas;
	int64_t a, b;

	fill_first(pcpu);
	a = alloc(pcpu, 8);
	alloc(pcpu, 8);
	b = alloc(pcpu, 12);
	alloc(pcpu, 8);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	areas = &chunk_of(pcpu, 1)->areas;
	areas->blocks[0] = hints_from("7@9 scan 0@0 left 2 right 7 first 0", 16);
	/* the policy would take chunk 2, at the head */
	bitmap_move(pcpu, chunk_of(pcpu, 1), pcpu_free_slot(pcpu), true);
	CHECK_PLACE(pcpu, follow(pcpu, 20, 0, 1, 36), "1:36");
	CHECK_CHOSEN("1:36 there 36");
	CHECK(same_text(hints_text(&areas->blocks[0]),
			"3@4 scan 0@4 left 2 right 2 first 0"));
	pcpu_destroy(pcpu);
}
