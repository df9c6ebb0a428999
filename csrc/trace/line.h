/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * line.h - one line of a recording.
 */
#ifndef PCPU_TRACE_LINE_H
#define PCPU_TRACE_LINE_H

#include "head.h"

enum trace_line_type {
	TRACE_BLANK,		/* nothing, or a comment */
	TRACE_TEXT,		/* no event */
	TRACE_OTHER,		/* an event of another kind */
	TRACE_LOST,		/* the recorder lost .lost events */
	TRACE_STACK,		/* frames of the kernel's stack follow */
	TRACE_FRAME,		/* a frame, in .site */
	TRACE_WORK_START,	/* the allocator's background work begins */
	TRACE_WORK_END,		/* and ends */
	TRACE_ALLOC,		/* percpu_alloc_percpu */
	TRACE_FREE,		/* percpu_free_percpu */
	TRACE_FAIL,		/* percpu_alloc_percpu_fail */
	TRACE_CREATE,		/* percpu_create_chunk */
	TRACE_DESTROY		/* percpu_destroy_chunk */
};

/* numbers that an event was printed with */
enum trace_field {
	TRACE_HAS_SIZE = 1,
	TRACE_HAS_ALIGN = 2,
	TRACE_HAS_PTR = 4,
	TRACE_HAS_BASE = 8,
	TRACE_HAS_OFFSET = 16,
	TRACE_HAS_ATOMIC = 32
};

/* .size to .base are valid if .has says so, or if events of this type have them */
struct trace_line {
	enum trace_line_type type; /* which event */
	struct trace_head head;	/* of an event, also of another kind */
	uint64_t lost;		/* lost events; 0: unknown how many */
	uint64_t cpus;		/* CPUs that a comment names, or 0 */
	uint64_t size;		/* size=, bytes */
	uint64_t align;		/* align=, bytes */
	uint64_t ptr;		/* ptr= */
	uint64_t base;		/* base_addr=, the chunk */
	uint64_t offset;	/* off=, bytes in the chunk's unit */
	uint64_t bytes_alloc;	/* bytes_alloc=, of all CPUs; 0: not printed */
	uint64_t reserved;	/* reserved= */
	uint64_t atomic;	/* is_atomic= */
	struct span site;	/* call_site=, or empty; or the frame */
	struct span gfp;	/* gfp_flags=, or empty */
	unsigned int has;	/* set of enum trace_field */
	int ptr_digits;		/* of ptr=, if there is one */
	const char *field;	/* on error: which one */
	const char *rest;	/* after the event, where another may be */
};

int trace_line_parse(struct trace_prefix *prefix, struct span s,
		     struct trace_line *line);

bool trace_has_event(struct span s);

#endif /* PCPU_TRACE_LINE_H */
