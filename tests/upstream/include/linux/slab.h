/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/slab.h - kmalloc, which returns a fixed pointer for 0 bytes. */
#ifndef WITNESS_LINUX_SLAB_H
#define WITNESS_LINUX_SLAB_H

#include <linux/gfp.h>
#include <linux/string.h>

void *kmalloc(size_t size, gfp_t flags);
void *kzalloc(size_t size, gfp_t flags);
void kfree(const void *memory);

#endif
