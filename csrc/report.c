// SPDX-License-Identifier: GPL-2.0-only
/*
 * report.c - what an allocator tells its creator: events, and leaks.
 *
 * The events are those that the kernel has as tracepoints, percpu:percpu_*,
 * since 2017 (commit df95e795a722, Dennis Zhou).
 */
#include "report.h"

#include <inttypes.h>
#include <stdio.h>

#include "recorder.h"

static void report(struct pcpu *pcpu, const struct pcpu_event *event)
{
	const struct host *host = &pcpu->kernel.host;

	if (host->hooks.event)
		host->hooks.event(host->arg, event);
	if (pcpu->recorder)
		pcpu_recorder_keep(pcpu, event);
}

noinline void pcpu_report(struct pcpu *pcpu, int kind,
			  const struct pcpu_chunk *chunk, int offset,
			  int64_t size, int64_t align)
{
	struct pcpu_event event = {
		.kind = kind,
		.ptr = (int64_t)chunk->addr + offset,
		.chunk = chunk->id,
		.offset = offset,
		.size = size,
		.align = align,
	};

	report(pcpu, &event);
}

noinline int pcpu_tell_failure(struct pcpu *pcpu, int64_t size, int64_t align,
			       int error)
{
	struct pcpu_event event = {
		.kind = PCPU_EVENT_ALLOC_FAIL,
		.error = error,
		.size = size,
		.align = align,
	};

	if (pcpu->is_heard)
		report(pcpu, &event);
	return error;
}

/* one chunk's; the static area, entry 0 of the first chunk, is nobody's leak */
static void tell_leaks_of(struct pcpu *pcpu, const struct pcpu_chunk *chunk,
			  struct pcpu_leaks *leaks)
{
	const struct pcpu_area_map *map = &chunk->map;
	int i;

	for (i = chunk == pcpu->first_chunk; i < map->used; i++) {
		int size = pcpu_map_size(map, i);

		if (pcpu_edge_is_free(map->edge[i]))
			continue;
		leaks->areas++;
		leaks->bytes += size;
		pcpu_tell(pcpu, PCPU_EVENT_LEAK, chunk,
			  pcpu_edge_offset(map->edge[i]), size, 0);
	}
}

struct pcpu_leaks pcpu_tell_leaks(struct pcpu *pcpu)
{
	struct pcpu_leaks leaks = { 0, 0 };
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node))
		tell_leaks_of(pcpu, pcpu_rb_chunk(node), &leaks);
	return leaks;
}

void pcpu_log_leaks(struct pcpu *pcpu, const struct pcpu_leaks *leaks)
{
	char text[128];

	if (!leaks->areas)
		return;
	snprintf(text, sizeof(text), "closed with %" PRId64 " areas of %" PRId64
		 " bytes still allocated", leaks->areas, leaks->bytes);
	fake_log_text(&pcpu->kernel.log, PCPU_LOG_LEAK, text);
}
