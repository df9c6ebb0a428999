/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/string.h - the kernel's own memset and memcpy.
 *
 * Nothing is mapped in the fake address space, so clearing an area there does
 * nothing.  And other than C's, the kernel's memcpy takes NULL for 0 bytes.
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
	return size ? memcpy(to, from, size) : to;
}

#undef memset
#undef memcpy
#define memset	fake_memset
#define memcpy	fake_memcpy

#endif
