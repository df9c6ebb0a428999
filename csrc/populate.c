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
	uint32_t *populated = chunk->populated;
	int64_t frames;

	while (start < end && !populated[start])
		start++;
	while (start < end && !populated[end - 1])
		end--;
	if (start == end)
		return;
	frames = fake_free_pages(&pcpu->kernel, &populated[start], end - start);
	pcpu->nr_pages -= frames;
	pcpu_count(&pcpu->work->pages_depopulated, frames);
	pcpu_unmap(pcpu, chunk, start, end, flush);
}

/* populate and map a run of pages that are all missing */
static int populate_run(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
			int end)
{
	int64_t frames = fake_alloc_pages(&pcpu->kernel,
					  &chunk->populated[start], end - start);

	pcpu->nr_pages += frames;
	pcpu_count(&pcpu->work->pages_populated, frames);
	if (chunk->populated[end - 1] < (uint32_t)pcpu->geo.cpus)
		return -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE);
	return pcpu_map(pcpu, chunk, start, end);
}

/*
 * Populate and map what is missing in a range, run by run.  In @added, set the
 * bits of the pages, counted from @start, that were missing.
 */
static int populate_range(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			  int start, int end, uint64_t *added)
{
	int page, run, err;

	for (page = start; page < end; page++) {
		run = page;
		while (page < end && !chunk->populated[page])
			page++;
		if (page == run)
			continue;
		*added |= ((uint64_t)1 << (page - start)) -
			  ((uint64_t)1 << (run - start));
		err = populate_run(pcpu, chunk, run, page);
		if (err)
			return err;
	}
	return 0;
}

/* undo a failed populate, run by run; the 2009 file frees the whole range */
static void rollback(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
		     int end, uint64_t added)
{
	int page = start;

	if (pcpu->quirks & PCPU_QUIRK_ROLLBACK) {
		pcpu_depopulate_chunk(pcpu, chunk, start, end, true);
		return;
	}
	while (page < end) {
		int run = page;

		while (page < end && added & (uint64_t)1 << (page - start))
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
	uint64_t added = 0;	/* an area of 16 pages touches 17 at most */
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
