// SPDX-License-Identifier: GPL-2.0-only
/*
 * vmalloc.c - one allocator's kernel address space, and vmalloc itself.
 */
#include "kernel.h"

/* half of vm.max_map_count: more areas than this cannot be mapped anyway */
#define MAX_AREAS	32768u

/* leave address space to others, but reserve a few areas of any size */
#define MAX_RESERVED	((uint64_t)1 << (SIZE_MAX > UINT32_MAX ? 40 : 28))
#define MIN_AREAS	4u

/* without memory addresses are limited by the arithmetic only */
#define UNMAPPED_END	((uint64_t)1 << 62)

/* how many areas to request of the host */
static uint64_t wanted_areas(uint64_t first_block, uint64_t area_size,
			     uint64_t limit)
{
	uint64_t areas = MAX_RESERVED / area_size;

	if (areas < MIN_AREAS)
		areas = MIN_AREAS;
	if (limit)
		areas = (limit - first_block) / area_size;
	return areas < MAX_AREAS ? areas : MAX_AREAS;
}

/* reserve real addresses for as many areas as the host allows */
static bool reserve(struct fake_kernel *kernel, const struct fake_space *space)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;
	uint64_t area_size = space->area_size + space->page_size;
	uint64_t areas = wanted_areas(space->first_block, area_size,
				      space->limit);
	/* the first chunk is in the first block, or is an area itself */
	uint64_t least = space->first_block ? 0 : 1;

	for (;; areas /= 2) {
		uint64_t size = space->first_block + areas * area_size;

		if (size <= SIZE_MAX)
			vmalloc->host = host_reserve(&kernel->host, (size_t)size,
						     (size_t)space->page_size);
		if (vmalloc->host) {
			vmalloc->reserved = (size_t)size;
			vmalloc->end = vmalloc->base + size;
			return true;
		}
		if (areas == least)
			return false;
	}
}

/**
 * fake_vmalloc_init - reserve an address space
 * @kernel: the kernel, its host ready
 * @space: its properties
 *
 * Return: 0, -PCPU_E_HOST or -PCPU_E_MAPPINGS.  Call fake_vmalloc_exit() in any
 * case.
 */
int fake_vmalloc_init(struct fake_kernel *kernel,
		      const struct fake_space *space)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;

	*vmalloc = (struct fake_vmalloc){
		.hint = &vmalloc->areas,
		.page_size = space->page_size,
		.base = space->base,
		.start = space->base + space->first_block,
		.end = UNMAPPED_END,
	};
	list_init(&vmalloc->areas);
	if (!space->mapped)
		return 0;
	if (!reserve(kernel, space) ||
	    !host_prime(&kernel->host, vmalloc->host, (size_t)space->page_size))
		return host_refusal(&kernel->host, -PCPU_E_HOST);
	vmalloc->has_guards = host_has_guards(&kernel->host, vmalloc->host,
					      (size_t)space->page_size);
	return 0;
}

/* release the whole space, with all areas */
void fake_vmalloc_exit(struct fake_kernel *kernel)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;

	if (vmalloc->host)
		host_release(&kernel->host, vmalloc->host, vmalloc->reserved);
	vmalloc->host = NULL;
}

static uint64_t area_end(struct list_head *link)
{
	struct fake_vm_area *area =
		list_entry(link, struct fake_vm_area, list);

	return area->addr + area->size;
}

/**
 * fake_vm_area_register_early - take the lowest addresses, before all others
 * @vmalloc: the address space
 * @area: the caller's memory
 * @size: bytes; no guard page is added
 */
void fake_vm_area_register_early(struct fake_vmalloc *vmalloc,
				 struct fake_vm_area *area, uint64_t size)
{
	area->addr = vmalloc->start;
	area->size = size;
	list_add(&area->list, &vmalloc->areas);
}

/*
 * Find the first gap of @size bytes: the link after which it starts.  The
 * hint skips the areas that a search of the same or a smaller size has passed
 * already.
 */
static struct list_head *find_gap(struct fake_vmalloc *vmalloc, uint64_t size,
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

/**
 * fake_get_vm_area - take the lowest gap that fits
 * @size: bytes; a guard page is added
 *
 * Return: the area, with nothing mapped in it, or NULL.
 */
struct fake_vm_area *fake_get_vm_area(struct fake_kernel *kernel, uint64_t size)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;
	struct fake_vm_area *area;
	struct list_head *pos;
	uint64_t addr;

	if (fake_should_fail(&kernel->faults, PCPU_GET_VM_AREA))
		return NULL;
	size += vmalloc->page_size;	/* the guard page */
	pos = find_gap(vmalloc, size, &addr);
	if (!pos)
		return NULL;
	area = host_alloc(&kernel->host, sizeof(*area));
	if (!area)
		return NULL;
	area->addr = addr;
	area->size = size;
	list_add(&area->list, pos);
	return area;
}

/* free an area from fake_get_vm_area() */
void fake_free_vm_area(struct fake_kernel *kernel, struct fake_vm_area *area)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;
	struct list_head *prev = area->list.prev;

	fake_count(&kernel->faults, PCPU_FREE_VM_AREA);
	/* the new gap may be the lowest */
	if (vmalloc->hint != &vmalloc->areas &&
	    area->addr < area_end(vmalloc->hint))
		vmalloc->hint = prev;
	list_del(&area->list);
	host_free(&kernel->host, area);
}

/**
 * fake_vmalloc - allocate memory larger than a page
 * @size: bytes
 *
 * Comes from the host's memory and takes no addresses, so the pointers that
 * an allocator returns do not depend on the length of its maps.
 * Return: the memory, or NULL.
 */
void *fake_vmalloc(struct fake_kernel *kernel, size_t size)
{
	if (fake_should_fail(&kernel->faults, PCPU_VMALLOC))
		return NULL;
	return host_alloc(&kernel->host, size);
}

/* free memory from vmalloc */
void fake_vfree(struct fake_kernel *kernel, void *ptr)
{
	fake_count(&kernel->faults, PCPU_VFREE);
	host_free(&kernel->host, ptr);
}
