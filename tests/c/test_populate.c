// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_populate.c - a chunk's pages: when they are populated and depopulated,
 * and their state after a failure.
 *
 * A text has a digit for each page of a unit: the number of CPUs, of two, that
 * have it.  "2200000000000000" is a new first chunk with two static pages.
 */
#include "faults.h"
#include "internal.h"
#include "small.h"

static const char *const ALL = "2222222222222222";

TEST(pages_are_populated_for_the_areas_in_them)
{
	struct pcpu *pcpu = small(2);

	CHECK_PAGES(pcpu, 0, "2200000000000000");
	pcpu_alloc(pcpu, 8, 8);
	CHECK_PAGES(pcpu, 0, "2220000000000000");
	pcpu_alloc(pcpu, PAGE, 8);
	CHECK_PAGES(pcpu, 0, "2222000000000000");
	pcpu_alloc(pcpu, 3 * PAGE, PAGE);
	CHECK_PAGES(pcpu, 0, "2222222000000000");
	pcpu_destroy(pcpu);
}

TEST(an_area_that_ends_with_a_page_does_not_populate_the_next)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, PAGE, PAGE);
	CHECK_PAGES(pcpu, 0, "2220000000000000");
	pcpu_destroy(pcpu);
}

TEST(pages_stay_populated_when_their_areas_are_freed)
{
	struct pcpu *pcpu = small(2);
	int64_t ptr = pcpu_alloc(pcpu, 100, 8);

	CHECK(!pcpu_free(pcpu, ptr));
	CHECK_PAGES(pcpu, 0, "2222000000000000");
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 0);
	pcpu_destroy(pcpu);
}

/* 2 CPUs: a frame each, a map call each, one flush for both */
TEST(a_run_of_pages_is_mapped_once_for_each_cpu)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 3 * PAGE, 8);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) == 3 * 2);
	CHECK(calls_of(pcpu, PCPU_MAP) == 2 + 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP) == 1 + 1);
	pcpu_destroy(pcpu);
}

TEST(populated_pages_cost_no_calls)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 8, 8);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) == 2);
	CHECK(calls_of(pcpu, PCPU_MAP) == 2 + 2);
	pcpu_destroy(pcpu);
}

/* page 2 is populated, page 3 is new: one run, mapped for two CPUs
 *
 *	page	0 1 2 3
 *		s s # +
 */
TEST(a_populated_page_is_not_mapped_again)
{
	struct pcpu *pcpu = small(2);
	uint64_t maps;

	pcpu_alloc(pcpu, 8, 8);
	maps = calls_of(pcpu, PCPU_MAP);
	pcpu_alloc(pcpu, PAGE, 8);
	CHECK_PAGES(pcpu, 0, "2222000000000000");
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 2);
	pcpu_destroy(pcpu);
}

/*
 * In chunk 1 leave only pages 2 and 5 populated, as a failed populate with the
 * quirk could.
 */
static struct pcpu *with_pages_2_and_5(unsigned int quirks)
{
	struct pcpu_config config = small_config(2);
	struct pcpu_chunk *chunk;
	struct pcpu *pcpu;
	int64_t ptr;
	int steps;

	config.quirks = quirks;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, UNIT, 8);
	chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &steps);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_depopulate_chunk(pcpu, chunk, 0, 2, true);
	pcpu_depopulate_chunk(pcpu, chunk, 3, 5, true);
	pcpu_depopulate_chunk(pcpu, chunk, 6, 16, true);
	CHECK_PAGES(pcpu, 1, "0020020000000000");
	return pcpu;
}

/*
 *	page	0  1  2  3  4  5  6 ... 15
 *		[----]##[----]##[--------]	three runs
 */
TEST(populated_pages_split_a_range_into_runs)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	uint64_t maps = calls_of(pcpu, PCPU_MAP);
	uint64_t flushes = calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP);
	uint64_t pages = calls_of(pcpu, PCPU_ALLOC_PAGE);

	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	CHECK_PAGES(pcpu, 1, ALL);
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 3 * 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP) - flushes == 3);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) - pages == 14 * 2);
	pcpu_destroy(pcpu);
}

/*
 *	page	0  1  2  3  4  5
 *		      ##[----]##	one run, between populated pages
 */
TEST(a_range_may_begin_and_end_with_a_populated_page)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	uint64_t maps = calls_of(pcpu, PCPU_MAP);
	uint64_t flushes = calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP);
	uint64_t pages = calls_of(pcpu, PCPU_ALLOC_PAGE);
	int steps;
	struct pcpu_chunk *chunk =
		pcpu_chunk_addr_search(pcpu, BASE + 2 * UNIT, &steps);

	CHECK(!pcpu_populate_pages(pcpu, chunk, 2, 6));
	CHECK_PAGES(pcpu, 1, "0022220000000000");
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP) - flushes == 1);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) - pages == 2 * 2);
	/* nothing is missing any more */
	CHECK(!pcpu_populate_pages(pcpu, chunk, 2, 6));
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 2);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) - pages == 2 * 2);
	pcpu_destroy(pcpu);
}

/* chunk 0 is full, so pages 0 to 2 of chunk 1 are requested
 *
 *	page	0  1  2
 *		[----]##	one run, and none after it
 */
TEST(a_range_may_end_with_a_populated_page)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	uint64_t maps, flushes;

	pcpu_alloc(pcpu, UNIT - STATIC, 8);
	maps = calls_of(pcpu, PCPU_MAP);
	flushes = calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP);
	CHECK(pcpu_alloc(pcpu, 3 * PAGE, 8) == BASE + 2 * UNIT);
	CHECK_PAGES(pcpu, 1, "2220020000000000");
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP) - flushes == 1);
	pcpu_destroy(pcpu);
}

/* two CPUs: the third map call is the first of the second run
 *
 *	page	0  1  2  3  4  5  6 ... 15
 *		[----]##[-!	no frame is requested after page 4
 */
TEST(a_run_that_cannot_be_mapped_ends_the_populate)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	uint64_t pages = calls_of(pcpu, PCPU_ALLOC_PAGE);

	fail_at(pcpu, PCPU_MAP, 3);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(MAP));
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) - pages == 4 * 2);
	CHECK_PAGES(pcpu, 1, "0020020000000000");
	CHECK_MAP(pcpu, 1, "1024 (free 1024 hint 1024)");
	pcpu_destroy(pcpu);
}

/*
 *	page	0 1 2 3 4 5 6 7
 *		    #     #		populated
 *		[---------------)	one run to unmap
 */
TEST(depopulate_unmaps_from_the_first_populated_page_to_the_last)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	int steps;
	struct pcpu_chunk *chunk =
		pcpu_chunk_addr_search(pcpu, 64 + 2 * UNIT, &steps);
	uint64_t unmaps = calls_of(pcpu, PCPU_UNMAP);
	uint64_t pages = calls_of(pcpu, PCPU_FREE_PAGE);
	uint64_t flushes = calls_of(pcpu, PCPU_FLUSH_TLB);

	pcpu_depopulate_chunk(pcpu, chunk, 0, 16, true);
	CHECK(calls_of(pcpu, PCPU_UNMAP) - unmaps == 2);
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) - pages == 2 * 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) - flushes == 1);
	/* nothing is left: nothing to unmap, nothing to flush */
	pcpu_depopulate_chunk(pcpu, chunk, 0, 16, true);
	CHECK(calls_of(pcpu, PCPU_UNMAP) - unmaps == 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) - flushes == 1);
	pcpu_destroy(pcpu);
}

TEST(a_failed_request_leaves_the_map_as_it_was)
{
	struct pcpu *pcpu = small(2);
	char before[TEXT];

	pcpu_alloc(pcpu, 8, 8);
	strcpy(before, map_of(pcpu, 0));
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK_MAP(pcpu, 0, before);
	CHECK_SLOTS(pcpu, "7:0");
	CHECK(pcpu_alloc(pcpu, PAGE, 8) == BASE + STATIC + 8);
	pcpu_destroy(pcpu);
}

/*
 * The "rollback" defect: a live neighbour is in pages 2 and 3, the request
 * spans pages 3 to 6, and the frame of CPU 1 for page 5 is refused.
 *
 *	page	0 1 2 3 4 5 6
 *		s s # # + !	s static, # neighbour, + added, ! fails
 */
static struct pcpu *fail_next_to_a_neighbour(unsigned int quirks)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.quirks = quirks;
	pcpu = create(&config);
	pcpu_alloc(pcpu, PAGE + 8, 8);
	CHECK_PAGES(pcpu, 0, "2222000000000000");
	fail_at(pcpu, PCPU_ALLOC_PAGE, 4);
	CHECK(pcpu_alloc(pcpu, 3 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	return pcpu;
}

TEST(a_failed_populate_depopulates_only_what_it_added)
{
	struct pcpu *pcpu = fail_next_to_a_neighbour(0);

	CHECK_PAGES(pcpu, 0, "2222000000000000");
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) == 4 + 4);
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 3);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VUNMAP) == 1);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) == 1);
	CHECK(info_of(pcpu).pages == 4 * 2);
	pcpu_destroy(pcpu);
}

TEST(the_quirk_depopulates_the_whole_range_including_neighbours)
{
	struct pcpu *pcpu = fail_next_to_a_neighbour(PCPU_QUIRK_ROLLBACK);

	CHECK_PAGES(pcpu, 0, "2220000000000000");
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 2 + 3);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 2);
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VUNMAP) == 1);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) == 1);
	CHECK(info_of(pcpu).pages == 3 * 2);
	pcpu_destroy(pcpu);
}

/* the static area ends in page 1, where the request begins */
TEST(the_quirk_may_depopulate_the_static_area)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.static_size = 100;
	config.quirks = PCPU_QUIRK_ROLLBACK;
	pcpu = create(&config);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, PAGE, 4) == NOMEM(ALLOC_PAGE));
	CHECK_PAGES(pcpu, 0, "2000000000000000");
	pcpu_destroy(pcpu);
}

/*
 *	page	0 1 2 3 4 5 6 7 ... 15
 *		+ + # + + # + +      !	the last frame is refused
 */
TEST(pages_added_in_several_runs_are_depopulated_run_by_run)
{
	struct pcpu *pcpu = with_pages_2_and_5(0);
	uint64_t unmaps = calls_of(pcpu, PCPU_UNMAP);

	fail_at(pcpu, PCPU_ALLOC_PAGE, 28);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(ALLOC_PAGE));
	CHECK_PAGES(pcpu, 1, "0020020000000000");
	CHECK(calls_of(pcpu, PCPU_UNMAP) - unmaps == 3 * 2);
	CHECK_MAP(pcpu, 1, "1024 (free 1024 hint 1024)");
	pcpu_destroy(pcpu);
}

TEST(the_quirk_depopulates_several_runs_as_one)
{
	struct pcpu *pcpu = with_pages_2_and_5(PCPU_QUIRK_ROLLBACK);
	uint64_t unmaps = calls_of(pcpu, PCPU_UNMAP);

	fail_at(pcpu, PCPU_ALLOC_PAGE, 28);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(ALLOC_PAGE));
	CHECK_PAGES(pcpu, 1, "0000000000000000");
	CHECK(calls_of(pcpu, PCPU_UNMAP) - unmaps == 2);
	pcpu_destroy(pcpu);
}

TEST(a_failed_map_frees_the_frames)
{
	struct pcpu *pcpu = small(2);

	fail_at(pcpu, PCPU_MAP, 2);
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(MAP));
	CHECK_PAGES(pcpu, 0, "2200000000000000");
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 4);
	/* not mapped for all CPUs: no flush */
	CHECK(calls_of(pcpu, PCPU_FLUSH_CACHE_VMAP) == 1);
	pcpu_destroy(pcpu);
}

/* a request of 16 pages spans at most 17 */
TEST(seventeen_added_pages_are_depopulated)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.unit_size = 2 * UNIT;
	pcpu = create(&config);
	pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 2 * UNIT - STATIC - 8 - UNIT - 8, 8);
	fail_at(pcpu, PCPU_MAP, 2);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(MAP));
	CHECK_PAGES(pcpu, 0, "22222222222222220000000000000000");
	pcpu_destroy(pcpu);
}

TEST(a_page_limit_makes_alloc_page_fail)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;
	int64_t ptr;

	config.nodes = 2;
	config.page_limit = 3;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 3 * PAGE, 8);
	CHECK(ptr > 0);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(ALLOC_PAGE));
	/* both nodes have the frames of the live area */
	CHECK(pcpu->kernel.pages.held[0] == 3);
	CHECK(pcpu->kernel.pages.held[1] == 3);
	/* the chunk keeps its pages, so only its own space can be reused */
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_alloc(pcpu, 8, 8) == ptr);
	pcpu_destroy(pcpu);
}

/* by default all CPUs are on one node: three frames are not enough for two each */
TEST(without_nodes_in_the_config_there_is_one)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.page_limit = 3;
	pcpu = create(&config);
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK(pcpu_alloc(pcpu, PAGE, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(failed_pages_leave_the_nodes_as_they_were)
{
	struct pcpu_config config = small_config(4);
	struct pcpu *pcpu;

	config.nodes = 2;
	pcpu = create(&config);
	/* CPUs 0, 1 and 2 get their frames */
	fail_at(pcpu, PCPU_ALLOC_PAGE, 4);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(ALLOC_PAGE));
	CHECK(pcpu->kernel.pages.held[0] == 0);
	CHECK(pcpu->kernel.pages.held[1] == 0);
	CHECK_PAGES(pcpu, 0, "4400000000000000");
	pcpu_destroy(pcpu);
}

/*
 * An area of three pages on four CPUs needs twelve frames, of which the n-th is
 * refused, by a fault or by the limit of the only node.
 *
 *	page	0 1 2 3 4
 *	CPU 0	s s + +
 *	    1	s s + +
 *	    2	s s + !		n = 7
 *	    3	s s +
 */
static void refuse_frame(uint64_t n, bool by_limit)
{
	struct pcpu_config config = small_config(4);
	uint64_t some = n > 1;	/* frames were taken */
	struct pcpu_work work, free_work;
	struct pcpu *pcpu;

	config.page_limit = by_limit ? (int64_t)n - 1 : 12;
	pcpu = create(&config);
	if (!by_limit)
		fail_at(pcpu, PCPU_ALLOC_PAGE, n);
	CHECK(pcpu_alloc(pcpu, 3 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK_PAGES(pcpu, 0, "4400000000000000");
	CHECK(info_of(pcpu).pages == 2 * 4);
	CHECK(pcpu->kernel.pages.held[0] == 0);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) == n);
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == n - 1);
	/* only the static area was mapped; a run is unmapped as a whole */
	CHECK(calls_of(pcpu, PCPU_MAP) == 4);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 4 * some);
	CHECK(calls_of(pcpu, PCPU_FLUSH_TLB) == some);
	CHECK(!pcpu_work(pcpu, &work, &free_work));
	CHECK(work.pages_populated == n - 1);
	CHECK(work.pages_depopulated == n - 1);
	pcpu_destroy(pcpu);
}

TEST(any_frame_of_a_run_may_be_the_one_that_is_refused)
{
	for (uint64_t n = 1; n <= 12; n++)
		refuse_frame(n, false);
	/* a limit of 0 is none */
	for (uint64_t n = 2; n <= 12; n++)
		refuse_frame(n, true);
}

/* with mapped memory: what the neighbour wrote is still there */
TEST(a_neighbour_keeps_its_bytes_when_a_populate_fails)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int64_t page = info_of(pcpu).page_size;
	int64_t ptr = pcpu_alloc(pcpu, page, 8);
	char *copy = (char *)(uintptr_t)pcpu_address(pcpu, ptr, 1);

	memset(copy, 0x5a, (size_t)page);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 3);
	CHECK(pcpu_alloc(pcpu, 3 * page, 8) == NOMEM(ALLOC_PAGE));
	CHECK(copy[0] == 0x5a && copy[page - 1] == 0x5a);
	pcpu_destroy(pcpu);
}

/* with mapped memory: one CPU's copy */
static char *copy_of(struct pcpu *pcpu, int64_t ptr, int64_t cpu)
{
	return (char *)(uintptr_t)pcpu_address(pcpu, ptr, cpu);
}

/*
 *	page	0 1 2 3
 *		s +		the area fills page 1
 */
TEST(only_the_pages_of_an_area_are_mapped)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int64_t page = info_of(pcpu).page_size;
	int64_t ptr = pcpu_alloc(pcpu, page, page);

	CHECK(ptr == info_of(pcpu).static_ptr + page);
	for (int cpu = 0; cpu < 2; cpu++) {
		char *copy = copy_of(pcpu, ptr, cpu);

		CHECK(!faults(copy + page - 1));
		CHECK(faults(copy + page));
	}
	pcpu_destroy(pcpu);
}

TEST(a_whole_unit_can_be_read_on_every_cpu)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	struct pcpu_info info = info_of(pcpu);
	int64_t ptr = pcpu_alloc(pcpu, info.unit_size, 8);

	for (int cpu = 0; cpu < 2; cpu++) {
		char *copy = copy_of(pcpu, ptr, cpu);

		for (int64_t at = 0; at < info.unit_size; at += info.page_size)
			CHECK(!faults(copy + at));
	}
	pcpu_destroy(pcpu);
}

/* page 2 stays populated when the other pages of its unit are not */
TEST(the_runs_of_a_range_are_mapped_where_they_are)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	struct pcpu_info info = info_of(pcpu);
	int64_t ptr = pcpu_alloc(pcpu, info.unit_size, 8);
	struct pcpu_chunk *chunk;
	int steps;

	chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &steps);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_depopulate_chunk(pcpu, chunk, 0, 2, true);
	pcpu_depopulate_chunk(pcpu, chunk, 3, 16, true);
	CHECK(pcpu_alloc(pcpu, info.unit_size, 8) == ptr);
	for (int cpu = 0; cpu < 2; cpu++)
		for (int64_t at = 0; at < info.unit_size; at += info.page_size)
			CHECK(!faults(copy_of(pcpu, ptr, cpu) + at));
	pcpu_destroy(pcpu);
}

/*
 *	page	0 1 2 ... 15
 *		- - #      #	pages 0 and 1 are depopulated
 */
TEST(depopulate_unmaps_only_its_range)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	struct pcpu_info info = info_of(pcpu);
	int64_t ptr = pcpu_alloc(pcpu, info.unit_size, 8);
	int steps;
	struct pcpu_chunk *chunk =
		pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &steps);

	for (int cpu = 0; cpu < 2; cpu++)
		memset(copy_of(pcpu, ptr, cpu), 0x5a, (size_t)info.unit_size);
	pcpu_depopulate_chunk(pcpu, chunk, 0, 2, true);
	for (int cpu = 0; cpu < 2; cpu++) {
		char *copy = copy_of(pcpu, ptr, cpu);

		CHECK(faults(copy));
		CHECK(faults(copy + 2 * info.page_size - 1));
		CHECK(!faults(copy + 2 * info.page_size) &&
		      copy[2 * info.page_size] == 0x5a);
	}
	pcpu_destroy(pcpu);
}

/* with mapped memory: all pages that were added are unmapped */
TEST(pages_of_a_failed_populate_cannot_be_read)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int64_t page = info_of(pcpu).page_size;
	int64_t ptr = pcpu_alloc(pcpu, page - STATIC, 8);
	/* page 1 of CPU 0 */
	char *next = (char *)(uintptr_t)pcpu_address(pcpu, ptr, 0) + page -
		     STATIC;

	fail_at(pcpu, PCPU_ALLOC_PAGE, 7);
	CHECK(pcpu_alloc(pcpu, 4 * page, 8) == NOMEM(ALLOC_PAGE));
	CHECK(!faults(next - 1));
	for (int i = 0; i < 4; i++)
		CHECK(faults(next + i * page));
	/* the second time frames suffice; the map call of CPU 1 fails */
	fail_at(pcpu, PCPU_MAP, 2);
	CHECK(pcpu_alloc(pcpu, 4 * page, 8) == NOMEM(MAP));
	CHECK(!faults(next - 1));
	for (int i = 0; i < 4; i++)
		CHECK(faults(next + i * page));
	pcpu_destroy(pcpu);
}

/* every page is populated from the start: no service is called */
TEST(embed_populates_no_pages_in_its_first_chunk)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.first_chunk = PCPU_FIRST_EMBED;
	config.unit_size = UNIT;
	pcpu = create(&config);
	CHECK(pcpu_alloc(pcpu, UNIT - STATIC, 8) == BASE + STATIC);
	CHECK_PAGES(pcpu, 0, ALL);
	CHECK(calls_of(pcpu, PCPU_ALLOC_PAGE) == 0);
	CHECK(calls_of(pcpu, PCPU_MAP) == 0);
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
}

static void note_text(void *arg, int about, const char *text)
{
	(void)about;
	*(const char **)arg = text;
}

/* no request causes this, but the 2009 file checks it too */
TEST(populating_an_immutable_chunk_is_warned_about)
{
	struct pcpu_config config = small_config(2);
	const char *text = NULL;
	struct pcpu *pcpu;

	config.first_chunk = PCPU_FIRST_EMBED;
	config.log = note_text;
	config.arg = &text;
	pcpu = create(&config);
	CHECK(!pcpu_map(pcpu, pcpu->first_chunk, 0, 1));
	CHECK(calls_of(pcpu, PCPU_WARN) == 1);
	CHECK(text && !strcmp(text,
			      "pages are mapped into an immutable chunk"));
	pcpu_depopulate_chunk(pcpu, pcpu->first_chunk, 0, 1, false);
	CHECK(calls_of(pcpu, PCPU_WARN) == 2);
	CHECK(!strcmp(text, "pages are unmapped from an immutable chunk"));
	pcpu_destroy(pcpu);
}

/* the log has room for one; both are counted */
TEST(of_several_warnings_in_one_call_the_first_is_reported)
{
	struct pcpu_config config = small_config(2);
	const char *text = NULL;
	struct pcpu *pcpu;

	config.log = note_text;
	config.arg = &text;
	pcpu = create(&config);
	fake_warn(&pcpu->kernel, "first");
	fake_warn(&pcpu->kernel, "second");
	fake_warn_on(&pcpu->kernel, false, "never");
	CHECK(!text);
	CHECK(calls_of(pcpu, PCPU_WARN) == 2);
	CHECK(!strcmp(text, "first"));
	pcpu_destroy(pcpu);
}
