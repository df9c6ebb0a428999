// SPDX-License-Identifier: GPL-2.0-only
/*
 * areas.c - search, take and free the areas of one chunk.
 *
 * A search reads hints: those of the chunk say whether it may succeed, and
 * where to start; those of the blocks, where a run is large enough.  Only then
 * are the bits themselves read.  So an area is placed where the hints lead to,
 * and what they do not know is not used.
 *
 * Some hints are kept up to date with less work than the kernel's.  nr_read has
 * the kernel's: each block whose hints are read, and each word of the map, by a
 * search or when hints are learnt anew.
 *
 * Source: the policy of mm/percpu.c by Dennis Zhou, Linux 5.14 to 6.x.  The
 * functions have the kernel's names.
 */
#include "areas.h"

/* a place in a block */
struct place {
	int block;		/* its index */
	int bit;		/* granules from the block's start */
};

static int block_bits(const struct pcpu_areas *areas)
{
	return 1 << areas->block_shift;
}

static int block_start(const struct pcpu_areas *areas, int block)
{
	return block << areas->block_shift;
}

static struct place place_of(const struct pcpu_areas *areas, int bit)
{
	return (struct place){
		bit >> areas->block_shift, bit & (block_bits(areas) - 1),
	};
}

/* the last granule of an area: its block, and the granule after it there */
static struct place end_of(const struct pcpu_areas *areas, int end)
{
	struct place place = place_of(areas, end - 1);

	place.bit++;
	return place;
}

static bool block_is_free(const struct pcpu_areas *areas, int block)
{
	return areas->blocks[block].contig_hint == block_bits(areas);
}

/* granules of a block were taken; its hints are up to date */
static inline void note_taken(struct pcpu_areas *areas, int i)
{
	bits_clear_one(areas->whole, i);
	if (!areas->blocks[i].contig_hint)
		bits_clear_one(areas->known, i);
}

/* the same, granules are free */
static inline void note_free(struct pcpu_areas *areas, int i)
{
	bits_set_one(areas->known, i);
	if (block_is_free(areas, i))
		bits_set_one(areas->whole, i);
}

/* all granules are free; the maps are zeroed, the sizes and .fixed are set */
void pcpu_areas_init(struct pcpu_areas *areas)
{
	int i, n = pcpu_areas_bits(areas);

	areas->free_bits = n;
	bits_set_one(areas->bound_map, 0);
	bits_set_one(areas->bound_map, n);
	pcpu_init_md_block(&areas->chunk_md, n);
	for (i = 0; i < areas->nr_blocks; i++) {
		pcpu_init_md_block(&areas->blocks[i], block_bits(areas));
		note_free(areas, i);
	}
}

/* count the words of [start, end) in the map */
static void count_words(struct pcpu_areas *areas, int start, int end)
{
	if (start < end)
		areas->nr_read += (end - 1) / BITS_PER_WORD -
				  start / BITS_PER_WORD + 1;
}

/* the granule after the area that starts at @start */
int pcpu_areas_end(const struct pcpu_areas *areas, int start)
{
	return bits_next(areas->bound_map, start + 1, pcpu_areas_bits(areas),
			 true);
}

/* --- search */

/* a run that hints tell of: in one block, or from one into the following */
struct run {
	int start;		/* granules from the chunk's start */
	int bits;		/* granules; 0: there is none */
};

/* what a search in block @i looks at: its end, from where the hints lead to */
static struct run rest_of_block(const struct pcpu_areas *areas, int i, int bits)
{
	int from = pcpu_next_hint(&areas->blocks[i], bits);

	return (struct run){ block_start(areas, i) + from,
			     block_bits(areas) - from };
}

/* the first answer from @start on that the blocks' hints give */
static struct run pcpu_next_fit_region(struct pcpu_areas *areas, int start,
				       int bits, int align)
{
	int i = place_of(areas, start).block, n = block_bits(areas);
	struct run run = { .bits = 0 };	/* from a block's end into the next */

	for (; i < areas->nr_blocks; i++) {
		const struct pcpu_block_md *block = &areas->blocks[i];
		int base = block_start(areas, i), right;

		areas->nr_read++;
		if (run.bits) {
			run.bits += block->left_free;
			if (run.bits >= bits)
				return run;
			if (block->left_free == n)
				continue;
		}
		if (base + block->contig_hint_start >= start &&
		    pcpu_check_block_hint(block, bits, align))
			return rest_of_block(areas, i, bits);
		right = pcpu_bits_up(n - block->right_free, align);
		run = (struct run){ base + right, n - right };
		if (run.bits >= bits)
			return run;
	}
	return (struct run){ .bits = 0 };
}

/* where pages that are not populated end, if there are any in a run; or 0 */
static int unpopulated_end(const struct pcpu_areas *areas, struct run run)
{
	int page = place_of(areas, run.start).block;
	int end = place_of(areas, run.start + run.bits +
				  block_bits(areas) - 1).block;

	page = bits_next(areas->populated, page, end, false);
	if (page == end)
		return 0;
	return block_start(areas, bits_next(areas->populated, page, end, true));
}

/**
 * pcpu_find_block_fit - find by the hints where an area may be
 * @bits: granules
 * @align: in granules, a power of two
 * @pop_only: the pages must be populated
 *
 * Return: where to search the map, or -1.
 */
int pcpu_find_block_fit(struct pcpu_areas *areas, int bits, int align,
			bool pop_only)
{
	int at = pcpu_next_hint(&areas->chunk_md, bits);
	struct run run;

	if (!pcpu_check_block_hint(&areas->chunk_md, bits, align))
		return -1;
	do {
		run = pcpu_next_fit_region(areas, at, bits, align);
		if (!run.bits)
			return -1;
		at = pop_only ? unpopulated_end(areas, run) : 0;
	} while (at);
	return run.start;
}

/*
 * Remember the longest skipped run, if any; of equal ones the best aligned.
 * The first one may be at 0, and is then never replaced by an equal one.
 */
static void remember(struct pcpu_skipped *skipped, int start, int bits)
{
	if (bits > skipped->bits ||
	    (bits == skipped->bits && skipped->start &&
	     __builtin_ctz((unsigned int)start) >
	     __builtin_ctz((unsigned int)skipped->start)))
		*skipped = (struct pcpu_skipped){ start, bits };
}

/**
 * pcpu_find_zero_area - find an aligned free place in the map
 * @start: from pcpu_find_block_fit()
 * @bits: granules
 * @align: in granules, a power of two
 * @skipped: set to the longest run that was too small
 *
 * Return: the first granule, or -1: there is no place in about a block.
 */
int pcpu_find_zero_area(struct pcpu_areas *areas, int start, int bits, int align,
			struct pcpu_skipped *skipped)
{
	int limit = start + bits + block_bits(areas);
	int from = start;

	if (limit > pcpu_areas_bits(areas))
		limit = pcpu_areas_bits(areas);
	*skipped = (struct pcpu_skipped){ 0, 0 };
	for (;;) {
		int used;

		start = bits_next(areas->alloc_map, start, limit, false);
		start = pcpu_bits_up(start, align);
		if (start + bits > limit) {
			count_words(areas, from, limit);
			return -1;
		}
		used = bits_next(areas->alloc_map, start, start + bits, true);
		if (used == start + bits) {
			count_words(areas, from, used);
			return start;
		}
		remember(skipped, start, used - start);
		start = used;
	}
}

/* --- hints after a change */

/* the first free granule of a block at or after @bit, or its end */
static int next_free(const struct pcpu_areas *areas, struct place place)
{
	int from = block_start(areas, place.block);

	return bits_next(areas->alloc_map, from + place.bit,
			 from + block_bits(areas), false) - from;
}

/* the granule after the last used one before @place in its block */
static int free_from(const struct pcpu_areas *areas, struct place place)
{
	int from = block_start(areas, place.block);

	return bits_last_set(areas->alloc_map, from, from + place.bit) + 1 -
	       from;
}

static int next_used(const struct pcpu_areas *areas, struct place place)
{
	int from = block_start(areas, place.block);

	return bits_next(areas->alloc_map, from + place.bit,
			 from + block_bits(areas), true) - from;
}

/* where the search for runs begins when the contig hint is lost */
static int refresh_start(const struct pcpu_block_md *block)
{
	if (block->scan_hint)
		return block->scan_hint_start + block->scan_hint;
	return block->first_free;
}

static void count_block_refresh(struct pcpu_areas *areas, int i)
{
	count_words(areas,
		    block_start(areas, i) + refresh_start(&areas->blocks[i]),
		    block_start(areas, i + 1));
}

static void count_chunk_refresh(struct pcpu_areas *areas, int at)
{
	areas->nr_read += areas->nr_blocks - place_of(areas, at).block;
}

/*
 * The contig hint of a block is lost.  left_free is not learnt anew, and
 * right_free is 0 if the promoted scan hint touches the block's end: as in the
 * kernel.
 */
static void pcpu_block_refresh_hint(struct pcpu_areas *areas, int i)
{
	struct pcpu_block_md *block = &areas->blocks[i];
	struct place place = { i, block->first_free };

	if (block->scan_hint)
		place.bit = pcpu_block_promote(block);
	else
		block->contig_hint = 0;
	block->right_free = 0;
	for (;;) {
		int start = place.bit = next_free(areas, place);

		if (start == block_bits(areas))
			return;
		place.bit = next_used(areas, place);
		pcpu_block_update(block, start, place.bit, areas->fixed);
	}
}

/* the next run from @start on that blocks' hints tell of; .bits 0: none */
static struct run pcpu_next_md_free_region(const struct pcpu_areas *areas,
					   int start)
{
	int i = place_of(areas, start).block, n = block_bits(areas), end;
	const struct pcpu_block_md *block;
	struct run run = { .bits = 0 };

	for (; !run.bits; i++) {
		i = bits_next(areas->known, i, areas->nr_blocks, true);
		if (i == areas->nr_blocks)
			return run;
		block = &areas->blocks[i];
		run = (struct run){
			block_start(areas, i) + block->contig_hint_start,
			block->contig_hint,
		};
		if (run.start >= start &&
		    block->contig_hint_start + block->contig_hint < n)
			return run;
		run = (struct run){
			block_start(areas, i + 1) - block->right_free,
			block->right_free,
		};
	}
	end = bits_next(areas->whole, i, areas->nr_blocks, false);
	run.bits += block_start(areas, end - i);
	if (end < areas->nr_blocks)
		run.bits += areas->blocks[end].left_free;
	return run;
}

/*
 * Skip blocks at @at whose runs are smaller than the contig hint.  It comes
 * before them, so the chunk learns nothing from those.  A run that may touch
 * the chunk's end is not skipped.
 */
static int skip_small_runs(const struct pcpu_areas *areas, int at)
{
	int from = place_of(areas, at).block, last = areas->nr_blocks - 1;
	int n = block_bits(areas), contig = areas->chunk_md.contig_hint;
	int i;

	for (i = from; i < last; i++) {
		const struct pcpu_block_md *block = &areas->blocks[i];
		int left = block[1].left_free;

		if (!block->contig_hint)
			i = bits_next(areas->known, i, last, true) - 1;
		else if (block->contig_hint >= contig || left == n ||
			 block->right_free + left >= contig)
			break;
	}
	return i > from ? block_start(areas, i) : at;
}

/* learn the chunk's hints from those of the blocks */
static void pcpu_chunk_refresh_hint(struct pcpu_areas *areas, bool full_scan)
{
	struct pcpu_block_md *md = &areas->chunk_md;
	int at = md->first_free;
	struct run run;

	if (!full_scan && md->scan_hint)
		at = pcpu_block_promote(md);
	else
		md->contig_hint = 0;	/* the scan hint stays */
	while ((run = pcpu_next_md_free_region(areas, at)).bits) {
		pcpu_block_update(md, run.start, run.start + run.bits,
				  areas->fixed);
		/* the granule after a run is in use */
		at = skip_small_runs(areas, run.start + run.bits + 1);
	}
}

/* --- take */

static bool loses_contig_hint(const struct pcpu_block_md *block, int start,
			      int end)
{
	return pcpu_region_overlap(start, end, block->contig_hint_start,
				   block->contig_hint);
}

static void forget_scan_hint(struct pcpu_block_md *block, int start, int end)
{
	if (pcpu_region_overlap(start, end, block->scan_hint_start,
				block->scan_hint))
		block->scan_hint = 0;
}

static void limit_hint(int *hint, int most)
{
	if (*hint > most)
		*hint = most;
}

/* the block where an area starts; @end: where it ends there */
static void take_first_block(struct pcpu_areas *areas, struct place start,
			     int end)
{
	struct pcpu_block_md *block = &areas->blocks[start.block];

	if (block->first_free == start.bit)
		block->first_free = next_free(areas, (struct place){
			start.block, end });
	forget_scan_hint(block, start.bit, end);
	if (loses_contig_hint(block, start.bit, end)) {
		if (!start.bit)
			block->left_free = 0;
		count_block_refresh(areas, start.block);
		if (!pcpu_block_advance(block, start.bit, end))
			pcpu_block_refresh_hint(areas, start.block);
		return;
	}
	limit_hint(&block->left_free, start.bit);
	limit_hint(&block->right_free, block_bits(areas) - end);
}

/* the block where an area ends, if that is not where it starts */
static void take_last_block(struct pcpu_areas *areas, struct place end)
{
	struct pcpu_block_md *block = &areas->blocks[end.block];

	block->first_free = next_free(areas, end);
	if (end.bit > block->scan_hint_start)
		block->scan_hint = 0;
	block->left_free = 0;
	if (end.bit > block->contig_hint_start) {
		count_block_refresh(areas, end.block);
		pcpu_block_refresh_hint(areas, end.block);
	} else {
		limit_hint(&block->right_free, block_bits(areas) - end.bit);
	}
}

/*
 * Update the hints after [start, end) was taken.
 * Return: how many blocks are not all free any more.
 */
static int pcpu_block_update_hint_alloc(struct pcpu_areas *areas, int start,
					int end)
{
	struct place first = place_of(areas, start), last = end_of(areas, end);
	struct pcpu_block_md *md = &areas->chunk_md;
	int less = block_is_free(areas, first.block);
	int i;

	if (md->first_free == start)
		md->first_free = bits_next(areas->alloc_map, end,
					   pcpu_areas_bits(areas), false);
	if (first.block == last.block) {
		take_first_block(areas, first, last.bit);
	} else {
		less += block_is_free(areas, last.block);
		take_first_block(areas, first, block_bits(areas));
		take_last_block(areas, last);
		for (i = first.block + 1; i < last.block; i++) {
			less++;
			pcpu_fill_md_block(&areas->blocks[i]);
			note_taken(areas, i);
		}
		note_taken(areas, last.block);
	}
	note_taken(areas, first.block);
	forget_scan_hint(md, start, end);
	if (loses_contig_hint(md, start, end)) {
		count_chunk_refresh(areas, refresh_start(md));
		if (!pcpu_block_advance(md, start, end))
			pcpu_chunk_refresh_hint(areas, false);
	}
	return less;
}

/* a run that a search skipped is learnt, if it is in one block */
static void pcpu_block_update_scan(struct pcpu_areas *areas,
				   const struct pcpu_skipped *skipped)
{
	struct place place = place_of(areas, skipped->start);
	int end = place.bit + skipped->bits;

	if (end <= block_bits(areas))
		pcpu_block_update(&areas->blocks[place.block],
				  free_from(areas, place), end, areas->fixed);
}

/**
 * pcpu_areas_take - take free granules for an area
 * @start: the first one
 * @bits: how many
 * @skipped: from the search, or NULL
 *
 * Return: how many blocks are not all free any more.
 */
int pcpu_areas_take(struct pcpu_areas *areas, int start, int bits,
		    const struct pcpu_skipped *skipped)
{
	int end = start + bits;

	if (skipped && skipped->bits)
		pcpu_block_update_scan(areas, skipped);
	bits_fill(areas->alloc_map, start, end, true);
	bits_fill(areas->bound_map, start, end, false);
	bits_set_one(areas->bound_map, start);
	bits_set_one(areas->bound_map, end);
	areas->free_bits -= bits;
	return pcpu_block_update_hint_alloc(areas, start, end);
}

/* --- free */

/*
 * Update the hints after [start, end) was freed.
 *
 * The kernel's chunk learns of a run inside one block with the block's end for
 * the chunk's.  Except in the first block the run then has a negative length,
 * and is not learnt: PCPU_FIX_CHUNK_HINT.
 * Return: how many blocks are all free now, and were not.
 */
static int pcpu_block_update_hint_free(struct pcpu_areas *areas, int start,
				       int end)
{
	struct place first = place_of(areas, start), last = end_of(areas, end);
	struct pcpu_block_md *block = &areas->blocks[first.block];
	struct pcpu_block_md *end_block = &areas->blocks[last.block];
	int n = block_bits(areas), base = block_start(areas, first.block);
	bool crosses = first.block != last.block;
	int i, from, to, first_end, more;

	if (start < areas->chunk_md.first_free)
		areas->chunk_md.first_free = start;
	if (block->contig_hint &&
	    block->contig_hint_start + block->contig_hint == first.bit)
		from = block->contig_hint_start;
	else
		from = free_from(areas, first);
	if (end_block->contig_hint && end_block->contig_hint_start == last.bit)
		to = last.bit + end_block->contig_hint;
	else
		to = next_used(areas, last);

	first_end = crosses ? n : to;
	pcpu_block_update(block, from, first_end, areas->fixed);
	more = !from && first_end == n;
	if (crosses) {
		pcpu_block_update(end_block, 0, to, areas->fixed);
		more += to == n;
		for (i = first.block + 1; i < last.block; i++, more++) {
			pcpu_init_md_block(&areas->blocks[i], n);
			note_free(areas, i);
		}
		note_free(areas, last.block);
	}
	note_free(areas, first.block);
	if (crosses || to - from == n) {
		count_chunk_refresh(areas, areas->chunk_md.first_free);
		pcpu_chunk_refresh_hint(areas, true);
	} else {
		pcpu_block_update(&areas->chunk_md, base + from,
				  areas->fixed ? base + to : to, areas->fixed);
	}
	return more;
}

/**
 * pcpu_areas_release - free the granules of an area
 * @start: the first one
 * @bits: how many, as pcpu_areas_end() says
 *
 * Return: how many blocks are all free now, and were not.
 */
int pcpu_areas_release(struct pcpu_areas *areas, int start, int bits)
{
	bits_fill(areas->alloc_map, start, start + bits, false);
	areas->free_bits += bits;
	return pcpu_block_update_hint_free(areas, start, start + bits);
}
