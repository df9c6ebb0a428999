// SPDX-License-Identifier: GPL-2.0-only
/*
 * allocator.c - the outermost functions; the lock.
 *
 * One lock for each allocator is taken here and nowhere below.  Everything
 * that the 2009 file asserts about its callers is checked here, before
 * anything changes.
 */
#define _GNU_SOURCE 1	/* sysconf */
#include "allocator.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "first_chunk.h"
#include "pin.h"
#include "populate.h"

#define VERSION_TEXT(...)	VERSION_TEXT_(__VA_ARGS__)
#define VERSION_TEXT_(major, minor, patch)	#major "." #minor "." #patch

#define MAX_CPUS	65536

/* 16 of them are a unit, and a unit is at most 1 GiB */
#define MAX_PAGE_SIZE	((int64_t)64 << 20)

static bool is_power_of_two(int64_t n)
{
	return n > 0 && !(n & (n - 1));
}

int pcpu_lock(struct pcpu *pcpu)
{
	pcpu_lock_take(&pcpu->lock);
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

/* the part of the geometry that the first chunk has no say in */
static int page_geometry(const struct pcpu_config *config,
			 struct pcpu_geometry *geo)
{
	int64_t host = sysconf(_SC_PAGESIZE);
	int64_t page = config->page_size ? config->page_size : host;

	if (config->cpus < 1 || config->cpus > MAX_CPUS ||
	    !is_power_of_two(page) || page > MAX_PAGE_SIZE)
		return -PCPU_E_CONFIG;
	/* real pages can be joined, not cut */
	if (config->memory == PCPU_MEMORY_MAPPED && page < host)
		return -PCPU_E_CONFIG;

	geo->cpus = (int)config->cpus;
	geo->page_size = (int)page;
	geo->page_shift = pcpu_fls((unsigned int)page) - 1;
	geo->min_unit_size = PCPU_MIN_UNIT_PAGES << geo->page_shift;
	return 0;
}

static int check_config(const struct pcpu_config *config)
{
	if (config->nodes < 0 || config->nodes > config->cpus ||
	    config->page_limit < 0 ||
	    (config->memory != PCPU_MEMORY_MAPPED &&
	     config->memory != PCPU_MEMORY_NONE) ||
	    config->quirks & ~(unsigned int)PCPU_QUIRK_ROLLBACK ||
	    config->static_image_size > (uint64_t)config->static_size ||
	    (config->static_image_size && !config->static_image))
		return -PCPU_E_CONFIG;
	return 0;
}

static void copy_static_image(struct pcpu *pcpu,
			      const struct pcpu_config *config)
{
	int cpu;

	if (!pcpu->kernel.vmalloc.host || !config->static_image_size)
		return;
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu_chunk_addr(pcpu, pcpu->first_chunk, cpu,
						0);

		memcpy(fake_host(&pcpu->kernel.vmalloc, addr),
		       config->static_image, config->static_image_size);
	}
}

static int build(struct pcpu *pcpu, const struct pcpu_config *config)
{
	struct fake_kernel *kernel = &pcpu->kernel;
	struct pcpu_geometry *geo = &pcpu->geo;
	struct pcpu_setup setup;
	uint64_t block;
	int err;

	err = page_geometry(config, geo);
	if (!err)
		err = check_config(config);
	if (!err)
		err = pcpu_first_chunk_plan(config, geo, &setup);
	if (!err)
		err = pcpu_first_chunk_geometry(&setup, geo);
	if (err)
		return err;

	pcpu->quirks = config->quirks;
	pcpu->work = &pcpu->alloc_work;	/* to build takes none */
	fake_log_init(&kernel->log, config->log, config->arg);
	if (!fake_pages_init(&kernel->pages, geo->cpus,
			     config->nodes ? config->nodes : 1,
			     config->page_limit))
		return -PCPU_E_HOST;
	block = setup.has_block ? (uint64_t)geo->chunk_size : 0;
	if (!fake_vmalloc_init(&kernel->vmalloc, (uint64_t)geo->page_size,
			       block, (uint64_t)geo->chunk_size,
			       config->memory == PCPU_MEMORY_MAPPED))
		return -PCPU_E_HOST;

	err = pcpu_setup_first_chunk(pcpu, &setup);
	if (!err)
		copy_static_image(pcpu, config);
	return err;
}

/* free all that build() and later calls took; works on a half-built one too */
static void tear_down(struct pcpu *pcpu)
{
	while (pcpu->chunks.node) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(pcpu->chunks.node);

		fake_rb_erase(&pcpu->chunks, &chunk->rb_node);
		free(chunk->map.room);
		if (chunk == pcpu->first_chunk)
			continue;
		free(chunk->vm);
		free(chunk);
	}
	free(pcpu->first_chunk);
	pcpu->first_chunk = NULL;
	free(pcpu->slots);
	pcpu->slots = NULL;
	fake_vmalloc_exit(&pcpu->kernel.vmalloc);
	fake_pages_exit(&pcpu->kernel.pages);
	pcpu->closed = true;
}

const char *pcpu_version(void)
{
	return VERSION_TEXT(PCPU_VERSION_MAJOR, PCPU_VERSION_MINOR,
			    PCPU_VERSION_PATCH);
}

/* a caller that was built with another header may have other structures */
static bool is_our_version(const struct pcpu_config *config)
{
	uint64_t theirs = config->version;
	struct fake_log log;
	char text[128];

	if (theirs >> 8 == PCPU_VERSION >> 8)	/* patches change no header */
		return true;
	if (theirs >> 32 == PCPU_VERSION >> 32) {
		snprintf(text, sizeof(text), "percpu.h is of version %d.%d.%d, "
			 "the library of %s: use the header that came with it",
			 (int)(theirs >> 16 & 0xffff), (int)(theirs >> 8 & 0xff),
			 (int)(theirs & 0xff), pcpu_version());
		fake_log_init(&log, config->log, config->arg);
		fake_log_text(&log, PCPU_LOG_REFUSED, text);
	}
	return false;
}

struct pcpu *pcpu_create(const struct pcpu_config *config, int *error)
{
	struct pcpu *pcpu;

	if (!is_our_version(config)) {
		*error = -PCPU_E_VERSION;
		return NULL;
	}
	pcpu = calloc(1, sizeof(*pcpu));
	if (!pcpu) {
		*error = -PCPU_E_HOST;
		return NULL;
	}
	pcpu_lock_init(&pcpu->lock);
	*error = build(pcpu, config);
	if (*error) {
		pcpu_destroy(pcpu);
		return NULL;
	}
	return pcpu;
}

int pcpu_close(struct pcpu *pcpu)
{
	if (pcpu_lock(pcpu))
		return 0;
	if (pcpu->nr_pins) {
		pcpu_unlock(pcpu);
		return -PCPU_E_PINNED;
	}
	tear_down(pcpu);
	pcpu_unlock(pcpu);
	return 0;
}

static void destroy_now(struct pcpu *pcpu)
{
	if (!pcpu->closed)
		tear_down(pcpu);
	pcpu_lock_exit(&pcpu->lock);
	free(pcpu);
}

void pcpu_destroy(struct pcpu *pcpu)
{
	bool wait;

	if (!pcpu)
		return;
	pcpu_lock_take(&pcpu->lock);
	wait = pcpu->nr_pins > 0;
	pcpu->destroyed = true;
	pcpu_lock_drop(&pcpu->lock);
	if (!wait)
		destroy_now(pcpu);
}

int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align)
{
	int max_size = pcpu->geo.min_unit_size;
	int page = pcpu->geo.page_size;

	if (likely(size >= 1 && size <= max_size && align <= page &&
		   is_power_of_two(align)))
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
	if (!chunk)
		return error;
	error = pcpu_populate_chunk(pcpu, chunk, offset, (int)size);
	if (unlikely(error)) {
		pcpu_free_area(pcpu, chunk,
			       pcpu_map_find(&chunk->map, offset));
		return error;
	}
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
	int err = pcpu_lock(pcpu);

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
	int err = pcpu_lock(pcpu);

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
	struct pcpu *pcpu = pin->pcpu;
	bool last;

	if (!pcpu)
		return;
	/* with a pin left the allocator cannot have been closed */
	pcpu_lock_take(&pcpu->lock);
	pin->pcpu = NULL;
	pcpu_pin_remove(pcpu, pin);
	last = pcpu->destroyed && !pcpu->nr_pins;
	pcpu_unlock(pcpu);
	if (last)
		destroy_now(pcpu);
}

int pcpu_info(struct pcpu *pcpu, struct pcpu_info *info)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	info->cpus = pcpu->geo.cpus;
	info->page_size = pcpu->geo.page_size;
	info->unit_size = pcpu->geo.unit_size;
	info->static_size = pcpu->geo.static_size;
	info->static_ptr = (int64_t)pcpu->first_vm.addr;
	info->max_size = pcpu->geo.min_unit_size;
	info->chunks = pcpu->nr_chunks;
	info->chunks_created = pcpu->nr_created;
	info->chunks_destroyed = pcpu->nr_destroyed;
	info->pages = pcpu->nr_pages;
	info->half_done = pcpu->nr_half_done;
	pcpu_unlock(pcpu);
	return 0;
}

int pcpu_counters(struct pcpu *pcpu, uint64_t *calls)
{
	int err = pcpu_lock(pcpu);

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
	int err = pcpu_lock(pcpu);

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
