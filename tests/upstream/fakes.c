// SPDX-License-Identifier: GPL-2.0-only
/*
 * fakes.c - the fake kernel services: memory, address space, page frames.
 *
 * Each allocation starts with a struct fake_block.  With it a free by the wrong
 * service is detected, and fake_end() can free everything that is left.
 */
#include "fakes.h"

#include <stdio.h>
#include <stdlib.h>

#include <linux/bootmem.h>
#include <linux/bug.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#define KIND_BOOT	FAKE_NR_SERVICES /* blocks of boot memory */

/* kmalloc returns its address for 0 bytes */
static char zero_size;

struct fake_machine fakes;

_Noreturn void fake_stop(enum fake_stop_reason reason, const char *text)
{
	fakes.report.stopped = reason;
	fakes.report.text = text;
	longjmp(fakes.way_out, 1);
}

/* --- blocks: zeroed memory from one service */

static void *block_alloc(int kind, size_t size)
{
	struct fake_block *anchor = &fakes.blocks;
	struct fake_block *block = calloc(1, sizeof(*block) + size);

	if (!block) {
		fprintf(stderr, "witness: the host is out of memory\n");
		abort();
	}
	block->kind = kind;
	block->next = anchor;
	block->prev = anchor->prev;
	anchor->prev->next = block;
	anchor->prev = block;
	return block + 1;
}

static void block_free(int kind, const void *memory)
{
	struct fake_block *block = (struct fake_block *)memory - 1;

	BUG_ON(block->kind != kind);
	block->prev->next = block->next;
	block->next->prev = block->prev;
	free(block);
}

void fake_start(void)
{
	fake_end();
	fakes = (struct fake_machine){ .report.failed = -1 };
	fakes.blocks.next = &fakes.blocks;
	fakes.blocks.prev = &fakes.blocks;
}

void fake_end(void)
{
	struct fake_block *block = fakes.blocks.next;

	while (block && block != &fakes.blocks) {
		struct fake_block *next = block->next;

		free(block);
		block = next;
	}
	fakes.blocks.next = NULL;
}

void fake_add_nodes(unsigned int nodes)
{
	fakes.nodes = nodes;
	fakes.held = block_alloc(KIND_BOOT, nodes * sizeof(*fakes.held));
}

/* --- kmalloc, vmalloc, boot memory */

/*
 * The file writes to a new chunk's map without checking that the map was
 * allocated: defect "map-null".  So the call stops here if the allocation
 * failed; if defects are fixed, the chunk is freed first.
 */
static void check_map_of_fresh_chunk(bool failed)
{
	void *chunk = fakes.fresh_chunk;

	fakes.fresh_chunk = NULL;
	if (!chunk || !failed)
		return;
	if (!fakes.fixed)
		fake_stop(STOP_UNDEFINED,
			  "the first entry of a new chunk's map is written, "
			  "but there is no map: a write through NULL");
	kfree(chunk);
	fake_stop(STOP_NO_MEMORY, "no map for a new chunk");
}

/* memory that is not zeroed, for callers that did not request zeroes */
static void *block_alloc_dirty(int kind, size_t size)
{
	return memset(block_alloc(kind, size), 0x5b, size);
}

void *kmalloc(size_t size, gfp_t flags)
{
	bool failed;

	(void)flags;
	if (!size)
		return &zero_size;
	failed = fake_fails(FAKE_KMALLOC);
	check_map_of_fresh_chunk(failed);
	return failed ? NULL : block_alloc_dirty(FAKE_KMALLOC, size);
}

void *kzalloc(size_t size, gfp_t flags)
{
	(void)flags;
	if (fake_fails(FAKE_KMALLOC))
		return NULL;
	fakes.fresh_chunk = block_alloc(FAKE_KMALLOC, size);
	return fakes.fresh_chunk;
}

void kfree(const void *memory)
{
	if (!memory || memory == &zero_size)
		return;
	fake_count(FAKE_KFREE);
	block_free(FAKE_KMALLOC, memory);
}

void *vmalloc(unsigned long size)
{
	bool failed = fake_fails(FAKE_VMALLOC);

	check_map_of_fresh_chunk(failed);
	return failed ? NULL : block_alloc_dirty(FAKE_VMALLOC, size);
}

void vfree(const void *memory)
{
	fake_count(FAKE_VFREE);
	block_free(FAKE_VMALLOC, memory);
}

void *alloc_bootmem(unsigned long size)
{
	return block_alloc(KIND_BOOT, size);
}

/* --- address space: the lowest free range that fits, plus a guard page */

static unsigned long area_end(const struct vm_struct *area)
{
	return (unsigned long)area->addr + area->size;
}

struct vm_struct *get_vm_area(unsigned long size, unsigned long flags)
{
	struct vm_struct **link = &fakes.areas;
	unsigned long start = fakes.first_area;
	unsigned long end = FAKE_SPACE + FAKE_SPACE_SIZE;
	struct vm_struct *area;

	fakes.report.requested = size;
	if (fake_fails(FAKE_GET_VM_AREA))
		return NULL;
	size += PAGE_SIZE;
	for (; *link && (unsigned long)(*link)->addr - start < size;
	     link = &(*link)->next)
		start = area_end(*link);
	if (!*link && end - start < size) {
		fake_failed(FAKE_GET_VM_AREA);
		return NULL;
	}

	area = block_alloc(FAKE_GET_VM_AREA, sizeof(*area));
	*area = (struct vm_struct){
		.addr = (void *)start,
		.size = size,
		.flags = flags,
		.ordinal = ++fakes.areas_created,
		.next = *link,
	};
	*link = area;
	return area;
}

void free_vm_area(struct vm_struct *area)
{
	struct vm_struct **link = &fakes.areas;

	fake_count(FAKE_FREE_VM_AREA);
	while (*link && *link != area)
		link = &(*link)->next;
	BUG_ON(!*link);
	*link = area->next;
	block_free(FAKE_GET_VM_AREA, area);
}

/* below all other areas, without a guard page, never freed */
void vm_area_register_early(struct vm_struct *area, size_t align)
{
	(void)align;
	fakes.report.requested = area->size;
	area->addr = (void *)fakes.first_area;
	fakes.first_area += area->size;
}

int map_kernel_range_noflush(unsigned long addr, unsigned long size,
			     int protection, struct page **pages)
{
	unsigned long i, nr_pages = size >> PAGE_SHIFT;

	(void)protection;
	if (fake_fails(FAKE_MAP))
		return -ENOMEM;
	BUG_ON(addr & ~PAGE_MASK);
	for (i = 0; i < nr_pages; i++) {
		BUG_ON(!pages[i]);
		pages[i]->place = &pages[i];
	}
	return (int)nr_pages;
}

void unmap_kernel_range_noflush(unsigned long addr, unsigned long size)
{
	(void)size;
	fake_count_unmapping(FAKE_UNMAP);
	BUG_ON(addr & ~PAGE_MASK);
}

/* --- page frames, counted by node; a node takes none from other nodes */

static struct page *new_page(int node)
{
	struct page *page = block_alloc(FAKE_ALLOC_PAGE, sizeof(*page));

	page->node = node;
	page->call = fakes.call_number;
	return page;
}

struct page *fake_boot_page(int node)
{
	return new_page(node);
}

struct page *alloc_pages_node(int node, gfp_t flags, unsigned int order)
{
	(void)flags;
	BUG_ON(order);
	if (fake_fails(FAKE_ALLOC_PAGE))
		return NULL;
	if (fakes.page_limit && fakes.held[node] >= fakes.page_limit) {
		fake_failed(FAKE_ALLOC_PAGE);
		return NULL;
	}
	fakes.held[node]++;
	fake_work()->pages_populated++;
	return new_page(node);
}

/*
 * When populating fails, the file frees all pages of the area, also those that
 * were populated before: defect "rollback".  If it is fixed these are kept,
 * and put back at the end of the call, as the file clears their places.
 */
static bool keep_neighbour(struct page *page)
{
	bool added = page->call == fakes.call_number;

	if (!fake_keeps_neighbours())
		return false;
	fakes.added_ranges += added && !fakes.in_added_range;
	fakes.in_added_range = added;
	if (added)
		return false;
	page->next_kept = fakes.kept;
	fakes.kept = page;
	return true;
}

void fake_put_back(void)
{
	struct page *page;

	for (page = fakes.kept; page; page = page->next_kept) {
		BUG_ON(!page->place || *page->place);
		*page->place = page;
	}
	fakes.kept = NULL;
}

void __free_page(struct page *page)
{
	if (keep_neighbour(page))
		return;
	fake_count(FAKE_FREE_PAGE);
	/* may become negative: a frame from boot was never counted as taken */
	fakes.held[page->node]--;
	fake_work()->pages_depopulated++;
	block_free(FAKE_ALLOC_PAGE, page);
}
