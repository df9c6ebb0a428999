/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * report.h - what an allocator tells its creator: events, and leaks.
 */
#ifndef PCPU_REPORT_H
#define PCPU_REPORT_H

#include "chunk.h"

/**
 * pcpu_report - tell of an event; somebody listens
 * @pcpu: the allocator, locked
 * @kind: enum pcpu_event_kind
 * @chunk: where it happened
 * @offset: bytes from the start of a unit
 * @size: bytes
 * @align: bytes
 */
void pcpu_report(struct pcpu *pcpu, int kind, const struct pcpu_chunk *chunk,
		 int offset, int64_t size, int64_t align);

/**
 * pcpu_tell_failure - tell of an allocation that failed, if somebody listens
 * @pcpu: the allocator, locked
 * @size: bytes
 * @align: bytes
 * @error: why
 *
 * Return: @error.
 */
int pcpu_tell_failure(struct pcpu *pcpu, int64_t size, int64_t align,
		      int error);

/* tell of an event, if somebody listens */
static inline void pcpu_tell(struct pcpu *pcpu, int kind,
			     const struct pcpu_chunk *chunk, int offset,
			     int64_t size, int64_t align)
{
	if (unlikely(pcpu->is_heard))
		pcpu_report(pcpu, kind, chunk, offset, size, align);
}

/* areas that live on when an allocator is closed */
struct pcpu_leaks {
	int64_t areas;		/* how many */
	int64_t bytes;		/* of one copy, as the maps have them */
};

/**
 * pcpu_tell_leaks - look for areas that live on
 * @pcpu: the allocator, locked, about to be closed; perhaps half built
 *
 * Return: how many there are; each was told as an event.
 */
struct pcpu_leaks pcpu_tell_leaks(struct pcpu *pcpu);

/**
 * pcpu_log_leaks - tell their sum to the log, if the creator gave one
 * @pcpu: the allocator, not locked
 * @leaks: from pcpu_tell_leaks()
 */
void pcpu_log_leaks(struct pcpu *pcpu, const struct pcpu_leaks *leaks);

#endif /* PCPU_REPORT_H */
