// SPDX-License-Identifier: GPL-2.0-only
/*
 * block.c - learn and forget free runs.
 *
 *	|##......####....................##########...|
 *	 left 0	  ^scan	     ^contig			^right
 *	 first_free
 *
 * The largest known run is the contig hint.  The scan hint is a run before it
 * that is smaller, or equal: a larger request skips everything up to its end.
 *
 * Source: the policy of mm/percpu.c by Dennis Zhou, with hints since Linux 4.14
 * and scan hints since 5.2.
 */
#include "block.h"

/* all granules are free */
void pcpu_init_md_block(struct pcpu_block_md *block, int nr_bits)
{
	*block = (struct pcpu_block_md){
		.contig_hint = nr_bits,
		.left_free = nr_bits,
		.right_free = nr_bits,
		.nr_bits = nr_bits,
	};
}

/* no granule is free; positions stay, also that of the first free one */
void pcpu_fill_md_block(struct pcpu_block_md *block)
{
	block->scan_hint = 0;
	block->contig_hint = 0;
	block->left_free = 0;
	block->right_free = 0;
}

/* whether a start is better aligned than another one; 0 is the best */
static bool better_aligned(int start, int other)
{
	return !start || __builtin_ctz((unsigned int)start) >
			 __builtin_ctz((unsigned int)other);
}

static void set_scan_hint(struct pcpu_block_md *block, int start, int run)
{
	block->scan_hint_start = start;
	block->scan_hint = run;
}

/* a run that is larger than the contig hint takes its place */
static void new_contig_hint(struct pcpu_block_md *block, int start, int run,
			    bool fixed)
{
	bool none = fixed && !block->contig_hint;

	if (!none && start <= block->contig_hint_start)
		block->scan_hint = 0;
	else if (block->contig_hint > block->scan_hint)
		set_scan_hint(block, block->contig_hint_start,
			      block->contig_hint);
	else if (start < block->scan_hint_start)
		block->scan_hint = 0;
	block->contig_hint_start = start;
	block->contig_hint = run;
}

/**
 * pcpu_block_update - learn a free run that nothing prolongs
 * @start: its first granule
 * @end: after the last one
 * @fixed: the place of a hint that is 0 does not count, PCPU_FIX_CHUNK_HINT
 *
 * A run that starts before the contig hint and is as large may have the better
 * aligned start, and then takes its place.
 */
void pcpu_block_update(struct pcpu_block_md *block, int start, int end,
		       bool fixed)
{
	int run = end - start;

	if (start < block->first_free)
		block->first_free = start;
	if (!start)
		block->left_free = run;
	if (end == block->nr_bits)
		block->right_free = run;

	if (run > block->contig_hint) {
		new_contig_hint(block, start, run, fixed);
	} else if (run == block->contig_hint) {
		if (block->contig_hint_start &&
		    better_aligned(start, block->contig_hint_start)) {
			block->contig_hint_start = start;
			if (start < block->scan_hint_start &&
			    block->contig_hint > block->scan_hint)
				block->scan_hint = 0;
		} else if (start > block->scan_hint_start ||
			   block->contig_hint > block->scan_hint) {
			set_scan_hint(block, start, run);
		}
	} else if (start < block->contig_hint_start &&
		   (run > block->scan_hint ||
		    (run == block->scan_hint &&
		     start > block->scan_hint_start))) {
		set_scan_hint(block, start, run);
	}
}

/**
 * pcpu_block_promote - the contig hint is lost, the scan hint takes its place
 *
 * Return: where to look for other runs.
 */
int pcpu_block_promote(struct pcpu_block_md *block)
{
	block->contig_hint_start = block->scan_hint_start;
	block->contig_hint = block->scan_hint;
	block->scan_hint = 0;
	return block->contig_hint_start + block->contig_hint;
}

/**
 * pcpu_block_advance - an area was taken at the start of the last free run
 * @start: its first granule
 * @end: after its last one
 *
 * Areas are often taken one after the other.  What is learnt then is known
 * without a look at the map, if nothing else is free and the run goes on.
 * Return: whether that is so.
 */
bool pcpu_block_advance(struct pcpu_block_md *block, int start, int end)
{
	if (block->contig_hint_start != start || block->scan_hint ||
	    start + block->contig_hint != block->nr_bits ||
	    block->first_free < end || end == block->nr_bits)
		return false;
	block->contig_hint_start = end;
	block->contig_hint = block->nr_bits - end;
	block->right_free = block->contig_hint;
	return true;
}
