/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_trace.h - a part of percpu.h: from the text of a recording to
 * operations for pcpu_replay().
 *
 * The input is the text of the five tracepoints percpu:percpu_* as ftrace,
 * trace-cmd, perf script or perf trace print it, in pieces of any size.  A
 * reader has one unfinished line, the live pointers, and the rows not yet
 * taken: operations, and events that are no operations.  It must not be shared
 * between threads.  Its memory comes from malloc().
 *
 * Rows refer to tables, which grow while text is fed: requests, tasks and their
 * names, stacks, chunks.  pcpu_trace_stats says how long they are.
 *
 * If the reader or an output is NULL, a function returns -PCPU_T_NULL, or NULL,
 * or does nothing.  Feeding costs about 200 ns per line; all else is cheap.
 */
#ifndef PERCPU_TRACE_H
#define PERCPU_TRACE_H

struct pcpu_trace_reader; /* a reader; its fields are private */

/* flags of pcpu_trace_reader_new() */
#define PCPU_TRACE_STRICT	1u	/* a damaged event is an error */

/* why an event cannot be read, or reading ended */
enum pcpu_trace_error {
	PCPU_T_MISSING = 1,	/* a field of the event is missing */
	PCPU_T_NUMBER,		/* a field is not a number in range */
	PCPU_T_POINTER,		/* a pointer is printed in parentheses */
	PCPU_T_CUT,		/* the last line has no end */
	PCPU_T_BINARY,		/* a zero byte, or a line without end */
	PCPU_T_TOO_MANY,	/* about 2^32 live pointers, or in a table */
	PCPU_T_HOST,		/* the host has no memory */
	PCPU_T_NULL		/* a required pointer is NULL */
};

/* why a line was skipped */
enum pcpu_trace_skip_kind {
	PCPU_SKIP_TEXT,		/* it is no event */
	PCPU_SKIP_OTHER,	/* an event of another kind */
	PCPU_SKIP_DAMAGED,	/* a field is missing, or no number */
	PCPU_SKIP_MASKED,	/* a pointer is masked, as early at boot */
	PCPU_SKIP_TORN,		/* another event begins inside the event */
	PCPU_SKIP_CUT,		/* the last line has no end */
	PCPU_SKIP_BINARY,	/* a zero byte, or a line without end */
	PCPU_NR_SKIPS
};

#define PCPU_NO_TIME	0xffffffffffffffffu	/* the line has no time */
#define PCPU_NO_PLACE	0xffffffffu	/* the line has no chunk or offset */
#define PCPU_NO_TASK	0xffffffffu	/* the line has no task */
#define PCPU_NO_CPU	0xffffu		/* the line has no CPU */

/* operations since the last pcpu_trace_take(), a column for each property */
struct pcpu_trace_rows {
	const struct pcpu_op *ops; /* for pcpu_replay() */
	const uint64_t *times;	/* ns since the trace clock's zero */
	const uint32_t *chunks;	/* the recording kernel's chunk */
	const uint32_t *offsets; /* bytes in this chunk's unit */
	const uint32_t *tasks;	/* the task that made the call */
	const uint16_t *cpus;	/* where it ran */
	size_t n;		/* operations */
};

/* what an event is that is no operation */
enum pcpu_trace_event_kind {
	PCPU_TRACE_FAILED,	/* an allocation failed */
	PCPU_TRACE_CREATED,	/* a chunk was created */
	PCPU_TRACE_DESTROYED,	/* a chunk was destroyed */
	PCPU_TRACE_LOST,	/* events were lost */
	PCPU_TRACE_WORK_STARTED, /* background work of the allocator */
	PCPU_TRACE_WORK_ENDED
};

/* an event that is no operation */
struct pcpu_trace_event {
	uint64_t before;	/* the number of operations before it */
	uint64_t time;		/* ns since the trace clock's zero */
	uint64_t value;		/* request; chunk; how many lost, 0: unknown */
	uint32_t task;		/* the task that made the call */
	uint16_t cpu;		/* where it ran */
	uint16_t kind;		/* enum pcpu_trace_event_kind */
};

/* the stack of an operation or of an event */
struct pcpu_trace_stack_of {
	uint64_t row;		/* number of the operation, or of the event */
	uint32_t stack;		/* its stack */
	uint32_t of_event;	/* 1: of an event, 0: of an operation */
};

/* a task; many have the same name */
struct pcpu_trace_task {
	uint32_t name;		/* its name, see pcpu_trace_name() */
	uint32_t pid;		/* its id */
};

/* what an allocation requested */
struct pcpu_trace_request {
	struct pcpu_kind kind;	/* size, alignment, flags */
	int64_t bytes_alloc;	/* bytes on all CPUs; 0: not printed */
	const char *site;	/* call site, not terminated */
	size_t site_length;	/* 0: not printed */
	const char *gfp;	/* gfp flags, not terminated */
	size_t gfp_length;	/* 0: not printed */
};

/* where reading stopped */
struct pcpu_trace_stop {
	int error;		/* enum pcpu_trace_error, 0: none */
	uint64_t line;		/* its number, from 1 */
	const char *field;	/* the field, or NULL; a constant string */
};

/* lines that were skipped */
struct pcpu_trace_skip {
	uint64_t count;		/* how many */
	uint64_t line;		/* number of the first, from 1 */
	const char *text;	/* how it begins, not terminated */
	size_t length;		/* bytes of that */
	const char *field;	/* the field that cannot be read, or NULL */
};

struct pcpu_trace_stats {
	uint64_t lines;		/* read */
	uint64_t events;	/* of the five tracepoints */
	uint64_t allocs;	/* percpu_alloc_percpu */
	uint64_t frees;		/* percpu_free_percpu, orphans included */
	uint64_t orphan_frees;	/* of unknown pointers */
	uint64_t reallocs;	/* of pointers that were still live */
	uint64_t lost;		/* events that the recorder reports as lost */
	uint64_t cpus;		/* CPUs that the recording names; 0: none */
	uint64_t kernel_failures; /* percpu_alloc_percpu_fail */
	uint64_t kernel_created; /* percpu_create_chunk */
	uint64_t kernel_destroyed; /* percpu_destroy_chunk */
	uint64_t kernel_chunks;	/* chunks with areas */
	uint64_t kernel_pages;	/* 4 KiB pages of them that areas touched */
	uint64_t kernel_extent;	/* highest off + size */
	uint64_t backwards;	/* operations timed before the previous one */
	uint64_t handles;	/* most live pointers at one time */
	uint64_t kinds;		/* different requests */
	uint64_t tasks;		/* different tasks */
	uint64_t names;		/* different names of tasks */
	uint64_t stacks;	/* different stacks */
	uint64_t chunks;	/* chunks that lines name */
	int flags_printed;	/* whether allocations have is_atomic= */
};

/**
 * pcpu_trace_reader_new - create a reader
 * @flags: 0 or PCPU_TRACE_STRICT
 *
 * Return: a reader, or NULL.
 */
struct pcpu_trace_reader *pcpu_trace_reader_new(unsigned int flags);

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
 * The last line may have to wait for the next one, which may be a part of it.
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
 * pcpu_trace_rows - return the operations since the last pcpu_trace_take()
 * @reader: the reader
 * @rows: set to them, valid until the reader is used again
 *
 * A clock that counts ticks (ftrace's "counter" and "x86-tsc") gives no time.
 * A chunk's number names its life: one that is created later at the same
 * address has another number.
 */
void pcpu_trace_rows(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_rows *rows);

/**
 * pcpu_trace_events - return the other events since the last pcpu_trace_take()
 * @reader: the reader
 * @n: set to how many
 *
 * Return: the events, valid until the reader is used again.
 */
const struct pcpu_trace_event *pcpu_trace_events(
	const struct pcpu_trace_reader *reader, size_t *n);

/**
 * pcpu_trace_stacks - return the stacks since the last pcpu_trace_take()
 * @reader: the reader
 * @n: set to how many
 *
 * A stack is printed after its event, so it may belong to a row that was taken
 * before.  Rows are numbered from the first one that the reader ever had.
 *
 * Return: whose they are, valid until the reader is used again.
 */
const struct pcpu_trace_stack_of *pcpu_trace_stacks(
	const struct pcpu_trace_reader *reader, size_t *n);

/**
 * pcpu_trace_take - discard operations, events and stacks: the caller has them
 * @reader: the reader
 */
void pcpu_trace_take(struct pcpu_trace_reader *reader);

/**
 * pcpu_trace_request - return what allocations of a kind requested
 * @reader: the reader
 * @kind: below pcpu_trace_stats.kinds, pcpu_op.kind or pcpu_trace_event.value
 * @request: set to it; its texts are valid until the reader is used again
 *
 * Return: 0, or -PCPU_T_NULL: there is no such kind.
 */
int pcpu_trace_request(const struct pcpu_trace_reader *reader, size_t kind,
		       struct pcpu_trace_request *request);

/**
 * pcpu_trace_tasks - return the tasks
 * @reader: the reader
 * @n: set to how many, pcpu_trace_stats.tasks
 *
 * Return: the tasks, valid until the reader is used again.
 */
const struct pcpu_trace_task *pcpu_trace_tasks(
	const struct pcpu_trace_reader *reader, size_t *n);

/**
 * pcpu_trace_name - return the name of tasks
 * @reader: the reader
 * @name: below pcpu_trace_stats.names
 * @length: set to its bytes
 *
 * Return: the name, not terminated, valid until the reader is used again; or
 * NULL: there is no such name.
 */
const char *pcpu_trace_name(const struct pcpu_trace_reader *reader,
			    size_t name, size_t *length);

/**
 * pcpu_trace_stack - return the frames of a stack
 * @reader: the reader
 * @stack: below pcpu_trace_stats.stacks
 * @length: set to the bytes of the text
 *
 * Return: a line for each frame, the innermost first, without the last line's
 * end; not terminated, valid until the reader is used again; or NULL.
 */
const char *pcpu_trace_stack(const struct pcpu_trace_reader *reader,
			     size_t stack, size_t *length);

/**
 * pcpu_trace_chunk - return the address of a chunk
 * @reader: the reader
 * @chunk: below pcpu_trace_stats.chunks
 *
 * Return: base_addr=, as printed: a hash in most recordings of ftrace; 0 if
 * there is no such chunk.
 */
uint64_t pcpu_trace_chunk(const struct pcpu_trace_reader *reader, size_t chunk);

/**
 * pcpu_trace_skipped - return which lines were skipped for a reason
 * @reader: the reader
 * @kind: the reason
 * @skip: set to that; the text is valid until the reader is used again
 */
void pcpu_trace_skipped(const struct pcpu_trace_reader *reader,
			enum pcpu_trace_skip_kind kind,
			struct pcpu_trace_skip *skip);

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
