// SPDX-License-Identifier: GPL-2.0-only
/*
 * stacks.c - the stacks of a recording, and the rows that they belong to.
 *
 * perf prints a stack directly after its event.  ftrace and trace-cmd print it
 * as an event of its own, which events of other CPUs may precede: it belongs to
 * the last row of its CPU.
 */
#include "stacks.h"

#include <stdlib.h>

#include "../percpu.h"

/* bytes of a stack that are kept; the kernel's have up to 127 frames */
#define MAX_STACK	16384

/* the last row of a CPU; NULL if the CPU is unknown */
static int last_row_of(struct stacks *stacks, uint64_t cpu,
		       struct stack_row **row)
{
	struct vec *rows = &stacks->rows;

	*row = NULL;
	if (cpu >= PCPU_NO_CPU)
		return 0;
	while (rows->used <= cpu) {
		*row = vec_add(rows, 1, sizeof(**row));
		if (!*row)
			return -PCPU_T_HOST;
		**row = (struct stack_row){ 0 };
	}
	*row = (struct stack_row *)rows->data + cpu;
	return 0;
}

static int set_last_row(struct stacks *stacks, struct stack_row last)
{
	struct stack_row *row;
	int err = last_row_of(stacks, last.cpu, &row);

	stacks->owner = last;
	if (row)
		*row = last;
	return err;
}

/**
 * stacks_add_row - note an operation or an event: the next stack is its own
 * @row: it, without .gap
 *
 * Return: 0, or -PCPU_T_HOST.
 */
int stacks_add_row(struct stacks *stacks, struct stack_row row)
{
	row.gap = stacks->gaps + 1;
	return set_last_row(stacks, row);
}

/**
 * stacks_add_other - note what is no row, but may have a stack
 * @cpu: its CPU
 *
 * Return: 0, or -PCPU_T_HOST.
 */
__cold int stacks_add_other(struct stacks *stacks, uint64_t cpu)
{
	return set_last_row(stacks, (struct stack_row){ .cpu = cpu });
}

/**
 * stacks_add_gap - note lost events: the next stack may be that of one
 */
__cold void stacks_add_gap(struct stacks *stacks)
{
	stacks->gaps++;
}

/**
 * stacks_begin - begin a stack that is printed as an event
 * @cpu: its CPU
 *
 * Return: 0, or -PCPU_T_HOST.
 */
__cold int stacks_begin(struct stacks *stacks, uint64_t cpu)
{
	struct stack_row *row;
	int err = last_row_of(stacks, cpu, &row);

	stacks->owner = row ? *row : (struct stack_row){ 0 };
	return err;
}

/**
 * stacks_add_frame - add a frame to the stack
 * @frame: the frame
 *
 * Return: 0, or -PCPU_T_HOST.
 */
__cold int stacks_add_frame(struct stacks *stacks, struct span frame)
{
	struct vec *frames = &stacks->frames;
	size_t n = span_len(frame) + (frames->used > 0);
	char *room;

	if (stacks->owner.gap != stacks->gaps + 1 ||
	    frames->used + n > MAX_STACK)
		return 0;
	room = vec_add(frames, n, 1);
	if (!room)
		return -PCPU_T_HOST;
	if (n > span_len(frame))
		*room++ = '\n';
	memcpy(room, frame.at, span_len(frame));
	return 0;
}

/**
 * stacks_end - end the stack, if there is one: what comes is no frame
 *
 * A row has one stack at most.
 *
 * Return: 0, or a negative enum pcpu_trace_error.
 */
int stacks_end(struct stacks *stacks)
{
	struct vec *frames = &stacks->frames;
	const char *text = frames->data;
	struct pcpu_trace_stack_of *of;
	uint32_t stack;
	int err;

	if (!frames->used)
		return 0;
	err = strings_add(&stacks->texts,
			  (struct span){ text, text + frames->used }, &stack);
	frames->used = 0;
	if (err)
		return err;
	of = vec_add(&stacks->of, 1, sizeof(*of));
	if (!of)
		return -PCPU_T_HOST;
	*of = (struct pcpu_trace_stack_of){
		.row = stacks->owner.number,
		.stack = stack,
		.of_event = stacks->owner.is_event,
	};
	return stacks_add_other(stacks, stacks->owner.cpu);
}

/**
 * stacks_free - free the memory
 */
void stacks_free(struct stacks *stacks)
{
	strings_free(&stacks->texts);
	free(stacks->of.data);
	free(stacks->rows.data);
	free(stacks->frames.data);
}
