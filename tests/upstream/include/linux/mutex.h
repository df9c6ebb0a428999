/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/mutex.h - a mutex for a single thread: to lock it twice is a bug.
 *
 * The file locks it once per call, after it has checked the arguments.  So each
 * lock counts as an operation.
 */
#ifndef WITNESS_LINUX_MUTEX_H
#define WITNESS_LINUX_MUTEX_H

#include <linux/bug.h>
#include <stdbool.h>

struct mutex {
	bool held;	/* by the current call */
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
