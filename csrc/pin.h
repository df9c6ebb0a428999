/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pin.h - areas that somebody looks at.
 */
#ifndef PCPU_PIN_H
#define PCPU_PIN_H

#include "chunk.h"

/**
 * pcpu_pin_locked - pin an area once more
 * @pcpu: the allocator, locked
 * @ptr: the area's pointer
 *
 * Return: false when the host has no memory.
 */
bool pcpu_pin_locked(struct pcpu *pcpu, int64_t ptr);

/**
 * pcpu_unpin_locked - take one pin away
 * @pcpu: the allocator, locked
 * @ptr: the area's pointer
 *
 * Return: false when there is none.
 */
bool pcpu_unpin_locked(struct pcpu *pcpu, int64_t ptr);

/**
 * pcpu_is_pinned - whether an area has a pin
 * @pcpu: the allocator, locked
 * @ptr: the area's pointer
 */
bool pcpu_is_pinned(struct pcpu *pcpu, int64_t ptr);

/**
 * pcpu_pins_exit - forget all pins
 * @pcpu: the allocator
 */
void pcpu_pins_exit(struct pcpu *pcpu);

#endif /* PCPU_PIN_H */
