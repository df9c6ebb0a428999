/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * witness.h - drive the 2009 file from outside.  One allocator at a time; calls
 * must not overlap.  Addresses count from the start of the fake address space.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "fakes.h"

#pragma GCC visibility push(default)

/* what to build; the layout is known to witness.py */
struct witness_settings {
	int64_t cpus;		/* possible CPUs */
	int64_t nodes;		/* NUMA nodes */
	int64_t page_size;	/* bytes, a power of two */
	int64_t page_limit;	/* frames a node, 0: no limit */
	int64_t static_size;	/* bytes, as the set-up passes it */
	int64_t unit_size;	/* bytes, as the set-up passes it */
	int64_t free_size;	/* bytes, as the set-up passes it */
	int64_t present_pages;	/* pages of a unit that the set-up brings */
	int64_t block;		/* where it mapped them, 0: the file is to */
	int64_t first_area;	/* where the lowest vm area may start */
	int64_t pointer_zero;	/* address that per-CPU pointer 0 means */
	int64_t mended;		/* not 0: treat "walk" and "map-null" */
};

/* where a pointer lies */
struct witness_place {
	int64_t chunk;		/* ordinal of creation */
	int64_t offset;		/* bytes from the chunk's start */
};

/**
 * witness_setup - end what there is, and set up the first chunk
 * @settings: what to build
 *
 * Return: the size of a unit; 0: stopped, see the report.
 */
int64_t witness_setup(const struct witness_settings *settings);

/**
 * witness_exit - take all memory back
 */
void witness_exit(void);

/**
 * witness_alloc - call __alloc_percpu with whatever is given
 * @size: bytes
 * @align: bytes
 *
 * Return: what it returns; 0 also when it stopped.
 */
int64_t witness_alloc(uint64_t size, uint64_t align);

/**
 * witness_free - call free_percpu with whatever is given
 * @ptr: a per-CPU pointer
 *
 * Return: 0, or why it stopped.
 */
int64_t witness_free(int64_t ptr);

/**
 * witness_find - which chunk covers a pointer
 * @ptr: a per-CPU pointer
 * @place: the answer
 *
 * Return: false when none does.
 */
bool witness_find(int64_t ptr, struct witness_place *place);

/**
 * witness_dump - write the whole state down
 * @words: where to; number of slots, pages of a unit, then for each slot the
 *	number of its chunks, then for each of these its id, free size, hint,
 *	map capacity, whether it is immutable, length of the map, the map, and
 *	for each page of a unit how many CPUs hold it
 * @room: how many words fit; more are not written, but counted
 *
 * Return: the number of words; negative when the lists and the address tree
 * do not hold the same chunks.
 */
int64_t witness_dump(int64_t *words, int64_t room);

/**
 * witness_inject - see fake_arm(); clears the plan when @times is 0
 */
void witness_inject(int service, uint64_t nth, uint64_t interval,
		    int64_t times, double probability, uint64_t seed);

/**
 * witness_report - how the last call went
 *
 * Return: the report, always at the same place.
 */
const struct fake_report *witness_report(void);

/**
 * witness_calls - how often each service was called
 *
 * Return: FAKE_NR_SERVICES numbers, always at the same place.
 */
const uint64_t *witness_calls(void);

/**
 * witness_works - what the file did itself since set-up
 *
 * Return: one for each enum fake_call, always at the same place.
 */
const struct fake_work *witness_works(void);

#pragma GCC visibility pop

#endif
