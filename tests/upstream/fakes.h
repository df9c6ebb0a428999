/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fakes.h - the fake machine that the 2009 file runs on.
 *
 * There is only one machine, since the file keeps its state in static
 * variables.  The address space is only numbers: nothing is mapped there.
 */
#ifndef WITNESS_FAKES_H
#define WITNESS_FAKES_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* start of the address space: above any pointer of the host */
#define FAKE_SPACE	(1UL << 62)

/* size of the address space */
#define FAKE_SPACE_SIZE	(1UL << 62)

/* the services of the machine; their calls are counted */
enum fake_service {
	FAKE_KMALLOC,			/* sizes above 0 */
	FAKE_KFREE,			/* frees memory of kmalloc */
	FAKE_VMALLOC,			/* maps larger than a page */
	FAKE_VFREE,			/* frees memory of vmalloc */
	FAKE_GET_VM_AREA,		/* address space for one chunk */
	FAKE_FREE_VM_AREA,		/* frees it */
	FAKE_ALLOC_PAGE,		/* one page frame */
	FAKE_FREE_PAGE,			/* frees it */
	FAKE_MAP,			/* one CPU and page range */
	FAKE_UNMAP,			/* one CPU and page range */
	FAKE_FLUSH_CACHE_VMAP,		/* after mapping */
	FAKE_FLUSH_CACHE_VUNMAP,	/* before unmapping */
	FAKE_FLUSH_TLB,			/* after unmapping */
	FAKE_WARN,			/* WARN and WARN_ON that fired */
	FAKE_NR_SERVICES
};

/* the call that work is counted for; known to witness.py */
enum fake_call {
	CALL_ALLOC,		/* __alloc_percpu */
	CALL_FREE,		/* free_percpu */
	CALL_OTHER,		/* set-up and reading the state: not reported */
	FAKE_NR_CALLS
};

/* the work of the file itself; the layout is known to witness.py */
struct fake_work {
	uint64_t operations;	/* calls that took the mutex */
	uint64_t slots_visited;	/* lists that a walk entered */
	uint64_t chunks_visited; /* chunks in these walks */
	uint64_t entries_scanned; /* map entries examined */
	uint64_t entries_moved;	/* map entries moved within a map */
	uint64_t bytes_moved;	/* their bytes, and those of maps copied */
	uint64_t map_reallocations; /* maps copied */
	uint64_t tree_steps;	/* chunks compared with an address */
	uint64_t pages_populated; /* page frames allocated */
	uint64_t pages_depopulated; /* page frames freed */
};

/* why a call stopped before its end */
enum fake_stop_reason {
	STOP_NOT,		/* it did not stop */
	STOP_NO_MEMORY,		/* with defects fixed: no map for a new chunk */
	STOP_BUG,		/* BUG_ON or panic */
	STOP_UNDEFINED		/* the next step would have been undefined */
};

/* the outcome of the last call; the layout is known to witness.py */
struct fake_report {
	int64_t stopped;	/* enum fake_stop_reason */
	int64_t failed;		/* the last service that failed, -1: none */
	const char *text;	/* why it stopped */
	uint64_t requested;	/* bytes of the last vm area requested */
};

/* when calls to a service fail */
struct fake_plan {
	bool armed;		/* the plan is active */
	uint64_t wait;		/* calls that pass before the next may fail */
	uint64_t interval;	/* calls from one that may fail to the next */
	int64_t times;		/* failures left, -1: no limit */
	uint64_t threshold;	/* a random number below it fails, of 2^32 */
	uint64_t random;	/* state of the random numbers */
};

/* the header of each allocation; fake_end() frees all of them */
struct fake_block {
	_Alignas(16) struct fake_block *next; /* in order of allocation */
	struct fake_block *prev; /* the list is circular */
	int kind;		/* the service that returned it */
};

struct page;
struct vm_struct;
struct rb_node;

struct fake_machine {
	int page_shift;		/* log2 of bytes in a page */
	unsigned int cpus;	/* possible CPUs */
	unsigned int nodes;	/* NUMA nodes */
	int64_t page_limit;	/* frames of a node, 0: no limit */
	unsigned long first_area; /* lowest address of a vm area */
	unsigned long pointer_zero; /* address of per-CPU pointer 0 */
	bool fixed;		/* fix defects "walk" and "map-null" */
	bool keep_neighbours;	/* fix defect "rollback" */

	uint64_t calls[FAKE_NR_SERVICES]; /* since set-up */
	struct fake_work works[FAKE_NR_CALLS]; /* since set-up */
	enum fake_call call;	/* the current call */
	unsigned long call_number; /* of the current call, from 1 */
	bool entry_counted;	/* the next entry to skip is counted */
	const struct rb_node *compared; /* last node that a search compared */
	struct fake_plan plans[FAKE_NR_SERVICES]; /* which calls fail */
	int64_t *held;		/* frames taken from each node */
	struct fake_block blocks; /* head of the list of allocations */
	struct vm_struct *areas; /* chunks' address ranges, ascending */
	int64_t areas_created;	/* vm areas created since set-up */
	void *fresh_chunk;	/* from kzalloc; its map is allocated next */
	struct page *kept;	/* pages that a rollback must not free */
	uint64_t added_ranges;	/* ranges of pages that it has to free */
	bool in_added_range;	/* the last page was in one */
	struct fake_report report; /* of the last call */
	jmp_buf way_out;	/* return point of a call that stops */
};

extern struct fake_machine fakes;

/**
 * fake_start - reset the machine, with all settings 0
 */
void fake_start(void);

/**
 * fake_end - free everything
 */
void fake_end(void);

/**
 * fake_add_nodes - create the counts of page frames
 * @nodes: number of NUMA nodes
 */
void fake_add_nodes(unsigned int nodes);

/**
 * fake_boot_page - allocate a page frame for the set-up
 * @node: its NUMA node
 *
 * Return: the frame; neither call nor frame is counted.
 */
struct page *fake_boot_page(int node);

/**
 * fake_put_back - put the pages back that the current call must not free
 */
void fake_put_back(void);

/**
 * fake_stop - end the current call, through fakes.way_out
 * @reason: the reason to report
 * @text: the reason as text
 */
_Noreturn void fake_stop(enum fake_stop_reason reason, const char *text);

/**
 * fake_arm - set or clear a plan of failures
 * @service: the service that fails
 * @nth: the first call from now that may fail
 * @interval: after it, every interval-th call may fail
 * @times: maximum number of failures, -1: no limit, 0: clear the plan
 * @probability: that a call fails which may fail
 * @seed: of the random numbers
 */
void fake_arm(int service, uint64_t nth, uint64_t interval, int64_t times,
	      double probability, uint64_t seed);

/**
 * fake_fails - count a call and return whether its plan makes it fail
 * @service: the service called
 */
bool fake_fails(enum fake_service service);

/**
 * fake_failed - note the failure of a service
 * @service: the service; the last one is reported
 *
 * Return: false.
 */
bool fake_failed(enum fake_service service);

/* count a call to a service that cannot fail */
static inline void fake_count(enum fake_service service)
{
	fakes.calls[service]++;
}

/* whether the current call rolls back as the port does */
static inline bool fake_keeps_neighbours(void)
{
	return fakes.keep_neighbours && fakes.call == CALL_ALLOC;
}

/*
 * Count what the file does once to unmap pages.  The port unmaps each range of
 * pages that a failed call added, the file the whole range of the area.
 */
static inline void fake_count_unmapping(enum fake_service service)
{
	fakes.calls[service] +=
		fake_keeps_neighbours() ? fakes.added_ranges : 1;
}

/* the work counters of the current call */
static inline struct fake_work *fake_work(void)
{
	return &fakes.works[fakes.call];
}

#endif
