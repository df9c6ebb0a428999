/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * areas.h - the areas of one chunk: two bitmaps, and a hint block per page.
 *
 * A bit is a granule of 4 bytes.  alloc_map has a bit set for each granule in
 * use; bound_map for the first granule of each area, and for the granule after
 * it.  No memory, no slots, no other chunk.
 */
#ifndef PCPU_AREAS_H
#define PCPU_AREAS_H

#include "bits.h"
#include "block.h"

struct pcpu_areas {
	uint64_t *alloc_map;	/* granules in use */
	uint64_t *bound_map;	/* where areas start and end; a bit more */
	struct pcpu_block_md *blocks; /* what is known of each page */
	uint64_t *known;	/* blocks with a free run that hints know */
	uint64_t *whole;	/* blocks that are all free */
	struct pcpu_block_md chunk_md; /* what is known of the chunk */
	uint64_t *populated;	/* pages that are populated */
	int nr_blocks;		/* pages */
	int block_shift;	/* logarithm of the granules of a page */
	int free_bits;		/* free granules */
	bool fixed;		/* PCPU_FIX_CHUNK_HINT */
	int64_t nr_read;	/* blocks and words of the map that the kernel
				   reads: not yet in pcpu.work */
};

/* a free run that a search skipped, since it was too small */
struct pcpu_skipped {
	int start;		/* its first granule that was tried */
	int bits;		/* granules; 0: there is none */
};

static inline int pcpu_areas_bits(const struct pcpu_areas *areas)
{
	return areas->nr_blocks << areas->block_shift;
}

void pcpu_areas_init(struct pcpu_areas *areas);
int pcpu_find_block_fit(struct pcpu_areas *areas, int bits, int align,
			bool pop_only);
int pcpu_find_zero_area(struct pcpu_areas *areas, int start, int bits, int align,
			struct pcpu_skipped *skipped);
int pcpu_areas_take(struct pcpu_areas *areas, int start, int bits,
		    const struct pcpu_skipped *skipped);
int pcpu_areas_release(struct pcpu_areas *areas, int start, int bits);
int pcpu_areas_end(const struct pcpu_areas *areas, int start);

#endif /* PCPU_AREAS_H */
