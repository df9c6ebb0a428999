/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lives.h - the lives of areas in a trace, and what can be counted of them.
 *
 * All memory is the caller's.  The library of embedders has none of this.
 */
#ifndef PERCPU_ANALYSIS_LIVES_H
#define PERCPU_ANALYSIS_LIVES_H

#include "../percpu.h"

/* how a life ends */
enum pcpu_fate {
	PCPU_KEPT,		/* not before the end of the trace */
	PCPU_FREED,		/* by a recorded free */
	PCPU_REALLOCATED	/* by the next allocation of the pointer */
};

#define PCPU_NO_SPAN	0xffffffffffffffffu /* the lifetime is not known */
#define PCPU_NO_ROW	0xffffffffu	/* the group is left out */

/* lives in order of allocation; the columns have an item for each */
struct pcpu_lives {
	uint64_t *born;		/* the operation that allocated the area */
	uint64_t *died;		/* the one that ended it, or their number */
	uint64_t *spans;	/* lifetime, ns or operations */
	uint32_t *kinds;	/* the request */
	uint8_t *fates;		/* enum pcpu_fate */
	uint8_t *uncertain;	/* 1: events were lost before the free */
	size_t n;		/* lives; at first: the room in the columns */
	int64_t peak;		/* first operation with most live bytes, or -1 */
	uint64_t peak_bytes[2];	/* live bytes then: the low and the high bits */
};

/* what is known besides operations */
struct pcpu_clock {
	const uint64_t *times;	/* of operations, ns; NULL: count operations */
	const uint64_t *gaps;	/* operations before lost events, sorted */
	size_t nr_gaps;		/* how many */
};

/* how many lives of a group there are */
struct pcpu_life_counts {
	uint64_t allocs;	/* all */
	uint64_t kept;		/* PCPU_KEPT */
	uint64_t frees;		/* PCPU_FREED */
	uint64_t reallocs;	/* PCPU_REALLOCATED */
	uint64_t at_peak;	/* live at the peak */
	uint64_t known;		/* lifetimes */
	uint64_t uncertain;	/* lifetimes */
	uint64_t first;		/* the first allocation */
	uint64_t last_free;	/* the last recorded free; 0: none */
};

/**
 * pcpu_lives_find - find the lives of all areas
 * @lives: columns with room; all but spans and uncertain are filled
 * @ops: the operations
 * @n: how many
 * @sizes: bytes of each kind; less than 1 counts as none
 * @nr_kinds: how many
 * @current: room for a number for each handle
 * @slots: how many handles
 *
 * Return: 0; or -1: an operation has a handle or a kind that is not there, or
 * there are more lives than room.
 */
int pcpu_lives_find(struct pcpu_lives *lives, const struct pcpu_op *ops,
		    size_t n, const int64_t *sizes, size_t nr_kinds,
		    uint64_t *current, size_t slots);

/**
 * pcpu_lives_time - compute lifetimes
 * @lives: the lives; spans and uncertain are filled
 * @clock: times, and gaps
 *
 * A lifetime is known if the free was recorded, both times are known, the free
 * is not timed before the allocation (the clocks of two CPUs may disagree), and
 * no events were lost between: the free that ended it may be among them.
 */
void pcpu_lives_time(struct pcpu_lives *lives, const struct pcpu_clock *clock);

/**
 * pcpu_lives_split - split groups by the values of a column
 * @groups: the group of each item; set to new numbers, by first appearance
 * @rows: the row of each item in the column
 * @n: items, below 2^31
 * @column: the value of the first row
 * @stride: from one row to the next, in values
 *
 * Return: the number of groups; or -1: the host has no memory.
 */
int pcpu_lives_split(uint32_t *groups, const uint64_t *rows, size_t n,
		     const uint32_t *column, size_t stride);

/**
 * pcpu_lives_count - count the lives of each group
 * @lives: the lives, with lifetimes
 * @groups: the group of each
 * @counts: for each group, zeroed
 */
void pcpu_lives_count(const struct pcpu_lives *lives, const uint32_t *groups,
		      struct pcpu_life_counts *counts);

/**
 * pcpu_lives_sort - put the known lifetimes of each row side by side
 * @lives: the lives, with lifetimes
 * @groups: the group of each
 * @rows: the row of each group, or PCPU_NO_ROW
 * @ends: for each row, where its lifetimes begin; set to where they end
 * @sorted: set to the lifetimes
 */
void pcpu_lives_sort(const struct pcpu_lives *lives, const uint32_t *groups,
		     const uint32_t *rows, uint64_t *ends, uint64_t *sorted);

/**
 * pcpu_lives_ranked - return the value that is in one place if all are sorted
 * @values: the values, in any order
 * @n: how many
 * @rank: the place, below @n
 *
 * Return: the value.
 */
uint64_t pcpu_lives_ranked(const uint64_t *values, size_t n, size_t rank);

#endif /* PERCPU_ANALYSIS_LIVES_H */
