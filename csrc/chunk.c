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

#define DEFAULT_MAP_ENTRIES	16	/* capacity that a map starts with */

void pcpu_chunk_relocate(struct pcpu *pcpu, struct pcpu_chunk *chunk, int oslot)
{
	int nslot = pcpu_chunk_slot(pcpu, chunk);

	if (nslot == oslot)
		return;
	if (nslot > oslot)
		list_move(&chunk->list, &pcpu->slots[nslot]);
	else
		list_move_tail(&chunk->list, &pcpu->slots[nslot]);
	/* a bit is taken away when its list is next looked at */
	pcpu->slots_in_use |= (uint32_t)1 << nslot;
}

struct pcpu_chunk *pcpu_chunk_addr_search(struct pcpu *pcpu, uint64_t addr)
{
	struct rb_node *node = pcpu->chunks.node;
	struct pcpu_chunk *best = NULL;

	/* the chunk with the highest start that is not beyond @addr */
	while (node) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(node);

		if (addr < chunk->vm->addr) {
			node = node->left;
		} else {
			best = chunk;
			node = node->right;
		}
	}
	if (!best || addr - best->vm->addr >= (uint64_t)pcpu->geo.chunk_size)
		return NULL;
	return best;
}

void pcpu_chunk_addr_insert(struct pcpu *pcpu, struct pcpu_chunk *new)
{
	struct rb_node **link = &pcpu->chunks.node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->vm->addr < pcpu_rb_chunk(parent)->vm->addr)
			link = &parent->left;
		else
			link = &parent->right;
	}
	fake_rb_insert(&pcpu->chunks, &new->rb_node, parent, link);
}

/*
 * Give a map room for @capacity entries, 0 to free it.  Up to a page comes
 * from kmalloc, more from vmalloc; always a new block, as in pcpu_realloc().
 */
static int map_resize(struct pcpu *pcpu, struct pcpu_area_map *map,
		      int capacity)
{
	struct fake_kernel *kernel = &pcpu->kernel;
	size_t page = (size_t)pcpu->geo.page_size;
	size_t old_size = (size_t)map->capacity * sizeof(*map->entry);
	size_t new_size = (size_t)capacity * sizeof(*map->entry);
	bool small = new_size <= page;
	int *entry = small ? fake_kmalloc(kernel, new_size) :
			     fake_vmalloc(kernel, new_size);

	if (!entry)
		return -(PCPU_E_NOMEM + (small ? PCPU_KMALLOC : PCPU_VMALLOC));
	if (map->entry && capacity)
		memcpy(entry, map->entry,
		       (size_t)map->used * sizeof(*map->entry));
	if (old_size <= page)
		fake_kfree(kernel, map->entry);
	else
		fake_vfree(kernel, map->entry);
	map->entry = entry;
	map->capacity = capacity;
	return 0;
}

/* the first chunk is born before kmalloc works: it gets its map when needed */
static int give_first_map(struct pcpu *pcpu, struct pcpu_area_map *map)
{
	int err = map_resize(pcpu, map, DEFAULT_MAP_ENTRIES);

	if (err)
		return err;
	map->entry[map->used++] = -pcpu->geo.static_size;
	if (map->free_size)
		map->entry[map->used++] = map->free_size;
	return 0;
}

/* double the capacity until @room entries fit */
static int map_grow(struct pcpu *pcpu, struct pcpu_area_map *map, int room)
{
	int capacity = map->capacity;

	while (capacity < room)
		capacity *= 2;
	return capacity == map->capacity ? 0 : map_resize(pcpu, map, capacity);
}

int pcpu_alloc_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int size,
		    int align, int *offset)
{
	struct pcpu_area_map *map = &chunk->map;
	int oslot = pcpu_chunk_slot(pcpu, chunk);
	struct pcpu_fit fit;
	int free_size, err;

	if (unlikely(!map->entry)) {
		err = give_first_map(pcpu, map);
		if (err)
			return err;
	}

	free_size = map->free_size;
	if (!pcpu_map_fit(map, size, align, &fit)) {
		pcpu_chunk_relocate(pcpu, chunk, oslot);
		return PCPU_NO_SPACE;
	}
	err = map_grow(pcpu, map, pcpu_map_room(map, &fit));
	if (err) {
		pcpu->nr_half_done += map->free_size != free_size;
		return err;
	}
	*offset = pcpu_map_take(map, &fit);
	pcpu_chunk_relocate(pcpu, chunk, oslot);
	return 0;
}

void pcpu_free_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int index)
{
	int oslot = pcpu_chunk_slot(pcpu, chunk);

	pcpu_map_release(&chunk->map, index);
	pcpu_chunk_relocate(pcpu, chunk, oslot);
}

/* free a chunk that is on no list and in no tree */
static void chunk_free(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	if (chunk->vm)
		fake_free_vm_area(&pcpu->kernel, chunk->vm);
	if (chunk->map.entry)
		map_resize(pcpu, &chunk->map, 0);
	fake_kfree(&pcpu->kernel, chunk);
}

struct pcpu_chunk *pcpu_chunk_create(struct pcpu *pcpu, int *error)
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
	map->entry[map->used++] = unit_size;
	map->free_size = unit_size;
	map->contig_hint = unit_size;

	chunk->vm = fake_get_vm_area(&pcpu->kernel,
				     (uint64_t)pcpu->geo.chunk_size);
	if (!chunk->vm) {
		chunk_free(pcpu, chunk);
		*error = -(PCPU_E_NOMEM + PCPU_GET_VM_AREA);
		return NULL;
	}

	chunk->id = ++pcpu->nr_created;
	pcpu->nr_chunks++;
	pcpu_chunk_relocate(pcpu, chunk, -1);
	pcpu_chunk_addr_insert(pcpu, chunk);
	return chunk;
}

void pcpu_kill_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	fake_warn_on(&pcpu->kernel, chunk->immutable,
		     "an immutable chunk is killed");
	pcpu_depopulate_chunk(pcpu, chunk, 0, pcpu->geo.unit_pages, false);
	list_del(&chunk->list);
	fake_rb_erase(&pcpu->chunks, &chunk->rb_node);
	chunk_free(pcpu, chunk);
	pcpu->nr_chunks--;
	pcpu->nr_destroyed++;
}
