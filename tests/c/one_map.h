/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * one_map.h - one map, from the sizes of its entries and back.
 *
 *	GIVEN(40, -8, 8, -8, 40)	|####|....|####|........|  hint 40
 *					0    8   16   24       64
 *
 * The bounds of its regions are exact; a test may raise them.
 */
#ifndef TEST_ONE_MAP_H
#define TEST_ONE_MAP_H

#include <stdlib.h>
#include <string.h>

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

/* put entries of these sizes into a map whose bounds are zeroed */
static inline void fill(struct pcpu_area_map *empty, const int *sizes, int n)
{
	int at = 0;

	for (int i = 0; i < n; i++) {
		int size = abs(sizes[i]);

		if (sizes[i] > 0) {
			empty->edge[i] = pcpu_free_from(at);
			empty->free_size += size;
			pcpu_region_raise(empty, at, size);
		} else {
			empty->edge[i] = pcpu_in_use_from(at);
		}
		at += size;
	}
	empty->edge[n] = pcpu_in_use_from(at);
	empty->map_used = n;
}

/* @hint may be too high; there is room for @before edges before the first */
static inline void set_map(int before, int hint, const int *sizes, int n)
{
	memset(&tested, 0, sizeof(tested));
	/* what is after the end may be anything */
	memset(room, 0xff, sizeof(room));
	map->contig_hint = hint;
	map->map_alloc = ROOM;
	map->region_shift = SHIFT;
	map->room = room;
	map->edge = room + before;
	fill(map, sizes, n);
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
	return map->contig_hint == hint && map->free_size == free_size &&
	       !memcmp(found, sizes, (size_t)n * sizeof(*sizes));
}

#define LENGTH(...)	(int)(sizeof((int[]){ __VA_ARGS__ }) / sizeof(int))
#define GIVEN(hint, ...) \
	set_map(0, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
#define GIVEN_WITH_ROOM(before, hint, ...) \
	set_map(before, hint, (int[]){ __VA_ARGS__ }, LENGTH(__VA_ARGS__))
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
