/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * area_map.h - the areas of one chunk, as a row of edges.
 *
 * Pure arithmetic: no memory, no kernel, no other chunk.  An implementation
 * that takes the same decisions at a lower cost fits behind these functions.
 */
#ifndef PCPU_AREA_MAP_H
#define PCPU_AREA_MAP_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "edge.h"

/* the smallest free block worth keeping apart: sizeof(int) in the 2009 file */
#define PCPU_SMALL	4

/* edges beside one for each entry: where the last one ends, and one to spare */
#define PCPU_MAP_EXTRA	2

/* the entries cover the unit from offset 0, without gaps */
struct pcpu_area_map {
	int contig_hint;	/* no free entry is larger */
	int free_size;		/* sum of the free entries */
	int used;		/* entries in use */
	int capacity;		/* entries that there is room for */
	int first_free;		/* no entry before it is free */
	int last;		/* an entry near the last change */
	int failed_size;	/* such a request found no place since the */
	int failed_align;	/* last change, so no larger one will */
	uint32_t *edge;		/* where each entry starts, see edge.h; and the
				   end as one more in use */
	uint32_t *room;		/* capacity + PCPU_MAP_EXTRA of them, or NULL */
};

/* a place found for an area, not yet taken */
struct pcpu_fit {
	int index;		/* the free entry; none fits: their number */
	int offset;		/* where the area is to start */
	int head;		/* bytes left free before it */
	int tail;		/* bytes left free behind it */
	int max_contig;		/* largest free entry passed on the way */
};

/* bytes of an entry */
static inline int pcpu_map_size(const struct pcpu_area_map *map, int index)
{
	return pcpu_edge_size(map->edge + index);
}

/**
 * pcpu_map_start - the first entries of a map
 * @map: the map, with room for two
 * @in_use: bytes in use from offset 0
 * @free: bytes free behind them
 */
void pcpu_map_start(struct pcpu_area_map *map, int in_use, int free);

/**
 * pcpu_map_move - give a map other memory
 * @map: the map
 * @room: @capacity + PCPU_MAP_EXTRA edges
 * @capacity: entries, as many as are in use or more
 */
void pcpu_map_move(struct pcpu_area_map *map, uint32_t *room, int capacity);

/**
 * pcpu_map_fit - find the first free entry that holds an area
 * @map: the map
 * @size: bytes
 * @align: a power of two
 * @fit: the answer
 *
 * A gap before the aligned start that is too small to be kept is given to the
 * area before it, at once: this is not undone if the area is not taken.
 * When nothing fits, the whole map was seen and the hint becomes exact.
 *
 * Return: whether there is one.  Source: the scan in pcpu_alloc_area().
 */
bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit);

/* entries that are new when a fit is taken */
static inline int pcpu_fit_extra(const struct pcpu_fit *fit)
{
	return !!fit->head + !!fit->tail;
}

/**
 * pcpu_map_take - split the entry that was found and mark the area in use
 * @map: the map, with room for pcpu_fit_extra() more entries
 * @fit: from pcpu_map_fit(), the map unchanged since
 *
 * Source: pcpu_split_block() and the end of pcpu_alloc_area().
 */
void pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit);

/**
 * pcpu_map_find - find the area that starts at an offset
 * @map: the map, which may have no entries yet
 * @offset: bytes from the start of the unit
 *
 * Return: the index of its entry, or -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, or
 * -PCPU_E_WILD behind the end.  Source: the scan in pcpu_free_area().
 */
int pcpu_map_find(const struct pcpu_area_map *map, int offset);

/**
 * pcpu_map_release - free an area and merge it with free neighbours
 * @map: the map
 * @index: from pcpu_map_find()
 *
 * Return: entries that the 2009 file moves for it, in one or two goes.
 * Source: pcpu_free_area().
 */
int pcpu_map_release(struct pcpu_area_map *map, int index);

/**
 * pcpu_map_sizes - the map as the 2009 file has it
 * @map: the map
 * @sizes: room for map->used signed sizes: > 0 free, < 0 in use
 */
void pcpu_map_sizes(const struct pcpu_area_map *map, int *sizes);

#endif /* PCPU_AREA_MAP_H */
