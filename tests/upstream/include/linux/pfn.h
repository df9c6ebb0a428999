/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/pfn.h - converts bytes to whole pages. */
#ifndef WITNESS_LINUX_PFN_H
#define WITNESS_LINUX_PFN_H

#include <asm/page.h>

#define PFN_DOWN(bytes)	((bytes) >> PAGE_SHIFT)
#define PFN_UP(bytes)	PFN_DOWN((bytes) + PAGE_SIZE - 1)

#endif
