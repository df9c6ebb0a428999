/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_hooks.h - a part of percpu.h: the creator's own memory, addresses,
 * pages and faults; events.
 *
 * Without hooks an allocator takes memory from malloc() and pages from mmap().
 * The first argument of a hook is pcpu_config.arg.  It is called with the
 * allocator's lock held, by the thread that made the call, so one at a time for
 * one allocator.  It must not call that allocator, which returns -PCPU_E_BUSY,
 * must not fork, and must not leave with longjmp() or a C++ exception.  It may
 * call allocators that were created before its own; if another thread may fork
 * at the same time it must not call newer ones, nor create or destroy any: fork
 * and hook might wait for each other.
 *
 * pcpu_snapshot_free() calls free without the lock, perhaps at the same time as
 * another hook, and after pcpu_destroy(): the hook and its argument must be
 * valid until then.  There the allocator, if it exists, does not refuse a call.
 */
#ifndef PERCPU_HOOKS_H
#define PERCPU_HOOKS_H

struct pcpu;

/* kinds of events; the first five are the kernel's tracepoints */
enum pcpu_event_kind {
	PCPU_EVENT_ALLOC,		/* an area was allocated */
	PCPU_EVENT_FREE,		/* an area was freed */
	PCPU_EVENT_ALLOC_FAIL,		/* an allocation failed, see error */
	PCPU_EVENT_CREATE_CHUNK,	/* a chunk was created */
	PCPU_EVENT_DESTROY_CHUNK,	/* a chunk is destroyed */
	PCPU_EVENT_LEAK			/* an area is live when all is closed */
};

/* one event; what does not apply is 0 */
struct pcpu_event {
	uint16_t kind;		/* enum pcpu_event_kind */
	uint16_t flags;		/* PCPU_ATOMIC, PCPU_RESERVED */
	int error;		/* why it failed: a negative enum pcpu_error */
	int64_t ptr;		/* per-CPU pointer of the area, or the chunk */
	int64_t chunk;		/* ordinal of creation, 0 is the first chunk */
	int64_t offset;		/* bytes from the start of a unit */
	int64_t size;		/* bytes: as requested, or as in the map */
	int64_t align;		/* bytes, as requested */
};

/**
 * struct pcpu_hooks - functions that replace those of the process
 *
 * NULL keeps the default.  Three groups are set completely or not at all: alloc
 * and free; reserve, release, map and unmap; alloc_page and free_page.  The
 * struct is copied.
 */
struct pcpu_hooks {
	/**
	 * @alloc: allocate memory for the allocator's structs, chunks and maps
	 * @free: free it
	 *
	 * Aligned for any type, as from malloc().  NULL is a failure: that of
	 * the kmalloc, vmalloc or get_vm_area that needed it, otherwise
	 * -PCPU_E_HOST.
	 */
	void *(*alloc)(void *arg, size_t size);
	void (*free)(void *arg, void *ptr);

	/**
	 * @reserve: reserve addresses without memory; once, at creation
	 * @release: release them, and what is still mapped there; once
	 *
	 * @size is a multiple of @align, which is the page size; the result is
	 * aligned to it.  After NULL, half the size is requested, as long as
	 * that holds a chunk; see pcpu_config.address_space.  A result that is
	 * not aligned is released at once and treated as NULL.
	 */
	void *(*reserve)(void *arg, size_t size, size_t align);
	void (*release)(void *arg, void *addr, size_t size);

	/**
	 * @map: make pages of the reservation readable and writable, zeroed
	 * @unmap: unmap pages and discard their contents
	 *
	 * Whole pages of one CPU's unit.  A new area in a page that map() just
	 * zeroed is not cleared.  map() returns 0 on success; after any
	 * other value the request fails with PCPU_E_NOMEM + PCPU_MAP.  The range
	 * of unmap() may include pages that are not mapped.
	 */
	int (*map)(void *arg, void *addr, size_t size, int cpu, int node);
	void (*unmap)(void *arg, void *addr, size_t size, int cpu, int node);

	/**
	 * @alloc_page: take a page frame for a CPU from its NUMA node
	 * @free_page: free one
	 *
	 * A frame has no identity: these count frames, map() provides the page.
	 * Frames of the first chunk are requested at creation, and all that are
	 * held are freed at the end.  0 on success; any other value is a
	 * failure, PCPU_E_NOMEM + PCPU_ALLOC_PAGE.
	 */
	int (*alloc_page)(void *arg, int cpu, int node);
	void (*free_page)(void *arg, int cpu, int node);

	/**
	 * @should_fail: decide whether a call to a service fails
	 *
	 * Called at each call of the five that can, in addition to the plans of
	 * pcpu_inject().  Any value except 0 makes the service fail.
	 */
	int (*should_fail)(void *arg, int service);

	/**
	 * @event: receives each event, in order
	 */
	void (*event)(void *arg, const struct pcpu_event *event);
};

/* an event that was kept, with time and thread */
struct pcpu_record {
	struct pcpu_event event; /* what happened */
	uint64_t ns;		/* when, by CLOCK_MONOTONIC */
	int32_t cpu;		/* CPU of the caller; -1: unknown */
	int32_t tid;		/* its thread, by the kernel's number */
};

/**
 * pcpu_record_start - keep events from now on, for pcpu_record_take()
 * @pcpu: the allocator
 *
 * A hook for events is still called.  Each event takes 64 bytes; if there is no
 * memory, events are lost and counted.  While no events are kept, calls are not
 * slower.  Cheap.
 * Return: 0, also if it was started before, or -PCPU_E_HOST, -PCPU_E_CLOSED.
 */
int pcpu_record_start(struct pcpu *pcpu);

/**
 * pcpu_record_take - take events from those kept, the oldest first
 * @pcpu: the allocator
 * @records: room for them
 * @room: for how many
 * @n: set to how many were taken; if less than @room, there are no more
 * @lost: set to how many were lost since the last call, all after those kept
 *
 * Cost: copying.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_record_take(struct pcpu *pcpu, struct pcpu_record *records,
		     size_t room, size_t *n, uint64_t *lost);

/**
 * pcpu_record_stop - stop keeping events, and discard those that were kept
 * @pcpu: the allocator
 *
 * Closing has the same effect.  Cheap.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_record_stop(struct pcpu *pcpu);

#endif /* PERCPU_HOOKS_H */
