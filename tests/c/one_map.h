/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * one_map.h - one map, from the sizes of its entries and back.
 *
 *	GIVEN(40, -8, 8, -8, 40)	|####|....|####|........|  hint 40
 *					0    8   16   24       64
 *
 * The bounds of its regions are exact; a test may raise them.  Each test runs
 * several times, with the gap at another edge each time.
 */
#ifndef TEST_ONE_MAP_H
#define TEST_ONE_MAP_H

#include <stdlib.h>
#include <string.h>

#define RUNS	9	/* more than the edges of most maps */

#include "area_map/map.h"
#include "harness.h"
#include "percpu.h"
#include "pick.h"

#define ROOM	300	/* entries */
#define SHIFT	4	/* regions of 16 bytes */
#define REGIONS	(1024 / 4 + 1)

static uint32_t room[ROOM + PCPU_MAP_EXTRA + PCPU_MAP_BLOCK];
static struct {
	struct pcpu_area_map map;
	int bound[REGIONS + PCPU_MAP_BLOCK];
} tested;
static struct pcpu_area_map *const map = &tested.map;
static struct pcpu_fit fit;

/* write an edge, also where it begins the gap */
static inline void put_edge(int i, uint32_t edge)
{
	*pcpu_map_edge(map, i) = edge;
	if (i == map->gap_at)
		map->room[i] = edge;
}

/* @hint may be too high; the gap is at one of the edges, whatever @gap_at is */
static inline void set_map(int gap_at, int hint, const int *sizes, int n)
{
	int at = 0;

	memset(&tested, 0, sizeof(tested));
	/* what is in the gap, or after the end, may be anything */
	memset(room, 0xff, sizeof(room));
	map->contig_hint = hint;
	map->map_used = n;
	map->map_alloc = ROOM;
	map->region_shift = SHIFT;
	map->room = room;
	map->gap_at = gap_at % (n + 1);
	map->after = room + ROOM + PCPU_MAP_EXTRA - 1 - n;
	for (int i = 0; i < n; i++) {
		if (sizes[i] > 0) {
			put_edge(i, pcpu_free_from(at));
			map->free_size += sizes[i];
			pcpu_region_raise(map, at, sizes[i]);
		} else {
			put_edge(i, pcpu_in_use_from(at));
		}
		at += abs(sizes[i]);
	}
	put_edge(n, pcpu_in_use_from(at));
}

/* whether the gap has all the room, and begins with the edge after it */
static inline bool gap_is_right(void)
{
	return map->gap_at >= 0 && map->gap_at <= map->map_used &&
	       map->after + map->map_used ==
		       map->room + map->map_alloc + PCPU_MAP_EXTRA - 1 &&
	       map->room[map->gap_at] == map->after[map->gap_at];
}

static inline bool map_is(int hint, const int *sizes, int n)
{
	static int found[ROOM];
	int free_size = 0;

	for (int i = 0; i < n; i++)
		free_size += sizes[i] > 0 ? sizes[i] : 0;
	if (map->map_used != n)
		return false;
	pcpu_map_sizes(map, found);
	return gap_is_right() && map->contig_hint == hint &&
	       map->free_size == free_size &&
	       !memcmp(found, sizes, (size_t)n * sizeof(*sizes));
}

#define LENGTH(...)	(int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))
#define GIVEN(hint, ...) \
	set_map(run_nr, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
#define GIVEN_WITH_GAP(at, hint, ...) \
	set_map(at, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
#define EXPECT(hint, ...) \
	CHECK(map_is(hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__)))

/* find a free range and take it; return the offset, or -1 */
static inline int alloc(int size, int align)
{
	int used = map->map_used;

	if (!pcpu_map_fit(map, size, align, &fit))
		return -1;
	CHECK(map->map_used == used);
	used += pcpu_fit_extra(&fit);
	CHECK(used <= ROOM);
	pcpu_map_take(map, &fit);
	CHECK(map->map_used == used);
	return fit.offset;
}

#endif /* TEST_ONE_MAP_H */
