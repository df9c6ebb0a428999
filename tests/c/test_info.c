// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_info.c - snapshots of the whole allocator, which outlive it.
 */
#include "small.h"

TEST(a_snapshot_shows_lists_chunks_maps_and_pages)
{
	static const int first_map[] = { -STATIC, -8, 888 };
	struct pcpu *pcpu = small(3);
	const struct pcpu_chunk_info *chunk;
	struct pcpu_snapshot *snapshot;
	int error = 1;

	pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 1000, 8);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot && !error);

	CHECK(snapshot->nr_slots == 10);
	CHECK(snapshot->nr_chunks == 2);
	CHECK(snapshot->unit_pages == 16);
	for (int slot = 0; slot < 10; slot++)
		CHECK(snapshot->slot_len[slot] == (slot == 2 || slot == 7));
	CHECK(snapshot->slot_ids[0] == 1);
	CHECK(snapshot->slot_ids[1] == 0);

	chunk = &snapshot->chunks[0];
	CHECK(chunk->id == 0);
	CHECK(chunk->ptr == BASE);
	CHECK(chunk->free_size == 888 && chunk->contig_hint == 888);
	CHECK(chunk->map_alloc == 16 && chunk->map_used == 3);
	CHECK(!memcmp(chunk->map, first_map, sizeof(first_map)));
	CHECK(chunk->populated[2] == 3 && chunk->populated[3] == 0);
	CHECK(!chunk->immutable);

	chunk = &snapshot->chunks[1];
	CHECK(chunk->id == 1);
	CHECK(chunk->ptr == BASE + 3 * UNIT);
	CHECK(chunk->free_size == 24);
	CHECK(chunk->map_used == 2);
	CHECK(chunk->map[0] == -1000 && chunk->map[1] == 24);
	CHECK(chunk->populated[0] == 3 && chunk->populated[15] == 3);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

TEST(info_has_the_geometry)
{
	struct pcpu *pcpu = small(3);
	struct pcpu_info info = info_of(pcpu);

	CHECK(info.cpus == 3 && info.page_size == PAGE);
	CHECK(info.unit_size == UNIT && info.max_size == UNIT);
	CHECK(info.static_ptr == BASE && info.static_size == STATIC);
	CHECK(info.free_size == UNIT - STATIC);
	CHECK(info.chunks == 1 && info.max_chunks == 1);
	pcpu_destroy(pcpu);
}

/* the caller of remap maps 2 MiB and gives a part; later chunks are not mapped */
TEST(only_a_first_chunk_that_was_mapped_by_its_caller_is_immutable)
{
	struct pcpu_config config = small_config(2);
	struct pcpu_snapshot *snapshot;
	struct pcpu *pcpu;

	config.first_chunk = PCPU_FIRST_REMAP;
	config.free_size = 512;
	pcpu = create(&config);
	CHECK(info_of(pcpu).unit_size == 2 << 20);
	CHECK(info_of(pcpu).free_size == 512);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	snapshot = pcpu_snapshot_take(pcpu, NULL);
	CHECK(snapshot->nr_chunks == 2);
	CHECK(snapshot->chunks[0].immutable && !snapshot->chunks[1].immutable);
	CHECK(snapshot->chunks[0].free_size == 512);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

/* the tree is in order of address, and a low address is reused */
TEST(chunks_are_in_the_order_of_their_ids)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, UNIT, 8), b = pcpu_alloc(pcpu, UNIT, 8);
	struct pcpu_snapshot *snapshot;
	int error;

	pcpu_alloc(pcpu, UNIT, 8);
	CHECK(!pcpu_free(pcpu, a));
	CHECK(!pcpu_free(pcpu, b));
	/* chunk 2, empty, serves; the next chunk reuses chunk 1's address */
	pcpu_alloc(pcpu, UNIT, 8);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == a);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->nr_chunks == 4);
	CHECK(snapshot->chunks[0].id == 0);
	CHECK(snapshot->chunks[1].id == 2 && snapshot->chunks[1].ptr == b);
	CHECK(snapshot->chunks[2].id == 3);
	CHECK(snapshot->chunks[3].id == 4 && snapshot->chunks[3].ptr == a);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

TEST(a_snapshot_does_not_change_with_the_allocator)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_snapshot *snapshot;
	int error;

	pcpu_alloc(pcpu, 8, 8);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	pcpu_alloc(pcpu, UNIT, 8);
	pcpu_alloc(pcpu, 8, 8);
	pcpu_destroy(pcpu);
	CHECK(snapshot->nr_chunks == 1);
	CHECK(snapshot->chunks[0].map_used == 3);
	CHECK(snapshot->chunks[0].map[2] == 888);
	pcpu_snapshot_free(snapshot);
	pcpu_snapshot_free(NULL);
}

/* what must hold in every snapshot */
static void check_invariants(struct pcpu *pcpu)
{
	int error;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);
	struct pcpu_info info = info_of(pcpu);
	int64_t listed = 0, pages = 0;

	for (int64_t slot = 0; slot < snapshot->nr_slots; slot++)
		listed += snapshot->slot_len[slot];
	CHECK(listed == snapshot->nr_chunks && listed == info.chunks);
	CHECK(info.chunks == 1 + info.chunks_created - info.chunks_destroyed);
	for (int64_t i = 0; i < snapshot->nr_chunks; i++) {
		const struct pcpu_chunk_info *chunk = &snapshot->chunks[i];
		int64_t bytes = 0, free_size = 0, largest = 0;

		for (int64_t e = 0; e < chunk->map_used; e++) {
			int size = chunk->map[e];

			CHECK(size != 0);
			CHECK(size < 0 || e == 0 || chunk->map[e - 1] < 0);
			bytes += size < 0 ? -size : size;
			free_size += size < 0 ? 0 : size;
			largest = size > largest ? size : largest;
		}
		for (int64_t page = 0; page < snapshot->unit_pages; page++)
			pages += chunk->populated[page];
		if (!chunk->map_used)
			continue;
		CHECK(chunk->map_used <= chunk->map_alloc);
		CHECK(bytes == info.unit_size);
		CHECK(chunk->free_size == free_size);
		CHECK(chunk->contig_hint >= largest);
	}
	CHECK(pages == info.pages);
	pcpu_snapshot_free(snapshot);
}

TEST(invariants_hold_through_random_requests_and_failures)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[150] = { 0 };
	int failed = 0;

	for (int site = 0; site < PCPU_NR_SERVICES; site++) {
		struct pcpu_fault fault = { 1, 1, -1, 0.02, 42 };

		pcpu_inject(pcpu, site, &fault);
	}
	for (int step = 0; step < 5000; step++) {
		int64_t *ptr = &ptrs[pick(150)];

		if (*ptr > 0) {
			CHECK(!pcpu_free(pcpu, *ptr));
			*ptr = 0;
		} else {
			*ptr = pcpu_alloc(pcpu, 1 + pick(step % 9 ? 30 : UNIT),
					  1 << pick(7));
			CHECK(*ptr > 0 || *ptr <= -PCPU_E_NOMEM);
			failed += *ptr < 0;
		}
		if (step % 8 == 0)
			check_invariants(pcpu);
	}
	CHECK(failed > 20);
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
}

TEST(everything_is_released_when_all_areas_are_freed)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[300];

	for (int i = 0; i < 300; i++)
		ptrs[i] = pcpu_alloc(pcpu, 1 + pick(60), 1 << pick(7));
	for (int i = 0; i < 300; i++)
		CHECK(!pcpu_free(pcpu, ptrs[i * 7 % 300]));
	/* chunk 0 with its map, and one empty chunk */
	CHECK(info_of(pcpu).chunks == 2);
	CHECK(calls_of(pcpu, PCPU_GET_VM_AREA) ==
	      calls_of(pcpu, PCPU_FREE_VM_AREA) + 1);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) + calls_of(pcpu, PCPU_VMALLOC) ==
	      calls_of(pcpu, PCPU_KFREE) + calls_of(pcpu, PCPU_VFREE) + 3);
	CHECK(info_of(pcpu).pages - 2 * 2 == (int64_t)
	      (calls_of(pcpu, PCPU_ALLOC_PAGE) -
	       calls_of(pcpu, PCPU_FREE_PAGE)));
	pcpu_destroy(pcpu);
}
