// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_search.c - search one chunk: by its hints, then in the map.
 *
 * Above each test is a drawing of the map; a letter is an area, a point a free
 * granule, and a block is what is between two bars.
 */
#include "drawn.h"

static struct pcpu_skipped skipped;

static int fit(int bits, int align)
{
	return pcpu_find_block_fit(&areas, bits, align, false);
}

static int fit_populated(int bits, int align)
{
	return pcpu_find_block_fit(&areas, bits, align, true);
}

static int place(int start, int bits, int align)
{
	skipped = (struct pcpu_skipped){ 77, 88 };
	return pcpu_find_zero_area(&areas, start, bits, align, &skipped);
}

static bool remembers(int start, int bits)
{
	return skipped.start == start && skipped.bits == bits;
}

/* --- Door: the chunk's contig hint decides
 *
 *	aaa.....|bbbbbbbb
 */
TEST(door_is_closed_if_the_contig_hint_is_too_small)
{
	given("aaa.....|bbbbbbbb");
	CHECK(fit(5, 1) == 3);
	CHECK(fit(6, 1) == -1);
	KNOWN_OF_CHUNK("4@3 scan 0@0 left 0 right 0 first 3");
	CHECK(fit(5, 1) == -1);
}

/* even if another run is aligned
 *
 *	a.....bb|....cccc
 */
TEST(door_asks_for_an_aligned_place_in_the_contig_hint)
{
	given("a.....bb|....cccc");
	CHECK(fit(3, 4) == -1);
	CHECK(fit(2, 4) == 1);
	CHECK(fit(4, 1) == 1);
}

/* --- Skip: where a search starts
 *
 *	..a..b..|...ccccc|........
 */
TEST(skip_starts_after_the_chunks_scan_hint)
{
	given("..a..b..|...ccccc|........");
	/* as if the first run were not there */
	KNOWN_OF_CHUNK("8@16 scan 5@6 left 0 right 8 first 0");
	CHECK(fit(6, 1) == 16);
	CHECK(fit(5, 1) == 6);
	CHECK(fit(2, 1) == 0);
}

TEST(skip_starts_at_the_first_free_granule_otherwise)
{
	given("a.b.....|........");
	KNOWN_OF_CHUNK("13@3 scan 0@8 left 0 right 13 first 1");
	CHECK(fit(4, 1) == 2);
	KNOWN_OF_CHUNK("13@3 scan 0@0 left 0 right 13 first 10");
	CHECK(fit(4, 1) == 8);
}

/* --- Fit: the first block whose hints promise a place */

/* a contig hint before the start of the search does not count
 *
 *	....a..b|......cd
 */
TEST(fit_ignores_a_contig_hint_before_the_start)
{
	given("....a..b|......cd");
	KNOWN_OF_CHUNK("6@8 scan 0@0 left 4 right 0 first 1");
	CHECK(fit(3, 1) == 8);
	KNOWN_OF_CHUNK("6@8 scan 0@0 left 4 right 0 first 0");
	CHECK(fit(3, 1) == 0);
}

/* only in the first block: in later ones the position counts from 0 */
TEST(fit_ignores_nothing_in_later_blocks)
{
	given("aaaaa..b|......cd");
	KNOWN_OF_CHUNK("6@8 scan 0@0 left 0 right 0 first 5");
	CHECK(fit(3, 1) == 8);
}

/* Skip(block): the answer is before the contig hint, where smaller runs are
 *
 *	..a...b.....cccc
 */
TEST(fit_answers_where_the_blocks_search_starts)
{
	given("..a...b.....cccc");
	CHECK_BLOCK(0, "5@7 scan 3@3 left 2 right 0 first 0");
	areas.chunk_md.scan_hint = 0;
	CHECK(fit(2, 1) == 0);
	CHECK(fit(3, 1) == 0);
	CHECK(fit(4, 1) == 6);
	CHECK(fit(5, 1) == 6);
}

/* the start of the search only decides about the contig hint
 *
 *	..a.....|bbbbbbbb
 */
TEST(fit_may_answer_before_its_start)
{
	given("..a.....|bbbbbbbb");
	KNOWN_OF_CHUNK("5@3 scan 0@0 left 2 right 0 first 2");
	CHECK(fit(2, 1) == 0);
	/* past the contig hint it is right_free that answers */
	KNOWN_OF_CHUNK("5@3 scan 0@0 left 2 right 0 first 6");
	CHECK(fit(4, 1) == 3);
}

TEST(fit_needs_an_aligned_place_in_the_blocks_contig_hint)
{
	given("a.....bb|...ccccc|....dddd");
	KNOWN_OF_CHUNK("8@0 scan 0@0 left 0 right 0 first 1");
	CHECK(fit(3, 4) == 8);
	CHECK(fit(4, 4) == 16);
	CHECK(fit(2, 4) == 1);
}

/* an alignment beyond the hint's end is no place either */
TEST(fit_does_not_read_a_contig_hint_of_0)
{
	given("aaaaaaaa|........");
	KNOWN(0, "0@5 scan 0@0 left 0 right 0 first 5");
	KNOWN_OF_CHUNK("8@8 scan 0@0 left 0 right 8 first 5");
	CHECK(fit(1, 1) == 8);
	CHECK(fit(8, 8) == 8);
}

/* a run from a block's end into the next
 *
 *	aaaaaa..|...bbbbb|........
 */
TEST(fit_carries_right_free_into_the_next_block)
{
	given("aaaaaa..|...bbbbb|........");
	areas.chunk_md.scan_hint = 0;
	CHECK(fit(5, 1) == 6);
	CHECK(fit(6, 1) == 16);
	CHECK(fit(2, 1) == 6);
	CHECK(fit(3, 1) == 6);
}

TEST(fit_carries_over_empty_blocks)
{
	given("aaaaaa..|........|........|.bbbbbbb");
	CHECK(fit(18, 1) == 6);
	CHECK(fit(19, 1) == 6);
	CHECK(fit(20, 1) == -1);
}

/* what is carried starts at an aligned granule
 *
 *	aaa.....|...bbbbb|........|c.......
 */
TEST(fit_aligns_the_start_of_what_it_carries)
{
	given("aaa.....|...bbbbb|........|c.......");
	areas.chunk_md.scan_hint = 0;
	CHECK(fit(7, 4) == 4);
	CHECK(fit(8, 4) == 16);
	CHECK(fit(8, 1) == 3);
}

/* aligned to the end: nothing is carried
 *
 *	aaaaaaa.|........
 */
TEST(fit_carries_nothing_if_no_aligned_granule_is_left)
{
	given("aaaaaaa.|........|........");
	KNOWN(1, "6@1 scan 0@0 left 5 right 0 first 0");
	KNOWN_OF_CHUNK("8@16 scan 0@0 left 0 right 16 first 7");
	CHECK(fit(6, 4) == 16);
	CHECK(fit(5, 1) == 7);
}

/* right_free itself may be large enough, though the contig hint is not known */
TEST(fit_answers_a_large_right_free)
{
	given("aaaa....|bbbbbbbb");
	KNOWN(0, "0@0 scan 0@0 left 0 right 4 first 4");
	CHECK(fit(4, 1) == 4);
	CHECK(fit(4, 4) == 4);
	/* also in the last block, which carries it no further */
	given("aaaaaaaa|bbbb....");
	KNOWN(1, "0@0 scan 0@0 left 0 right 4 first 4");
	CHECK(fit(4, 1) == 12);
}

/* a carry that was too small is dropped before the block's own hint counts
 *
 *	aaaaaa..|.b......
 */
TEST(fit_drops_a_carry_that_is_too_small)
{
	given("aaaaaa..|.b......|........");
	CHECK_BLOCK(1, "6@2 scan 1@0 left 1 right 6 first 0");
	areas.chunk_md.scan_hint = 0;
	CHECK(fit(3, 1) == 6);
	CHECK(fit(4, 1) == 9);
	/* and what the block carries on is its own */
	CHECK(fit(9, 1) == 10);
	CHECK(fit(14, 1) == 10);
	CHECK(fit(15, 1) == -1);
}

/* an empty block is carried over even if it has a place itself */
TEST(fit_carries_before_it_looks_into_an_empty_block)
{
	given("aaaaaa..|........|.bbbbbbb");
	CHECK(fit(11, 1) == 6);
	CHECK(fit(8, 1) == 6);
	/* too much for both: nothing */
	KNOWN_OF_CHUNK("24@0 scan 0@0 left 0 right 0 first 6");
	CHECK(fit(12, 1) == -1);
}

/* the chunk's hint is wrong: Door is open, and no block has a place */
TEST(fit_fails_if_no_block_has_a_place)
{
	given("aa...bbb|...ccccc");
	KNOWN_OF_CHUNK("9@2 scan 0@0 left 0 right 0 first 2");
	CHECK(fit(4, 1) == -1);
	CHECK(fit(3, 1) == 2);
}

TEST(fit_fails_if_it_starts_at_the_end)
{
	given("aa...bbb|...ccccc");
	KNOWN_OF_CHUNK("9@2 scan 0@0 left 0 right 0 first 16");
	CHECK(fit(1, 1) == -1);
	KNOWN_OF_CHUNK("9@2 scan 0@0 left 0 right 0 first 15");
	CHECK(fit(1, 1) == -1);
	/* not even with a block that is all free */
	given("aaaaaaaa|........");
	KNOWN_OF_CHUNK("8@8 scan 0@0 left 0 right 0 first 16");
	CHECK(fit(1, 1) == -1);
}

/* --- atomic requests: only populated pages
 *
 *	a.......|........|........|........
 *	 yes      no       no       yes
 */
static void given_pages(const char *map, const char *pages)
{
	given(map);
	for (int i = 0; i < areas.nr_blocks; i++)
		bits_fill(areas.populated, i, i + 1, pages[i] == '1');
}

TEST(an_atomic_search_continues_after_pages_that_are_not_populated)
{
	given_pages("a.......|........|........|........", "1001");
	CHECK(fit(8, 1) == 1);
	CHECK(fit_populated(7, 1) == 1);
	CHECK(fit_populated(8, 1) == 24);
	CHECK(fit_populated(9, 1) == -1);
}

/* what is carried is lost where the search starts again */
TEST(an_atomic_search_carries_nothing_over_its_restart)
{
	given_pages("a.......|........|........|bbbb....|........", "10111");
	CHECK(fit(12, 1) == 1);
	CHECK(fit_populated(12, 1) == 28);
	CHECK(fit_populated(8, 1) == 16);
}

/* the run of unpopulated pages is followed within the answer only */
TEST(an_atomic_search_starts_again_within_the_answer)
{
	given_pages("a...b...|........|........", "011");
	CHECK(fit(2, 1) == 1);
	/* the answer is in page 0: the search continues in page 1 */
	CHECK(fit_populated(2, 1) == 8);
	given_pages("a.......|........|........|........", "1000");
	CHECK(fit_populated(8, 1) == -1);
	CHECK(fit_populated(7, 1) == 1);
}

/* the answer begins before the place: that page must be populated, too
 *
 *	..aaaaaa|........	Skip(chunk) = 0, the answer [0, 8 + 5)
 */
TEST(an_atomic_search_looks_at_all_pages_of_the_answer)
{
	given_pages("....aa..|.....bbb|........", "101");
	CHECK(fit(7, 1) == 6);
	CHECK(fit_populated(7, 1) == 16);
	given_pages("....aa..|.....bbb|........", "011");
	CHECK(fit_populated(7, 1) == 16);
	CHECK(fit_populated(5, 1) == 8);
	given_pages("....aa..|.....bbb|........", "111");
	CHECK(fit_populated(7, 1) == 6);
}

/* the last page of an answer that ends at its end is not the one after it */
TEST(an_atomic_search_needs_no_page_after_the_answer)
{
	given_pages("a.......|.b......", "10");
	CHECK(fit_populated(7, 1) == 1);
	/* [1, 9) is in two pages */
	CHECK(fit(8, 1) == 1);
	CHECK(fit_populated(8, 1) == -1);
}

TEST(an_atomic_search_ends_with_the_chunk)
{
	given_pages("........|........", "10");
	CHECK(fit_populated(9, 1) == -1);
	CHECK(fit_populated(8, 1) == 0);
	given_pages("........|........", "00");
	CHECK(fit_populated(1, 1) == -1);
}

/* --- Place: the first aligned free run in the map
 *
 *	a.bb....|cc......
 */
TEST(place_is_the_first_free_run_that_is_large_enough)
{
	given("a.bb....|cc......");
	CHECK(place(0, 1, 1) == 1);
	CHECK(place(0, 3, 1) == 4);
	CHECK(place(0, 4, 1) == 4);
	CHECK(place(4, 5, 1) == 10);
	CHECK(place(4, 6, 1) == 10);
	CHECK(place(4, 7, 1) == -1);
	CHECK(place(5, 3, 1) == 5);
	CHECK(place(6, 3, 1) == 10);
}

TEST(place_is_aligned_in_the_chunk)
{
	given("a.bb....|cc......");
	CHECK(place(0, 1, 2) == 4);
	CHECK(place(5, 1, 4) == 12);
	CHECK(place(0, 4, 8) == -1);
	CHECK(place(5, 2, 2) == 6);
}

/* the place ends at most a block after the answer and the request
 *
 *	ababababababababa.
 */
TEST(place_ends_at_most_a_block_later)
{
	given("aaaaaaaa|aaa.....|........");
	/* start 0, 3 granules: end at most 0 + 3 + 8 = 11 */
	CHECK(place(0, 3, 1) == -1);
	CHECK(place(2, 3, 1) == -1);
	CHECK(place(3, 3, 1) == 11);
	given("aaaaaaaa|........|........");
	CHECK(place(0, 3, 1) == 8);
	CHECK(place(0, 9, 1) == 8);
	given("aaaaaaaa|a.......|........");
	CHECK(place(0, 9, 1) == -1);
	CHECK(place(1, 9, 1) == 9);
}

TEST(place_ends_in_the_chunk)
{
	given("aaaaaaaa|aaaa....");
	CHECK(place(8, 4, 1) == 12);
	CHECK(place(8, 5, 1) == -1);
	CHECK(place(13, 3, 1) == 13);
	CHECK(place(13, 4, 1) == -1);
	/* the alignment leads beyond the end */
	given("aaaaaaa.");
	CHECK(place(0, 1, 8) == -1);
	CHECK(place(7, 1, 1) == 7);
}

/* --- the run that Place remembers
 *
 *	a.b...c..d......
 */
TEST(place_remembers_the_longest_run_that_it_skipped)
{
	given("a.b...c..d......");
	CHECK(place(0, 4, 1) == 10);
	CHECK(remembers(3, 3));
	CHECK(place(0, 3, 1) == 3);
	CHECK(remembers(1, 1));
	CHECK(place(6, 4, 1) == 10);
	CHECK(remembers(7, 2));
}

TEST(place_remembers_nothing_if_it_skipped_nothing)
{
	given("a.b...c..d......");
	CHECK(place(0, 1, 1) == 1);
	CHECK(remembers(0, 0));
}

/* a failed search remembers, too; the caller drops it */
TEST(place_remembers_even_if_it_fails)
{
	given("a.b...cc");
	CHECK(place(0, 4, 1) == -1);
	CHECK(remembers(3, 3));
}

/* from the aligned try on, not from the free granule before it
 *
 *	a...b.......
 */
TEST(place_remembers_a_run_from_its_aligned_granule_on)
{
	given("a...bc..|........");
	CHECK(place(0, 4, 2) == 6);
	CHECK(remembers(2, 2));
	CHECK(place(0, 2, 2) == 2);
	given("aaaaaa.b|........");
	CHECK(place(0, 2, 4) == 8);
	CHECK(remembers(0, 0));
}

/* of equal runs the better aligned one: 4 before 2 and 6
 *
 *	aa..b...	2@2, 2@4 ...
 */
TEST(place_remembers_the_better_aligned_of_equal_runs)
{
	given("a.bab.c.|d.......");
	CHECK(place(1, 2, 1) == 9);
	CHECK(remembers(1, 1));
	given("a.ab.bcc|d.......");
	CHECK(place(1, 2, 1) == 9);
	CHECK(remembers(4, 1));
	given("a.ab.bc.|........");
	CHECK(place(0, 2, 1) == 7);
	CHECK(remembers(4, 1));
	/* 6 is better aligned than 1, not than 4 */
	given("a.ab.b.c|........");
	CHECK(place(0, 2, 1) == 8);
	CHECK(remembers(4, 1));
	given("a.abbb.c|........");
	CHECK(place(0, 2, 1) == 8);
	CHECK(remembers(6, 1));
}

/* granule 0 is the best aligned: it stays
 *
 *	.a.bc.d.........
 */
TEST(place_never_replaces_a_remembered_run_at_granule_0)
{
	given(".a..b..c....dddd");
	CHECK(place(0, 3, 1) == 8);
	CHECK(remembers(2, 2));
	given(".abb.acc|........");
	CHECK(place(0, 2, 1) == 8);
	CHECK(remembers(0, 1));
}

/* --- what is remembered is learnt when an area is taken */

static int take_after(int start, int bits, int run_start, int run_bits)
{
	struct pcpu_skipped run = { run_start, run_bits };

	return pcpu_areas_take(&areas, start, bits, &run);
}

/* prolonged backwards to the used granule before
 *
 *	a...b...|........
 *	  --
 */
TEST(a_remembered_run_is_learnt_by_its_block)
{
	given("a...b...|........");
	KNOWN(0, "3@5 scan 0@0 left 0 right 3 first 1");
	take_after(8, 4, 2, 2);
	CHECK_BLOCK(0, "3@5 scan 3@1 left 0 right 3 first 1");
	/* in block 1, positions count from its start */
	given("aaaaaaaa|b...c...");
	KNOWN(1, "3@5 scan 0@0 left 0 right 3 first 1");
	take_after(13, 3, 10, 2);
	CHECK_BLOCK(1, "3@1 scan 0@1 left 0 right 0 first 1");
}

TEST(a_remembered_run_is_not_learnt_by_the_chunk)
{
	given("a...b...|........");
	KNOWN_OF_CHUNK("8@8 scan 0@0 left 0 right 8 first 1");
	take_after(5, 2, 2, 2);
	CHECK_CHUNK("8@8 scan 0@0 left 0 right 8 first 1");
}

TEST(a_remembered_run_is_learnt_up_to_the_blocks_end)
{
	given("a.......|b.......");
	KNOWN(0, "3@1 scan 0@0 left 0 right 3 first 1");
	take_after(9, 2, 5, 3);
	CHECK_BLOCK(0, "7@1 scan 0@0 left 0 right 7 first 1");
}

TEST(a_remembered_run_over_a_boundary_is_not_learnt)
{
	given("a.......|........");
	KNOWN(0, "3@1 scan 0@0 left 0 right 3 first 1");
	take_after(12, 2, 5, 4);
	CHECK_BLOCK(0, "3@1 scan 0@0 left 0 right 3 first 1");
}

TEST(nothing_remembered_is_nothing_learnt)
{
	given("a...b...|........");
	KNOWN(0, "3@5 scan 0@0 left 0 right 3 first 1");
	take_after(8, 4, 2, 0);
	CHECK_BLOCK(0, "3@5 scan 0@0 left 0 right 3 first 1");
}

/* it is learnt before the area is taken, and with the fix */
TEST(a_remembered_run_is_learnt_first)
{
	given("a.b..ccc");
	KNOWN(0, "0@7 scan 1@1 left 0 right 0 first 1");
	take_after(4, 1, 3, 2);
	CHECK_BLOCK(0, "1@1 scan 1@3 left 0 right 0 first 1");
	given("a.b..c..");
	KNOWN(0, "0@7 scan 1@1 left 0 right 0 first 1");
	take_after(6, 1, 3, 2);
	CHECK_BLOCK(0, "2@3 scan 0@1 left 0 right 0 first 1");
	given("a.b..c..");
	areas.fixed = true;
	KNOWN(0, "0@7 scan 1@1 left 0 right 0 first 1");
	take_after(6, 1, 3, 2);
	CHECK_BLOCK(0, "2@3 scan 1@1 left 0 right 0 first 1");
}
