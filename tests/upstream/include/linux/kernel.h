/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/kernel.h - small helpers that every kernel file uses. */
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
 * Count the map entries that a scan examines.  The scan for a free range calls
 * ALIGN() once for each entry, and abs() for each entry that it skips.  The
 * scan of a free only calls abs().  So abs() counts an entry unless ALIGN() has
 * counted it.  A free does not skip the entry that it finds; that entry is
 * counted in witness.c.
 */
static inline void fake_examine_entry(void)
{
	fake_work()->entries_scanned++;
	fakes.entry_counted = true;
}

static inline int fake_skip_entry(int entry)
{
	if (!fakes.entry_counted)
		fake_work()->entries_scanned++;
	fakes.entry_counted = false;
	return entry < 0 ? -entry : entry;
}

#undef abs
#define abs(entry)	fake_skip_entry(entry)

/* round up to a multiple; wrong if @to is not a power of two */
#define ALIGN(x, to)							\
	(fake_examine_entry(),						\
	 ((x) + (__typeof__(x))(to) - 1) & ~((__typeof__(x))(to) - 1))

#define container_of(member_ptr, type, member)				\
	((type *)((char *)(member_ptr) - offsetof(type, member)))

#endif
