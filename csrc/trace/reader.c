// SPDX-License-Identifier: GPL-2.0-only
/*
 * reader.c - from the text of a trace to operations.
 *
 * The kernel reuses a pointer as soon as it is free, so each area gets a handle
 * while it is live.  A recording begins in mid-life and may have lost events: a
 * free of an unknown pointer becomes an operation without a handle; an
 * allocation of a pointer that is still live takes over its handle.
 */
#include <stdlib.h>
#include <string.h>

#include "line.h"
#include "../percpu.h"
#include "table.h"

#define MAX_LINE	65536	/* bytes; kernels stay far below */

/* an array that grows */
struct vec {
	void *data;		/* NULL: empty */
	size_t used;		/* items in use */
	size_t room;		/* items that fit */
};

/* size and alignment of allocations, and their call site */
struct kind {
	struct pcpu_kind ask;	/* size and alignment */
	size_t site;		/* start in the reader's texts */
	size_t site_len;	/* bytes */
};

struct pcpu_trace_reader {
	struct pcpu_trace_stats stats;	/* figures so far */
	struct pcpu_trace_stop stop;	/* where reading stopped */
	struct vec rest;		/* char: line not yet ended */
	struct vec ops;			/* struct pcpu_op: not yet taken */
	struct vec notes;		/* struct pcpu_trace_note: of these */
	struct vec free_handles;	/* uint32_t: handles to use again */
	struct vec kinds;		/* struct kind */
	struct vec texts;		/* char: call sites */
	struct vec chunks;		/* bool: the kernel's chunk had an area */
	struct table live;		/* pointer -> handle */
	struct table kind_index;	/* hash -> first kind; see find_kind() */
	struct table chunk_index;	/* base_addr -> kernel chunk */
	struct table pages;		/* chunk and some pages -> those touched */
	int ptr_digits;			/* of the last ptr= seen */
};

/* add room for @n more items of @size bytes; return where they start */
static void *vec_add(struct vec *vec, size_t n, size_t size)
{
	if (!vec->data || vec->used + n > vec->room) {
		size_t room = 64;
		void *data;

		while (room < vec->used + n)
			room *= 2;
		data = realloc(vec->data, room * size);
		if (!data)
			return NULL;
		vec->data = data;
		vec->room = room;
	}
	vec->used += n;
	return (char *)vec->data + (vec->used - n) * size;
}

struct pcpu_trace_reader *pcpu_trace_reader_new(void)
{
	return calloc(1, sizeof(struct pcpu_trace_reader));
}

void pcpu_trace_reader_free(struct pcpu_trace_reader *reader)
{
	if (!reader)
		return;
	free(reader->rest.data);
	free(reader->ops.data);
	free(reader->notes.data);
	free(reader->free_handles.data);
	free(reader->kinds.data);
	free(reader->texts.data);
	free(reader->chunks.data);
	free(reader->live.cells);
	free(reader->kind_index.cells);
	free(reader->chunk_index.cells);
	free(reader->pages.cells);
	free(reader);
}

/* far above any kernel's unit; a larger off= is not believed */
#define MAX_EXTENT	((uint64_t)1 << 26)

/* the largest area, with pages of 64 KiB; a larger one never succeeded */
#define MAX_AREA	((uint64_t)1 << 16)

/* unit of kernel_pages; the kernel's own pages may be larger */
#define KERNEL_PAGE	4096

/* pages that a value of the table of pages stands for, a bit each */
#define TABLE_PAGES	16

/* the number of the recording kernel's chunk that the line names */
static int find_chunk(struct pcpu_trace_reader *reader,
		      const struct trace_line *line, uint32_t *index)
{
	bool *used;

	*index = PCPU_NO_PLACE;
	if (!(line->has & TRACE_HAS_BASE))
		return 0;
	*index = table_get(&reader->chunk_index, line->base);
	if (*index != TABLE_NONE)
		return 0;
	if (reader->chunks.used >= PCPU_NO_PLACE)
		return -PCPU_T_TOO_MANY;
	*index = (uint32_t)reader->chunks.used;
	used = vec_add(&reader->chunks, 1, sizeof(*used));
	if (!used)
		return -PCPU_T_HOST;
	*used = false;
	return table_put(&reader->chunk_index, line->base, *index) ?
	       0 : -PCPU_T_HOST;
}

/* add an operation and its note */
static int add_op(struct pcpu_trace_reader *reader,
		  const struct trace_line *line, uint32_t chunk, uint32_t handle,
		  uint32_t kind)
{
	struct pcpu_trace_note *note = vec_add(&reader->notes, 1, sizeof(*note));
	struct pcpu_op *op = note ? vec_add(&reader->ops, 1, sizeof(*op)) : NULL;

	if (!op)
		return -PCPU_T_HOST;
	op->key = line->ptr;
	op->handle = handle;
	op->kind = kind;
	note->time = line->time;
	note->chunk = chunk;
	note->offset = PCPU_NO_PLACE;
	if (line->has & TRACE_HAS_OFFSET && line->offset <= MAX_EXTENT)
		note->offset = (uint32_t)line->offset;
	return 0;
}

static uint64_t hash_kind(const struct trace_line *line)
{
	uint64_t hash = table_hash(line->size ^ line->align << 40);
	size_t i;

	/* FNV-1a over the call site */
	for (i = 0; i < line->site_len; i++)
		hash = (hash ^ (uint8_t)line->site[i]) * 0x100000001b3u;
	return hash;
}

static bool kind_matches(const struct pcpu_trace_reader *reader, uint32_t index,
			 const struct trace_line *line)
{
	const struct kind *kind = (const struct kind *)reader->kinds.data + index;
	const char *texts = reader->texts.data;

	return kind->ask.size == (int64_t)line->size &&
	       kind->ask.align == (int64_t)line->align &&
	       kind->site_len == line->site_len &&
	       (!line->site_len ||
		!memcmp(texts + kind->site, line->site, line->site_len));
}

/* the kind of an allocation; kinds with the same hash have adjacent keys */
static int find_kind(struct pcpu_trace_reader *reader,
		     const struct trace_line *line, uint32_t *index)
{
	uint64_t key = hash_kind(line);
	struct kind *kind;
	char *site;

	for (;; key++) {
		*index = table_get(&reader->kind_index, key);
		if (*index == TABLE_NONE)
			break;
		if (kind_matches(reader, *index, line))
			return 0;
	}

	if (reader->kinds.used >= PCPU_OP_FAULT)
		return -PCPU_T_TOO_MANY;
	*index = (uint32_t)reader->kinds.used;
	kind = vec_add(&reader->kinds, 1, sizeof(*kind));
	site = vec_add(&reader->texts, line->site_len, 1);
	if (!kind || !site || !table_put(&reader->kind_index, key, *index))
		return -PCPU_T_HOST;
	kind->ask.size = (int64_t)line->size;
	kind->ask.align = (int64_t)line->align;
	kind->site_len = line->site_len;
	kind->site = reader->texts.used - line->site_len;
	if (line->site_len)
		memcpy(site, line->site, line->site_len);
	return 0;
}

/* count a page of a kernel's chunk, once */
static int count_page(struct pcpu_trace_reader *reader, uint32_t index,
		      uint64_t page)
{
	uint64_t key = (uint64_t)index << 32 | page / TABLE_PAGES;
	uint32_t bit = (uint32_t)1 << page % TABLE_PAGES;
	uint32_t *touched = table_find(&reader->pages, key);

	if (touched && *touched & bit)
		return 0;
	reader->stats.kernel_pages++;
	if (!touched)
		return table_put(&reader->pages, key, bit) ? 0 : -PCPU_T_HOST;
	*touched |= bit;
	return 0;
}

/* count what the recording kernel used: chunks, pages, extent */
static int count_place(struct pcpu_trace_reader *reader,
		       const struct trace_line *line, uint32_t index)
{
	uint64_t end = line->offset + line->size;
	uint64_t page = line->offset / KERNEL_PAGE;
	bool *used = reader->chunks.data;
	int err = 0;

	if (index == PCPU_NO_PLACE || !(line->has & TRACE_HAS_OFFSET) ||
	    end > MAX_EXTENT || line->size > MAX_AREA)
		return 0;
	reader->stats.kernel_chunks += !used[index];
	used[index] = true;
	if (end > reader->stats.kernel_extent)
		reader->stats.kernel_extent = end;
	for (; !err && page * KERNEL_PAGE < end; page++)
		err = count_page(reader, index, page);
	return err;
}

/* give a pointer a handle while it is live */
static int new_handle(struct pcpu_trace_reader *reader, uint64_t ptr,
		      uint32_t *handle)
{
	const uint32_t *handles = reader->free_handles.data;

	if (reader->free_handles.used)
		*handle = handles[--reader->free_handles.used];
	else if (reader->stats.handles < PCPU_OP_ORPHAN)
		*handle = (uint32_t)reader->stats.handles++;
	else
		return -PCPU_T_TOO_MANY;
	return table_put(&reader->live, ptr, *handle) ? 0 : -PCPU_T_HOST;
}

static int on_alloc(struct pcpu_trace_reader *reader,
		    const struct trace_line *line)
{
	uint32_t handle = table_get(&reader->live, line->ptr);
	uint32_t kind, chunk;
	int err;

	err = find_kind(reader, line, &kind);
	if (!err)
		err = find_chunk(reader, line, &chunk);
	if (!err)
		err = count_place(reader, line, chunk);
	if (err)
		return err;
	if (handle == TABLE_NONE)
		err = new_handle(reader, line->ptr, &handle);
	else
		reader->stats.reallocs++;
	return err ? err : add_op(reader, line, chunk, handle, kind);
}

static int on_free(struct pcpu_trace_reader *reader,
		   const struct trace_line *line)
{
	uint32_t handle = table_get(&reader->live, line->ptr);
	uint32_t *freed;
	uint32_t chunk;
	int err;

	err = find_chunk(reader, line, &chunk);
	if (err)
		return err;
	if (handle == TABLE_NONE) {
		reader->stats.orphan_frees++;
		return add_op(reader, line, chunk, PCPU_OP_ORPHAN, PCPU_OP_FREE);
	}
	freed = vec_add(&reader->free_handles, 1, sizeof(*freed));
	if (!freed)
		return -PCPU_T_HOST;
	*freed = handle;
	table_del(&reader->live, line->ptr);
	return add_op(reader, line, chunk, handle, PCPU_OP_FREE);
}

static int on_event(struct pcpu_trace_reader *reader,
		    const struct trace_line *line)
{
	struct pcpu_trace_stats *stats = &reader->stats;
	int err = 0;

	stats->lost += line->lost;
	if (line->cpus > stats->cpus)
		stats->cpus = line->cpus;
	if (line->type == TRACE_NONE)
		return 0;
	stats->events++;

	stats->kernel_failures += line->type == TRACE_FAIL;
	stats->kernel_created += line->type == TRACE_CREATE;
	stats->kernel_destroyed += line->type == TRACE_DESTROY;
	if (line->type == TRACE_ALLOC)
		err = on_alloc(reader, line);
	else if (line->type == TRACE_FREE)
		err = on_free(reader, line);
	/* as many as there are operations */
	stats->allocs += line->type == TRACE_ALLOC && !err;
	stats->frees += line->type == TRACE_FREE && !err;
	return err;
}

static int stop_at(struct pcpu_trace_reader *reader, int error, const char *field)
{
	reader->stop.error = error;
	reader->stop.line = reader->stats.lines;
	reader->stop.field = field;
	return -error;
}

static int read_line(struct pcpu_trace_reader *reader, const char *text,
		     size_t n)
{
	struct trace_line line;
	int err;

	reader->stats.lines++;
	if (n > MAX_LINE || memchr(text, 0, n))
		return stop_at(reader, PCPU_T_BINARY, NULL);
	err = trace_line_parse(text, n, &line);
	if (err)
		return stop_at(reader, -err, line.field);
	err = on_event(reader, &line);
	if (err)
		return stop_at(reader, -err, NULL);
	if (line.ptr_digits)
		reader->ptr_digits = line.ptr_digits;
	return 0;
}

/* keep the start of a line until the rest comes */
static int keep(struct pcpu_trace_reader *reader, const char *text, size_t n)
{
	char *room;

	if (reader->rest.used + n > MAX_LINE) {
		reader->stats.lines++;
		return stop_at(reader, PCPU_T_BINARY, NULL);
	}
	room = vec_add(&reader->rest, n, 1);
	if (!room)
		return stop_at(reader, PCPU_T_HOST, NULL);
	memcpy(room, text, n);
	return 0;
}

int pcpu_trace_feed(struct pcpu_trace_reader *reader, const char *text,
		    size_t n)
{
	const char *end, *feed;
	int err;

	if (!reader || (n && !text))
		return -PCPU_T_NULL;
	if (!n)
		return -reader->stop.error;
	end = text + n;
	err = -reader->stop.error;
	while (!err && text < end &&
	       (feed = memchr(text, '\n', (size_t)(end - text)))) {
		if (reader->rest.used) {
			err = keep(reader, text, (size_t)(feed - text));
			if (!err)
				err = read_line(reader, reader->rest.data,
						reader->rest.used);
			reader->rest.used = 0;
		} else {
			err = read_line(reader, text, (size_t)(feed - text));
		}
		text = feed + 1;
	}
	return err || text == end ? err :
	       keep(reader, text, (size_t)(end - text));
}

/* whether a line is neither blank nor a comment */
static bool says_something(const char *text, size_t n)
{
	while (n && (*text == ' ' || *text == '\t' || *text == '\r')) {
		text++;
		n--;
	}
	return n && *text != '#';
}

/*
 * A last line without a line feed is accepted if it is a whole event.  If the
 * file was cut in the last number of it, that has fewer digits than those
 * before.
 */
int pcpu_trace_finish(struct pcpu_trace_reader *reader)
{
	const char *text;
	uint64_t before;
	int digits, err;
	size_t n;

	if (!reader)
		return -PCPU_T_NULL;
	if (reader->stop.error || !reader->rest.used)
		return -reader->stop.error;
	text = reader->rest.data;
	n = reader->rest.used;
	before = reader->stats.events;
	digits = reader->ptr_digits;
	reader->rest.used = 0;
	err = read_line(reader, text, n);
	if (err == -PCPU_T_MISSING || err == -PCPU_T_NUMBER ||
	    (!err && reader->ptr_digits < digits) ||
	    (!err && before && reader->stats.events == before &&
	     says_something(text, n)))
		err = stop_at(reader, PCPU_T_CUT, reader->stop.field);
	return err;
}

const struct pcpu_op *pcpu_trace_ops(const struct pcpu_trace_reader *reader,
				     size_t *n)
{
	if (n)
		*n = reader ? reader->ops.used : 0;
	return n && reader ? reader->ops.data : NULL;
}

const struct pcpu_trace_note *pcpu_trace_notes(
	const struct pcpu_trace_reader *reader, size_t *n)
{
	if (n)
		*n = reader ? reader->ops.used : 0;
	return n && reader ? reader->notes.data : NULL;
}

void pcpu_trace_take(struct pcpu_trace_reader *reader)
{
	if (!reader)
		return;
	reader->ops.used = 0;
	reader->notes.used = 0;
}

const char *pcpu_trace_kind(const struct pcpu_trace_reader *reader,
			    size_t index, struct pcpu_kind *kind,
			    size_t *length)
{
	const struct kind *found;

	if (!reader || !kind || !length || index >= reader->kinds.used)
		return NULL;
	found = (const struct kind *)reader->kinds.data + index;
	*kind = found->ask;
	*length = found->site_len;
	return (const char *)reader->texts.data + found->site;
}

void pcpu_trace_stats(const struct pcpu_trace_reader *reader,
		      struct pcpu_trace_stats *stats)
{
	const struct pcpu_trace_stats none = { 0 };

	if (!stats)
		return;
	*stats = reader ? reader->stats : none;
	stats->kinds = reader ? reader->kinds.used : 0;
}

void pcpu_trace_stop(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_stop *where)
{
	const struct pcpu_trace_stop none = { PCPU_T_NULL, 0, NULL };

	if (where)
		*where = reader ? reader->stop : none;
}
