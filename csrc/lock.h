/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lock.h - one allocator's lock: a mutex that costs nothing without threads.
 *
 * While the process has a single thread, which the C library knows, there is
 * no other thread to wait for.  A thread that is inside already is refused: it
 * comes from a hook or a signal handler, and would wait for itself.
 */
#ifndef PCPU_LOCK_H
#define PCPU_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "kernel/kernel.h"

#ifdef __has_include
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>	/* glibc 2.32 and later */
#define PCPU_SINGLE_THREADED	__libc_single_threaded
#endif
#endif
#ifndef PCPU_SINGLE_THREADED
#define PCPU_SINGLE_THREADED	false
#endif

/* whether a thread is inside, and how it took the lock */
enum pcpu_held {
	PCPU_HELD_NOT,
	PCPU_HELD_ALONE,	/* the only thread */
	PCPU_HELD_MUTEX		/* one of several */
};

struct pcpu_lock {
	pthread_mutex_t mutex;	/* taken if there are other threads */
	enum pcpu_held held;	/* as of the time that it was taken */
	struct list_head list;	/* in all_locks: a fork waits for them */
};

void pcpu_lock_init(struct pcpu_lock *lock);
void pcpu_lock_exit(struct pcpu_lock *lock);
bool pcpu_lock_wait(struct pcpu_lock *lock);

/* take a lock; false: this thread holds it already */
static inline bool pcpu_lock_take(struct pcpu_lock *lock)
{
	if (!PCPU_SINGLE_THREADED)
		return pcpu_lock_wait(lock);
	if (unlikely(lock->held))
		return false;
	lock->held = PCPU_HELD_ALONE;
	barrier();	/* before any change that a signal handler may see */
	return true;
}

static inline void pcpu_lock_drop(struct pcpu_lock *lock)
{
	bool mutex = lock->held == PCPU_HELD_MUTEX;

	barrier();
	lock->held = PCPU_HELD_NOT;
	if (mutex)
		pthread_mutex_unlock(&lock->mutex);
}

#endif /* PCPU_LOCK_H */
