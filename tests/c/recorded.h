/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recorded.h - for tests of the trace reader: reads a text and shows what it
 * says.
 */
#ifndef TEST_RECORDED_H
#define TEST_RECORDED_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "percpu.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* the starts of lines as ftrace and perf script print them */
#define FT(cpu, time)	"            bash-2090    [00" #cpu "] ..... " #time ": "
#define FT_ALLOC	FT(0, 522.635392) "percpu_alloc_percpu: "
#define FT_FREE		FT(1, 522.644762) "percpu_free_percpu: "
#define FT_FAIL		FT(0, 522.7) "percpu_alloc_percpu_fail: "
#define FT_CREATE	FT(0, 522.8) "percpu_create_chunk: "
#define FT_DESTROY	FT(0, 522.9) "percpu_destroy_chunk: "
#define FT_SCHED	FT(0, 522.95) "sched_switch: prev=x\n"
#define PERF_ALLOC	"       perf-exec 12683 [000]  1963.707902:      " \
			"percpu:percpu_alloc_percpu: "
#define PERF_FREE	"          wl2.sh 12685 [001]  1963.708252:       " \
			"percpu:percpu_free_percpu: "

/* two whole lines */
#define ALLOC_LINE	FT_ALLOC "size=8 align=8 ptr=00000000bbbb0000\n"
#define FREE_LINE	FT_FREE "ptr=00000000bbbb0000\n"

static struct pcpu_trace_reader *reader;
static struct pcpu_trace_stats stats;
static struct pcpu_trace_stop stop;
static struct pcpu_trace_rows rows;
static const struct pcpu_trace_event *events;
static const struct pcpu_trace_stack_of *stacks_of;
static size_t nr_events, nr_stacks_of;

static inline void read_results(void)
{
	pcpu_trace_stats(reader, &stats);
	pcpu_trace_stop(reader, &stop);
	pcpu_trace_rows(reader, &rows);
	events = pcpu_trace_events(reader, &nr_events);
	stacks_of = pcpu_trace_stacks(reader, &nr_stacks_of);
}

/* read a whole text, in pieces of at most @piece bytes */
static inline int read_pieces(unsigned int flags, const char *text, size_t n,
			      size_t piece)
{
	int err = 0;

	pcpu_trace_reader_free(reader);
	reader = pcpu_trace_reader_new(flags);
	for (size_t at = 0; at < n && !err; at += piece)
		err = pcpu_trace_feed(reader, text + at,
				      n - at < piece ? n - at : piece);
	if (!err)
		err = pcpu_trace_finish(reader);
	read_results();
	return err;
}

static inline int read_text(const char *text)
{
	return read_pieces(0, text, strlen(text), strlen(text) + 1);
}

static inline int read_strictly(const char *text)
{
	return read_pieces(PCPU_TRACE_STRICT, text, strlen(text),
			   strlen(text) + 1);
}

static inline void done(void)
{
	pcpu_trace_reader_free(reader);
	reader = NULL;
}

/* a text made as by printf(), valid until the fourth call from here */
__attribute__((format(printf, 1, 2)))
static inline const char *print(const char *format, ...)
{
	static char texts[4][1024];
	static unsigned int turn;
	char *text = texts[turn++ % 4];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(texts[0]), format, args);
	va_end(args);
	return text;
}

static inline bool same(const char *text, const char *expected)
{
	if (!strcmp(text, expected))
		return true;
	if (test_failures < 5)
		fprintf(stderr, "%s: is \"%s\", not \"%s\"\n", test_name,
			text, expected);
	return false;
}

/* a request: size/align, flags, call site, gfp flags */
static inline const char *request(size_t kind)
{
	struct pcpu_trace_request r;

	if (pcpu_trace_request(reader, kind, &r))
		return "none";
	return print("%d/%d%s%s %.*s %.*s", (int)r.kind.size, (int)r.kind.align,
		     r.kind.flags & PCPU_ATOMIC ? " atomic" : "",
		     r.kind.flags & PCPU_RESERVED ? " reserved" : "",
		     (int)r.site_length, r.site, (int)r.gfp_length, r.gfp);
}

/* a task: name and pid */
static inline const char *task(uint32_t index)
{
	const struct pcpu_trace_task *tasks;
	size_t n, length = 0;
	const char *name;

	tasks = pcpu_trace_tasks(reader, &n);
	if (index >= n)
		return index == PCPU_NO_TASK ? "unknown" : "none";
	name = pcpu_trace_name(reader, tasks[index].name, &length);
	return print("%.*s-%u", (int)length, name, tasks[index].pid);
}

/* a stack, with a comma between its frames */
static inline const char *stack(uint32_t index)
{
	size_t length = 0;
	const char *frames = pcpu_trace_stack(reader, index, &length);
	char *text = (char *)(uintptr_t)print("%.*s", (int)length, frames);

	for (char *at = text; (at = strchr(at, '\n')); )
		*at = ',';
	return text;
}

static inline bool op_is(size_t i, uint64_t key, uint32_t handle,
			 uint32_t kind)
{
	return i < rows.n && rows.ops[i].key == key &&
	       rows.ops[i].handle == handle && rows.ops[i].kind == kind;
}

static inline bool place_is(size_t i, uint32_t chunk, uint32_t offset)
{
	return i < rows.n && rows.chunks[i] == chunk &&
	       rows.offsets[i] == offset;
}

static inline bool event_is(size_t i, enum pcpu_trace_event_kind kind,
			    uint64_t before, uint64_t value)
{
	return i < nr_events && events[i].kind == kind &&
	       events[i].before == before && events[i].value == value;
}

static inline struct pcpu_trace_skip skipped(enum pcpu_trace_skip_kind kind)
{
	struct pcpu_trace_skip skip;

	pcpu_trace_skipped(reader, kind, &skip);
	return skip;
}

/* whether @count lines were skipped for a reason, the first as given */
static inline bool skip_is(enum pcpu_trace_skip_kind kind, uint64_t count,
			   uint64_t line, const char *text, const char *field)
{
	struct pcpu_trace_skip skip = skipped(kind);

	return skip.count == count && skip.line == line &&
	       same(print("%.*s", (int)skip.length, skip.text), text) &&
	       same(skip.field ? skip.field : "", field);
}

/* lines skipped for other reasons than @kind */
static inline uint64_t other_skips(enum pcpu_trace_skip_kind kind)
{
	uint64_t n = 0;

	for (int i = 0; i < PCPU_NR_SKIPS; i++)
		n += i == (int)kind ? 0 : skipped(i).count;
	return n;
}

#endif /* TEST_RECORDED_H */
