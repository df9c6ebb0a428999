// SPDX-License-Identifier: GPL-2.0-only
/*
 * map.c - find a place in a chunk's map, split, merge.
 *
 * A unit of 64 KiB with a static area of 8 KiB, after three allocations of
 * 64, 256 and 64 bytes of which the second was freed again:
 *
 *	offset	0          8192  8256   8512  8576             65536
 *		|##########|#####|......|#####|................|
 *	size	     -8192   -64   +256   -64           +56960
 *
 * Allocation takes the first free entry that is large enough, and splits it if
 * it is too long; freeing merges with free neighbours, so two free entries are
 * never adjacent and no entry is empty.
 *
 * The hint is an upper bound of the largest free entry.  A scan that runs to
 * the end makes it exact; one that stops early can only keep or raise it.
 *
 * The decisions are those of the 2009 file.  The costs are lower: regions are
 * passed, entries are scanned in blocks, an offset is found by binary search,
 * and no edges are moved but those between two changes: the array has a gap
 * where it was changed last.  The gap begins with a copy of the edge after it,
 * so that each edge is followed by the one where its entry ends:
 *
 *	edge	0     1     2     3                 3     4     end
 *		|#####|.....|#####|copy |     |     |.....|#####|
 */
#include "map.h"

#include <string.h>

#include "../kernel/kernel.h"

static int max(int a, int b)
{
	return a > b ? a : b;
}

/* let the gap begin with a copy of the edge after it */
static inline void begin_gap(struct pcpu_area_map *map)
{
	map->room[map->gap_at] = map->after[map->gap_at];
}

static inline void set_edge(struct pcpu_area_map *map, int index, uint32_t edge)
{
	*pcpu_map_edge(map, index) = edge;
	begin_gap(map);
}

/* let the gap be where no edge has to be moved for it */
static inline void set_gap(struct pcpu_area_map *map, int at, uint32_t *after)
{
	map->gap_at = at;
	map->after = after;
	begin_gap(map);
}

/**
 * pcpu_map_start - write the first entries of a map
 * @map: has room for two entries; the bounds of its regions are zeroed
 * @in_use: bytes in use from offset 0
 * @free: free bytes after them
 */
void pcpu_map_start(struct pcpu_area_map *map, int in_use, int free)
{
	uint32_t *last = map->room + map->map_alloc + PCPU_MAP_EXTRA - 1;
	int n = 0;

	*last = pcpu_in_use_from(in_use + free);
	if (in_use)
		map->room[n++] = pcpu_in_use_from(0);
	map->first_free = n;
	if (free) {
		pcpu_region_raise(map, in_use, free);
		map->room[n++] = pcpu_free_from(in_use);
	}
	map->map_used = n;
	set_gap(map, n, last - n);
}

/**
 * pcpu_map_move - move a map to other memory
 * @room: @map_alloc + PCPU_MAP_EXTRA edges
 * @map_alloc: entries, as many as are in use or more
 */
void pcpu_map_move(struct pcpu_area_map *map, uint32_t *room, int map_alloc)
{
	uint32_t *after = room + map_alloc + PCPU_MAP_EXTRA - 1 - map->map_used;
	int at = map->gap_at;

	if (map->room) {
		memcpy(room, map->room, (size_t)at * sizeof(*room));
		memcpy(after + at, map->after + at,
		       (size_t)(map->map_used + 1 - at) * sizeof(*room));
	}
	map->room = room;
	map->map_alloc = map_alloc;
	set_gap(map, at, after);
}

/* describe the place at @offset of the free entry @i */
static inline void set_fit(struct pcpu_area_map *map, int i, int offset,
			   int size, struct pcpu_fit *fit)
{
	const uint32_t *edge = pcpu_map_edge(map, i);
	int start = pcpu_edge_offset(edge[0]);
	int end = pcpu_edge_offset(edge[1]);
	int tail;

	/* offset 0 is aligned to anything: an area is before this entry */
	if (unlikely(offset != start) && offset - start < PCPU_SMALL) {
		set_edge(map, i, pcpu_free_from(offset));
		map->free_size -= offset - start;
		map->exact = false;
		start = offset;
		pcpu_region_raise(map, start, end - start);
	}
	fit->index = i;
	fit->offset = offset;
	fit->head = offset - start;
	tail = end - offset - size;
	fit->tail = tail < PCPU_SMALL ? 0 : tail; /* or stays with the area */
}

/**
 * pcpu_map_fit - find the first free entry that holds an area
 * @size: bytes
 * @align: a power of two
 * @fit: set to the place
 *
 * Up to 3 bytes before the aligned start are added to the area before them at
 * once.  That is not undone if the place is not taken.
 * When nothing fits, the whole map was scanned and the hint becomes exact.
 *
 * Return: true if there is one.
 * Source: the scan in pcpu_alloc_area() of the 2009 file.
 */
bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit)
{
	int i = map->first_free;
	const uint32_t *edge = pcpu_map_edge(map, i);

	fit->passed = 0;
	if (unlikely(!pcpu_edge_holds(edge, size, align))) {
		i = pcpu_map_search(map, size, align);
		fit->index = i;
		if (i == map->map_used)
			return false;
		/* a larger one holds the area wherever it starts */
		fit->passed = size + align - 2;
		edge = pcpu_map_edge(map, i);
	}
	set_fit(map, i, pcpu_align_up(pcpu_edge_offset(*edge), align), size,
		fit);
	return true;
}

/**
 * pcpu_map_fit_at - check that a given place is free
 * @map: has entries
 * @offset: where the area will start
 * @size: bytes
 * @fit: set to the place
 *
 * Up to 3 bytes before it are treated as in pcpu_map_fit().  If no area is
 * before them, the place is refused.
 *
 * Return: true if it is free and in the map.
 */
bool pcpu_map_fit_at(struct pcpu_area_map *map, int offset, int size,
		     struct pcpu_fit *fit)
{
	int end = pcpu_edge_offset(pcpu_map_end(map));
	const uint32_t *edge;
	int i;

	if (offset < 0 || size < 1 || size > end - offset)
		return false;
	i = pcpu_map_upto(map, 0, pcpu_in_use_from(offset));
	edge = pcpu_map_edge(map, i);
	if (!pcpu_edge_is_free(edge[0]) ||
	    offset + size > pcpu_edge_offset(edge[1]) ||
	    (!i && offset && offset < PCPU_SMALL))
		return false;
	fit->passed = -1;
	set_fit(map, i, offset, size, fit);
	return true;
}

/* move the edges between the gap and its new place */
static void move_gap(struct pcpu_area_map *map, int at)
{
	int from = map->gap_at;

	if (at < from)
		memmove(map->after + at, map->room + at,
			(size_t)(from - at) * sizeof(*map->room));
	else
		memmove(map->room + from, map->after + from,
			(size_t)(at - from) * sizeof(*map->room));
}

/* insert @n edges at @at, which the caller writes */
static void insert_edges(struct pcpu_area_map *map, int at, int n)
{
	if (at != map->gap_at)
		move_gap(map, at);
	set_gap(map, at + n, map->after - n);
	map->map_used += n;
}

/* remove @n edges from @at on, which are one or two */
static void remove_edges(struct pcpu_area_map *map, int at, int n)
{
	if (map->gap_at < at)
		move_gap(map, at);
	else if (map->gap_at > at + n)
		move_gap(map, at + n);
	set_gap(map, at, map->after + n);
	map->map_used -= n;
}

/*
 * Split the free entry @i in two or three: @head bytes, a place for an area up
 * to @end, @tail bytes.  The area's own edge is written by the caller.
 */
static inline void pcpu_split_block(struct pcpu_area_map *map, int i, int head,
				    int end, int tail)
{
	int extra = !!head + !!tail;

	insert_edges(map, i + 1, extra);
	if (likely(tail)) {
		map->room[i + extra] = pcpu_free_from(end);
		pcpu_region_raise(map, end, tail);
	}
}

/* the place was in the last entry: the 2009 file has scanned the whole map */
static void set_hint(struct pcpu_area_map *map, const struct pcpu_fit *fit)
{
	int rest = max(fit->head, fit->tail);

	if (unlikely(fit->passed < 0))
		return;
	map->contig_hint = rest >= fit->passed ? rest : pcpu_map_largest(map);
	map->exact = true;
}

/**
 * pcpu_map_take - split the entry that was found and mark the area in use
 * @map: has room for pcpu_fit_extra() more entries
 * @fit: from pcpu_map_fit() or pcpu_map_fit_at(), the map unchanged since
 *
 * Source: the end of pcpu_alloc_area() of the 2009 file.
 */
void pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit)
{
	bool last = fit->index + 1 == map->map_used;
	int i = fit->index;
	int end = pcpu_edge_offset(pcpu_map_edge(map, i)[1]) - fit->tail;

	map->free_size -= end - fit->offset;
	if (likely(pcpu_fit_extra(fit)))
		pcpu_split_block(map, i, fit->head, end, fit->tail);
	if (unlikely(fit->head))
		i++;
	else if (map->first_free == i)
		map->first_free++;
	set_edge(map, i, pcpu_in_use_from(fit->offset));
	map->last = i;
	map->exact = false;
	if (last)
		set_hint(map, fit);
}

/**
 * pcpu_map_find - find the area that starts at an offset
 * @map: may have no entries yet
 * @offset: bytes from the start of the unit
 *
 * Return: the index of its entry, or -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, or
 * -PCPU_E_WILD after the end.
 * Source: the scan in pcpu_free_area() of the 2009 file.
 */
int pcpu_map_find(const struct pcpu_area_map *map, int offset)
{
	uint32_t wanted = pcpu_in_use_from(offset);
	int last = map->last;
	uint32_t edge;

	if (!map->map_used || wanted >= pcpu_map_end(map))
		return -PCPU_E_WILD;

	/* often freed in order, in reverse, or every other one */
	if (last < map->map_used) {
		const uint32_t *near = pcpu_map_edge(map, last);

		if (near[0] == wanted)
			return last;
		if (near[1] == wanted)
			return last + 1;
		if (last && *pcpu_map_edge(map, last - 1) == wanted)
			return last - 1;
		if (last + 2 < map->map_used &&
		    *pcpu_map_edge(map, last + 2) == wanted)
			return last + 2;
	}
	last = pcpu_map_upto(map, 0, wanted);
	edge = *pcpu_map_edge(map, last);
	if (pcpu_edge_is_free(edge))
		return -PCPU_E_NOT_LIVE;
	return edge == wanted ? last : -PCPU_E_INTERIOR;
}

/**
 * pcpu_map_next - find the first area that starts at or after an offset
 * @map: may have no entries yet
 * @offset: bytes from the start of the unit
 *
 * Return: the index of its entry, or map_used if there is none.
 */
int pcpu_map_next(const struct pcpu_area_map *map, int offset)
{
	int i = pcpu_map_upto(map, 0, pcpu_free_from(offset));

	for (; i < map->map_used; i++) {
		uint32_t edge = *pcpu_map_edge(map, i);

		if (!pcpu_edge_is_free(edge) &&
		    pcpu_edge_offset(edge) >= offset)
			break;
	}
	return i;
}

/**
 * pcpu_map_release - free an area and merge it with free neighbours
 * @index: from pcpu_map_find()
 *
 * Return: how many entries the 2009 file moves, in one or two steps.
 * Source: pcpu_free_area() of the 2009 file.
 */
int pcpu_map_release(struct pcpu_area_map *map, int index)
{
	uint32_t *edge = pcpu_map_edge(map, index);
	int start = pcpu_edge_offset(edge[0]);
	int end = pcpu_edge_offset(edge[1]);
	bool after = pcpu_edge_is_free(edge[1]);	/* the end is not */
	bool before = false;
	int moved = 0;

	map->free_size += end - start;
	if (index > 0) {
		uint32_t previous = *pcpu_map_edge(map, index - 1);

		before = pcpu_edge_is_free(previous);
		if (before)
			start = pcpu_edge_offset(previous);
	}
	if (after)
		end = pcpu_edge_offset(*pcpu_map_edge(map, index + 2));
	map->contig_hint = max(map->contig_hint, end - start);
	pcpu_region_raise(map, start, end - start);
	if (start < map->searched)
		map->searched = start;
	if (index < map->first_free)
		map->first_free = index;
	map->last = index - before;

	edge[0]--;	/* free */
	if (before)
		moved += map->map_used - 1 - index;
	if (after)
		moved += map->map_used - 2 - index;
	if (before || after)
		remove_edges(map, index + !before, before + after);
	else
		begin_gap(map);
	return moved;
}

/**
 * pcpu_map_sizes - convert a map to the signed sizes of the 2009 file
 * @sizes: room for map_used sizes: > 0 free, < 0 in use
 */
void pcpu_map_sizes(const struct pcpu_area_map *map, int *sizes)
{
	int i;

	for (i = 0; i < map->map_used; i++) {
		int size = pcpu_map_size(map, i);

		sizes[i] = pcpu_edge_is_free(*pcpu_map_edge(map, i)) ? size :
								       -size;
	}
}
