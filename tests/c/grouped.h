/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * grouped.h - what must be true of the groups of any slot.
 *
 *	slot 5		c 96  a 40	d 16
 *	groups		|30c 96, 31a 40| <-> |0d 16|
 */
#ifndef TEST_GROUPED_H
#define TEST_GROUPED_H

#include "groups.h"

/* whether a seat is free, or has the chunk at @pos, with its hint */
static inline bool seat_fits(const struct pcpu *pcpu,
			     const struct pcpu_group *group, int seat,
			     const struct list_head *pos)
{
	const struct pcpu_chunk *chunk = group->chunk[seat];

	if (!(group->seats >> seat & 1))
		return true;
	return pos == &chunk->list && chunk->group == group &&
	       chunk->seat == seat && group->hint[seat] <= group->largest &&
	       group->hint[seat] == pcpu->chunk_hint(chunk);
}

/**
 * groups_fit - whether the groups of a slot have its chunks, in order; or none
 * @nr_groups: their number is added
 */
static inline bool groups_fit(const struct pcpu *pcpu, int slot, int *nr_groups)
{
	const struct list_head *head = &pcpu->slots[slot], *chunk = head->next;
	const struct list_head *pos;

	if (list_empty(&pcpu->slot_groups[slot])) {
		while (chunk != head &&
		       !list_entry(chunk, const struct pcpu_chunk, list)->group)
			chunk = chunk->next;
		return chunk == head;
	}
	list_for_each(pos, &pcpu->slot_groups[slot]) {
		const struct pcpu_group *group =
			list_entry(pos, const struct pcpu_group, list);
		int n = 0;

		for (int seat = 0; seat < PCPU_GROUP_SEATS; seat++) {
			if (!seat_fits(pcpu, group, seat, chunk))
				return false;
			if (group->seats >> seat & 1) {
				chunk = chunk->next;
				n++;
			}
		}
		if (!n || n != group->nr_chunks)
			return false;
		++*nr_groups;
	}
	return chunk == head;
}

static inline int list_length(const struct list_head *head)
{
	const struct list_head *pos;
	int n = 0;

	list_for_each(pos, head)
		n++;
	return n;
}

#endif /* TEST_GROUPED_H */
