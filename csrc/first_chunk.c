// SPDX-License-Identifier: GPL-2.0-only
/*
 * first_chunk.c - set up the first chunk: 4k, embed, remap; bitmap.
 *
 * The first chunk starts with the static area, exists before kmalloc works,
 * and is never destroyed.  Three callers of x86 set it up differently:
 *
 *	4k	|static pages|  populated on demand         |
 *	embed	|static|  every page present                |	immutable
 *	remap	|static| present up to free|  not used      |	immutable
 *
 * With bitmaps the static area is in no chunk, and a chunk of its own may be
 * reserved for modules:
 *
 *	bitmap	|static|reserved|first chunk|  not used     |	immutable
 */
#include "groups.h"
#include "policy.h"

/* x86: reserved for modules and early users, in addition to the static area */
#define DYNAMIC_RESERVE		(24 << 10)

/* x86: remap takes one large page for each CPU */
#define LARGE_PAGE		(2 << 20)

/**
 * pcpu_first_chunk_plan - the arguments of one of the three x86 set-ups
 * @config: the user's configuration
 * @geo: page_size, page_shift and min_unit_size are set
 * @setup: set to the arguments
 *
 * Return: 0 or -PCPU_E_CONFIG.
 * Source: setup_pcpu_4k(), setup_pcpu_embed(), setup_pcpu_remap() in
 * arch/x86/kernel/setup_percpu.c of February 2009.
 */
int pcpu_first_chunk_plan(const struct pcpu_config *config,
			  const struct pcpu_geometry *geo,
			  struct pcpu_setup *setup)
{
	int64_t pages;	/* bytes of static area and reserve, whole pages */

	/* keeps the sums below in range; other checks come later */
	if (config->static_size < 0 || config->static_size > PCPU_MAX_UNIT_SIZE ||
	    config->unit_size < 0 || config->free_size > PCPU_MAX_UNIT_SIZE)
		return -PCPU_E_CONFIG;

	*setup = (struct pcpu_setup){
		.static_size = config->static_size,
		.unit_size = config->unit_size,
	};
	if (geo->bitmap)
		return bitmap_plan(config, geo, setup);
	setup->free_size = config->free_size;
	setup->has_block = config->first_chunk != PCPU_FIRST_4K;
	setup->populate_pte = config->first_chunk == PCPU_FIRST_4K;
	pages = (int64_t)pcpu_pfn_up(geo, setup->static_size + DYNAMIC_RESERVE)
		<< geo->page_shift;

	switch (config->first_chunk) {
	case PCPU_FIRST_4K:
		setup->present = setup->static_size;
		return 0;
	case PCPU_FIRST_EMBED:
		if (!setup->unit_size)
			setup->unit_size = pages > geo->min_unit_size ?
					   pages : geo->min_unit_size;
		setup->present = setup->unit_size;
		return 0;
	case PCPU_FIRST_REMAP:
		if (!setup->unit_size)
			setup->unit_size = LARGE_PAGE;
		if (!setup->free_size)
			setup->free_size = pages - setup->static_size;
		setup->present = setup->static_size + setup->free_size;
		return 0;
	default:
		return -PCPU_E_CONFIG;
	}
}

/**
 * pcpu_first_chunk_geometry - check a set-up and derive sizes and counts
 * @setup: the arguments
 * @geo: cpus and the page are set; the rest is filled in
 *
 * Return: 0, or -PCPU_E_CONFIG where the 2009 file has a BUG_ON, where the
 * unit is below 16 pages, or where a size is out of range.
 * Source: the first half of pcpu_setup_first_chunk() of the 2009 file.
 */
int pcpu_first_chunk_geometry(const struct pcpu_setup *setup,
			      struct pcpu_geometry *geo)
{
	int64_t need = setup->static_size + setup->reserved_size +
		       setup->free_size;
	int64_t unit_size = setup->unit_size;

	if (!setup->static_size || setup->free_size < 0 ||
	    (!unit_size && setup->free_size) ||
	    (unit_size && unit_size < need) ||
	    (unit_size & (geo->page_size - 1)) ||
	    (setup->has_block && (!unit_size || setup->populate_pte)))
		return -PCPU_E_CONFIG;

	if (!unit_size) {
		unit_size = (int64_t)pcpu_pfn_up(geo, setup->static_size)
			    << geo->page_shift;
		if (unit_size < geo->min_unit_size)
			unit_size = geo->min_unit_size;
	}
	if (unit_size < geo->min_unit_size || unit_size > PCPU_MAX_UNIT_SIZE)
		return -PCPU_E_CONFIG;

	geo->static_size = (int)setup->static_size;
	geo->reserved_size = (int)setup->reserved_size;
	geo->free_size = (int)(setup->free_size ? setup->free_size :
			       unit_size - setup->static_size);
	geo->unit_size = (int)unit_size;
	geo->unit_pages = (int)(unit_size >> geo->page_shift);
	geo->chunk_size = unit_size * geo->cpus;
	policy_geometry(geo);
	geo->chunk_struct_size = geo->policy_size +
		(size_t)geo->unit_pages * sizeof(uint32_t);
	return 0;
}

/* take the pages that are present from the start, and map them */
static int provide_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk,
		       const struct pcpu_setup *setup)
{
	int pages = pcpu_pfn_up(&pcpu->geo, setup->present);
	uint64_t size = (uint64_t)pages << pcpu->geo.page_shift;
	int i, cpu, err;

	for (i = 0; i < pages; i++) {
		int got = fake_alloc_boot_pages(&pcpu->kernel, pcpu->geo.cpus);

		chunk->populated[i] = (uint32_t)got;
		pcpu->nr_pages += got;
		if (got < pcpu->geo.cpus)
			return -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE);
	}

	if (setup->populate_pte)
		return pcpu_map(pcpu, chunk, 0, pages);
	/* a block that the 2009 file would get mapped */
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu_chunk_addr(pcpu, chunk, cpu, 0);

		err = fake_map_boot(&pcpu->kernel, addr, size, cpu);
		if (err)
			return err;
	}
	return 0;
}

/**
 * pcpu_setup_first_chunk - make the first chunk
 * @pcpu: geometry and kernel are set up
 * @setup: the arguments
 *
 * Return: 0, -PCPU_E_HOST, -(PCPU_E_NOMEM + PCPU_MAP), -PCPU_E_MAPPINGS, or with
 * hooks -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE).
 */
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
	pcpu_groups_init(pcpu, geo->bitmap ? bitmap_hint : area_map_hint);

	pcpu->first_chunk = chunk;
	pcpu->nr_chunks = 1;
	pcpu->max_chunks = 1;
	pcpu->min_size = INT64_MAX;
	pcpu_init_chunk(pcpu, chunk);
	chunk->vm = &pcpu->first_vm;
	if (setup->has_block) {
		/* below the areas, see kernel.h */
		chunk->vm->addr = pcpu->kernel.vmalloc.base;
		chunk->immutable = true;
	} else {
		fake_vm_area_register_early(&pcpu->kernel.vmalloc, chunk->vm,
					    (uint64_t)geo->chunk_size);
		chunk->guarded = fake_guard(&pcpu->kernel, chunk->vm->addr,
					    (uint64_t)geo->chunk_size);
	}

	chunk->addr = chunk->vm->addr;
	err = provide_pages(pcpu, chunk, setup);
	if (err)
		return err;
	if (geo->bitmap)
		return bitmap_set_up_first(pcpu);
	pcpu_chunk_addr_insert(pcpu, chunk);
	return area_map_chunk_init(pcpu, chunk, geo->static_size,
				   geo->free_size);
}
