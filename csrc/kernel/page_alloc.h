/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * page_alloc.h - page frames, counted by NUMA node against a limit.
 *
 * A frame has no identity here: nothing in the 2009 file looks at one, and the
 * memory behind it is the private anonymous page that appears at the address
 * where the frame is mapped.
 */
#ifndef FAKE_PAGE_ALLOC_H
#define FAKE_PAGE_ALLOC_H

#include <stdbool.h>
#include <stdint.h>

struct fake_kernel;

struct fake_pages {
	int64_t *held;		/* frames handed out, for each node */
	int64_t limit;		/* the most for a node, 0: no limit */
	int64_t nodes;		/* NUMA nodes */
	int64_t cpus;		/* possible CPUs, in even blocks on the nodes */
};

/**
 * fake_pages_init - an empty page allocator
 * @kernel: the kernel, its host ready
 * @cpus: possible CPUs
 * @nodes: NUMA nodes, 1 to @cpus
 * @limit: frames a node, 0: no limit
 *
 * Return: false when the host has no memory.
 */
bool fake_pages_init(struct fake_kernel *kernel, int64_t cpus, int64_t nodes,
		     int64_t limit);

/**
 * fake_pages_exit - free what the page allocator itself holds
 * @kernel: the kernel
 */
void fake_pages_exit(struct fake_kernel *kernel);

/* the node that a CPU stands on */
static inline int64_t fake_cpu_to_node(const struct fake_pages *pages,
				       int64_t cpu)
{
	return cpu * pages->nodes / pages->cpus;
}

/**
 * fake_alloc_page - take one frame for a CPU, from that CPU's node alone
 * @kernel: the kernel
 * @cpu: for whom
 *
 * Return: false when the node is at its limit or a fault strikes.
 */
bool fake_alloc_page(struct fake_kernel *kernel, int cpu);

/**
 * fake_alloc_pages - take a frame for each of the first CPUs
 * @kernel: the kernel
 * @cpus: how many
 *
 * Return: how many got one; the rest did not ask after the first that did not.
 */
int fake_alloc_pages(struct fake_kernel *kernel, int cpus);

/**
 * fake_alloc_boot_pages - the same at boot time: not counted, no limit
 * @kernel: the kernel
 * @cpus: how many
 *
 * Return: how many got one.
 */
int fake_alloc_boot_pages(struct fake_kernel *kernel, int cpus);

/**
 * fake_free_page - give one frame back
 * @kernel: the kernel
 * @cpu: for whom it was taken
 */
void fake_free_page(struct fake_kernel *kernel, int cpu);

/**
 * fake_free_pages - give the frames of the first CPUs back
 * @kernel: the kernel
 * @cpus: how many
 */
void fake_free_pages(struct fake_kernel *kernel, int cpus);

/**
 * fake_drop_pages - the same at the very end: not counted
 * @kernel: the kernel
 * @cpus: how many
 */
void fake_drop_pages(struct fake_kernel *kernel, int cpus);

#endif /* FAKE_PAGE_ALLOC_H */
