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
 * The decisions are those of the 2009 file.  The costs are lower: entries are
 * scanned in blocks, an offset is found by binary search, and the array grows
 * and shrinks at its nearer end.
 */
#include "map.h"

#include <string.h>

#include "../kernel/kernel.h"

/* so many edges are moved without a call */
#define FEW	8

static int max(int a, int b)
{
	return a > b ? a : b;
}

/**
 * pcpu_map_start - write the first entries of a map
 * @map: has room for two entries; the bounds of its regions are zeroed
 * @in_use: bytes in use from offset 0
 * @free: free bytes after them
 */
void pcpu_map_start(struct pcpu_area_map *map, int in_use, int free)
{
	int n = 0;

	if (in_use)
		map->edge[n++] = pcpu_in_use_from(0);
	map->first_free = n;
	if (free) {
		pcpu_region_raise(map, in_use, free);
		map->edge[n++] = pcpu_free_from(in_use);
	}
	map->edge[n] = pcpu_in_use_from(in_use + free);
	map->map_used = n;
}

/**
 * pcpu_map_move - move a map to other memory
 * @room: @map_alloc + PCPU_MAP_EXTRA edges
 * @map_alloc: entries, as many as are in use or more
 */
void pcpu_map_move(struct pcpu_area_map *map, uint32_t *room, int map_alloc)
{
	if (map->edge)
		memcpy(room, map->edge,
		       (size_t)(map->map_used + 1) * sizeof(*room));
	map->edge = room;
	map->room = room;
	map->map_alloc = map_alloc;
}

/* describe the place at @offset of the free entry @i */
static inline void set_fit(struct pcpu_area_map *map, int i, int offset,
			   int size, struct pcpu_fit *fit)
{
	int start = pcpu_edge_offset(map->edge[i]);
	int tail;

	/* offset 0 is aligned to anything: a gap has an area before it */
	if (unlikely(offset != start) && offset - start < PCPU_SMALL) {
		map->edge[i] = pcpu_free_from(offset);
		map->free_size -= offset - start;
		map->exact = false;
		start = offset;
		pcpu_region_raise(map, start, pcpu_map_size(map, i));
	}
	fit->index = i;
	fit->offset = offset;
	fit->head = offset - start;
	tail = pcpu_edge_offset(map->edge[i + 1]) - offset - size;
	fit->tail = tail < PCPU_SMALL ? 0 : tail; /* or stays with the area */
}

/**
 * pcpu_map_fit - find the first free entry that holds an area
 * @size: bytes
 * @align: a power of two
 * @fit: set to the place
 *
 * A gap of up to 3 bytes before the aligned start is added to the area before
 * it at once.  That is not undone if the place is not taken.
 * When nothing fits, the whole map was scanned and the hint becomes exact.
 *
 * Return: true if there is one.
 * Source: the scan in pcpu_alloc_area() of the 2009 file.
 */
bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit)
{
	uint32_t *edge = map->edge;
	int i = map->first_free;

	fit->passed = 0;
	if (unlikely(!pcpu_edge_holds(edge + i, size, align))) {
		i = pcpu_map_search(map, size, align);
		fit->index = i;
		if (i == map->map_used)
			return false;
		/* a larger one holds the area wherever it starts */
		fit->passed = size + align - 2;
	}
	set_fit(map, i, pcpu_align_up(pcpu_edge_offset(edge[i]), align), size,
		fit);
	return true;
}

/* the last one of @nr entries, all in order, that is not above @wanted */
static noinline int binary_search(const uint32_t *edge, int nr, uint32_t wanted)
{
	const uint32_t *low = edge;
	unsigned int n = (unsigned int)nr;

	while (n > 1) {
		unsigned int half = n / 2;

		low = low[half] <= wanted ? low + half : low;
		n -= half;
	}
	return (int)(low - edge);
}

/**
 * pcpu_map_fit_at - check that a given place is free
 * @map: has entries
 * @offset: where the area will start
 * @size: bytes
 * @fit: set to the place
 *
 * Gaps of up to 3 bytes are treated as in pcpu_map_fit(); at offset 1 to 3 no
 * area is before the gap, so these places are refused.
 *
 * Return: true if it is free and in the map.
 */
bool pcpu_map_fit_at(struct pcpu_area_map *map, int offset, int size,
		     struct pcpu_fit *fit)
{
	const uint32_t *edge = map->edge;
	int end = pcpu_edge_offset(edge[map->map_used]);
	int i;

	if (offset < 0 || size < 1 || size > end - offset ||
	    (offset && offset < PCPU_SMALL && pcpu_edge_is_free(edge[0])))
		return false;
	i = binary_search(edge, map->map_used, pcpu_in_use_from(offset));
	if (!pcpu_edge_is_free(edge[i]) ||
	    offset + size > pcpu_edge_offset(edge[i + 1]))
		return false;
	fit->passed = -1;
	set_fit(map, i, offset, size, fit);
	return true;
}

/* like memmove(), but most moves are of a few edges only */
static noinline void move_edges(uint32_t *to, const uint32_t *from, int n)
{
	if (n > FEW) {
		memmove(to, from, (size_t)n * sizeof(*to));
	} else if (to < from) {
		while (n--)
			*to++ = *from++;
	} else {
		while (n--)
			to[n] = from[n];
	}
}

/* or of one */
static inline void move(uint32_t *to, const uint32_t *from, int n)
{
	if (likely(n == 1))
		*to = *from;
	else
		move_edges(to, from, n);
}

/* move the array to where it has room for @before edges in front */
static noinline void slide(struct pcpu_area_map *map, int before)
{
	uint32_t *edge = map->room + before;

	memmove(edge, map->edge, (size_t)(map->map_used + 1) * sizeof(*edge));
	map->edge = edge;
}

/*
 * Insert @n edges at @at: move those before or after, whichever are fewer.
 * If there is no room on that side, it gets half of all room: enough, thanks
 * to the spare edge, and it lasts if there is much.
 */
static void open_gap(struct pcpu_area_map *map, int at, int n)
{
	int room = map->map_alloc + PCPU_MAP_EXTRA - 1 - map->map_used;
	int before = (int)(map->edge - map->room);

	if (at <= map->map_used - at) {
		if (unlikely(before < n))
			slide(map, room - room / 2);
		move(map->edge - n, map->edge, at);
		map->edge -= n;
	} else {
		if (unlikely(room - before < n))
			slide(map, room / 2);
		move(map->edge + at + n, map->edge + at, map->map_used + 1 - at);
	}
	map->map_used += n;
}

/* remove @n edges from @at on, in the same way */
static void close_gap(struct pcpu_area_map *map, int at, int n)
{
	uint32_t *edge = map->edge;
	int after = map->map_used + 1 - at - n;

	if (at < after) {
		move(edge + n, edge, at);
		map->edge += n;
	} else {
		move(edge + at, edge + at + n, after);
	}
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

	open_gap(map, i + 1, extra);
	if (likely(tail)) {
		map->edge[i + extra] = pcpu_free_from(end);
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
	int end = pcpu_edge_offset(map->edge[i + 1]) - fit->tail;

	map->free_size -= end - fit->offset;
	if (likely(pcpu_fit_extra(fit)))
		pcpu_split_block(map, i, fit->head, end, fit->tail);
	if (unlikely(fit->head))
		i++;
	else if (map->first_free == i)
		map->first_free++;
	map->edge[i] = pcpu_in_use_from(fit->offset);
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
	const uint32_t *edge = map->edge;
	uint32_t wanted = pcpu_in_use_from(offset);
	int last = map->last;

	if (!map->map_used || wanted >= edge[map->map_used])
		return -PCPU_E_WILD;

	/* areas are often freed in the order of allocation, or the reverse */
	if (last < map->map_used) {
		if (edge[last] == wanted)
			return last;
		if (edge[last + 1] == wanted)
			return last + 1;
		if (last && edge[last - 1] == wanted)
			return last - 1;
	}
	last = binary_search(edge, map->map_used, wanted);
	if (pcpu_edge_is_free(edge[last]))
		return -PCPU_E_NOT_LIVE;
	return edge[last] == wanted ? last : -PCPU_E_INTERIOR;
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
	const uint32_t *edge = map->edge;
	int i = binary_search(edge, map->map_used, pcpu_free_from(offset));

	while (i < map->map_used && (pcpu_edge_is_free(edge[i]) ||
				     pcpu_edge_offset(edge[i]) < offset))
		i++;
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
	uint32_t *edge = map->edge + index;
	bool before = index > 0 && pcpu_edge_is_free(edge[-1]);
	bool after = pcpu_edge_is_free(edge[1]);	/* the end is not */
	int start = pcpu_edge_offset(edge[-before]);
	int end = pcpu_edge_offset(edge[1 + after]);
	int moved = 0;

	map->free_size += pcpu_edge_size(edge);
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
		close_gap(map, index + !before, before + after);
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

		sizes[i] = pcpu_edge_is_free(map->edge[i]) ? size : -size;
	}
}
