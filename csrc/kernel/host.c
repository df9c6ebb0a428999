// SPDX-License-Identifier: GPL-2.0-only
/*
 * host.c - where the fake kernel ends: malloc() and mmap(), or hooks.
 *
 * Addresses are reserved without access rights.  Mapping a page gives it
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
#include "host.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

const char *host_missing_hook(const struct pcpu_hooks *hooks)
{
#define HOOK(group, name)	{ group, hooks->name != NULL, #name }
	const struct {
		int group;
		bool is_there;
		const char *name;
	} all[] = {
		HOOK(0, alloc), HOOK(0, free),
		HOOK(1, reserve), HOOK(1, release), HOOK(1, map), HOOK(1, unmap),
		HOOK(2, alloc_page), HOOK(2, free_page),
	};
#undef HOOK
	const size_t n = sizeof(all) / sizeof(all[0]);
	bool wanted[3] = { false };
	size_t i;

	for (i = 0; i < n; i++)
		wanted[all[i].group] |= all[i].is_there;
	for (i = 0; i < n; i++)
		if (wanted[all[i].group] && !all[i].is_there)
			return all[i].name;
	return NULL;
}

void *host_alloc(const struct host *host, size_t size)
{
	if (host->hooks.alloc)
		return host->hooks.alloc(host->arg, size);
	return malloc(size);
}

void *host_zalloc(const struct host *host, size_t size)
{
	void *mem;

	if (!host->hooks.alloc)
		return calloc(1, size);
	mem = host->hooks.alloc(host->arg, size);
	return mem ? memset(mem, 0, size) : NULL;
}

void host_free(const struct host *host, void *ptr)
{
	if (!ptr)
		return;
	if (host->hooks.free)
		host->hooks.free(host->arg, ptr);
	else
		free(ptr);
}

/* mmap aligns to a page of the host; what is before and behind goes back */
static char *reserve_aligned(size_t size, size_t align)
{
	size_t spare = align - (size_t)sysconf(_SC_PAGESIZE);
	char *mem, *start;

	if (size > SIZE_MAX - spare)
		return NULL;
	mem = mmap(NULL, size + spare, PROT_NONE,
		   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (mem == MAP_FAILED)
		return NULL;
	start = mem + (-(uintptr_t)mem & (align - 1));
	if (start > mem)
		munmap(mem, (size_t)(start - mem));
	if (start < mem + spare)
		munmap(start + size, (size_t)(mem + spare - start));
	return start;
}

char *host_reserve(const struct host *host, size_t size, size_t align)
{
	char *addr;

	if (!host->hooks.reserve)
		return reserve_aligned(size, align);
	addr = host->hooks.reserve(host->arg, size, align);
	if ((uintptr_t)addr & (align - 1)) {
		host->hooks.release(host->arg, addr, size);
		return NULL;
	}
	return addr;
}

/* one page gets an anon_vma and the rest inherits it, see above */
bool host_prime(const struct host *host, char *page, size_t size)
{
	if (host->hooks.reserve)
		return true;
	if (mprotect(page, size, PROT_READ | PROT_WRITE))
		return false;
	*(volatile char *)page = 0;
	return !mprotect(page, size, PROT_NONE) &&
	       !madvise(page, size, MADV_DONTNEED);
}

void host_release(const struct host *host, char *addr, size_t size)
{
	if (host->hooks.release)
		host->hooks.release(host->arg, addr, size);
	else
		munmap(addr, size);
}

bool host_map(const struct host *host, const struct host_range *range)
{
	if (host->hooks.map)
		return !host->hooks.map(host->arg, range->addr, range->size,
					range->cpu, range->node);
	return !mprotect(range->addr, range->size, PROT_READ | PROT_WRITE);
}

bool host_unmap(const struct host *host, const struct host_range *range)
{
	bool failed;

	if (host->hooks.unmap) {
		host->hooks.unmap(host->arg, range->addr, range->size,
				  range->cpu, range->node);
		return true;
	}
	/* contents first: that never needs a new mapping */
	failed = madvise(range->addr, range->size, MADV_DONTNEED);
	failed |= mprotect(range->addr, range->size, PROT_NONE);
	return !failed;
}
