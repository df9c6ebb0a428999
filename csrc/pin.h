/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pin.h - areas that somebody looks at.
 */
#ifndef PCPU_PIN_H
#define PCPU_PIN_H

#include "chunk.h"

/**
 * pcpu_pin_insert - note a pin
 * @pcpu: the allocator, locked
 * @pin: its ptr is set
 */
void pcpu_pin_insert(struct pcpu *pcpu, struct pcpu_pin *pin);

/**
 * pcpu_pin_remove - forget a pin
 * @pcpu: the allocator, locked
 * @pin: was noted
 */
void pcpu_pin_remove(struct pcpu *pcpu, struct pcpu_pin *pin);

/**
 * pcpu_is_pinned - whether an area has a pin
 * @pcpu: the allocator, locked
 * @ptr: the area's pointer
 */
bool pcpu_is_pinned(const struct pcpu *pcpu, int64_t ptr);

#endif /* PCPU_PIN_H */
