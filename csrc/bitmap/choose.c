// SPDX-License-Identifier: GPL-2.0-only
/*
 * choose.c - which chunk serves a request, and where; take it, and free it.
 *
 * Source: pcpu_alloc() and free_percpu() of mm/percpu.c, Linux 5.14 to 6.x, by
 * Tejun Heo, Dennis Zhou and Roman Gushchin.
 */
#include "bitmap.h"
#include "pages.h"

/* chunks in lower slots that fail a fit move to slot 0 */
#define PCPU_SLOT_FAIL_THRESHOLD	3

struct bitmap_request {
	int bits;		/* granules */
	int align;		/* in granules */
	bool atomic;		/* only in populated pages */
};

/* a place for an area */
struct choice {
	struct bitmap_chunk *chunk; /* its chunk */
	int start;		/* its first granule */
	struct pcpu_skipped skipped; /* what the search learnt */
};

static void count_read(struct pcpu *pcpu, struct bitmap_chunk *chunk)
{
	pcpu_count(&pcpu->work->entries_scanned, chunk->areas.nr_read);
	chunk->areas.nr_read = 0;
}

/* look for a place in one chunk; a chunk of a low slot that fails is moved */
static bool choose_in(struct pcpu *pcpu, struct bitmap_chunk *chunk, int slot,
		      const struct bitmap_request *request, struct choice *choice)
{
	int at = pcpu_find_block_fit(&chunk->areas, request->bits,
				     request->align, request->atomic);

	choice->start = -1;
	if (at >= 0) {
		choice->chunk = chunk;
		choice->start = pcpu_find_zero_area(&chunk->areas, at,
						    request->bits,
						    request->align,
						    &choice->skipped);
	} else if (slot < PCPU_SLOT_FAIL_THRESHOLD) {
		bitmap_move(pcpu, chunk, 0, true);
	}
	pcpu_count(&pcpu->work->chunks_visited, 1);
	count_read(pcpu, chunk);
	return choice->start >= 0;
}

/* look for a place in the chunks of a group; those whose hints are too small fail */
static bool choose_in_group(struct pcpu *pcpu, struct pcpu_group *group,
			    int slot, const struct bitmap_request *request,
			    struct choice *choice)
{
	uint32_t seats = group->seats;
	int largest = 0;

	for (; seats; seats &= seats - 1) {
		int seat = __builtin_ctz(seats);
		int hint = group->hint[seat];

		if (request->bits > hint)
			pcpu_count(&pcpu->work->chunks_visited, 1);
		else if (choose_in(pcpu, to_bitmap(group->chunk[seat]), slot,
				   request, choice))
			return true;
		if (largest < hint)
			largest = hint;
	}
	group->largest = largest;
	return false;
}

/* look for a place in the groups of a slot, whose chunks stay when they fail */
static bool choose_in_groups(struct pcpu *pcpu, int slot,
			     const struct bitmap_request *request,
			     struct choice *choice)
{
	bool found = false;
	struct list_head *pos;
	int free_seats = 0;

	list_for_each(pos, &pcpu->slot_groups[slot]) {
		struct pcpu_group *group =
			list_entry(pos, struct pcpu_group, list);

		free_seats += pcpu_group_free_seats(group);
		if (request->bits > group->largest) {
			pcpu_count(&pcpu->work->chunks_visited,
				   group->nr_chunks);
			continue;
		}
		found = choose_in_group(pcpu, group, slot, request, choice);
		if (found)
			break;
	}
	pcpu_end_walk(pcpu, slot, 0, free_seats);
	return found;
}

/* look for a place in the chunks of a slot */
static bool choose_in_slot(struct pcpu *pcpu, int slot,
			   const struct bitmap_request *request,
			   struct choice *choice)
{
	struct list_head *pos, *next;
	bool found = false;
	int visited = 0;

	if (!list_empty(&pcpu->slot_groups[slot]))
		return choose_in_groups(pcpu, slot, request, choice);
	list_for_each_safe(pos, next, &pcpu->slots[slot]) {
		struct pcpu_chunk *chunk =
			list_entry(pos, struct pcpu_chunk, list);

		visited++;
		found = choose_in(pcpu, to_bitmap(chunk), slot, request,
				  choice);
		if (found)
			break;
	}
	if (slot >= PCPU_SLOT_FAIL_THRESHOLD)
		pcpu_end_walk(pcpu, slot, visited, 0);
	return found;
}

/* the first chunk with a place, from the request's slot upwards */
static bool walk_slots(struct pcpu *pcpu, const struct bitmap_request *request,
		       struct choice *choice)
{
	int first = bitmap_size_to_slot(pcpu, request->bits *
					      PCPU_MIN_ALLOC_SIZE);
	uint32_t slots = pcpu->slot_mask & ~0u << first &
			 ~(~0u << pcpu_to_depopulate_slot(pcpu));

	for (; slots; slots &= slots - 1) {
		int slot = __builtin_ctz(slots);

		if (choose_in_slot(pcpu, slot, request, choice)) {
			pcpu_count(&pcpu->work->slots_visited,
				   slot - first + 1);
			return true;
		}
		if (list_empty(&pcpu->slots[slot]))
			pcpu->slot_mask &= ~(slots & -slots);
	}
	pcpu_count(&pcpu->work->slots_visited,
		   pcpu_to_depopulate_slot(pcpu) - first);
	return false;
}

/* a place in a chunk, perhaps in a new one; or an error */
static int choose(struct pcpu *pcpu, const struct bitmap_request *request,
		  bool reserved, struct choice *choice)
{
	int error;

	if (reserved && pcpu->reserved_chunk)
		return choose_in(pcpu, to_bitmap(pcpu->reserved_chunk),
				 PCPU_SLOT_FAIL_THRESHOLD, request, choice) ?
		       0 : -PCPU_E_NO_PLACE;
	while (!walk_slots(pcpu, request, choice)) {
		if (request->atomic)
			return -PCPU_E_NO_PLACE;
		if (!pcpu_create_chunk(pcpu, &error))
			return error;
	}
	return 0;
}

/* after granules were taken or freed: the slot, and what is known of both */
static void update(struct pcpu *pcpu, struct bitmap_chunk *chunk, int old_slot,
		   int old_hidden)
{
	if (unlikely(chunk->chunk.group))
		pcpu_group_update(&chunk->chunk, bitmap_hint(&chunk->chunk));
	bitmap_relocate(pcpu, chunk, old_slot);
	pcpu->hidden_bytes += bitmap_hidden(chunk) - old_hidden;
	count_read(pcpu, chunk);
}

/* take a place; the chunk is in use again, if it was isolated */
static void take_place(struct pcpu *pcpu, const struct choice *choice, int bits)
{
	struct bitmap_chunk *chunk = choice->chunk;
	int slot = bitmap_chunk_slot(pcpu, chunk);
	int hidden = bitmap_hidden(chunk);
	int less = pcpu_areas_take(&chunk->areas, choice->start, bits,
				   &choice->skipped);

	pcpu_update_empty_pages(pcpu, chunk, -less);
	update(pcpu, chunk, slot, hidden);
	pcpu_reintegrate_chunk(pcpu, chunk);
}

/* free the granules of an area */
static void release_area(struct pcpu *pcpu, struct bitmap_chunk *chunk,
			 int start, int bits)
{
	int slot = bitmap_chunk_slot(pcpu, chunk);
	int hidden = bitmap_hidden(chunk);

	pcpu_update_empty_pages(pcpu, chunk,
				pcpu_areas_release(&chunk->areas, start, bits));
	update(pcpu, chunk, slot, hidden);
}

/* take a place, with its pages; or return an error */
static int commit(struct pcpu *pcpu, const struct bitmap_request *request,
		  const struct choice *choice)
{
	int offset = choice->start * PCPU_MIN_ALLOC_SIZE;
	int err = 0;

	take_place(pcpu, choice, request->bits);
	if (!request->atomic)
		err = bitmap_populate_area(pcpu, choice->chunk, offset,
					   request->bits * PCPU_MIN_ALLOC_SIZE);
	if (err)
		release_area(pcpu, choice->chunk, choice->start, request->bits);
	else
		bitmap_check_low(pcpu);
	return err;
}

static bool place_is_free(const struct bitmap_chunk *chunk, int start, int bits)
{
	return start >= chunk->start && start + bits <= chunk->end &&
	       bits_next(chunk->areas.alloc_map, start, start + bits, true) ==
		       start + bits;
}

static struct bitmap_chunk *chunk_by_id(struct pcpu *pcpu, int64_t id)
{
	struct rb_node *node = fake_rb_first(&pcpu->chunks);

	while (node && pcpu_rb_chunk(node)->id != id)
		node = fake_rb_next(node);
	return node ? to_bitmap(pcpu_rb_chunk(node)) : NULL;
}

/* the chunk that a kernel chose; the next one is made if need be */
static int find_or_create(struct pcpu *pcpu, int64_t id,
			  struct bitmap_chunk **chunk)
{
	int err;

	*chunk = chunk_by_id(pcpu, id);
	if (!*chunk && id == pcpu->nr_created + 1) {
		if (!pcpu_create_chunk(pcpu, &err))
			return err;
		*chunk = chunk_by_id(pcpu, id);
	}
	return *chunk ? 0 : -PCPU_E_WILD;
}

/* note the policy's choice, and put the kernel's in its stead */
static int follow_kernel(struct pcpu *pcpu,
			 const struct bitmap_request *request,
			 struct pcpu_follow *follow, int err,
			 struct choice *choice)
{
	struct pcpu_choice *chosen = follow->chosen;
	struct bitmap_chunk *chunk;
	bool found = !err;
	int start;

	*chosen = (struct pcpu_choice){
		.chunk = err ? 0 : choice->chunk->chunk.id,
		.offset = err ? err : choice->start * PCPU_MIN_ALLOC_SIZE,
		.offset_there = -PCPU_E_NO_PLACE,
	};
	if (!follow->kernel)
		return -PCPU_E_NO_PLACE;
	err = find_or_create(pcpu, follow->kernel->chunk, &chunk);
	if (err)
		return err;
	/* neither the first chunk nor the reserved one */
	chosen->learnt = follow->learn && found && choice->chunk != chunk &&
			 choice->chunk->chunk.id > 0 &&
			 !choice->chunk->isolated;
	if (chosen->learnt) {
		pcpu_isolate_chunk(pcpu, choice->chunk);
		bitmap_move(pcpu, choice->chunk, pcpu_sidelined_slot(pcpu),
			    false);
	}
	/* what the search in the kernel's chunk finds and learns */
	if (choice->chunk != chunk) {
		choice->skipped.bits = 0;
		found = choose_in(pcpu, chunk, PCPU_SLOT_FAIL_THRESHOLD,
				  request, choice);
	}
	chosen->offset_there = found ? choice->start * PCPU_MIN_ALLOC_SIZE :
				       -PCPU_E_NO_PLACE;
	start = (int)(follow->kernel->offset / PCPU_MIN_ALLOC_SIZE);
	if (follow->kernel->offset % PCPU_MIN_ALLOC_SIZE ||
	    !place_is_free(chunk, start, request->bits))
		return -PCPU_E_NO_PLACE;
	choice->chunk = chunk;
	choice->start = start;
	/* where a kernel places it, the pages are populated */
	return bitmap_populate_area(pcpu, chunk, (int)follow->kernel->offset,
				    request->bits * PCPU_MIN_ALLOC_SIZE);
}

/**
 * bitmap_alloc - allocate an area, with its pages
 * @size: bytes, whole granules
 * @align: bytes, whole granules, a power of two
 * @flags: PCPU_ATOMIC, PCPU_RESERVED
 * @follow: what a kernel chose; or NULL
 * @offset: set to its offset in the chunk
 * @error: set to the reason if NULL is returned
 *
 * Return: the chunk, or NULL with -PCPU_E_NO_PLACE for a request that is not
 * allowed to make one, or if the kernel's place is not free; -PCPU_E_MAPPINGS,
 * or -(PCPU_E_NOMEM + service).
 */
struct pcpu_chunk *bitmap_alloc(struct pcpu *pcpu, int size, int align,
				unsigned int flags, struct pcpu_follow *follow,
				int *offset, int *error)
{
	struct bitmap_request request = {
		.bits = size / PCPU_MIN_ALLOC_SIZE,
		.align = align / PCPU_MIN_ALLOC_SIZE,
		.atomic = flags & PCPU_ATOMIC,
	};
	struct choice choice = { .chunk = NULL };
	int err;

	err = choose(pcpu, &request, flags & PCPU_RESERVED, &choice);
	if (follow)
		err = follow_kernel(pcpu, &request, follow, err, &choice);
	if (!err)
		err = commit(pcpu, &request, &choice);
	if (!err) {
		*offset = choice.start * PCPU_MIN_ALLOC_SIZE;
		return &choice.chunk->chunk;
	}
	if (request.atomic) {
		pcpu->atomic_alloc_failed = true;
		pcpu_schedule_balance_work(pcpu);
	}
	*error = err;
	return NULL;
}

/**
 * bitmap_free - free the area that starts at an offset
 * @offset: for which bitmap_find() returns 0
 * @size: bytes, from there
 */
void bitmap_free(struct pcpu *pcpu, struct pcpu_chunk *chunk, int offset,
		 int size)
{
	struct bitmap_chunk *self = to_bitmap(chunk);

	release_area(pcpu, self, offset / PCPU_MIN_ALLOC_SIZE,
		     size / PCPU_MIN_ALLOC_SIZE);
	bitmap_check_high(pcpu, self);
}
