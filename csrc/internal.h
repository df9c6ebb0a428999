/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * internal.h - the structures of an allocator, and what its files share.
 *
 * A chunk is address space with one unit for each CPU:
 *
 *	 chunk 0                chunk 1                chunk 2
 *	| u0 | u1 | u2 | u3 |  | u0 | u1 | u2 | u3 |  | u0 | u1 | ...
 *
 * An area at offset 6 KiB of a chunk is 6 KiB into each of its units.
 *
 * Functions are documented where they are defined.  All of them run with the
 * allocator's lock held, except where they say otherwise.
 */
#ifndef PCPU_INTERNAL_H
#define PCPU_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kernel.h"
#include "kernel/list.h"
#include "kernel/rbtree.h"
#include "lock.h"
#include "percpu.h"

#define PCPU_MAX_SLOTS	32	/* bits of pcpu.slot_mask */

/* sizes and counts that never change */
struct pcpu_geometry {
	int cpus;		/* possible CPUs */
	int page_size;		/* bytes */
	int page_shift;		/* its logarithm */
	int unit_pages;		/* pages of a unit */
	int unit_size;		/* bytes of a unit */
	bool bitmap;		/* PCPU_POLICY_BITMAP */
	int min_unit_size;	/* bytes, also the largest request: 16 pages;
				   with bitmaps 8 */
	int static_size;	/* bytes of the static area */
	int reserved_size;	/* bytes after it that are reserved */
	int free_size;		/* bytes after both in the first chunk, at setup */
	int nr_slots;		/* lists of chunks */
	int64_t chunk_size;	/* bytes of a chunk, all units */
	size_t policy_size;	/* bytes of the policy's struct for a chunk */
	size_t chunk_struct_size; /* of that and of pcpu_chunk.populated */
};

#define PCPU_GROUP_SEATS	32

/* up to so many chunks that follow each other on a slot, see groups.c */
struct pcpu_group {
	struct list_head list;	/* in pcpu.slot_groups or pcpu.spare_groups */
	uint32_t seats;		/* a bit for each seat that a chunk has */
	int nr_chunks;		/* number of these bits */
	int largest;		/* no hint of its chunks is larger */
	int failed_size;	/* a request of this size, with this alignment, */
	int failed_align;	/* found no place since the last change; */
	int failed_entries;	/* the maps that were scanned have so many */
	int hint[PCPU_GROUP_SEATS]; /* of each chunk: no larger area has a place */
	struct pcpu_chunk *chunk[PCPU_GROUP_SEATS]; /* by seat */
};

/* the part of a chunk that any policy needs; first in the policy's struct */
struct pcpu_chunk {
	struct list_head list;	/* in one of pcpu.slots */
	struct pcpu_group *group; /* or NULL: its slot has none */
	int seat;		/* its seat in the group */
	struct pcpu_group spare; /* for any chunk that needs one */
	struct rb_node rb_node;	/* in pcpu.chunks, key is addr */
	uint64_t addr;		/* start of its first unit */
	struct fake_vm_area *vm; /* its address space, or NULL */
	int64_t id;		/* ordinal of creation */
	int64_t max_size;	/* largest request that it served */
	bool immutable;		/* mapped by the caller, pages stay */
	bool guarded;		/* its pages have guards, see kernel/guard.c */
	int served_to;		/* highest end of an area that was cleared; the
				   map may have added up to 3 bytes to it */
	uint32_t *populated;	/* for each page from addr on: CPUs that hold it */
};

struct pcpu {
	struct pcpu_lock lock;	/* held by every outermost function */
	bool closed;		/* memory is freed, only the struct is left */
	void (*last_unpin)(struct pcpu *pcpu); /* called after it, or NULL */
	unsigned int quirks;	/* set of enum pcpu_quirk */
	unsigned int fixes;	/* set of enum pcpu_fix */
	struct pcpu_geometry geo; /* sizes and counts */
	struct list_head *slots; /* chunks, sorted by the policy */
	uint32_t slot_mask;	/* slots that may have chunks; others have none */
	struct list_head slot_groups[PCPU_MAX_SLOTS]; /* of long slots: their
							 chunks in groups */
	struct list_head spare_groups; /* groups that no slot needs now */
	int (*chunk_hint)(const struct pcpu_chunk *chunk); /* the policy's */
	struct rb_root chunks;	/* chunks by address */
	struct pcpu_chunk *found_chunk; /* the last one looked up, or NULL */
	int found_steps;	/* chunks that its address was compared with */
	struct pcpu_chunk *first_chunk;	/* starts with the static area; with
					   bitmaps, after it */
	struct pcpu_chunk *reserved_chunk; /* between both, or NULL */
	struct fake_vm_area first_vm;	/* the address space of the three */
	int64_t nr_chunks;	/* chunks now */
	int64_t nr_created;	/* chunks ever, the first not counted */
	int64_t nr_destroyed;	/* chunks destroyed */
	int64_t nr_pages;	/* page frames that the chunks hold */
	int64_t nr_partial_failures; /* see pcpu_info.partial_failures */
	int64_t nr_empty_pop_pages; /* populated pages that are all free */
	int64_t hidden_bytes;	/* see pcpu_info.hidden_bytes */
	int64_t nr_balance_runs; /* of the background work */
	bool balance_requested;	/* background work is to run */
	bool balance_manual;	/* it runs when the user says so */
	bool atomic_alloc_failed; /* it populates more pages */
	int64_t nr_areas;	/* live areas, the static one not counted */
	int64_t max_areas;	/* most live areas, as of the last free */
	int64_t max_chunks;	/* most chunks at one time */
	int64_t min_size;	/* smallest request served, or INT64_MAX */
	int64_t max_size;	/* largest request served */
	struct pcpu_work alloc_work; /* work of the kernel for allocations;
				       bytes_moved: for longer maps only */
	struct pcpu_work free_work; /* the same for frees */
	struct pcpu_work *work;	/* the one of the call in progress */
	struct rb_root pins;	/* pins by pointer */
	int64_t nr_pins;	/* pins in all */
	struct fake_kernel kernel; /* the services that it calls */
	struct pcpu_event_buffer *event_buffer;	/* kept events, or NULL */
	bool has_listener;	/* there is an event hook or an event buffer */
};

/* --- small helpers */

/* add to a work counter; without them (PCPU_NO_WORK) their cost shows */
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

/*
 * For each page of a unit: CPUs that hold it.  With bitmaps the first chunk and
 * the reserved one start within the unit, and this is where the unit starts.
 */
static inline uint32_t *pcpu_unit_populated(const struct pcpu *pcpu,
					    struct pcpu_chunk *chunk)
{
	return (uint32_t *)(void *)((char *)chunk + pcpu->geo.policy_size);
}

/* the address of a page in one CPU's unit */
static inline uint64_t pcpu_chunk_addr(const struct pcpu *pcpu,
				       const struct pcpu_chunk *chunk, int cpu,
				       int page)
{
	return chunk->addr + (uint64_t)cpu * (uint64_t)pcpu->geo.unit_size +
	       ((uint64_t)page << pcpu->geo.page_shift);
}

/* whether the CPUs hold a page of their units; between calls all or none do */
static inline bool pcpu_chunk_page_occupied(const struct pcpu_chunk *chunk,
					    int page)
{
	return chunk->populated[page];
}

/* the page of an offset */
static inline int pcpu_pfn_down(const struct pcpu_geometry *geo, int64_t offset)
{
	return (int)(offset >> geo->page_shift);
}

/* how many pages hold @bytes */
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

/* --- alloc.c */

int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align);
int64_t pcpu_alloc_locked(struct pcpu *pcpu, int64_t size, int64_t align,
			  unsigned int flags);
void pcpu_balance_locked(struct pcpu *pcpu, int first, int last);
int pcpu_free_locked(struct pcpu *pcpu, int64_t ptr);

/* --- address.c */

/* an area that was looked up by its pointer */
struct pcpu_found {
	struct pcpu_chunk *chunk; /* its chunk */
	int offset;		/* bytes from the start of a unit; with bitmaps
				   of the chunk, and may be negative */
	int index;		/* from area_map_find() */
	int size;		/* bytes, as in the map */
	int tree_steps;		/* chunks that its address was compared with */
	bool is_static;		/* the static area, which may have no index */
};

int pcpu_find_locked(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found);
int pcpu_find_freeable(struct pcpu *pcpu, int64_t ptr,
		       struct pcpu_found *found);
int pcpu_find_freeable_area(struct pcpu *pcpu, int64_t ptr,
			    struct pcpu_found *found);

/* --- first_chunk.c */

/* offsets are ints, and an alignment and a request are added to them */
#define PCPU_MAX_UNIT_SIZE	((int64_t)1 << 30)

/* how the first chunk is set up: arguments of pcpu_setup_first_chunk() */
struct pcpu_setup {
	int64_t static_size;	/* bytes, above 0 */
	int64_t reserved_size;	/* bytes after it, with bitmaps */
	int64_t unit_size;	/* bytes, 0 for auto */
	int64_t free_size;	/* bytes after both, 0 for auto */
	bool has_block;		/* the caller mapped a block of its own */
	bool populate_pte;	/* the pages are to be mapped */
	int64_t present;	/* bytes of each unit whose pages are present */
};

int pcpu_first_chunk_plan(const struct pcpu_config *config,
			  const struct pcpu_geometry *geo,
			  struct pcpu_setup *setup);
int pcpu_first_chunk_geometry(const struct pcpu_setup *setup,
			      struct pcpu_geometry *geo);
int pcpu_setup_first_chunk(struct pcpu *pcpu, const struct pcpu_setup *setup);

/* --- chunk.c */

void pcpu_init_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk);
struct pcpu_chunk *pcpu_create_chunk(struct pcpu *pcpu, int *error);
void pcpu_free_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk);
void pcpu_kill_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk);
struct pcpu_chunk *pcpu_chunk_addr_search(struct pcpu *pcpu, uint64_t addr,
					  int *steps);
void pcpu_chunk_addr_insert(struct pcpu *pcpu, struct pcpu_chunk *new);

/* --- populate.c */

int pcpu_map(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start, int end);
int pcpu_populate_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
			int end);
void pcpu_clear_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int offset,
		     int size);
int pcpu_populate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int offset, int size);
void pcpu_depopulate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			   int start, int end, bool flush);

/* --- events.c */

void pcpu_send_event(struct pcpu *pcpu, int kind,
		     const struct pcpu_chunk *chunk, int offset, int64_t size,
		     int64_t align, unsigned int flags);
int pcpu_emit_failure(struct pcpu *pcpu, int64_t size, int64_t align,
		      unsigned int flags, int error);

/* report an event, if there is a listener */
static inline void pcpu_emit_event(struct pcpu *pcpu, int kind,
				   const struct pcpu_chunk *chunk, int offset,
				   int64_t size, int64_t align,
				   unsigned int flags)
{
	if (unlikely(pcpu->has_listener))
		pcpu_send_event(pcpu, kind, chunk, offset, size, align, flags);
}

/* --- event_buffer.c */

void pcpu_event_buffer_add(struct pcpu *pcpu, const struct pcpu_event *event);
void pcpu_event_buffer_free(struct pcpu *pcpu);

/* --- lock.c */

/**
 * pcpu_lock - enter the allocator
 * @pcpu: the allocator, or NULL
 *
 * A part of each fast path: gcc no longer inlines it on its own as callers grow.
 * Return: 0 with the lock held; or without it -PCPU_E_NULL, -PCPU_E_BUSY or
 * -PCPU_E_CLOSED.
 */
static always_inline int pcpu_lock(struct pcpu *pcpu)
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

void pcpu_unlock_and_log(struct pcpu *pcpu);

/* leave the allocator */
static always_inline void pcpu_unlock(struct pcpu *pcpu)
{
	if (unlikely(pcpu->kernel.log.pending))
		pcpu_unlock_and_log(pcpu);
	else
		pcpu_lock_drop(&pcpu->lock);
}

#endif /* PCPU_INTERNAL_H */
