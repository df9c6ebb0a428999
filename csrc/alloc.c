// SPDX-License-Identifier: GPL-2.0-only
/*
 * alloc.c - allocate and free: start reading here.
 *
 * The outermost functions take the allocator's lock.  What the 2009 file
 * asserts about its callers is checked before anything changes.
 */
#include "area_map/area_map.h"

/**
 * pcpu_check_request - check that a size and an alignment can be served
 * @size: bytes
 * @align: bytes
 *
 * Warns where the 2009 file does.
 * Return: 0, -PCPU_E_SIZE or -PCPU_E_ALIGN.
 */
int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align)
{
	int max_size = pcpu->geo.min_unit_size;
	int page = pcpu->geo.page_size;

	if (likely(size >= 1 && size <= max_size && align <= page &&
		   pcpu_is_power_of_two(align)))
		return 0;

	/* the 2009 file warned about some, and the rest caused damage */
	if (size < 1 || size > max_size || align < 0 || align > page)
		fake_warn(&pcpu->kernel,
			  "illegal size or align for percpu allocation");
	return size < 1 || size > max_size ? -PCPU_E_SIZE : -PCPU_E_ALIGN;
}

/* allocate an area in a chunk that has a place, or in a new one */
static struct pcpu_chunk *alloc_area(struct pcpu *pcpu, int size, int align,
				     int *offset, int *error)
{
	struct pcpu_chunk *chunk;

	chunk = area_map_alloc(pcpu, size, align, offset, error);
	if (chunk || *error != PCPU_NO_SPACE)
		return chunk;
	chunk = pcpu_create_chunk(pcpu, error);
	if (!chunk)
		return NULL;
	*error = pcpu_alloc_area(pcpu, chunk, size, align, offset);
	return *error ? NULL : chunk;
}

/* count a new area; new extremes of the size are rare */
static inline void count_area(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			      int64_t size)
{
	pcpu->nr_areas++;
	if (unlikely(size < pcpu->min_size))
		pcpu->min_size = size;
	if (unlikely(size > chunk->max_size)) {
		chunk->max_size = size;
		if (size > pcpu->max_size)
			pcpu->max_size = size;
	}
}

/* pcpu_alloc() with the lock held: __alloc_percpu() of the 2009 file */
flatten int64_t pcpu_alloc_locked(struct pcpu *pcpu, int64_t size,
				  int64_t align)
{
	struct pcpu_chunk *chunk;
	int offset, error;

	error = pcpu_check_request(pcpu, size, align);
	if (unlikely(error))
		return error;

	pcpu->work = &pcpu->alloc_work;
	pcpu_count(&pcpu->work->operations, 1);
	chunk = alloc_area(pcpu, (int)size, (int)align, &offset, &error);
	if (unlikely(!chunk))
		return pcpu_emit_failure(pcpu, size, align, error);
	error = pcpu_populate_chunk(pcpu, chunk, offset, (int)size);
	if (unlikely(error)) {
		int map_size;

		pcpu_free_area(pcpu, chunk,
			       area_map_find(chunk, offset, &map_size));
		return pcpu_emit_failure(pcpu, size, align, error);
	}
	count_area(pcpu, chunk, size);
	pcpu_emit_event(pcpu, PCPU_EVENT_ALLOC, chunk, offset, size, align);
	return (int64_t)chunk->addr + offset;
}

/* pcpu_free() with the lock held: free_percpu() of the 2009 file */
flatten int pcpu_free_locked(struct pcpu *pcpu, int64_t ptr)
{
	struct pcpu_chunk *spare;
	struct pcpu_found found;
	int err;

	if (!ptr)
		return 0;
	err = pcpu_find_freeable(pcpu, ptr, &found);
	if (unlikely(err))
		return err;

	pcpu->work = &pcpu->free_work;
	pcpu_count(&pcpu->work->operations, 1);
	pcpu_count(&pcpu->work->tree_steps, found.tree_steps);
	if (pcpu->nr_areas > pcpu->max_areas)
		pcpu->max_areas = pcpu->nr_areas;
	pcpu->nr_areas--;
	pcpu_emit_event(pcpu, PCPU_EVENT_FREE, found.chunk, found.offset,
			found.size, 0);
	pcpu_free_area(pcpu, found.chunk, found.index);
	spare = area_map_spare(pcpu, found.chunk);
	if (unlikely(spare))
		pcpu_kill_chunk(pcpu, spare);
	return 0;
}

int64_t pcpu_alloc(struct pcpu *pcpu, int64_t size, int64_t align)
{
	int64_t ptr = pcpu_lock(pcpu);

	if (unlikely(ptr))
		return ptr;
	ptr = pcpu_alloc_locked(pcpu, size, align);
	pcpu_unlock(pcpu);
	return ptr;
}

int pcpu_free(struct pcpu *pcpu, int64_t ptr)
{
	int err = pcpu_lock(pcpu);

	if (unlikely(err))
		return err;
	err = pcpu_free_locked(pcpu, ptr);
	pcpu_unlock(pcpu);
	return err;
}
