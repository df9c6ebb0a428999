// SPDX-License-Identifier: GPL-2.0-only
/*
 * guard.c - pages with guards: one call maps a page of every CPU's unit.
 *
 * Access rights belong to a mapping of the host, so host_map() needs a call for
 * each CPU, and each call cuts mappings or joins them.  Since Linux 6.13 a page
 * can have a guard instead: it faults although its mapping is readable and
 * writable.  Guards are kept in page tables, mappings stay whole, and since 6.15
 * one call removes the guards of pages in many places:
 *
 *	 unit 0       unit 1       unit 2
 *	|..########| |..########| |..########|	# has a guard
 *	   ^            ^            ^		three pages, one call
 *
 * A page that gets a guard loses its contents, and its memory is given back.
 */
#define _GNU_SOURCE 1	/* madvise, syscall */
#include "kernel.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* the C library's headers may be older than the host */
#define GUARD_INSTALL	102	/* MADV_GUARD_INSTALL */
#define GUARD_REMOVE	103	/* MADV_GUARD_REMOVE */
#define SELF		(-10000) /* PIDFD_SELF */
#ifndef SYS_process_madvise
#define SYS_process_madvise	440
#endif

#define NO_ADVICE	(-1)	/* refused, except by a host that ignores advice */

/* ranges of one call; the host accepts 1,024 */
#define MAX_RANGES		64

/**
 * host_has_guards - find out whether pages can have guards
 * @page: a reserved page that is not mapped
 * @size: its bytes
 *
 * Emulators that accept any advice, and ignore it, have none.
 * Return: true if they can; never with hooks that reserve addresses.
 */
__cold bool host_has_guards(const struct host *host, char *page, size_t size)
{
	return !host->hooks.reserve &&
	       madvise(page, size, NO_ADVICE) &&
	       !madvise(page, size, GUARD_INSTALL) &&
	       !madvise(page, size, GUARD_REMOVE);
}

/**
 * host_guard - give guards to pages, then the rights to their mapping
 * @addr: the first page; none of them is mapped
 * @size: bytes
 *
 * The host may refuse: locked memory has no guards, and the number of mappings
 * or the bytes that are writable may be limited.
 * Return: false if it does; then the pages can be mapped by host_map().
 */
__cold bool host_guard(char *addr, size_t size)
{
	if (!madvise(addr, size, GUARD_INSTALL) &&
	    !mprotect(addr, size, PROT_READ | PROT_WRITE))
		return true;
	/* pages that had guards before may be writable */
	mprotect(addr, size, PROT_NONE);
	madvise(addr, size, GUARD_REMOVE);
	return false;
}

/* one call for all ranges, or where the host has none, a call for each */
static bool advise(const struct iovec *ranges, int n, int advice)
{
	size_t all = (size_t)n * ranges->iov_len;
	int i;

	if (syscall(SYS_process_madvise, SELF, ranges, n, advice, 0) ==
	    (long)all)
		return true;
	for (i = 0; i < n; i++)
		if (madvise(ranges[i].iov_base, ranges[i].iov_len, advice))
			return false;
	return true;
}

static noinline bool advise_units(const struct host_units *units, int advice)
{
	struct iovec ranges[MAX_RANGES];
	char *addr = units->addr;
	int left, i, n;

	if (units->size == units->distance)	/* whole units are one range */
		return !madvise(addr, units->size * (size_t)units->n, advice);
	for (left = units->n; left > 0; left -= n) {
		n = left < MAX_RANGES ? left : MAX_RANGES;
		for (i = 0; i < n; i++, addr += units->distance)
			ranges[i] = (struct iovec){ addr, units->size };
		if (!advise(ranges, n, advice))
			return false;
	}
	return true;
}

/* remove the guards of pages, which are zero then; return whether it worked */
bool host_unguard(const struct host_units *units)
{
	return advise_units(units, GUARD_REMOVE);
}

/* give guards to pages again, and their memory back; some may have guards */
bool host_guard_again(const struct host_units *units)
{
	return advise_units(units, GUARD_INSTALL);
}
