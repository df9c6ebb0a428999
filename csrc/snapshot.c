// SPDX-License-Identifier: GPL-2.0-only
/*
 * snapshot.c - a picture of the whole allocator, taken under its lock.
 *
 * One block of memory: the header, then the arrays that it points at.
 */
#include <stdlib.h>
#include <string.h>

#include "allocator.h"

/* the block, while it is filled */
struct block {
	struct pcpu_snapshot head;	/* what the caller sees */
	struct host host;		/* who gave the memory */
	struct pcpu_chunk_info *chunks;	/* nr_chunks, by id */
	int64_t *slot_len;		/* nr_slots */
	int64_t *slot_ids;		/* nr_chunks */
	uint32_t *populated;		/* nr_chunks * unit_pages */
	int *map;			/* all maps */
};

static struct block *block_alloc(struct pcpu *pcpu)
{
	size_t nr_chunks = (size_t)pcpu->nr_chunks;
	size_t nr_slots = (size_t)pcpu->geo.nr_slots;
	size_t nr_pages = nr_chunks * (size_t)pcpu->geo.unit_pages;
	size_t nr_entries = 0;
	struct block *block;
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node))
		nr_entries += (size_t)pcpu_rb_chunk(node)->map.used;

	/* widest members first, so that each array is aligned */
	block = host_alloc(&pcpu->kernel.host,
			   sizeof(*block) + nr_chunks * sizeof(*block->chunks) +
			   nr_slots * sizeof(*block->slot_len) +
			   nr_chunks * sizeof(*block->slot_ids) +
			   nr_pages * sizeof(*block->populated) +
			   nr_entries * sizeof(*block->map));
	if (!block)
		return NULL;
	block->host = pcpu->kernel.host;
	block->chunks = (struct pcpu_chunk_info *)(void *)(block + 1);
	block->slot_len = (int64_t *)(void *)(block->chunks + nr_chunks);
	block->slot_ids = block->slot_len + nr_slots;
	block->populated = (uint32_t *)(void *)(block->slot_ids + nr_chunks);
	block->map = (int *)(void *)(block->populated + nr_pages);
	return block;
}

static void copy_slots(struct pcpu *pcpu, struct block *block)
{
	int64_t *id = block->slot_ids;
	struct list_head *pos;
	int slot;

	for (slot = 0; slot < pcpu->geo.nr_slots; slot++) {
		int64_t *first = id;

		list_for_each(pos, &pcpu->slots[slot])
			*id++ = list_entry(pos, struct pcpu_chunk, list)->id;
		block->slot_len[slot] = id - first;
	}
}

static int by_id(const void *a, const void *b)
{
	const struct pcpu_chunk_info *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

static void copy_chunks(struct pcpu *pcpu, struct block *block)
{
	size_t unit_pages = (size_t)pcpu->geo.unit_pages;
	struct pcpu_chunk_info *info = block->chunks;
	uint32_t *populated = block->populated;
	int *map = block->map;
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node), info++) {
		const struct pcpu_chunk *chunk = pcpu_rb_chunk(node);
		size_t used = (size_t)chunk->map.used;

		info->id = chunk->id;
		info->ptr = (int64_t)chunk->addr;
		info->free_size = chunk->map.free_size;
		info->contig_hint = chunk->map.contig_hint;
		info->max_size = chunk->max_size;
		info->map_alloc = chunk->map.capacity;
		info->map_used = chunk->map.used;
		info->map = map;
		info->populated = populated;
		info->immutable = chunk->immutable;
		if (used)
			pcpu_map_sizes(&chunk->map, map);
		memcpy(populated, chunk->populated,
		       unit_pages * sizeof(*populated));
		map += used;
		populated += unit_pages;
	}
	qsort(block->chunks, (size_t)pcpu->nr_chunks, sizeof(*block->chunks),
	      by_id);
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
		copy_slots(pcpu, block);
		copy_chunks(pcpu, block);
		block->head.nr_slots = pcpu->geo.nr_slots;
		block->head.nr_chunks = pcpu->nr_chunks;
		block->head.unit_pages = pcpu->geo.unit_pages;
		block->head.slot_len = block->slot_len;
		block->head.slot_ids = block->slot_ids;
		block->head.chunks = block->chunks;
	} else {
		*error = -PCPU_E_HOST;
	}
	pcpu_unlock(pcpu);
	return block ? &block->head : NULL;
}

void pcpu_snapshot_free(struct pcpu_snapshot *snapshot)
{
	struct block *block;
	struct host host;

	if (!snapshot)
		return;
	block = container_of(snapshot, struct block, head);
	host = block->host;
	host_free(&host, block);
}
