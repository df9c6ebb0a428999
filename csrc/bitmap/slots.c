// SPDX-License-Identifier: GPL-2.0-only
/*
 * slots.c - the lists that chunks are on, and their empty pages.
 *
 * A chunk is on the list of its contig hint, a power of two each; three lists
 * come after those.  Allocations walk upwards, and not into the last one:
 *
 *	slot	0	1	2	...  sidelined	free	to depopulate
 *	contig	0, or	4-15	16-31	...  isolated,	whole	isolated, with
 *		failed			     few pages	unit	empty pages
 *
 * An empty page is one that is populated and all free.  They are counted in
 * each chunk; the sum leaves out isolated chunks and the reserved one.
 *
 * Source: the policy of mm/percpu.c since Linux 5.14, by Dennis Zhou and Roman
 * Gushchin.
 */
#include "slots.h"

#define PCPU_SLOT_SHIFT	3	/* 1 to 15 bytes share slot 1 */

static int slot_of_bytes(int bytes)
{
	int slot = pcpu_fls((unsigned int)bytes) - PCPU_SLOT_SHIFT;

	return slot > 1 ? slot : 1;
}

/**
 * bitmap_geometry - sizes and counts that depend on the policy
 * @geo: unit_size and unit_pages are set; nr_slots and policy_size are filled
 *	in
 */
void bitmap_geometry(struct pcpu_geometry *geo)
{
	size_t granules = (size_t)geo->unit_size / PCPU_MIN_ALLOC_SIZE;

	geo->nr_slots = slot_of_bytes(geo->unit_size) + 4;
	/* the maps and blocks follow the struct, see bitmap_chunk_init() */
	geo->policy_size = sizeof(struct bitmap_chunk) +
		(bits_words((int)granules) + bits_words((int)granules + 1) +
		 3 * bits_words((int)geo->unit_pages)) * sizeof(uint64_t) +
		(size_t)geo->unit_pages * sizeof(struct pcpu_block_md);
}

/* the slot of a chunk whose largest free run has so many bytes */
int bitmap_size_to_slot(const struct pcpu *pcpu, int size)
{
	return size == pcpu->geo.unit_size ? pcpu_free_slot(pcpu) :
					     slot_of_bytes(size);
}

/* the slot where a chunk belongs by its hint */
int bitmap_chunk_slot(const struct pcpu *pcpu,
		      const struct bitmap_chunk *chunk)
{
	int contig = chunk->areas.chunk_md.contig_hint;

	if (!contig || !chunk->areas.free_bits)
		return 0;
	return bitmap_size_to_slot(pcpu, contig * PCPU_MIN_ALLOC_SIZE);
}

/* the reserved chunk is on no list */
void bitmap_move(struct pcpu *pcpu, struct bitmap_chunk *chunk, int slot,
		 bool head)
{
	if (&chunk->chunk == pcpu->reserved_chunk)
		return;
	pcpu_move_to_slot(pcpu, &chunk->chunk, slot, head);
}

/**
 * bitmap_relocate - put a chunk where it belongs, if that changed
 * @old_slot: bitmap_chunk_slot() before the change
 *
 * Where the chunk is does not count: one that failed a fit stays in slot 0
 * until its hint changes by a slot.
 */
void bitmap_relocate(struct pcpu *pcpu, struct bitmap_chunk *chunk,
		     int old_slot)
{
	int slot = bitmap_chunk_slot(pcpu, chunk);

	if (slot != old_slot && !chunk->isolated)
		bitmap_move(pcpu, chunk, slot, slot > old_slot);
}

void pcpu_update_empty_pages(struct pcpu *pcpu, struct bitmap_chunk *chunk,
			     int more)
{
	chunk->nr_empty_pop_pages += more;
	if (!chunk->isolated && &chunk->chunk != pcpu->reserved_chunk)
		pcpu->nr_empty_pop_pages += more;
}

/* allocations avoid the chunk, and background work depopulates it */
void pcpu_isolate_chunk(struct pcpu *pcpu, struct bitmap_chunk *chunk)
{
	if (!chunk->isolated) {
		chunk->isolated = true;
		pcpu->nr_empty_pop_pages -= chunk->nr_empty_pop_pages;
	}
	bitmap_move(pcpu, chunk, pcpu_to_depopulate_slot(pcpu), true);
}

void pcpu_reintegrate_chunk(struct pcpu *pcpu, struct bitmap_chunk *chunk)
{
	if (!chunk->isolated)
		return;
	chunk->isolated = false;
	pcpu->nr_empty_pop_pages += chunk->nr_empty_pop_pages;
	bitmap_move(pcpu, chunk, bitmap_chunk_slot(pcpu, chunk), true);
}

/* --- when background work is needed */

void pcpu_schedule_balance_work(struct pcpu *pcpu)
{
	pcpu->balance_requested = true;
}

/* after an allocation */
void bitmap_check_low(struct pcpu *pcpu)
{
	if (pcpu->nr_empty_pop_pages < PCPU_EMPTY_POP_PAGES_LOW)
		pcpu_schedule_balance_work(pcpu);
}

/* whether a chunk has so many empty pages that it should give some back */
static bool has_too_many(const struct pcpu *pcpu,
			 const struct bitmap_chunk *chunk)
{
	int own = chunk->nr_empty_pop_pages;

	if (chunk->isolated)
		return own;
	return pcpu->nr_empty_pop_pages > PCPU_EMPTY_POP_PAGES_HIGH + own &&
	       own >= chunk->areas.nr_blocks / 4;
}

static bool has_others(struct list_head *head, const struct list_head *link)
{
	return !list_empty(head) && (head->next != link || head->prev != link);
}

/* after a free in @chunk */
void bitmap_check_high(struct pcpu *pcpu, struct bitmap_chunk *chunk)
{
	if (!chunk->isolated && bitmap_is_free(pcpu, chunk)) {
		if (has_others(&pcpu->slots[pcpu_free_slot(pcpu)],
			       &chunk->chunk.list))
			pcpu_schedule_balance_work(pcpu);
	} else if (&chunk->chunk != pcpu->first_chunk &&
		   &chunk->chunk != pcpu->reserved_chunk &&
		   has_too_many(pcpu, chunk)) {
		pcpu_isolate_chunk(pcpu, chunk);
		pcpu_schedule_balance_work(pcpu);
	}
}
