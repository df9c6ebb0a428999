/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_hooks.h - what a creator may bring along: memory, addresses, pages,
 * faults, and an ear for events.
 *
 * Without hooks an allocator takes memory from malloc() and pages from mmap().
 * A hook gets pcpu_config.arg as its first argument.  It is called with the
 * allocator's lock held, by the thread that made the call, and once at most at
 * a time for one allocator; it must not call that allocator, which is answered
 * with -PCPU_E_BUSY, must not fork, and must not leave with longjmp() or a C++
 * exception.  It may call allocators that were created before its own; if
 * another thread may fork meanwhile it must not call newer ones, nor create or
 * destroy any: fork and hook might wait for each other.
 *
 * pcpu_snapshot_free() calls free without the lock, perhaps beside any other
 * hook, and after pcpu_destroy(): until then the hook and its argument stay.
 */
#ifndef PERCPU_HOOKS_H
#define PERCPU_HOOKS_H

struct pcpu;

/* what an event tells of; the first five are the kernel's tracepoints */
enum pcpu_event_kind {
	PCPU_EVENT_ALLOC,		/* an area was allocated */
	PCPU_EVENT_FREE,		/* an area was freed */
	PCPU_EVENT_ALLOC_FAIL,		/* an allocation failed, see error */
	PCPU_EVENT_CREATE_CHUNK,	/* a chunk was made */
	PCPU_EVENT_DESTROY_CHUNK,	/* a chunk is given back */
	PCPU_EVENT_LEAK			/* an area lives on as all is closed */
};

/* one event; what does not apply is 0 */
struct pcpu_event {
	int kind;		/* enum pcpu_event_kind */
	int error;		/* why it failed: a negative enum pcpu_error */
	int64_t ptr;		/* per-CPU pointer of the area, or the chunk */
	int64_t chunk;		/* ordinal of creation, 0 is the first chunk */
	int64_t offset;		/* bytes from the start of a unit */
	int64_t size;		/* bytes: as asked, or as the map has them */
	int64_t align;		/* bytes, as asked */
};

/**
 * struct pcpu_hooks - a creator's own services
 *
 * Zeroes stand for the usual ones.  Some belong together, all or none: alloc
 * and free; reserve, release, map and unmap; alloc_page and free_page.  The
 * table is copied.
 */
struct pcpu_hooks {
	/**
	 * @alloc: memory for the allocator's own records: handle, chunks, maps
	 * @free: gives it back
	 *
	 * Aligned for any type, as from malloc().  NULL is a failure: that of
	 * the kmalloc, vmalloc or get_vm_area that asked for it, and
	 * -PCPU_E_HOST where none did.
	 */
	void *(*alloc)(void *arg, size_t size);
	void (*free)(void *arg, void *ptr);

	/**
	 * @reserve: addresses, not to be touched yet; once, at creation
	 * @release: gives them back, and what is still mapped there; once
	 *
	 * @size is a multiple of @align, which is the page size and what the
	 * result is aligned to.  When it is NULL, half the size is asked for,
	 * as long as that holds a chunk; see pcpu_config.address_space.  One
	 * that is not aligned is released at once, as if it were NULL.
	 */
	void *(*reserve)(void *arg, size_t size, size_t align);
	void (*release)(void *arg, void *addr, size_t size);

	/**
	 * @map: make pages of the reservation readable and writable, zeroed
	 * @unmap: take pages and contents away
	 *
	 * Whole pages of one CPU's unit.  map() returns 0, or anything else as
	 * a failure: the request fails with PCPU_E_NOMEM + PCPU_MAP.  What
	 * unmap() gets may have pages in it that are not mapped.
	 */
	int (*map)(void *arg, void *addr, size_t size, int cpu, int node);
	void (*unmap)(void *arg, void *addr, size_t size, int cpu, int node);

	/**
	 * @alloc_page: take a page frame for a CPU from its NUMA node
	 * @free_page: give one back
	 *
	 * A frame has no identity: these keep accounts, map() brings the page.
	 * Frames of the first chunk are asked for at creation, and all that are
	 * held are given back at the end.  0, or anything else as a failure:
	 * PCPU_E_NOMEM + PCPU_ALLOC_PAGE.
	 */
	int (*alloc_page)(void *arg, int cpu, int node);
	void (*free_page)(void *arg, int cpu, int node);

	/**
	 * @should_fail: whether a service is to fail this time
	 *
	 * Asked at each call of the five that can, see pcpu_inject(), whose
	 * plans go on beside it.  Anything but 0 is a failure of the service.
	 */
	int (*should_fail)(void *arg, int service);

	/**
	 * @event: something happened; in the order that it did
	 */
	void (*event)(void *arg, const struct pcpu_event *event);
};

/* an event that was kept, and who was there */
struct pcpu_record {
	struct pcpu_event event; /* what happened */
	uint64_t ns;		/* when, by CLOCK_MONOTONIC */
	int32_t cpu;		/* where the caller ran; -1: unknown */
	int32_t tid;		/* its thread, by the kernel's number */
};

/**
 * pcpu_record_start - keep events from now on, to be taken later
 * @pcpu: the allocator
 *
 * A hook for events is called all the same.  What is kept needs memory, 64
 * bytes an event; without any, events are lost, and counted.  Nothing is
 * slower while nothing is kept.  Cheap.
 * Return: 0, also where it was started before, or -PCPU_E_HOST,
 * -PCPU_E_CLOSED.
 */
int pcpu_record_start(struct pcpu *pcpu);

/**
 * pcpu_record_take - take events that were kept, the oldest first
 * @pcpu: the allocator
 * @records: room for them
 * @room: for how many
 * @n: how many were taken; less than @room: there are no more
 * @lost: how many were lost since the last call, all behind those kept
 *
 * Cost: copying.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_record_take(struct pcpu *pcpu, struct pcpu_record *records,
		     size_t room, size_t *n, uint64_t *lost);

/**
 * pcpu_record_stop - keep no more events, and forget what was kept
 * @pcpu: the allocator
 *
 * Closing does it too.  Cheap.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_record_stop(struct pcpu *pcpu);

#endif /* PERCPU_HOOKS_H */
