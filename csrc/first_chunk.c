// SPDX-License-Identifier: GPL-2.0-only
/*
 * first_chunk.c - setup of the first chunk: 4k, embed, remap.
 *
 * The first chunk starts with the static area, exists before kmalloc works,
 * and is never given back.  Three callers of x86 set it up differently:
 *
 *	4k	|static pages|  populated on demand         |
 *	embed	|static|  every page present                |	immutable
 *	remap	|static| present up to free|  left alone    |	immutable
 */
#include "first_chunk.h"

#include "populate.h"

/* x86: what modules and early users may want beside the static area */
#define DYNAMIC_RESERVE		(24 << 10)

/* x86: remap takes one large page for each CPU */
#define LARGE_PAGE		(2 << 20)

/* offsets are ints, with room for an alignment and a request on top */
#define MAX_UNIT_SIZE		((int64_t)1 << 30)

static int static_pages(const struct pcpu_geometry *geo,
			const struct pcpu_setup *setup)
{
	return pcpu_pfn_up(geo, setup->static_size);
}

static int all_pages(const struct pcpu_geometry *geo,
		     const struct pcpu_setup *setup)
{
	(void)setup;
	return geo->unit_pages;
}

static int used_pages(const struct pcpu_geometry *geo,
		      const struct pcpu_setup *setup)
{
	return pcpu_pfn_up(geo, setup->static_size + setup->free_size);
}

int pcpu_first_chunk_plan(const struct pcpu_config *config,
			  const struct pcpu_geometry *geo,
			  struct pcpu_setup *setup)
{
	int64_t pages;	/* bytes of static area and reserve, in whole pages */

	/* so that the sums below stay in range; the checks proper come later */
	if (config->static_size < 0 || config->static_size > MAX_UNIT_SIZE ||
	    config->unit_size < 0 || config->unit_size > MAX_UNIT_SIZE ||
	    config->free_size < 0 || config->free_size > MAX_UNIT_SIZE)
		return -PCPU_E_CONFIG;

	setup->static_size = config->static_size;
	setup->unit_size = config->unit_size;
	setup->free_size = config->free_size;
	setup->has_block = config->first_chunk != PCPU_FIRST_4K;
	setup->populate_pte = config->first_chunk == PCPU_FIRST_4K;
	pages = (int64_t)pcpu_pfn_up(geo, setup->static_size + DYNAMIC_RESERVE)
		<< geo->page_shift;

	switch (config->first_chunk) {
	case PCPU_FIRST_4K:
		setup->present_pages = static_pages;
		return 0;
	case PCPU_FIRST_EMBED:
		setup->present_pages = all_pages;
		if (!setup->unit_size)
			setup->unit_size = pages > geo->min_unit_size ?
					   pages : geo->min_unit_size;
		if (!setup->free_size)
			setup->free_size = setup->unit_size -
					   setup->static_size;
		return 0;
	case PCPU_FIRST_REMAP:
		setup->present_pages = used_pages;
		if (!setup->unit_size)
			setup->unit_size = LARGE_PAGE;
		if (!setup->free_size)
			setup->free_size = pages - setup->static_size;
		return 0;
	default:
		return -PCPU_E_CONFIG;
	}
}

int pcpu_first_chunk_geometry(const struct pcpu_setup *setup,
			      struct pcpu_geometry *geo)
{
	int64_t need = setup->static_size + setup->free_size;
	int64_t unit_size = setup->unit_size;

	if (!setup->static_size || setup->free_size < 0 ||
	    (!unit_size && setup->free_size) ||
	    (unit_size && unit_size < need) ||
	    (unit_size & (geo->page_size - 1)) ||
	    (setup->has_block && (!unit_size || setup->populate_pte)))
		return -PCPU_E_CONFIG;

	if (!unit_size) {
		unit_size = (int64_t)static_pages(geo, setup)
			    << geo->page_shift;
		if (unit_size < geo->min_unit_size)
			unit_size = geo->min_unit_size;
	}
	if (unit_size < geo->min_unit_size || unit_size > MAX_UNIT_SIZE)
		return -PCPU_E_CONFIG;

	geo->static_size = (int)setup->static_size;
	geo->free_size = (int)(setup->free_size ? setup->free_size :
			       unit_size - setup->static_size);
	geo->unit_size = (int)unit_size;
	geo->unit_pages = (int)(unit_size >> geo->page_shift);
	geo->chunk_size = unit_size * geo->cpus;
	geo->chunk_struct_size = sizeof(struct pcpu_chunk) +
		(size_t)geo->unit_pages * sizeof(uint32_t);
	/* one more list than sizes need: the last is for empty chunks */
	geo->nr_slots = pcpu_raw_size_to_slot(geo->unit_size) + 2;
	return 0;
}

/* bring the pages: the caller's own are mapped here, as the caller would */
static int bring_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk,
		       const struct pcpu_setup *setup)
{
	int pages = setup->present_pages(&pcpu->geo, setup);
	uint64_t size = (uint64_t)pages << pcpu->geo.page_shift;
	int i, cpu;

	for (i = 0; i < pages; i++) {
		int got = fake_alloc_boot_pages(&pcpu->kernel, pcpu->geo.cpus);

		chunk->populated[i] = (uint32_t)got;
		pcpu->nr_pages += got;
		if (got < pcpu->geo.cpus)
			return -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE);
	}

	if (setup->populate_pte)
		return pcpu_map_pages(pcpu, chunk, 0, pages);
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu_chunk_addr(pcpu, chunk, cpu, 0);

		if (!fake_map_boot(&pcpu->kernel, addr, size, cpu))
			return -(PCPU_E_NOMEM + PCPU_MAP);
	}
	return 0;
}

int pcpu_setup_first_chunk(struct pcpu *pcpu, const struct pcpu_setup *setup)
{
	const struct host *host = &pcpu->kernel.host;
	struct pcpu_geometry *geo = &pcpu->geo;
	struct pcpu_chunk *chunk;
	int i, err;

	/* boot-time memory: not counted */
	pcpu->slots = host_alloc(host, (size_t)geo->nr_slots *
				       sizeof(*pcpu->slots));
	chunk = host_zalloc(host, geo->chunk_struct_size);
	if (!pcpu->slots || !chunk) {
		host_free(host, chunk);
		return -PCPU_E_HOST;
	}
	for (i = 0; i < geo->nr_slots; i++)
		list_init(&pcpu->slots[i]);

	pcpu->first_chunk = chunk;
	pcpu->nr_chunks = 1;
	pcpu->max_chunks = 1;
	pcpu->min_size = INT64_MAX;
	list_init(&chunk->list);
	chunk->vm = &pcpu->first_vm;
	chunk->map.free_size = geo->free_size;
	chunk->map.contig_hint = chunk->map.free_size;

	if (setup->has_block) {
		/* below the areas, see struct fake_vmalloc */
		chunk->vm->addr = pcpu->kernel.vmalloc.base;
		chunk->vm->size = (uint64_t)geo->chunk_size;
		chunk->immutable = true;
		list_init(&chunk->vm->list);
	} else {
		fake_vm_area_register_early(&pcpu->kernel.vmalloc, chunk->vm,
					    (uint64_t)geo->chunk_size);
	}

	chunk->addr = chunk->vm->addr;
	err = bring_pages(pcpu, chunk, setup);
	if (err)
		return err;
	chunk->slot = -1;
	pcpu_chunk_relocate(pcpu, chunk);
	pcpu_chunk_addr_insert(pcpu, chunk);
	return 0;
}
