/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/string.h - the kernel's memset, memcpy and memmove.
 *
 * Nothing is mapped in the fake address space, so memset of an area has no
 * effect.  The kernel's memcpy, unlike that of C, accepts NULL for 0 bytes.
 * The file uses memcpy for a map that grows, and memmove for map entries.
 */
#ifndef WITNESS_LINUX_STRING_H
#define WITNESS_LINUX_STRING_H

#include <string.h>

#include "fakes.h"

static inline void *fake_memset(void *to, int byte, size_t size)
{
	return (unsigned long)to >= FAKE_SPACE ? to : memset(to, byte, size);
}

static inline void *fake_memcpy(void *to, const void *from, size_t size)
{
	if (!size)
		return to;
	fake_work()->map_reallocations++;
	fake_work()->bytes_moved += size;
	return memcpy(to, from, size);
}

static inline void *fake_memmove(void *to, const void *from, size_t size)
{
	fake_work()->entries_moved += size / sizeof(int);
	fake_work()->bytes_moved += size;
	return memmove(to, from, size);
}

#undef memset
#undef memcpy
#undef memmove
#define memset	fake_memset
#define memcpy	fake_memcpy
#define memmove	fake_memmove

#endif
