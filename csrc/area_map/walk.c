// SPDX-License-Identifier: GPL-2.0-only
/*
 * walk.c - the walk along the slots: which chunk serves a request.
 *
 * The 2009 file visits the chunks of each slot in the order of its list, from
 * the slot of the requested size on, and tries those whose contig hint is large
 * enough.  The first one that has a place serves the request:
 *
 *	request		64 bytes
 *	slot 5		[hint 40] -> [hint 96, no place aligned]
 *	slot 6		[hint 16] -> [hint 128] serves it; four were visited
 *
 * A failed try makes the hint exact and may move the chunk to slot 0; the walk
 * goes on with the next one of its slot.
 *
 * Here the first chunk is tried at once, and chunks in groups are passed
 * together.  All that the 2009 file would visit and scan is counted.
 */
#include "area_map.h"

#include "chunk.h"

struct pcpu_walk {
	int size;		/* bytes that are requested */
	int align;		/* a power of two */
	int offset;		/* of the area */
	int error;		/* as in pcpu_alloc_area() */
	const struct area_map_chunk *tried; /* it was visited before and has
					       no place; or NULL */
};

/* whether a chunk was not visited before; count it */
static bool visit(struct pcpu *pcpu, const struct pcpu_walk *walk,
		  const struct area_map_chunk *chunk)
{
	if (chunk == walk->tried)
		return false;
	pcpu_count(&pcpu->work->chunks_visited, 1);
	return true;
}

/* whether the walk ends here: with an area, or because memory is lacking */
static bool try_chunk(struct pcpu *pcpu, struct pcpu_walk *walk,
		      struct area_map_chunk *chunk)
{
	walk->error = pcpu_alloc_area(pcpu, &chunk->chunk, walk->size,
				      walk->align, &walk->offset);
	return walk->error != PCPU_NO_SPACE;
}

/* walk along a group; return the chunk where the walk ends, or NULL */
static struct area_map_chunk *walk_group(struct pcpu *pcpu,
					 struct pcpu_walk *walk,
					 struct pcpu_group *group)
{
	uint32_t seats = group->seats;
	int largest = 0;
	int entries = 0;

	for (; seats; seats &= seats - 1) {
		int seat = __builtin_ctz(seats);
		struct area_map_chunk *chunk = to_area_map(group->chunk[seat]);

		if (visit(pcpu, walk, chunk) &&
		    walk->size <= group->hint[seat] &&
		    try_chunk(pcpu, walk, chunk))
			return chunk;
		if (!(group->seats & (uint32_t)1 << seat))
			continue;	/* it moved to slot 0 */
		if (largest < group->hint[seat])
			largest = group->hint[seat];
		if (walk->size <= group->hint[seat])
			entries += chunk->map.map_used;
	}
	group->largest = largest;
	group->failed_size = walk->size;
	group->failed_align = walk->align;
	group->failed_entries = entries;
	return NULL;
}

/*
 * Walk along the groups of a slot, and pass those where no chunk has a place.
 * Chunks leave seats free; if there are many of these, make fewer groups.
 */
static struct area_map_chunk *walk_groups(struct pcpu *pcpu,
					  struct pcpu_walk *walk, int slot)
{
	struct area_map_chunk *chunk = NULL;
	struct list_head *pos, *next;
	int free_seats = 0;

	list_for_each_safe(pos, next, &pcpu->slot_groups[slot]) {
		struct pcpu_group *group =
			list_entry(pos, struct pcpu_group, list);
		bool failed = pcpu_group_failed(group, walk->size, walk->align);

		free_seats += pcpu_group_free_seats(group);
		if (walk->size <= group->largest && !failed) {
			chunk = walk_group(pcpu, walk, group);
			if (chunk)
				break;
			continue;
		}
		pcpu_count(&pcpu->work->chunks_visited, group->nr_chunks);
		if (failed)
			pcpu_count(&pcpu->work->entries_scanned,
				   group->failed_entries);
	}
	pcpu_end_walk(pcpu, slot, 0, free_seats);
	return chunk;
}

/* walk along a slot, which gets groups if it proves to be long */
static struct area_map_chunk *walk_slot(struct pcpu *pcpu,
					struct pcpu_walk *walk, int slot)
{
	struct area_map_chunk *chunk = NULL;
	struct list_head *pos, *next;
	int visited = 0;

	if (unlikely(!list_empty(&pcpu->slot_groups[slot])))
		return walk_groups(pcpu, walk, slot);
	list_for_each_safe(pos, next, &pcpu->slots[slot]) {
		chunk = list_entry(pos, struct area_map_chunk, chunk.list);
		visited++;
		if (visit(pcpu, walk, chunk) &&
		    walk->size <= chunk->map.contig_hint &&
		    try_chunk(pcpu, walk, chunk))
			break;
		chunk = NULL;
	}
	pcpu_end_walk(pcpu, slot, visited, 0);
	return chunk;
}

/* the first chunk on a walk along @slots, if it may have a place; or NULL */
static inline struct area_map_chunk *first_chunk(const struct pcpu *pcpu,
						 uint32_t slots, int size,
						 int align)
{
	struct area_map_chunk *chunk;
	struct list_head *slot;

	if (unlikely(!slots))
		return NULL;
	slot = &pcpu->slots[__builtin_ctz(slots)];
	if (unlikely(list_empty(slot)))
		return NULL;
	chunk = list_entry(slot->next, struct area_map_chunk, chunk.list);
	if (size > chunk->map.contig_hint ||
	    (chunk->chunk.group && pcpu_group_failed(chunk->chunk.group, size, align)))
		return NULL;
	return chunk;
}

/* the whole walk; @tried, or NULL, was the first chunk, and has no place */
static noinline struct pcpu_chunk *
walk_on(struct pcpu *pcpu, int size, int align, int *offset, int *error,
	const struct area_map_chunk *tried)
{
	struct pcpu_walk walk = { size, align, 0, PCPU_NO_SPACE, tried };
	int first = pcpu_size_to_slot(pcpu, size);
	uint32_t slots = pcpu->slot_mask & ~0u << first;
	struct area_map_chunk *chunk = NULL;
	int after = pcpu->geo.nr_slots;

	for (; slots; slots &= slots - 1) {
		int slot = __builtin_ctz(slots);

		chunk = walk_slot(pcpu, &walk, slot);
		if (chunk) {
			after = slot + 1;
			break;
		}
		if (list_empty(&pcpu->slots[slot]))
			pcpu->slot_mask &= ~(slots & -slots);
	}
	pcpu_count(&pcpu->work->slots_visited, after - first);
	*offset = walk.offset;
	*error = walk.error;
	return walk.error ? NULL : &chunk->chunk;
}

/**
 * area_map_alloc - allocate an area from the fullest chunk that has a place
 * @size: bytes
 * @align: a power of two
 * @offset: set to its offset in each unit
 * @error: set to the reason if NULL is returned, as in pcpu_alloc_area()
 *
 * Pages are not populated.
 * Return: the chunk, or NULL.
 * Source: the walk in __alloc_percpu() of the 2009 file.
 */
struct pcpu_chunk *area_map_alloc(struct pcpu *pcpu, int size, int align,
				  int *offset, int *error)
{
	int first = pcpu_size_to_slot(pcpu, size);
	uint32_t slots = pcpu->slot_mask & ~0u << first;
	struct area_map_chunk *chunk = first_chunk(pcpu, slots, size, align);

	if (unlikely(!chunk))
		return walk_on(pcpu, size, align, offset, error, NULL);
	pcpu_count(&pcpu->work->chunks_visited, 1);
	*error = pcpu_alloc_area(pcpu, &chunk->chunk, size, align, offset);
	if (unlikely(*error == PCPU_NO_SPACE))
		return walk_on(pcpu, size, align, offset, error, chunk);
	pcpu_count(&pcpu->work->slots_visited, __builtin_ctz(slots) + 1 - first);
	return *error ? NULL : &chunk->chunk;
}
