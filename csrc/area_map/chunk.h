/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chunk.h - a chunk of the policy of 2009, and its slot.
 *
 * Slots sort the chunks by free size, a power of two each, so that allocation
 * can try the fullest chunk first and drain the others.  Slot 0 is for full
 * chunks, the last slot for empty ones:
 *
 *	slot	0	1	2	3	...	14	15
 *	free	none	4-15	16-31	32-63	...	64K-	all
 */
#ifndef PCPU_AREA_MAP_CHUNK_H
#define PCPU_AREA_MAP_CHUNK_H

#include "../groups.h"
#include "map.h"

struct area_map_chunk {
	struct pcpu_chunk chunk; /* what any policy needs */
	int slot;		/* the slot that it is on, or -1 */
	struct pcpu_area_map map; /* its areas, free size and hint; the last
				   member: the bounds of its regions follow */
};

static inline struct area_map_chunk *to_area_map(struct pcpu_chunk *chunk)
{
	return container_of(chunk, struct area_map_chunk, chunk);
}

static inline const struct pcpu_area_map *
chunk_map(const struct pcpu_chunk *chunk)
{
	return &((const struct area_map_chunk *)(const void *)chunk)->map;
}

/* the slot of a chunk with so much free */
static inline int __pcpu_size_to_slot(int size)
{
	return pcpu_fls((unsigned int)size | 8) - 3;
}

/* the same, but empty chunks have the last slot for themselves */
static inline int pcpu_size_to_slot(const struct pcpu *pcpu, int size)
{
	if (unlikely(size == pcpu->geo.unit_size))
		return pcpu->geo.nr_slots - 1;
	return __pcpu_size_to_slot(size);
}

/* the slot where a chunk belongs; 0 when it has nothing worth looking for */
static inline int pcpu_chunk_slot(const struct pcpu *pcpu,
				  const struct pcpu_area_map *map)
{
	if (map->free_size < PCPU_SMALL || map->contig_hint < PCPU_SMALL)
		return 0;
	return pcpu_size_to_slot(pcpu, map->free_size);
}

/*
 * After a change of a chunk's map: put the chunk on the slot where it belongs, to
 * the front of a higher one, to the back of a lower one.  Most changes leave it
 * where it is.
 */
static inline void pcpu_chunk_relocate(struct pcpu *pcpu,
				       struct area_map_chunk *chunk)
{
	int slot = pcpu_chunk_slot(pcpu, &chunk->map);
	bool front = slot > chunk->slot;

	if (unlikely(chunk->chunk.group))
		pcpu_group_update(&chunk->chunk, chunk->map.contig_hint);
	if (slot != chunk->slot) {
		chunk->slot = slot;
		pcpu_move_to_slot(pcpu, &chunk->chunk, slot, front);
	}
}

#endif /* PCPU_AREA_MAP_CHUNK_H */
