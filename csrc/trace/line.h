/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * line.h - one line of a kernel's trace.
 */
#ifndef PCPU_TRACE_LINE_H
#define PCPU_TRACE_LINE_H

#include <stddef.h>
#include <stdint.h>

enum trace_event_type {
	TRACE_NONE,		/* not a percpu event; .lost or .cpus may be set */
	TRACE_ALLOC,		/* percpu_alloc_percpu */
	TRACE_FREE,		/* percpu_free_percpu */
	TRACE_FAIL,		/* percpu_alloc_percpu_fail */
	TRACE_CREATE,		/* percpu_create_chunk */
	TRACE_DESTROY,		/* percpu_destroy_chunk */
	TRACE_OTHER		/* percpu_ and an unknown name */
};

/* numbers that an event was printed with */
enum trace_field {
	TRACE_HAS_SIZE = 1,
	TRACE_HAS_ALIGN = 2,
	TRACE_HAS_PTR = 4,
	TRACE_HAS_BASE = 8,
	TRACE_HAS_OFFSET = 16
};

struct trace_line {
	enum trace_event_type type; /* which event */
	uint64_t lost;		/* lost events that this line reports */
	uint64_t cpus;		/* at least so many CPUs */
	uint64_t size;		/* size=, bytes */
	uint64_t align;		/* align=, bytes */
	uint64_t ptr;		/* ptr= */
	uint64_t base;		/* base_addr=, the chunk */
	uint64_t offset;	/* off=, bytes in the chunk's unit */
	uint64_t time;		/* nanoseconds, or PCPU_NO_TIME */
	const char *site;	/* call_site=, or NULL */
	size_t site_len;	/* its bytes */
	int ptr_digits;		/* digits that ptr= was printed with */
	unsigned int has;	/* set of enum trace_field */
	const char *field;	/* on error: which one */
};

int trace_line_parse(const char *text, size_t n, struct trace_line *line);

#endif /* PCPU_TRACE_LINE_H */
