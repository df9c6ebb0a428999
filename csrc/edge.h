/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * edge.h - where an entry of an area map starts, and whether it is in use.
 *
 * The offset, shifted to the left by one; the lowest bit is set for an entry
 * in use.  The next edge is where it ends.  As in the kernel since commit
 * 723ad1d90b56 (Al Viro, 2014), but for the shift: there offsets are even.
 *
 * Units have 1 GiB at the most, so 31 bits are enough.
 */
#ifndef PCPU_EDGE_H
#define PCPU_EDGE_H

#include <stdbool.h>
#include <stdint.h>

static inline uint32_t pcpu_free_from(int offset)
{
	return (uint32_t)offset << 1;
}

static inline uint32_t pcpu_in_use_from(int offset)
{
	return pcpu_free_from(offset) | 1;
}

static inline int pcpu_edge_offset(uint32_t edge)
{
	return (int)(edge >> 1);
}

static inline bool pcpu_edge_is_free(uint32_t edge)
{
	return !(edge & 1);
}

/* bytes up to the next edge */
static inline int pcpu_edge_size(const uint32_t *edge)
{
	return pcpu_edge_offset(edge[1]) - pcpu_edge_offset(edge[0]);
}

static inline int pcpu_align_up(int offset, int align)
{
	return (offset + align - 1) & -align;
}

/*
 * Whether an entry is free and an aligned area fits into it.  The sum is below
 * 2^31: no start is above 1 GiB, and no size but in an empty unit is that.
 */
static inline bool pcpu_edge_holds(const uint32_t *edge, int size, int align)
{
	int start = pcpu_align_up(pcpu_edge_offset(edge[0]), align);

	return pcpu_edge_is_free(edge[0]) &&
	       start + size <= pcpu_edge_offset(edge[1]);
}

#endif /* PCPU_EDGE_H */
