// SPDX-License-Identifier: GPL-2.0-only
/*
 * info.c - figures, faults, and snapshots of the whole state.
 */
#include <stdlib.h>
#include <string.h>

#include "policy.h"

__cold int pcpu_info(struct pcpu *pcpu, struct pcpu_info *info)
{
	int err = info ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	*info = (struct pcpu_info){
		.cpus = pcpu->geo.cpus,
		.page_size = pcpu->geo.page_size,
		.unit_size = pcpu->geo.unit_size,
		.static_size = pcpu->geo.static_size,
		.reserved_size = pcpu->geo.reserved_size,
		.free_size = pcpu->geo.free_size,
		.static_ptr = (int64_t)pcpu->first_vm.addr,
		.max_size = pcpu->geo.min_unit_size,
		.chunks = pcpu->nr_chunks,
		.chunks_created = pcpu->nr_created,
		.chunks_destroyed = pcpu->nr_destroyed,
		.pages = pcpu->nr_pages,
		.partial_failures = pcpu->nr_partial_failures,
		.areas = pcpu->nr_areas,
		.max_areas = pcpu->nr_areas > pcpu->max_areas ?
			     pcpu->nr_areas : pcpu->max_areas,
		.max_chunks = pcpu->max_chunks,
		.min_size = pcpu->max_size ? pcpu->min_size : 0,
		.max_size_seen = pcpu->max_size,
		.empty_pages = pcpu->nr_empty_pop_pages,
		.hidden_bytes = pcpu->hidden_bytes,
		.balance_runs = pcpu->nr_balance_runs,
		.balance_requested = pcpu->balance_requested,
	};
	pcpu_unlock(pcpu);
	return 0;
}

__cold int pcpu_counters(struct pcpu *pcpu, uint64_t *calls)
{
	int err = calls ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	memcpy(calls, pcpu->kernel.faults.calls,
	       sizeof(pcpu->kernel.faults.calls));
	pcpu_unlock(pcpu);
	return 0;
}

__cold int pcpu_work(struct pcpu *pcpu, struct pcpu_work *alloc,
		     struct pcpu_work *free)
{
	int err = alloc && free ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	*alloc = pcpu->alloc_work;
	*free = pcpu->free_work;
	pcpu_unlock(pcpu);
	alloc->bytes_moved += alloc->entries_moved * AREA_MAP_ENTRY_SIZE;
	free->bytes_moved += free->entries_moved * AREA_MAP_ENTRY_SIZE;
	return 0;
}

__cold int pcpu_inject(struct pcpu *pcpu, int site,
		       const struct pcpu_fault *fault)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	err = fake_fault_arm(&pcpu->kernel.faults, site, fault);
	pcpu_unlock(pcpu);
	return err;
}

/* --- snapshots: one block of memory, a header and the arrays it points to */

struct block {
	struct pcpu_snapshot head;	/* what the caller sees */
	struct host host;		/* allocated the block */
	struct pcpu_chunk_info chunks[]; /* by id; then slot_len, slot_ids, and
					   for all chunks populated, map and
					   blocks */
};

/* chunks in the tree */
static size_t nr_described(const struct pcpu *pcpu)
{
	return (size_t)pcpu->nr_chunks + (pcpu->reserved_chunk != NULL);
}

static struct block *block_alloc(struct pcpu *pcpu)
{
	size_t nr_chunks = nr_described(pcpu);
	size_t nr_slots = (size_t)pcpu->geo.nr_slots;
	size_t nr_pages = nr_chunks * (size_t)pcpu->geo.unit_pages;
	size_t nr_entries = 0, nr_blocks = 0;
	struct pcpu_chunk_info info = { .nr_blocks = 0 };
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node)) {
		policy_describe(pcpu, pcpu_rb_chunk(node), &info, NULL);
		nr_entries += (size_t)info.map_used;
		nr_blocks += (size_t)info.nr_blocks;
	}
	return host_alloc(&pcpu->kernel.host, sizeof(struct block) +
			  nr_chunks * sizeof(struct pcpu_chunk_info) +
			  (nr_slots + nr_chunks) * sizeof(int64_t) +
			  nr_pages * sizeof(uint32_t) +
			  nr_entries * sizeof(int) +
			  nr_blocks * sizeof(struct pcpu_block_md));
}

static void copy_slots(struct pcpu *pcpu, int64_t *slot_len, int64_t *id)
{
	struct list_head *pos;
	int slot;

	for (slot = 0; slot < pcpu->geo.nr_slots; slot++) {
		int64_t *first = id;

		list_for_each(pos, &pcpu->slots[slot])
			*id++ = list_entry(pos, struct pcpu_chunk, list)->id;
		slot_len[slot] = id - first;
	}
}

static int by_id(const void *a, const void *b)
{
	const struct pcpu_chunk_info *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* with bitmaps a chunk may have fewer pages than a unit */
static void copy_populated(const struct pcpu *pcpu,
			   const struct pcpu_chunk_info *info,
			   const struct pcpu_chunk *chunk, uint32_t *populated)
{
	size_t unit_pages = (size_t)pcpu->geo.unit_pages;
	size_t pages = pcpu->geo.bitmap ? (size_t)info->nr_blocks : unit_pages;

	memset(populated, 0, unit_pages * sizeof(*populated));
	memcpy(populated, chunk->populated, pages * sizeof(*populated));
}

/* the blocks of all chunks */
static void copy_blocks(struct pcpu_chunk_info *chunks, size_t n, void *room)
{
	struct pcpu_block_md *blocks = room;
	size_t i;

	for (i = 0; i < n; i++) {
		size_t nr_blocks = (size_t)chunks[i].nr_blocks;

		if (!nr_blocks)
			continue;
		memcpy(blocks, chunks[i].blocks, nr_blocks * sizeof(*blocks));
		chunks[i].blocks = blocks;
		blocks += nr_blocks;
	}
}

static void copy_chunks(struct pcpu *pcpu, struct pcpu_chunk_info *info,
			uint32_t *populated)
{
	size_t nr_chunks = nr_described(pcpu);
	size_t unit_pages = (size_t)pcpu->geo.unit_pages;
	int *map = (int *)(void *)(populated + nr_chunks * unit_pages);
	struct pcpu_chunk_info *first = info;
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node), info++) {
		const struct pcpu_chunk *chunk = pcpu_rb_chunk(node);

		*info = (struct pcpu_chunk_info){ .nr_blocks = 0 };
		policy_describe(pcpu, chunk, info, map);
		info->id = chunk->id;
		info->ptr = (int64_t)chunk->addr;
		info->max_size = chunk->max_size;
		info->populated = populated;
		info->immutable = chunk->immutable;
		copy_populated(pcpu, info, chunk, populated);
		map += info->map_used;
		populated += unit_pages;
	}
	copy_blocks(first, nr_chunks, map);
	qsort(first, nr_chunks, sizeof(*first), by_id);
}

struct pcpu_snapshot *pcpu_snapshot_take(struct pcpu *pcpu, int *error)
{
	struct block *block;
	int err = pcpu_lock(pcpu);

	if (!error)
		error = &err;
	*error = err;
	if (err)
		return NULL;
	block = block_alloc(pcpu);
	if (block) {
		size_t nr_chunks = nr_described(pcpu);
		void *arrays = block->chunks + nr_chunks;
		int64_t *slot_len = arrays;
		int64_t *slot_ids = slot_len + pcpu->geo.nr_slots;

		copy_slots(pcpu, slot_len, slot_ids);
		arrays = slot_ids + nr_chunks;
		copy_chunks(pcpu, block->chunks, arrays);
		block->host = pcpu->kernel.host;
		block->head = (struct pcpu_snapshot){
			.nr_slots = pcpu->geo.nr_slots,
			.nr_chunks = (int64_t)nr_chunks,
			.unit_pages = pcpu->geo.unit_pages,
			.slot_len = slot_len,
			.slot_ids = slot_ids,
			.chunks = block->chunks,
			.populated_pages = pcpu->geo.bitmap ?
				pcpu->nr_pages / pcpu->geo.cpus : 0,
			.empty_pages = pcpu->nr_empty_pop_pages,
			.balance_requested = pcpu->balance_requested,
			.atomic_failed = pcpu->atomic_alloc_failed,
		};
	} else {
		*error = -PCPU_E_HOST;
	}
	pcpu_unlock(pcpu);
	return block ? &block->head : NULL;
}

void pcpu_snapshot_free(struct pcpu_snapshot *snapshot)
{
	struct block *block;

	if (!snapshot)
		return;
	block = container_of(snapshot, struct block, head);
	host_free(&block->host, block);
}
