/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * recorder.h - events that are kept until somebody takes them.
 */
#ifndef PCPU_RECORDER_H
#define PCPU_RECORDER_H

#include "chunk.h"

/**
 * pcpu_recorder_keep - keep an event
 * @pcpu: the allocator, locked, with a recorder
 * @event: the event
 */
void pcpu_recorder_keep(struct pcpu *pcpu, const struct pcpu_event *event);

/**
 * pcpu_recorder_free - forget all that was kept, and keep no more
 * @pcpu: the allocator, locked; perhaps without a recorder
 */
void pcpu_recorder_free(struct pcpu *pcpu);

#endif /* PCPU_RECORDER_H */
