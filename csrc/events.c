// SPDX-License-Identifier: GPL-2.0-only
/*
 * events.c - report events to the creator's hook and to the event buffer.
 *
 * They are the kernel's tracepoints percpu:percpu_*, which exist since 2017
 * (commit df95e795a722, Dennis Zhou), and leaks.
 */
#include "internal.h"

static void send_event(struct pcpu *pcpu, const struct pcpu_event *event)
{
	const struct host *host = &pcpu->kernel.host;

	if (host->hooks.event)
		host->hooks.event(host->arg, event);
	if (pcpu->event_buffer)
		pcpu_event_buffer_add(pcpu, event);
}

/**
 * pcpu_send_event - report an event; there is a listener
 * @kind: enum pcpu_event_kind
 * @chunk: where it happened
 * @offset: bytes from the start of a unit
 * @size: bytes
 * @align: bytes
 */
noinline void pcpu_send_event(struct pcpu *pcpu, int kind,
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

	send_event(pcpu, &event);
}

/* report a failed allocation, if there is a listener; return @error */
__cold noinline int pcpu_emit_failure(struct pcpu *pcpu, int64_t size,
				      int64_t align, int error)
{
	struct pcpu_event event = {
		.kind = PCPU_EVENT_ALLOC_FAIL,
		.error = error,
		.size = size,
		.align = align,
	};

	if (pcpu->has_listener)
		send_event(pcpu, &event);
	return error;
}
