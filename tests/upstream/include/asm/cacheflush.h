/* SPDX-License-Identifier: GPL-2.0-only */
/* asm/cacheflush.h - cache flushes for mappings: only counted. */
#ifndef WITNESS_ASM_CACHEFLUSH_H
#define WITNESS_ASM_CACHEFLUSH_H

#include "fakes.h"

static inline void flush_cache_vmap(unsigned long start, unsigned long end)
{
	(void)start;
	(void)end;
	fake_count(FAKE_FLUSH_CACHE_VMAP);
}

static inline void flush_cache_vunmap(unsigned long start, unsigned long end)
{
	(void)start;
	(void)end;
	fake_count_unmapping(FAKE_FLUSH_CACHE_VUNMAP);
}

#endif
