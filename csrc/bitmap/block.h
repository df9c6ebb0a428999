/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * block.h - what is known of the free runs of a block, or of a whole chunk.
 *
 * A block is a page of a unit, a bit of a map is a granule of 4 bytes.  All
 * numbers here are granules.  Pure arithmetic.
 */
#ifndef PCPU_BLOCK_H
#define PCPU_BLOCK_H

#include <stdbool.h>

#include "../percpu.h"

void pcpu_init_md_block(struct pcpu_block_md *block, int nr_bits);
void pcpu_fill_md_block(struct pcpu_block_md *block);
void pcpu_block_update(struct pcpu_block_md *block, int start, int end,
		       bool fixed);
int pcpu_block_promote(struct pcpu_block_md *block);
bool pcpu_block_advance(struct pcpu_block_md *block, int start, int end);

static inline int pcpu_bits_up(int bit, int align)
{
	return (bit + align - 1) & -align;
}

/**
 * pcpu_check_block_hint - whether the best known run has an aligned place
 */
static inline bool pcpu_check_block_hint(const struct pcpu_block_md *block,
					 int bits, int align)
{
	int lost = pcpu_bits_up(block->contig_hint_start, align) -
		   block->contig_hint_start;

	return lost + bits <= block->contig_hint;
}

/**
 * pcpu_next_hint - where a search for @bits starts
 *
 * A run that is too small is skipped, if nothing before it is larger.
 */
static inline int pcpu_next_hint(const struct pcpu_block_md *block, int bits)
{
	if (block->scan_hint &&
	    block->contig_hint_start > block->scan_hint_start &&
	    bits > block->scan_hint)
		return block->scan_hint_start + block->scan_hint;
	return block->first_free;
}

/* whether [start, end) has a granule in common with the run at @at */
static inline bool pcpu_region_overlap(int start, int end, int at, int run)
{
	return start < at + run && at < end;
}

#endif /* PCPU_BLOCK_H */
