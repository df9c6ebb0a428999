// SPDX-License-Identifier: GPL-2.0-only
/*
 * map_scan.c - scans along the bounds of regions, and along entries.
 *
 * A block of them is compared at once, without a branch for each, in vectors of
 * the compiler.  On x86-64 the loops are compiled twice, and the wider vectors
 * are used if the machine has them.
 */
#include "map.h"

#include <string.h>

#include "../kernel/kernel.h"

#if defined(__x86_64__) && !defined(PCPU_NO_AVX2)
#define FOR_AVX2	__attribute__((target("avx2")))
#define HAS_AVX2()	__builtin_cpu_supports("avx2")
#else
#define FOR_AVX2
#define HAS_AVX2()	false
#endif

#define LANES	PCPU_MAP_BLOCK

typedef int32_t lanes __attribute__((vector_size(4 * LANES)));
typedef uint32_t edges __attribute__((vector_size(4 * LANES)));
typedef int64_t halves __attribute__((vector_size(4 * LANES)));

/* whether a comparison, which gives -1 or 0 in each lane, is true in one */
static always_inline bool any(const lanes *mask)
{
	halves half = (halves)*mask;

	return (half[0] | half[1]) | (half[2] | half[3]);
}

static always_inline int first(const lanes *mask)
{
	int lane = 0;

	while (!(*mask)[lane])
		lane++;
	return lane;
}

/* the first of the regions whose bound is not too low, or -1 */
static always_inline int scan_bounds(const int *bound, int r, int end, int size)
{
	for (; r < end; r += LANES) {
		lanes fits;

		memcpy(&fits, bound + r, sizeof(fits));
		fits = fits >= size;
		if (any(&fits))
			return r + first(&fits);
	}
	return -1;
}

FOR_AVX2 static int scan_bounds_avx2(const int *bound, int r, int end, int size)
{
	return scan_bounds(bound, r, end, size);
}

/**
 * pcpu_bound_scan - find the first region that may have a place
 * @bound: of @end regions, then PCPU_MAP_BLOCK that are 0
 * @r: the first region
 * @end: after the last one
 * @size: bytes, above 0
 *
 * Return: the region, or -1.
 */
noinline int pcpu_bound_scan(const int *bound, int r, int end, int size)
{
	if (HAS_AVX2())
		return scan_bounds_avx2(bound, r, end, size);
	return scan_bounds(bound, r, end, size);
}

/* scan block by block; entries that start at or after @stop do not count */
static always_inline int scan_blocks(const uint32_t *edge, int used, int stop,
				     int size, int align, int *largest)
{
	const lanes lane = { 0, 1, 2, 3, 4, 5, 6, 7 };
	lanes most = { 0 };
	int i;

	for (i = 0; i < used && pcpu_edge_offset(edge[i]) < stop; i += LANES) {
		edges from, start, end, aligned;
		lanes range, fits, more;

		memcpy(&from, edge + i, sizeof(from));
		memcpy(&end, edge + i + 1, sizeof(end));
		start = from >> 1;
		end >>= 1;
		range = (lanes)(end - start) & (lanes)((from & 1) - 1) &
			((lanes)start < stop) & (lane < used - i);
		/* what is after the end may be anything: these sums wrap */
		aligned = (start + (uint32_t)align - 1) & -(uint32_t)align;
		fits = range - (lanes)(aligned - start) >= size;
		if (any(&fits))
			return i + first(&fits);
		more = range > most;
		most = (range & more) | (most & ~more);
	}
	for (i = 0; i < LANES; i++)
		*largest = *largest > most[i] ? *largest : most[i];
	return used;
}

FOR_AVX2 static int scan_blocks_avx2(const uint32_t *edge, int used, int stop,
				     int size, int align, int *largest)
{
	return scan_blocks(edge, used, stop, size, align, largest);
}

/**
 * pcpu_map_scan - find the first free entry that holds an area
 * @edge: @used edges, the end, and PCPU_MAP_BLOCK that are ignored
 * @used: number of entries
 * @stop: offset where the scan ends
 * @size: bytes, above 0
 * @align: a power of two
 * @largest: if nothing is found, raised to the largest free entry before @stop
 *
 * Return: its index, or @used.  Source: the loop in pcpu_alloc_area().
 */
noinline int pcpu_map_scan(const uint32_t *edge, int used, int stop, int size,
			   int align, int *largest)
{
	if (HAS_AVX2())
		return scan_blocks_avx2(edge, used, stop, size, align, largest);
	return scan_blocks(edge, used, stop, size, align, largest);
}
