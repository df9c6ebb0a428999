// SPDX-License-Identifier: GPL-2.0-only
/*
 * slab.c - kmalloc and kfree, over the host's memory.
 */
#include "kernel.h"

/* what kmalloc(0) returns, as the kernel's ZERO_SIZE_PTR */
static char zero_size;

/**
 * fake_kmalloc - allocate memory
 * @size: bytes; 0 returns a token that is not NULL and takes no memory
 *
 * Return: the memory, or NULL.
 */
void *fake_kmalloc(struct fake_kernel *kernel, size_t size)
{
	if (!size)
		return &zero_size;
	if (fake_should_fail(&kernel->faults, PCPU_KMALLOC))
		return NULL;
	return host_alloc(&kernel->host, size);
}

/**
 * fake_kzalloc - allocate zeroed memory
 * @size: bytes, above 0
 *
 * Return: the memory, or NULL.
 */
void *fake_kzalloc(struct fake_kernel *kernel, size_t size)
{
	if (fake_should_fail(&kernel->faults, PCPU_KMALLOC))
		return NULL;
	return host_zalloc(&kernel->host, size);
}

/**
 * fake_kfree - free memory
 * @ptr: from kmalloc; NULL and the token of size 0 are ignored
 */
void fake_kfree(struct fake_kernel *kernel, void *ptr)
{
	if (!ptr || ptr == &zero_size)
		return;
	fake_count(&kernel->faults, PCPU_KFREE);
	host_free(&kernel->host, ptr);
}
