/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * side.h - what is read from port and witness, in the same form from both.
 *
 * The files of the two sides share no header except this one: both have a
 * struct pcpu_chunk, and kernel services of the same names.
 */
#ifndef BILLION_SIDE_H
#define BILLION_SIDE_H

#include <stdbool.h>
#include <stdint.h>

#define MAX_CHUNKS	16384	/* of one allocator */

/* one chunk; without padding, since tables are compared byte by byte */
struct row {
	int64_t id;		/* in order of creation */
	int64_t address;	/* as a per-CPU pointer */
	int32_t slot;		/* the list that it is on */
	int32_t free_size;	/* free bytes */
	int32_t contig_hint;	/* no free range is larger */
	int32_t map_alloc;	/* entries that fit into the map */
	int32_t map_used;	/* entries in use */
	int32_t immutable;	/* 0 or 1 */
};

_Static_assert(sizeof(struct row) == 40, "struct row has no padding");

/* all chunks, in the order of the lists */
struct table {
	int nr;			/* chunks on the lists, at most MAX_CHUNKS */
	int covering;		/* index of a pointer's chunk, or -1 */
	struct row rows[MAX_CHUNKS]; /* the chunks */
	const void *chunks[MAX_CHUNKS]; /* to read more of each */
};

#pragma GCC visibility push(default)

struct pcpu;

/* port_side.c */
bool port_table(struct pcpu *pcpu, int64_t ptr, struct table *table);
void port_map(const void *chunk, int *sizes);
const uint32_t *port_populated(const void *chunk);

/* witness_side.c */
bool witness_table(int64_t ptr, struct table *table);
const int *witness_map(const void *chunk);
bool witness_has_pages(const void *chunk, int first, int nr,
		       const uint32_t *populated, bool exact);
int witness_slots(void);
int witness_unit_pages(void);
int64_t witness_tree_size(void);
int64_t witness_created(void);

#pragma GCC visibility pop

#endif
