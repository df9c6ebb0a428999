// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz_trace.c - feed arbitrary text to the trace reader.
 *
 *	| seed | text ...
 *
 * A byte 1 in the text is replaced by many bytes, so that short inputs can
 * make very long lines.  If the seed is odd the reader is strict.  The text is
 * read twice: in one piece, and in pieces whose sizes depend on the seed.  Both
 * must give the same rows, events, stacks, tables, skipped lines, figures and
 * error.  Then a small allocator replays the operations.
 */
#include <string.h>

#include "fuzz.h"
#include "percpu.h"

#define MAX_REPLAY	4096	/* operations that are replayed */
#define MAX_SIZE	4096	/* bytes: 16 pages of the allocator */
#define STRETCH		32767	/* bytes; a line with three is too long */
#define MAX_STRETCHES	5	/* further bytes 1 are not replaced */

/* an array of bytes that grows */
struct bytes {
	char *data;		/* NULL: empty */
	size_t n;		/* bytes in use */
};

enum column { OPS, TIMES, CHUNKS, OFFSETS, TASKS, CPUS, EVENTS, STACKS,
	      NR_COLUMNS };

/* everything that a reader returns for one text */
struct result {
	struct pcpu_trace_reader *reader; /* owns the tables */
	int error;		/* of the last call */
	struct bytes columns[NR_COLUMNS]; /* all rows, events and stacks */
	size_t nr_ops;		/* operations */
	struct pcpu_trace_stats stats; /* figures */
	struct pcpu_trace_stop stop; /* where reading stopped */
};

static void append(struct bytes *to, const void *from, size_t n)
{
	if (!n)
		return;
	to->data = realloc(to->data, to->n + n);
	MUST(to->data);
	memcpy(to->data + to->n, from, n);
	to->n += n;
}

/* move what the reader has to @result, as a caller in a loop does */
static void take(struct result *result)
{
	const struct pcpu_trace_stack_of *stacks;
	const struct pcpu_trace_event *events;
	struct bytes *to = result->columns;
	struct pcpu_trace_rows rows;
	size_t n;

	pcpu_trace_rows(result->reader, &rows);
	append(&to[OPS], rows.ops, rows.n * sizeof(*rows.ops));
	append(&to[TIMES], rows.times, rows.n * sizeof(*rows.times));
	append(&to[CHUNKS], rows.chunks, rows.n * sizeof(*rows.chunks));
	append(&to[OFFSETS], rows.offsets, rows.n * sizeof(*rows.offsets));
	append(&to[TASKS], rows.tasks, rows.n * sizeof(*rows.tasks));
	append(&to[CPUS], rows.cpus, rows.n * sizeof(*rows.cpus));
	result->nr_ops += rows.n;
	events = pcpu_trace_events(result->reader, &n);
	append(&to[EVENTS], events, n * sizeof(*events));
	stacks = pcpu_trace_stacks(result->reader, &n);
	append(&to[STACKS], stacks, n * sizeof(*stacks));
	pcpu_trace_take(result->reader);
}

/* the size of the next piece: 1 to 7 bytes, or up to 252 */
static size_t next_piece(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 24) % 4 ? 1 + (*seed >> 16) % 7 : *seed >> 24;
}

static void begin(struct result *result, unsigned int flags)
{
	result->reader = pcpu_trace_reader_new(flags);
	MUST(result->reader);
}

static void finish(struct result *result)
{
	if (!result->error)
		result->error = pcpu_trace_finish(result->reader);
	take(result);
	pcpu_trace_stats(result->reader, &result->stats);
	pcpu_trace_stop(result->reader, &result->stop);
	/* an error is final */
	if (result->error) {
		MUST(pcpu_trace_feed(result->reader, "\n", 1) == result->error);
		MUST(pcpu_trace_finish(result->reader) == result->error);
	}
}

static void read_whole(struct result *result, const uint8_t *text, size_t n)
{
	result->error = pcpu_trace_feed(result->reader, (const char *)text, n);
	finish(result);
}

/* each piece has a buffer of its own, so that ASan detects any overrun */
static void read_pieces(struct result *result, const uint8_t *text, size_t n,
			uint32_t seed)
{
	while (n && !result->error) {
		size_t piece = next_piece(&seed);
		char *copy;

		piece = piece < n ? piece : n;
		copy = malloc(piece ? piece : 1);
		MUST(copy);
		memcpy(copy, text, piece);
		result->error = pcpu_trace_feed(result->reader, copy, piece);
		free(copy);
		if (seed >> 31)
			take(result);
		text += piece;
		n -= piece;
	}
	finish(result);
}

static void same_text(const char *a, size_t a_length, const char *b,
		      size_t b_length)
{
	MUST(a && b && a_length == b_length);
	MUST(!memcmp(a, b, a_length));
}

static void same_field(const char *a, const char *b)
{
	MUST(!a == !b && (!a || !strcmp(a, b)));
}

static void check_same_requests(const struct result *a, const struct result *b)
{
	for (size_t i = 0; i < a->stats.kinds; i++) {
		struct pcpu_trace_request x, y;

		MUST(!pcpu_trace_request(a->reader, i, &x));
		MUST(!pcpu_trace_request(b->reader, i, &y));
		MUST(x.kind.size == y.kind.size && x.kind.size >= 0);
		MUST(x.kind.align == y.kind.align && x.kind.align >= 0);
		MUST(x.kind.flags == y.kind.flags);
		MUST(x.kind.flags <= (PCPU_ATOMIC | PCPU_RESERVED));
		MUST(x.bytes_alloc == y.bytes_alloc && x.bytes_alloc >= 0);
		same_text(x.site, x.site_length, y.site, y.site_length);
		same_text(x.gfp, x.gfp_length, y.gfp, y.gfp_length);
	}
}

typedef const char *text_of(const struct pcpu_trace_reader *reader, size_t i,
			    size_t *length);

static void check_same_texts(const struct result *a, const struct result *b,
			     uint64_t count, text_of *text)
{
	size_t x_length, y_length;
	const char *x, *y;

	for (size_t i = 0; i < count; i++) {
		x = text(a->reader, i, &x_length);
		y = text(b->reader, i, &y_length);
		same_text(x, x_length, y, y_length);
		MUST(x_length > 0);
	}
	MUST(!text(a->reader, count, &x_length));
}

static void check_same_skips(const struct result *a, const struct result *b)
{
	uint64_t lines = 0;

	for (int i = 0; i < PCPU_NR_SKIPS; i++) {
		struct pcpu_trace_skip x, y;

		pcpu_trace_skipped(a->reader, i, &x);
		pcpu_trace_skipped(b->reader, i, &y);
		MUST(x.count == y.count && x.line == y.line);
		same_text(x.text, x.length, y.text, y.length);
		same_field(x.field, y.field);
		MUST(!x.count == !x.line && x.line <= a->stats.lines);
		lines += x.count;
	}
	MUST(a->error || lines || a->stats.events || !a->nr_ops);
}

static void check_same(const struct result *a, const struct result *b)
{
	size_t n, m;
	const struct pcpu_trace_task *x = pcpu_trace_tasks(a->reader, &n);
	const struct pcpu_trace_task *y = pcpu_trace_tasks(b->reader, &m);

	MUST(a->error == b->error);
	MUST(a->stop.error == b->stop.error);
	MUST(a->stop.line == b->stop.line);
	same_field(a->stop.field, b->stop.field);
	/* a reader in pieces may count the line after the error, or not */
	if (!a->error)
		MUST(!memcmp(&a->stats, &b->stats, sizeof(a->stats)));
	for (int i = 0; i < NR_COLUMNS; i++) {
		MUST(a->columns[i].n == b->columns[i].n);
		MUST(!a->columns[i].n ||
		     !memcmp(a->columns[i].data, b->columns[i].data,
			     a->columns[i].n));
	}
	MUST(n == m && n == a->stats.tasks);
	MUST(!n || !memcmp(x, y, n * sizeof(*x)));
	for (size_t i = 0; i < n; i++)
		MUST(x[i].name < a->stats.names);
	check_same_requests(a, b);
	check_same_texts(a, b, a->stats.names, pcpu_trace_name);
	check_same_texts(a, b, a->stats.stacks, pcpu_trace_stack);
	for (size_t i = 0; i < a->stats.chunks; i++)
		MUST(pcpu_trace_chunk(a->reader, i) ==
		     pcpu_trace_chunk(b->reader, i));
	check_same_skips(a, b);
}

static void check_figures(const struct result *result)
{
	const struct pcpu_trace_stats *stats = &result->stats;

	MUST(stats->frees >= stats->orphan_frees);
	MUST(stats->kinds <= stats->allocs + stats->kernel_failures);
	MUST(stats->handles <= stats->allocs);
	MUST(stats->reallocs <= stats->allocs);
	MUST(stats->kernel_chunks <= stats->chunks);
	MUST(stats->cpus <= PCPU_NO_CPU);
	MUST(result->error == -result->stop.error);
	MUST(result->stop.line <= stats->lines);
	MUST(result->nr_ops == stats->allocs + stats->frees);
	MUST(stats->events == stats->allocs + stats->frees +
	     stats->kernel_failures + stats->kernel_created +
	     stats->kernel_destroyed);
}

/*
 * Handles and kinds are in range.  A handle belongs to one pointer from its
 * allocation to its free, and only a live handle is freed.
 */
static void check_ops(const struct result *result)
{
	const struct pcpu_op *ops = (const void *)result->columns[OPS].data;
	uint64_t *holds = calloc(result->stats.handles + 1, sizeof(*holds));
	bool *busy = calloc(result->stats.handles + 1, sizeof(*busy));

	MUST(holds && busy);
	for (size_t i = 0; i < result->nr_ops; i++) {
		const struct pcpu_op *op = &ops[i];

		if (op->kind == PCPU_OP_FREE && op->handle == PCPU_OP_ORPHAN)
			continue;
		MUST(op->handle < result->stats.handles);
		MUST(!busy[op->handle] || holds[op->handle] == op->key);
		if (op->kind == PCPU_OP_FREE) {
			MUST(busy[op->handle]);
		} else {
			MUST(op->kind < result->stats.kinds);
			holds[op->handle] = op->key;
		}
		busy[op->handle] = op->kind != PCPU_OP_FREE;
	}
	free(holds);
	free(busy);
}

/* chunks are in range; offsets are at most 64 MiB */
static void check_places(const struct result *result)
{
	const uint32_t *chunks = (const void *)result->columns[CHUNKS].data;
	const uint32_t *offsets = (const void *)result->columns[OFFSETS].data;
	const uint32_t *tasks = (const void *)result->columns[TASKS].data;

	for (size_t i = 0; i < result->nr_ops; i++) {
		MUST(offsets[i] == PCPU_NO_PLACE || offsets[i] <= 1 << 26);
		MUST(chunks[i] == PCPU_NO_PLACE ||
		     chunks[i] < result->stats.chunks);
		MUST(tasks[i] == PCPU_NO_TASK ||
		     tasks[i] < result->stats.tasks);
	}
}

/* events are in order, and refer to what is there */
static void check_events(const struct result *result)
{
	const struct bytes *column = &result->columns[EVENTS];
	const struct pcpu_trace_event *events = (const void *)column->data;
	size_t n = column->n / sizeof(*events);
	uint64_t before = 0;

	for (size_t i = 0; i < n; i++) {
		const struct pcpu_trace_event *event = &events[i];

		MUST(event->before >= before);
		before = event->before;
		MUST(event->task == PCPU_NO_TASK ||
		     event->task < result->stats.tasks);
		MUST(event->kind <= PCPU_TRACE_WORK_ENDED);
		if (event->kind == PCPU_TRACE_FAILED)
			MUST(event->value < result->stats.kinds);
		if (event->kind == PCPU_TRACE_CREATED ||
		    event->kind == PCPU_TRACE_DESTROYED)
			MUST(event->value < result->stats.chunks);
	}
	MUST(before <= result->nr_ops);
}

/* a row has at most one stack */
static void check_stacks(const struct result *result)
{
	const struct bytes *column = &result->columns[STACKS];
	const struct pcpu_trace_stack_of *stacks = (const void *)column->data;
	size_t nr_events = result->columns[EVENTS].n /
			   sizeof(struct pcpu_trace_event);
	bool *seen = calloc(result->nr_ops + nr_events + 1, sizeof(*seen));

	MUST(seen);
	for (size_t i = 0; i < column->n / sizeof(*stacks); i++) {
		uint64_t row = stacks[i].row;

		MUST(stacks[i].stack < result->stats.stacks);
		MUST(stacks[i].of_event <= 1);
		MUST(row < (stacks[i].of_event ? nr_events : result->nr_ops));
		row += stacks[i].of_event ? result->nr_ops : 0;
		MUST(!seen[row]);
		seen[row] = true;
	}
	free(seen);
}

static void swallow(void *arg, int about, const char *text)
{
	(void)about;
	(void)arg;
	(void)text;
}

static struct pcpu_kind *kinds_of(const struct result *result)
{
	struct pcpu_kind *kinds = calloc(result->stats.kinds + 1,
					 sizeof(*kinds));
	MUST(kinds);
	for (size_t i = 0; i < result->stats.kinds; i++) {
		struct pcpu_trace_request request;

		MUST(!pcpu_trace_request(result->reader, i, &request));
		kinds[i] = request.kind;
		/* larger ones would only be refused: reduce them */
		if (kinds[i].size > 2 * MAX_SIZE)
			kinds[i].size %= MAX_SIZE;
	}
	return kinds;
}

static void replay(const struct result *result)
{
	const struct pcpu_config config = {
		.version = PCPU_VERSION,
		.cpus = 2,
		.static_size = 128,
		.page_size = MAX_SIZE / 16,
		.memory = PCPU_MEMORY_NONE,
		.log = swallow,
	};
	size_t n = result->nr_ops < MAX_REPLAY ? result->nr_ops : MAX_REPLAY;
	struct pcpu_kind *kinds = kinds_of(result);
	struct pcpu_replay_handle *handles = calloc(result->stats.handles + 1,
						sizeof(*handles));
	struct pcpu_replay replay = {
		.ops = (const void *)result->columns[OPS].data,
		.kinds = kinds,
		.handles = handles,
		.nr_kinds = (uint32_t)result->stats.kinds,
		.nr_handles = (uint32_t)result->stats.handles,
	};
	int64_t live_bytes = 0;
	struct pcpu *pcpu;
	int error;

	pcpu = pcpu_create(&config, &error);
	MUST(pcpu && handles);
	MUST(!pcpu_replay(pcpu, &replay, 0, n));
	for (size_t i = 0; i < result->stats.handles; i++) {
		struct pcpu_location location;

		if (!handles[i].ptr)
			continue;
		MUST(!pcpu_locate(pcpu, handles[i].ptr, &location));
		MUST(location.size >= handles[i].size);
		live_bytes += handles[i].size;
	}
	MUST(replay.live_bytes == live_bytes);
	pcpu_destroy(pcpu);
	free(handles);
	free(kinds);
}

static void result_free(struct result *result)
{
	pcpu_trace_reader_free(result->reader);
	for (int i = 0; i < NR_COLUMNS; i++)
		free(result->columns[i].data);
}

/* replace the bytes 1; the buffer has exactly the size of the text */
static uint8_t *stretch(const uint8_t *data, size_t size, size_t *n)
{
	uint8_t *text = malloc(size + MAX_STRETCHES * STRETCH);
	int stretches = 0;

	MUST(text);
	*n = 0;
	for (size_t i = 0; i < size; i++) {
		if (data[i] == 1 && stretches++ < MAX_STRETCHES) {
			memset(text + *n, '-', STRETCH);
			*n += STRETCH;
		} else {
			text[(*n)++] = data[i];
		}
	}
	text = realloc(text, *n ? *n : 1);
	MUST(text);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct result whole = { 0 }, pieces = { 0 };
	uint8_t *text;
	size_t n;

	if (!size)
		return 0;
	text = stretch(data + 1, size - 1, &n);
	begin(&whole, data[0] & PCPU_TRACE_STRICT);
	begin(&pieces, data[0] & PCPU_TRACE_STRICT);
	read_whole(&whole, text, n);
	read_pieces(&pieces, text, n, data[0] * 2654435761u);
	free(text);
	check_same(&whole, &pieces);
	check_figures(&whole);
	check_ops(&whole);
	check_places(&whole);
	check_events(&whole);
	check_stacks(&whole);
	replay(&whole);
	result_free(&whole);
	result_free(&pieces);
	return 0;
}
