/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * columns.h - decode and check the columns of a trace file.
 *
 * All memory is the caller's.  The library of embedders has none of this.
 */
#ifndef PERCPU_ANALYSIS_COLUMNS_H
#define PERCPU_ANALYSIS_COLUMNS_H

#include "../percpu.h"

/* what operations use and what they are; a number is 0 if nothing uses it */
struct pcpu_ops_range {
	uint64_t handles;	/* the highest handle, and 1 more */
	uint64_t kinds;		/* likewise the kind */
	uint64_t faults;	/* likewise the fault */
	uint64_t allocs;	/* operations that allocate */
	uint64_t frees;		/* operations that free */
};

/**
 * pcpu_columns_join - put the bytes of items together
 * @items: set to the items, of 2, 4 or 8 bytes each
 * @stride: bytes from one to the next
 * @bytes: all lowest bytes, then all second ones, and so on
 * @size: bytes of an item
 * @n: items
 */
void pcpu_columns_join(void *items, size_t stride, const uint8_t *bytes,
		       size_t size, size_t n);

/**
 * pcpu_columns_sum - turn differences into times, in place
 * @times: differences in ticks, modulo 2^64; set to times
 * @n: how many
 * @tick: ns of a tick
 *
 * Return: 0, or -1: a time has more than 64 bits.
 */
int pcpu_columns_sum(uint64_t *times, size_t n, uint64_t tick);

/**
 * pcpu_columns_used - return how long a table has to be for a column
 * @column: indices, or 2^32 - 1 where there is none
 * @n: how many
 *
 * Return: the highest index, and 1 more; 0: there is none.
 */
uint32_t pcpu_columns_used(const uint32_t *column, size_t n);

/**
 * pcpu_columns_range - find what operations use, and count them
 * @ops: the operations
 * @n: how many
 * @range: set to that
 */
void pcpu_columns_range(const struct pcpu_op *ops, size_t n,
			struct pcpu_ops_range *range);

#endif /* PERCPU_ANALYSIS_COLUMNS_H */
