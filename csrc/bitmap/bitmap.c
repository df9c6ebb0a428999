// SPDX-License-Identifier: GPL-2.0-only
/*
 * bitmap.c - a chunk of bitmaps: make it, look up areas in it, describe it.
 */
#include "bitmap.h"

#include "slots.h"

/* sort a chunk's memory into arrays, and make all granules of @pages free */
static struct bitmap_chunk *init_areas(struct pcpu *pcpu,
				       struct pcpu_chunk *chunk, int pages)
{
	struct bitmap_chunk *self = to_bitmap(chunk);
	struct pcpu_areas *areas = &self->areas;
	int n;

	areas->nr_blocks = pages;
	areas->block_shift = pcpu->geo.page_shift - 2;
	areas->fixed = pcpu->fixes & PCPU_FIX_CHUNK_HINT;
	n = pcpu_areas_bits(areas);
	areas->alloc_map = (uint64_t *)(void *)(self + 1);
	areas->bound_map = areas->alloc_map + bits_words(n);
	areas->known = areas->bound_map + bits_words(n + 1);
	areas->whole = areas->known + bits_words(pages);
	areas->populated = areas->whole + bits_words(pages);
	areas->blocks = (struct pcpu_block_md *)(void *)
		(areas->populated + bits_words(pages));
	pcpu_areas_init(areas);
	self->end = n;
	return self;
}

/* the hint of a chunk, granules */
int bitmap_hint(const struct pcpu_chunk *chunk)
{
	return ((const struct bitmap_chunk *)(const void *)chunk)
		->areas.chunk_md.contig_hint;
}

/* the policy's part of a new chunk, whose struct is zeroed; put it on a slot */
void bitmap_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	struct bitmap_chunk *self = init_areas(pcpu, chunk,
					       pcpu->geo.unit_pages);

	bitmap_move(pcpu, self, bitmap_chunk_slot(pcpu, self), true);
}

/* hide granules at an edge of the first or the reserved chunk */
static void hide(struct pcpu *pcpu, struct bitmap_chunk *chunk, int start,
		 int end)
{
	if (start < end)
		pcpu_update_empty_pages(pcpu, chunk, -pcpu_areas_take(
			&chunk->areas, start, end - start, NULL));
}

/**
 * bitmap_first_chunk_init - the same for the first or the reserved chunk
 * @start: granules at its start that it does not serve
 * @end: after the last granule that it serves
 *
 * All its pages are populated.
 */
void bitmap_first_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			     int start, int end)
{
	int bytes = end * PCPU_MIN_ALLOC_SIZE;
	int pages = pcpu_pfn_up(&pcpu->geo, bytes);
	struct bitmap_chunk *self = init_areas(pcpu, chunk, pages);
	int n = self->end;

	bits_fill(self->areas.populated, 0, pages, true);
	pcpu_update_empty_pages(pcpu, self, pages);
	hide(pcpu, self, 0, start);
	hide(pcpu, self, end, n);
	self->start = start;
	self->end = end;
	self->areas.nr_read = 0;	/* creation takes no work */
	bitmap_move(pcpu, self, bitmap_chunk_slot(pcpu, self), true);
}

static const struct bitmap_chunk *view(const struct pcpu_chunk *chunk)
{
	return (const struct bitmap_chunk *)(const void *)chunk;
}

/**
 * bitmap_find - find the area that starts at an offset
 * @offset: bytes from the chunk's start
 * @size: set to the bytes of the area
 *
 * Return: 0, or -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, or -PCPU_E_WILD outside of
 * what the chunk serves.
 */
int bitmap_find(const struct pcpu_chunk *chunk, int offset, int *size)
{
	const struct bitmap_chunk *self = view(chunk);
	int start = offset / PCPU_MIN_ALLOC_SIZE;

	/* the bytes between the static area and the first granule are negative */
	if (offset < 0 || start < self->start || start >= self->end)
		return -PCPU_E_WILD;
	if (!bits_test(self->areas.alloc_map, start))
		return -PCPU_E_NOT_LIVE;
	if (offset % PCPU_MIN_ALLOC_SIZE ||
	    !bits_test(self->areas.bound_map, start))
		return -PCPU_E_INTERIOR;
	*size = (pcpu_areas_end(&self->areas, start) - start) *
		PCPU_MIN_ALLOC_SIZE;
	return 0;
}

/**
 * bitmap_next - find the first area at or after an offset
 * @offset: bytes from the chunk's start
 * @size: set to the bytes of the area
 *
 * Return: its offset, or -1.
 */
int bitmap_next(const struct pcpu_chunk *chunk, int offset, int *size)
{
	const struct bitmap_chunk *self = view(chunk);
	int from = offset / PCPU_MIN_ALLOC_SIZE;
	int start = bits_next(self->areas.alloc_map,
			      from > self->start ? from : self->start,
			      self->end, true);

	if (start == self->end)
		return -1;
	*size = (pcpu_areas_end(&self->areas, start) - start) *
		PCPU_MIN_ALLOC_SIZE;
	return start * PCPU_MIN_ALLOC_SIZE;
}

/**
 * bitmap_describe - the policy's part of a snapshot
 * @info: filled in, except for what any chunk has; .blocks is the chunk's own
 * @sizes: room for the map, info->map_used signed sizes; or NULL to ask how
 *	many
 */
void bitmap_describe(const struct pcpu_chunk *chunk,
		     struct pcpu_chunk_info *info, int *sizes)
{
	const struct bitmap_chunk *self = view(chunk);
	const struct pcpu_areas *areas = &self->areas;
	int at = 0, end, entries = 0, n = pcpu_areas_bits(areas);

	info->free_size = areas->free_bits * PCPU_MIN_ALLOC_SIZE;
	info->contig_hint = areas->chunk_md.contig_hint * PCPU_MIN_ALLOC_SIZE;
	info->map = sizes;
	info->hints = areas->chunk_md;
	info->blocks = areas->blocks;
	info->nr_blocks = areas->nr_blocks;
	info->empty_pages = self->nr_empty_pop_pages;
	info->isolated = self->isolated;
	for (; at < n; at = end) {
		bool used = bits_test(areas->alloc_map, at);

		end = used ? pcpu_areas_end(areas, at) :
			     bits_next(areas->alloc_map, at, n, true);
		if (sizes)
			*sizes++ = (used ? at - end : end - at) *
				   PCPU_MIN_ALLOC_SIZE;
		entries++;
	}
	info->map_used = entries;
}
