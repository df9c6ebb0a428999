// SPDX-License-Identifier: GPL-2.0-only
/*
 * alloc.c - allocate and free: start reading here.
 *
 * The outermost functions take the allocator's lock.  What the 2009 file
 * asserts about its callers is checked before anything changes.
 */
#include "policy.h"

/* whether a size and an alignment can be served; warns where a kernel does */
static inline int check_request(struct pcpu *pcpu, int64_t size, int64_t align)
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

/* with bitmaps, to whole granules */
static void round_request(int64_t *size, int64_t *align)
{
	if (*size < INT64_MAX - PCPU_MIN_ALLOC_SIZE)
		*size = pcpu_granules_up(*size);
	if (*align >= 0 && *align < PCPU_MIN_ALLOC_SIZE)
		*align = PCPU_MIN_ALLOC_SIZE;
}

/**
 * pcpu_check_request - check that a size and an alignment can be served
 * @size: bytes
 * @align: bytes
 *
 * Warns where a kernel does.
 * Return: 0, -PCPU_E_SIZE or -PCPU_E_ALIGN.
 */
int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align)
{
	if (pcpu->geo.bitmap)
		round_request(&size, &align);
	return check_request(pcpu, size, align);
}

/* allocate an area in a new chunk */
static noinline struct pcpu_chunk *alloc_in_new_chunk(struct pcpu *pcpu, int size,
						      int align, int *offset,
						      int *error)
{
	struct pcpu_chunk *chunk = pcpu_create_chunk(pcpu, error);

	if (!chunk)
		return NULL;
	*error = pcpu_alloc_area(pcpu, chunk, size, align, offset);
	return *error ? NULL : chunk;
}

/* allocate an area in a chunk that has a place, or in a new one */
static struct pcpu_chunk *alloc_area(struct pcpu *pcpu, int size, int align,
				     int *offset, int *error)
{
	struct pcpu_chunk *chunk;

	chunk = area_map_alloc(pcpu, size, align, offset, error);
	if (likely(chunk) || *error != PCPU_NO_SPACE)
		return chunk;
	return alloc_in_new_chunk(pcpu, size, align, offset, error);
}

/* free an area whose pages could not be populated */
static noinline void undo_area(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			       int offset)
{
	int size;

	pcpu_free_area(pcpu, chunk, area_map_find(chunk, offset, &size));
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

/* the background work runs now, if it was requested */
static void balance_if_requested(struct pcpu *pcpu)
{
	if (pcpu->balance_requested && !pcpu->balance_manual)
		bitmap_balance(pcpu, 1, PCPU_BALANCE_STEPS);
}

/* pcpu_alloc_gfp() with bitmaps and the lock held; @follow may be NULL */
static noinline int64_t alloc_bitmap(struct pcpu *pcpu, int64_t size,
				     int64_t align, unsigned int flags,
				     struct pcpu_follow *follow)
{
	struct pcpu_chunk *chunk;
	int64_t ptr;
	int offset, error;

	round_request(&size, &align);
	error = check_request(pcpu, size, align);
	if (error)
		return error;
	pcpu->work = &pcpu->alloc_work;
	pcpu_count(&pcpu->work->operations, 1);
	chunk = bitmap_alloc(pcpu, (int)size, (int)align, flags, follow,
			     &offset, &error);
	if (chunk) {
		ptr = (int64_t)chunk->addr + offset;
		if (pcpu->kernel.vmalloc.host)
			pcpu_clear_area(pcpu, chunk, offset, (int)size);
		count_area(pcpu, chunk, size);
		pcpu_emit_event(pcpu, PCPU_EVENT_ALLOC, chunk, offset, size,
				align, flags);
	} else {
		ptr = pcpu_emit_failure(pcpu, size, align, flags, error);
	}
	balance_if_requested(pcpu);
	return ptr;
}

/* pcpu_alloc_gfp() with the lock held: __alloc_percpu() of the 2009 file */
flatten int64_t pcpu_alloc_locked(struct pcpu *pcpu, int64_t size,
				  int64_t align, unsigned int flags)
{
	struct pcpu_chunk *chunk;
	int offset, error;

	if (unlikely(pcpu->geo.bitmap))
		return alloc_bitmap(pcpu, size, align, flags, NULL);
	error = check_request(pcpu, size, align);
	if (unlikely(error))
		return error;

	pcpu->work = &pcpu->alloc_work;
	pcpu_count(&pcpu->work->operations, 1);
	chunk = alloc_area(pcpu, (int)size, (int)align, &offset, &error);
	if (unlikely(!chunk))
		return pcpu_emit_failure(pcpu, size, align, 0, error);
	error = pcpu_populate_chunk(pcpu, chunk, offset, (int)size);
	if (unlikely(error)) {
		undo_area(pcpu, chunk, offset);
		return pcpu_emit_failure(pcpu, size, align, 0, error);
	}
	count_area(pcpu, chunk, size);
	pcpu_emit_event(pcpu, PCPU_EVENT_ALLOC, chunk, offset, size, align, 0);
	return (int64_t)chunk->addr + offset;
}

/* count a free */
static inline void count_free(struct pcpu *pcpu, const struct pcpu_found *found)
{
	pcpu->work = &pcpu->free_work;
	pcpu_count(&pcpu->work->operations, 1);
	pcpu_count(&pcpu->work->tree_steps, found->tree_steps);
	if (pcpu->nr_areas > pcpu->max_areas)
		pcpu->max_areas = pcpu->nr_areas;
	pcpu->nr_areas--;
	pcpu_emit_event(pcpu, PCPU_EVENT_FREE, found->chunk, found->offset,
			found->size, 0, 0);
}

/* pcpu_free() of a pointer that is not 0, with bitmaps and the lock held */
static noinline int free_bitmap(struct pcpu *pcpu, int64_t ptr)
{
	struct pcpu_found found;
	int err = pcpu_find_freeable(pcpu, ptr, &found);

	if (err)
		return err;
	count_free(pcpu, &found);
	bitmap_free(pcpu, found.chunk, found.offset, found.size);
	balance_if_requested(pcpu);
	return 0;
}

/* pcpu_free() with the lock held: free_percpu() of the 2009 file */
flatten int pcpu_free_locked(struct pcpu *pcpu, int64_t ptr)
{
	struct pcpu_chunk *spare;
	struct pcpu_found found;
	int err;

	if (!ptr)
		return 0;
	if (unlikely(pcpu->geo.bitmap))
		return free_bitmap(pcpu, ptr);
	err = pcpu_find_freeable_area(pcpu, ptr, &found);
	if (unlikely(err))
		return err;

	count_free(pcpu, &found);
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
	ptr = pcpu_alloc_locked(pcpu, size, align, 0);
	pcpu_unlock(pcpu);
	return ptr;
}

int64_t pcpu_alloc_gfp(struct pcpu *pcpu, int64_t size, int64_t align,
		       unsigned int flags)
{
	int64_t ptr = pcpu_lock(pcpu);

	if (ptr)
		return ptr;
	if (flags & ~(PCPU_ATOMIC | PCPU_RESERVED) ||
	    (flags && !pcpu->geo.bitmap))
		ptr = -PCPU_E_FLAGS;
	else
		ptr = pcpu_alloc_locked(pcpu, size, align, flags);
	pcpu_unlock(pcpu);
	return ptr;
}

int64_t pcpu_follow(struct pcpu *pcpu, int64_t size, int64_t align,
		    unsigned int flags, const struct pcpu_location *kernel,
		    struct pcpu_choice *chosen)
{
	struct pcpu_follow follow = { kernel, flags & PCPU_LEARN, chosen };
	int64_t ptr = chosen ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (ptr)
		return ptr;
	flags &= ~PCPU_LEARN;
	*chosen = (struct pcpu_choice){
		.offset = -PCPU_E_NO_PLACE,
		.offset_there = -PCPU_E_NO_PLACE,
	};
	if (!pcpu->geo.bitmap || flags & ~(PCPU_ATOMIC | PCPU_RESERVED))
		ptr = -PCPU_E_FLAGS;
	else if (kernel && (kernel->offset < 0 ||
			    kernel->offset >= pcpu->geo.unit_size))
		ptr = -PCPU_E_WILD;
	else
		ptr = alloc_bitmap(pcpu, size, align, flags, &follow);
	pcpu_unlock(pcpu);
	return ptr;
}

void pcpu_balance_locked(struct pcpu *pcpu, int first, int last)
{
	if (pcpu->geo.bitmap)
		bitmap_balance(pcpu, first, last);
}

int pcpu_balance(struct pcpu *pcpu, int first, int last)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	if (first >= 1 && first <= last && last <= PCPU_BALANCE_STEPS)
		pcpu_balance_locked(pcpu, first, last);
	else
		err = -PCPU_E_CONFIG;
	pcpu_unlock(pcpu);
	return err;
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
