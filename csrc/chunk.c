// SPDX-License-Identifier: GPL-2.0-only
/*
 * chunk.c - a chunk's life; the slot lists; the address tree.
 *
 * Slots sort the chunks by free size, a power of two each, so that allocation
 * can try the fullest chunk first and drain the others.  Slot 0 is for chunks
 * with nothing to give, the last slot for empty ones:
 *
 *	slot	0	1	2	3	...	14	15
 *	free	none	4-15	16-31	32-63	...	64K-	all
 */
#include "chunk.h"

#include <string.h>

#include "kernel/slab.h"
#include "populate.h"
#include "report.h"

#define DEFAULT_MAP_ENTRIES	16	/* capacity that a map starts with */

noinline void pcpu_chunk_move(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			      int slot)
{
	if (slot > chunk->slot)
		list_move(&chunk->list, &pcpu->slots[slot]);
	else
		list_move_tail(&chunk->list, &pcpu->slots[slot]);
	chunk->slot = slot;
	/* a bit is taken away when its list is next looked at */
	pcpu->slots_in_use |= (uint32_t)1 << slot;
}

struct pcpu_chunk *pcpu_chunk_addr_search(struct pcpu *pcpu, uint64_t addr,
					  int *steps)
{
	struct rb_node *node = pcpu->chunks.node;
	struct pcpu_chunk *best = NULL;

	/* the chunk with the highest start that is not beyond @addr */
	*steps = 0;
	while (node) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(node);

		++*steps;
		if (addr < chunk->addr) {
			node = node->left;
			continue;
		}
		best = chunk;
		if (addr == chunk->addr)
			break;
		node = node->right;
	}
	if (!best || addr - best->addr >= (uint64_t)pcpu->geo.chunk_size)
		return NULL;
	return best;
}

void pcpu_chunk_addr_insert(struct pcpu *pcpu, struct pcpu_chunk *new)
{
	struct rb_node **link = &pcpu->chunks.node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->addr < pcpu_rb_chunk(parent)->addr)
			link = &parent->left;
		else
			link = &parent->right;
		pcpu_count(&pcpu->work->tree_steps, 1);
	}
	fake_rb_insert(&pcpu->chunks, &new->rb_node, parent, link);
}

/* up to a page comes from kmalloc, more from vmalloc, as in pcpu_realloc() */
static bool is_small(const struct pcpu *pcpu, int capacity)
{
	return (int64_t)capacity * PCPU_MAP_ENTRY_SIZE <= pcpu->geo.page_size;
}

static void map_room_free(struct pcpu *pcpu, uint32_t *room, int capacity)
{
	if (is_small(pcpu, capacity))
		fake_kfree(&pcpu->kernel, room);
	else
		fake_vfree(&pcpu->kernel, room);
}

/* give a map room for @capacity entries: always a new block */
static noinline int map_resize(struct pcpu *pcpu, struct pcpu_area_map *map,
			       int capacity)
{
	uint32_t *room, *old_room = map->room;
	size_t size = ((size_t)capacity + PCPU_MAP_EXTRA) * sizeof(*room);
	bool small = is_small(pcpu, capacity);
	int old_capacity = map->capacity;

	room = small ? fake_kmalloc(&pcpu->kernel, size) :
		       fake_vmalloc(&pcpu->kernel, size);
	if (!room)
		return -(PCPU_E_NOMEM + (small ? PCPU_KMALLOC : PCPU_VMALLOC));
	pcpu_map_move(map, room, capacity);
	map_room_free(pcpu, old_room, old_capacity);
	return 0;
}

/* the first chunk is born before kmalloc works: it gets its map when needed */
static noinline int give_first_map(struct pcpu *pcpu, struct pcpu_area_map *map)
{
	int err = map_resize(pcpu, map, DEFAULT_MAP_ENTRIES);

	if (err)
		return err;
	pcpu_map_start(map, pcpu->geo.static_size, map->free_size);
	return 0;
}

/* double the capacity when @extra more entries, one or two, do not fit */
static int map_grow(struct pcpu *pcpu, struct pcpu_area_map *map, int extra)
{
	int old = map->capacity;
	int err;

	if (likely(map->used + extra <= old))
		return 0;
	err = map_resize(pcpu, map, 2 * old);
	if (err)
		return err;
	pcpu_count(&pcpu->work->map_reallocations, 1);
	pcpu_count(&pcpu->work->bytes_moved,
		   (int64_t)old * PCPU_MAP_ENTRY_SIZE);
	return 0;
}

int pcpu_alloc_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int size,
		    int align, int *offset)
{
	struct pcpu_area_map *map = &chunk->map;
	struct pcpu_fit fit;
	int free_size, extra, err;
	bool found;

	if (unlikely(!map->edge)) {
		err = give_first_map(pcpu, map);
		if (err)
			return err;
	}

	free_size = map->free_size;
	found = pcpu_map_fit(map, size, align, &fit);
	pcpu_count(&pcpu->work->entries_scanned, fit.index + found);
	if (unlikely(!found)) {
		pcpu_chunk_relocate(pcpu, chunk);
		return PCPU_NO_SPACE;
	}
	extra = pcpu_fit_extra(&fit);
	if (likely(extra)) {
		err = map_grow(pcpu, map, extra);
		if (unlikely(err)) {
			/* it stays on its list, but 2009 forgets that */
			chunk->slot = pcpu_chunk_slot(pcpu, chunk);
			pcpu->nr_half_done += map->free_size != free_size;
			return err;
		}
		pcpu_count(&pcpu->work->entries_moved, map->used - fit.index);
	}
	pcpu_map_take(map, &fit);
	pcpu_chunk_relocate(pcpu, chunk);
	*offset = fit.offset;
	return 0;
}

void pcpu_free_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int index)
{
	pcpu_count(&pcpu->work->entries_scanned, index + 1);
	pcpu_count(&pcpu->work->entries_moved,
		   pcpu_map_release(&chunk->map, index));
	pcpu_chunk_relocate(pcpu, chunk);
}

/* free a chunk that is on no list and in no tree */
static void chunk_free(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	if (chunk->vm)
		fake_free_vm_area(&pcpu->kernel, chunk->vm);
	map_room_free(pcpu, chunk->map.room, chunk->map.capacity);
	fake_kfree(&pcpu->kernel, chunk);
}

noinline struct pcpu_chunk *pcpu_chunk_create(struct pcpu *pcpu, int *error)
{
	int unit_size = pcpu->geo.unit_size;
	struct pcpu_chunk *chunk;
	struct pcpu_area_map *map;

	chunk = fake_kzalloc(&pcpu->kernel, pcpu->geo.chunk_struct_size);
	if (!chunk) {
		*error = -(PCPU_E_NOMEM + PCPU_KMALLOC);
		return NULL;
	}
	list_init(&chunk->list);

	map = &chunk->map;
	*error = map_resize(pcpu, map, DEFAULT_MAP_ENTRIES);
	if (*error) {
		chunk_free(pcpu, chunk);
		return NULL;
	}
	pcpu_map_start(map, 0, unit_size);
	map->free_size = unit_size;
	map->contig_hint = unit_size;

	chunk->vm = fake_get_vm_area(&pcpu->kernel,
				     (uint64_t)pcpu->geo.chunk_size);
	if (!chunk->vm) {
		chunk_free(pcpu, chunk);
		*error = -(PCPU_E_NOMEM + PCPU_GET_VM_AREA);
		return NULL;
	}

	chunk->addr = chunk->vm->addr;
	chunk->id = ++pcpu->nr_created;
	pcpu->nr_chunks++;
	if (pcpu->nr_chunks > pcpu->max_chunks)
		pcpu->max_chunks = pcpu->nr_chunks;
	chunk->slot = -1;
	pcpu_chunk_relocate(pcpu, chunk);
	pcpu_chunk_addr_insert(pcpu, chunk);
	pcpu_tell(pcpu, PCPU_EVENT_CREATE_CHUNK, chunk, 0, 0, 0);
	return chunk;
}

noinline void pcpu_kill_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	fake_warn_on(&pcpu->kernel, chunk->immutable,
		     "an immutable chunk is killed");
	pcpu_tell(pcpu, PCPU_EVENT_DESTROY_CHUNK, chunk, 0, 0, 0);
	pcpu_depopulate_chunk(pcpu, chunk, 0, pcpu->geo.unit_pages, false);
	list_del(&chunk->list);
	fake_rb_erase(&pcpu->chunks, &chunk->rb_node);
	chunk_free(pcpu, chunk);
	pcpu->nr_chunks--;
	pcpu->nr_destroyed++;
}
