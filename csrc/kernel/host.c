// SPDX-License-Identifier: GPL-2.0-only
/*
 * host.c - where the fake kernel ends: malloc() and mmap(), or hooks.
 *
 * Addresses are reserved without access rights.  Mapping a page gives it
 * rights, unmapping takes them and the contents away; so an access to a page
 * that is not mapped faults, as in the kernel.  Chunks with guard pages are
 * cheaper: see guard.c.
 *
 * The host allows 65,530 mappings per process (vm.max_map_count), and the
 * pages of an area are mapped one by one, in any order.  Neighbours become one
 * mapping again only if they share their anon_vma, the host kernel's record of
 * who may hold a copy of a page.  Pages touched far apart would each get their
 * own and never merge.  So one page is touched right after the reservation,
 * while all of it is a single mapping: everything cut off later inherits that
 * one record, and a fully mapped area costs two mappings, itself and its guard.
 */
#define _GNU_SOURCE 1	/* MAP_NORESERVE, madvise, O_CLOEXEC */
#include "clock.h"
#include "kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/**
 * host_missing_hook - find a hook that others in the table need
 * @hooks: the table
 *
 * Return: the name of the missing hook, or NULL.
 */
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

/**
 * host_alloc - allocate memory for the allocator's own structures
 * @size: bytes, above 0
 *
 * Return: the memory, or NULL.
 */
void *host_alloc(const struct host *host, size_t size)
{
	if (host->hooks.alloc)
		return host->hooks.alloc(host->arg, size);
	return malloc(size);
}

/* the same, zeroed */
void *host_zalloc(const struct host *host, size_t size)
{
	void *mem;

	if (!host->hooks.alloc)
		return calloc(1, size);
	mem = host->hooks.alloc(host->arg, size);
	return mem ? memset(mem, 0, size) : NULL;
}

/**
 * host_free - free memory
 * @host: the host; may itself be in that memory
 * @ptr: the memory, or NULL
 */
void host_free(const struct host *host, void *ptr)
{
	if (!ptr)
		return;
	if (host->hooks.free)
		host->hooks.free(host->arg, ptr);
	else
		free(ptr);
}

/* the most mappings of a process, or INT64_MAX if the system does not say */
static __cold int64_t most_mappings(void)
{
	char text[32] = "";
	int fd = open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	return n > 0 ? strtoll(text, NULL, 10) : INT64_MAX;
}

/* count the mappings of this process; nothing is allocated meanwhile */
static __cold int64_t mappings(void)
{
	char text[4096];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	int64_t lines = 0;
	ssize_t n, i;

	if (fd < 0)
		return 0;
	while ((n = read(fd, text, sizeof(text))) > 0)
		for (i = 0; i < n; i++)
			lines += text[i] == '\n';
	close(fd);
	return lines;
}

/* a change of rights may need two mappings more, and the last is the kernel's */
#define MAPPINGS_RESERVED	3

/*
 * Counting takes milliseconds, and after one refusal thousands may follow: the
 * answer holds for a second.  Its time and the answer, in the lowest bit, are one
 * value, since other threads use it too.
 */
static __cold bool has_mappings_left(void)
{
	static uint64_t counted;
	uint64_t last = __atomic_load_n(&counted, __ATOMIC_RELAXED);
	uint64_t now = ktime_get_ns();

	if (!last || now - last > 1000000000u) {
		last = now & ~(uint64_t)1;
		last |= mappings() < most_mappings() - MAPPINGS_RESERVED;
		__atomic_store_n(&counted, last, __ATOMIC_RELAXED);
	}
	return last & 1;
}

/**
 * host_refusal - find out why the host has just refused address space
 * @error: the error if it has no memory
 *
 * Uses errno.
 * Return: @error, or -PCPU_E_MAPPINGS when the process has too many mappings.
 */
int host_refusal(const struct host *host, int error)
{
	if (host->hooks.reserve || errno != ENOMEM || has_mappings_left())
		return error;
	return -PCPU_E_MAPPINGS;
}

/*
 * mmap aligns to a page of the host: unmap what is before and after.  The sum of
 * the sizes does not overflow, since @size is a multiple of @align.
 */
static char *reserve_aligned(size_t size, size_t align)
{
	size_t spare = align - (size_t)sysconf(_SC_PAGESIZE);
	char *mem, *start;

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

/**
 * host_reserve - reserve addresses without memory
 * @size: bytes, a multiple of @align
 * @align: bytes, a power of two, a page of the host or more
 *
 * Return: the first address, or NULL.
 */
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

/**
 * host_prime - give a reservation one anon_vma for all of its pages
 * @page: the first page
 * @size: its bytes
 *
 * Return: true on success.
 */
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

/**
 * host_release - release reserved addresses, and what is mapped there
 * @addr: from host_reserve()
 * @size: as passed to host_reserve()
 */
void host_release(const struct host *host, char *addr, size_t size)
{
	if (host->hooks.release)
		host->hooks.release(host->arg, addr, size);
	else
		munmap(addr, size);
}

/**
 * host_map - make pages readable, writable and zeroed
 * @range: the pages
 *
 * Return: 0, -(PCPU_E_NOMEM + PCPU_MAP), or -PCPU_E_MAPPINGS.
 */
int host_map(const struct host *host, const struct host_range *range)
{
	int failed;

	if (host->hooks.map)
		failed = host->hooks.map(host->arg, range->addr, range->size,
					 range->cpu, range->node);
	else
		failed = mprotect(range->addr, range->size,
				  PROT_READ | PROT_WRITE);
	return failed ? host_refusal(host, -(PCPU_E_NOMEM + PCPU_MAP)) : 0;
}

/**
 * host_unmap - unmap pages and discard their contents
 * @range: the pages; some may not be mapped
 *
 * Return: false when they can still be accessed.
 */
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
