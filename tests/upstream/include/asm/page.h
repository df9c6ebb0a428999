/* SPDX-License-Identifier: GPL-2.0-only */
/* asm/page.h - the page size, which is a setting here. */
#ifndef WITNESS_ASM_PAGE_H
#define WITNESS_ASM_PAGE_H

#include "fakes.h"

#define PAGE_SHIFT	fakes.page_shift
#define PAGE_SIZE	(1UL << PAGE_SHIFT)
#define PAGE_MASK	(-PAGE_SIZE)
#define PAGE_KERNEL	0	/* the only protection */

#endif
