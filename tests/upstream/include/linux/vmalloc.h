/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/vmalloc.h - address space for chunks, mappings, and vmalloc. */
#ifndef WITNESS_LINUX_VMALLOC_H
#define WITNESS_LINUX_VMALLOC_H

#include <stddef.h>
#include <stdint.h>

#define VM_ALLOC	2	/* not used here */

struct page;

struct vm_struct {
	void *addr;		/* in the fake address space */
	unsigned long size;	/* bytes, including the guard page */
	unsigned long flags;	/* not used here */
	int64_t ordinal;	/* in order of creation; 0: the first chunk */
	struct vm_struct *next;	/* next higher area */
};

void *vmalloc(unsigned long size);
void vfree(const void *memory);

struct vm_struct *get_vm_area(unsigned long size, unsigned long flags);
void free_vm_area(struct vm_struct *area);
void vm_area_register_early(struct vm_struct *area, size_t align);

int map_kernel_range_noflush(unsigned long addr, unsigned long size,
			     int protection, struct page **pages);
void unmap_kernel_range_noflush(unsigned long addr, unsigned long size);

#endif
