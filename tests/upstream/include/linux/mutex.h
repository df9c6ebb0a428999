/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/mutex.h - a lock of one thread: taking it twice is a bug.
 *
 * A call takes it once it has found nothing wrong with its arguments, and so
 * becomes an operation.
 */
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
	fake_work()->operations++;
}

static inline void mutex_unlock(struct mutex *mutex)
{
	BUG_ON(!mutex->held);
	mutex->held = false;
}

#endif
