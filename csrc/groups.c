// SPDX-License-Identifier: GPL-2.0-only
/*
 * groups.c - the chunks of a long slot, in groups.
 *
 * A walk compares the hint of each chunk of a slot with the request.  With many
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

/**
 * pcpu_groups_init - prepare a new allocator
 * @hint: returns the policy's hint of a chunk
 */
__cold void pcpu_groups_init(struct pcpu *pcpu,
		      int (*hint)(const struct pcpu_chunk *chunk))
{
	int slot;

	pcpu->chunk_hint = hint;
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

static void take_seat(struct pcpu *pcpu, struct pcpu_chunk *chunk, int slot,
		      bool front)
{
	struct pcpu_group *group = end_group(pcpu, slot, front, &chunk->seat);

	group->seats |= (uint32_t)1 << chunk->seat;
	group->nr_chunks++;
	group->chunk[chunk->seat] = chunk;
	chunk->group = group;
	pcpu_group_update(chunk, pcpu->chunk_hint(chunk));
}

/* the group knows of the change that lets the chunk leave */
static void leave_seat(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	struct pcpu_group *group = chunk->group;

	group->seats &= ~((uint32_t)1 << chunk->seat);
	if (!--group->nr_chunks)
		list_move(&group->list, &pcpu->spare_groups);
	chunk->group = NULL;
}

/* after a move to one end of a slot */
static noinline void change_seat(struct pcpu *pcpu, struct pcpu_chunk *chunk,
				 int slot, bool front)
{
	if (chunk->group)
		leave_seat(pcpu, chunk);
	if (!list_empty(&pcpu->slot_groups[slot]))
		take_seat(pcpu, chunk, slot, front);
}

/**
 * pcpu_move_to_slot - move a chunk to a slot
 * @slot: perhaps the one that it is on
 * @front: to the front of its list, or to the back
 */
noinline void pcpu_move_to_slot(struct pcpu *pcpu, struct pcpu_chunk *chunk,
				int slot, bool front)
{
	if (front)
		list_move(&chunk->list, &pcpu->slots[slot]);
	else
		list_move_tail(&chunk->list, &pcpu->slots[slot]);
	/* the bit of an empty slot is cleared when the slot is next walked */
	pcpu->slot_mask |= (uint32_t)1 << slot;
	if (unlikely(chunk->group || !list_empty(&pcpu->slot_groups[slot])))
		change_seat(pcpu, chunk, slot, front);
}

/* put the chunks of a slot into groups, or into fewer groups */
__cold void pcpu_make_groups(struct pcpu *pcpu, int slot)
{
	struct list_head *pos;

	list_for_each(pos, &pcpu->slots[slot]) {
		struct pcpu_chunk *chunk =
			list_entry(pos, struct pcpu_chunk, list);

		if (chunk->group)
			leave_seat(pcpu, chunk);
	}
	list_for_each(pos, &pcpu->slots[slot])
		take_seat(pcpu, list_entry(pos, struct pcpu_chunk, list), slot,
			  false);
}

/**
 * pcpu_end_walk - make the groups of a slot, if the walk along it was too long
 * @visited: chunks that it visited one by one, since there were no groups
 * @free_seats: sum of pcpu_group_free_seats() of the groups that it passed
 */
void pcpu_end_walk(struct pcpu *pcpu, int slot, int visited, int free_seats)
{
	if (unlikely(visited > PCPU_SHORT_SLOT ||
		     free_seats > 4 * PCPU_GROUP_SEATS))
		pcpu_make_groups(pcpu, slot);
}

/* make the group of a new chunk a spare one */
void pcpu_group_add(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	list_add(&chunk->spare.list, &pcpu->spare_groups);
}

/**
 * pcpu_slot_remove - remove a chunk from its slot
 * @chunk: perhaps on none
 *
 * If other chunks are in the group that it brought, they move to a spare one.
 */
void pcpu_slot_remove(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	struct pcpu_group *group = &chunk->spare;
	struct pcpu_group *other;
	uint32_t seats;

	list_del(&chunk->list);
	if (chunk->group)
		leave_seat(pcpu, chunk);
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
