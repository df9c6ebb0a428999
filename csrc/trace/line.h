/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * line.h - one line of a kernel's trace.
 */
#ifndef PCPU_TRACE_LINE_H
#define PCPU_TRACE_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_event_type {
	TRACE_NONE,		/* no event of ours; perhaps .lost or .cpus */
	TRACE_ALLOC,		/* percpu_alloc_percpu */
	TRACE_FREE,		/* percpu_free_percpu */
	TRACE_FAIL,		/* percpu_alloc_percpu_fail */
	TRACE_CREATE,		/* percpu_create_chunk */
	TRACE_DESTROY,		/* percpu_destroy_chunk */
	TRACE_OTHER		/* percpu_ and a name that is not known here */
};

struct trace_line {
	enum trace_event_type type; /* which event */
	uint64_t lost;		/* events lost, as this line says */
	uint64_t cpus;		/* as many CPUs there are at least */
	uint64_t size;		/* size=, bytes */
	uint64_t align;		/* align=, bytes */
	uint64_t ptr;		/* ptr= */
	uint64_t base;		/* base_addr=, the chunk */
	uint64_t offset;	/* off=, bytes in the chunk's unit */
	uint64_t time;		/* nanoseconds, or PCPU_NO_TIME */
	const char *site;	/* call_site=, or NULL */
	size_t site_len;	/* its bytes */
	int ptr_digits;		/* digits that ptr= was printed with */
	bool has_base;		/* base_addr= is there */
	bool has_offset;	/* off= is there */
	const char *field;	/* on error: which one */
};

int trace_line_parse(const char *text, size_t n, struct trace_line *line);

#endif /* PCPU_TRACE_LINE_H */
