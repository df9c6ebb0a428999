/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * map.h - the areas and free ranges of one chunk, in order of offset.
 *
 * Pure arithmetic: no memory, no kernel, no other chunk.
 *
 * The 2009 file keeps signed sizes.  Here are edges: the offset where an entry
 * starts, shifted left by one; the lowest bit is set for an entry in use.  The
 * next edge is where the entry ends.  As in the kernel since commit
 * 723ad1d90b56 (Al Viro, 2014), except for the shift: there offsets are even.
 * A unit has 1 GiB at most, so 31 bits are enough.
 */
#ifndef PCPU_MAP_H
#define PCPU_MAP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* smaller free ranges are not kept apart: sizeof(int) in the 2009 file */
#define PCPU_SMALL	4

/* edges in addition to one for each entry: the end, and one for the gap */
#define PCPU_MAP_EXTRA	2

/* edges after them that a scan may read: it handles so many at once */
#define PCPU_MAP_BLOCK	8

/*
 * The entries cover the unit from offset 0.  Their edges are in an array with a
 * gap, which is where the map was changed last: see map.c.  After the struct are
 * the bounds of its regions, see map_search.c.
 */
struct pcpu_area_map {
	int contig_hint;	/* no free entry is larger */
	bool exact;		/* one has that size, or none is free */
	int free_size;		/* sum of the free entries */
	int map_used;		/* entries in use */
	int map_alloc;		/* entries that there is room for */
	int first_free;		/* no entry before it is free */
	int last;		/* an entry near the last change */
	int searched;		/* no free entry that starts before it holds */
	int searched_size;	/* so many bytes, */
	int searched_align;	/* with this alignment */
	int region_shift;	/* the logarithm of a region's bytes */
	int gap_at;		/* the first edge after the gap */
	uint32_t *after;	/* from it on, after[i] is edge i */
	uint32_t *room;		/* the edges before it, the gap, those after it,
				   and the end, an entry in use: in all
				   map_alloc + PCPU_MAP_EXTRA; then
				   PCPU_MAP_BLOCK that are not used; or NULL */
};

/* a place found for an area, not yet taken */
struct pcpu_fit {
	int index;		/* the free entry; if none fits, map_used */
	int offset;		/* where the area will start */
	int head;		/* bytes left free before it */
	int tail;		/* bytes left free after it */
	int passed;		/* no free entry before it is larger; -1 if that
				   is not known */
};

static inline uint32_t pcpu_free_from(int offset)
{
	return (uint32_t)offset << 1;
}

static inline uint32_t pcpu_in_use_from(int offset)
{
	return pcpu_free_from(offset) | 1;
}

static inline int pcpu_edge_offset(uint32_t edge)
{
	return (int)(edge >> 1);
}

static inline bool pcpu_edge_is_free(uint32_t edge)
{
	return !(edge & 1);
}

/* bytes up to the next edge */
static inline int pcpu_edge_size(const uint32_t *edge)
{
	return pcpu_edge_offset(edge[1]) - pcpu_edge_offset(edge[0]);
}

static inline int pcpu_align_up(int offset, int align)
{
	return (offset + align - 1) & -align;
}

/*
 * Whether an entry is free and holds an aligned area.  The sum is below 2^31:
 * no start is above 1 GiB, and a size is less except in an empty unit.
 */
static inline bool pcpu_edge_holds(const uint32_t *edge, int size, int align)
{
	int start = pcpu_align_up(pcpu_edge_offset(edge[0]), align);

	return pcpu_edge_is_free(edge[0]) &&
	       start + size <= pcpu_edge_offset(edge[1]);
}

/* the edge of an entry, or the end; the edge in the next word is that of the next */
static inline uint32_t *pcpu_map_edge(const struct pcpu_area_map *map, int index)
{
	return (index < map->gap_at ? map->room : map->after) + index;
}

/* the end of the unit, as an edge */
static inline uint32_t pcpu_map_end(const struct pcpu_area_map *map)
{
	return map->after[map->map_used];
}

/* bytes of an entry */
static inline int pcpu_map_size(const struct pcpu_area_map *map, int index)
{
	return pcpu_edge_size(pcpu_map_edge(map, index));
}

/* for each region: no free entry that starts there is larger */
static inline int *pcpu_map_bounds(const struct pcpu_area_map *map)
{
	return (int *)(uintptr_t)(map + 1);
}

/* the region where an entry starts */
static inline int pcpu_map_region(const struct pcpu_area_map *map, int index)
{
	return pcpu_edge_offset(*pcpu_map_edge(map, index)) >> map->region_shift;
}

/* raise the bound of a region for a free entry that is new, or larger now */
static inline void pcpu_region_raise(struct pcpu_area_map *map, int start,
				     int size)
{
	int *bound = pcpu_map_bounds(map) + (start >> map->region_shift);

	if (*bound < size)
		*bound = size;
}

/* entries that a split will add */
static inline int pcpu_fit_extra(const struct pcpu_fit *fit)
{
	return !!fit->head + !!fit->tail;
}

/* map.c */
void pcpu_map_start(struct pcpu_area_map *map, int in_use, int free);
void pcpu_map_move(struct pcpu_area_map *map, uint32_t *room, int map_alloc);
bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit);
bool pcpu_map_fit_at(struct pcpu_area_map *map, int offset, int size,
		     struct pcpu_fit *fit);
void pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit);
int pcpu_map_find(const struct pcpu_area_map *map, int offset);
int pcpu_map_next(const struct pcpu_area_map *map, int offset);
int pcpu_map_release(struct pcpu_area_map *map, int index);
void pcpu_map_sizes(const struct pcpu_area_map *map, int *sizes);

/* map_search.c */
int pcpu_region_shift(int unit_size);
int pcpu_nr_bounds(int unit_size);
int pcpu_map_search(struct pcpu_area_map *map, int size, int align);
int pcpu_map_largest(struct pcpu_area_map *map);
int pcpu_map_upto(const struct pcpu_area_map *map, int i, uint32_t edge);

/* map_scan.c */
int pcpu_bound_scan(const int *bound, int r, int end, int size);
int pcpu_map_scan(const uint32_t *edge, int used, int stop, int size, int align,
		  int *largest);

#endif /* PCPU_MAP_H */
