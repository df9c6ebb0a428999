/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/mm.h - only what it includes: pages and page frames. */
#ifndef WITNESS_LINUX_MM_H
#define WITNESS_LINUX_MM_H

#include <asm/page.h>
#include <linux/gfp.h>

#endif
