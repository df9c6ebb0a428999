// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmalloc.c - one allocator's kernel address space, and vmalloc itself.
 *
 * The space is one reservation without access rights.  Mapping a page gives it
 * rights, unmapping takes them and the contents away; so touching a page that
 * is not mapped faults, as in the kernel.
 *
 * The host allows some 65,530 mappings a process (vm.max_map_count), and the
 * pages of an area are mapped one by one, in any order.  Neighbours become one
 * mapping again only if they share their anon_vma, the host kernel's record of
 * who may hold a copy of a page.  Pages touched far apart would each get their
 * own and never merge.  So one page is touched right after the reservation,
 * while all of it is a single mapping: everything cut off later inherits that
 * one record, and a fully mapped area costs two mappings, itself and its guard.
 */
#define _GNU_SOURCE 1	/* MAP_NORESERVE, madvise */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "kernel.h"

/* half of vm.max_map_count: more areas than this cannot be mapped anyway */
#define MAX_AREAS	32768u

/* leave address space to others, but have room for a few areas of any size */
#define MAX_RESERVED	((uint64_t)1 << (SIZE_MAX > UINT32_MAX ? 40 : 28))
#define MIN_AREAS	4u

/* without memory nothing but arithmetic is in the way */
#define UNMAPPED_END	((uint64_t)1 << 62)

static uint64_t page_align(uint64_t n, uint64_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* one page gets an anon_vma and the rest inherits it, see above */
static bool prime(char *page, size_t size)
{
	if (mprotect(page, size, PROT_READ | PROT_WRITE))
		return false;
	*(volatile char *)page = 0;
	return !mprotect(page, size, PROT_NONE) &&
	       !madvise(page, size, MADV_DONTNEED);
}

/* reserve real addresses for as many areas as the host lets us have */
static bool reserve(struct fake_vmalloc *vmalloc, uint64_t area_size)
{
	uint64_t page = vmalloc->page_size;
	uint64_t areas = MAX_RESERVED / area_size;

	if (areas > MAX_AREAS)
		areas = MAX_AREAS;
	if (areas < MIN_AREAS)
		areas = MIN_AREAS;
	for (; areas; areas /= 2) {
		uint64_t end = vmalloc->start + areas * area_size;
		/* mmap knows the host's pages only, ours may be larger */
		uint64_t size = end + page;
		void *mem = MAP_FAILED;

		if (size <= SIZE_MAX)	/* not all, where it has 32 bits */
			mem = mmap(NULL, size, PROT_NONE, MAP_PRIVATE |
				   MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (mem == MAP_FAILED)
			continue;
		vmalloc->reserved = mem;
		vmalloc->reserved_size = size;
		vmalloc->host = (char *)(uintptr_t)page_align((uintptr_t)mem, page);
		vmalloc->end = end;
		if (prime(vmalloc->host, page))
			return true;
		munmap(mem, size);
		break;
	}
	vmalloc->reserved = NULL;
	vmalloc->host = NULL;
	return false;
}

bool fake_vmalloc_init(struct fake_vmalloc *vmalloc, uint64_t page_size,
		       uint64_t first_block, uint64_t area_size, bool mapped)
{
	memset(vmalloc, 0, sizeof(*vmalloc));
	list_init(&vmalloc->areas);
	vmalloc->hint = &vmalloc->areas;
	vmalloc->page_size = page_size;
	vmalloc->start = page_size + first_block;
	vmalloc->end = UNMAPPED_END;
	return !mapped || reserve(vmalloc, area_size + page_size);
}

void fake_vmalloc_exit(struct fake_vmalloc *vmalloc)
{
	if (vmalloc->reserved)
		munmap(vmalloc->reserved, vmalloc->reserved_size);
	vmalloc->reserved = NULL;
	vmalloc->host = NULL;
}

static uint64_t area_end(struct list_head *link)
{
	struct fake_vm_area *area =
		list_entry(link, struct fake_vm_area, list);

	return area->addr + area->size;
}

void fake_vm_area_register_early(struct fake_vmalloc *vmalloc,
				 struct fake_vm_area *area, uint64_t size)
{
	area->addr = vmalloc->start;
	area->size = size;
	list_add(&area->list, &vmalloc->areas);
}

/*
 * Find the first hole of @size bytes: the link behind which it starts.  The
 * hint spares the walk over the areas that a search of the same or a smaller
 * size has passed already.
 */
static struct list_head *find_hole(struct fake_vmalloc *vmalloc, uint64_t size,
				   uint64_t *addr)
{
	struct list_head *pos = &vmalloc->areas;

	if (size >= vmalloc->hint_size)
		pos = vmalloc->hint;
	for (;;) {
		bool last = pos->next == &vmalloc->areas;
		uint64_t next = last ? vmalloc->end :
			list_entry(pos->next, struct fake_vm_area, list)->addr;

		*addr = pos == &vmalloc->areas ? vmalloc->start : area_end(pos);
		if (next - *addr >= size) {
			vmalloc->hint = pos;
			vmalloc->hint_size = size;
			return pos;
		}
		if (last)
			return NULL;
		pos = pos->next;
	}
}

struct fake_vm_area *fake_get_vm_area(struct fake_kernel *kernel, uint64_t size)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;
	struct fake_vm_area *area;
	struct list_head *pos;
	uint64_t addr;

	if (fake_should_fail(&kernel->faults, PCPU_GET_VM_AREA))
		return NULL;
	size += vmalloc->page_size;	/* the guard page */
	pos = find_hole(vmalloc, size, &addr);
	if (!pos)
		return NULL;
	area = malloc(sizeof(*area));
	if (!area)
		return NULL;
	area->addr = addr;
	area->size = size;
	list_add(&area->list, pos);
	return area;
}

void fake_free_vm_area(struct fake_kernel *kernel, struct fake_vm_area *area)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;
	struct list_head *prev = area->list.prev;

	fake_count(&kernel->faults, PCPU_FREE_VM_AREA);
	/* the hole that opens may be the lowest */
	if (vmalloc->hint != &vmalloc->areas &&
	    area->addr < area_end(vmalloc->hint))
		vmalloc->hint = prev;
	list_del(&area->list);
	free(area);
}

bool fake_map_boot(struct fake_vmalloc *vmalloc, uint64_t addr, uint64_t size)
{
	if (!vmalloc->host)
		return true;
	return !mprotect(fake_host(vmalloc, addr), size,
			 PROT_READ | PROT_WRITE);
}

bool fake_map_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			   uint64_t size)
{
	if (fake_should_fail(&kernel->faults, PCPU_MAP))
		return false;
	return fake_map_boot(&kernel->vmalloc, addr, size);
}

void fake_unmap_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			     uint64_t size)
{
	bool failed;
	char *host;

	fake_count(&kernel->faults, PCPU_UNMAP);
	if (!kernel->vmalloc.host)
		return;
	host = fake_host(&kernel->vmalloc, addr);
	/* contents first: that never needs a new mapping */
	failed = madvise(host, size, MADV_DONTNEED);
	failed |= mprotect(host, size, PROT_NONE);
	fake_warn_on(kernel, failed,
		     "the host left pages accessible: too many mappings");
}

void *fake_vmalloc(struct fake_kernel *kernel, size_t size)
{
	if (fake_should_fail(&kernel->faults, PCPU_VMALLOC))
		return NULL;
	return malloc(size);
}

void fake_vfree(struct fake_kernel *kernel, void *ptr)
{
	fake_count(&kernel->faults, PCPU_VFREE);
	free(ptr);
}
