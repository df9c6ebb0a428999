/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lock.h - one allocator's lock: a mutex that costs nothing without threads.
 *
 * As long as the process has a single thread, which the C library knows, there
 * is nobody to wait for, and nobody can appear while that thread is in here.
 */
#ifndef PCPU_LOCK_H
#define PCPU_LOCK_H

#include <pthread.h>
#include <stdbool.h>

#include "kernel/list.h"

#ifdef __has_include
#if __has_include(<sys/single_threaded.h>)
#include <sys/single_threaded.h>	/* glibc 2.32 and later */
#define PCPU_SINGLE_THREADED	__libc_single_threaded
#endif
#endif
#ifndef PCPU_SINGLE_THREADED
#define PCPU_SINGLE_THREADED	false
#endif

struct pcpu_lock {
	pthread_mutex_t mutex;	/* taken if there are other threads */
	bool taken;		/* it was, whatever the C library says by now */
	struct list_head list;	/* all locks, for a fork to wait for */
};

/**
 * pcpu_lock_init - set a lock up
 * @lock: the lock
 */
void pcpu_lock_init(struct pcpu_lock *lock);

/**
 * pcpu_lock_exit - nobody will take the lock any more
 * @lock: the lock, not taken
 */
void pcpu_lock_exit(struct pcpu_lock *lock);

static inline void pcpu_lock_take(struct pcpu_lock *lock)
{
	bool alone = PCPU_SINGLE_THREADED;

	if (!alone)
		pthread_mutex_lock(&lock->mutex);
	lock->taken = !alone;
}

static inline void pcpu_lock_drop(struct pcpu_lock *lock)
{
	if (lock->taken)
		pthread_mutex_unlock(&lock->mutex);
}

#endif /* PCPU_LOCK_H */
