// SPDX-License-Identifier: GPL-2.0-only
/*
 * page_alloc.c - page frames, counted by NUMA node against a limit.
 */
#include "kernel.h"

/**
 * fake_pages_init - set up a page allocator that holds no frames
 * @kernel: the kernel, its host ready
 * @cpus: possible CPUs
 * @nodes: NUMA nodes, 1 to @cpus
 * @limit: frames per node, 0: no limit
 *
 * Return: false when the host has no memory.
 */
bool fake_pages_init(struct fake_kernel *kernel, int64_t cpus, int64_t nodes,
		     int64_t limit)
{
	struct fake_pages *pages = &kernel->pages;

	pages->cpus = cpus;
	pages->nodes = nodes;
	pages->limit = limit ? limit : INT64_MAX;
	pages->alike = nodes == 1 && !kernel->host.hooks.alloc_page;
	pages->held = host_zalloc(&kernel->host,
				  (size_t)nodes * sizeof(*pages->held));
	return pages->held;
}

/* free the page allocator's own memory */
void fake_pages_exit(struct fake_kernel *kernel)
{
	host_free(&kernel->host, kernel->pages.held);
}

/* ask the creator's hook for a frame, if there is one */
static bool host_gives(struct fake_kernel *kernel, int cpu)
{
	const struct host *host = &kernel->host;

	return !host->hooks.alloc_page ||
	       !host->hooks.alloc_page(host->arg, cpu,
				       fake_cpu_to_node(&kernel->pages, cpu));
}

static void host_takes(struct fake_kernel *kernel, int cpu)
{
	const struct host *host = &kernel->host;

	if (host->hooks.free_page)
		host->hooks.free_page(host->arg, cpu,
				      fake_cpu_to_node(&kernel->pages, cpu));
}

/**
 * fake_alloc_page - take one frame for a CPU, from that CPU's node only
 * @cpu: the CPU
 *
 * Return: false when the node is at its limit or the call has to fail.
 */
bool fake_alloc_page(struct fake_kernel *kernel, int cpu)
{
	struct fake_pages *pages = &kernel->pages;
	int64_t *held = &pages->held[fake_cpu_to_node(pages, cpu)];

	if (fake_should_fail(&kernel->faults, PCPU_ALLOC_PAGE))
		return false;
	if (*held >= pages->limit)
		return false;
	if (!host_gives(kernel, cpu))
		return false;
	++*held;
	return true;
}

/* fake_alloc_pages(), a call for each frame */
static noinline int64_t alloc_each_page(struct fake_kernel *kernel,
					uint32_t *held, int n)
{
	int64_t cpus = kernel->pages.cpus;
	int i;

	for (i = 0; i < n; i++)
		for (; held[i] < cpus; held[i]++)
			if (!fake_alloc_page(kernel, (int)held[i]))
				return i * cpus + held[i];
	return n * cpus;
}

/**
 * fake_alloc_pages - take frames for a run of pages, page by page for all CPUs
 * @held: for each page the CPUs that have a frame: none before
 * @n: pages
 *
 * The first failure ends the loop.
 * Return: how many frames were taken.
 */
int64_t fake_alloc_pages(struct fake_kernel *kernel, uint32_t *held, int n)
{
	struct fake_pages *pages = &kernel->pages;
	int64_t frames = n * pages->cpus;
	int i;

	if (unlikely(!pages->alike || pages->held[0] + frames > pages->limit ||
		     kernel->faults.plan[PCPU_ALLOC_PAGE].armed))
		return alloc_each_page(kernel, held, n);
	/* no call can fail: count them all at once */
	kernel->faults.calls[PCPU_ALLOC_PAGE] += (uint64_t)frames;
	pages->held[0] += frames;
	for (i = 0; i < n; i++)
		held[i] = (uint32_t)pages->cpus;
	return frames;
}

/**
 * fake_alloc_boot_pages - take frames at boot time: not counted, no limit
 * @cpus: how many
 *
 * Return: how many CPUs have one.
 */
int fake_alloc_boot_pages(struct fake_kernel *kernel, int cpus)
{
	int cpu = 0;

	/* no loop: a large first chunk of many CPUs has billions of frames */
	if (!kernel->host.hooks.alloc_page)
		return cpus;
	while (cpu < cpus && host_gives(kernel, cpu))
		cpu++;
	return cpu;
}

/* free one frame of a CPU */
void fake_free_page(struct fake_kernel *kernel, int cpu)
{
	struct fake_pages *pages = &kernel->pages;

	fake_count(&kernel->faults, PCPU_FREE_PAGE);
	/* below 0 when a boot-time frame is freed: it adds to the limit */
	pages->held[fake_cpu_to_node(pages, cpu)]--;
	host_takes(kernel, cpu);
}

/**
 * fake_free_pages - free the frames of a run of pages
 * @held: for each page the CPUs that have a frame: none after
 * @n: pages
 *
 * Return: how many frames were freed.
 */
int64_t fake_free_pages(struct fake_kernel *kernel, uint32_t *held, int n)
{
	struct fake_pages *pages = &kernel->pages;
	int64_t frames = 0;
	int i, cpu;

	for (i = 0; i < n; i++) {
		if (unlikely(!pages->alike))
			for (cpu = 0; cpu < (int)held[i]; cpu++)
				fake_free_page(kernel, cpu);
		frames += held[i];
		held[i] = 0;
	}
	if (likely(pages->alike)) {
		kernel->faults.calls[PCPU_FREE_PAGE] += (uint64_t)frames;
		pages->held[0] -= frames;
	}
	return frames;
}

/* free them when the allocator is closed: not counted */
void fake_drop_pages(struct fake_kernel *kernel, int cpus)
{
	int cpu;

	if (!kernel->host.hooks.free_page)
		return;
	for (cpu = 0; cpu < cpus; cpu++)
		host_takes(kernel, cpu);
}
