// SPDX-License-Identifier: GPL-2.0-only
/*
 * map.c - map and unmap pages of the address space.
 *
 * The pages of a chunk have guards, if the host has them: see guard.c.  If not,
 * the pages of each CPU get rights of their own: see host.c.
 */
#include "kernel.h"

/*
 * A guard takes 8 bytes, in the host's page tables, and some nanoseconds.  This
 * is a chunk of 4,096 CPUs with the smallest units.
 */
#define MAX_GUARDED	((uint64_t)256 << 20)

static struct host_range range_of(const struct fake_kernel *kernel,
				  uint64_t addr, uint64_t size, int cpu)
{
	struct host_range range = {
		.addr = fake_host(&kernel->vmalloc, addr),
		.size = (size_t)size,
		.cpu = cpu,
		.node = fake_cpu_to_node(&kernel->pages, cpu),
	};

	return range;
}

/**
 * fake_map_boot - map pages at boot time: not counted, never made to fail
 * @addr: page-aligned address
 * @size: bytes, whole pages
 * @cpu: whose unit they are in
 *
 * Return: 0, or what host_map() returns.
 */
int fake_map_boot(struct fake_kernel *kernel, uint64_t addr, uint64_t size,
		  int cpu)
{
	struct host_range range;

	if (!kernel->vmalloc.host)
		return 0;
	range = range_of(kernel, addr, size, cpu);
	return host_map(&kernel->host, &range);
}

/**
 * fake_map_kernel_range - make pages readable and writable
 * @addr: page-aligned address
 * @size: bytes, whole pages
 * @cpu: whose unit they are in
 *
 * Return: 0, -(PCPU_E_NOMEM + PCPU_MAP), or -PCPU_E_MAPPINGS.
 */
int fake_map_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			  uint64_t size, int cpu)
{
	if (fake_should_fail(&kernel->faults, PCPU_MAP))
		return -(PCPU_E_NOMEM + PCPU_MAP);
	return fake_map_boot(kernel, addr, size, cpu);
}

/**
 * fake_unmap_kernel_range - take pages away, and their contents
 * @addr: page-aligned address
 * @size: bytes, whole pages; some may not be mapped
 * @cpu: whose unit they are in
 */
void fake_unmap_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			     uint64_t size, int cpu)
{
	struct host_range range;

	fake_count(&kernel->faults, PCPU_UNMAP);
	if (!kernel->vmalloc.host)
		return;
	range = range_of(kernel, addr, size, cpu);
	fake_warn_on(kernel, !host_unmap(&kernel->host, &range),
		     "the host left pages accessible: too many mappings");
}

/* --- the same pages of every CPU's unit */

/**
 * fake_guard - give guards to the pages of a chunk
 * @addr: page-aligned address
 * @size: bytes, whole pages; none is mapped
 *
 * Return: whether they have guards now, for fake_units.guarded.
 */
bool fake_guard(struct fake_kernel *kernel, uint64_t addr, uint64_t size)
{
	struct fake_vmalloc *vmalloc = &kernel->vmalloc;

	return vmalloc->has_guards && size <= MAX_GUARDED &&
	       host_guard(fake_host(vmalloc, addr), (size_t)size);
}

static struct host_units host_units(const struct fake_kernel *kernel,
				    const struct fake_units *units)
{
	return (struct host_units){
		.addr = fake_host(&kernel->vmalloc, units->addr),
		.size = (size_t)units->size,
		.distance = (size_t)units->distance,
		.n = units->cpus,
	};
}

static int map_guarded(struct fake_kernel *kernel,
		       const struct fake_units *units)
{
	struct host_units host = host_units(kernel, units);
	int cpu;

	for (cpu = 0; cpu < units->cpus; cpu++)
		if (fake_should_fail(&kernel->faults, PCPU_MAP))
			return -(PCPU_E_NOMEM + PCPU_MAP);
	return host_unguard(&host) ? 0 : -(PCPU_E_NOMEM + PCPU_MAP);
}

/**
 * fake_map_units - make pages readable and writable, a map call for each CPU
 * @units: the pages
 *
 * The first failure ends the calls.  Then some of the pages may be mapped.
 * Return: 0, or the errors of fake_map_kernel_range().
 */
int fake_map_units(struct fake_kernel *kernel, const struct fake_units *units)
{
	uint64_t addr = units->addr;
	int cpu, err = 0;

	if (units->guarded)
		return map_guarded(kernel, units);
	/* no call can fail: count them all at once */
	if (!kernel->vmalloc.host && !kernel->faults.plan[PCPU_MAP].armed) {
		kernel->faults.calls[PCPU_MAP] += (uint64_t)units->cpus;
		return 0;
	}
	for (cpu = 0; cpu < units->cpus && !err; cpu++) {
		err = fake_map_kernel_range(kernel, addr, units->size, cpu);
		addr += units->distance;
	}
	return err;
}

static bool unmap_guarded(const struct fake_kernel *kernel,
			  const struct fake_units *units)
{
	struct host_units host = host_units(kernel, units);

	return host_guard_again(&host);
}

/**
 * fake_unmap_units - take pages away, and their contents, call by call
 * @units: the pages; some may not be mapped
 */
void fake_unmap_units(struct fake_kernel *kernel,
		      const struct fake_units *units)
{
	uint64_t addr = units->addr;
	int cpu;

	if (units->guarded || !kernel->vmalloc.host) {
		kernel->faults.calls[PCPU_UNMAP] += (uint64_t)units->cpus;
		fake_warn_on(kernel,
			     units->guarded && !unmap_guarded(kernel, units),
			     "the host left pages accessible");
		return;
	}
	for (cpu = 0; cpu < units->cpus; cpu++) {
		fake_unmap_kernel_range(kernel, addr, units->size, cpu);
		addr += units->distance;
	}
}
