/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * allocator.h - what the outermost functions share: the lock, and allocation
 * and free under it.
 */
#ifndef PCPU_ALLOCATOR_H
#define PCPU_ALLOCATOR_H

#include "chunk.h"

/**
 * pcpu_lock - enter the allocator
 * @pcpu: the allocator
 *
 * Return: 0 with the lock held; or without it -PCPU_E_NULL, -PCPU_E_BUSY or
 * -PCPU_E_CLOSED.
 */
int pcpu_lock(struct pcpu *pcpu);

/**
 * pcpu_unlock - leave the allocator, and deliver a warning that fired
 * @pcpu: the allocator, locked
 */
void pcpu_unlock(struct pcpu *pcpu);

/**
 * pcpu_check_request - whether a size and an alignment can be served
 * @pcpu: the allocator, locked
 * @size: bytes
 * @align: bytes
 *
 * Warns where the 2009 file does.
 * Return: 0, -PCPU_E_SIZE or -PCPU_E_ALIGN.
 */
int pcpu_check_request(struct pcpu *pcpu, int64_t size, int64_t align);

/**
 * pcpu_alloc_locked - allocate
 * @pcpu: the allocator, locked
 * @size: bytes
 * @align: bytes
 *
 * Return: as pcpu_alloc().  Source: __alloc_percpu().
 */
int64_t pcpu_alloc_locked(struct pcpu *pcpu, int64_t size, int64_t align);

/* an area that was looked up by its pointer */
struct pcpu_found {
	struct pcpu_chunk *chunk; /* where it lies */
	int offset;		/* bytes from the start of a unit */
	int index;		/* its map entry */
	int size;		/* bytes, as the map has it */
	int tree_steps;		/* chunks that its address was compared with */
	bool is_static;		/* the static area, perhaps without a map */
};

/**
 * pcpu_find_locked - look a pointer up
 * @pcpu: the allocator, locked
 * @ptr: the pointer
 * @found: the answer
 *
 * Return: 0, or the errors of pcpu_locate().
 */
int pcpu_find_locked(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found);

/**
 * pcpu_find_freeable - look an area up that is to be freed
 * @pcpu: the allocator, locked
 * @ptr: the pointer
 * @found: as in pcpu_find_locked()
 *
 * Return: 0, or the errors of pcpu_free().
 */
int pcpu_find_freeable(struct pcpu *pcpu, int64_t ptr,
		       struct pcpu_found *found);

/**
 * pcpu_free_locked - free
 * @pcpu: the allocator, locked
 * @ptr: the pointer, or 0
 *
 * Return: as pcpu_free().  Source: free_percpu().
 */
int pcpu_free_locked(struct pcpu *pcpu, int64_t ptr);

#endif /* PCPU_ALLOCATOR_H */
