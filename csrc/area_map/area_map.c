// SPDX-License-Identifier: GPL-2.0-only
/*
 * area_map.c - the policy of 2009: chunks, memory for their maps, and areas.
 */
#include "area_map.h"

#include "chunk.h"

#define PCPU_DFL_MAP_ALLOC	16	/* entries that a map starts with */

/**
 * area_map_geometry - sizes and counts that depend on the policy
 * @geo: unit_size is set; nr_slots and policy_size are filled in
 */
void area_map_geometry(struct pcpu_geometry *geo)
{
	/* one more slot than sizes need: the last is for empty chunks */
	geo->nr_slots = __pcpu_size_to_slot(geo->unit_size) + 2;
	geo->policy_size = sizeof(struct area_map_chunk) +
			   (size_t)pcpu_nr_bounds(geo->unit_size) *
				   sizeof(int);
}

/* --- memory for maps */

/* up to a page comes from kmalloc, more from vmalloc */
static bool is_small(const struct pcpu *pcpu, int map_alloc)
{
	return (int64_t)map_alloc * AREA_MAP_ENTRY_SIZE <= pcpu->geo.page_size;
}

static void free_room(struct pcpu *pcpu, uint32_t *room, int map_alloc)
{
	if (is_small(pcpu, map_alloc))
		fake_kfree(&pcpu->kernel, room);
	else
		fake_vfree(&pcpu->kernel, room);
}

/* move a map to new memory, with room for @map_alloc entries */
static noinline int pcpu_realloc(struct pcpu *pcpu, struct pcpu_area_map *map,
				 int map_alloc)
{
	uint32_t *room, *old_room = map->room;
	size_t size = ((size_t)map_alloc + PCPU_MAP_EXTRA + PCPU_MAP_BLOCK) *
		      sizeof(*room);
	bool small = is_small(pcpu, map_alloc);
	int old_alloc = map->map_alloc;

	room = small ? fake_kmalloc(&pcpu->kernel, size) :
		       fake_vmalloc(&pcpu->kernel, size);
	if (!room)
		return -(PCPU_E_NOMEM + (small ? PCPU_KMALLOC : PCPU_VMALLOC));
	pcpu_map_move(map, room, map_alloc);
	free_room(pcpu, old_room, old_alloc);
	return 0;
}

/* allocate a map, with its first entries */
static noinline int create_map(struct pcpu *pcpu, struct pcpu_area_map *map,
			       int static_size)
{
	int err = pcpu_realloc(pcpu, map, PCPU_DFL_MAP_ALLOC);

	if (!err)
		pcpu_map_start(map, static_size, map->free_size);
	return err;
}

/* the first chunk is set up before kmalloc works: its map comes when needed */
static int need_map(struct pcpu *pcpu, struct pcpu_area_map *map)
{
	return likely(map->room) ? 0 :
	       create_map(pcpu, map, pcpu->geo.static_size);
}

/* double the capacity if @extra more entries, one or two, do not fit */
static int grow_map(struct pcpu *pcpu, struct pcpu_area_map *map, int extra)
{
	int old = map->map_alloc;
	int err;

	if (likely(map->map_used + extra <= old))
		return 0;
	err = pcpu_realloc(pcpu, map, 2 * old);
	if (err)
		return err;
	pcpu_count(&pcpu->work->map_reallocations, 1);
	pcpu_count(&pcpu->work->bytes_moved, (int64_t)old * AREA_MAP_ENTRY_SIZE);
	return 0;
}

/* the hint of a chunk, bytes */
int area_map_hint(const struct pcpu_chunk *chunk)
{
	return chunk_map(chunk)->contig_hint;
}

/**
 * area_map_chunk_init - the policy's part of a new chunk; put it on a slot
 * @chunk: zeroed, except for what pcpu_init_chunk() sets
 * @static_size: bytes in use at the start, above 0 only in the first chunk
 * @free_size: free bytes after them
 *
 * Return: 0, or -(PCPU_E_NOMEM + service).
 */
int area_map_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int static_size, int free_size)
{
	struct area_map_chunk *self = to_area_map(chunk);
	int err;

	self->map.region_shift = pcpu_region_shift(pcpu->geo.unit_size);
	self->map.free_size = free_size;
	self->map.contig_hint = free_size;
	if (!static_size) {
		err = create_map(pcpu, &self->map, 0);
		if (err)
			return err;
	}
	self->slot = -1;
	pcpu_chunk_relocate(pcpu, self);
	return 0;
}

/* undo area_map_chunk_init(), also one that failed */
void area_map_chunk_exit(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	struct area_map_chunk *self = to_area_map(chunk);

	pcpu_slot_remove(pcpu, chunk);
	free_room(pcpu, self->map.room, self->map.map_alloc);
}

/* --- areas */

/* take a place that was found; @free_size is that of before the search */
static int take_fit(struct pcpu *pcpu, struct area_map_chunk *chunk,
		    const struct pcpu_fit *fit, int free_size)
{
	struct pcpu_area_map *map = &chunk->map;
	int extra = pcpu_fit_extra(fit);

	if (likely(extra)) {
		int err = grow_map(pcpu, map, extra);

		if (unlikely(err)) {
			/* not moved, but the 2009 file forgets its old slot */
			chunk->slot = pcpu_chunk_slot(pcpu, map);
			pcpu->nr_partial_failures += map->free_size != free_size;
			return err;
		}
		pcpu_count(&pcpu->work->entries_moved,
			   map->map_used - fit->index);
	}
	pcpu_map_take(map, fit);
	pcpu_chunk_relocate(pcpu, chunk);
	return 0;
}

/**
 * pcpu_alloc_area - allocate an area from one chunk
 * @size: bytes
 * @align: a power of two
 * @offset: set to its offset in each unit
 *
 * Pages are not populated.
 * Return: 0, PCPU_NO_SPACE, or -(PCPU_E_NOMEM + service) when the map could
 * not grow.
 */
flatten int pcpu_alloc_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int size,
		    int align, int *offset)
{
	struct area_map_chunk *self = to_area_map(chunk);
	struct pcpu_area_map *map = &self->map;
	int err = need_map(pcpu, map);
	struct pcpu_fit fit;
	int free_size;
	bool found;

	if (unlikely(err))
		return err;
	free_size = map->free_size;
	found = pcpu_map_fit(map, size, align, &fit);
	pcpu_count(&pcpu->work->entries_scanned, fit.index + found);
	if (unlikely(!found)) {
		pcpu_chunk_relocate(pcpu, self);
		return PCPU_NO_SPACE;
	}
	*offset = fit.offset;
	return take_fit(pcpu, self, &fit, free_size);
}

/**
 * area_map_take_at - allocate an area at a given place
 * @offset: bytes from the start of a unit
 * @size: bytes
 *
 * For a witness that follows a recording.  Small rests are treated as in
 * pcpu_alloc_area(): up to 3 free bytes before the area are added to the area
 * before it, up to 3 after the area to the area itself.  The contig hint stays
 * an upper bound.  No work of the 2009 file is counted as scanned.
 *
 * Pages are not populated.
 * Return: 0; PCPU_NO_SPACE: the place is not free, or not in the unit, or no
 * area is before it to take a small rest; -(PCPU_E_NOMEM + service): the map
 * could not grow.
 */
int area_map_take_at(struct pcpu *pcpu, struct pcpu_chunk *chunk, int offset,
		     int size)
{
	struct area_map_chunk *self = to_area_map(chunk);
	int err = need_map(pcpu, &self->map);
	int free_size = self->map.free_size;
	struct pcpu_fit fit;

	if (err)
		return err;
	if (!pcpu_map_fit_at(&self->map, offset, size, &fit))
		return PCPU_NO_SPACE;
	return take_fit(pcpu, self, &fit, free_size);
}

/**
 * area_map_find - find the area that starts at an offset
 * @offset: bytes from the start of a unit
 * @size: set to the bytes of the area
 *
 * Return: its index for pcpu_free_area(), valid until the chunk changes, or
 * -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, or -PCPU_E_WILD after the map's end.
 */
int area_map_find(const struct pcpu_chunk *chunk, int offset, int *size)
{
	const struct pcpu_area_map *map = chunk_map(chunk);
	int index;

	/* without a map no area was ever allocated here */
	if (!map->room)
		return -PCPU_E_NOT_LIVE;
	index = pcpu_map_find(map, offset);
	if (index >= 0)
		*size = pcpu_map_size(map, index);
	return index;
}

/**
 * pcpu_free_area - free an area of a chunk
 * @index: from area_map_find()
 *
 * Pages stay populated.
 */
void pcpu_free_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int index)
{
	struct area_map_chunk *self = to_area_map(chunk);

	pcpu_count(&pcpu->work->entries_scanned, index + 1);
	pcpu_count(&pcpu->work->entries_moved,
		   pcpu_map_release(&self->map, index));
	pcpu_chunk_relocate(pcpu, self);
}

/**
 * area_map_spare - find the chunk to destroy after a free
 * @chunk: the area was there
 *
 * Return: if @chunk is empty now, another empty one; else NULL.
 * Source: the end of free_percpu() of the 2009 file.
 */
struct pcpu_chunk *area_map_spare(struct pcpu *pcpu,
				  const struct pcpu_chunk *chunk)
{
	struct list_head *slot = &pcpu->slots[pcpu->geo.nr_slots - 1];
	struct list_head *pos;

	if (likely(chunk_map(chunk)->free_size != pcpu->geo.unit_size))
		return NULL;
	pcpu_count(&pcpu->work->slots_visited, 1);
	list_for_each(pos, slot) {
		pcpu_count(&pcpu->work->chunks_visited, 1);
		if (pos != &chunk->list)
			return list_entry(pos, struct pcpu_chunk, list);
	}
	return NULL;
}

/* --- what is in a chunk */

/**
 * area_map_next - find the first area at or after an offset
 * @offset: bytes from the start of a unit
 * @size: set to the bytes of the area
 *
 * Return: its offset, or -1.
 */
int area_map_next(const struct pcpu_chunk *chunk, int offset, int *size)
{
	const struct pcpu_area_map *map = chunk_map(chunk);
	int index = pcpu_map_next(map, offset);

	if (index == map->map_used)
		return -1;
	*size = pcpu_map_size(map, index);
	return pcpu_edge_offset(*pcpu_map_edge(map, index));
}

/**
 * area_map_describe - the policy's part of a snapshot
 * @info: free_size, contig_hint, map_alloc, map_used and map are filled in
 * @sizes: room for the map, info->map_used signed sizes; or NULL to ask how
 *	many
 */
void area_map_describe(const struct pcpu_chunk *chunk,
		       struct pcpu_chunk_info *info, int *sizes)
{
	const struct pcpu_area_map *map = chunk_map(chunk);

	info->free_size = map->free_size;
	info->contig_hint = map->contig_hint;
	info->map_alloc = map->map_alloc;
	info->map_used = map->map_used;
	info->map = sizes;
	if (sizes)
		pcpu_map_sizes(map, sizes);
}
