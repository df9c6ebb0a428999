/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/bootmem.h - zeroed memory from boot: not counted. */
#ifndef WITNESS_LINUX_BOOTMEM_H
#define WITNESS_LINUX_BOOTMEM_H

void *alloc_bootmem(unsigned long size);

#endif
