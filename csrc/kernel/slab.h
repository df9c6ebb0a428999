/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * slab.h - kmalloc and kfree, over the host's memory.
 */
#ifndef FAKE_SLAB_H
#define FAKE_SLAB_H

#include <stddef.h>

struct fake_kernel;

/**
 * fake_kmalloc - allocate memory
 * @kernel: the kernel
 * @size: bytes; 0 gives a token that is not NULL and takes no memory
 *
 * Return: the memory, or NULL.
 */
void *fake_kmalloc(struct fake_kernel *kernel, size_t size);

/**
 * fake_kzalloc - allocate zeroed memory
 * @kernel: the kernel
 * @size: bytes, above 0
 *
 * Return: the memory, or NULL.
 */
void *fake_kzalloc(struct fake_kernel *kernel, size_t size);

/**
 * fake_kfree - free memory
 * @kernel: the kernel
 * @ptr: what kmalloc gave; NULL and the token of size 0 are ignored
 */
void fake_kfree(struct fake_kernel *kernel, void *ptr);

#endif /* FAKE_SLAB_H */
