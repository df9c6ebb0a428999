/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/kernel.h - small helpers that every kernel file takes for granted. */
#ifndef WITNESS_LINUX_KERNEL_H
#define WITNESS_LINUX_KERNEL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "fakes.h"

#define __init
#define likely(condition)	(condition)
#define unlikely(condition)	(condition)
#define uninitialized_var(name)	name = 0

#define max_t(type, a, b)						\
	({ type a_ = (a); type b_ = (b); a_ > b_ ? a_ : b_; })
#define max(a, b)							\
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min(a, b)							\
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })

/*
 * Entries of a map that are looked at.  The scan for room asks once for the
 * next aligned offset at each entry, and for the size of each one that it steps
 * over; the scan for an area to be freed does only the latter.  So a size
 * counts unless the entry was counted before; what a free finds in the end, it
 * does not step over, and is left to the driver.
 */
static inline void fake_look_at_entry(void)
{
	fake_work()->entries_scanned++;
	fakes.entry_counted = true;
}

static inline int fake_step_over_entry(int entry)
{
	if (!fakes.entry_counted)
		fake_work()->entries_scanned++;
	fakes.entry_counted = false;
	return entry < 0 ? -entry : entry;
}

#undef abs
#define abs(entry)	fake_step_over_entry(entry)

/* up to the next multiple; means nothing where @to is no power of two */
#define ALIGN(x, to)							\
	(fake_look_at_entry(),						\
	 ((x) + (__typeof__(x))(to) - 1) & ~((__typeof__(x))(to) - 1))

#define container_of(member_ptr, type, member)				\
	((type *)((char *)(member_ptr) - offsetof(type, member)))

#endif
