/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * stacks.h - the stacks of a recording, and the rows that they belong to.
 */
#ifndef PCPU_TRACE_STACKS_H
#define PCPU_TRACE_STACKS_H

#include "strings.h"

/* a row that the next stack may belong to */
struct stack_row {
	uint64_t gap;		/* stacks.gaps + 1 at its time; 0: no row */
	uint64_t number;	/* of the operation or event, from 0 */
	uint64_t cpu;		/* its CPU, or PCPU_NO_CPU */
	bool is_event;		/* whether it is an event */
};

struct stacks {
	struct strings texts;	/* the frames of each stack, a line each */
	struct vec of;		/* struct pcpu_trace_stack_of: not yet taken */
	struct vec rows;	/* struct stack_row: the last one of each CPU */
	struct stack_row owner;	/* of the frames that come */
	struct vec frames;	/* char: those so far */
	uint64_t gaps;		/* times that events were lost */
};

int stacks_add_row(struct stacks *stacks, struct stack_row row);

int stacks_add_other(struct stacks *stacks, uint64_t cpu);

void stacks_add_gap(struct stacks *stacks);

int stacks_begin(struct stacks *stacks, uint64_t cpu);

int stacks_add_frame(struct stacks *stacks, struct span frame);

int stacks_end(struct stacks *stacks);

void stacks_free(struct stacks *stacks);

#endif /* PCPU_TRACE_STACKS_H */
