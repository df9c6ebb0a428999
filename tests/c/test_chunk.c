// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_chunk.c - how chunks are created, found by address, and destroyed.
 */
#include "internal.h"
#include "small.h"

TEST(pages_are_rounded_down_and_up)
{
	struct pcpu_geometry geo = { .page_size = 64, .page_shift = 6 };

	CHECK(pcpu_pfn_down(&geo, 63) == 0);
	CHECK(pcpu_pfn_down(&geo, 64) == 1);
	CHECK(pcpu_pfn_up(&geo, 0) == 0);
	CHECK(pcpu_pfn_up(&geo, 64) == 1);
	CHECK(pcpu_pfn_up(&geo, 65) == 2);
}

TEST(a_new_chunk_is_empty_and_in_the_last_slot)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_chunk *chunk;
	int error;

	chunk = pcpu_create_chunk(pcpu, &error);
	CHECK(chunk && !error && chunk->id == 1);
	CHECK_SLOTS(pcpu, "7:0 9:1");
	CHECK_MAP(pcpu, 1, "1024 (free 1024 hint 1024)");
	pcpu_destroy(pcpu);
}

TEST(a_new_chunk_costs_two_kmallocs_and_a_vm_area)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 8, 8);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 1);
	pcpu_alloc(pcpu, UNIT, 8);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 3);
	CHECK(calls_of(pcpu, PCPU_GET_VM_AREA) == 1);
	pcpu_destroy(pcpu);
}

/* whatever fails, nothing of the new chunk remains: see "map-null" */
static void check_failed_chunk(int site, uint64_t nth)
{
	struct pcpu *pcpu = small(2);

	pcpu_alloc(pcpu, 8, 8);
	fail_at(pcpu, site, nth);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == -(PCPU_E_NOMEM + site));
	CHECK_SLOTS(pcpu, "7:0");
	CHECK(info_of(pcpu).chunks == 1);
	CHECK(info_of(pcpu).chunks_created == 0);
	/* all is freed except the first chunk's map */
	CHECK(calls_of(pcpu, PCPU_KMALLOC) - (site == PCPU_KMALLOC) ==
	      calls_of(pcpu, PCPU_KFREE) + 1);
	CHECK(calls_of(pcpu, PCPU_FREE_VM_AREA) == 0);
	/* the failure has no effect on the next request */
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == BASE + 2 * UNIT);
	CHECK_SLOTS(pcpu, "0:1 7:0");
	pcpu_destroy(pcpu);
}

TEST(a_chunk_whose_struct_cannot_be_allocated_leaves_nothing)
{
	check_failed_chunk(PCPU_KMALLOC, 1);
}

TEST(a_chunk_whose_map_cannot_be_allocated_leaves_nothing)
{
	check_failed_chunk(PCPU_KMALLOC, 2);
}

TEST(a_chunk_whose_address_space_cannot_be_allocated_leaves_nothing)
{
	check_failed_chunk(PCPU_GET_VM_AREA, 1);
}

/*
 *	chunk 0          chunk 1          guard   chunk 2
 *	|----|----|      |----|----|      |-|     |----|----|
 *	64       2112   2112      4160   4160    4224     6272
 */
TEST(the_address_tree_finds_the_chunk_that_contains_an_address)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_chunk *chunk;
	int steps;

	pcpu_alloc(pcpu, UNIT, 1);
	pcpu_alloc(pcpu, UNIT, 1);
	CHECK(!pcpu_chunk_addr_search(pcpu, 63, &steps));
	chunk = pcpu_chunk_addr_search(pcpu, 64, &steps);
	CHECK(chunk && chunk->id == 0);
	chunk = pcpu_chunk_addr_search(pcpu, 2111, &steps);
	CHECK(chunk && chunk->id == 0);
	chunk = pcpu_chunk_addr_search(pcpu, 2112, &steps);
	CHECK(chunk && chunk->id == 1);
	chunk = pcpu_chunk_addr_search(pcpu, 4159, &steps);
	CHECK(chunk && chunk->id == 1);
	CHECK(!pcpu_chunk_addr_search(pcpu, 4160, &steps));
	chunk = pcpu_chunk_addr_search(pcpu, 4224, &steps);
	CHECK(chunk && chunk->id == 2);
	CHECK(!pcpu_chunk_addr_search(pcpu, 6272, &steps));
	pcpu_destroy(pcpu);
}

static void note_text(void *arg, int about, const char *text)
{
	(void)about;
	*(const char **)arg = text;
}

/* no request causes this, but the 2009 file checks it too */
TEST(killing_an_immutable_chunk_is_warned_about)
{
	struct pcpu_config config = small_config(2);
	const char *text = NULL;
	struct pcpu_chunk *chunk;
	struct pcpu *pcpu;
	int error;

	config.log = note_text;
	config.arg = &text;
	pcpu = create(&config);
	chunk = pcpu_create_chunk(pcpu, &error);
	CHECK(chunk && chunk->id == 1);
	chunk->immutable = true;
	pcpu_kill_chunk(pcpu, chunk);
	CHECK(calls_of(pcpu, PCPU_WARN) == 1);
	CHECK(text && !strcmp(text, "an immutable chunk is killed"));
	/* it has no page, nor does a page before its first count as one */
	CHECK(calls_of(pcpu, PCPU_FREE_PAGE) == 0);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 0);
	CHECK_SLOTS(pcpu, "7:0");
	pcpu_destroy(pcpu);
}
