/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * create.h - an allocator's end, when it comes late.
 */
#ifndef PCPU_CREATE_H
#define PCPU_CREATE_H

#include "chunk.h"

/**
 * pcpu_destroy_now - what pcpu_destroy() left to the last pin
 * @pcpu: the allocator; nobody may use it afterwards
 */
void pcpu_destroy_now(struct pcpu *pcpu);

#endif /* PCPU_CREATE_H */
