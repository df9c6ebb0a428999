/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/bitmap.h - the highest bit of a number. */
#ifndef WITNESS_LINUX_BITMAP_H
#define WITNESS_LINUX_BITMAP_H

/* bits count from 1; fls(0) is 0 */
static inline int fls(int number)
{
	return number ? 32 - __builtin_clz((unsigned int)number) : 0;
}

#endif
