// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_balance.c - the background work: its four steps, and when it runs.
 *
 * Digits are the pages of a chunk: 1 is populated.  See small_bitmap.h.
 */
#include "small_bitmap.h"

static void balance(struct pcpu *pcpu, int first, int last)
{
	CHECK(!pcpu_balance(pcpu, first, last));
}

/* depopulate a page of a chunk, which is empty */
static void drop_page(struct pcpu *pcpu, int id, int page)
{
	bitmap_depopulate(pcpu, chunk_of(pcpu, id), page, page + 1);
}

/* chunks 1 to @n, all free and without pages */
static struct pcpu *with_free_chunks(int n)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	while (n--)
		pcpu_create_chunk(pcpu, &error);
	return pcpu;
}

/* --- step 1: free chunks, except the head */

TEST(step_1_destroys_free_chunks_but_the_head)
{
	struct pcpu *pcpu = with_free_chunks(3);

	CHECK_LISTS(pcpu, "0:0 10:3,2,1");
	balance(pcpu, 1, 1);
	CHECK_LISTS(pcpu, "0:0 10:3");
	CHECK(info_of(pcpu).chunks == 2);
	CHECK(info_of(pcpu).chunks_destroyed == 2);
	balance(pcpu, 1, 1);
	CHECK_LISTS(pcpu, "0:0 10:3");
	pcpu_destroy(pcpu);
}

/* their empty pages leave the total
 *
 *	chunk 1	11..............
 *	chunk 2	1...............	the head
 */
TEST(step_1_gives_the_pages_of_chunks_back)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b, c;

	fill_first(pcpu);
	a = alloc(pcpu, 128);
	b = alloc(pcpu, LARGEST);
	c = alloc(pcpu, LARGEST);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	CHECK(!pcpu_free(pcpu, c));
	CHECK_EMPTY(pcpu, "18 of 0:0 1:10 2:8");
	CHECK_LISTS(pcpu, "0:0 10:2,1");
	balance(pcpu, 1, 1);
	CHECK_EMPTY(pcpu, "8 of 0:0 2:8");
	CHECK(info_of(pcpu).pages == 2 + 4 + 8);
	CHECK(calls_of(pcpu, PCPU_FREE_VM_AREA) == 1);
	pcpu_destroy(pcpu);
}

TEST(step_1_leaves_chunks_in_use)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, LARGEST);
	CHECK_LISTS(pcpu, "6:0 7:1");
	balance(pcpu, 1, 1);
	CHECK_LISTS(pcpu, "6:0 7:1");
	pcpu_destroy(pcpu);
}

/* --- step 2: empty pages of isolated chunks, from the last one down */

/*
 * Chunk 1 is isolated: 0 and 5 are in use, the others of 8 pages are empty.
 * The others have @total empty pages.
 *
 *	x....x..
 */
static struct pcpu *with_isolated(int total)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b;

	fill_first(pcpu);
	alloc(pcpu, 64);
	a = alloc(pcpu, 256);
	alloc(pcpu, 64);
	b = alloc(pcpu, 128);
	alloc(pcpu, LARGEST);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	CHECK_EMPTY(pcpu, "6 of 0:0 1:6");
	a = alloc(pcpu, LARGEST);
	CHECK(!pcpu_free(pcpu, a));
	for (int page = 7; page >= total; page--)
		drop_page(pcpu, 2, page);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_LISTS(pcpu, "0:0 10:2 11:1");
	return pcpu;
}

TEST(step_2_depopulates_empty_pages_and_sidelines_the_chunk)
{
	struct pcpu *pcpu = with_isolated(4);

	CHECK_POPULATED(pcpu, 1, "1111111111111111");
	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "1000010011111111");
	CHECK_EMPTY(pcpu, "4 of 0:0 1:0 isolated 2:4");
	CHECK_LISTS(pcpu, "0:0 9:1 10:2");
	/* two runs of pages: two flushes */
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) == 2 + 4);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 2 + 4);
	pcpu_destroy(pcpu);
}

/* with less than 4 others it is reintegrated as it is */
TEST(step_2_reintegrates_a_chunk_if_others_have_less_than_4)
{
	struct pcpu *pcpu = with_isolated(3);

	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "1111111111111111");
	CHECK_EMPTY(pcpu, "9 of 0:0 1:6 2:3");
	CHECK_LISTS(pcpu, "0:0 6:1 10:2");
	pcpu_destroy(pcpu);
}

/* a chunk without empty pages has nothing to give, whatever others have */
TEST(step_2_sidelines_a_chunk_without_empty_pages)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	balance(pcpu, 2, 2);
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0 isolated");
	CHECK_LISTS(pcpu, "0:0 9:1");
	pcpu_destroy(pcpu);
}

/* a chunk that is all free is depopulated and reintegrated */
TEST(step_2_reintegrates_a_chunk_that_is_all_free)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr = alloc(pcpu, LARGEST);

	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	CHECK_EMPTY(pcpu, "4 of 0:4 1:8 isolated");
	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "0000000000000000");
	CHECK_EMPTY(pcpu, "4 of 0:4 1:0");
	CHECK_LISTS(pcpu, "6:0 10:1");
	pcpu_destroy(pcpu);
}

/* page 0 is depopulated as any other, also in a run with others */
TEST(step_2_comes_to_the_first_page)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a = alloc(pcpu, LARGEST);

	alloc(pcpu, 260);
	CHECK(!pcpu_free(pcpu, a));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "0000000011111000");
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 1);
	pcpu_destroy(pcpu);
}

/* the first and the last page of a unit
 *
 *	page 0: freed; 1 to 14: in use; 15: freed
 */
TEST(step_2_depopulates_pages_at_both_ends)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b, c;

	fill_first(pcpu);
	a = alloc(pcpu, 64);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 384);
	b = alloc(pcpu, 64);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	c = alloc(pcpu, LARGEST);
	CHECK(!pcpu_free(pcpu, c));
	CHECK_EMPTY(pcpu, "10 of 0:0 1:2 2:8");
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "0111111111111110");
	CHECK_EMPTY(pcpu, "8 of 0:0 1:0 isolated 2:8");
	pcpu_destroy(pcpu);
}

/* pages that are not populated end a run */
TEST(step_2_leaves_pages_that_are_not_populated)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a = alloc(pcpu, LARGEST);

	alloc(pcpu, 260);
	CHECK(!pcpu_free(pcpu, a));
	drop_page(pcpu, 1, 3);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	balance(pcpu, 2, 2);
	CHECK_POPULATED(pcpu, 1, "0000000011111000");
	CHECK_EMPTY(pcpu, "4 of 0:4 1:0 isolated");
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 1 + 2);
	pcpu_destroy(pcpu);
}

/* the head first; a reintegrated chunk's pages count for the next one
 *
 *	chunk 2, the head, is reintegrated as others have 3; then they have 6
 */
TEST(step_2_takes_chunks_from_the_head)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a, b;

	alloc(pcpu, 4);			/* 3 empty pages in chunk 0 */
	alloc(pcpu, LARGEST);
	a = alloc(pcpu, 320);
	alloc(pcpu, LARGEST);
	b = alloc(pcpu, 320);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 2));
	CHECK_EMPTY(pcpu, "3 of 0:3 1:5 isolated 2:5 isolated");
	balance(pcpu, 2, 2);
	CHECK_EMPTY(pcpu, "8 of 0:3 1:0 isolated 2:5");
	CHECK_LISTS(pcpu, "5:0 7:2 9:1");
	pcpu_destroy(pcpu);
}

/* to the tail of the sidelined chunks */
TEST(step_2_appends_to_the_sidelined_chunks)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 2));
	CHECK_LISTS(pcpu, "6:0 11:2,1");
	balance(pcpu, 2, 2);
	CHECK_LISTS(pcpu, "6:0 9:2,1");
	pcpu_destroy(pcpu);
}

/* --- step 3: empty pages for atomic requests */

TEST(step_3_populates_up_to_4_pages)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, LARGEST);
	alloc(pcpu, 68);
	CHECK_EMPTY(pcpu, "2 of 0:2 1:0");
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1111111111000000");
	CHECK_EMPTY(pcpu, "4 of 0:2 1:2");
	/* enough */
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "4 of 0:2 1:2");
	CHECK(info_of(pcpu).chunks_created == 1);
	pcpu_destroy(pcpu);
}

TEST(step_3_populates_nothing_if_more_than_4_are_empty)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr = alloc(pcpu, LARGEST);

	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_EMPTY(pcpu, "12 of 0:4 1:8");
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "12 of 0:4 1:8");
	pcpu_destroy(pcpu);
}

/* after a failed atomic request 4 more, once */
TEST(step_3_populates_4_pages_after_a_failed_atomic_request)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, LARGEST);
	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "8 of 0:4 1:4");
	CHECK_POPULATED(pcpu, 1, "1111111111110000");
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "8 of 0:4 1:4");
	pcpu_destroy(pcpu);
}

/* pages that are populated in between stay; the lowest first */
TEST(step_3_populates_the_lowest_pages)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a;

	fill_first(pcpu);
	a = alloc(pcpu, LARGEST);
	alloc(pcpu, 64);
	CHECK(!pcpu_free(pcpu, a));
	for (int page = 1; page < 8; page += 2)
		drop_page(pcpu, 1, page);
	drop_page(pcpu, 1, 6);
	CHECK_POPULATED(pcpu, 1, "1010100010000000");
	CHECK_EMPTY(pcpu, "3 of 0:0 1:3");
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1110100010000000");
	drop_page(pcpu, 1, 0);
	drop_page(pcpu, 1, 2);
	drop_page(pcpu, 1, 4);
	CHECK_POPULATED(pcpu, 1, "0100000010000000");
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1111000010000000");
	CHECK_EMPTY(pcpu, "4 of 0:0 1:4");
	pcpu_destroy(pcpu);
}

/* from the slot of a page upwards: a chunk of slot 3 is left out
 *
 *	chunk 1: 60 bytes free at the end of a page; its last pages are missing
 */
TEST(step_3_starts_at_the_slot_of_a_page)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk;

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	chunk = chunk_of(pcpu, 1);
	CHECK_LISTS(pcpu, "0:0 6:1");
	bitmap_move(pcpu, chunk, 3, true);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1111111111110000");
	CHECK_POPULATED(pcpu, 2, "1111000000000000");
	CHECK_LISTS(pcpu, "0:0 3:1 10:2");
	bitmap_move(pcpu, chunk, 4, true);
	drop_page(pcpu, 2, 0);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1111111111111000");
	CHECK_POPULATED(pcpu, 2, "0111000000000000");
	pcpu_destroy(pcpu);
}

/* only the first chunk with missing pages in each slot; then a new one is made
 *
 *	chunk 2	111111111111111.	the head of slot 10; two are needed
 *	chunk 1	................
 */
TEST(step_3_asks_one_chunk_of_each_slot)
{
	struct pcpu *pcpu = with_free_chunks(2);

	CHECK_LISTS(pcpu, "0:0 10:2,1");
	CHECK(!bitmap_populate(pcpu, chunk_of(pcpu, 2), 0, 15));
	pcpu->nr_empty_pop_pages -= 13;
	balance(pcpu, 3, 3);
	pcpu->nr_empty_pop_pages += 13;
	CHECK_LISTS(pcpu, "0:0 10:3,2,1");
	CHECK_EMPTY(pcpu, "17 of 0:0 1:0 2:16 3:1");
	pcpu_destroy(pcpu);
}

/* a chunk without missing pages is passed over, within its slot and beyond */
TEST(step_3_passes_over_chunks_that_are_all_populated)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk;
	int64_t a, b;

	fill_first(pcpu);
	a = alloc(pcpu, 256);
	alloc(pcpu, 256);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST);
	alloc(pcpu, 256);
	b = alloc(pcpu, 60);
	CHECK(!pcpu_free(pcpu, a));
	CHECK_LISTS(pcpu, "0:0 5:2 6:1");
	(void)b;
	chunk = chunk_of(pcpu, 1);
	CHECK_POPULATED(pcpu, 1, "1111111111111111");
	CHECK_POPULATED(pcpu, 2, "1111111111111000");
	pcpu->nr_empty_pop_pages -= 3;
	bitmap_move(pcpu, chunk, 5, true);
	CHECK_LISTS(pcpu, "0:0 5:1,2");
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 2, "1111111111111111");
	pcpu->nr_empty_pop_pages += 3;
	CHECK_EMPTY(pcpu, "7 of 0:0 1:4 2:3");
	pcpu_destroy(pcpu);
}

/* one chunk has too few: the next slot goes on; and only then a new chunk
 *
 *	slot 5: chunk 2 lacks 2 pages; slot 10: chunk 3 has the rest
 */
TEST(step_3_goes_on_in_the_next_slot)
{
	struct pcpu *pcpu = small_bitmap();
	int error;

	fill_first(pcpu);
	alloc(pcpu, LARGEST);
	alloc(pcpu, LARGEST - 128);
	CHECK_LISTS(pcpu, "0:0 5:1");
	pcpu_create_chunk(pcpu, &error);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1111111111111111");
	CHECK_POPULATED(pcpu, 2, "1100000000000000");
	CHECK_EMPTY(pcpu, "4 of 0:0 1:2 2:2");
	CHECK(info_of(pcpu).chunks_created == 2);
	pcpu_destroy(pcpu);
}

/* not enough in all chunks: a new one is made, and the need computed anew */
TEST(step_3_makes_a_chunk_if_pages_are_missing)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, 4);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1000000000000000");
	CHECK_EMPTY(pcpu, "4 of 0:3 1:1");
	CHECK_LISTS(pcpu, "5:0 10:1");
	pcpu_destroy(pcpu);
}

/* after a failed atomic request the second look counts what is missing */
TEST(step_3_computes_the_need_anew_with_a_new_chunk)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, 4);
	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "4 of 0:3 1:1");
	pcpu_destroy(pcpu);

	/* nothing is missing: the new chunk stays without pages */
	pcpu = small_bitmap();
	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "4 of 0:4 1:0");
	CHECK(info_of(pcpu).chunks_created == 1);
	pcpu_destroy(pcpu);
}

/* isolated chunks are among those that are populated; the total is not raised
 *
 *	slot 9: chunk 1; slot 10: chunk 2
 */
TEST(step_3_populates_sidelined_chunks)
{
	struct pcpu *pcpu = with_free_chunks(2);

	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	bitmap_move(pcpu, chunk_of(pcpu, 1), pcpu_sidelined_slot(pcpu), true);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "0 of 0:0 1:4 isolated 2:0");
	/* so the next run does it again */
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "0 of 0:0 1:8 isolated 2:0");
	/* not those to depopulate */
	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "4 of 0:0 1:8 isolated 2:4");
	pcpu_destroy(pcpu);
}

/* --- failures: nobody hears of them */

TEST(step_3_ends_if_no_page_is_left)
{
	struct pcpu *pcpu = with_free_chunks(2);

	pcpu_isolate_chunk(pcpu, chunk_of(pcpu, 1));
	bitmap_move(pcpu, chunk_of(pcpu, 1), pcpu_sidelined_slot(pcpu), true);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 3);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0 isolated 2:0");
	CHECK(info_of(pcpu).chunks_created == 2);
	fail_at(pcpu, PCPU_MAP, 1);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "0 of 0:0 1:0 isolated 2:0");
	pcpu_destroy(pcpu);
}

/* chunk 1 is free, and only its page 1 is populated */
static struct pcpu *with_page_1(void)
{
	struct pcpu *pcpu = with_free_chunks(1);

	CHECK(!bitmap_populate(pcpu, chunk_of(pcpu, 1), 1, 2));
	return pcpu;
}

/* runs before the one that fails stay */
TEST(step_3_keeps_the_runs_before_a_failure)
{
	struct pcpu *pcpu = with_page_1();

	fail_at(pcpu, PCPU_ALLOC_PAGE, 2);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "1100000000000000");
	CHECK_EMPTY(pcpu, "2 of 0:0 1:2");
	pcpu_destroy(pcpu);
}

/* page 0 is not tried a second time */
TEST(step_3_ends_with_a_failure)
{
	struct pcpu *pcpu = with_page_1();

	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	balance(pcpu, 3, 3);
	CHECK_POPULATED(pcpu, 1, "0100000000000000");
	pcpu_destroy(pcpu);
}

TEST(step_3_ends_if_no_chunk_can_be_made)
{
	struct pcpu *pcpu = small_bitmap();

	alloc(pcpu, 4);
	fail_at(pcpu, PCPU_KMALLOC, 1);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "3 of 0:3");
	fail_at(pcpu, PCPU_GET_VM_AREA, 1);
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "3 of 0:3");
	balance(pcpu, 3, 3);
	CHECK_EMPTY(pcpu, "4 of 0:3 1:1");
	pcpu_destroy(pcpu);
}

/* --- step 4: free chunks without empty pages, except the head */

TEST(step_4_destroys_free_chunks_without_pages)
{
	struct pcpu *pcpu = with_free_chunks(3);

	CHECK(!bitmap_populate(pcpu, chunk_of(pcpu, 2), 0, 1));
	CHECK_LISTS(pcpu, "0:0 10:3,2,1");
	balance(pcpu, 4, 4);
	CHECK_LISTS(pcpu, "0:0 10:3,2");
	CHECK_EMPTY(pcpu, "1 of 0:0 2:1 3:0");
	pcpu_destroy(pcpu);
}

/* --- a run */

/* the steps in order: 1 leaves one free chunk, 3 populates it, 4 keeps it */
TEST(a_run_does_all_steps)
{
	struct pcpu *pcpu = with_free_chunks(3);

	CHECK(is_requested(pcpu));
	balance(pcpu, 1, PCPU_BALANCE_STEPS);
	CHECK_LISTS(pcpu, "0:0 10:3");
	CHECK_EMPTY(pcpu, "4 of 0:0 3:4");
	CHECK(!is_requested(pcpu));
	CHECK(info_of(pcpu).balance_runs == 1);
	pcpu_destroy(pcpu);
}

/* chunk 1 is isolated, 2 and 3 are free; an atomic request has failed */
static struct pcpu *with_work_for_all(void)
{
	struct pcpu *pcpu = with_isolated(8);
	int error;

	pcpu_create_chunk(pcpu, &error);
	pcpu->atomic_alloc_failed = true;
	CHECK_LISTS(pcpu, "0:0 10:3,2 11:1");
	CHECK_EMPTY(pcpu, "8 of 0:0 1:6 isolated 2:8 3:0");
	return pcpu;
}

/* after step 1 others have less than 4 pages: step 2 reintegrates chunk 1 */
TEST(steps_run_alone_or_in_a_row)
{
	for (int first = 1; first <= PCPU_BALANCE_STEPS; first++) {
		for (int last = first; last <= PCPU_BALANCE_STEPS; last++) {
			struct pcpu *pcpu = with_work_for_all();
			struct bitmap_chunk *chunk = chunk_of(pcpu, 1);

			balance(pcpu, first, last);
			CHECK((info_of(pcpu).chunks == 3) == (first == 1));
			CHECK(list_empty(&pcpu->slots[11]) ==
			      (first <= 2 && last >= 2));
			CHECK(pcpu->atomic_alloc_failed !=
			      (first <= 3 && last >= 3));
			CHECK(chunk->isolated == (first > 1 || last < 2));
			CHECK(info_of(pcpu).balance_runs == (first == 1));
			CHECK(is_requested(pcpu) == (first > 1));
			pcpu_destroy(pcpu);
		}
	}
}

/* both free chunks have no pages: steps 1 and 4 destroy one */
TEST(the_last_step_ends_a_run)
{
	for (int first = 2; first <= PCPU_BALANCE_STEPS; first++) {
		for (int last = first; last <= PCPU_BALANCE_STEPS; last++) {
			struct pcpu *pcpu = with_free_chunks(2);

			pcpu->nr_empty_pop_pages += 4;
			balance(pcpu, first, last);
			CHECK(info_of(pcpu).chunks_destroyed == (last == 4));
			pcpu_destroy(pcpu);
		}
	}
}

TEST(only_steps_that_exist_run)
{
	struct pcpu *pcpu = with_free_chunks(2);

	CHECK(pcpu_balance(pcpu, 0, 4) == -PCPU_E_CONFIG);
	CHECK(pcpu_balance(pcpu, 1, 5) == -PCPU_E_CONFIG);
	CHECK(pcpu_balance(pcpu, 3, 2) == -PCPU_E_CONFIG);
	CHECK(pcpu_balance(pcpu, 5, 5) == -PCPU_E_CONFIG);
	CHECK(info_of(pcpu).chunks == 3 && info_of(pcpu).balance_runs == 0);
	CHECK(pcpu_balance(NULL, 1, 4) == -PCPU_E_NULL);
	CHECK(!pcpu_close(pcpu));
	CHECK(pcpu_balance(pcpu, 1, 4) == -PCPU_E_CLOSED);
	pcpu_destroy(pcpu);
}

/* with area maps there is no such work */
TEST(a_run_does_nothing_with_area_maps)
{
	struct pcpu *pcpu = small(1);

	CHECK(!pcpu_balance(pcpu, 1, 4));
	CHECK(pcpu_balance(pcpu, 0, 4) == -PCPU_E_CONFIG);
	CHECK(info_of(pcpu).balance_runs == 0);
	pcpu_destroy(pcpu);
}

/* --- when it runs: by default at the end of the operation that requests it */

static struct pcpu *automatic(void)
{
	struct pcpu_config config = bitmap_config(1);

	config.manual_balance = 0;
	return create(&config);
}

TEST(work_runs_after_the_allocation_that_requests_it)
{
	struct pcpu *pcpu = automatic();

	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 128, 4), "0:0");
	CHECK(info_of(pcpu).balance_runs == 0);
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 4, 4), "0:128");
	CHECK(info_of(pcpu).balance_runs == 1 && !is_requested(pcpu));
	CHECK_EMPTY(pcpu, "4 of 0:1 1:3");
	pcpu_destroy(pcpu);
}

TEST(work_runs_after_the_atomic_request_that_fails)
{
	struct pcpu *pcpu = automatic();

	CHECK(pcpu_alloc_gfp(pcpu, LARGEST, 4, PCPU_ATOMIC) ==
	      -PCPU_E_NO_PLACE);
	CHECK(info_of(pcpu).balance_runs == 1);
	CHECK_EMPTY(pcpu, "4 of 0:4 1:0");
	pcpu_destroy(pcpu);
}

/* 12 other pages are more than 4: chunk 2 is isolated and gives its own back */
TEST(work_runs_after_the_free_that_requests_it)
{
	struct pcpu *pcpu = automatic();
	int64_t ptrs[4];

	for (int i = 0; i < 4; i++)
		ptrs[i] = alloc(pcpu, LARGEST);
	CHECK(!pcpu_free(pcpu, ptrs[0]));
	CHECK_EMPTY(pcpu, "12 of 0:4 1:8 2:0");
	CHECK(info_of(pcpu).balance_runs == 0);
	CHECK(!pcpu_free(pcpu, ptrs[2]));
	CHECK(info_of(pcpu).balance_runs == 1);
	CHECK_EMPTY(pcpu, "12 of 0:4 1:8 2:0 isolated");
	CHECK_LISTS(pcpu, "6:0 7:1 9:2");
	pcpu_destroy(pcpu);
}

TEST(manual_work_waits)
{
	struct pcpu *pcpu = small_bitmap();

	fill_first(pcpu);
	CHECK(is_requested(pcpu));
	CHECK(info_of(pcpu).balance_runs == 0);
	CHECK_LISTS(pcpu, "0:0");
	pcpu_destroy(pcpu);
}
