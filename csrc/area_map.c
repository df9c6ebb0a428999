// SPDX-License-Identifier: GPL-2.0-only
/*
 * area_map.c - the hot paths: map scan, split, merge.
 *
 * A unit of 64 KiB with a static area of 8 KiB, after three allocations of
 * 64, 256 and 64 bytes of which the second was freed again:
 *
 *	offset	0          8192  8256   8512  8576             65536
 *		|##########|#####|......|#####|................|
 *	size	     -8192   -64   +256   -64           +56960
 *
 * Allocation takes the first free entry that is large enough, splitting what
 * is too long; freeing merges with free neighbours, so two free entries never
 * stand side by side and no entry is empty.
 *
 * The hint is an upper bound of the largest free entry.  A scan that runs to
 * the end makes it exact; one that stops early can only keep or raise it.
 *
 * The 2009 file keeps the sizes and walks from the start to know an offset.
 * Here stand the offsets, each with a bit that says whether it is in use, see
 * edge.h.  The decisions are the same, but entries are looked at by the block,
 * an offset is found by halves, and the row grows and shrinks at its nearer
 * end.
 */
#include "area_map.h"

#include <string.h>

#include "compiler.h"
#include "map_scan.h"
#include "percpu.h"

/* edges that are moved without a call */
#define FEW	8

static int max(int a, int b)
{
	return a > b ? a : b;
}

/* what a failed search has shown holds until the map changes */
static void forget_failure(struct pcpu_area_map *map)
{
	map->failed_size = INT_MAX;
}

void pcpu_map_start(struct pcpu_area_map *map, int in_use, int free)
{
	int n = 0;

	if (in_use)
		map->edge[n++] = pcpu_in_use_from(0);
	map->first_free = n;
	if (free)
		map->edge[n++] = pcpu_free_from(in_use);
	map->edge[n] = pcpu_in_use_from(in_use + free);
	map->used = n;
	forget_failure(map);
}

void pcpu_map_move(struct pcpu_area_map *map, uint32_t *room, int capacity)
{
	if (map->edge)
		memcpy(room, map->edge,
		       (size_t)(map->used + 1) * sizeof(*room));
	map->edge = room;
	map->room = room;
	map->capacity = capacity;
}

/*
 * What pcpu_map_fit() does when it has to look further than the first hole.
 * The result is map->used when nothing fits; then the hint is exact.
 */
static noinline int search(struct pcpu_area_map *map, int size, int align,
			   int *largest)
{
	int i;

	if (size >= map->failed_size && align >= map->failed_align)
		return map->used;
	i = pcpu_map_scan(map->edge, map->first_free, map->used, size, align,
			  largest);
	if (!*largest)
		map->first_free = i;
	if (i == map->used) {
		map->contig_hint = *largest;
		map->failed_size = size;
		map->failed_align = align;
	}
	return i;
}

bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit)
{
	uint32_t *edge = map->edge;
	int i = map->first_free;
	int start, offset, tail;

	fit->max_contig = 0;
	if (unlikely(!pcpu_edge_holds(edge + i, size, align))) {
		i = search(map, size, align, &fit->max_contig);
		fit->index = i;
		if (i == map->used)
			return false;
	}
	fit->index = i;

	/* offset 0 is aligned to anything: a gap has an area before it */
	start = pcpu_edge_offset(edge[i]);
	offset = pcpu_align_up(start, align);
	if (unlikely(offset != start) && offset - start < PCPU_SMALL) {
		edge[i] = pcpu_free_from(offset);
		map->free_size -= offset - start;
		forget_failure(map);
		start = offset;
	}
	fit->offset = offset;
	fit->head = offset - start;
	tail = pcpu_edge_offset(edge[i + 1]) - offset - size;
	fit->tail = tail < PCPU_SMALL ? 0 : tail; /* or stays with the area */
	return true;
}

/* like memmove(), but most moves are of a few edges only */
static void move(uint32_t *to, const uint32_t *from, int n)
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

/* have @before edges of room in front of the row */
static noinline void slide(struct pcpu_area_map *map, int before)
{
	uint32_t *edge = map->room + before;

	memmove(edge, map->edge, (size_t)(map->used + 1) * sizeof(*edge));
	map->edge = edge;
}

/*
 * Move the edges before or behind @at, whichever are fewer, to get @n more.
 * Where there is no room on that side it gets half of all: enough, thanks to
 * the edge to spare, and not soon used up if there is much.
 */
static void open_gap(struct pcpu_area_map *map, int at, int n)
{
	int room = map->capacity + PCPU_MAP_EXTRA - 1 - map->used;
	int before = (int)(map->edge - map->room);

	if (at <= map->used - at) {
		if (unlikely(before < n))
			slide(map, room - room / 2);
		move(map->edge - n, map->edge, at);
		map->edge -= n;
	} else {
		if (unlikely(room - before < n))
			slide(map, room / 2);
		move(map->edge + at + n, map->edge + at, map->used + 1 - at);
	}
	map->used += n;
}

/* the same the other way round: @n edges from @at on go */
static void close_gap(struct pcpu_area_map *map, int at, int n)
{
	uint32_t *edge = map->edge;
	int behind = map->used + 1 - at - n;

	if (at < behind) {
		move(edge + n, edge, at);
		map->edge += n;
	} else {
		move(edge + at, edge + at + n, behind);
	}
	map->used -= n;
}

void pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit)
{
	int max_contig = max(fit->max_contig, max(fit->head, fit->tail));
	int extra = pcpu_fit_extra(fit);
	int i = fit->index;
	int end;

	if (i + 1 == map->used)	/* the whole map was seen */
		map->contig_hint = max_contig;
	else
		map->contig_hint = max(map->contig_hint, max_contig);
	forget_failure(map);

	end = pcpu_edge_offset(map->edge[i + 1]) - fit->tail;
	map->free_size -= end - fit->offset;
	if (likely(extra))
		open_gap(map, i + 1, extra);
	if (likely(fit->tail))
		map->edge[i + extra] = pcpu_free_from(end);
	if (unlikely(fit->head))
		i++;
	else if (map->first_free == i)
		map->first_free++;
	map->edge[i] = pcpu_in_use_from(fit->offset);
	map->last = i;
}

/* the last one of @n entries that starts at an offset or before */
static noinline int by_halves(const uint32_t *edge, int n, uint32_t wanted)
{
	const uint32_t *low = edge;

	while (n > 1) {
		int half = n / 2;

		low = low[half] <= wanted ? low + half : low;
		n -= half;
	}
	return (int)(low - edge);
}

int pcpu_map_find(const struct pcpu_area_map *map, int offset)
{
	const uint32_t *edge = map->edge;
	uint32_t wanted = pcpu_in_use_from(offset);
	int last = map->last;

	if (!map->used || wanted >= edge[map->used])
		return -PCPU_E_WILD;

	/* areas are often freed in the order that they came in, or back */
	if (last < map->used) {
		if (edge[last] == wanted)
			return last;
		if (edge[last + 1] == wanted)
			return last + 1;
		if (last && edge[last - 1] == wanted)
			return last - 1;
	}
	last = by_halves(edge, map->used, wanted);
	if (pcpu_edge_is_free(edge[last]))
		return -PCPU_E_NOT_LIVE;
	return edge[last] == wanted ? last : -PCPU_E_INTERIOR;
}

int pcpu_map_release(struct pcpu_area_map *map, int index)
{
	uint32_t *edge = map->edge + index;
	bool before = index > 0 && pcpu_edge_is_free(edge[-1]);
	bool behind = pcpu_edge_is_free(edge[1]);	/* the end is not */
	int start = pcpu_edge_offset(edge[-before]);
	int end = pcpu_edge_offset(edge[1 + behind]);
	int moved = 0;

	map->free_size += pcpu_edge_size(edge);
	map->contig_hint = max(map->contig_hint, end - start);
	forget_failure(map);
	if (index < map->first_free)
		map->first_free = index;
	map->last = index - before;

	edge[0]--;	/* free now */
	if (before)
		moved += map->used - 1 - index;
	if (behind)
		moved += map->used - 2 - index;
	if (before || behind)
		close_gap(map, index + !before, before + behind);
	return moved;
}

void pcpu_map_sizes(const struct pcpu_area_map *map, int *sizes)
{
	int i;

	for (i = 0; i < map->used; i++) {
		int size = pcpu_map_size(map, i);

		sizes[i] = pcpu_edge_is_free(map->edge[i]) ? size : -size;
	}
}
