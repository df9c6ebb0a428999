/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vmalloc.h - one allocator's kernel address space, and vmalloc itself.
 *
 * An address is a number that starts at the base of the space, so it is the
 * same in every run; fake_host() adds where the space really lies.
 *
 *	base          first_block           areas, lowest first
 *	|--------------------------|---------|-|---------|-|-------
 *	  block that a boot-time     area     ^  area     ^
 *	  caller mapped, if any               guard page  guard page
 */
#ifndef FAKE_VMALLOC_H
#define FAKE_VMALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fault.h"
#include "list.h"

struct fake_kernel;

/* a stretch of the address space that is taken */
struct fake_vm_area {
	struct list_head list;	/* in fake_vmalloc.areas, by address */
	uint64_t addr;		/* where it starts */
	uint64_t size;		/* bytes, guard page included */
};

struct fake_vmalloc {
	struct list_head areas;	/* all areas, lowest address first */
	struct list_head *hint;	/* no hole of hint_size starts before it */
	uint64_t hint_size;	/* what the last search looked for */
	uint64_t page_size;	/* bytes */
	uint64_t base;		/* lowest address of all */
	uint64_t start;		/* lowest address of an area */
	uint64_t end;		/* behind the highest one */
	char *host;		/* real address of the base; NULL: no memory */
	size_t reserved;	/* bytes from there */
};

/* what a space is to be like */
struct fake_space {
	uint64_t page_size;	/* bytes, a power of two */
	uint64_t base;		/* lowest address, above 0, whole pages */
	uint64_t first_block;	/* bytes there for a boot-time caller's block */
	uint64_t area_size;	/* bytes of the areas to come, without guard page */
	uint64_t limit;		/* bytes of real addresses at most, enough for a
				   first chunk; 0: no limit */
	bool mapped;		/* reserve real addresses */
};

/**
 * fake_vmalloc_init - reserve an address space
 * @kernel: the kernel, its host ready
 * @space: what it is to be like
 *
 * Return: false when the host refuses the reservation.
 */
bool fake_vmalloc_init(struct fake_kernel *kernel,
		       const struct fake_space *space);

/**
 * fake_vmalloc_exit - give the whole space back, with all areas
 * @kernel: the kernel
 */
void fake_vmalloc_exit(struct fake_kernel *kernel);

/**
 * fake_vm_area_register_early - take the lowest addresses, before all others
 * @vmalloc: the address space
 * @area: belongs to the caller
 * @size: bytes; no guard page is added
 */
void fake_vm_area_register_early(struct fake_vmalloc *vmalloc,
				 struct fake_vm_area *area, uint64_t size);

/**
 * fake_get_vm_area - take the lowest hole that fits
 * @kernel: the kernel
 * @size: bytes; a guard page is added
 *
 * Return: the area, with nothing mapped in it, or NULL.
 */
struct fake_vm_area *fake_get_vm_area(struct fake_kernel *kernel,
				      uint64_t size);

/**
 * fake_free_vm_area - give an area back
 * @kernel: the kernel
 * @area: what fake_get_vm_area() gave
 */
void fake_free_vm_area(struct fake_kernel *kernel, struct fake_vm_area *area);

/**
 * fake_map_kernel_range - make pages readable and writable
 * @kernel: the kernel
 * @addr: page-aligned address
 * @size: bytes, whole pages
 * @cpu: whose unit they are in
 *
 * Return: false when page tables cannot be had.
 */
bool fake_map_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			   uint64_t size, int cpu);

/**
 * fake_unmap_kernel_range - take pages away, and their contents
 * @kernel: the kernel
 * @addr: page-aligned address
 * @size: bytes, whole pages; some may not be mapped
 * @cpu: whose unit they are in
 */
void fake_unmap_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			     uint64_t size, int cpu);

/**
 * fake_map_boot - map pages at boot time: not counted, never made to fail
 * @kernel: the kernel
 * @addr: page-aligned address
 * @size: bytes, whole pages
 * @cpu: whose unit they are in
 *
 * Return: false when the host refuses.
 */
bool fake_map_boot(struct fake_kernel *kernel, uint64_t addr, uint64_t size,
		   int cpu);

/**
 * fake_vmalloc - allocate memory larger than a page
 * @kernel: the kernel
 * @size: bytes
 *
 * Comes from the host's memory and takes no addresses, so the pointers that
 * an allocator gives do not depend on the length of its maps.
 * Return: the memory, or NULL.
 */
void *fake_vmalloc(struct fake_kernel *kernel, size_t size);

/**
 * fake_vfree - free what vmalloc gave
 * @kernel: the kernel
 * @ptr: the memory
 */
void fake_vfree(struct fake_kernel *kernel, void *ptr);

/* the real address of an address; only with real memory */
static inline char *fake_host(const struct fake_vmalloc *vmalloc, uint64_t addr)
{
	return vmalloc->host + (addr - vmalloc->base);
}

#endif /* FAKE_VMALLOC_H */
