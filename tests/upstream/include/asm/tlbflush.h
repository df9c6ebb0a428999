/* SPDX-License-Identifier: GPL-2.0-only */
/* asm/tlbflush.h - TLB flushes: only counted. */
#ifndef WITNESS_ASM_TLBFLUSH_H
#define WITNESS_ASM_TLBFLUSH_H

#include "fakes.h"

static inline void flush_tlb_kernel_range(unsigned long start,
					  unsigned long end)
{
	(void)start;
	(void)end;
	fake_count_unmapping(FAKE_FLUSH_TLB);
}

#endif
