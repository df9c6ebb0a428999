// SPDX-License-Identifier: GPL-2.0-only
/*
 * setup.c - the first chunk as today's x86 sets it up.
 *
 *	|static|reserved|dynamic|   not used    |
 *	       ^reserved chunk, if there is one
 *	                ^first chunk
 *
 * Both chunks begin at the start of a page; what they do not serve there, and
 * at the end of their last page, counts as in use.  The static area is in no
 * chunk.
 *
 * Source: pcpu_embed_first_chunk() and pcpu_setup_first_chunk() of mm/percpu.c,
 * Linux 5.14 to 6.x.
 */
#include "bitmap.h"

#define PERCPU_DYNAMIC_RESERVE	(28 << 10)	/* bytes */
#define LARGE_PAGE		(2 << 20)	/* bytes; units divide it */

/*
 * Large pages are divided into units: as many as have room for @least bytes
 * and waste at most a third of the CPUs.  With fewer units more large pages
 * would be needed.
 * Source: pcpu_build_alloc_info(), with all CPUs in one group.
 */
static __cold int64_t auto_unit_size(int64_t cpus, int64_t least)
{
	int64_t units;

	for (units = LARGE_PAGE; units > 1; units /= 2) {
		int64_t waste = (cpus + units - 1) / units * units - cpus;

		if (LARGE_PAGE / units >= least && waste <= cpus / 3)
			break;
	}
	return LARGE_PAGE / units;
}

static int64_t whole_pages(const struct pcpu_geometry *geo, int64_t bytes)
{
	return (int64_t)pcpu_pfn_up(geo, bytes) << geo->page_shift;
}

/**
 * bitmap_plan - the arguments of the set-up
 * @config: the user's configuration
 * @geo: cpus, page_size, page_shift and min_unit_size are set
 * @setup: .static_size and .unit_size are the user's; set to the arguments
 *
 * Return: 0 or -PCPU_E_CONFIG.
 */
__cold int bitmap_plan(const struct pcpu_config *config,
		       const struct pcpu_geometry *geo,
		       struct pcpu_setup *setup)
{
	int64_t fixed, reserved = config->reserved_size;

	if (reserved < 0 || reserved > PCPU_MAX_UNIT_SIZE ||
	    reserved % PCPU_MIN_ALLOC_SIZE ||
	    config->dyn_size > PCPU_MAX_UNIT_SIZE ||
	    (config->dyn_size && config->dyn_size < PCPU_MIN_ALLOC_SIZE))
		return -PCPU_E_CONFIG;
	fixed = pcpu_granules_up(setup->static_size) + reserved;
	setup->reserved_size = reserved;
	setup->free_size = config->dyn_size & -PCPU_MIN_ALLOC_SIZE;
	if (!setup->free_size)
		setup->free_size = whole_pages(geo, fixed +
					       PERCPU_DYNAMIC_RESERVE) - fixed;
	setup->has_block = true;
	setup->present = fixed + setup->free_size;
	if (!setup->unit_size) {
		int64_t least = whole_pages(geo, setup->present);

		setup->unit_size = auto_unit_size(geo->cpus,
						  least > geo->min_unit_size ?
						  least : geo->min_unit_size);
	}
	return 0;
}

/* make a chunk of [start, end), bytes from the start of a unit */
static __cold void init_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			      int64_t start, int64_t end)
{
	int page = pcpu_pfn_down(&pcpu->geo, start);
	int64_t base = (int64_t)page << pcpu->geo.page_shift;

	chunk->addr = pcpu->first_vm.addr + (uint64_t)base;
	chunk->immutable = true;
	chunk->populated = pcpu_unit_populated(pcpu, pcpu->first_chunk) + page;
	bitmap_first_chunk_init(pcpu, chunk,
				(int)(start - base) / PCPU_MIN_ALLOC_SIZE,
				(int)(end - base) / PCPU_MIN_ALLOC_SIZE);
	pcpu_chunk_addr_insert(pcpu, chunk);
}

/**
 * bitmap_set_up_first - make the first chunk, and the reserved one
 * @pcpu: the first chunk's struct is allocated, its pages are present
 *
 * Return: 0 or -PCPU_E_HOST.
 */
__cold int bitmap_set_up_first(struct pcpu *pcpu)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	int64_t reserved = pcpu_granules_up(geo->static_size);
	int64_t dynamic = reserved + geo->reserved_size;

	if (geo->reserved_size) {
		struct pcpu_chunk *chunk =
			host_zalloc(&pcpu->kernel.host, geo->chunk_struct_size);

		if (!chunk)
			return -PCPU_E_HOST;
		pcpu_init_chunk(pcpu, chunk);
		chunk->id = PCPU_RESERVED_CHUNK;
		pcpu->reserved_chunk = chunk;
		init_chunk(pcpu, chunk, reserved, dynamic);
	}
	init_chunk(pcpu, pcpu->first_chunk, dynamic, dynamic + geo->free_size);
	pcpu->work->tree_steps = 0;	/* creation takes no work */
	return 0;
}
