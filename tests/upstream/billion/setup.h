/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * setup.h - random set-ups: what a case starts with.
 */
#ifndef BILLION_SETUP_H
#define BILLION_SETUP_H

#include <stdio.h>

#include "random.h"

/* how port and witness are set up */
struct setup {
	int64_t cpus;		/* possible CPUs */
	int64_t nodes;		/* NUMA nodes */
	int64_t page_size;	/* bytes */
	int64_t page_limit;	/* page frames of a node, 0: no limit */
	int64_t static_size;	/* bytes of the static area */
	int64_t unit_size;	/* bytes, 0: the first chunk's rule */
	int64_t free_size;	/* bytes, 0: the first chunk's rule */
	int first_chunk;	/* enum pcpu_first_chunk */
	bool rollback;		/* the port has the quirk "rollback" */
	bool plain;		/* the witness has all its defects */
};

/* what a case reaches for */
enum depth {
	DEPTH_ORDINARY,		/* up to 300 areas */
	DEPTH_CHUNKS,		/* hundreds of chunks */
	DEPTH_MANY_CHUNKS,	/* thousands of chunks */
	DEPTH_LONG_MAPS,	/* maps of over 8,192 entries */
	DEPTH_FULL_MAPS		/* small maps that cannot grow */
};

/* a case, determined by the seed and its number */
struct random_case {
	uint64_t seed;		/* of the campaign */
	uint64_t number;	/* from 0 */
	struct setup setup;	/* what it starts with */
	enum depth depth;	/* what it reaches for */
	int64_t operations;	/* how many */
	bool faults;		/* some operations set faults */
	bool page_faults;	/* also such that a populate fails */
	int64_t smallest;	/* bytes of the smallest request */
	struct random random;	/* for the operations */
};

void random_case(struct random_case *random_case, uint64_t seed,
		 uint64_t number);
bool random_misfit(struct random *random, struct setup *setup);
void setup_print(const struct setup *setup, FILE *out);

#endif
