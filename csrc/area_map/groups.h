/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - a chunk of the policy of 2009, and its place on a slot.
 *
 * Each function is documented in groups.c.
 */
#ifndef PCPU_GROUPS_H
#define PCPU_GROUPS_H

#include <limits.h>

#include "../internal.h"
#include "map.h"

#define PCPU_GROUP_SEATS	32

/* up to so many chunks that follow each other on a slot */
struct pcpu_group {
	struct list_head list;	/* in pcpu.slot_groups or pcpu.spare_groups */
	uint32_t seats;		/* a bit for each seat that a chunk has */
	int nr_chunks;		/* number of these bits */
	int largest;		/* no hint of its chunks is larger */
	int failed_size;	/* a request of this size, with this alignment, */
	int failed_align;	/* found no place since the last change; */
	int failed_entries;	/* the maps that were scanned have so many */
	int hint[PCPU_GROUP_SEATS]; /* the contig hint of each chunk */
	struct area_map_chunk *chunk[PCPU_GROUP_SEATS]; /* by seat */
};

struct area_map_chunk {
	struct pcpu_chunk chunk; /* what any policy needs */
	int slot;		/* the slot that it is on, or -1 */
	int seat;		/* its seat in the group */
	struct pcpu_group *group; /* or NULL: the slot has none */
	struct pcpu_group spare; /* a group for any chunk that needs one */
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

/* whether such a request found no place in the group since its last change */
static inline bool pcpu_group_failed(const struct pcpu_group *group, int size,
				     int align)
{
	return size == group->failed_size && align >= group->failed_align;
}

void pcpu_groups_init(struct pcpu *pcpu);
void pcpu_slot_add(struct pcpu *pcpu, struct area_map_chunk *chunk);
void pcpu_slot_remove(struct pcpu *pcpu, struct area_map_chunk *chunk);
void pcpu_move_to_slot(struct pcpu *pcpu, struct area_map_chunk *chunk,
		       int slot);
void pcpu_make_groups(struct pcpu *pcpu, int slot);

/* after a change of the map of a chunk that has a group */
static inline void pcpu_group_update(const struct area_map_chunk *chunk)
{
	struct pcpu_group *group = chunk->group;
	int hint = chunk->map.contig_hint;

	group->failed_size = INT_MAX;
	group->hint[chunk->seat] = hint;
	if (group->largest < hint)
		group->largest = hint;
}

/*
 * After a change of a chunk's map: put the chunk on the slot where it belongs.
 * Most changes leave it where it is.
 */
static inline void pcpu_chunk_relocate(struct pcpu *pcpu,
				       struct area_map_chunk *chunk)
{
	int slot = pcpu_chunk_slot(pcpu, &chunk->map);

	if (unlikely(chunk->group))
		pcpu_group_update(chunk);
	if (slot != chunk->slot)
		pcpu_move_to_slot(pcpu, chunk, slot);
}

#endif /* PCPU_GROUPS_H */
