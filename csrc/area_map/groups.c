// SPDX-License-Identifier: GPL-2.0-only
/*
 * groups.c - the slots, and the groups of chunks on each.
 *
 * Slots sort the chunks by free size, a power of two each, so that allocation
 * can try the fullest chunk first and drain the others.  Slot 0 is for full
 * chunks, the last slot for empty ones:
 *
 *	slot	0	1	2	3	...	14	15
 *	free	none	4-15	16-31	32-63	...	64K-	all
 *
 * A walk compares the contig hint of each chunk with the request.  With many
 * chunks it would mostly wait for their memory.  So a slot that proves to be
 * long gets groups of up to 32 chunks that follow each other, with a copy of
 * their hints.  A walk passes a group as a whole if its largest hint is too
 * small:
 *
 *	slot 9	largest 96: 40 96 8  <->  largest 40: 16 40 8 24 16 ...
 *
 * A chunk comes to the front or to the back of its slot, there into the next
 * seat of the group or into a spare group.  When it leaves, the seat stays free.
 * Each chunk brings one group, so a spare one is there when it is needed.  A
 * slot keeps groups until it is empty; a walk along many free seats makes them
 * again.
 */
#include "groups.h"

/* the groups of a new allocator */
void pcpu_groups_init(struct pcpu *pcpu)
{
	int slot;

	for (slot = 0; slot < PCPU_MAX_SLOTS; slot++)
		list_init(&pcpu->slot_groups[slot]);
	list_init(&pcpu->spare_groups);
}

/* the group with the next free seat at one end of a slot, perhaps a spare one */
static struct pcpu_group *end_group(struct pcpu *pcpu, int slot, bool front,
				    int *seat)
{
	struct list_head *groups = &pcpu->slot_groups[slot];
	struct list_head *end = front ? groups->next : groups->prev;
	struct pcpu_group *group = list_entry(end, struct pcpu_group, list);

	if (end != groups) {
		*seat = front ? __builtin_ctz(group->seats) - 1 :
				32 - __builtin_clz(group->seats);
		if (*seat >= 0 && *seat < PCPU_GROUP_SEATS)
			return group;
	}
	group = list_entry(pcpu->spare_groups.next, struct pcpu_group, list);
	group->largest = 0;
	*seat = front ? PCPU_GROUP_SEATS - 1 : 0;
	if (front)
		list_move(&group->list, groups);
	else
		list_move_tail(&group->list, groups);
	return group;
}

static void take_seat(struct pcpu *pcpu, struct area_map_chunk *chunk, int slot,
		      bool front)
{
	struct pcpu_group *group = end_group(pcpu, slot, front, &chunk->seat);

	group->seats |= (uint32_t)1 << chunk->seat;
	group->nr_chunks++;
	group->chunk[chunk->seat] = chunk;
	chunk->group = group;
	pcpu_group_update(chunk);
}

/* the group knows of the change that lets the chunk leave */
static void leave_seat(struct pcpu *pcpu, struct area_map_chunk *chunk)
{
	struct pcpu_group *group = chunk->group;

	group->seats &= ~((uint32_t)1 << chunk->seat);
	if (!--group->nr_chunks)
		list_move(&group->list, &pcpu->spare_groups);
	chunk->group = NULL;
}

/**
 * pcpu_move_to_slot - move a chunk to the front of a higher slot, or to the back
 *	of a lower one
 * @slot: not the one that it is on
 */
noinline void pcpu_move_to_slot(struct pcpu *pcpu, struct area_map_chunk *chunk,
				int slot)
{
	struct list_head *link = &chunk->chunk.list;
	bool front = slot > chunk->slot;

	if (front)
		list_move(link, &pcpu->slots[slot]);
	else
		list_move_tail(link, &pcpu->slots[slot]);
	if (unlikely(chunk->group))
		leave_seat(pcpu, chunk);
	if (unlikely(!list_empty(&pcpu->slot_groups[slot])))
		take_seat(pcpu, chunk, slot, front);
	chunk->slot = slot;
	/* the bit of an empty slot is cleared when the slot is next walked */
	pcpu->slot_mask |= (uint32_t)1 << slot;
}

/* put the chunks of a slot into groups, or into fewer groups */
noinline void pcpu_make_groups(struct pcpu *pcpu, int slot)
{
	struct list_head *pos;

	list_for_each(pos, &pcpu->slots[slot]) {
		struct area_map_chunk *chunk =
			list_entry(pos, struct area_map_chunk, chunk.list);

		if (chunk->group)
			leave_seat(pcpu, chunk);
	}
	list_for_each(pos, &pcpu->slots[slot])
		take_seat(pcpu, list_entry(pos, struct area_map_chunk,
					   chunk.list), slot, false);
}

/* add a new chunk, whose map has its size and hint, to its slot */
void pcpu_slot_add(struct pcpu *pcpu, struct area_map_chunk *chunk)
{
	list_add(&chunk->spare.list, &pcpu->spare_groups);
	chunk->slot = -1;
	pcpu_move_to_slot(pcpu, chunk, pcpu_chunk_slot(pcpu, &chunk->map));
}

/**
 * pcpu_slot_remove - remove a chunk from its slot
 * @chunk: perhaps never added
 *
 * If other chunks are in the group that it brought, they move to a spare one.
 */
void pcpu_slot_remove(struct pcpu *pcpu, struct area_map_chunk *chunk)
{
	struct pcpu_group *group = &chunk->spare;
	struct pcpu_group *other;
	uint32_t seats;

	list_del(&chunk->chunk.list);
	if (chunk->group)
		leave_seat(pcpu, chunk);
	if (!group->list.next)
		return;
	if (group->nr_chunks) {
		other = list_entry(pcpu->spare_groups.next, struct pcpu_group,
				   list);
		list_del(&other->list);
		*other = *group;
		list_add(&other->list, &group->list);
		for (seats = other->seats; seats; seats &= seats - 1)
			other->chunk[__builtin_ctz(seats)]->group = other;
	}
	list_del(&group->list);
}
