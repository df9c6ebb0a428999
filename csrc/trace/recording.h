/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recording.h - what the lines of a recording add up to: operations, other
 * events, and the tables that they refer to.
 */
#ifndef PCPU_TRACE_RECORDING_H
#define PCPU_TRACE_RECORDING_H

#include "../percpu.h"
#include "line.h"
#include "stacks.h"
#include "strings.h"

/* the columns of struct pcpu_trace_rows, all of the same length */
struct rows {
	struct pcpu_op *ops;	/* operations */
	uint64_t *times;	/* ns, PCPU_NO_TIME */
	uint32_t *chunks;	/* PCPU_NO_PLACE */
	uint32_t *offsets;	/* bytes, PCPU_NO_PLACE */
	uint32_t *tasks;	/* PCPU_NO_TASK */
	uint16_t *cpus;		/* PCPU_NO_CPU */
	size_t used;		/* rows in use */
	size_t room;		/* rows that fit */
};

/* a request; its texts are numbers of strings */
struct request {
	struct pcpu_kind kind;	/* size, alignment, flags */
	int64_t bytes_alloc;	/* 0: not printed */
	uint32_t site;		/* in recording.sites */
	uint32_t gfp;		/* in recording.gfps */
};

/* a chunk's life */
struct chunk_life {
	uint64_t base;		/* its address */
	bool used;		/* whether it had an area */
};

struct recording {
	struct pcpu_trace_stats stats; /* figures so far */
	struct rows rows;	/* operations not yet taken */
	struct vec events;	/* struct pcpu_trace_event: likewise */
	uint64_t nr_ops;	/* operations ever */
	uint64_t nr_events;	/* events ever */
	struct vec requests;	/* struct request */
	struct vec tasks;	/* struct pcpu_trace_task */
	struct vec chunks;	/* struct chunk_life */
	struct strings sites;	/* call sites */
	struct strings gfps;	/* gfp flags */
	struct strings names;	/* of tasks */
	struct stacks stacks;	/* of operations and events */
	struct vec free_handles; /* uint32_t: handles to use again */
	struct table live;	/* pointer -> handle */
	struct table request_index; /* hash -> request; see find_request() */
	struct table task_index; /* name and pid -> task */
	uint64_t last_prefix;	/* trace_head.prefix of .last_task */
	uint32_t last_task;	/* the task found last */
	struct table chunk_index; /* base_addr -> chunk that lives there */
	struct table pages;	/* chunk and some pages -> those touched */
	uint64_t last_time;	/* of the previous operation */
	bool cpus_known;	/* whether a comment says how many there are */
};

int recording_add(struct recording *recording, const struct trace_line *line);

void recording_take(struct recording *recording);

void recording_free(struct recording *recording);

#endif /* PCPU_TRACE_RECORDING_H */
