// SPDX-License-Identifier: GPL-2.0-only
/*
 * pages.c - a chunk's pages: which are populated, and how many of them are empty.
 *
 * Source: pcpu_chunk_populated(), pcpu_chunk_depopulated() and pcpu_alloc() of
 * mm/percpu.c, by Tejun Heo and Dennis Zhou.
 */
#include "pages.h"

/* populate [start, end), of which no page is; or return an error */
int bitmap_populate(struct pcpu *pcpu, struct bitmap_chunk *chunk, int start,
		    int end)
{
	int err = pcpu_populate_pages(pcpu, &chunk->chunk, start, end);

	if (err)
		return err;
	bits_fill(chunk->areas.populated, start, end, true);
	pcpu_update_empty_pages(pcpu, chunk, end - start);
	return 0;
}

/* depopulate [start, end), all of them empty */
void bitmap_depopulate(struct pcpu *pcpu, struct bitmap_chunk *chunk, int start,
		       int end)
{
	pcpu_depopulate_chunk(pcpu, &chunk->chunk, start, end, true);
	bits_fill(chunk->areas.populated, start, end, false);
	pcpu_update_empty_pages(pcpu, chunk, start - end);
}

/**
 * bitmap_populate_area - populate what is missing under an area
 * @offset: of the area in a unit, bytes
 * @size: of the area
 *
 * Each run of missing pages is populated at once.  If one fails, those before
 * it stay.
 * Return: 0, or an error of pcpu_populate_pages().
 */
int bitmap_populate_area(struct pcpu *pcpu, struct bitmap_chunk *chunk,
			 int offset, int size)
{
	const uint64_t *populated = chunk->areas.populated;
	int page = pcpu_pfn_down(&pcpu->geo, offset);
	int end = pcpu_pfn_up(&pcpu->geo, (int64_t)offset + size);

	while ((page = bits_next(populated, page, end, false)) < end) {
		int start = page, err;

		page = bits_next(populated, page, end, true);
		err = bitmap_populate(pcpu, chunk, start, page);
		if (err)
			return err;
	}
	return 0;
}
