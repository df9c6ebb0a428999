// SPDX-License-Identifier: GPL-2.0-only
/*
 * populate.c - a chunk's pages: populate and map, unmap and depopulate.
 *
 * The units of a chunk have the same pages: between calls a page is held by all
 * CPUs or by none.  During a call frames are taken in the order of the CPUs, so
 * for each page of a unit it is enough to count the CPUs that hold it.
 */
#include <string.h>

#include "internal.h"

static struct fake_units units_of(const struct pcpu *pcpu,
				  const struct pcpu_chunk *chunk, int start,
				  int end)
{
	return (struct fake_units){
		.addr = pcpu_chunk_addr(pcpu, chunk, 0, start),
		.size = (uint64_t)(end - start) << pcpu->geo.page_shift,
		.distance = (uint64_t)pcpu->geo.unit_size,
		.cpus = pcpu->geo.cpus,
		.guarded = chunk->guarded,
	};
}

/**
 * pcpu_map - map pages of every CPU's unit
 * @start: first page of a unit
 * @end: after the last one
 *
 * Return: 0, -(PCPU_E_NOMEM + PCPU_MAP), or -PCPU_E_MAPPINGS.
 */
int pcpu_map(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start, int end)
{
	struct fake_units units = units_of(pcpu, chunk, start, end);
	struct fake_kernel *kernel = &pcpu->kernel;
	int err;

	fake_warn_on(kernel, chunk->immutable,
		     "pages are mapped into an immutable chunk");
	err = fake_map_units(kernel, &units);
	if (err)
		return err;
	/* once for all CPUs: a flush is expensive, whatever its range */
	fake_count(&kernel->faults, PCPU_FLUSH_CACHE_VMAP);
	return 0;
}

static void pcpu_unmap(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
		       int end, bool flush)
{
	struct fake_units units = units_of(pcpu, chunk, start, end);
	struct fake_kernel *kernel = &pcpu->kernel;

	fake_warn_on(kernel, chunk->immutable,
		     "pages are unmapped from an immutable chunk");
	if (flush)
		fake_count(&kernel->faults, PCPU_FLUSH_CACHE_VUNMAP);
	fake_unmap_units(kernel, &units);
	if (flush)
		fake_count(&kernel->faults, PCPU_FLUSH_TLB);
}

/**
 * pcpu_depopulate_chunk - free and unmap pages of every CPU's unit
 * @start: first page of a unit
 * @end: after the last one
 * @flush: flush caches before and the TLB after
 */
void pcpu_depopulate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			   int start, int end, bool flush)
{
	int unmap_start = -1;
	int unmap_end = -1;
	uint32_t *populated = chunk->populated;
	int page;

	for (page = start; page < end; page++) {
		int held = (int)populated[page];

		if (!held)
			continue;
		fake_free_pages(&pcpu->kernel, held);
		pcpu->nr_pages -= held;
		pcpu_count(&pcpu->work->pages_depopulated, held);
		populated[page] = 0;
		if (unmap_start < 0)
			unmap_start = page;
		unmap_end = page + 1;
	}

	if (unmap_start >= 0)
		pcpu_unmap(pcpu, chunk, unmap_start, unmap_end, flush);
}

/* take one frame for each CPU; in @held, count the CPUs that have one */
static int populate_page(struct pcpu *pcpu, uint32_t *held)
{
	int got = fake_alloc_pages(&pcpu->kernel, pcpu->geo.cpus);

	*held = (uint32_t)got;
	pcpu->nr_pages += got;
	pcpu_count(&pcpu->work->pages_populated, got);
	return got < pcpu->geo.cpus ? -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE) : 0;
}

/*
 * Populate and map what is missing in a range.  In @added, set the bits of the
 * pages, counted from @start, that were missing.
 */
static int populate_range(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			  int start, int end, uint32_t *added)
{
	uint32_t *populated = chunk->populated;
	int map_start = -1;	/* first page of a run not mapped yet */
	int page, err;

	for (page = start; page < end; page++) {
		if (populated[page]) {
			if (map_start >= 0) {
				err = pcpu_map(pcpu, chunk, map_start, page);
				if (err)
					return err;
				map_start = -1;
			}
			continue;
		}
		if (map_start < 0)
			map_start = page;
		*added |= (uint32_t)1 << (page - start);
		err = populate_page(pcpu, &populated[page]);
		if (err)
			return err;
	}
	return map_start < 0 ? 0 : pcpu_map(pcpu, chunk, map_start, end);
}

/* undo a failed populate, run by run; the 2009 file frees the whole range */
static void rollback(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
		     int end, uint32_t added)
{
	int page = start;

	if (pcpu->quirks & PCPU_QUIRK_ROLLBACK) {
		pcpu_depopulate_chunk(pcpu, chunk, start, end, true);
		return;
	}
	while (page < end) {
		int run = page;

		while (page < end && added & (uint32_t)1 << (page - start))
			page++;
		pcpu_depopulate_chunk(pcpu, chunk, run, page, true);
		page++;
	}
}

/**
 * pcpu_populate_pages - populate and map what is missing in a range
 * @start: first page
 * @end: after the last one; a range of up to 32 pages
 *
 * On failure the pages that this call added are freed, or with the quirk
 * "rollback" every page in the range, even under live neighbours.
 * Return: 0 or -(PCPU_E_NOMEM + service).
 */
noinline int pcpu_populate_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk,
				 int start, int end)
{
	uint32_t added = 0;	/* an area of 16 pages touches 17 at most */
	int err = populate_range(pcpu, chunk, start, end, &added);

	if (err)
		rollback(pcpu, chunk, start, end, added);
	return err;
}

static bool is_populated(const struct pcpu_chunk *chunk, int start, int end)
{
	do {
		if (!pcpu_chunk_page_occupied(chunk, start))
			return false;
	} while (++start < end);
	return true;
}

/* whether all bytes are zero: four words at a time, then one, then bytes */
static inline bool is_zero(const char *mem, size_t size)
{
	const char *end = mem + size;
	uint64_t word[4];

	for (; end - mem >= 32; mem += 32) {
		memcpy(word, mem, 32);
		if (word[0] | word[1] | word[2] | word[3])
			return false;
	}
	for (; end - mem >= 8; mem += 8) {
		memcpy(word, mem, 8);
		if (word[0])
			return false;
	}
	for (; mem < end; mem++)
		if (*mem)
			return false;
	return true;
}

/* the most bytes that an area map adds to an area at the end of a unit */
#define MAX_TAIL	3

/**
 * pcpu_clear_area - clear an area on every CPU; the memory is real
 * @offset: of the area, bytes
 * @size: of the area, bytes
 *
 * Bytes after all areas so far are not even read: a new page is zero.  Of the
 * others those that are zero are not written.  So a page that a CPU never wrote
 * to takes no memory, and the first write decides on which node it is.
 */
noinline void pcpu_clear_area(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			      int offset, int size)
{
	uint64_t addr = chunk->addr + (uint64_t)offset;
	int served_to = chunk->served_to;
	char *copy;
	int cpu;

	if (offset + size > served_to)
		chunk->served_to = offset + size;
	if (offset >= served_to)
		return;
	if (size > served_to + MAX_TAIL - offset)
		size = served_to + MAX_TAIL - offset;
	copy = fake_host(&pcpu->kernel.vmalloc, addr);
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++, copy += pcpu->geo.unit_size)
		if (!is_zero(copy, (size_t)size))
			memset(copy, 0, (size_t)size);
}

/**
 * pcpu_populate_chunk - populate and map the pages of an area, and clear it
 * @offset: of the area, bytes
 * @size: of the area, bytes, up to 16 pages
 *
 * Return: 0, or the errors of pcpu_populate_pages(), which undoes the rest.
 */
int pcpu_populate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int offset, int size)
{
	int start = pcpu_pfn_down(&pcpu->geo, offset);
	int end = pcpu_pfn_up(&pcpu->geo, (int64_t)offset + size);
	int err;

	if (unlikely(!is_populated(chunk, start, end))) {
		err = pcpu_populate_pages(pcpu, chunk, start, end);
		if (err)
			return err;
	}
	if (pcpu->kernel.vmalloc.host)
		pcpu_clear_area(pcpu, chunk, offset, size);
	return 0;
}
