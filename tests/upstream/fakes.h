/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fakes.h - the machine that the 2009 file believes it runs on.
 *
 * There is one, as there is one kernel: the file keeps its own state in static
 * variables.  The address space is arithmetic, nothing is mapped there.
 */
#ifndef WITNESS_FAKES_H
#define WITNESS_FAKES_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* where the address space starts: higher than any pointer of the host */
#define FAKE_SPACE	(1UL << 62)

/* how long it is */
#define FAKE_SPACE_SIZE	(1UL << 62)

/* what is asked of the machine, and counted */
enum fake_service {
	FAKE_KMALLOC,			/* sizes above 0 */
	FAKE_KFREE,			/* of what kmalloc gave */
	FAKE_VMALLOC,			/* maps larger than a page */
	FAKE_VFREE,			/* of what vmalloc gave */
	FAKE_GET_VM_AREA,		/* address space for one chunk */
	FAKE_FREE_VM_AREA,		/* gives it back */
	FAKE_ALLOC_PAGE,		/* one page frame */
	FAKE_FREE_PAGE,			/* gives it back */
	FAKE_MAP,			/* one CPU and page range */
	FAKE_UNMAP,			/* one CPU and page range */
	FAKE_FLUSH_CACHE_VMAP,		/* after mapping */
	FAKE_FLUSH_CACHE_VUNMAP,	/* before unmapping */
	FAKE_FLUSH_TLB,			/* after unmapping */
	FAKE_WARN,			/* WARN and WARN_ON that fired */
	FAKE_NR_SERVICES
};

/* the call that work is done for; known to witness.py */
enum fake_call {
	CALL_ALLOC,		/* __alloc_percpu */
	CALL_FREE,		/* free_percpu */
	CALL_OTHER,		/* set-up, and looking at the state: not told */
	FAKE_NR_CALLS
};

/* what the file does itself; the layout is known to witness.py */
struct fake_work {
	uint64_t operations;	/* calls that took the mutex */
	uint64_t slots_visited;	/* lists whose walk began */
	uint64_t chunks_visited; /* chunks met there */
	uint64_t entries_scanned; /* map entries looked at */
	uint64_t entries_moved;	/* map entries moved inside a map */
	uint64_t bytes_moved;	/* their bytes, and those of maps copied */
	uint64_t map_reallocations; /* maps copied */
	uint64_t tree_steps;	/* chunks compared with an address */
	uint64_t pages_populated; /* page frames had */
	uint64_t pages_depopulated; /* page frames given back */
};

/* why a call did not come to its end */
enum fake_stop_reason {
	STOP_NOT,		/* it did */
	STOP_NO_MEMORY,		/* mended: the file itself does not look */
	STOP_BUG,		/* BUG_ON or panic */
	STOP_UNDEFINED		/* the next step would have been undefined */
};

/* how the last call went; the layout is known to witness.py */
struct fake_report {
	int64_t stopped;	/* enum fake_stop_reason */
	int64_t failed;		/* the service that failed last, -1: none */
	const char *text;	/* why it stopped */
	uint64_t asked;		/* bytes that the last vm area was to have */
};

/* when calls to a service fail */
struct fake_plan {
	bool armed;		/* there is a plan */
	uint64_t wait;		/* calls that pass before the next may fail */
	uint64_t interval;	/* from one that may fail to the next */
	int64_t times;		/* failures that are left, -1: no limit */
	uint64_t threshold;	/* of 2^32, below which a random number fails */
	uint64_t random;	/* state of the random numbers */
};

/* heads everything that was handed out, so that all of it can be taken back */
struct fake_block {
	_Alignas(16) struct fake_block *next; /* in the order of handing out */
	struct fake_block *prev; /* both lead back to the anchor */
	int kind;		/* which service gave it */
};

struct vm_struct;
struct rb_node;

struct fake_machine {
	int page_shift;		/* log2 of bytes in a page */
	unsigned int cpus;	/* possible CPUs */
	unsigned int nodes;	/* NUMA nodes */
	int64_t page_limit;	/* frames a node, 0: no limit */
	unsigned long first_area; /* where the lowest vm area may start */
	unsigned long pointer_zero; /* address that per-CPU pointer 0 means */
	bool mended;		/* treat defects that end in undefined steps */

	uint64_t calls[FAKE_NR_SERVICES]; /* since set-up */
	struct fake_work works[FAKE_NR_CALLS]; /* since set-up */
	enum fake_call call;	/* that runs */
	bool entry_counted;	/* the scan will step over a counted entry */
	const struct rb_node *compared; /* node that a search came to last */
	struct fake_plan plans[FAKE_NR_SERVICES]; /* what is to fail */
	int64_t *held;		/* frames taken from each node */
	struct fake_block blocks; /* anchor of all that is handed out */
	struct vm_struct *areas; /* chunks' address ranges, ascending */
	int64_t areas_created;	/* how many there have been */
	void *fresh_chunk;	/* kzalloc gave it, its map comes next */
	struct fake_report report; /* of the last call */
	jmp_buf way_out;	/* where a call that stops goes on */
};

extern struct fake_machine fakes;

/**
 * fake_start - an empty machine, the settings zeroed
 */
void fake_start(void);

/**
 * fake_end - take everything back
 */
void fake_end(void);

/**
 * fake_add_nodes - books of page frames for all nodes
 * @nodes: how many
 */
void fake_add_nodes(unsigned int nodes);

/**
 * fake_boot_page - a page frame that is there before the allocator
 * @node: where
 *
 * Return: the frame; neither the call nor the frame is counted.
 */
struct page *fake_boot_page(int node);

/**
 * fake_stop - leave the call that runs, through fakes.way_out
 * @reason: what to report
 * @text: why, in words
 */
_Noreturn void fake_stop(enum fake_stop_reason reason, const char *text);

/**
 * fake_arm - set or clear a plan of failures
 * @service: whose
 * @nth: the first call from now that may fail
 * @interval: from then on every interval-th may
 * @times: fail at most so often, -1: no limit, 0: clear the plan
 * @probability: of each call that may fail
 * @seed: of the random numbers
 */
void fake_arm(int service, uint64_t nth, uint64_t interval, int64_t times,
	      double probability, uint64_t seed);

/**
 * fake_fails - count a call and tell whether its plan lets it fail
 * @service: what is called
 */
bool fake_fails(enum fake_service service);

/**
 * fake_failed - a service says no
 * @service: which; the last one is reported
 *
 * Return: false, for the caller to pass on.
 */
bool fake_failed(enum fake_service service);

/* count a call to a service that cannot fail */
static inline void fake_count(enum fake_service service)
{
	fakes.calls[service]++;
}

/* where the call that runs has its work counted */
static inline struct fake_work *fake_work(void)
{
	return &fakes.works[fakes.call];
}

#endif
