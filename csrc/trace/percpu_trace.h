/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_trace.h - a part of percpu.h: from a recording to operations for
 * pcpu_replay().
 *
 * The input is the text of the five tracepoints percpu:percpu_* as ftrace or
 * perf script print it, in pieces of any size.  A reader holds one unfinished
 * line, the live pointers, and the operations not yet taken, each with a note
 * of its time and place.  It must not be shared between threads.  Its memory
 * comes from malloc().
 *
 * If the reader or an output is NULL, a function returns -PCPU_T_NULL or does
 * nothing.  Feeding costs about 150 ns per line; all else is cheap.
 */
#ifndef PERCPU_TRACE_H
#define PERCPU_TRACE_H

struct pcpu_trace_reader;

/* why a line was refused */
enum pcpu_trace_error {
	PCPU_T_MISSING = 1,	/* a field of the event is missing */
	PCPU_T_NUMBER,		/* a field is not a number in range */
	PCPU_T_POINTER,		/* a pointer is printed in parentheses */
	PCPU_T_CUT,		/* the last line has no end */
	PCPU_T_BINARY,		/* a zero byte, or a line without end */
	PCPU_T_TOO_MANY,	/* more than 2^32 - 2 live pointers or kinds */
	PCPU_T_HOST,		/* the host has no memory */
	PCPU_T_NULL		/* a required pointer is NULL */
};

#define PCPU_NO_TIME	0xffffffffffffffffu	/* the line has no time */
#define PCPU_NO_PLACE	0xffffffffu	/* the line has no chunk or offset */

/* when an operation happened, and where the recording kernel's area is */
struct pcpu_trace_note {
	uint64_t time;		/* ns since the trace clock's zero, PCPU_NO_TIME */
	uint32_t chunk;		/* base_addr=, numbered by first appearance */
	uint32_t offset;	/* off=, bytes in the chunk's unit */
};

/* where reading stopped */
struct pcpu_trace_stop {
	int error;		/* enum pcpu_trace_error, 0: none */
	uint64_t line;		/* its number, from 1 */
	const char *field;	/* the field, or NULL; a constant string */
};

struct pcpu_trace_stats {
	uint64_t lines;		/* read */
	uint64_t events;	/* of percpu:, of any kind */
	uint64_t allocs;	/* percpu_alloc_percpu */
	uint64_t frees;		/* percpu_free_percpu, orphans included */
	uint64_t orphan_frees;	/* of unknown pointers */
	uint64_t reallocs;	/* of pointers that were still live */
	uint64_t lost;		/* events that the recorder reports as lost */
	uint64_t cpus;		/* CPUs that the recording names */
	uint64_t kernel_failures; /* percpu_alloc_percpu_fail */
	uint64_t kernel_created; /* percpu_create_chunk */
	uint64_t kernel_destroyed; /* percpu_destroy_chunk */
	uint64_t kernel_chunks;	/* different base_addr */
	uint64_t kernel_pages;	/* 4 KiB pages of them that areas touched */
	uint64_t kernel_extent;	/* highest off + size */
	uint64_t handles;		/* most live pointers at one time */
	uint64_t kinds;		/* different size, align and call site */
};

/**
 * pcpu_trace_reader_new - create a reader
 *
 * Return: a reader, or NULL.
 */
struct pcpu_trace_reader *pcpu_trace_reader_new(void);

/**
 * pcpu_trace_reader_free - free a reader
 * @reader: the reader, or NULL
 */
void pcpu_trace_reader_free(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_feed - read more text
 * @reader: the reader
 * @text: may begin and end in mid-line
 * @n: bytes
 *
 * Return: 0, or a negative enum pcpu_trace_error, then and in all later calls.
 */
int pcpu_trace_feed(struct pcpu_trace_reader *reader, const char *text,
		    size_t n);

/**
 * pcpu_trace_finish - read the last line: there is no more text
 * @reader: the reader
 *
 * Return: 0, or a negative enum pcpu_trace_error.
 */
int pcpu_trace_finish(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_ops - return the operations since the last pcpu_trace_take()
 * @reader: the reader
 * @n: set to how many
 *
 * Return: the operations, valid until the reader is used again.
 */
const struct pcpu_op *pcpu_trace_ops(const struct pcpu_trace_reader *reader,
				     size_t *n);

/**
 * pcpu_trace_notes - return time and place of these operations
 * @reader: the reader
 * @n: set to how many, as in pcpu_trace_ops()
 *
 * The n-th note belongs to the n-th operation.  A clock that counts ticks
 * (ftrace's "counter" and "x86-tsc") gives no time.  A chunk is identified by
 * its address: a later one at the same address has the same number.
 *
 * Return: the notes, valid until the reader is used again.
 */
const struct pcpu_trace_note *pcpu_trace_notes(
	const struct pcpu_trace_reader *reader, size_t *n);

/**
 * pcpu_trace_take - discard operations and notes: the caller has them
 * @reader: the reader
 */
void pcpu_trace_take(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_kind - return size, alignment and call site of a kind
 * @reader: the reader
 * @index: below pcpu_trace_stats.kinds
 * @kind: set to size and alignment
 * @length: set to the bytes of the call site; 0: the kernel did not print it
 *
 * Return: the call site, without a terminating zero, valid while the reader is;
 * or NULL if there is no such kind.
 */
const char *pcpu_trace_kind(const struct pcpu_trace_reader *reader,
			    size_t index, struct pcpu_kind *kind,
			    size_t *length);

/**
 * pcpu_trace_stats - return the figures so far
 * @reader: the reader
 * @stats: set to them
 */
void pcpu_trace_stats(const struct pcpu_trace_reader *reader,
		      struct pcpu_trace_stats *stats);

/**
 * pcpu_trace_stop - return where reading stopped
 * @reader: the reader
 * @stop: set to that
 */
void pcpu_trace_stop(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_stop *stop);

#endif /* PERCPU_TRACE_H */
