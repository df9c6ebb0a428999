// SPDX-License-Identifier: GPL-2.0-only
/*
 * event_buffer.c - keep events until the caller takes them.
 *
 * Under the lock an event is only copied.  The caller formats it later, without
 * the lock.
 */
#define _GNU_SOURCE 1	/* syscall */
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "kernel/clock.h"

#define FIRST_ROOM	1024	/* records; doubled when they are full */

struct pcpu_event_buffer {
	struct pcpu_record *records; /* the oldest first */
	size_t taken;		/* how many were taken */
	size_t used;		/* how many in all */
	size_t room;		/* how many fit */
	uint64_t lost;		/* events after those, for lack of memory */
};

static bool buffer_grow(struct pcpu *pcpu, struct pcpu_event_buffer *buffer)
{
	const struct host *host = &pcpu->kernel.host;
	size_t room = buffer->room ? 2 * buffer->room : FIRST_ROOM;
	size_t left = buffer->used - buffer->taken;
	struct pcpu_record *records;

	records = host_alloc(host, room * sizeof(*records));
	if (!records)
		return false;
	if (left)
		memcpy(records, buffer->records + buffer->taken,
		       left * sizeof(*records));
	host_free(host, buffer->records);
	buffer->records = records;
	buffer->room = room;
	buffer->used = left;
	buffer->taken = 0;
	return true;
}

/* keep an event; there is a buffer */
void pcpu_event_buffer_add(struct pcpu *pcpu, const struct pcpu_event *event)
{
	struct pcpu_event_buffer *buffer = pcpu->event_buffer;
	struct pcpu_record *record;

	/* after a lost event all others are lost, so that the order is kept */
	if (buffer->lost ||
	    (buffer->used == buffer->room &&
	     !buffer_grow(pcpu, buffer))) {
		buffer->lost++;
		return;
	}
	record = &buffer->records[buffer->used++];
	record->event = *event;
	record->ns = ktime_get_ns();
	record->cpu = pcpu_this_cpu();
	record->tid = (int32_t)syscall(SYS_gettid);
}

/* stop keeping events, and forget those that were kept */
void pcpu_event_buffer_free(struct pcpu *pcpu)
{
	const struct host *host = &pcpu->kernel.host;
	struct pcpu_event_buffer *buffer = pcpu->event_buffer;

	if (buffer)
		host_free(host, buffer->records);
	host_free(host, buffer);
	pcpu->event_buffer = NULL;
	pcpu->has_listener = host->hooks.event;
}

int pcpu_record_start(struct pcpu *pcpu)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	if (!pcpu->event_buffer)
		pcpu->event_buffer = host_zalloc(&pcpu->kernel.host,
					     sizeof(*pcpu->event_buffer));
	if (pcpu->event_buffer)
		pcpu->has_listener = true;
	else
		err = -PCPU_E_HOST;
	pcpu_unlock(pcpu);
	return err;
}

int pcpu_record_take(struct pcpu *pcpu, struct pcpu_record *records,
		     size_t room, size_t *n, uint64_t *lost)
{
	struct pcpu_event_buffer *buffer;
	int err = records && n && lost ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	*n = 0;
	*lost = 0;
	buffer = pcpu->event_buffer;
	if (buffer) {
		size_t left = buffer->used - buffer->taken;

		*n = left < room ? left : room;
		if (*n)
			memcpy(records, buffer->records + buffer->taken,
			       *n * sizeof(*records));
		buffer->taken += *n;
		if (buffer->taken == buffer->used) {
			buffer->taken = 0;
			buffer->used = 0;
			*lost = buffer->lost;
			buffer->lost = 0;
		}
	}
	pcpu_unlock(pcpu);
	return 0;
}

int pcpu_record_stop(struct pcpu *pcpu)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	pcpu_event_buffer_free(pcpu);
	pcpu_unlock(pcpu);
	return 0;
}
