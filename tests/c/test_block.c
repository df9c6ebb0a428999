// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_block.c - what a block learns from a free run: "Learn" of the rules.
 *
 * A block of 16 granules: #### is in use, .... free, and the numbers below are
 * granules.  The drawing is what the hints know; the run is what they learn.
 */
#include "bitmap/block.h"
#include "hints.h"

static struct pcpu_block_md md;

#define GIVEN(text)	(md = hints_from(text, 16))
#define LEARN(start, end)	pcpu_block_update(&md, start, end, false)
#define EXPECT(text)	CHECK(same_text(hints_text(&md), text))

/*
 *	|................|
 *	0               16
 */
TEST(a_new_block_is_one_free_run)
{
	md = hints_from("1@2 scan 3@4 left 5 right 6 first 7", 8);
	pcpu_init_md_block(&md, 16);
	EXPECT("16@0 scan 0@0 left 16 right 16 first 0");
	CHECK(md.nr_bits == 16);
}

TEST(a_full_block_keeps_positions_and_the_first_free_granule)
{
	GIVEN("5@6 scan 2@3 left 1 right 5 first 4");
	pcpu_fill_md_block(&md);
	EXPECT("0@6 scan 0@3 left 0 right 0 first 4");
	CHECK(md.nr_bits == 16);
}

/* --- 1: the edges, and the first free granule */

/*
 *	|####....####....|
 *	0   4    8  12  16
 */
TEST(learn_1_a_run_in_the_middle_changes_no_edge)
{
	GIVEN("8@8 scan 0@0 left 3 right 2 first 9");
	LEARN(4, 6);
	EXPECT("8@8 scan 2@4 left 3 right 2 first 4");
	LEARN(6, 7);
	EXPECT("8@8 scan 2@4 left 3 right 2 first 4");
}

TEST(learn_1_a_run_at_the_start_is_left_free)
{
	GIVEN("8@8 scan 0@0 left 0 right 8 first 8");
	LEARN(0, 3);
	EXPECT("8@8 scan 3@0 left 3 right 8 first 0");
}

TEST(learn_1_a_run_at_the_end_is_right_free)
{
	GIVEN("8@0 scan 0@0 left 8 right 0 first 0");
	LEARN(15, 16);
	EXPECT("8@0 scan 0@0 left 8 right 1 first 0");
	LEARN(12, 15);
	EXPECT("8@0 scan 0@0 left 8 right 1 first 0");
}

TEST(learn_1_the_first_free_granule_moves_back_only)
{
	GIVEN("8@8 scan 4@2 left 0 right 8 first 2");
	LEARN(6, 7);
	EXPECT("8@8 scan 4@2 left 0 right 8 first 2");
	LEARN(1, 2);
	EXPECT("8@8 scan 4@2 left 0 right 8 first 1");
}

/* --- 2: a run that is larger than the contig hint
 *
 *	|#...######......|
 *	 ^1        ^10
 */
TEST(learn_2_a_larger_run_after_the_contig_hint_makes_it_the_scan_hint)
{
	GIVEN("3@1 scan 0@0 left 0 right 0 first 1");
	LEARN(10, 16);
	EXPECT("6@10 scan 3@1 left 0 right 6 first 1");
}

TEST(learn_2_a_smaller_scan_hint_is_replaced_by_the_old_contig_hint)
{
	GIVEN("3@5 scan 2@1 left 0 right 0 first 1");
	LEARN(10, 16);
	EXPECT("6@10 scan 3@5 left 0 right 6 first 1");
}

/* an equal scan hint stays, if it is not after the new run */
TEST(learn_2_an_equal_scan_hint_stays)
{
	GIVEN("3@5 scan 3@1 left 0 right 0 first 1");
	LEARN(10, 16);
	EXPECT("6@10 scan 3@1 left 0 right 6 first 1");
	GIVEN("3@2 scan 3@8 left 0 right 0 first 1");
	LEARN(8, 12);
	EXPECT("4@8 scan 3@8 left 0 right 0 first 1");
}

TEST(learn_2_an_equal_scan_hint_after_the_new_run_is_dropped)
{
	GIVEN("3@2 scan 3@12 left 0 right 3 first 1");
	LEARN(6, 10);
	EXPECT("4@6 scan 0@12 left 0 right 3 first 1");
}

/* as when a chunk's hints are refreshed and the scan hint is kept */
TEST(learn_2_a_larger_scan_hint_stays_before_the_new_run)
{
	GIVEN("0@2 scan 3@5 left 0 right 0 first 1");
	LEARN(9, 11);
	EXPECT("2@9 scan 3@5 left 0 right 0 first 1");
	GIVEN("0@2 scan 3@5 left 0 right 0 first 1");
	LEARN(3, 4);
	EXPECT("1@3 scan 0@5 left 0 right 0 first 1");
}

TEST(learn_2_a_larger_run_before_the_contig_hint_drops_the_scan_hint)
{
	GIVEN("3@9 scan 2@6 left 0 right 0 first 1");
	LEARN(1, 5);
	EXPECT("4@1 scan 0@6 left 0 right 0 first 1");
}

TEST(learn_2_a_contig_hint_that_grew_drops_the_scan_hint)
{
	GIVEN("3@9 scan 2@6 left 0 right 0 first 1");
	LEARN(9, 13);
	EXPECT("4@9 scan 0@6 left 0 right 0 first 1");
}

/* with the fix the place of a contig hint that is 0 does not count */
TEST(learn_2_a_contig_hint_of_0_has_no_place_with_the_fix)
{
	GIVEN("0@9 scan 2@1 left 0 right 0 first 1");
	LEARN(4, 8);
	EXPECT("4@4 scan 0@1 left 0 right 0 first 1");
	GIVEN("0@9 scan 2@1 left 0 right 0 first 1");
	pcpu_block_update(&md, 4, 8, true);
	EXPECT("4@4 scan 2@1 left 0 right 0 first 1");
	GIVEN("0@9 scan 2@6 left 0 right 0 first 1");
	pcpu_block_update(&md, 4, 8, true);
	EXPECT("4@4 scan 0@6 left 0 right 0 first 1");
	GIVEN("1@9 scan 1@1 left 0 right 0 first 1");
	pcpu_block_update(&md, 4, 8, true);
	EXPECT("4@4 scan 0@1 left 0 right 0 first 1");
}

/* --- 3: a run as large as the contig hint; the better aligned start wins
 *
 *	|#..##..#........|
 *	  ^1   ^5
 */
TEST(learn_3_a_better_aligned_run_of_the_same_size_is_the_contig_hint)
{
	GIVEN("2@10 scan 0@0 left 0 right 0 first 4");
	LEARN(4, 6);
	EXPECT("2@4 scan 0@0 left 0 right 0 first 4");
	LEARN(8, 10);
	EXPECT("2@8 scan 0@0 left 0 right 0 first 4");
}

/* of granules 4 and 12 neither is better aligned */
TEST(learn_3_an_equally_aligned_run_is_the_scan_hint)
{
	GIVEN("2@4 scan 0@0 left 0 right 0 first 4");
	LEARN(12, 14);
	EXPECT("2@4 scan 2@12 left 0 right 0 first 4");
	GIVEN("2@12 scan 0@0 left 0 right 0 first 4");
	LEARN(4, 6);
	EXPECT("2@12 scan 2@4 left 0 right 0 first 4");
}

TEST(learn_3_a_run_at_granule_0_is_the_best_aligned)
{
	GIVEN("2@8 scan 0@0 left 0 right 0 first 8");
	LEARN(0, 2);
	EXPECT("2@0 scan 0@0 left 2 right 0 first 0");
}

TEST(learn_3_a_contig_hint_at_granule_0_is_never_replaced)
{
	GIVEN("2@0 scan 0@0 left 2 right 0 first 0");
	LEARN(8, 10);
	EXPECT("2@0 scan 2@8 left 2 right 0 first 0");
	GIVEN("2@0 scan 1@0 left 0 right 0 first 0");
	LEARN(0, 2);
	EXPECT("2@0 scan 2@0 left 2 right 0 first 0");
}

/* a smaller scan hint that is now after the contig hint is dropped */
TEST(learn_3_a_scan_hint_after_the_better_aligned_run_is_dropped)
{
	GIVEN("3@9 scan 2@6 left 0 right 0 first 2");
	LEARN(2, 5);
	EXPECT("3@2 scan 0@6 left 0 right 0 first 2");
}

TEST(learn_3_an_equal_scan_hint_after_the_better_aligned_run_stays)
{
	GIVEN("2@9 scan 2@6 left 0 right 0 first 2");
	LEARN(2, 4);
	EXPECT("2@2 scan 2@6 left 0 right 0 first 2");
}

TEST(learn_3_a_scan_hint_before_the_better_aligned_run_stays)
{
	GIVEN("3@13 scan 1@2 left 0 right 0 first 2");
	LEARN(4, 7);
	EXPECT("3@4 scan 1@2 left 0 right 0 first 2");
	GIVEN("3@13 scan 1@4 left 0 right 0 first 2");
	LEARN(4, 7);
	EXPECT("3@4 scan 1@4 left 0 right 0 first 2");
}

/* if the scan hint is as large, it becomes the later run */
TEST(learn_3_of_three_equal_runs_the_last_is_the_scan_hint)
{
	GIVEN("2@4 scan 2@7 left 0 right 0 first 4");
	LEARN(11, 13);
	EXPECT("2@4 scan 2@11 left 0 right 0 first 4");
	LEARN(7, 9);
	EXPECT("2@4 scan 2@11 left 0 right 0 first 4");
	LEARN(11, 13);
	EXPECT("2@4 scan 2@11 left 0 right 0 first 4");
}

TEST(learn_3_a_smaller_scan_hint_is_replaced_wherever_it_is)
{
	GIVEN("2@4 scan 1@12 left 0 right 0 first 4");
	LEARN(9, 11);
	EXPECT("2@4 scan 2@9 left 0 right 0 first 4");
}

/* --- 4: a run that is smaller than the contig hint
 *
 *	|.#..#...........|
 *	   ^2 ^5
 */
TEST(learn_4_a_smaller_run_before_the_contig_hint_is_the_scan_hint)
{
	GIVEN("9@5 scan 0@0 left 1 right 0 first 0");
	LEARN(2, 4);
	EXPECT("9@5 scan 2@2 left 1 right 0 first 0");
}

TEST(learn_4_a_smaller_run_after_the_contig_hint_is_ignored)
{
	GIVEN("4@5 scan 1@2 left 0 right 0 first 2");
	LEARN(10, 13);
	EXPECT("4@5 scan 1@2 left 0 right 0 first 2");
	LEARN(5, 8);
	EXPECT("4@5 scan 1@2 left 0 right 0 first 2");
}

TEST(learn_4_the_larger_of_two_runs_is_the_scan_hint)
{
	GIVEN("4@12 scan 3@8 left 0 right 4 first 2");
	LEARN(2, 4);
	EXPECT("4@12 scan 3@8 left 0 right 4 first 2");
	GIVEN("4@12 scan 2@8 left 0 right 4 first 2");
	LEARN(2, 5);
	EXPECT("4@12 scan 3@2 left 0 right 4 first 2");
}

TEST(learn_4_the_later_of_two_equal_runs_is_the_scan_hint)
{
	GIVEN("4@12 scan 2@5 left 0 right 4 first 2");
	LEARN(2, 4);
	EXPECT("4@12 scan 2@5 left 0 right 4 first 2");
	LEARN(8, 10);
	EXPECT("4@12 scan 2@8 left 0 right 4 first 2");
}

/* --- a lost contig hint */

TEST(a_scan_hint_is_promoted_and_its_end_is_returned)
{
	GIVEN("4@12 scan 2@5 left 1 right 3 first 2");
	CHECK(pcpu_block_promote(&md) == 7);
	EXPECT("2@5 scan 0@5 left 1 right 3 first 2");
}

/* --- an area at the start of the last free run
 *
 *	|####............|	4 to 6 is taken
 */

TEST(an_area_at_the_start_of_the_only_run_moves_the_hint)
{
	GIVEN("12@4 scan 0@2 left 3 right 12 first 7");
	CHECK(pcpu_block_advance(&md, 4, 7));
	EXPECT("9@7 scan 0@2 left 3 right 9 first 7");
	md.first_free = 15;
	CHECK(pcpu_block_advance(&md, 7, 15));
	EXPECT("1@15 scan 0@2 left 3 right 1 first 15");
}

static void refused(const char *hints, int start, int end)
{
	GIVEN(hints);
	CHECK(!pcpu_block_advance(&md, start, end));
	EXPECT(hints);
}

/* otherwise, the map has to be read, and nothing changes yet */
TEST(an_area_elsewhere_does_not_move_the_hint)
{
	/* in the middle of the run */
	refused("12@4 scan 0@0 left 0 right 12 first 4", 5, 7);
	/* another run is known */
	refused("12@4 scan 1@2 left 0 right 12 first 7", 4, 7);
	/* the run does not reach the end */
	refused("11@4 scan 0@0 left 0 right 0 first 7", 4, 7);
	/* something before it is free */
	refused("12@4 scan 0@0 left 0 right 12 first 3", 4, 7);
	refused("12@4 scan 0@0 left 0 right 12 first 6", 4, 7);
	/* nothing is left */
	refused("12@4 scan 0@0 left 0 right 12 first 16", 4, 16);
}

/* --- small questions */

/*
 *	|###.....########|	granules 3 to 7; 4 is aligned to 4
 *	0  3    8       16
 */
TEST(a_hint_has_a_place_from_its_aligned_start_on)
{
	GIVEN("5@3 scan 0@0 left 0 right 0 first 3");
	CHECK(pcpu_check_block_hint(&md, 5, 1));
	CHECK(!pcpu_check_block_hint(&md, 6, 1));
	CHECK(pcpu_check_block_hint(&md, 4, 4));
	CHECK(!pcpu_check_block_hint(&md, 5, 4));
	CHECK(!pcpu_check_block_hint(&md, 1, 8));
	CHECK(pcpu_bits_up(8, 4) == 8 && pcpu_bits_up(9, 4) == 12);
}

/* Skip: a larger request starts after the scan hint */
TEST(a_search_skips_a_scan_hint_that_is_too_small)
{
	GIVEN("5@9 scan 2@4 left 1 right 0 first 0");
	CHECK(pcpu_next_hint(&md, 3) == 6);
	CHECK(pcpu_next_hint(&md, 2) == 0);
	CHECK(pcpu_next_hint(&md, 1) == 0);
}

TEST(a_search_skips_no_scan_hint_of_0)
{
	GIVEN("5@9 scan 0@4 left 1 right 0 first 3");
	CHECK(pcpu_next_hint(&md, 3) == 3);
}

TEST(a_search_skips_no_scan_hint_after_the_contig_hint)
{
	GIVEN("5@4 scan 2@10 left 1 right 0 first 3");
	CHECK(pcpu_next_hint(&md, 3) == 3);
	GIVEN("5@4 scan 2@4 left 1 right 0 first 3");
	CHECK(pcpu_next_hint(&md, 3) == 3);
}

TEST(ranges_overlap_if_they_have_a_granule_in_common)
{
	CHECK(pcpu_region_overlap(4, 6, 5, 3));
	CHECK(pcpu_region_overlap(4, 6, 2, 3));
	CHECK(pcpu_region_overlap(4, 6, 0, 9));
	CHECK(!pcpu_region_overlap(4, 6, 6, 3));
	CHECK(!pcpu_region_overlap(4, 6, 2, 2));
	CHECK(!pcpu_region_overlap(4, 6, 4, 0));
	/* an empty run counts where it is in the middle */
	CHECK(pcpu_region_overlap(4, 6, 5, 0));
}
