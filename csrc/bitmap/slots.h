/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slots.h - a chunk of this policy, and the list that it is on.
 */
#ifndef PCPU_SLOTS_H
#define PCPU_SLOTS_H

#include "../groups.h"
#include "areas.h"
#include "bitmap.h"

/* empty pages: below the first the work is requested, and makes the second */
#define PCPU_EMPTY_POP_PAGES_LOW	2
#define PCPU_EMPTY_POP_PAGES_HIGH	4

struct bitmap_chunk {
	struct pcpu_chunk chunk; /* what any policy needs */
	struct pcpu_areas areas; /* its areas and hints */
	int start;		/* granules before it are hidden, in use */
	int end;		/* granules from it on are, too */
	int nr_empty_pop_pages;	/* populated pages that are all free */
	bool isolated;		/* its empty pages are to be depopulated */
};

static inline struct bitmap_chunk *to_bitmap(struct pcpu_chunk *chunk)
{
	return container_of(chunk, struct bitmap_chunk, chunk);
}

/* whether no granule is in use, as in a chunk that was just created */
static inline bool bitmap_is_free(const struct pcpu *pcpu,
				  const struct bitmap_chunk *chunk)
{
	return chunk->areas.free_bits * PCPU_MIN_ALLOC_SIZE ==
	       pcpu->geo.unit_size;
}

/* the slots after those for sizes */
static inline int pcpu_sidelined_slot(const struct pcpu *pcpu)
{
	return pcpu->geo.nr_slots - 3;
}

static inline int pcpu_free_slot(const struct pcpu *pcpu)
{
	return pcpu->geo.nr_slots - 2;
}

static inline int pcpu_to_depopulate_slot(const struct pcpu *pcpu)
{
	return pcpu->geo.nr_slots - 1;
}

/* bytes that are free, but no search finds: the chunk's hint says there are none */
static inline int bitmap_hidden(const struct bitmap_chunk *chunk)
{
	return chunk->areas.chunk_md.contig_hint ? 0 :
	       chunk->areas.free_bits * PCPU_MIN_ALLOC_SIZE;
}

int bitmap_size_to_slot(const struct pcpu *pcpu, int size);
int bitmap_chunk_slot(const struct pcpu *pcpu,
		      const struct bitmap_chunk *chunk);
void bitmap_move(struct pcpu *pcpu, struct bitmap_chunk *chunk, int slot,
		 bool head);
void bitmap_relocate(struct pcpu *pcpu, struct bitmap_chunk *chunk,
		     int old_slot);
void pcpu_update_empty_pages(struct pcpu *pcpu, struct bitmap_chunk *chunk,
			     int more);
void pcpu_isolate_chunk(struct pcpu *pcpu, struct bitmap_chunk *chunk);
void pcpu_reintegrate_chunk(struct pcpu *pcpu, struct bitmap_chunk *chunk);
void pcpu_schedule_balance_work(struct pcpu *pcpu);
void bitmap_check_low(struct pcpu *pcpu);
void bitmap_check_high(struct pcpu *pcpu, struct bitmap_chunk *chunk);

#endif /* PCPU_SLOTS_H */
