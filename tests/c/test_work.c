// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_work.c - the work of the 2009 file, on maps small enough to draw.
 *
 * The unit is that of small.h: 1 KiB, of which 128 bytes are static.  There are
 * slots 1 to 9, the last for empty chunks.  The first chunk, with 896 bytes
 * free, is in slot 7.
 */
#include "small.h"

#include "internal.h"

static struct pcpu_work alloc_work, free_work;

/* store the work since the last call in alloc_work and free_work */
static void read_work(struct pcpu *pcpu)
{
	static struct pcpu_work alloc_before, free_before;
	uint64_t *word = (uint64_t *)&alloc_work;
	struct pcpu_work alloc_now, free_now;

	CHECK(!pcpu_work(pcpu, &alloc_now, &free_now));
	if (!alloc_now.operations && !free_now.operations) {
		memset(&alloc_before, 0, sizeof(alloc_before));
		memset(&free_before, 0, sizeof(free_before));
	}
	for (size_t i = 0; i < sizeof(alloc_work) / sizeof(*word); i++) {
		word[i] = ((uint64_t *)&alloc_now)[i] -
			  ((uint64_t *)&alloc_before)[i];
		((uint64_t *)&free_work)[i] = ((uint64_t *)&free_now)[i] -
					      ((uint64_t *)&free_before)[i];
	}
	alloc_before = alloc_now;
	free_before = free_now;
}

static struct pcpu *fresh(int64_t cpus)
{
	struct pcpu *pcpu = small(cpus);

	read_work(pcpu);
	return pcpu;
}

static int64_t alloc(struct pcpu *pcpu, int64_t size, int64_t align)
{
	int64_t ptr = pcpu_alloc(pcpu, size, align);

	read_work(pcpu);
	return ptr;
}

static void release(struct pcpu *pcpu, int64_t ptr)
{
	CHECK(!pcpu_free(pcpu, ptr));
	read_work(pcpu);
}

TEST(a_new_allocator_has_no_work)
{
	struct pcpu *pcpu = fresh(2);

	CHECK(!alloc_work.operations && !alloc_work.tree_steps &&
	      !alloc_work.pages_populated);
	pcpu_destroy(pcpu);
}

TEST(an_allocation_after_a_free_is_work_of_allocations)
{
	struct pcpu *pcpu = fresh(1);

	release(pcpu, alloc(pcpu, 8, 8));
	CHECK(!alloc_work.operations && free_work.operations == 1);
	CHECK(alloc(pcpu, 8, 8) > 0);
	CHECK(alloc_work.operations == 1 && !free_work.operations);
	pcpu_destroy(pcpu);
}

TEST(a_refused_request_is_no_work)
{
	struct pcpu *pcpu = fresh(1);

	CHECK(alloc(pcpu, 8, 3) == -PCPU_E_ALIGN);
	CHECK(!alloc_work.operations);
	CHECK(pcpu_free(pcpu, 200) == -PCPU_E_NOT_LIVE);
	CHECK(!pcpu_free(pcpu, 0));
	read_work(pcpu);
	CHECK(!free_work.operations && !free_work.tree_steps);
	pcpu_destroy(pcpu);
}

/*
 *	|#######|aaa|bbb|............|	entries 0 to 3
 *	0      128 136 144         1024
 */
TEST(an_allocation_scans_the_entries_up_to_its_own)
{
	struct pcpu *pcpu = fresh(1);

	alloc(pcpu, 8, 8);
	CHECK(alloc_work.operations == 1);
	CHECK(alloc_work.entries_scanned == 2);
	CHECK(alloc_work.entries_moved == 1 && alloc_work.bytes_moved == 4);
	alloc(pcpu, 8, 8);
	CHECK(alloc_work.entries_scanned == 3);
	CHECK(alloc_work.entries_moved == 1);
	pcpu_destroy(pcpu);
}

/* slots 1 (8 bytes) to 7, where the first chunk is */
TEST(an_allocation_visits_the_slots_up_to_that_of_its_chunk)
{
	struct pcpu *pcpu = fresh(1);

	alloc(pcpu, 8, 8);
	CHECK(alloc_work.slots_visited == 7 && alloc_work.chunks_visited == 1);
	alloc(pcpu, 600, 8);
	CHECK(alloc_work.slots_visited == 1);
	pcpu_destroy(pcpu);
}

/* slots 7 to 9; chunk 0 is visited in slot 7, the new chunk is not */
TEST(an_allocation_that_fits_in_no_chunk_visits_all_larger_slots)
{
	struct pcpu *pcpu = fresh(1);

	alloc(pcpu, UNIT - 4, 8);
	CHECK(alloc_work.slots_visited == 3 && alloc_work.chunks_visited == 1);
	CHECK(alloc_work.tree_steps == 1);
	CHECK(alloc_work.entries_scanned == 1);
	CHECK(alloc_work.entries_moved == 1);
	CHECK(alloc_work.pages_populated == 16);
	pcpu_destroy(pcpu);
}

/*
 *	|#######|aa|..|bb|..|cc|..........|	free ranges of 4 bytes
 *	0      128 132 136 140 144      1024
 */
TEST(a_chunk_where_nothing_fits_is_scanned_to_its_end)
{
	struct pcpu *pcpu = fresh(1);
	int64_t large;

	alloc(pcpu, 4, 8);
	alloc(pcpu, 4, 8);
	large = alloc(pcpu, 880, 8);
	CHECK(large == BASE + 144);
	CHECK(alloc_work.entries_scanned == 5);
	alloc(pcpu, 4, 8);	/* -128 -4 +4 -4 +4 -880 */
	CHECK(alloc_work.chunks_visited == 1);
	CHECK(alloc_work.entries_scanned == 6 + 1);
	pcpu_destroy(pcpu);
}

/*
 *	|#######|aaa|bbb|ccc|........|
 *	0      128 136 144 152     1024
 */
TEST(a_free_scans_the_entries_up_to_its_own_and_moves_later_ones)
{
	struct pcpu *pcpu = fresh(1);
	int64_t a = alloc(pcpu, 8, 8);
	int64_t b = alloc(pcpu, 8, 8);
	int64_t c = alloc(pcpu, 8, 8);

	release(pcpu, b);
	CHECK(free_work.operations == 1 && free_work.tree_steps == 1);
	CHECK(free_work.entries_scanned == 3 && free_work.entries_moved == 0);
	release(pcpu, a);
	CHECK(free_work.entries_scanned == 2);
	CHECK(free_work.entries_moved == 2 && free_work.bytes_moved == 8);
	release(pcpu, c);
	CHECK(free_work.entries_scanned == 3);
	CHECK(free_work.entries_moved == 1 + 0);
	pcpu_destroy(pcpu);
}

/* the address tree of three chunks: 1 is the root, 0 and 2 are its children */
TEST(a_free_descends_the_tree_to_the_chunk_of_its_address)
{
	struct pcpu *pcpu = fresh(1);
	int64_t first, second;

	alloc(pcpu, UNIT - STATIC, 8);
	first = alloc(pcpu, 8, 8);
	second = alloc(pcpu, 8, 8);
	alloc(pcpu, UNIT, 8);
	release(pcpu, first);
	CHECK(free_work.tree_steps == 1);
	release(pcpu, second);	/* not at a chunk's start: 2 is visited too */
	CHECK(free_work.tree_steps == 2);
	pcpu_destroy(pcpu);
}

/* |#######|a|b|c| ... |p|.....|: with 16 entries the map is full */
TEST(a_map_that_grows_is_copied)
{
	struct pcpu *pcpu = fresh(1);

	for (int i = 0; i < 14; i++)
		alloc(pcpu, 8, 8);
	CHECK(alloc_work.map_reallocations == 0);
	alloc(pcpu, 8, 8);
	CHECK(alloc_work.map_reallocations == 1);
	CHECK(alloc_work.entries_moved == 1);
	CHECK(alloc_work.bytes_moved == 4 + 16 * 4);
	pcpu_destroy(pcpu);
}

/* of two empty chunks the first to become empty is destroyed */
TEST(a_free_that_empties_a_chunk_searches_for_another_empty_one)
{
	struct pcpu *pcpu = fresh(2);
	int64_t a = alloc(pcpu, UNIT, 8);
	int64_t b = alloc(pcpu, UNIT, 8);

	CHECK(alloc_work.tree_steps == 2);
	release(pcpu, a);
	CHECK(free_work.slots_visited == 1 && free_work.chunks_visited == 1);
	CHECK(free_work.pages_depopulated == 0);
	release(pcpu, b);
	CHECK(free_work.slots_visited == 1 && free_work.chunks_visited == 2);
	CHECK(free_work.pages_depopulated == 32);
	pcpu_destroy(pcpu);
}

/*
 *	   chunk 1
 *	   /     \
 *	chunk 0  chunk 2
 */
TEST(an_address_inside_a_chunk_needs_another_tree_step)
{
	struct pcpu *pcpu = fresh(1);
	int64_t a = alloc(pcpu, 960, 8);
	int64_t b = alloc(pcpu, 64, 8);

	alloc(pcpu, UNIT, 8);
	release(pcpu, b);	/* inside chunk 1: chunk 2 is visited too */
	CHECK(free_work.tree_steps == 2);
	release(pcpu, a);
	CHECK(free_work.tree_steps == 1);
	pcpu_destroy(pcpu);
}

/* two pages on two CPUs: the last frame is refused */
TEST(a_failed_populate_counts_the_work_that_it_did)
{
	struct pcpu *pcpu = fresh(2);

	fail_at(pcpu, PCPU_ALLOC_PAGE, 4);
	CHECK(alloc(pcpu, 128, 64) == NOMEM(ALLOC_PAGE));
	CHECK(alloc_work.operations == 1);
	CHECK(alloc_work.pages_populated == 3);
	CHECK(alloc_work.pages_depopulated == 3);
	CHECK(alloc_work.entries_scanned == 2 + 2); /* taken and freed */
	CHECK(alloc_work.entries_moved == 1 + 0);
	CHECK(!free_work.operations);
	pcpu_destroy(pcpu);
}

TEST(locating_a_pointer_is_no_work)
{
	struct pcpu *pcpu = fresh(1);
	int64_t ptr = alloc(pcpu, 8, 8);
	struct pcpu_location location;

	CHECK(!pcpu_locate(pcpu, ptr, &location));
	read_work(pcpu);
	CHECK(!alloc_work.tree_steps && !free_work.tree_steps);
	pcpu_destroy(pcpu);
}

TEST(a_closed_allocator_has_no_figures)
{
	struct pcpu *pcpu = fresh(1);

	pcpu_close(pcpu);
	CHECK(pcpu_work(pcpu, &alloc_work, &free_work) == -PCPU_E_CLOSED);
	pcpu_destroy(pcpu);
}
