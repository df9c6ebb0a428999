/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/percpu.h - the allocator's interface, and the definitions of the
 * architecture: a per-CPU pointer is relative to an address, a setting here.
 */
#ifndef WITNESS_LINUX_PERCPU_H
#define WITNESS_LINUX_PERCPU_H

#include <asm/page.h>
#include <linux/bug.h>
#include <linux/cpumask.h>
#include <linux/kernel.h>

#define PCPU_MIN_UNIT_SIZE	(16 * PAGE_SIZE)

#define __addr_to_pcpu_ptr(addr)					\
	((void *)((unsigned long)(addr) - fakes.pointer_zero))
#define __pcpu_ptr_to_addr(ptr)						\
	((void *)((unsigned long)(ptr) + fakes.pointer_zero))

struct page;
typedef struct page *(*pcpu_get_page_fn_t)(unsigned int cpu, int page);
typedef void (*pcpu_populate_pte_fn_t)(unsigned long addr);

extern void *pcpu_base_addr;

size_t pcpu_setup_first_chunk(pcpu_get_page_fn_t get_page, size_t static_size,
			      size_t unit_size, size_t free_size, void *block,
			      pcpu_populate_pte_fn_t populate_pte);
void *__alloc_percpu(size_t size, size_t align);
void free_percpu(void *ptr);

#endif
