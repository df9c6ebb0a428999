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

/* up to the next multiple; means nothing where @to is no power of two */
#define ALIGN(x, to)							\
	(((x) + (__typeof__(x))(to) - 1) & ~((__typeof__(x))(to) - 1))

#define container_of(member_ptr, type, member)				\
	((type *)((char *)(member_ptr) - offsetof(type, member)))

#endif
