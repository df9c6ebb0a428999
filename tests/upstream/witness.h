/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * witness.h - the interface to the 2009 file.  There is one allocator at a
 * time; calls must not overlap.  Addresses are relative to FAKE_SPACE.
 */
#ifndef WITNESS_H
#define WITNESS_H

#include <stdbool.h>
#include <stdint.h>

#include "fakes.h"

#pragma GCC visibility push(default)

/* the allocator to set up; the layout is known to witness.py */
struct witness_settings {
	int64_t cpus;		/* possible CPUs */
	int64_t nodes;		/* NUMA nodes */
	int64_t page_size;	/* bytes, a power of two */
	int64_t page_limit;	/* frames of a node, 0: no limit */
	int64_t static_size;	/* bytes, passed to the file */
	int64_t unit_size;	/* bytes, passed to the file */
	int64_t free_size;	/* bytes, passed to the file */
	int64_t present_pages;	/* populated pages of a unit at set-up */
	int64_t block;		/* their address, 0: the file maps them */
	int64_t first_area;	/* lowest address of a vm area */
	int64_t pointer_zero;	/* address of per-CPU pointer 0 */
	int64_t fixed;		/* not 0: fix defects "walk" and "map-null" */
	int64_t keep_neighbours; /* not 0: fix defect "rollback" */
};

/* the place of a pointer */
struct witness_place {
	int64_t chunk;		/* ordinal, in order of creation */
	int64_t offset;		/* bytes from the chunk's start */
};

/**
 * witness_setup - free everything, and set up the first chunk
 * @settings: the allocator to set up
 *
 * Return: the size of a unit in bytes; 0 if the call stopped, see the report.
 */
int64_t witness_setup(const struct witness_settings *settings);

/**
 * witness_exit - free all memory
 */
void witness_exit(void);

/**
 * witness_alloc - call __alloc_percpu, with any arguments
 * @size: bytes
 * @align: bytes
 *
 * Return: its result; 0 also if the call stopped.
 */
int64_t witness_alloc(uint64_t size, uint64_t align);

/**
 * witness_free - call free_percpu, with any pointer
 * @ptr: a per-CPU pointer
 *
 * Return: enum fake_stop_reason; 0 if the call did not stop.
 */
int64_t witness_free(int64_t ptr);

/**
 * witness_find - find the chunk that covers a pointer
 * @ptr: a per-CPU pointer
 * @place: set to chunk and offset
 *
 * Return: false if there is no such chunk.
 */
bool witness_find(int64_t ptr, struct witness_place *place);

/**
 * witness_dump - write the whole state
 * @words: the output: number of slots, pages of a unit, then for each slot the
 *	number of its chunks and for each chunk its id, free size, contig hint,
 *	map capacity, whether it is immutable, length of the map, the map, and
 *	for each page of a unit the number of CPUs that have it populated
 * @room: size of the output; further words are counted, but not written
 *
 * Return: the number of words; negative if the lists and the address tree
 * contain different chunks.
 */
int64_t witness_dump(int64_t *words, int64_t room);

/**
 * witness_inject - see fake_arm()
 */
void witness_inject(int service, uint64_t nth, uint64_t interval,
		    int64_t times, double probability, uint64_t seed);

/**
 * witness_report - return the outcome of the last call
 *
 * Return: the report; the pointer never changes.
 */
const struct fake_report *witness_report(void);

/**
 * witness_calls - return how often each service was called
 *
 * Return: FAKE_NR_SERVICES numbers; the pointer never changes.
 */
const uint64_t *witness_calls(void);

/**
 * witness_works - return the work of the file since set-up
 *
 * Return: one element for each enum fake_call; the pointer never changes.
 */
const struct fake_work *witness_works(void);

#pragma GCC visibility pop

#endif
