// SPDX-License-Identifier: GPL-2.0-only
/*
 * map_search.c - find a place in a map without a look at each entry.
 *
 * A unit is divided into regions.  For each one, a bound is known: no free
 * entry that starts there is larger.  A search skips the regions whose bounds
 * are too low, and scans the others.
 *
 *	region	|0              |1              |2              |3
 *		|####|..|#######|######|.|######|####|..........|..|####|
 *	bound	 2               1               10              2
 *
 * A bound rises when a free entry comes or grows, which costs a comparison.  It
 * does not fall when one goes or shrinks: a scan of the whole region does that.
 */
#include "map.h"

#include "../kernel/kernel.h"

#define STEPS	8	/* entries in use that a search may pass one by one */

/*
 * The square root of 16 units: a search compares as many bounds as entries,
 * if areas have 16 bytes.  64 regions of 1 KiB for a unit of 64 KiB.
 */
int pcpu_region_shift(int unit_size)
{
	return (31 - __builtin_clz((unsigned int)unit_size) + 4) / 2;
}

/* how many bounds there are: for each region, also a short last one, and more */
int pcpu_nr_bounds(int unit_size)
{
	return (unit_size >> pcpu_region_shift(unit_size)) + 1 + PCPU_MAP_BLOCK;
}

/* the first region from @r on that may have a free entry of @size bytes, or -1 */
static int next_region(const struct pcpu_area_map *map, int r, int size)
{
	int end = pcpu_map_region(map, map->map_used) + 1;

	return pcpu_bound_scan(pcpu_map_bounds(map), r, end, size);
}

/**
 * pcpu_map_upto - find the last entry that does not start after another edge
 * @i: the first entry to look at; it does not start after it
 * @edge: the other one, before the end
 *
 * Return: its index; map_used if there are no entries from @i on.
 */
noinline int pcpu_map_upto(const struct pcpu_area_map *map, int i, uint32_t edge)
{
	unsigned int n = (unsigned int)(map->gap_at - i);
	const uint32_t *low;

	if (i >= map->gap_at || map->room[map->gap_at] <= edge) {
		i = i < map->gap_at ? map->gap_at : i;
		n = (unsigned int)(map->map_used - i);
	}
	low = pcpu_map_edge(map, i);
	i -= (int)(low - map->room);
	while (n > 1) {
		unsigned int half = n / 2;

		low = low[half] <= edge ? low + half : low;
		n -= half;
	}
	return i + (int)(low - map->room);
}

/* the first of the entries from @i on that starts at @offset or after it */
static int first_from(const struct pcpu_area_map *map, int i, int offset)
{
	uint32_t wanted = pcpu_free_from(offset);

	if (i == map->map_used || *pcpu_map_edge(map, i) >= wanted)
		return i;
	return pcpu_map_upto(map, i, wanted - 1) + 1;
}

/* pcpu_map_scan() from entry @i on, before and after the gap */
static int scan(const struct pcpu_area_map *map, int i, int stop, int size,
		int align, int *largest)
{
	int before = map->gap_at - i;
	int found;

	if (before > 0) {
		found = pcpu_map_scan(map->room + i, before, stop, size, align,
				      largest);
		if (found < before)
			return i + found;
		i = map->gap_at;
	}
	if (pcpu_edge_offset(*pcpu_map_edge(map, i)) >= stop)
		return map->map_used;
	return i + pcpu_map_scan(pcpu_map_edge(map, i), map->map_used - i, stop,
				 size, align, largest);
}

/*
 * Scan region @r, of which no free entry is before entry *@i.  Return the index
 * of the first one that holds an area, or map_used and the largest.
 */
static int scan_region(const struct pcpu_area_map *map, int r, int *i, int size,
		       int align, int *largest)
{
	int start = r << map->region_shift;

	*i = first_from(map, *i, start);
	*largest = 0;
	return scan(map, *i, start + (1 << map->region_shift), size, align,
		    largest);
}

/*
 * Search from entry @i on.  Return the index of the first free entry that holds
 * an area, or map_used.
 */
static int find(struct pcpu_area_map *map, int i, int size, int align)
{
	int r = pcpu_map_region(map, i);
	bool whole = i == map->first_free; /* the first region is scanned */

	for (; (r = next_region(map, r, size)) >= 0; r++) {
		int from = i;
		int largest;
		int found = scan_region(map, r, &i, size, align, &largest);

		if (found < map->map_used)
			return found;
		if (whole || i > from)
			pcpu_map_bounds(map)[r] = largest;
		whole = true;
	}
	return map->map_used;
}

/**
 * pcpu_map_largest - find the size of the largest free entry
 *
 * Return: bytes; 0 if none is free.
 */
noinline int pcpu_map_largest(struct pcpu_area_map *map)
{
	int *bound = pcpu_map_bounds(map);
	int i = map->first_free;
	int r = pcpu_map_region(map, i);
	int largest = 0;

	for (; (r = next_region(map, r, largest + 1)) >= 0; r++) {
		/* no entry is larger than the hint: the whole region is scanned */
		scan_region(map, r, &i, map->contig_hint + 1, 1,
			    &bound[r]);
		if (largest < bound[r])
			largest = bound[r];
	}
	return largest;
}

/* the last search showed that no free entry before map->searched is enough */
static bool was_searched(const struct pcpu_area_map *map, int size, int align)
{
	return size >= map->searched_size && align >= map->searched_align &&
	       map->searched > pcpu_edge_offset(*pcpu_map_edge(map, map->first_free));
}

/* move on from entries in use, a few at a time */
static int first_free(struct pcpu_area_map *map)
{
	int i = map->first_free;
	int steps = STEPS;

	while (i < map->map_used && !pcpu_edge_is_free(*pcpu_map_edge(map, i)) && steps--)
		i++;
	map->first_free = i;
	return i;
}

/**
 * pcpu_map_search - find the first free entry that holds an area
 * @size: bytes
 * @align: a power of two
 *
 * For a search that the first free entry does not end.  If nothing is found,
 * the hint becomes exact, as if the whole map was scanned.
 *
 * Return: its index, or map_used.
 */
noinline int pcpu_map_search(struct pcpu_area_map *map, int size, int align)
{
	int i = map->last;

	if (!was_searched(map, size, align))
		i = first_free(map);
	else if (pcpu_edge_offset(*pcpu_map_edge(map, i)) != map->searched)
		i = first_from(map, map->first_free, map->searched);

	/* areas that are allocated one after the other are often neighbours */
	if (i < map->map_used && !pcpu_edge_is_free(*pcpu_map_edge(map, i)))
		i++;
	if (!pcpu_edge_holds(pcpu_map_edge(map, i), size, align))
		i = find(map, i, size, align);
	map->searched = pcpu_edge_offset(*pcpu_map_edge(map, i));
	map->searched_size = size;
	map->searched_align = align;
	if (i == map->map_used && !map->exact) {
		map->contig_hint = pcpu_map_largest(map);
		map->exact = true;
	}
	return i;
}
