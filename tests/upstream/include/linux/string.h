/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/string.h - the kernel's own memset, memcpy and memmove.
 *
 * Nothing is mapped in the fake address space, so clearing an area there does
 * nothing.  And other than C's, the kernel's memcpy takes NULL for 0 bytes.
 * What is copied is a map that grew, what is moved are entries of a map.
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
