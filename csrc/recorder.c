// SPDX-License-Identifier: GPL-2.0-only
/*
 * recorder.c - events that are kept until somebody takes them.
 *
 * Under the lock an event is only copied; what is made of it, a line of text
 * for example, comes later and without the lock.
 */
#define _GNU_SOURCE 1	/* syscall */
#include "recorder.h"

#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "allocator.h"
#include "clock.h"

#define FIRST_ROOM	1024	/* records; doubled when they are full */

struct pcpu_recorder {
	struct pcpu_record *records; /* the oldest first */
	size_t taken;		/* of them, already taken */
	size_t used;		/* of them, in all */
	size_t room;		/* for how many */
	uint64_t lost;		/* behind those, for want of memory */
};

static bool recorder_grow(struct pcpu *pcpu, struct pcpu_recorder *recorder)
{
	const struct host *host = &pcpu->kernel.host;
	size_t room = recorder->room ? 2 * recorder->room : FIRST_ROOM;
	size_t left = recorder->used - recorder->taken;
	struct pcpu_record *records;

	records = host_alloc(host, room * sizeof(*records));
	if (!records)
		return false;
	if (left)
		memcpy(records, recorder->records + recorder->taken,
		       left * sizeof(*records));
	host_free(host, recorder->records);
	recorder->records = records;
	recorder->room = room;
	recorder->used = left;
	recorder->taken = 0;
	return true;
}

void pcpu_recorder_keep(struct pcpu *pcpu, const struct pcpu_event *event)
{
	struct pcpu_recorder *recorder = pcpu->recorder;
	struct pcpu_record *record;

	/* one that is lost must not be followed by one that is not */
	if (recorder->lost ||
	    (recorder->used == recorder->room &&
	     !recorder_grow(pcpu, recorder))) {
		recorder->lost++;
		return;
	}
	record = &recorder->records[recorder->used++];
	record->event = *event;
	record->ns = pcpu_now_ns();
	record->cpu = pcpu_this_cpu();
	record->tid = (int32_t)syscall(SYS_gettid);
}

void pcpu_recorder_free(struct pcpu *pcpu)
{
	const struct host *host = &pcpu->kernel.host;
	struct pcpu_recorder *recorder = pcpu->recorder;

	if (recorder)
		host_free(host, recorder->records);
	host_free(host, recorder);
	pcpu->recorder = NULL;
	pcpu->is_heard = host->hooks.event;
}

int pcpu_record_start(struct pcpu *pcpu)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err;
	if (!pcpu->recorder)
		pcpu->recorder = host_zalloc(&pcpu->kernel.host,
					     sizeof(*pcpu->recorder));
	if (pcpu->recorder)
		pcpu->is_heard = true;
	else
		err = -PCPU_E_HOST;
	pcpu_unlock(pcpu);
	return err;
}

int pcpu_record_take(struct pcpu *pcpu, struct pcpu_record *records,
		     size_t room, size_t *n, uint64_t *lost)
{
	struct pcpu_recorder *recorder;
	int err = records && n && lost ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	*n = 0;
	*lost = 0;
	recorder = pcpu->recorder;
	if (recorder) {
		size_t left = recorder->used - recorder->taken;

		*n = left < room ? left : room;
		if (*n)
			memcpy(records, recorder->records + recorder->taken,
			       *n * sizeof(*records));
		recorder->taken += *n;
		if (recorder->taken == recorder->used) {
			recorder->taken = 0;
			recorder->used = 0;
			*lost = recorder->lost;
			recorder->lost = 0;
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
	pcpu_recorder_free(pcpu);
	pcpu_unlock(pcpu);
	return 0;
}
