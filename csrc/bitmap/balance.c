// SPDX-License-Identifier: GPL-2.0-only
/*
 * balance.c - the background work: free chunks and empty pages.
 *
 * A kernel runs it in a worker, some time after an operation asked for it.
 * Here it runs at the operation's end, or when the user says so.
 *
 * Source: pcpu_balance_workfn() of mm/percpu.c since Linux 5.14.
 */
#include "bitmap.h"
#include "pages.h"

/* steps 1 and 4: destroy all free chunks but one, or those without pages */
static void pcpu_balance_free(struct pcpu *pcpu, bool empty_only)
{
	struct list_head *slot = &pcpu->slots[pcpu_free_slot(pcpu)];
	struct list_head *pos, *next;

	list_for_each_safe(pos, next, slot) {
		struct bitmap_chunk *chunk =
			to_bitmap(list_entry(pos, struct pcpu_chunk, list));

		if (pos == slot->next ||
		    (empty_only && chunk->nr_empty_pop_pages))
			continue;
		pcpu_update_empty_pages(pcpu, chunk,
					-chunk->nr_empty_pop_pages);
		pcpu_kill_chunk(pcpu, &chunk->chunk);
	}
}

static bool is_empty(const struct pcpu_areas *areas, int page)
{
	return bits_test(areas->whole, page) &&
	       bits_test(areas->populated, page);
}

/*
 * Depopulate empty pages of an isolated chunk, from the last one down.
 * Return: false, if the others have too few now.
 */
static bool reclaim_pages(struct pcpu *pcpu, struct bitmap_chunk *chunk)
{
	const struct pcpu_areas *areas = &chunk->areas;
	int start = areas->nr_blocks, end;

	while (chunk->nr_empty_pop_pages) {
		if (pcpu->nr_empty_pop_pages < PCPU_EMPTY_POP_PAGES_HIGH)
			return false;
		end = bits_last_both(areas->whole, areas->populated, 0,
				     start) + 1;
		start = end;
		while (start && is_empty(areas, start - 1))
			start--;
		bitmap_depopulate(pcpu, chunk, start, end);
	}
	return true;
}

/* step 2: the empty pages of isolated chunks */
static void pcpu_reclaim_populated(struct pcpu *pcpu)
{
	struct list_head *slot = &pcpu->slots[pcpu_to_depopulate_slot(pcpu)];

	while (!list_empty(slot)) {
		struct bitmap_chunk *chunk = to_bitmap(
			list_entry(slot->next, struct pcpu_chunk, list));

		if (!reclaim_pages(pcpu, chunk) || bitmap_is_free(pcpu, chunk))
			pcpu_reintegrate_chunk(pcpu, chunk);
		else
			bitmap_move(pcpu, chunk, pcpu_sidelined_slot(pcpu),
				    false);
	}
}

/* the first page of a chunk that is not populated, or the number of pages */
static int first_unpopulated(const struct bitmap_chunk *chunk)
{
	return bits_next(chunk->areas.populated, 0, chunk->areas.nr_blocks,
			 false);
}

/* the first chunk of a slot with such a page, or NULL */
static struct bitmap_chunk *to_populate(struct pcpu *pcpu, int slot)
{
	struct list_head *pos;

	list_for_each(pos, &pcpu->slots[slot]) {
		struct bitmap_chunk *chunk =
			to_bitmap(list_entry(pos, struct pcpu_chunk, list));

		if (first_unpopulated(chunk) < chunk->areas.nr_blocks)
			return chunk;
	}
	return NULL;
}

/*
 * Populate up to @n pages of a chunk, run by run, the lowest first.
 * Return: how many are still to populate; 0 also if that fails.
 */
static int populate_pages(struct pcpu *pcpu, struct bitmap_chunk *chunk, int n)
{
	int pages = chunk->areas.nr_blocks;
	int start, end;

	while (n && (start = first_unpopulated(chunk)) < pages) {
		end = bits_next(chunk->areas.populated, start,
				pages - start < n ? pages : start + n, true);
		if (bitmap_populate(pcpu, chunk, start, end))
			return 0;
		n -= end - start;
	}
	return n;
}

/* how many pages to populate */
static int missing_pages(struct pcpu *pcpu)
{
	int64_t n = PCPU_EMPTY_POP_PAGES_HIGH - pcpu->nr_empty_pop_pages;

	if (pcpu->atomic_alloc_failed) {
		pcpu->atomic_alloc_failed = false;
		return PCPU_EMPTY_POP_PAGES_HIGH;
	}
	return n > 0 ? (int)n : 0;
}

/* step 3: empty pages for atomic requests; from small chunks up to free ones */
static void pcpu_balance_populated(struct pcpu *pcpu)
{
	int first = bitmap_size_to_slot(pcpu, pcpu->geo.page_size);
	int slot, n, error;

	for (;;) {
		n = missing_pages(pcpu);
		for (slot = first; n && slot <= pcpu_free_slot(pcpu); slot++) {
			struct bitmap_chunk *chunk = to_populate(pcpu, slot);

			if (chunk)
				n = populate_pages(pcpu, chunk, n);
		}
		if (!n || !pcpu_create_chunk(pcpu, &error))
			return;
	}
}

/**
 * bitmap_balance - steps of the background work
 * @first: the first step, 1 begins a run
 * @last: the last step, up to 4
 */
void bitmap_balance(struct pcpu *pcpu, int first, int last)
{
	if (first == 1) {
		pcpu->balance_requested = false;
		pcpu->nr_balance_runs++;
		pcpu_balance_free(pcpu, false);
	}
	if (first <= 2 && last >= 2)
		pcpu_reclaim_populated(pcpu);
	if (first <= 3 && last >= 3)
		pcpu_balance_populated(pcpu);
	if (last == PCPU_BALANCE_STEPS)
		pcpu_balance_free(pcpu, true);
}
