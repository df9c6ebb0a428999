// SPDX-License-Identifier: GPL-2.0-only
/*
 * map_scan.c - the search along the entries of a map.
 *
 * Entries are scanned in blocks, without a branch for each, so that a compiler
 * can handle several at once.  On x86-64 the loop is compiled twice, and the
 * wider vectors are used if the machine has them.
 */
#include "map.h"

#include "../kernel/kernel.h"

#define BLOCK	64	/* entries */

#if defined(__x86_64__) && !defined(PCPU_NO_AVX2)
#define FOR_AVX2	__attribute__((target("avx2")))
#define HAS_AVX2()	__builtin_cpu_supports("avx2")
#else
#define FOR_AVX2
#define HAS_AVX2()	false
#endif

/* skip the blocks where nothing fits; return where the next block starts */
static always_inline int pass_blocks(const uint32_t *edge, int i, int used,
				     int size, int align, int *largest)
{
	for (; i + BLOCK <= used; i += BLOCK) {
		int most = *largest;
		int any = 0;
		int j;

		for (j = i; j < i + BLOCK; j++) {
			int free = (int)(edge[j] & 1) - 1; /* all bits, or 0 */
			int start = pcpu_edge_offset(edge[j]);
			int end = pcpu_edge_offset(edge[j + 1]);
			int fits = pcpu_align_up(start, align) + size <= end;
			int range = free & (end - start);

			any |= free & fits;
			most = most > range ? most : range;
		}
		if (any)
			break;
		*largest = most;
	}
	return i;
}

FOR_AVX2 static int pass_blocks_avx2(const uint32_t *edge, int i, int used,
				     int size, int align, int *largest)
{
	return pass_blocks(edge, i, used, size, align, largest);
}

/**
 * pcpu_map_scan - find the first free entry that holds an area
 * @edge: @used edges, and the end
 * @i: the first to scan
 * @used: after the last one
 * @size: bytes
 * @align: a power of two
 * @largest: raised to the largest free entry that was skipped
 *
 * Return: its index, or @used.  Source: the loop in pcpu_alloc_area().
 */
int pcpu_map_scan(const uint32_t *edge, int i, int used, int size, int align,
		  int *largest)
{
	if (HAS_AVX2())
		i = pass_blocks_avx2(edge, i, used, size, align, largest);
	else
		i = pass_blocks(edge, i, used, size, align, largest);

	for (; i < used && !pcpu_edge_holds(edge + i, size, align); i++) {
		if (pcpu_edge_is_free(edge[i]) &&
		    *largest < pcpu_edge_size(edge + i))
			*largest = pcpu_edge_size(edge + i);
	}
	return i;
}
