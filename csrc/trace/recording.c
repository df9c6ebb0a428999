// SPDX-License-Identifier: GPL-2.0-only
/*
 * recording.c - what the lines of a recording add up to.
 *
 * The kernel reuses a pointer as soon as it is free, so each area gets a handle
 * while it is live.  A recording begins in mid-life and may have lost events: a
 * free of an unknown pointer becomes an operation without a handle; an
 * allocation of a pointer that is still live takes over its handle.  Likewise a
 * chunk's number names one life of a chunk at an address.
 */
#include "recording.h"

#include <stdlib.h>

/* far above any kernel's unit; a larger off= is not believed */
#define MAX_EXTENT	((uint64_t)1 << 26)

/* the largest area, with pages of 64 KiB; a larger one never succeeded */
#define MAX_AREA	((uint64_t)1 << 16)

/* unit of kernel_pages; the kernel's own pages may be larger */
#define KERNEL_PAGE	4096

/* pages that a value of the table of pages stands for, a bit each */
#define TABLE_PAGES	16

/* --- chunks */

/* begin the life of a chunk at an address */
static __cold int new_chunk(struct recording *recording, uint64_t base,
			    uint32_t *chunk)
{
	uint32_t *known = table_find(&recording->chunk_index, base);
	struct chunk_life *life;

	if (recording->chunks.used >= PCPU_NO_PLACE)
		return -PCPU_T_TOO_MANY;
	*chunk = (uint32_t)recording->chunks.used;
	life = vec_add(&recording->chunks, 1, sizeof(*life));
	if (!life)
		return -PCPU_T_HOST;
	*life = (struct chunk_life){ .base = base };
	if (known)
		*known = *chunk;
	else if (!table_put(&recording->chunk_index, base, *chunk))
		return -PCPU_T_HOST;
	return 0;
}

/* the chunk that lives at the line's address */
static int find_chunk(struct recording *recording,
		      const struct trace_line *line, uint32_t *chunk)
{
	*chunk = PCPU_NO_PLACE;
	if (!(line->has & TRACE_HAS_BASE))
		return 0;
	*chunk = table_get(&recording->chunk_index, line->base);
	return *chunk == TABLE_NONE ? new_chunk(recording, line->base, chunk) :
				      0;
}

/* count a page of a chunk, once */
static int count_page(struct recording *recording, uint32_t chunk,
		      uint64_t page)
{
	uint64_t key = (uint64_t)chunk << 32 | page / TABLE_PAGES;
	uint32_t bit = (uint32_t)1 << page % TABLE_PAGES;
	uint32_t *touched = table_find(&recording->pages, key);

	if (touched && *touched & bit)
		return 0;
	recording->stats.kernel_pages++;
	if (!touched)
		return table_put(&recording->pages, key, bit) ? 0 :
								-PCPU_T_HOST;
	*touched |= bit;
	return 0;
}

/* count what the recording kernel used: chunks, pages, extent */
static int count_place(struct recording *recording,
		       const struct trace_line *line, uint32_t chunk)
{
	struct chunk_life *lives = recording->chunks.data;
	uint64_t end = line->offset + line->size;
	uint64_t page = line->offset / KERNEL_PAGE;
	int err = 0;

	if (chunk == PCPU_NO_PLACE || !(line->has & TRACE_HAS_OFFSET) ||
	    line->offset > MAX_EXTENT || line->size > MAX_AREA ||
	    end > MAX_EXTENT)
		return 0;
	recording->stats.kernel_chunks += !lives[chunk].used;
	lives[chunk].used = true;
	if (end > recording->stats.kernel_extent)
		recording->stats.kernel_extent = end;
	for (; !err && page * KERNEL_PAGE < end; page++)
		err = count_page(recording, chunk, page);
	return err;
}

/* --- tasks and requests */

static __cold int add_task(struct recording *recording, uint64_t key,
			   uint32_t *task)
{
	struct pcpu_trace_task *new;

	if (recording->tasks.used >= PCPU_NO_TASK)
		return -PCPU_T_TOO_MANY;
	*task = (uint32_t)recording->tasks.used;
	new = vec_add(&recording->tasks, 1, sizeof(*new));
	if (!new || !table_put(&recording->task_index, key, *task))
		return -PCPU_T_HOST;
	*new = (struct pcpu_trace_task){ (uint32_t)key, (uint32_t)(key >> 32) };
	return 0;
}

static int find_task(struct recording *recording, const struct trace_head *head,
		     uint32_t *task)
{
	uint64_t key;
	uint32_t name;
	int err;

	*task = recording->last_task;
	if (head->prefix && head->prefix == recording->last_prefix)
		return 0;
	*task = PCPU_NO_TASK;
	if (head->task.at == head->task.end)
		return 0;
	err = strings_add(&recording->names, head->task, &name);
	if (err)
		return err;
	key = head->pid << 32 | name;
	*task = table_get(&recording->task_index, key);
	if (*task == TABLE_NONE)
		err = add_task(recording, key, task);
	recording->last_task = *task;
	recording->last_prefix = head->prefix;
	return err;
}

static uint64_t hash_request(const struct request *request)
{
	uint64_t hash = table_hash((uint64_t)request->kind.size ^
				   (uint64_t)request->kind.align << 40);

	hash = table_hash(hash ^ ((uint64_t)request->site << 32 |
				  request->gfp));
	return table_hash(hash ^ (uint64_t)request->bytes_alloc ^
			  (uint64_t)request->kind.flags << 60);
}

static bool same_request(const struct request *a, const struct request *b)
{
	return a->kind.size == b->kind.size && a->kind.align == b->kind.align &&
	       a->kind.flags == b->kind.flags && a->site == b->site &&
	       a->gfp == b->gfp && a->bytes_alloc == b->bytes_alloc;
}

/* requests with the same hash have adjacent keys */
static int find_request(struct recording *recording,
			const struct trace_line *line, uint32_t *index)
{
	struct request request = {
		.kind = {
			.size = (int64_t)line->size,
			.align = (int64_t)line->align,
			.flags = (line->atomic ? PCPU_ATOMIC : 0u) |
				 (line->reserved ? PCPU_RESERVED : 0u),
		},
		.bytes_alloc = (int64_t)line->bytes_alloc,
	}, *new;
	uint64_t key;
	int err;

	err = strings_add(&recording->sites, line->site, &request.site);
	if (!err)
		err = strings_add(&recording->gfps, line->gfp, &request.gfp);
	if (err)
		return err;
	for (key = hash_request(&request);; key++) {
		*index = table_get(&recording->request_index, key);
		if (*index == TABLE_NONE)
			break;
		new = (struct request *)recording->requests.data + *index;
		if (same_request(new, &request))
			return 0;
	}
	if (recording->requests.used >= PCPU_OP_FIRST)
		return -PCPU_T_TOO_MANY;
	*index = (uint32_t)recording->requests.used;
	new = vec_add(&recording->requests, 1, sizeof(*new));
	if (!new || !table_put(&recording->request_index, key, *index))
		return -PCPU_T_HOST;
	*new = request;
	return 0;
}

/* --- rows */

/* a column with more room, or as it was: then @ok is set to false */
static __cold void *grow_column(void *column, size_t bytes, bool *ok)
{
	void *data = realloc(column, bytes);

	*ok = *ok && data;
	return data ? data : column;
}

static __cold bool grow_columns(struct rows *rows)
{
	size_t n = rows->room ? 2 * rows->room : 64;
	bool ok = true;

	rows->ops = grow_column(rows->ops, n * sizeof(*rows->ops), &ok);
	rows->times = grow_column(rows->times, n * sizeof(*rows->times), &ok);
	rows->chunks = grow_column(rows->chunks, n * sizeof(*rows->chunks),
				   &ok);
	rows->offsets = grow_column(rows->offsets, n * sizeof(*rows->offsets),
				    &ok);
	rows->tasks = grow_column(rows->tasks, n * sizeof(*rows->tasks), &ok);
	rows->cpus = grow_column(rows->cpus, n * sizeof(*rows->cpus), &ok);
	if (ok)
		rows->room = n;
	return ok;
}

static int add_op(struct recording *recording, const struct trace_line *line,
		  uint32_t chunk, uint32_t handle, uint32_t kind)
{
	struct rows *rows = &recording->rows;
	uint64_t time = line->head.time;
	size_t i = rows->used;
	uint32_t task;
	int err = find_task(recording, &line->head, &task);

	if (!err)
		err = stacks_add_row(&recording->stacks, (struct stack_row){
			.number = recording->nr_ops,
			.cpu = line->head.cpu,
		});
	if (err)
		return err;
	if (rows->used == rows->room && !grow_columns(rows))
		return -PCPU_T_HOST;
	rows->ops[i] = (struct pcpu_op){ line->ptr, handle, kind };
	rows->times[i] = time;
	rows->chunks[i] = chunk;
	rows->offsets[i] = PCPU_NO_PLACE;
	if (line->has & TRACE_HAS_OFFSET && line->offset <= MAX_EXTENT)
		rows->offsets[i] = (uint32_t)line->offset;
	rows->tasks[i] = task;
	rows->cpus[i] = (uint16_t)line->head.cpu;
	rows->used++;
	recording->nr_ops++;
	if (time != PCPU_NO_TIME) {
		recording->stats.backwards += time < recording->last_time;
		recording->last_time = time;
	}
	return 0;
}

static __cold int add_event(struct recording *recording,
			    const struct trace_line *line,
			    enum pcpu_trace_event_kind kind, uint64_t value)
{
	struct pcpu_trace_event *event;
	uint32_t task;
	int err = find_task(recording, &line->head, &task);

	if (!err)
		err = stacks_add_row(&recording->stacks, (struct stack_row){
			.number = recording->nr_events,
			.cpu = line->head.cpu,
			.is_event = true,
		});
	if (err)
		return err;
	event = vec_add(&recording->events, 1, sizeof(*event));
	if (!event)
		return -PCPU_T_HOST;
	*event = (struct pcpu_trace_event){
		.before = recording->nr_ops,
		.time = line->head.time,
		.value = value,
		.task = task,
		.cpu = (uint16_t)line->head.cpu,
		.kind = (uint16_t)kind,
	};
	recording->nr_events++;
	return 0;
}

/* --- lines */

/* give a pointer a handle while it is live */
static int new_handle(struct recording *recording, uint64_t ptr,
		      uint32_t *handle)
{
	const uint32_t *handles = recording->free_handles.data;

	if (recording->free_handles.used)
		*handle = handles[--recording->free_handles.used];
	else if (recording->stats.handles < PCPU_OP_ORPHAN)
		*handle = (uint32_t)recording->stats.handles++;
	else
		return -PCPU_T_TOO_MANY;
	return table_put(&recording->live, ptr, *handle) ? 0 : -PCPU_T_HOST;
}

static int on_alloc(struct recording *recording, const struct trace_line *line)
{
	uint32_t handle = table_get(&recording->live, line->ptr);
	uint32_t kind, chunk;
	int err;

	err = find_request(recording, line, &kind);
	if (!err)
		err = find_chunk(recording, line, &chunk);
	if (!err)
		err = count_place(recording, line, chunk);
	if (err)
		return err;
	if (handle == TABLE_NONE)
		err = new_handle(recording, line->ptr, &handle);
	else
		recording->stats.reallocs++;
	if (!err)
		err = add_op(recording, line, chunk, handle, kind);
	recording->stats.allocs += !err;
	if (line->has & TRACE_HAS_ATOMIC)
		recording->stats.flags_printed = 1;
	return err;
}

static int on_free(struct recording *recording, const struct trace_line *line)
{
	uint32_t handle = table_get(&recording->live, line->ptr);
	uint32_t *freed;
	uint32_t chunk;
	int err;

	err = find_chunk(recording, line, &chunk);
	if (err)
		return err;
	if (handle == TABLE_NONE) {
		recording->stats.orphan_frees++;
		handle = PCPU_OP_ORPHAN;
	} else {
		freed = vec_add(&recording->free_handles, 1, sizeof(*freed));
		if (!freed)
			return -PCPU_T_HOST;
		*freed = handle;
		table_del(&recording->live, line->ptr);
	}
	err = add_op(recording, line, chunk, handle, PCPU_OP_FREE);
	recording->stats.frees += !err;
	return err;
}

static __cold int on_fail(struct recording *recording,
			  const struct trace_line *line)
{
	uint32_t kind;
	int err = find_request(recording, line, &kind);

	if (err)
		return err;
	recording->stats.kernel_failures++;
	return add_event(recording, line, PCPU_TRACE_FAILED, kind);
}

static __cold int on_create(struct recording *recording,
			    const struct trace_line *line)
{
	uint32_t chunk;
	int err = new_chunk(recording, line->base, &chunk);

	if (err)
		return err;
	recording->stats.kernel_created++;
	return add_event(recording, line, PCPU_TRACE_CREATED, chunk);
}

static __cold int on_destroy(struct recording *recording,
			     const struct trace_line *line)
{
	uint32_t chunk;
	int err = find_chunk(recording, line, &chunk);

	if (err)
		return err;
	table_del(&recording->chunk_index, line->base);
	recording->stats.kernel_destroyed++;
	return add_event(recording, line, PCPU_TRACE_DESTROYED, chunk);
}

static int on_event(struct recording *recording, const struct trace_line *line)
{
	struct pcpu_trace_stats *stats = &recording->stats;
	uint64_t cpu = line->head.cpu;

	stats->events++;
	if (!recording->cpus_known && cpu != PCPU_NO_CPU && cpu >= stats->cpus)
		stats->cpus = cpu + 1;
	switch (line->type) {
	case TRACE_ALLOC:
		return on_alloc(recording, line);
	case TRACE_FREE:
		return on_free(recording, line);
	case TRACE_FAIL:
		return on_fail(recording, line);
	case TRACE_CREATE:
		return on_create(recording, line);
	default:
		return on_destroy(recording, line);
	}
}

/* at least one if the recorder does not know how many */
static __cold int on_lost(struct recording *recording,
			  const struct trace_line *line)
{
	struct pcpu_trace_stats *stats = &recording->stats;
	uint64_t lost = line->lost ? line->lost : 1;
	int err = add_event(recording, line, PCPU_TRACE_LOST, line->lost);

	stats->lost += lost < UINT64_MAX - stats->lost ?
		       lost : UINT64_MAX - stats->lost;
	stacks_add_gap(&recording->stacks);
	return err;
}

/**
 * recording_add - add what a line says
 * @line: the line
 *
 * Return: 0, or a negative enum pcpu_trace_error.
 */
int recording_add(struct recording *recording, const struct trace_line *line)
{
	int err;

	if (line->type == TRACE_TEXT)	/* perf: a source line of a frame */
		return 0;
	if (line->type == TRACE_FRAME)
		return stacks_add_frame(&recording->stacks, line->site);
	err = stacks_end(&recording->stacks);
	if (err)
		return err;
	if (line->cpus) {
		recording->cpus_known = true;
		recording->stats.cpus = line->cpus;
	}
	switch (line->type) {
	case TRACE_BLANK:
	case TRACE_OTHER:
		return stacks_add_other(&recording->stacks, line->head.cpu);
	case TRACE_STACK:
		return stacks_begin(&recording->stacks, line->head.cpu);
	case TRACE_LOST:
		return on_lost(recording, line);
	case TRACE_WORK_START:
		return add_event(recording, line, PCPU_TRACE_WORK_STARTED, 0);
	case TRACE_WORK_END:
		return add_event(recording, line, PCPU_TRACE_WORK_ENDED, 0);
	default:
		return on_event(recording, line);
	}
}

/**
 * recording_take - discard the rows
 */
__cold void recording_take(struct recording *recording)
{
	recording->rows.used = 0;
	recording->events.used = 0;
	recording->stacks.of.used = 0;
}

/**
 * recording_free - free all memory
 */
__cold void recording_free(struct recording *recording)
{
	free(recording->rows.ops);
	free(recording->rows.times);
	free(recording->rows.chunks);
	free(recording->rows.offsets);
	free(recording->rows.tasks);
	free(recording->rows.cpus);
	free(recording->events.data);
	free(recording->requests.data);
	free(recording->tasks.data);
	free(recording->chunks.data);
	strings_free(&recording->sites);
	strings_free(&recording->gfps);
	strings_free(&recording->names);
	stacks_free(&recording->stacks);
	free(recording->free_handles.data);
	free(recording->live.cells);
	free(recording->request_index.cells);
	free(recording->task_index.cells);
	free(recording->chunk_index.cells);
	free(recording->pages.cells);
}
