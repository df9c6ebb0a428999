// SPDX-License-Identifier: GPL-2.0-only
/*
 * slab.c - kmalloc and kfree, over the host's memory.
 */
#include "slab.h"

#include "kernel.h"

/* what kmalloc(0) gives; the kernel's ZERO_SIZE_PTR plays the same part */
static char zero_size;

void *fake_kmalloc(struct fake_kernel *kernel, size_t size)
{
	if (!size)
		return &zero_size;
	if (fake_should_fail(&kernel->faults, PCPU_KMALLOC))
		return NULL;
	return host_alloc(&kernel->host, size);
}

void *fake_kzalloc(struct fake_kernel *kernel, size_t size)
{
	if (fake_should_fail(&kernel->faults, PCPU_KMALLOC))
		return NULL;
	return host_zalloc(&kernel->host, size);
}

void fake_kfree(struct fake_kernel *kernel, void *ptr)
{
	if (!ptr || ptr == &zero_size)
		return;
	fake_count(&kernel->faults, PCPU_KFREE);
	host_free(&kernel->host, ptr);
}
