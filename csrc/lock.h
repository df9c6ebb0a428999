/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lock.h - one allocator's lock, which is almost free without contention.
 *
 * While the process has a single thread, which the C library knows, there is
 * no other thread to wait for.  A thread that is inside already is refused: it
 * comes from a hook or a signal handler, and would wait for itself.
 */
#ifndef PCPU_LOCK_H
#define PCPU_LOCK_H

#include <stdbool.h>
#include <stdint.h>

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

/* owners that are no thread */
#define PCPU_OWNER_NONE		((uintptr_t)0)
#define PCPU_OWNER_ALONE	((uintptr_t)1)	/* the only thread */

struct pcpu_lock {
	uintptr_t owner;	/* the thread inside, or one of the above */
	uintptr_t heir;		/* waits, and is the next owner; or none */
	uint32_t heir_asleep;	/* 1: the heir may sleep */
	uint32_t asleep;	/* 1: the heir or another thread may sleep */
	bool for_fork;		/* a fork took it, and gives it back */
	struct list_head list;	/* in all_locks: a fork waits for them */
};

void pcpu_lock_init(struct pcpu_lock *lock);
void pcpu_lock_exit(struct pcpu_lock *lock);
bool pcpu_lock_shared(struct pcpu_lock *lock);
void pcpu_lock_drop_and_wake(struct pcpu_lock *lock);

/* take a lock; false: this thread holds it already */
static inline bool pcpu_lock_take(struct pcpu_lock *lock)
{
	if (!PCPU_SINGLE_THREADED)
		return pcpu_lock_shared(lock);
	if (unlikely(__atomic_load_n(&lock->owner, __ATOMIC_RELAXED)))
		return false;
	__atomic_store_n(&lock->owner, PCPU_OWNER_ALONE, __ATOMIC_RELAXED);
	barrier();	/* before any change that a signal handler may see */
	return true;
}

/* the next owner may free the lock: it is not touched after the store */
static inline void pcpu_lock_drop(struct pcpu_lock *lock)
{
	if (unlikely(__atomic_load_n(&lock->asleep, __ATOMIC_RELAXED)))
		pcpu_lock_drop_and_wake(lock);
	else
		__atomic_store_n(&lock->owner, PCPU_OWNER_NONE,
				 __ATOMIC_RELEASE);
}

#endif /* PCPU_LOCK_H */
