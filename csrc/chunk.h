/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * chunk.h - what an allocator is made of, and a chunk's life.
 *
 * A chunk is a stretch of address space with one unit for each CPU:
 *
 *	 chunk 0                chunk 1                chunk 2
 *	| u0 | u1 | u2 | u3 |  | u0 | u1 | u2 | u3 |  | u0 | u1 | ...
 *
 * An area at offset 6 KiB of a chunk is 6 KiB into each of its units.
 */
#ifndef PCPU_CHUNK_H
#define PCPU_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "area_map.h"
#include "kernel/kernel.h"
#include "kernel/list.h"
#include "kernel/rbtree.h"
#include "lock.h"
#include "percpu.h"

#define PCPU_MIN_UNIT_PAGES	16	/* also the largest request */
#define PCPU_MAP_ENTRY_SIZE	4	/* bytes: an int of the 2009 file */

/* sizes and counts that never change */
struct pcpu_geometry {
	int cpus;		/* possible CPUs */
	int page_size;		/* bytes */
	int page_shift;		/* its logarithm */
	int unit_pages;		/* pages of a unit */
	int unit_size;		/* bytes of a unit */
	int min_unit_size;	/* 16 pages in bytes, the largest request */
	int static_size;	/* bytes of the static area */
	int free_size;		/* bytes after it in the first chunk, at setup */
	int nr_slots;		/* lists of chunks */
	int64_t chunk_size;	/* bytes of a chunk, all units */
	size_t chunk_struct_size; /* bytes of a struct pcpu_chunk */
};

struct pcpu_chunk {
	struct list_head list;	/* in one of pcpu.slots */
	struct pcpu_area_map map; /* its areas, free size and hint */
	int slot;		/* where it last belonged, or -1 */
	struct rb_node rb_node;	/* in pcpu.chunks, key is addr */
	uint64_t addr;		/* where it lies */
	struct fake_vm_area *vm; /* the address space there */
	int64_t id;		/* ordinal of creation */
	bool immutable;		/* the caller mapped it, pages stay */
	int64_t max_size;	/* largest area it ever gave, as asked */
	uint32_t populated[];	/* for each page of a unit: CPUs that hold it */
};

struct pcpu {
	struct pcpu_lock lock;	/* held by every outermost function */
	bool closed;		/* memory is gone, only the handle is left */
	bool destroyed;		/* the handle goes with the last pin */
	unsigned int quirks;	/* set of enum pcpu_quirk */
	struct pcpu_geometry geo; /* sizes and counts */
	struct list_head *slots; /* chunks by free size */
	uint32_t slots_in_use;	/* lists that are not empty, and perhaps more */
	struct rb_root chunks;	/* chunks by address */
	struct pcpu_chunk *first_chunk;	/* holds the static area */
	struct fake_vm_area first_vm;	/* and where that lies */
	int64_t nr_chunks;	/* chunks now */
	int64_t nr_created;	/* chunks ever, the first not counted */
	int64_t nr_destroyed;	/* chunks given back */
	int64_t nr_pages;	/* page frames that the chunks hold */
	int64_t nr_half_done;	/* gave a gap away, then failed */
	int64_t nr_areas;	/* live areas, the static one not counted */
	int64_t max_areas;	/* most of them, before a free */
	int64_t max_chunks;	/* most chunks at one time */
	int64_t min_size;	/* smallest area ever, as asked; INT64_MAX */
	int64_t max_size;	/* and the largest */
	struct pcpu_work alloc_work; /* what the 2009 file had to do so far, but
				       bytes_moved for longer maps only */
	struct pcpu_work free_work; /* the same for frees */
	struct pcpu_work *work;	/* the one of the call that is under way */
	struct rb_root pins;	/* areas that somebody looks at */
	int64_t nr_pins;	/* pins in all */
	struct fake_kernel kernel; /* what it runs on */
	struct pcpu_recorder *recorder; /* keeps events, or NULL */
	bool is_heard;		/* there is a hook for events, or a recorder */
};

/* add to a work counter; PCPU_NO_WORK is there to see what that costs */
static inline void pcpu_count(uint64_t *counter, int64_t n)
{
#ifndef PCPU_NO_WORK
	*counter += (uint64_t)n;
#else
	(void)counter;
	(void)n;
#endif
}

static inline struct pcpu_chunk *pcpu_rb_chunk(struct rb_node *node)
{
	return container_of(node, struct pcpu_chunk, rb_node);
}

/* the address of a page in one CPU's unit */
static inline uint64_t pcpu_chunk_addr(const struct pcpu *pcpu,
				       const struct pcpu_chunk *chunk, int cpu,
				       int page)
{
	return chunk->addr + (uint64_t)cpu * (uint64_t)pcpu->geo.unit_size +
	       ((uint64_t)page << pcpu->geo.page_shift);
}

/* the largest multiple of the page size in @offset, in pages */
static inline int pcpu_pfn_down(const struct pcpu_geometry *geo, int64_t offset)
{
	return (int)(offset >> geo->page_shift);
}

/* pages that @bytes fill, the last perhaps in part */
static inline int pcpu_pfn_up(const struct pcpu_geometry *geo, int64_t bytes)
{
	return (int)((bytes + geo->page_size - 1) >> geo->page_shift);
}

static inline bool pcpu_is_power_of_two(int64_t n)
{
	return n > 0 && !(n & (n - 1));
}

static inline int pcpu_fls(unsigned int n)
{
	return n ? 32 - __builtin_clz(n) : 0;
}

/* the list for chunks with so much free: each covers a power of two */
static inline int pcpu_raw_size_to_slot(int size)
{
	/* 1 to 15 bytes share one list */
	return pcpu_fls((unsigned int)size | 8) - 3;
}

/* as above, but empty chunks have the last list for themselves */
static inline int pcpu_size_to_slot(const struct pcpu *pcpu, int size)
{
	if (size == pcpu->geo.unit_size)
		return pcpu->geo.nr_slots - 1;
	return pcpu_raw_size_to_slot(size);
}

/* the list where a chunk belongs; 0 when it has nothing worth looking for */
static inline int pcpu_chunk_slot(const struct pcpu *pcpu,
				  const struct pcpu_chunk *chunk)
{
	const struct pcpu_area_map *map = &chunk->map;

	if (map->free_size < PCPU_SMALL || map->contig_hint < PCPU_SMALL)
		return 0;
	return pcpu_size_to_slot(pcpu, map->free_size);
}

/**
 * pcpu_chunk_move - put a chunk on another list
 * @pcpu: the allocator
 * @chunk: the chunk
 * @slot: where it belongs now
 *
 * To the front of a higher slot than before, to the back of a lower one.
 */
void pcpu_chunk_move(struct pcpu *pcpu, struct pcpu_chunk *chunk, int slot);

/* put a chunk where it belongs now; most changes leave it where it is */
static inline void pcpu_chunk_relocate(struct pcpu *pcpu,
				       struct pcpu_chunk *chunk)
{
	int slot = pcpu_chunk_slot(pcpu, chunk);

	if (slot != chunk->slot)
		pcpu_chunk_move(pcpu, chunk, slot);
}

/**
 * pcpu_chunk_addr_search - the chunk that covers an address
 * @pcpu: the allocator
 * @addr: the address
 * @steps: how many chunks it was compared with
 *
 * Return: the chunk, or NULL; never the one before a gap, as in 2009.
 */
struct pcpu_chunk *pcpu_chunk_addr_search(struct pcpu *pcpu, uint64_t addr,
					  int *steps);

/**
 * pcpu_chunk_addr_insert - make a chunk known by address
 * @pcpu: the allocator
 * @new: the chunk
 */
void pcpu_chunk_addr_insert(struct pcpu *pcpu, struct pcpu_chunk *new);

/* from pcpu_alloc_area(): look elsewhere; the 2009 file's -ENOSPC */
#define PCPU_NO_SPACE	(-1000)

/**
 * pcpu_alloc_area - allocate an area from one chunk
 * @pcpu: the allocator
 * @chunk: the chunk
 * @size: bytes
 * @align: a power of two
 * @offset: the answer
 *
 * Pages are not touched.
 * Return: 0, PCPU_NO_SPACE, or -(PCPU_E_NOMEM + service) when the map could
 * not grow.
 */
int pcpu_alloc_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int size,
		    int align, int *offset);

/**
 * pcpu_free_area - free an area of a chunk
 * @pcpu: the allocator
 * @chunk: the chunk
 * @index: its map entry, from pcpu_map_find()
 *
 * Pages are not touched.
 */
void pcpu_free_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int index);

/**
 * pcpu_chunk_create - make an empty chunk, slotted and findable
 * @pcpu: the allocator
 * @error: where the reason goes when NULL is returned
 *
 * Return: the chunk, or NULL with -(PCPU_E_NOMEM + service).
 * Source: alloc_pcpu_chunk() and its caller.
 */
struct pcpu_chunk *pcpu_chunk_create(struct pcpu *pcpu, int *error);

/**
 * pcpu_kill_chunk - give back a chunk and all its pages
 * @pcpu: the allocator
 * @chunk: not the first one
 */
void pcpu_kill_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk);

#endif /* PCPU_CHUNK_H */
