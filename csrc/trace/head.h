/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * head.h - the text before an event's name: task, CPU, time.
 */
#ifndef PCPU_TRACE_HEAD_H
#define PCPU_TRACE_HEAD_H

#include "../percpu.h"
#include "span.h"

#define MAX_PREFIX	128	/* bytes; longer ones are those of logs */

struct trace_head {
	struct span task;	/* its name; empty: unknown */
	uint64_t pid;		/* of the task */
	uint64_t cpu;		/* PCPU_NO_CPU: unknown */
	uint64_t time;		/* nanoseconds, or PCPU_NO_TIME */
	uint64_t prefix;	/* equal numbers: equal task, pid and cpu */
};

/* the text before the time is often that of the line before */
struct trace_prefix {
	struct trace_head head;	/* what it says */
	size_t n;		/* bytes of .text */
	char text[MAX_PREFIX];	/* the text */
};

/* nothing is known */
static inline void trace_head_clear(struct trace_head *head)
{
	*head = (struct trace_head){
		.cpu = PCPU_NO_CPU,
		.time = PCPU_NO_TIME,
	};
}

void trace_head_parse(struct span s, struct trace_prefix *prefix,
		      struct trace_head *head);

#endif /* PCPU_TRACE_HEAD_H */
