// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bitmap_random.c - thousands of random operations, in several geometries:
 * after each, the state is compared with a byte for each granule of each area
 * that the test itself knows of.
 */
#include "small_bitmap.h"

/* mutants are many: see tools/mutate */
#ifdef FEW_OPERATIONS
#define ROUNDS	800
#else
#define ROUNDS	2500
#endif

#define MOST_AREAS	256

struct area {
	int64_t ptr;		/* its pointer */
	int64_t chunk;		/* where it is */
	int offset;		/* bytes */
	int size;		/* bytes, whole granules */
};

static struct area live[MOST_AREAS];
static int nr_live;

/* a byte for each granule of a chunk: 0 free, 1 in use, 2 the first of an area */
static unsigned char granules[2048];

/* what the test knows of a chunk; hidden granules are in use */
static void draw(const struct bitmap_chunk *chunk)
{
	int n = pcpu_areas_bits(&chunk->areas);

	CHECK(n <= (int)sizeof(granules));
	for (int i = 0; i < n; i++)
		granules[i] = i < chunk->start || i >= chunk->end;
	for (int i = 0; i < nr_live; i++) {
		int start = live[i].offset / 4, end = start + live[i].size / 4;

		if (live[i].chunk != chunk->chunk.id)
			continue;
		CHECK(start >= chunk->start && end <= chunk->end);
		for (int at = start; at < end; at++) {
			CHECK(!granules[at]);
			granules[at] = at == start ? 2 : 1;
		}
	}
}

static bool is_free(int start, int end)
{
	while (start < end && !granules[start])
		start++;
	return start >= end;
}

/* the hints of granules [from, from + n) are true */
static void check_hints(const struct pcpu_block_md *md, int from, int n)
{
	int contig = from + md->contig_hint_start;
	int scan = from + md->scan_hint_start;
	int before = 0;

	CHECK(md->nr_bits == n);
	CHECK(contig + md->contig_hint <= from + n);
	CHECK(is_free(contig, contig + md->contig_hint));
	CHECK(scan + md->scan_hint <= from + n);
	CHECK(is_free(scan, scan + md->scan_hint));
	while (before < n && granules[from + before])
		before++;
	CHECK(md->first_free <= n && before >= md->first_free);
}

/* of a block more is true: its edges, and that it knows if it is all free */
static void check_block(const struct pcpu_block_md *md, int from, int n)
{
	check_hints(md, from, n);
	CHECK(is_free(from + n - md->right_free, from + n));
	CHECK((md->contig_hint == n) == is_free(from, from + n));
}

static int check_chunk(struct pcpu *pcpu, const struct bitmap_chunk *chunk)
{
	const struct pcpu_areas *areas = &chunk->areas;
	int bits = pcpu_areas_bits(areas), n = 1 << areas->block_shift;
	int free_bits = 0, empty = 0;

	draw(chunk);
	for (int i = 0; i < bits; i++) {
		free_bits += !granules[i];
		CHECK(bits_test(areas->alloc_map, i) == (granules[i] != 0));
		if (granules[i] && i >= chunk->start && i < chunk->end)
			CHECK(bits_test(areas->bound_map, i) ==
			      (granules[i] == 2));
	}
	CHECK(areas->free_bits == free_bits);
	check_hints(&areas->chunk_md, 0, bits);
	for (int i = 0; i < areas->nr_blocks; i++) {
		const struct pcpu_block_md *block = &areas->blocks[i];
		bool populated = bits_test(areas->populated, i);

		check_block(block, i * n, n);
		CHECK(bits_test(areas->known, i) == (block->contig_hint > 0));
		CHECK(bits_test(areas->whole, i) == is_free(i * n, i * n + n));
		CHECK(chunk->chunk.populated[i] ==
		      (populated ? (uint32_t)pcpu->geo.cpus : 0));
		empty += populated && is_free(i * n, i * n + n);
	}
	CHECK(chunk->nr_empty_pop_pages == empty);
	return chunk->isolated || &chunk->chunk == pcpu->reserved_chunk ?
	       0 : empty;
}

/* each chunk but the reserved one is on a list, isolated ones on the last */
static void check_lists(struct pcpu *pcpu)
{
	struct list_head *pos;
	int64_t listed = 0;

	for (int slot = 0; slot < pcpu->geo.nr_slots; slot++) {
		list_for_each(pos, &pcpu->slots[slot]) {
			struct bitmap_chunk *chunk = to_bitmap(
				list_entry(pos, struct pcpu_chunk, list));

			listed++;
			CHECK(chunk->isolated ==
			      (slot == pcpu_sidelined_slot(pcpu) ||
			       slot == pcpu_to_depopulate_slot(pcpu)));
			CHECK(chunk->isolated || slot == 0 ||
			      slot == bitmap_chunk_slot(pcpu, chunk));
			CHECK(slot != pcpu_free_slot(pcpu) ||
			      bitmap_is_free(pcpu, chunk));
		}
	}
	CHECK(listed == pcpu->nr_chunks);
	if (pcpu->reserved_chunk)
		CHECK(list_empty(&pcpu->reserved_chunk->list));
}

static void check_state(struct pcpu *pcpu)
{
	struct rb_node *node;
	int64_t empty = 0, held = 0;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node)) {
		struct bitmap_chunk *chunk = to_bitmap(pcpu_rb_chunk(node));

		empty += check_chunk(pcpu, chunk);
		for (int i = 0; i < chunk->areas.nr_blocks; i++)
			held += chunk->chunk.populated[i];
	}
	CHECK(pcpu->nr_empty_pop_pages == empty);
	CHECK(pcpu->nr_areas == nr_live);
	CHECK(pcpu->nr_pages >= held);
	check_lists(pcpu);
}

static void add_area(struct pcpu *pcpu, int64_t ptr, int size, int align)
{
	struct pcpu_location at;

	CHECK(!pcpu_locate(pcpu, ptr, &at));
	CHECK(at.size == (size + 3) / 4 * 4);
	CHECK(at.offset % align == 0 && at.offset % 4 == 0);
	live[nr_live++] = (struct area){ ptr, at.chunk, (int)at.offset,
					 (int)at.size };
}

/* sizes of all kinds: mostly small, some around a page, some of many */
static int pick_size(struct pcpu *pcpu)
{
	int page = pcpu->geo.page_size;

	switch (pick(6)) {
	case 0:
		return 1 + (int)pick((unsigned int)(8 * page));
	case 1:
		return page - 8 + (int)pick(16);
	case 2:
		return 1 + (int)pick((unsigned int)page);
	default:
		return 1 + (int)pick(24);
	}
}

static void one_allocation(struct pcpu *pcpu)
{
	int size = pick_size(pcpu), align = 1 << pick(7);
	unsigned int flags = pick(4) ? 0 : pick(4);
	int64_t ptr = pcpu_alloc_gfp(pcpu, size, align, flags);

	if (ptr > 0)
		add_area(pcpu, ptr, size, align);
	else
		CHECK(ptr == -PCPU_E_NO_PLACE || ptr <= -PCPU_E_NOMEM);
}

static void one_free(struct pcpu *pcpu, int i)
{
	CHECK(!pcpu_free(pcpu, live[i].ptr));
	live[i] = live[--nr_live];
}

/* the next call to a service may fail */
static void one_fault(struct pcpu *pcpu)
{
	static const int sites[] = { PCPU_KMALLOC, PCPU_GET_VM_AREA,
				     PCPU_ALLOC_PAGE, PCPU_MAP };

	fail_at(pcpu, sites[pick(4)], 1 + pick(6));
}

static void run(const struct pcpu_config *config)
{
	struct pcpu *pcpu = create(config);
	int most = 40;		/* areas before frees prevail */

	nr_live = 0;
	check_state(pcpu);
	for (int round = 0; round < ROUNDS; round++) {
		unsigned int what = pick(100);

		/* phases fill and drain the chunks */
		if (round % 200 == 0)
			most = 10 + (int)pick(MOST_AREAS - 20);
		if (what < 3)
			one_fault(pcpu);
		else if (what < 10)
			CHECK(!pcpu_balance(pcpu, 1, PCPU_BALANCE_STEPS));
		else if (nr_live && (nr_live >= most || what < 45))
			one_free(pcpu, (int)pick((unsigned int)nr_live));
		else
			one_allocation(pcpu);
		check_state(pcpu);
	}
	while (nr_live)
		one_free(pcpu, nr_live - 1);
	check_state(pcpu);
	/* isolated chunks are reintegrated, and destroyed by the next run */
	for (int i = 0; i < 2; i++) {
		CHECK(!pcpu_balance(pcpu, 1, PCPU_BALANCE_STEPS));
		check_state(pcpu);
	}
	CHECK(pcpu->nr_destroyed > 0 && pcpu->nr_chunks == 2);
	pcpu_destroy(pcpu);
}

TEST(small_pages_and_units)
{
	struct pcpu_config config = bitmap_config(1);

	run(&config);
}

TEST(work_that_runs_by_itself)
{
	struct pcpu_config config = bitmap_config(2);

	config.manual_balance = 0;
	run(&config);
}

TEST(a_unit_of_the_largest_request)
{
	struct pcpu_config config = bitmap_config(1);

	config.unit_size = LARGEST;
	run(&config);
}

TEST(a_reserved_chunk_and_hidden_granules)
{
	struct pcpu_config config = bitmap_config(2);

	config.static_size = 131;
	config.reserved_size = 220;
	config.dyn_size = 236;
	config.manual_balance = 0;
	run(&config);
}

TEST(larger_pages_with_the_fix)
{
	struct pcpu_config config = bitmap_config(1);

	config.page_size = 256;
	config.dyn_size = 1000;
	config.unit_size = 4096;
	config.fixes = PCPU_FIX_CHUNK_HINT;
	config.manual_balance = 0;
	run(&config);
}
