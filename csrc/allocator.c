// SPDX-License-Identifier: GPL-2.0-only
/*
 * allocator.c - the outermost functions between creation and end; the lock.
 *
 * One lock for each allocator is taken here and nowhere below.  Everything
 * that the 2009 file asserts about its callers is checked here, before
 * anything changes.
 */
#include "allocator.h"

#include <string.h>

#include "create.h"
#include "pin.h"
#include "populate.h"
#include "report.h"

int pcpu_lock(struct pcpu *pcpu)
{
	if (unlikely(!pcpu))
		return -PCPU_E_NULL;
	if (unlikely(!pcpu_lock_take(&pcpu->lock)))
		return -PCPU_E_BUSY;
	if (likely(!pcpu->closed))
		return 0;
	pcpu_lock_drop(&pcpu->lock);
	return -PCPU_E_CLOSED;
}

void pcpu_unlock(struct pcpu *pcpu)
{
	struct fake_log *log = &pcpu->kernel.log;
	const char *text = log->pending;

	if (unlikely(text))
		log->pending = NULL;
	pcpu_lock_drop(&pcpu->lock);
	/* without the lock: the sink may call us */
	if (unlikely(text))
		fake_log_text(log, PCPU_LOG_WARN, text);
}

int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align)
{
	int max_size = pcpu->geo.min_unit_size;
	int page = pcpu->geo.page_size;

	if (likely(size >= 1 && size <= max_size && align <= page &&
		   pcpu_is_power_of_two(align)))
		return 0;

	/* the 2009 file warned about some, and let the rest do damage */
	if (size < 1 || size > max_size || align < 0 || align > page)
		fake_warn(&pcpu->kernel,
			  "illegal size or align for percpu allocation");
	return size < 1 || size > max_size ? -PCPU_E_SIZE : -PCPU_E_ALIGN;
}

/*
 * Look for a place in the chunks of one list.  pcpu_alloc_area() may move the
 * chunk that it looked at to another list; the walk goes on with the one that
 * stood next on this.
 */
static struct pcpu_chunk *find_in_slot(struct pcpu *pcpu,
				       struct list_head *slot, int size,
				       int align, int *offset, int *error)
{
	struct list_head *pos, *next;

	list_for_each_safe(pos, next, slot) {
		struct pcpu_chunk *chunk =
			list_entry(pos, struct pcpu_chunk, list);

		pcpu_count(&pcpu->work->chunks_visited, 1);
		if (size > chunk->map.contig_hint)
			continue;
		*error = pcpu_alloc_area(pcpu, chunk, size, align, offset);
		if (!*error)
			return chunk;
		if (*error != PCPU_NO_SPACE)
			return NULL;
	}
	*error = PCPU_NO_SPACE;
	return NULL;
}

/* find a place: in the fullest chunk that may have one, or in a new chunk */
static struct pcpu_chunk *find_area(struct pcpu *pcpu, int size, int align,
				    int *offset, int *error)
{
	int first = pcpu_size_to_slot(pcpu, size);
	uint32_t slots = pcpu->slots_in_use & ~0u << first;
	struct pcpu_chunk *chunk;

	for (; slots; slots &= slots - 1) {
		int slot = __builtin_ctz(slots);

		if (list_empty(&pcpu->slots[slot])) {
			pcpu->slots_in_use &= ~(slots & -slots);
			continue;
		}
		chunk = find_in_slot(pcpu, &pcpu->slots[slot], size, align,
				     offset, error);
		if (chunk || *error != PCPU_NO_SPACE) {
			pcpu_count(&pcpu->work->slots_visited,
				   slot + 1 - first);
			return chunk;
		}
	}
	pcpu_count(&pcpu->work->slots_visited, pcpu->geo.nr_slots - first);

	chunk = pcpu_chunk_create(pcpu, error);
	if (!chunk)
		return NULL;
	*error = pcpu_alloc_area(pcpu, chunk, size, align, offset);
	return *error ? NULL : chunk;
}

/* an area was handed out; sizes beyond those before are rare */
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
	chunk = find_area(pcpu, (int)size, (int)align, &offset, &error);
	if (unlikely(!chunk))
		return pcpu_tell_failure(pcpu, size, align, error);
	error = pcpu_populate_chunk(pcpu, chunk, offset, (int)size);
	if (unlikely(error)) {
		pcpu_free_area(pcpu, chunk,
			       pcpu_map_find(&chunk->map, offset));
		return pcpu_tell_failure(pcpu, size, align, error);
	}
	count_area(pcpu, chunk, size);
	pcpu_tell(pcpu, PCPU_EVENT_ALLOC, chunk, offset, size, align);
	return (int64_t)chunk->addr + offset;
}

int pcpu_find_locked(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	struct pcpu_chunk *chunk;
	int64_t offset;
	int index;

	if (ptr <= 0)
		return -PCPU_E_WILD;
	chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &found->tree_steps);
	if (!chunk)
		return -PCPU_E_WILD;
	offset = ptr - (int64_t)chunk->addr;
	if (offset >= geo->unit_size)
		return -PCPU_E_OTHER_UNIT;
	found->chunk = chunk;
	found->offset = (int)offset;

	if (chunk == pcpu->first_chunk && offset < geo->static_size) {
		if (offset)
			return -PCPU_E_STATIC;
		found->size = geo->static_size;
		found->is_static = true;
		return 0;
	}
	/* without a map nothing was ever handed out here */
	if (!chunk->map.edge)
		return -PCPU_E_NOT_LIVE;
	index = pcpu_map_find(&chunk->map, (int)offset);
	if (index < 0)
		return index;
	found->index = index;
	found->size = pcpu_map_size(&chunk->map, index);
	found->is_static = false;
	return 0;
}

int pcpu_find_freeable(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found)
{
	int err = pcpu_find_locked(pcpu, ptr, found);

	if (unlikely(err))
		return err;
	if (unlikely(found->is_static))
		return -PCPU_E_STATIC;
	if (unlikely(pcpu->nr_pins) && pcpu_is_pinned(pcpu, ptr))
		return -PCPU_E_PINNED;
	return 0;
}

/* a chunk became empty: give back another one that is, if there is one */
static void kill_spare_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	struct list_head *slot = &pcpu->slots[chunk->slot];
	struct list_head *pos;

	pcpu_count(&pcpu->work->slots_visited, 1);
	list_for_each(pos, slot) {
		pcpu_count(&pcpu->work->chunks_visited, 1);
		if (pos != &chunk->list) {
			pcpu_kill_chunk(pcpu, list_entry(pos, struct pcpu_chunk,
							 list));
			return;
		}
	}
}

flatten int pcpu_free_locked(struct pcpu *pcpu, int64_t ptr)
{
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
	pcpu_tell(pcpu, PCPU_EVENT_FREE, found.chunk, found.offset, found.size,
		  0);
	pcpu_free_area(pcpu, found.chunk, found.index);
	if (found.chunk->map.free_size == pcpu->geo.unit_size)
		kill_spare_chunk(pcpu, found.chunk);
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

int pcpu_locate(struct pcpu *pcpu, int64_t ptr, struct pcpu_location *location)
{
	struct pcpu_found found;
	int err = location ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	err = pcpu_find_locked(pcpu, ptr, &found);
	if (!err) {
		location->chunk = found.chunk->id;
		location->offset = found.offset;
		location->size = found.size;
	}
	pcpu_unlock(pcpu);
	return err;
}

/* bytes of an area that lie in pages which are held */
static int64_t touchable(const struct pcpu *pcpu,
			 const struct pcpu_found *found)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	int64_t end = (int64_t)found->offset + found->size;
	int page = pcpu_pfn_down(geo, found->offset);

	while (page < pcpu_pfn_up(geo, end) && found->chunk->populated[page])
		page++;
	if (end > (int64_t)page << geo->page_shift)
		end = (int64_t)page << geo->page_shift;
	return end - found->offset;
}

/*
 * The real address of a copy, and its size.  The map may round bytes in behind
 * an area: where the first chunk ends in mid-page, by a free size of its own,
 * nobody holds the page that they lie in.
 */
static int64_t address_locked(struct pcpu *pcpu, int64_t ptr, int64_t cpu,
			      int64_t *size)
{
	struct pcpu_found found;
	int err = pcpu_find_locked(pcpu, ptr, &found);
	uint64_t addr;

	if (err)
		return err;
	if (cpu < 0 || cpu >= pcpu->geo.cpus)
		return -PCPU_E_CPU;
	if (!pcpu->kernel.vmalloc.host)
		return -PCPU_E_NO_MEMORY_MAPPED;

	*size = touchable(pcpu, &found);
	addr = pcpu_chunk_addr(pcpu, found.chunk, (int)cpu, 0) +
	       (uint64_t)found.offset;
	return (int64_t)(uintptr_t)fake_host(&pcpu->kernel.vmalloc, addr);
}

int64_t pcpu_address(struct pcpu *pcpu, int64_t ptr, int64_t cpu)
{
	int64_t size;
	int64_t ret = pcpu_lock(pcpu);

	if (ret)
		return ret;
	ret = address_locked(pcpu, ptr, cpu, &size);
	pcpu_unlock(pcpu);
	return ret;
}

int pcpu_pin(struct pcpu *pcpu, int64_t ptr, int64_t cpu, struct pcpu_pin *pin)
{
	int64_t address;
	int err = pin ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	address = address_locked(pcpu, ptr, cpu, &pin->size);
	if (address < 0) {
		err = (int)address;
	} else if (pcpu->quirks & PCPU_QUIRK_ROLLBACK) {
		/* a failing neighbour takes pages away from any pin */
		err = -PCPU_E_ROLLBACK;
	} else {
		pin->address = address;
		pin->ptr = ptr;
		pin->pcpu = pcpu;
		pcpu_pin_insert(pcpu, pin);
	}
	pcpu_unlock(pcpu);
	return err;
}

void pcpu_unpin(struct pcpu_pin *pin)
{
	struct pcpu *pcpu = pin ? pin->pcpu : NULL;
	bool last;

	/* with a pin left the allocator cannot have been closed */
	if (!pcpu || pcpu_lock(pcpu))
		return;
	pin->pcpu = NULL;
	pcpu_pin_remove(pcpu, pin);
	last = pcpu->destroyed && !pcpu->nr_pins;
	pcpu_unlock(pcpu);
	if (last)
		pcpu_destroy_now(pcpu);
}

int pcpu_info(struct pcpu *pcpu, struct pcpu_info *info)
{
	int err = info ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	info->cpus = pcpu->geo.cpus;
	info->page_size = pcpu->geo.page_size;
	info->unit_size = pcpu->geo.unit_size;
	info->static_size = pcpu->geo.static_size;
	info->free_size = pcpu->geo.free_size;
	info->static_ptr = (int64_t)pcpu->first_vm.addr;
	info->max_size = pcpu->geo.min_unit_size;
	info->chunks = pcpu->nr_chunks;
	info->chunks_created = pcpu->nr_created;
	info->chunks_destroyed = pcpu->nr_destroyed;
	info->pages = pcpu->nr_pages;
	info->half_done = pcpu->nr_half_done;
	info->areas = pcpu->nr_areas;
	info->max_areas = pcpu->nr_areas > pcpu->max_areas ? pcpu->nr_areas :
							     pcpu->max_areas;
	info->max_chunks = pcpu->max_chunks;
	info->min_size = pcpu->max_size ? pcpu->min_size : 0;
	info->max_size_seen = pcpu->max_size;
	pcpu_unlock(pcpu);
	return 0;
}

int pcpu_counters(struct pcpu *pcpu, uint64_t *calls)
{
	int err = calls ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	memcpy(calls, pcpu->kernel.faults.calls,
	       sizeof(pcpu->kernel.faults.calls));
	pcpu_unlock(pcpu);
	return 0;
}

int pcpu_work(struct pcpu *pcpu, struct pcpu_work *alloc,
	      struct pcpu_work *free)
{
	int err = alloc && free ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	*alloc = pcpu->alloc_work;
	*free = pcpu->free_work;
	pcpu_unlock(pcpu);
	alloc->bytes_moved += alloc->entries_moved * PCPU_MAP_ENTRY_SIZE;
	free->bytes_moved += free->entries_moved * PCPU_MAP_ENTRY_SIZE;
	return 0;
}

int pcpu_inject(struct pcpu *pcpu, int site, const struct pcpu_fault *fault)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	err = fake_fault_arm(&pcpu->kernel.faults, site, fault);
	pcpu_unlock(pcpu);
	return err;
}
