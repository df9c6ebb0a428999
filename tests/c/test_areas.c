// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_areas.c - take and free areas of one chunk: its maps, its hints, and
 * which blocks become or cease to be empty.
 *
 * Above each test is a drawing of the map before, and of what is taken or
 * freed (^).  A letter is an area, a point a free granule, and a block is what
 * is between two bars.
 */
#include "drawn.h"

/* --- the maps */

TEST(a_new_chunk_is_one_free_run)
{
	given("aaaaaaaa|bbbbbbbb|cccccccc");
	memset(drawn_used, 0, sizeof(drawn_used));
	memset(drawn_bounds, 0, sizeof(drawn_bounds));
	pcpu_areas_init(&areas);
	CHECK(pcpu_areas_bits(&areas) == 24 && areas.free_bits == 24);
	CHECK_DRAWING("........|........|........");
	CHECK_CHUNK("24@0 scan 0@0 left 24 right 24 first 0");
	CHECK(areas.chunk_md.nr_bits == 24);
	for (int i = 0; i < 3; i++) {
		CHECK_BLOCK(i, "8@0 scan 0@0 left 8 right 8 first 0");
		CHECK(areas.blocks[i].nr_bits == 8);
	}
	CHECK(drawn_bounds[0] == (1 | 1 << 24));
}

/*
 *	........|aabbb...
 *	  ^^^
 */
TEST(an_area_has_a_bound_at_its_start_and_after_its_end)
{
	given("........|aabbb...");
	take_at(2, 3);
	CHECK_DRAWING("..aaa...|bbccc...");
	CHECK(areas.free_bits == 8);
	CHECK(pcpu_areas_end(&areas, 2) == 5);
	CHECK(pcpu_areas_end(&areas, 8) == 10);
	given("abb.....");
	CHECK(pcpu_areas_end(&areas, 0) == 1);
	given("........|aabbb...");
	take_at(2, 3);
	CHECK(pcpu_areas_end(&areas, 10) == 13);
	CHECK(drawn_bounds[0] == (1 | 1 << 2 | 1 << 5 | 1 << 8 | 1 << 10 |
				  1 << 13 | 1 << 16));
}

TEST(an_area_at_the_end_of_the_chunk_has_a_bound_after_it)
{
	given("........|.....aaa");
	CHECK(pcpu_areas_end(&areas, 13) == 16);
	release_at(13);
	CHECK(areas.free_bits == 16);
	take_at(12, 4);
	CHECK(pcpu_areas_end(&areas, 12) == 16);
}

/* bounds stay when areas are freed; a later area may have some inside */
TEST(stale_bounds_inside_an_area_are_cleared)
{
	given("aabbbc..|........");
	release_at(0);
	release_at(2);
	release_at(5);
	CHECK_DRAWING("........|........");
	CHECK(drawn_bounds[0] == (1 | 1 << 2 | 1 << 5 | 1 << 6 | 1 << 16));
	take_at(1, 4);
	CHECK(drawn_bounds[0] == (1 | 1 << 1 | 1 << 5 | 1 << 6 | 1 << 16));
	CHECK(pcpu_areas_end(&areas, 1) == 5);
	CHECK_DRAWING(".aaaa...|........");
}

/* --- taking: the first block */

/*
 *	........|........
 *	  ^^^
 */
TEST(taking_from_an_empty_block_makes_one_page_less_empty)
{
	given("........|........");
	CHECK(take_at(2, 3) == 1);
	CHECK_BLOCK(0, "3@5 scan 2@0 left 2 right 3 first 0");
	CHECK_BLOCK(1, "8@0 scan 0@0 left 8 right 8 first 0");
	CHECK(take_at(5, 1) == 0);
	CHECK(take_at(8, 8) == 1);
}

/*
 *	a..b....|........
 *	 ^
 */
TEST(taking_the_first_free_granule_moves_it_on)
{
	given("a..b....|........");
	take_at(1, 1);
	CHECK_BLOCK(0, "4@4 scan 0@1 left 0 right 4 first 2");
	CHECK(areas.chunk_md.first_free == 2);
	take_at(2, 1);
	CHECK_BLOCK(0, "4@4 scan 0@1 left 0 right 4 first 4");
	CHECK(areas.chunk_md.first_free == 4);
	/* another granule does not */
	take_at(6, 1);
	CHECK(areas.blocks[0].first_free == 4);
	CHECK(areas.chunk_md.first_free == 4);
	take_at(4, 2);
	CHECK(areas.blocks[0].first_free == 7);
	take_at(7, 1);
	CHECK_BLOCK(0, "0@7 scan 0@1 left 0 right 0 first 8");
	CHECK(areas.chunk_md.first_free == 8);
	take_at(8, 8);
	CHECK(areas.chunk_md.first_free == 16);
}

/*
 *	a...b.....c.....|	scan hint 3@1, contig hint 5@5, 5@11
 *	 ^^
 */
TEST(taking_a_part_of_the_scan_hint_forgets_it)
{
	given("a...b.....cd....");
	CHECK_BLOCK(0, "5@5 scan 3@1 left 0 right 4 first 1");
	take_at(1, 2);
	CHECK_BLOCK(0, "5@5 scan 0@1 left 0 right 4 first 3");
	CHECK_CHUNK("5@5 scan 0@1 left 0 right 4 first 3");
}

TEST(taking_next_to_the_scan_hint_keeps_it)
{
	given("a...b.....cd....");
	take_at(12, 2);
	CHECK_BLOCK(0, "5@5 scan 3@1 left 0 right 2 first 1");
	CHECK_CHUNK("5@5 scan 3@1 left 0 right 4 first 1");
}

/*
 *	..ab.......c....
 *	            ^^
 */
TEST(taking_away_from_the_contig_hint_cuts_the_edges)
{
	given("..ab.......c....");
	take_at(12, 2);
	CHECK_BLOCK(0, "7@4 scan 2@0 left 2 right 2 first 0");
	take_at(15, 1);
	CHECK_BLOCK(0, "7@4 scan 2@0 left 2 right 0 first 0");
	take_at(1, 1);
	CHECK_BLOCK(0, "7@4 scan 0@0 left 1 right 0 first 0");
	take_at(0, 1);
	CHECK_BLOCK(0, "7@4 scan 0@0 left 0 right 0 first 4");
}

/* the area goes on in the next block: nothing is free at the right edge
 *
 *	a.....b.|........
 *	       ^ ^^
 */
TEST(taking_up_to_the_end_of_the_first_block_clears_right_free)
{
	given("a.....b.|........");
	CHECK(take_at(7, 3) == 1);
	CHECK_BLOCK(0, "5@1 scan 0@0 left 0 right 0 first 1");
	CHECK_BLOCK(1, "6@2 scan 0@0 left 0 right 6 first 2");
}

/* Refresh block: without a scan hint, from first_free on
 *
 *	a..b....|c..d....
 *	    ^^
 */
TEST(refresh_block_without_a_scan_hint_learns_all_runs)
{
	given("a..b....");
	KNOWN(0, "4@4 scan 0@6 left 0 right 4 first 1");
	take_at(4, 2);
	CHECK_BLOCK(0, "2@6 scan 0@6 left 0 right 2 first 1");
	given("a..b....");
	KNOWN(0, "4@4 scan 0@0 left 0 right 4 first 1");
	take_at(6, 2);
	CHECK_BLOCK(0, "2@4 scan 0@0 left 0 right 0 first 1");
}

/* a run before first_free is not looked for: nothing is free there */
TEST(refresh_block_starts_at_the_first_free_granule)
{
	given("..a.....");
	KNOWN(0, "5@3 scan 0@0 left 2 right 5 first 3");
	take_at(6, 2);
	CHECK_BLOCK(0, "3@3 scan 0@0 left 2 right 0 first 3");
}

/* the scan hint is the contig hint; then a run as large that is better aligned
 *
 *	a.b...c....d...e
 *	       ^^
 */
TEST(refresh_block_promotes_the_scan_hint)
{
	given("a.b...c....d...e");
	KNOWN(0, "4@7 scan 3@3 left 0 right 0 first 1");
	take_at(7, 2);
	CHECK_BLOCK(0, "3@12 scan 0@3 left 0 right 0 first 1");
}

TEST(refresh_block_does_not_learn_runs_before_the_promoted_one)
{
	given("a..b.c....d....e");
	KNOWN(0, "4@6 scan 1@4 left 0 right 0 first 1");
	take_at(6, 4);
	CHECK_BLOCK(0, "4@11 scan 1@4 left 0 right 0 first 1");
	given("a..b.c....defghi");
	KNOWN(0, "4@6 scan 1@4 left 0 right 0 first 1");
	take_at(6, 4);
	CHECK_BLOCK(0, "1@4 scan 0@4 left 0 right 0 first 1");
}

/* left_free is not learnt anew: it stays too large
 *
 *	......ab
 *	   ^^
 */
TEST(refresh_block_does_not_reset_left_free)
{
	given("......ab");
	KNOWN(0, "6@0 scan 0@0 left 6 right 0 first 3");
	take_at(3, 2);
	CHECK_BLOCK(0, "1@5 scan 0@0 left 6 right 0 first 5");
	/* at the block's start it is 0, until it is learnt */
	given("......ab");
	take_at(0, 2);
	CHECK_BLOCK(0, "4@2 scan 0@0 left 0 right 0 first 2");
}

/* a promoted scan hint at the right edge: right_free is 0, though it is free
 *
 *	a...b...	contig hint 3@1, scan hint 3@5
 *	 ^
 */
TEST(refresh_block_with_a_promoted_run_at_the_edge_leaves_right_free_at_0)
{
	given("a...b...");
	KNOWN(0, "3@1 scan 3@5 left 0 right 3 first 1");
	take_at(1, 1);
	CHECK_BLOCK(0, "3@5 scan 0@5 left 0 right 0 first 2");
}

/* --- taking: the last block, and those between */

/*
 *	a.......|........|........|.......b
 *	      ^^ ^^^^^^^^ ^^^^^^^^ ^^
 */
TEST(taking_over_several_blocks_fills_those_between)
{
	given("a.......|........|........|.......b");
	CHECK(take_at(6, 20) == 2);
	CHECK_DRAWING("a.....bb|bbbbbbbb|bbbbbbbb|bb.....c");
	CHECK_BLOCK(0, "5@1 scan 0@0 left 0 right 0 first 1");
	CHECK_BLOCK(1, "0@0 scan 0@0 left 0 right 0 first 0");
	CHECK_BLOCK(2, "0@0 scan 0@0 left 0 right 0 first 0");
	CHECK_BLOCK(3, "5@2 scan 0@0 left 0 right 0 first 2");
}

TEST(taking_counts_empty_blocks_at_both_ends)
{
	given("........|........|........");
	CHECK(take_at(1, 22) == 3);
	given("........|........|.......a");
	CHECK(take_at(1, 20) == 2);
	given("a.......|........|........");
	CHECK(take_at(2, 20) == 2);
	given("a.......|.......b");
	CHECK(take_at(4, 8) == 0);
	given("........|........");
	CHECK(take_at(0, 16) == 2);
	CHECK(areas.free_bits == 0);
}

/* a block between the first and the last is counted even if its hints are wrong */
TEST(taking_counts_each_block_between_as_empty)
{
	given("a.......|........|.......b");
	KNOWN(1, "7@1 scan 2@4 left 7 right 7 first 1");
	CHECK(take_at(4, 16) == 1);
	CHECK_BLOCK(1, "0@1 scan 0@4 left 0 right 0 first 1");
}

TEST(taking_all_of_the_last_block_clears_its_hints)
{
	given("a.......|........");
	KNOWN(1, "8@0 scan 2@5 left 8 right 8 first 0");
	take_at(4, 12);
	CHECK_BLOCK(1, "0@0 scan 0@5 left 0 right 0 first 8");
}

/*
 *	a.......|...b....
 *	     ^^^ ^
 */
TEST(taking_in_the_last_block_up_to_the_contig_hint_keeps_it)
{
	given("a.......|...b....");
	KNOWN(1, "4@4 scan 3@0 left 3 right 4 first 0");
	take_at(5, 4);
	CHECK_BLOCK(1, "4@4 scan 0@0 left 0 right 4 first 1");
	/* a scan hint after the area stays */
	given("a.......|.b.c....");
	KNOWN(1, "4@4 scan 1@2 left 1 right 4 first 0");
	take_at(5, 4);
	CHECK_BLOCK(1, "4@4 scan 1@2 left 0 right 4 first 2");
	/* also next to it, as its place counts and not its length */
	given("a.......|........");
	KNOWN(1, "4@2 scan 1@2 left 8 right 8 first 0");
	take_at(5, 5);
	CHECK_BLOCK(1, "4@2 scan 1@2 left 0 right 6 first 2");
	given("a.......|........");
	KNOWN(1, "4@5 scan 1@2 left 8 right 3 first 0");
	take_at(5, 6);
	CHECK_BLOCK(1, "4@5 scan 0@2 left 0 right 3 first 3");
}

TEST(taking_in_the_last_block_past_the_contig_hint_refreshes_it)
{
	given("a.......|........");
	KNOWN(1, "8@0 scan 0@0 left 8 right 8 first 0");
	take_at(5, 4);
	CHECK_BLOCK(1, "7@1 scan 0@0 left 0 right 7 first 1");
}

/* --- taking: the chunk */

/*
 *	...a....|bbbbbb..
 *	 ^
 */
TEST(taking_a_part_of_the_chunks_scan_hint_forgets_it)
{
	given("...a....|bbbbbb..");
	CHECK_CHUNK("4@4 scan 3@0 left 3 right 2 first 0");
	take_at(1, 1);
	CHECK_CHUNK("4@4 scan 0@0 left 3 right 2 first 0");
}

TEST(taking_away_from_the_chunks_contig_hint_keeps_it)
{
	given("...a....|bbbbbb..");
	take_at(14, 1);
	CHECK_CHUNK("4@4 scan 3@0 left 3 right 2 first 0");
}

/* Refresh chunk, not full: the scan hint is promoted
 *
 *	a...b...|c.....dd|eef.....
 *	          ^
 */
TEST(refresh_chunk_promotes_the_scan_hint)
{
	given("a...b..c|d.....ee|eef...gg");
	CHECK_CHUNK("5@9 scan 3@1 left 0 right 0 first 1");
	take_at(9, 3);
	/* a run as large at a worse aligned place is the scan hint */
	CHECK_CHUNK("3@1 scan 3@19 left 0 right 0 first 1");
}

TEST(refresh_chunk_without_a_scan_hint_learns_all_that_blocks_know)
{
	given("a...b..c|d.....ee|eef...gg");
	KNOWN_OF_CHUNK("5@9 scan 0@0 left 0 right 0 first 1");
	take_at(9, 3);
	/* 2@5 is no block's hint that counts; the scan hint is 3@19 */
	CHECK_CHUNK("3@1 scan 3@19 left 0 right 0 first 1");
}

/* the first block offers a contig hint from the start of the search on only */
TEST(refresh_chunk_ignores_a_contig_hint_before_the_start)
{
	given("....a...|b......c");
	KNOWN_OF_CHUNK("6@9 scan 2@5 left 4 right 0 first 0");
	take_at(9, 5);
	/* the search starts at granule 7: 4@0 is not learnt, right_free is */
	CHECK_CHUNK("3@5 scan 0@5 left 4 right 0 first 0");
}

/* a contig hint at the right edge is offered as right_free
 *
 *	a.....bb|cc......|...ddddd
 *	   ^
 */
TEST(refresh_chunk_prolongs_right_free_into_the_next_block)
{
	given("a.....bb|cc......|...ddddd");
	KNOWN_OF_CHUNK("5@1 scan 0@0 left 0 right 0 first 1");
	take_at(3, 1);
	CHECK_CHUNK("9@10 scan 2@4 left 0 right 0 first 1");
}

TEST(refresh_chunk_prolongs_right_free_over_empty_blocks)
{
	given("a.....bb|cc......|........|........|..dddddd|........");
	KNOWN_OF_CHUNK("5@1 scan 0@0 left 0 right 0 first 1");
	take_at(3, 1);
	CHECK_CHUNK("24@10 scan 2@4 left 0 right 8 first 1");
}

/* the run ends with the chunk */
TEST(refresh_chunk_prolongs_right_free_to_the_end)
{
	given("a.....bb|cc......|........");
	KNOWN_OF_CHUNK("5@1 scan 0@0 left 0 right 0 first 1");
	take_at(3, 1);
	CHECK_CHUNK("14@10 scan 2@4 left 0 right 14 first 1");
}

/*
 * The granule after a run is in use, so the next search starts after that: here
 * at granule 11, not at 10 or 12.  No allocator has hints that are adjacent.
 *
 *	a..b..c.|.d......
 *	 ^
 */
TEST(refresh_chunk_continues_one_granule_after_a_run)
{
	given("a..b..c.|.d......");
	KNOWN(1, "5@2 scan 0@0 left 2 right 0 first 0");
	KNOWN_OF_CHUNK("9@1 scan 0@0 left 0 right 0 first 1");
	take_at(1, 1);
	CHECK_CHUNK("3@7 scan 2@4 left 0 right 0 first 2");
	given("a..b..c.|.d......");
	KNOWN(1, "4@3 scan 0@0 left 2 right 0 first 0");
	KNOWN_OF_CHUNK("9@1 scan 0@0 left 0 right 0 first 1");
	take_at(1, 1);
	CHECK_CHUNK("4@11 scan 3@7 left 0 right 0 first 2");
}

/*
 * Runs that are smaller than the contig hint, and after it, change nothing, so
 * their blocks may be skipped.  Runs of its size become the scan hint.
 *
 *	aaaaaabb|b.cccccc|c...cccc|dd....dd|eeeeeeee
 *	      ^^ ^                 4@26
 */
TEST(refresh_chunk_learns_runs_as_large_as_the_contig_hint)
{
	given("aaaaaabb|b.cccccc|c...cccc|dd....dd|eeeeeeee");
	release_at(6);
	CHECK_CHUNK("4@6 scan 4@26 left 0 right 0 first 6");
	given("aaaaaabb|b.cccccc|c...cccc|cccccc..|..dddddd|eeeeeeee");
	release_at(6);
	CHECK_CHUNK("4@6 scan 4@30 left 0 right 0 first 6");
	given("aaaaaabb|b.cccc..|..dddddd|eeeeeeee");
	release_at(6);
	CHECK_CHUNK("4@6 scan 4@14 left 0 right 0 first 6");
	given("aaaaaabb|b.cccccc|c...cccc|cccccc..|.ddddddd|eeeeeeee");
	release_at(6);
	CHECK_CHUNK("4@6 scan 0@9 left 0 right 0 first 6");
	given("aaaaaabb|b.cccccc|c...cccc|.....ddd|eeeeeeee");
	release_at(6);
	CHECK_CHUNK("5@24 scan 4@6 left 0 right 0 first 6");
}

TEST(refresh_chunk_learns_a_larger_run_inside_a_block)
{
	given("a.......|b..ccccc|c....ccc|dddddddd");
	take_at(1, 7);
	CHECK_CHUNK("4@17 scan 2@9 left 0 right 0 first 9");
	given("a.......|b..ccccc|c....ccc|dddddddd");
	KNOWN_OF_CHUNK("7@1 scan 0@0 left 0 right 0 first 1");
	take_at(1, 7);
	CHECK_CHUNK("4@17 scan 2@9 left 0 right 0 first 9");
}

/* two free edges of blocks are small, but the blocks between are free */
TEST(refresh_chunk_learns_a_run_over_empty_blocks_after_the_contig_hint)
{
	given("aaaaaaaa|bbbbbbbb|bbbbbbbb|cccccc..|........|........|..dddddd");
	release_at(8);
	CHECK_CHUNK("20@30 scan 16@8 left 0 right 0 first 8");
}

TEST(refresh_chunk_learns_a_small_run_at_its_end)
{
	given("aaaaaaaa|aaaaaaaa|aaaaaaaa|aaaaaaaa|aaaaaaaa"); /* no more */
	given("aaaaaaaa|bbbbbbbb|cccccccc|cccccc..");
	KNOWN_OF_CHUNK("2@30 scan 0@0 left 0 right 0 first 30");
	release_at(8);
	CHECK_CHUNK("8@8 scan 0@0 left 0 right 2 first 8");
}

/*
 * The end of the chunk is free, as the contig hint says, from the area on.
 *
 *	aaaaaa..|........|bbbbbbbb|........
 *	                  ^^^^^^^^
 */
TEST(refresh_chunk_knows_the_free_end_after_an_area)
{
	given("aaaaaa..|........|........|........");
	take_at(16, 8);
	CHECK_CHUNK("10@6 scan 0@0 left 0 right 8 first 6");
	given("aaaaaa..|........|........|........");
	take_at(6, 11);
	CHECK_CHUNK("15@17 scan 0@0 left 0 right 15 first 17");
	given("a.aaaa..|........|........|........");
	take_at(6, 11);
	CHECK_CHUNK("15@17 scan 1@1 left 0 right 15 first 1");
	given("aaaaaa..|........|........|........");
	take_at(6, 26);
	CHECK_CHUNK("0@6 scan 0@0 left 0 right 26 first 32");
}

TEST(refresh_chunk_of_a_full_chunk_leaves_a_contig_hint_of_0)
{
	given("aaaaaaaa|a......b");
	take_at(9, 6);
	CHECK_CHUNK("0@9 scan 0@0 left 0 right 0 first 16");
	CHECK(areas.free_bits == 0);
}

/* --- freeing: the run, and the blocks that learn of it */

/*
 *	..aab...
 *	  ^^
 */
TEST(freeing_reaches_back_to_the_used_granule_before)
{
	given("b..aab..");
	CHECK(release_at(3) == 0);
	CHECK_DRAWING("a....b..");
	CHECK(areas.free_bits == 6);
	CHECK_BLOCK(0, "4@1 scan 0@0 left 0 right 2 first 1");
	CHECK_CHUNK("4@1 scan 0@0 left 0 right 2 first 1");
}

TEST(freeing_reaches_forward_to_the_used_granule_after)
{
	given("baab.c..");
	KNOWN(0, "2@6 scan 1@4 left 0 right 2 first 4");
	CHECK(release_at(1) == 0);
	CHECK_BLOCK(0, "2@6 scan 2@1 left 0 right 2 first 1");
	CHECK(release_at(3) == 0);
	CHECK_BLOCK(0, "4@1 scan 0@1 left 0 right 2 first 1");
}

/* the contig hint is believed: where it ends, nothing is read */
TEST(freeing_after_the_contig_hint_prolongs_it)
{
	given("..b.aac.");
	KNOWN(0, "3@1 scan 0@0 left 0 right 1 first 1");
	release_at(4);
	CHECK_BLOCK(0, "5@1 scan 0@0 left 0 right 1 first 1");
	/* it is not the neighbour */
	given("..b.aac.");
	KNOWN(0, "2@1 scan 0@0 left 0 right 1 first 1");
	release_at(4);
	CHECK_BLOCK(0, "3@3 scan 2@1 left 0 right 1 first 1");
}

TEST(freeing_before_the_contig_hint_prolongs_it)
{
	given("a.bb.c..");
	KNOWN(0, "3@4 scan 0@0 left 0 right 2 first 1");
	release_at(2);
	/* [2, 4) prolonged by 3@4; backwards the map says 1 */
	CHECK_BLOCK(0, "6@1 scan 0@0 left 0 right 2 first 1");
	given("a.bb.c..");
	KNOWN(0, "3@5 scan 0@0 left 0 right 2 first 1");
	release_at(2);
	CHECK_BLOCK(0, "4@1 scan 0@0 left 0 right 2 first 1");
}

/* a contig hint of 0 is none, wherever it is */
TEST(freeing_does_not_read_a_contig_hint_of_0)
{
	given("..aa..bb");
	KNOWN(0, "0@2 scan 0@0 left 0 right 0 first 0");
	release_at(2);
	CHECK_BLOCK(0, "6@0 scan 0@0 left 6 right 0 first 0");
	given("..aa..bb");
	KNOWN(0, "0@4 scan 0@0 left 0 right 0 first 0");
	release_at(2);
	CHECK_BLOCK(0, "6@0 scan 0@0 left 6 right 0 first 0");
}

/* the run is looked for in the area's block only
 *
 *	aaaaaaa.|bb......
 *	         ^^
 */
TEST(freeing_in_a_block_does_not_reach_into_the_block_before)
{
	given("aaaaaaa.|bb......");
	CHECK(release_at(8) == 1);
	CHECK_BLOCK(0, "1@7 scan 0@0 left 0 right 1 first 7");
	CHECK_BLOCK(1, "8@0 scan 0@0 left 8 right 8 first 0");
	given("aaaaabb.|........");
	CHECK(release_at(5) == 0);
	CHECK_BLOCK(0, "3@5 scan 0@0 left 0 right 3 first 5");
}

/*
 *	a.....bb|bbbbbbbb|bbbbbbbb|bb.c....
 *	      ^^ ^^^^^^^^ ^^^^^^^^ ^^
 */
TEST(freeing_over_several_blocks_empties_those_between)
{
	given("a.....bb|bbbbbbbb|bbbbbbbb|bb.c....");
	KNOWN(1, "0@3 scan 0@4 left 0 right 0 first 8");
	CHECK(release_at(6) == 2);
	CHECK_DRAWING("a.......|........|........|...b....");
	CHECK_BLOCK(0, "7@1 scan 0@0 left 0 right 7 first 1");
	CHECK_BLOCK(1, "8@0 scan 0@0 left 8 right 8 first 0");
	CHECK_BLOCK(2, "8@0 scan 0@0 left 8 right 8 first 0");
	CHECK_BLOCK(3, "4@4 scan 3@0 left 3 right 4 first 0");
	CHECK_CHUNK("26@1 scan 0@0 left 0 right 4 first 1");
}

TEST(freeing_counts_the_blocks_that_become_empty)
{
	given("aaaaaaaa|aaaaaaaa");
	CHECK(release_at(0) == 2);
	given("........|..aa....");
	CHECK(release_at(10) == 1);
	given("....aaaa|aaaa....");
	CHECK(release_at(4) == 2);
	given("b...aaaa|aaaa....");
	CHECK(release_at(4) == 1);
	given("....aaaa|aaaa...b");
	CHECK(release_at(4) == 1);
	given("b...aaaa|aaaa...b");
	CHECK(release_at(4) == 0);
	given("b...aaa.|........");
	CHECK(release_at(4) == 0);
	given("...aaa.b|........");
	CHECK(release_at(3) == 0);
	given("b...aaaa|aaaaaaaa|aaaaaaaa|aaaaaaab");
	CHECK(release_at(4) == 2);
}

/* --- freeing: the chunk */

TEST(freeing_moves_the_chunks_first_free_granule_back)
{
	given("ab......|cd......");
	release_at(9);
	CHECK(areas.chunk_md.first_free == 2);
	release_at(0);
	CHECK(areas.chunk_md.first_free == 0);
}

/* in the first block the run is right
 *
 *	aabb....|cccccccc
 *	  ^^
 */
TEST(freeing_in_the_first_block_raises_the_chunks_hint)
{
	given("aabb....|cccccccc");
	release_at(2);
	CHECK_CHUNK("6@2 scan 0@0 left 0 right 0 first 2");
}

/*
 * The quirk: the chunk learns of a run that starts at granule 10 and ends at
 * granule 6 of its block.
 *
 *	aaaaaaaa|bbcccc..
 *	           ^^
 */
TEST(freeing_in_another_block_does_not_raise_the_chunks_hint)
{
	given("aaaaaaaa|bbcccc..");
	CHECK_CHUNK("2@14 scan 0@0 left 0 right 2 first 14");
	CHECK(release_at(10) == 0);
	CHECK_BLOCK(1, "6@2 scan 0@0 left 0 right 6 first 2");
	CHECK_CHUNK("2@14 scan 0@0 left 0 right 2 first 10");
	/* also if nothing was known */
	given("aaaaaaaa|bbccccdd");
	release_at(10);
	CHECK_CHUNK("0@0 scan 0@0 left 0 right 0 first 10");
}

TEST(freeing_in_another_block_raises_the_chunks_hint_with_the_fix)
{
	given("aaaaaaaa|bbcccc..");
	areas.fixed = true;
	CHECK(release_at(10) == 0);
	CHECK_CHUNK("6@10 scan 0@0 left 0 right 6 first 10");
	given("aaaaaaaa|bbccccdd");
	areas.fixed = true;
	release_at(10);
	CHECK_CHUNK("4@10 scan 0@0 left 0 right 0 first 10");
}

/* the fix is given on to what blocks and the chunk learn
 *
 *	contig hint 0@6, scan hint 1@0: the place of the first counts or not
 */
TEST(with_the_fix_a_contig_hint_of_0_has_no_place)
{
	given("b..cc.bb");
	KNOWN(0, "0@6 scan 1@1 left 0 right 0 first 1");
	KNOWN_OF_CHUNK("0@6 scan 1@1 left 0 right 0 first 1");
	release_at(3);
	CHECK_BLOCK(0, "5@1 scan 0@1 left 0 right 0 first 1");
	CHECK_CHUNK("5@1 scan 0@1 left 0 right 0 first 1");
	given("b..cc.bb");
	areas.fixed = true;
	KNOWN(0, "0@6 scan 1@1 left 0 right 0 first 1");
	KNOWN_OF_CHUNK("0@6 scan 1@1 left 0 right 0 first 1");
	release_at(3);
	CHECK_BLOCK(0, "5@1 scan 1@1 left 0 right 0 first 1");
	CHECK_CHUNK("5@1 scan 1@1 left 0 right 0 first 1");
}

/*
 * A run that covers a block: Refresh chunk, full.  The scan hint stays and is
 * not promoted.
 *
 *	aa......|bbbbbb..|cccccccc
 *	         ^^^^^^
 */
TEST(freeing_a_whole_block_refreshes_the_chunk)
{
	given("aa......|bbbbbb..|cccccccc");
	CHECK_CHUNK("6@2 scan 0@0 left 0 right 0 first 2");
	CHECK(release_at(8) == 1);
	CHECK_CHUNK("14@2 scan 0@0 left 0 right 0 first 2");
}

TEST(refresh_chunk_in_full_keeps_the_scan_hint)
{
	given("a..b....|bbbbbb..|cccccccc");
	KNOWN_OF_CHUNK("6@2 scan 2@1 left 0 right 0 first 1");
	CHECK(release_at(8) == 1);
	/* block 0 offers its contig hint at its edge as right_free */
	CHECK_CHUNK("12@4 scan 2@1 left 0 right 0 first 1");
	given("a..b....|bbbbbb..|cccccccc");
	KNOWN_OF_CHUNK("6@14 scan 2@13 left 0 right 0 first 1");
	release_at(8);
	CHECK_CHUNK("12@4 scan 0@13 left 0 right 0 first 1");
}

TEST(freeing_over_a_boundary_refreshes_the_chunk)
{
	given("aaaaabbb|bbcccccc");
	CHECK(release_at(5) == 0);
	CHECK_CHUNK("5@5 scan 0@0 left 0 right 0 first 5");
	CHECK_BLOCK(0, "3@5 scan 0@0 left 0 right 3 first 5");
	CHECK_BLOCK(1, "2@0 scan 0@0 left 2 right 0 first 0");
}

/* the last block's contig hint prolongs the run */
TEST(freeing_over_a_boundary_reaches_to_the_end_of_the_contig_hint)
{
	given("aaaaabbb|bb.....c");
	KNOWN(1, "3@2 scan 0@0 left 0 right 0 first 2");
	release_at(5);
	CHECK_BLOCK(1, "5@0 scan 0@0 left 5 right 0 first 0");
	given("aaaaabbb|bb.....c");
	KNOWN(1, "3@3 scan 0@0 left 0 right 0 first 2");
	release_at(5);
	CHECK_BLOCK(1, "7@0 scan 0@0 left 7 right 0 first 0");
}

/* the first block learns the run up to its end, whatever the last one has */
TEST(freeing_over_a_boundary_looks_back_in_the_first_block)
{
	given("a.b..ccc|cc.....d");
	KNOWN(0, "2@3 scan 1@1 left 0 right 0 first 1");
	release_at(5);
	CHECK_BLOCK(0, "5@3 scan 0@1 left 0 right 5 first 1");
	CHECK_BLOCK(1, "7@0 scan 0@0 left 7 right 0 first 0");
	CHECK_CHUNK("12@3 scan 0@3 left 0 right 0 first 1");
}

/* --- what the kernel reads: blocks, and words of 64 granules of the map
 *
 * One block of 256 granules, four words, with two free runs:
 *
 *	|0.............64|............128|............192|............256|
 *	          [40, 70)                 [130, 180)
 */
static void given_two_runs(void)
{
	char drawing[256 + 1];

	memset(drawing, 'a', 256);
	memset(drawing + 40, '.', 30);
	memset(drawing + 130, '.', 50);
	drawing[256] = '\0';
	given(drawing);
	CHECK_BLOCK(0, "50@130 scan 30@40 left 0 right 0 first 40");
}

static int64_t read_for_place(int start, int bits)
{
	struct pcpu_skipped skipped;

	areas.nr_read = 0;
	pcpu_find_zero_area(&areas, start, bits, 1, &skipped);
	return areas.nr_read;
}

TEST(a_search_reads_the_words_up_to_the_end_of_the_place)
{
	given_two_runs();
	CHECK(read_for_place(130, 50) == 1);	/* word 2 */
	CHECK(read_for_place(100, 50) == 2);	/* from word 1 on */
	CHECK(read_for_place(0, 20) == 1);
	CHECK(read_for_place(0, 30) == 2);
	release_at(180);
	CHECK(read_for_place(130, 62) == 1);	/* to 192, not included */
	CHECK(read_for_place(130, 63) == 2);
}

/* it may go on for a block after the place that the hints promised */
TEST(a_search_that_fails_reads_the_words_up_to_its_limit)
{
	given_two_runs();
	CHECK(read_for_place(130, 51) == 2);	/* words 2 and 3 */
	CHECK(read_for_place(0, 60) == 4);
}

/* the scan hint takes the place of the contig hint, which loses its start:
 * words 1 to 3 from granule 70 on, and the chunk's only block
 */
TEST(a_lost_contig_hint_is_learnt_anew_after_the_scan_hint)
{
	given_two_runs();
	take_at(130, 50);
	CHECK(areas.nr_read == 3 + 1);
	CHECK_BLOCK(0, "30@40 scan 0@40 left 0 right 0 first 40");
}

TEST(without_a_scan_hint_it_is_learnt_from_the_first_free_granule)
{
	given_two_runs();
	take_at(130, 50);
	areas.nr_read = 0;
	take_at(40, 10);	/* granules 50 to 255 */
	CHECK(areas.nr_read == 4 + 1);
	take_at(50, 20);	/* nothing is free any more */
	CHECK(areas.nr_read == 4 + 1);
}

TEST(what_stays_known_is_not_read_again)
{
	given_two_runs();
	take_at(40, 10);
	CHECK(areas.nr_read == 0);
}
