// SPDX-License-Identifier: GPL-2.0-only
/*
 * populate.c - a chunk's pages: populate and map, unmap and depopulate.
 *
 * Units of one chunk grow in unison: a page is held by all CPUs or, between
 * operations, by none.  Within one, frames are taken in the order of the CPUs,
 * so a count for each page of a unit says who holds it.
 */
#include "populate.h"

#include <string.h>

static uint64_t range_size(const struct pcpu *pcpu, int start, int end)
{
	return (uint64_t)(end - start) << pcpu->geo.page_shift;
}

int pcpu_map_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
		   int end)
{
	struct fake_kernel *kernel = &pcpu->kernel;
	uint64_t size = range_size(pcpu, start, end);
	int cpu;

	fake_warn_on(kernel, chunk->immutable,
		     "pages are mapped into an immutable chunk");
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu_chunk_addr(pcpu, chunk, cpu, start);

		if (!fake_map_kernel_range(kernel, addr, size, cpu))
			return -(PCPU_E_NOMEM + PCPU_MAP);
	}
	/* once for all CPUs: a flush costs more than it covers */
	fake_count(&kernel->faults, PCPU_FLUSH_CACHE_VMAP);
	return 0;
}

static void unmap_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
			int end, bool flush)
{
	struct fake_kernel *kernel = &pcpu->kernel;
	uint64_t size = range_size(pcpu, start, end);
	int cpu;

	fake_warn_on(kernel, chunk->immutable,
		     "pages are unmapped from an immutable chunk");
	if (flush)
		fake_count(&kernel->faults, PCPU_FLUSH_CACHE_VUNMAP);
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu_chunk_addr(pcpu, chunk, cpu, start);

		fake_unmap_kernel_range(kernel, addr, size, cpu);
	}
	if (flush)
		fake_count(&kernel->faults, PCPU_FLUSH_TLB);
}

void pcpu_depopulate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			   int start, int end, bool flush)
{
	int unmap_start = -1;
	int unmap_end = -1;
	int page;

	for (page = start; page < end; page++) {
		int held = (int)chunk->populated[page];

		if (!held)
			continue;
		fake_free_pages(&pcpu->kernel, held);
		pcpu->nr_pages -= held;
		pcpu_count(&pcpu->work->pages_depopulated, held);
		chunk->populated[page] = 0;
		if (unmap_start < 0)
			unmap_start = page;
		unmap_end = page + 1;
	}

	if (unmap_start >= 0)
		unmap_pages(pcpu, chunk, unmap_start, unmap_end, flush);
}

/* take one frame for each CPU */
static int populate_page(struct pcpu *pcpu, struct pcpu_chunk *chunk, int page)
{
	int got = fake_alloc_pages(&pcpu->kernel, pcpu->geo.cpus);

	chunk->populated[page] = (uint32_t)got;
	pcpu->nr_pages += got;
	pcpu_count(&pcpu->work->pages_populated, got);
	return got < pcpu->geo.cpus ? -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE) : 0;
}

/*
 * Populate and map what is missing in a range, noting in @added the pages,
 * counted from @start, that were not there before.
 */
static int populate_range(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			  int start, int end, uint32_t *added)
{
	int map_start = -1;	/* first page of a run not mapped yet */
	int page, err;

	for (page = start; page < end; page++) {
		if (chunk->populated[page]) {
			if (map_start >= 0) {
				err = pcpu_map_pages(pcpu, chunk, map_start,
						     page);
				if (err)
					return err;
				map_start = -1;
			}
			continue;
		}
		if (map_start < 0)
			map_start = page;
		*added |= (uint32_t)1 << (page - start);
		err = populate_page(pcpu, chunk, page);
		if (err)
			return err;
	}
	return map_start < 0 ? 0 : pcpu_map_pages(pcpu, chunk, map_start, end);
}

/* undo a failed populate, run by run; the 2009 file took all as one run */
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

static noinline int populate_or_undo(struct pcpu *pcpu,
				     struct pcpu_chunk *chunk, int start,
				     int end)
{
	uint32_t added = 0;	/* 16 pages lie across 17 at the most */
	int err = populate_range(pcpu, chunk, start, end, &added);

	if (err)
		rollback(pcpu, chunk, start, end, added);
	return err;
}

static bool is_populated(const struct pcpu_chunk *chunk, int start, int end)
{
	do {
		if (!chunk->populated[start])
			return false;
	} while (++start < end);
	return true;
}

static noinline void clear_area(struct pcpu *pcpu, struct pcpu_chunk *chunk,
				int offset, int size)
{
	uint64_t addr = chunk->addr + (uint64_t)offset;
	char *copy;
	int cpu;

	copy = fake_host(&pcpu->kernel.vmalloc, addr);
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++, copy += pcpu->geo.unit_size)
		memset(copy, 0, (size_t)size);
}

int pcpu_populate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int offset, int size)
{
	int start = pcpu_pfn_down(&pcpu->geo, offset);
	int end = pcpu_pfn_up(&pcpu->geo, (int64_t)offset + size);
	int err;

	if (unlikely(!is_populated(chunk, start, end))) {
		err = populate_or_undo(pcpu, chunk, start, end);
		if (err)
			return err;
	}
	if (pcpu->kernel.vmalloc.host)
		clear_area(pcpu, chunk, offset, size);
	return 0;
}
