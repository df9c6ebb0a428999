/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/mutex.h - a lock of one thread: taking it twice is a bug. */
#ifndef WITNESS_LINUX_MUTEX_H
#define WITNESS_LINUX_MUTEX_H

#include <linux/bug.h>
#include <stdbool.h>

struct mutex {
	bool held;	/* by the call that runs */
};

#define DEFINE_MUTEX(name) struct mutex name

static inline void mutex_lock(struct mutex *mutex)
{
	BUG_ON(mutex->held);
	mutex->held = true;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	BUG_ON(!mutex->held);
	mutex->held = false;
}

#endif
