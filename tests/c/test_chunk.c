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

/* --- the chunk that was found last: tried first, with the steps of the tree
 *
 *	    chunk 1			an address in chunk 0 or 2: 2 steps
 *	    /     \\			in chunk 1: 2, since 2 is visited too,
 *	chunk 0  chunk 2		except for its first byte: 1
 */
static struct pcpu *three_chunks(void)
{
	struct pcpu *pcpu = small(1);

	pcpu_alloc(pcpu, UNIT - STATIC, 1);
	for (int i = 0; i < 2; i++)
		pcpu_alloc(pcpu, UNIT, 1);
	CHECK(info_of(pcpu).chunks == 3);
	return pcpu;
}

static int steps;	/* of the last search */

/* the id of the chunk that covers an address, or -1 */
static int search(struct pcpu *pcpu, uint64_t addr)
{
	struct pcpu_chunk *chunk = pcpu_chunk_addr_search(pcpu, addr, &steps);

	return chunk ? (int)chunk->id : -1;
}

TEST(the_chunk_found_last_is_tried_first)
{
	struct pcpu *pcpu = three_chunks();
	uint64_t addr = pcpu_rb_chunk(pcpu->chunks.node)->addr;

	CHECK(search(pcpu, addr + 1) == 1 && steps == 2);
	CHECK(pcpu->found_chunk->id == 1);
	pcpu->found_steps = 77;		/* wrong, so that it shows */
	CHECK(search(pcpu, addr + 1) == 1 && steps == 77);
	CHECK(search(pcpu, addr + UNIT - 1) == 1 && steps == 77);
	CHECK(search(pcpu, addr - 1) == 0 && steps == 2);
	CHECK(search(pcpu, addr + UNIT) == -1);		/* the guard page */
	CHECK(pcpu->found_chunk->id == 0);
	pcpu_destroy(pcpu);
}

/* the search in the tree ends at the chunk that starts there */
TEST(the_first_byte_of_a_chunk_is_searched_in_the_tree)
{
	struct pcpu *pcpu = three_chunks();
	uint64_t addr = pcpu_rb_chunk(pcpu->chunks.node)->addr;

	CHECK(search(pcpu, addr) == 1 && steps == 1);
	CHECK(!pcpu->found_chunk);
	CHECK(search(pcpu, addr + 1) == 1 && steps == 2);
	CHECK(search(pcpu, addr) == 1 && steps == 1);
	CHECK(search(pcpu, addr + 1) == 1 && steps == 2);
	pcpu_destroy(pcpu);
}

/* chunk 3 becomes a child of chunk 2: an address in it takes a step more */
TEST(the_chunk_found_last_is_forgotten_when_a_chunk_is_created)
{
	struct pcpu *pcpu = three_chunks();
	uint64_t addr = pcpu_rb_chunk(pcpu->chunks.node)->addr + UNIT + PAGE;

	CHECK(search(pcpu, addr + 8) == 2 && steps == 2);
	pcpu_alloc(pcpu, UNIT, 1);
	CHECK(!pcpu->found_chunk);
	CHECK(search(pcpu, addr + 8) == 2 && steps == 3);
	pcpu_destroy(pcpu);
}

/* chunk 2 is destroyed, and its address is wild */
TEST(the_chunk_found_last_is_forgotten_when_a_chunk_is_destroyed)
{
	struct pcpu *pcpu = three_chunks();
	struct pcpu_chunk *root = pcpu_rb_chunk(pcpu->chunks.node);
	uint64_t addr = root->addr + UNIT + PAGE;

	CHECK(search(pcpu, addr + 8) == 2 && steps == 2);
	pcpu_kill_chunk(pcpu, pcpu->found_chunk);
	CHECK(!pcpu->found_chunk);
	CHECK(search(pcpu, addr + 8) == -1);
	CHECK(search(pcpu, root->addr + 8) == 1 && steps == 1);
	pcpu_destroy(pcpu);
}

/* down the tree to the last chunk that does not start after an address */
static int plain_search(struct pcpu *pcpu, uint64_t addr, int *plain_steps)
{
	struct rb_node *node = pcpu->chunks.node;
	struct pcpu_chunk *best = NULL;

	for (*plain_steps = 0; node; ++*plain_steps) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(node);

		if (addr >= chunk->addr)
			best = chunk;
		node = addr < chunk->addr ? node->left :
		       addr > chunk->addr ? node->right : NULL;
	}
	return best && addr < best->addr + UNIT ? (int)best->id : -1;
}

TEST(random_searches_take_the_steps_of_the_tree)
{
	struct pcpu *pcpu = three_chunks();
	int64_t ptrs[20] = { 0 };
	uint64_t addr = 0;

	for (int round = 0; round < 20000; round++) {
		int64_t *ptr = &ptrs[pick(20)];
		int plain_steps, expected;

		if (!pick(8)) {
			if (*ptr)
				CHECK(!pcpu_free(pcpu, *ptr));
			*ptr = *ptr ? 0 : pcpu_alloc(pcpu, UNIT, 1);
		}
		/* often in the same chunk, and often at its start */
		if (pick(2))
			addr = pick(4) ? pick(25 * (UNIT + PAGE)) :
					 PAGE + UNIT + pick(25) * (UNIT + PAGE);
		expected = plain_search(pcpu, addr, &plain_steps);
		CHECK(search(pcpu, addr) == expected);
		CHECK(expected < 0 || steps == plain_steps);
	}
	CHECK(info_of(pcpu).chunks_destroyed > 100);
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
