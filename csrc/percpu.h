/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu.h - the public C interface, the one header that an embedder includes.
 *
 * A struct pcpu is one per-CPU allocator: the dynamic allocator that entered
 * Linux with commit 8d408b4be37b (mm/percpu.c, Tejun Heo, February 2009),
 * together with a small fake of the kernel that it runs on.  A process may
 * hold any number of them.
 *
 * Threads: one lock in each allocator serialises the calls, so every function
 * here may be called from any thread unless it says otherwise.  A fork waits
 * until no thread is inside; the child has its own copy, except for what hooks
 * provide.  Signal handlers must not call an allocator.
 *
 * Each function states its cost; "cheap" means about 10 ns including the lock.
 *
 * A per-CPU pointer is an address in the allocator's own address space, the
 * address of CPU 0's copy.  It is greater than 0 and the same in every run.
 * pcpu_address() returns the real address.  Two allocators return the same
 * pointers, unless their pcpu_config.first_ptr differ.
 *
 * Functions that return int or int64_t return a negative enum pcpu_error when
 * they refuse or fail; a refusal does not change the allocator's state.  Each
 * may return, in addition to the errors that it names:
 *
 *	-PCPU_E_NULL	a required pointer is NULL
 *	-PCPU_E_CLOSED	the allocator was closed
 *	-PCPU_E_BUSY	the thread is inside this allocator already
 *
 * The last is not guaranteed: neither a signal handler nor a hook of the
 * allocator may call it.
 */
#ifndef PERCPU_H
#define PERCPU_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* libpercpu.so exports what is declared here, and nothing else */
#ifndef PCPU_HIDDEN
#pragma GCC visibility push(default)
#endif

/*
 * The version of this header.  A library with another major or minor number has
 * other structures, and refuses to create an allocator.  The upper half,
 * "pcpu", marks the number as a version.
 */
#define PCPU_VERSION_MAJOR	0
#define PCPU_VERSION_MINOR	2
#define PCPU_VERSION_PATCH	0
#define PCPU_VERSION		(0x7063707500000000 | PCPU_VERSION_MAJOR << 16 | \
				 PCPU_VERSION_MINOR << 8 | PCPU_VERSION_PATCH)

/**
 * pcpu_version - return the version of the library
 *
 * Return: a constant string, as in "0.2.0".
 */
const char *pcpu_version(void);

struct pcpu;		/* one allocator; its fields are private */
struct pcpu_hooks;

/**
 * enum pcpu_service - the kernel functions that the allocator calls
 *
 * Each is counted; the five that can fail are also sites for faults:
 * PCPU_KMALLOC, PCPU_VMALLOC, PCPU_GET_VM_AREA, PCPU_ALLOC_PAGE, PCPU_MAP.
 */
enum pcpu_service {
	PCPU_KMALLOC,			/* sizes above 0 */
	PCPU_KFREE,			/* of memory from kmalloc */
	PCPU_VMALLOC,			/* maps larger than a page */
	PCPU_VFREE,			/* of memory from vmalloc */
	PCPU_GET_VM_AREA,		/* address space for one chunk */
	PCPU_FREE_VM_AREA,		/* frees it */
	PCPU_ALLOC_PAGE,		/* one page frame */
	PCPU_FREE_PAGE,			/* frees one */
	PCPU_MAP,			/* one CPU and page range */
	PCPU_UNMAP,			/* one CPU and page range */
	PCPU_FLUSH_CACHE_VMAP,		/* after mapping, all CPUs at once */
	PCPU_FLUSH_CACHE_VUNMAP,	/* before unmapping */
	PCPU_FLUSH_TLB,			/* after unmapping */
	PCPU_WARN,			/* WARN and WARN_ON that fired */
	PCPU_NR_SERVICES
};

/**
 * enum pcpu_error - why a call was refused or failed (returned negated)
 *
 * PCPU_E_NOMEM + service means that this service failed, for example
 * PCPU_E_NOMEM + PCPU_ALLOC_PAGE: no page frame was left.  PCPU_E_MAPPINGS
 * takes the place of PCPU_E_NOMEM + PCPU_MAP, and of PCPU_E_HOST in
 * pcpu_create(), if the host has memory but the process has too many mappings.
 */
enum pcpu_error {
	PCPU_E_SIZE = 1,	/* size is 0, negative or above 16 pages */
	PCPU_E_ALIGN,		/* alignment is not a power of two up to a page */
	PCPU_E_WILD,		/* no chunk covers the pointer */
	PCPU_E_OTHER_UNIT,	/* it points at another CPU's copy */
	PCPU_E_STATIC,		/* it points into the static area */
	PCPU_E_INTERIOR,	/* it points into the middle of an area */
	PCPU_E_NOT_LIVE,	/* no area there: freed, or never allocated */
	PCPU_E_PINNED,		/* the area is pinned */
	PCPU_E_ROLLBACK,	/* no pins with PCPU_QUIRK_ROLLBACK */
	PCPU_E_CPU,		/* no such CPU */
	PCPU_E_NO_MEMORY_MAPPED, /* created with PCPU_MEMORY_NONE */
	PCPU_E_CLOSED,		/* pcpu_close() was called */
	PCPU_E_CONFIG,		/* impossible geometry, or a value out of range */
	PCPU_E_SITE,		/* this service cannot fail */
	PCPU_E_TRACE,		/* handle or kind of an operation is out of range */
	PCPU_E_HOST,		/* the host has no memory for the call itself */
	PCPU_E_VERSION,		/* config.version is not that of the library */
	PCPU_E_NULL,		/* a required pointer is NULL */
	PCPU_E_BUSY,		/* called by a hook or signal handler inside a call */
	PCPU_E_HOOKS,		/* some hooks of a group are missing */
	PCPU_E_IN_USE,		/* the struct pcpu_pin is in use already */
	PCPU_E_FLAGS,		/* no such flag, or not with this policy */
	PCPU_E_NO_PLACE,	/* no chunk has a place for an atomic or reserved
				   request, which makes none */
	PCPU_E_NOMEM = 32,	/* + enum pcpu_service */
	PCPU_E_MAPPINGS = PCPU_E_NOMEM + PCPU_NR_SERVICES /* vm.max_map_count */
};

/* which kernel's decisions are taken */
enum pcpu_policy {
	PCPU_POLICY_AREA_MAP,	/* those of the 2009 file */
	PCPU_POLICY_BITMAP	/* those of Linux 5.14 to 6.x */
};

/* how the first chunk is set up; see pcpu_create() */
enum pcpu_first_chunk {
	PCPU_FIRST_4K,		/* static pages one by one, into vmalloc space */
	PCPU_FIRST_EMBED,	/* one block, every page present */
	PCPU_FIRST_REMAP	/* 2 MiB units, pages up to the free area */
};

enum pcpu_memory {
	PCPU_MEMORY_MAPPED,	/* real memory, mapped and unmapped */
	PCPU_MEMORY_NONE	/* bookkeeping only */
};

enum pcpu_quirk {
	PCPU_QUIRK_ROLLBACK = 1	/* a failed populate frees its whole range */
};

enum pcpu_fix {
	PCPU_FIX_CHUNK_HINT = 1	/* a free within a page raises the chunk's hint,
				   as in no kernel up to 6.18 */
};

/* what a text in the log is about */
enum pcpu_log {
	PCPU_LOG_WARN,		/* a WARN of the 2009 file; PCPU_WARN counts it */
	PCPU_LOG_LEAK,		/* areas were live when the allocator was closed */
	PCPU_LOG_REFUSED	/* why pcpu_create() returns NULL */
};

/**
 * struct pcpu_config - the configuration of an allocator
 *
 * A good start is all zero except version, cpus and static_size: 4k first
 * chunk, sizes by the rules of the set-up, the host's page, real memory.
 */
struct pcpu_config {
	/* these three have the same place in every version */
	uint64_t version;		/* PCPU_VERSION */
	/* receives texts, valid during the call, and may call the allocator;
	   NULL: stderr, except for PCPU_LOG_LEAK */
	void (*log)(void *arg, int about, const char *text);
	void *arg;			/* first argument of log and hooks */

	int64_t cpus;			/* possible CPUs, 1 to 65,536 */
	int64_t static_size;		/* bytes of the static area, > 0 */
	int64_t unit_size;		/* bytes of a unit; 0: the set-up's rule */
	int64_t free_size;		/* bytes after the static area; 0: the rest */
	int64_t page_size;		/* bytes, a power of two; 0: the host's */
	int64_t nodes;			/* NUMA nodes, CPUs in even blocks; 0: one */
	int64_t page_limit;		/* page frames per node; 0: no limit */
	int64_t first_ptr;		/* lowest pointer, whole pages; 0: one page */
	int64_t address_space;		/* most bytes to reserve, with real memory;
					   0: 1 TiB */
	int policy;			/* enum pcpu_policy */
	int memory;			/* enum pcpu_memory */
	/* only with PCPU_POLICY_AREA_MAP, as free_size */
	int first_chunk;		/* enum pcpu_first_chunk */
	unsigned int quirks;		/* set of enum pcpu_quirk */
	/* only with PCPU_POLICY_BITMAP */
	int64_t reserved_size;		/* bytes after static; 0: none */
	int64_t dyn_size;		/* bytes of the first chunk; 0: the rule */
	unsigned int fixes;		/* set of enum pcpu_fix */
	int manual_balance;		/* 1: background work runs only in
					   pcpu_balance() */
	/* with both */
	const void *static_image;	/* first bytes of each static area, or NULL */
	size_t static_image_size;	/* how many */
	const struct pcpu_hooks *hooks;	/* replacements of services, or NULL */
};

/**
 * pcpu_create - make an allocator and set up its first chunk
 * @config: the configuration; not kept
 * @error: set to the reason when NULL is returned; may be NULL
 *
 * The three set-ups are those of x86 in February 2009:
 *
 *	name	unit_size			free_size
 *	4k	16 pages, or more for static	unit - static
 *	embed	max(pages(static + 24 KiB), 16 pages)	unit - static
 *	remap	2 MiB				pages(static + 24 KiB) - static
 *
 * With PCPU_POLICY_BITMAP the set-up is that of x86 today.  Sizes are multiples
 * of 4, a page has 64 bytes at least.  dyn_size is what pages(static + reserved
 * + 28 KiB) leave.  unit_size is 2 MiB divided by a power of two: of those that
 * hold the three parts and 8 pages, and waste at most a third of the CPUs, the
 * one with the fewest large pages, then the largest.
 *
 * The log names the versions of header and library if they differ, and a hook
 * that is missing.  If version is not a version, the place of the log is
 * unknown and nothing is logged.
 *
 * Threads: any.  Cost: about 40 microseconds with real memory, most of it in
 * the host for address space; plus the static area's pages.
 * Return: the allocator, or NULL with @error one of -PCPU_E_NULL,
 * -PCPU_E_VERSION, -PCPU_E_HOOKS, -PCPU_E_CONFIG, -PCPU_E_HOST,
 * -PCPU_E_MAPPINGS, -(PCPU_E_NOMEM + PCPU_MAP), or with hooks
 * -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE).
 */
struct pcpu *pcpu_create(const struct pcpu_config *config, int *error);

/**
 * pcpu_close - free all memory; later calls return -PCPU_E_CLOSED
 * @pcpu: the allocator
 *
 * Live areas are freed too: each is reported as PCPU_EVENT_LEAK, and their sum
 * is logged.  Closing twice is allowed.  Cost: grows with the chunks and areas
 * left, and with the memory that was touched.
 * Return: 0, or -PCPU_E_PINNED with nothing done.
 */
int pcpu_close(struct pcpu *pcpu);

/**
 * pcpu_destroy - close and free the struct itself
 * @pcpu: the allocator, or NULL; must not be used afterwards
 *
 * While pins are left, nothing changes; pcpu_unpin() must be called for each,
 * and the last call destroys.  So the owner of a pin need not know the owner of
 * the allocator.  Threads: no other one may be inside, or enter later, except
 * with pcpu_unpin().  Called again by the log function, or by a hook of the same
 * allocator, it does nothing.  Cost: as pcpu_close().
 */
void pcpu_destroy(struct pcpu *pcpu);

/**
 * pcpu_alloc - allocate a per-CPU area, zeroed on every CPU
 * @pcpu: the allocator
 * @size: bytes, 1 to 16 pages
 * @align: a power of two, up to a page
 *
 * Cost: a search among the free ranges of the fullest chunks that may hold it,
 * and clearing what is not zero of @size bytes for each CPU; rarely mapping a
 * page, or a new chunk.
 * Return: the per-CPU pointer, or -PCPU_E_SIZE, -PCPU_E_ALIGN,
 * -PCPU_E_CLOSED, -PCPU_E_MAPPINGS, or -(PCPU_E_NOMEM + the service that
 * failed).
 */
int64_t pcpu_alloc(struct pcpu *pcpu, int64_t size, int64_t align);

/**
 * pcpu_alloc_gfp - the same, for a caller that may not sleep, or for a module
 * @pcpu: the allocator
 * @size: bytes, 1 to 16 pages; with bitmaps to 8 pages
 * @align: a power of two, up to a page; with bitmaps also 0 to 3, taken for 4
 * @flags: set of PCPU_ATOMIC and PCPU_RESERVED
 *
 * An atomic request is served from populated pages.  A reserved one is served
 * from the reserved chunk, if there is one.  Cost: as pcpu_alloc().
 * Return: as pcpu_alloc(), or -PCPU_E_NO_PLACE, or -PCPU_E_FLAGS.
 */
int64_t pcpu_alloc_gfp(struct pcpu *pcpu, int64_t size, int64_t align,
		       unsigned int flags);

#define PCPU_BALANCE_STEPS	4

/**
 * pcpu_balance - run the background work, with bitmaps
 * @pcpu: the allocator
 * @first: the first step, 1: a run begins
 * @last: the last one, PCPU_BALANCE_STEPS: it ends
 *
 * 1 destroys free chunks but one, 2 depopulates empty pages of isolated chunks,
 * 3 populates pages for atomic requests, 4 destroys free chunks without pages.
 * Cost: grows with the chunks and pages that it looks at; rarely mapping pages
 * or destroying a chunk.
 * Return: 0, also without bitmaps, or -PCPU_E_CONFIG: no such steps.
 */
int pcpu_balance(struct pcpu *pcpu, int first, int last);

/**
 * pcpu_free - free a per-CPU area
 * @pcpu: the allocator
 * @ptr: from pcpu_alloc(), or 0, which does nothing
 *
 * Cost: grows with the logarithm of the chunks and of the areas in one; rarely
 * a chunk is destroyed.
 * Return: 0, or -PCPU_E_WILD, -PCPU_E_OTHER_UNIT, -PCPU_E_STATIC,
 * -PCPU_E_INTERIOR, -PCPU_E_NOT_LIVE, -PCPU_E_PINNED, -PCPU_E_CLOSED.
 */
int pcpu_free(struct pcpu *pcpu, int64_t ptr);

/* the place of an area */
struct pcpu_location {
	int64_t chunk;		/* ordinal of creation, 0 is the first chunk */
	int64_t offset;		/* bytes from the start of a unit; with bitmaps
				   from the chunk's start: the static area is
				   before that of the first chunk */
	int64_t size;		/* bytes of the area, as in the map */
};

/**
 * pcpu_locate - find the chunk and offset of a pointer
 * @pcpu: the allocator
 * @ptr: a live area's pointer, or that of the static area
 * @location: set to the place
 *
 * Cost: as the search of pcpu_free().
 * Return: 0, or the errors of pcpu_free() except -PCPU_E_PINNED; -PCPU_E_STATIC
 * only after the start of the static area.
 */
int pcpu_locate(struct pcpu *pcpu, int64_t ptr, struct pcpu_location *location);

/* what the policy chooses; a negative offset is an enum pcpu_error */
struct pcpu_choice {
	int64_t chunk;		/* its chunk */
	int64_t offset;		/* bytes from the chunk's start */
	int64_t offset_there;	/* the same in the chunk that a kernel chose */
	int learnt;		/* whether its chunk was sidelined, see PCPU_LEARN */
};

/*
 * A flag of pcpu_follow() for a kernel that was running before: a chunk that the
 * policy chooses and the kernel passes over is taken to be sidelined there.
 */
#define PCPU_LEARN	4u

/**
 * pcpu_follow - allocate where a kernel did, and return what the policy chooses
 * @pcpu: the allocator, with bitmaps
 * @size: bytes, as in pcpu_alloc_gfp()
 * @align: bytes, as in pcpu_alloc_gfp()
 * @flags: as in pcpu_alloc_gfp(), and PCPU_LEARN
 * @kernel: chunk and offset where the kernel placed the area; the chunk after
 *	the last one is created; NULL: the kernel found no place
 * @chosen: set to the policy's choice, also on errors
 *
 * The policy searches first, and may create a chunk for that.  Cost: as
 * pcpu_alloc(), plus the number of chunks.
 * Return: as pcpu_alloc_gfp(); -PCPU_E_NO_PLACE also if the kernel's place is
 * not free; -PCPU_E_WILD: there is no such chunk or offset.
 */
int64_t pcpu_follow(struct pcpu *pcpu, int64_t size, int64_t align,
		    unsigned int flags, const struct pcpu_location *kernel,
		    struct pcpu_choice *chosen);

/**
 * pcpu_address - return the real address of one CPU's copy
 * @pcpu: the allocator
 * @ptr: a live area's pointer, or that of the static area
 * @cpu: 0 to cpus - 1
 *
 * The address is valid until the area is freed; see pcpu_pin().  The copies of
 * adjacent CPUs are pcpu_info.unit_size bytes apart.
 * Cost: as pcpu_locate().
 * Return: the address, or the errors of pcpu_locate(), -PCPU_E_CPU,
 * -PCPU_E_NO_MEMORY_MAPPED.
 */
int64_t pcpu_address(struct pcpu *pcpu, int64_t ptr, int64_t cpu);

/* keeps an area from being freed; the caller zeroes it before its first use */
struct pcpu_pin {
	int64_t address;	/* real address of the copy */
	int64_t size;		/* bytes that can be accessed there */
	int64_t ptr;		/* the area's pointer */
	struct pcpu *pcpu;	/* the allocator; NULL: pins nothing */
	void *place[4];		/* used by the allocator */
};

/**
 * pcpu_pin - keep an area from being freed while it is in use
 * @pcpu: the allocator
 * @ptr: a live area's pointer, or that of the static area
 * @cpu: 0 to cpus - 1
 * @pin: set to the copy; must not move or change until pcpu_unpin()
 *
 * While an area has a pin, freeing it and closing the allocator return
 * -PCPU_E_PINNED.  Cost: as pcpu_locate(), plus the logarithm of the pins.
 * Return: 0, the errors of pcpu_address(), -PCPU_E_ROLLBACK, or -PCPU_E_IN_USE:
 * @pin pins an area already, or was not zeroed before its first use.  After an
 * error @pin is as it was.
 */
int pcpu_pin(struct pcpu *pcpu, int64_t ptr, int64_t cpu, struct pcpu_pin *pin);

/**
 * pcpu_unpin - remove a pin
 * @pin: from pcpu_pin(), or one that pins nothing, or NULL
 *
 * It does nothing if @pin pins nothing, is a copy of a pin, or if a hook of the
 * same allocator calls it.  Cost: the logarithm of the pins; the last one may
 * destroy the allocator.
 */
void pcpu_unpin(struct pcpu_pin *pin);

/**
 * pcpu_alloc_many - many allocations in one call
 * @pcpu: the allocator
 * @sizes: an array of @n integers
 * @width: bytes of one of them, 1, 2, 4 or 8; negative when they are signed
 * @n: how many
 * @align: alignment of all
 * @ptrs: room for @n pointers
 * @at: index of the size that was refused or failed
 *
 * All or none: every size is checked before anything changes, and when an
 * allocation fails the earlier ones are freed again, newest first.  The lock is
 * held throughout.  Cost: that of the allocations, the lock once.
 * Return: 0, the errors of pcpu_alloc(), or -PCPU_E_CONFIG for another width.
 */
int pcpu_alloc_many(struct pcpu *pcpu, const void *sizes, int width, size_t n,
		    int64_t align, int64_t *ptrs, size_t *at);

/**
 * pcpu_free_many - many frees in one call, in the order given
 * @pcpu: the allocator
 * @ptrs: an array of @n integers, zeroes allowed
 * @width: bytes of one of them, 1, 2, 4 or 8; negative when they are signed
 * @n: how many
 * @at: index of the pointer that was refused
 *
 * All or none: every pointer is checked, also for duplicates, before anything
 * changes.  Cost: that of the frees, plus sorting @n pointers if they are not
 * in ascending order.
 * Return: 0, the errors of pcpu_free(), -PCPU_E_HOST, or -PCPU_E_CONFIG for
 * another width.
 */
int pcpu_free_many(struct pcpu *pcpu, const void *ptrs, int width, size_t n,
		   size_t *at);

#define PCPU_OP_FREE	0xffffffffu	/* as a kind: this operation frees */
#define PCPU_OP_FAULT	0xfffffffeu	/* as a kind: sets fault number handle */
#define PCPU_OP_BALANCE	0xfffffffdu	/* as a kind: background work runs */
#define PCPU_OP_FIRST	PCPU_OP_BALANCE	/* lower ones are kinds */
#define PCPU_OP_ORPHAN	0xffffffffu	/* as a handle: nothing to free */

/* one operation of a trace, 16 bytes */
struct pcpu_op {
	uint64_t key;		/* the area's pointer in the recording */
	uint32_t handle;	/* stands for the area while it is live */
	uint32_t kind;		/* index of its struct pcpu_kind, or PCPU_OP_* */
};

/* when a service fails; the names are those of the kernel's fault injection */
struct pcpu_fault {
	uint64_t nth;		/* the first call from now that may fail, from 1 */
	uint64_t interval;	/* from then on, every interval-th one, from 1 */
	int64_t times;		/* most failures; -1: no limit */
	double probability;	/* chance of each such call, above 0, up to 1 */
	uint64_t seed;		/* of the random numbers */
};

/* a fault that a trace sets */
struct pcpu_replay_fault {
	int site;		/* enum pcpu_service, one that can fail */
	int clear;		/* remove the fault that is set */
	struct pcpu_fault fault; /* otherwise: when it fails */
};

#define PCPU_ATOMIC	1u	/* the caller may not sleep */
#define PCPU_RESERVED	2u	/* from the chunk that is reserved for modules */

/* the request of an allocation; a trace has few different ones */
struct pcpu_kind {
	int64_t size;		/* bytes */
	int64_t align;		/* bytes */
	uint32_t flags;		/* set of PCPU_ATOMIC and PCPU_RESERVED */
};

/* the live area of a handle */
struct pcpu_replay_handle {
	int64_t ptr;		/* 0: none */
	int64_t size;		/* bytes requested */
};

/* figures after each operation of a replay, one item for each */
struct pcpu_replay_curves {
	int64_t *pages;		/* see pcpu_info.pages */
	int64_t *chunks;	/* see pcpu_info.chunks */
	int64_t *hidden;	/* see pcpu_info.hidden_bytes */
};

/* a replay in progress: set the inputs, zero the rest */
struct pcpu_replay {
	const struct pcpu_op *ops;	/* the operations */
	const struct pcpu_kind *kinds;	/* their kinds */
	const struct pcpu_replay_fault *faults; /* their faults, or NULL */
	struct pcpu_replay_handle *handles; /* zeroed */
	int64_t *pointers;		/* one for each operation, or NULL: its
					   area, 0: skipped, < 0: error */
	const struct pcpu_replay_curves *curves; /* room for them, or NULL */
	uint32_t nr_kinds;		/* length of kinds */
	uint32_t nr_faults;		/* length of faults */
	uint32_t nr_handles;		/* length of handles */

	uint64_t elapsed_ns;		/* time in the loop */
	uint64_t failures;		/* operations that failed */
	uint64_t ignored_flags;		/* requests whose flags had no effect */
	int64_t live_bytes;		/* bytes requested, of live areas, one copy */
	int64_t peak_live_bytes;	/* the maximum of live_bytes */
	int64_t pages_at_peak;		/* page frames held at that time */
	int64_t peak_pages;		/* most page frames after an allocation */
	int64_t peak_chunks;		/* most chunks, also after one that failed */
	int64_t peak_hidden;		/* most of pcpu_info.hidden_bytes */
};

/**
 * pcpu_replay_check - check that operations refer to what exists
 * @replay: the operations
 * @n: how many
 *
 * pcpu_replay() also checks each, but only after the operations before it.
 * Cost: one or two nanoseconds each.
 * Return: 0 or -PCPU_E_TRACE.
 */
int pcpu_replay_check(const struct pcpu_replay *replay, size_t n);

/**
 * pcpu_replay - a stream of operations in one call
 * @pcpu: the allocator
 * @replay: the operations and the running figures
 * @from: first operation
 * @to: after the last one
 *
 * An allocation with a handle that is in use frees that area first; a free of a
 * handle without an area does nothing.  An operation that fails, also one that
 * sets an impossible fault, is counted and the run goes on.  A run may be split
 * into several calls.  Cost: that of the operations; the lock is held
 * throughout.
 * Return: 0, -PCPU_E_CLOSED, or -PCPU_E_TRACE when an operation refers to what
 * does not exist: it and those after it are not done.
 */
int pcpu_replay(struct pcpu *pcpu, struct pcpu_replay *replay, size_t from,
		size_t to);

#define PCPU_RESERVED_CHUNK	(-1)	/* as a chunk's id */

/* what a chunk or one of its pages knows of its free runs, in units of 4 bytes */
struct pcpu_block_md {
	int scan_hint;		/* length of a run before the next, or 0 */
	int scan_hint_start;	/* where it starts */
	int contig_hint;	/* length of the largest run known */
	int contig_hint_start;	/* where it starts */
	int left_free;		/* length of the run at the start */
	int right_free;		/* length of the run at the end */
	int first_free;		/* nothing before it is free */
	int nr_bits;		/* length of the whole */
};

/* one chunk in a snapshot */
struct pcpu_chunk_info {
	int64_t id;		/* ordinal of creation, PCPU_RESERVED_CHUNK */
	int64_t ptr;		/* per-CPU pointer of offset 0 */
	int64_t free_size;	/* free bytes in a unit */
	int64_t contig_hint;	/* no free range is larger */
	int64_t max_size;	/* largest request that it served */
	int64_t map_alloc;	/* entries that fit into the map */
	int64_t map_used;	/* entries in use */
	const int *map;		/* signed sizes, > 0 free, < 0 in use */
	const uint32_t *populated; /* for each page of a unit: CPUs that hold it */
	int immutable;		/* the caller mapped it, pages stay */
	/* with bitmaps; else zero */
	int isolated;		/* its empty pages are to be depopulated */
	int64_t empty_pages;	/* populated pages that are all free */
	int64_t nr_blocks;	/* pages of the chunk */
	struct pcpu_block_md hints; /* of the chunk */
	const struct pcpu_block_md *blocks; /* of each page */
};

/* the state of an allocator; one block of memory */
struct pcpu_snapshot {
	int64_t nr_slots;	/* lists of chunks */
	int64_t nr_chunks;	/* chunks in all */
	int64_t unit_pages;	/* length of each populated array */
	const int64_t *slot_len; /* how many chunks each list has */
	const int64_t *slot_ids; /* their ids, slot 0 first, in list order */
	const struct pcpu_chunk_info *chunks; /* by id */
	/* with bitmaps; else zero */
	int64_t populated_pages; /* of one CPU, static ones included */
	int64_t empty_pages;	/* of chunks that are neither isolated nor
				   reserved */
	int balance_requested;	/* background work is to run */
	int atomic_failed;	/* it populates more pages */
};

/**
 * pcpu_snapshot_take - copy the state
 * @pcpu: the allocator
 * @error: set to the reason when NULL is returned; may be NULL
 *
 * Cost: grows with all map entries and pages of a unit; the lock is held.
 * Return: the snapshot, or NULL with -PCPU_E_CLOSED or -PCPU_E_HOST.
 */
struct pcpu_snapshot *pcpu_snapshot_take(struct pcpu *pcpu, int *error);

/**
 * pcpu_snapshot_free - free a snapshot
 * @snapshot: from pcpu_snapshot_take(), or NULL
 *
 * The allocator may be destroyed before.  Threads: one for each snapshot.
 * Cheap.
 */
void pcpu_snapshot_free(struct pcpu_snapshot *snapshot);

/* geometry and gauges */
struct pcpu_info {
	int64_t cpus;		/* possible CPUs */
	int64_t page_size;	/* bytes */
	int64_t unit_size;	/* bytes */
	int64_t static_size;	/* bytes */
	int64_t reserved_size;	/* bytes after it, for modules */
	int64_t free_size;	/* bytes after both in the first chunk, at creation */
	int64_t static_ptr;	/* per-CPU pointer of the static area */
	int64_t max_size;	/* largest request, bytes */
	int64_t chunks;		/* chunks now, the first included */
	int64_t chunks_created;	/* since creation, the first not counted */
	int64_t chunks_destroyed; /* since creation */
	int64_t pages;		/* page frames now, boot-time ones included */
	int64_t partial_failures; /* allocations that changed a map, then failed */
	int64_t areas;		/* live areas, the static one not counted */
	int64_t max_areas;	/* most live areas at one time */
	int64_t max_chunks;	/* most chunks at one time, the first included */
	int64_t min_size;	/* smallest request served so far; 0: none */
	int64_t max_size_seen;	/* largest request served so far; 0: none */
	int64_t empty_pages;	/* see struct pcpu_snapshot */
	int64_t hidden_bytes;	/* with bitmaps: free, in chunks whose contig hint
				   is 0, so that no search finds them; one CPU */
	int64_t balance_runs;	/* of the background work */
	int balance_requested;	/* it is to run */
};

/**
 * pcpu_info - return geometry and gauges
 * @pcpu: the allocator
 * @info: set to them
 *
 * Cheap.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_info(struct pcpu *pcpu, struct pcpu_info *info);

/**
 * pcpu_counters - return the number of service calls, set-up included
 * @pcpu: the allocator
 * @calls: room for PCPU_NR_SERVICES numbers
 *
 * Cheap.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_counters(struct pcpu *pcpu, uint64_t *calls);

/*
 * What the kernel's code would do for the same requests: the 2009 file, or that
 * of today's bitmaps.  The numbers are exact: they follow from positions in
 * maps, lists and trees.  This port takes the same decisions with less work.
 */
struct pcpu_work {
	uint64_t operations;	/* that passed the checks */
	uint64_t slots_visited;	/* lists of chunks visited */
	uint64_t chunks_visited; /* chunks visited on them */
	uint64_t entries_scanned; /* map entries scanned; with bitmaps: blocks,
				   and words of the map, read */
	uint64_t entries_moved;	/* map entries moved by splits and merges */
	uint64_t bytes_moved;	/* for that, and to a longer map */
	uint64_t map_reallocations; /* maps that became longer */
	uint64_t tree_steps;	/* chunks compared with, by address */
	uint64_t pages_populated; /* page frames taken */
	uint64_t pages_depopulated; /* page frames freed */
};

/**
 * pcpu_work - return the work since creation
 * @pcpu: the allocator
 * @alloc: set to the work of allocations
 * @free: set to the work of frees
 *
 * A refused request adds none; a request that fails adds its work up to there.
 * Cheap.
 * Return: 0 or -PCPU_E_CLOSED.
 */
int pcpu_work(struct pcpu *pcpu, struct pcpu_work *alloc,
	      struct pcpu_work *free);

/**
 * pcpu_inject - make calls to a service fail
 * @pcpu: the allocator
 * @site: one of the five services that can fail
 * @fault: when, or NULL for never
 *
 * Cheap.
 * Return: 0, -PCPU_E_SITE, -PCPU_E_CONFIG or -PCPU_E_CLOSED.
 */
int pcpu_inject(struct pcpu *pcpu, int site, const struct pcpu_fault *fault);

/**
 * pcpu_service_name - return the name of a service, as in "alloc_page"
 * @service: enum pcpu_service
 *
 * Threads: any, signal handlers too.  Costs nothing.
 * Return: a constant string, or NULL.
 */
const char *pcpu_service_name(int service);

/**
 * pcpu_strerror - return what an error code means
 * @error: returned by a call
 *
 * Threads: any, signal handlers too.  Costs nothing.
 * Return: a constant string.
 */
const char *pcpu_strerror(int error);

/* the other parts of this header, which are not included alone */
#include "percpu_counter.h"
#include "percpu_hooks.h"
#include "trace/percpu_trace.h"

#ifndef PCPU_HIDDEN
#pragma GCC visibility pop
#endif

#ifdef __cplusplus
}
#endif

#endif /* PERCPU_H */
