/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * groups.h - the chunks of a long slot, in groups.
 *
 * Each function is documented in groups.c.
 */
#ifndef PCPU_GROUPS_H
#define PCPU_GROUPS_H

#include <limits.h>

#include "internal.h"

/* a slot gets groups when a walk has visited more chunks */
#ifndef PCPU_SHORT_SLOT
#define PCPU_SHORT_SLOT	8
#endif

/* whether such a request found no place in the group since its last change */
static inline bool pcpu_group_failed(const struct pcpu_group *group, int size,
				     int align)
{
	return size == group->failed_size && align >= group->failed_align;
}

/* after a change of a chunk that has a group */
static inline void pcpu_group_update(const struct pcpu_chunk *chunk, int hint)
{
	struct pcpu_group *group = chunk->group;

	group->failed_size = INT_MAX;
	group->hint[chunk->seat] = hint;
	if (group->largest < hint)
		group->largest = hint;
}

/* for a walk: the seats beyond half of a group that are free; below 0: taken */
static inline int pcpu_group_free_seats(const struct pcpu_group *group)
{
	return PCPU_GROUP_SEATS / 2 - group->nr_chunks;
}

void pcpu_groups_init(struct pcpu *pcpu,
		      int (*hint)(const struct pcpu_chunk *chunk));
void pcpu_group_add(struct pcpu *pcpu, struct pcpu_chunk *chunk);
void pcpu_slot_remove(struct pcpu *pcpu, struct pcpu_chunk *chunk);
void pcpu_move_to_slot(struct pcpu *pcpu, struct pcpu_chunk *chunk, int slot,
		       bool front);
void pcpu_make_groups(struct pcpu *pcpu, int slot);
void pcpu_end_walk(struct pcpu *pcpu, int slot, int visited, int free_seats);

#endif /* PCPU_GROUPS_H */
