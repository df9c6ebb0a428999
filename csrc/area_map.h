/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * area_map.h - the areas of one chunk, as a row of signed sizes.
 *
 * Pure arithmetic: no memory, no kernel, no other chunk.  An implementation
 * that takes the same decisions at a lower cost fits behind these functions.
 */
#ifndef PCPU_AREA_MAP_H
#define PCPU_AREA_MAP_H

#include <stdbool.h>

/* the smallest free block worth keeping apart: sizeof(int) in the 2009 file */
#define PCPU_SMALL	4

/* the entries cover the unit from offset 0, without gaps */
struct pcpu_area_map {
	int *entry;		/* signed sizes: > 0 free, < 0 in use */
	int used;		/* entries in use */
	int capacity;		/* entries that there is room for */
	int free_size;		/* sum of the free entries */
	int contig_hint;	/* no free entry is larger */
};

/* a place found for an area, not yet taken */
struct pcpu_fit {
	int index;		/* the free entry */
	int offset;		/* where the entry starts */
	int head;		/* bytes left free before the area */
	int tail;		/* bytes left free behind it */
	int max_contig;		/* largest free entry passed on the way */
	bool is_last;		/* the whole map was seen */
};

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

/* entries that the map needs room for before pcpu_map_take() */
static inline int pcpu_map_room(const struct pcpu_area_map *map,
				const struct pcpu_fit *fit)
{
	return map->used + !!fit->head + !!fit->tail;
}

/**
 * pcpu_map_take - split the entry that was found and mark the area in use
 * @map: the map, with room for pcpu_map_room() entries
 * @fit: from pcpu_map_fit(), the map unchanged since
 *
 * Return: the area's offset.  Source: pcpu_split_block() and the end of
 * pcpu_alloc_area().
 */
int pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit);

/**
 * pcpu_map_find - find the area that starts at an offset
 * @map: the map, which may have no entries yet
 * @offset: bytes from the start of the unit
 * @index: entry where the search begins, 0 or one at or before @offset
 * @start: where that entry starts
 *
 * Return: the index of its entry, or -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, or
 * -PCPU_E_WILD behind the end.  Source: the scan in pcpu_free_area().
 */
int pcpu_map_find(const struct pcpu_area_map *map, int offset, int index,
		  int start);

/**
 * pcpu_map_release - free an area and merge it with free neighbours
 * @map: the map
 * @index: from pcpu_map_find()
 *
 * Source: pcpu_free_area().
 */
void pcpu_map_release(struct pcpu_area_map *map, int index);

#endif /* PCPU_AREA_MAP_H */
