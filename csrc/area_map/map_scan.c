// SPDX-License-Identifier: GPL-2.0-only
/*
 * map_scan.c - the search along the entries of an area map.
 *
 * Entries are looked at by the block: what each of them says is worked out
 * without a branch, so a compiler can do several at once.  On x86-64 that is
 * compiled twice, and the wider vectors are taken where the machine has them.
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

/* pass the blocks where nothing fits: where the next one begins */
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
			int hole = free & (end - start);

			any |= free & fits;
			most = most > hole ? most : hole;
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
 * @i: where to begin
 * @used: where to end
 * @size: bytes
 * @align: a power of two
 * @largest: raised to the largest free entry that was passed
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
