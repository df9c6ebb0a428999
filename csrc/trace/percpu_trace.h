/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_trace.h - from what a kernel printed to operations for pcpu_replay().
 *
 * The text of the five tracepoints percpu:percpu_* as ftrace or perf script
 * print it is fed in pieces of any size.  A reader holds one unfinished line,
 * the pointers that live, and the operations not yet taken, each with a note of
 * when it happened and where; it is not to be shared between threads.  Its
 * memory comes from malloc().
 *
 * NULL for the reader or an answer is answered with -PCPU_T_NULL, or with
 * nothing.  Feeding costs some 150 nanoseconds a line; all else is cheap.
 */
#ifndef PERCPU_TRACE_H
#define PERCPU_TRACE_H

struct pcpu_trace_reader;

/* why a line was refused */
enum pcpu_trace_error {
	PCPU_T_MISSING = 1,	/* a field that the event needs is not there */
	PCPU_T_NUMBER,		/* a field is no number in range */
	PCPU_T_POINTER,		/* a pointer is printed in parentheses */
	PCPU_T_CUT,		/* the last line has no end */
	PCPU_T_BINARY,		/* a zero byte, or a line without end */
	PCPU_T_TOO_MANY,	/* more than 2^32 - 2 pointers live or kinds */
	PCPU_T_HOST,		/* the host has no memory */
	PCPU_T_NULL		/* a pointer that is needed is NULL */
};

#define PCPU_NO_TIME	0xffffffffffffffffu	/* the line tells no time */
#define PCPU_NO_PLACE	0xffffffffu	/* the line tells no chunk, no offset */

/* when an operation happened, and where the recording kernel's area is */
struct pcpu_trace_note {
	uint64_t time;		/* ns since the trace clock's zero, PCPU_NO_TIME */
	uint32_t chunk;		/* base_addr=, numbered as they first appear */
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
	uint64_t orphan_frees;	/* of pointers never seen allocated */
	uint64_t reallocs;	/* of pointers not seen freed since */
	uint64_t lost;		/* events that the recorder lost, as it says */
	uint64_t cpus;		/* that the recording names */
	uint64_t kernel_failures; /* percpu_alloc_percpu_fail */
	uint64_t kernel_created; /* percpu_create_chunk */
	uint64_t kernel_destroyed; /* percpu_destroy_chunk */
	uint64_t kernel_chunks;	/* different base_addr */
	uint64_t kernel_pages;	/* 4 KiB pages of them that areas touched */
	uint64_t kernel_extent;	/* highest off + size */
	uint64_t handles;		/* most pointers alive at one time */
	uint64_t kinds;		/* different size, align and call site */
};

/**
 * pcpu_trace_reader_new - begin to read
 *
 * Return: a reader, or NULL.
 */
struct pcpu_trace_reader *pcpu_trace_reader_new(void);

/**
 * pcpu_trace_reader_free - end
 * @reader: the reader, or NULL
 */
void pcpu_trace_reader_free(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_feed - read some more text
 * @reader: the reader
 * @text: may begin and end in mid-line
 * @n: bytes
 *
 * Return: 0, or a negative enum pcpu_trace_error, for good.
 */
int pcpu_trace_feed(struct pcpu_trace_reader *reader, const char *text,
		    size_t n);

/**
 * pcpu_trace_finish - there is no more text
 * @reader: the reader
 *
 * Return: 0, or a negative enum pcpu_trace_error.
 */
int pcpu_trace_finish(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_ops - operations read since the last pcpu_trace_take()
 * @reader: the reader
 * @n: how many
 *
 * Return: the operations; good until the reader is used again.
 */
const struct pcpu_op *pcpu_trace_ops(const struct pcpu_trace_reader *reader,
				     size_t *n);

/**
 * pcpu_trace_notes - what else the lines of these operations tell
 * @reader: the reader
 * @n: how many, as pcpu_trace_ops() says
 *
 * The n-th note belongs to the n-th operation.  A clock that counts ticks
 * (ftrace's "counter" and "x86-tsc") tells no time.  A chunk is known by its
 * address alone: one that comes later to the same address has the same number.
 *
 * Return: the notes; good until the reader is used again.
 */
const struct pcpu_trace_note *pcpu_trace_notes(
	const struct pcpu_trace_reader *reader, size_t *n);

/**
 * pcpu_trace_take - forget operations and notes, the caller has them
 * @reader: the reader
 */
void pcpu_trace_take(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_kind - what a kind stands for
 * @reader: the reader
 * @index: below pcpu_trace_stats.kinds
 * @kind: size and alignment
 * @length: bytes of the call site, 0: the kernel did not tell
 *
 * Return: the call site, without a zero behind it, good while the reader is; or
 * NULL where there is no such kind.
 */
const char *pcpu_trace_kind(const struct pcpu_trace_reader *reader,
			    size_t index, struct pcpu_kind *kind,
			    size_t *length);

/**
 * pcpu_trace_stats - what was read so far
 * @reader: the reader
 * @stats: the answer
 */
void pcpu_trace_stats(const struct pcpu_trace_reader *reader,
		      struct pcpu_trace_stats *stats);

/**
 * pcpu_trace_stop - where reading stopped
 * @reader: the reader
 * @stop: the answer
 */
void pcpu_trace_stop(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_stop *stop);

#endif /* PERCPU_TRACE_H */
