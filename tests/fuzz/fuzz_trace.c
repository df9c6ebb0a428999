// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz_trace.c - feed arbitrary text to the trace reader.
 *
 *	| seed | text ...
 *
 * A byte 1 in the text is replaced by many bytes, so that short inputs can
 * make very long lines.  The text is read twice: in one piece, and in pieces
 * whose sizes depend on the first byte.  Both must give the same operations,
 * notes, kinds, figures and error.  Then a small allocator replays the
 * operations.
 */
#include <string.h>

#include "fuzz.h"
#include "percpu.h"

#define MAX_REPLAY	4096	/* operations that are replayed */
#define MAX_SIZE	4096	/* bytes: 16 pages of the allocator */
#define STRETCH		32767	/* bytes; a line with three is too long */
#define MAX_STRETCHES	5	/* further bytes 1 are not replaced */

/* everything that a reader returns for one text */
struct result {
	struct pcpu_trace_reader *reader; /* owns the names of call sites */
	int error;		/* of the last call */
	struct pcpu_op *ops;	/* all operations */
	struct pcpu_trace_note *notes; /* one for each operation */
	size_t nr_ops;		/* operations in ops */
	struct pcpu_trace_stats stats; /* figures */
	struct pcpu_trace_stop stop; /* where reading stopped */
};

/* move the reader's operations to @result, as a caller in a loop does */
static void take_ops(struct result *result)
{
	const struct pcpu_trace_note *notes;
	const struct pcpu_op *ops;
	size_t n, nr_notes;

	ops = pcpu_trace_ops(result->reader, &n);
	notes = pcpu_trace_notes(result->reader, &nr_notes);
	MUST(nr_notes == n);
	if (!n)
		return;
	result->ops = realloc(result->ops,
			      (result->nr_ops + n) * sizeof(*ops));
	result->notes = realloc(result->notes,
				(result->nr_ops + n) * sizeof(*notes));
	MUST(result->ops && result->notes);
	memcpy(result->ops + result->nr_ops, ops, n * sizeof(*ops));
	memcpy(result->notes + result->nr_ops, notes, n * sizeof(*notes));
	result->nr_ops += n;
	pcpu_trace_take(result->reader);
}

/* the size of the next piece: 1 to 7 bytes, or up to 252 */
static size_t next_piece(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return (*seed >> 24) % 4 ? 1 + (*seed >> 16) % 7 : *seed >> 24;
}

static void finish(struct result *result)
{
	if (!result->error)
		result->error = pcpu_trace_finish(result->reader);
	take_ops(result);
	pcpu_trace_stats(result->reader, &result->stats);
	pcpu_trace_stop(result->reader, &result->stop);
}

static void read_whole(struct result *result, const uint8_t *text, size_t n)
{
	result->reader = pcpu_trace_reader_new();
	MUST(result->reader);
	result->error = pcpu_trace_feed(result->reader, (const char *)text, n);
	finish(result);
}

/* each piece has a buffer of its own, so that ASan detects any overrun */
static void read_pieces(struct result *result, const uint8_t *text, size_t n,
			uint32_t seed)
{
	result->reader = pcpu_trace_reader_new();
	MUST(result->reader);
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
			take_ops(result);
		text += piece;
		n -= piece;
	}
	finish(result);
	/* an error is final */
	if (result->error) {
		MUST(pcpu_trace_feed(result->reader, "\n", 1) == result->error);
		MUST(pcpu_trace_finish(result->reader) == result->error);
	}
}

static void check_same(const struct result *a, const struct result *b)
{
	MUST(a->error == b->error);
	MUST(a->stop.error == b->stop.error);
	MUST(a->stop.line == b->stop.line);
	MUST(!a->stop.field == !b->stop.field);
	MUST(!a->stop.field || !strcmp(a->stop.field, b->stop.field));
	MUST(!memcmp(&a->stats, &b->stats, sizeof(a->stats)));
	MUST(a->nr_ops == b->nr_ops);
	MUST(!a->nr_ops ||
	     !memcmp(a->ops, b->ops, a->nr_ops * sizeof(*a->ops)));
	MUST(!a->nr_ops ||
	     !memcmp(a->notes, b->notes, a->nr_ops * sizeof(*a->notes)));
	for (size_t i = 0; i < a->stats.kinds; i++) {
		struct pcpu_kind x, y;
		size_t x_length, y_length;
		const char *x_site, *y_site;

		x_site = pcpu_trace_kind(a->reader, i, &x, &x_length);
		y_site = pcpu_trace_kind(b->reader, i, &y, &y_length);
		MUST(x.size == y.size && x.align == y.align);
		MUST(x_length == y_length);
		MUST(!memcmp(x_site, y_site, x_length));
	}
}

static void check_figures(const struct result *result)
{
	const struct pcpu_trace_stats *stats = &result->stats;

	MUST(stats->events >= stats->allocs + stats->frees);
	MUST(stats->lines >= stats->events);
	MUST(stats->frees >= stats->orphan_frees);
	MUST(stats->kinds <= stats->allocs);
	MUST(stats->handles <= stats->allocs);
	MUST(stats->reallocs <= stats->allocs);
	MUST(result->error == -result->stop.error);
	if (result->error)
		MUST(result->stop.line == stats->lines);
	else
		MUST(result->nr_ops == stats->allocs + stats->frees);
}

/*
 * Handles and kinds are in range.  A handle belongs to one pointer from its
 * allocation to its free, and only a live handle is freed.
 */
static void check_ops(const struct result *result)
{
	uint64_t *holds = calloc(result->stats.handles + 1, sizeof(*holds));
	bool *busy = calloc(result->stats.handles + 1, sizeof(*busy));

	MUST(holds && busy);
	for (size_t i = 0; i < result->nr_ops; i++) {
		const struct pcpu_op *op = &result->ops[i];

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

/* chunks are numbered in order of appearance; offsets are at most 64 MiB */
static void check_notes(const struct result *result)
{
	uint32_t chunks = 0;

	for (size_t i = 0; i < result->nr_ops; i++) {
		const struct pcpu_trace_note *note = &result->notes[i];

		MUST(note->offset == PCPU_NO_PLACE || note->offset <= 1 << 26);
		if (note->chunk == PCPU_NO_PLACE)
			continue;
		MUST(note->chunk <= chunks);
		chunks += note->chunk == chunks;
	}
	MUST(result->error || result->stats.kernel_chunks <= chunks);
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
	size_t length;

	MUST(kinds);
	for (size_t i = 0; i < result->stats.kinds; i++) {
		pcpu_trace_kind(result->reader, i, &kinds[i], &length);
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
		.ops = result->ops,
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
	free(result->ops);
	free(result->notes);
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
	read_whole(&whole, text, n);
	read_pieces(&pieces, text, n, data[0] * 2654435761u);
	free(text);
	check_same(&whole, &pieces);
	check_figures(&whole);
	check_ops(&whole);
	check_notes(&whole);
	replay(&whole);
	result_free(&whole);
	result_free(&pieces);
	return 0;
}
