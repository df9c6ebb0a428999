// SPDX-License-Identifier: GPL-2.0-only
/*
 * lock.c - locks across a fork.
 *
 * A child has the forking thread alone: a lock that another one held would
 * never be dropped.  So a fork waits until nobody is inside any allocator.
 */
#define _GNU_SOURCE 1	/* PTHREAD_MUTEX_ERRORCHECK */
#include "lock.h"

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list_head all_locks = { &all_locks, &all_locks };

static struct pcpu_lock *link_to_lock(struct list_head *link)
{
	return list_entry(link, struct pcpu_lock, list);
}

/*
 * A mutex that its owner takes again reports it.  It also reports an owner that
 * is no such thread, as in a child, which therefore gets new ones.
 */
static void mutex_init(pthread_mutex_t *mutex)
{
	pthread_mutexattr_t attr;

	pthread_mutexattr_init(&attr);
	pthread_mutexattr_settype(&attr, PTHREAD_MUTEX_ERRORCHECK);
	pthread_mutex_init(mutex, &attr);
	pthread_mutexattr_destroy(&attr);
}

static void before_fork(void)
{
	struct list_head *pos;

	pthread_mutex_lock(&all_mutex);
	/* newest first: a hook of one may be about to use an older one */
	list_for_each(pos, &all_locks)
		pthread_mutex_lock(&link_to_lock(pos)->mutex);
}

static void after_fork_in_child(void)
{
	struct list_head *pos;

	list_for_each(pos, &all_locks)
		mutex_init(&link_to_lock(pos)->mutex);
	pthread_mutex_unlock(&all_mutex);
}

static void after_fork(void)
{
	struct list_head *pos;

	list_for_each(pos, &all_locks)
		pthread_mutex_unlock(&link_to_lock(pos)->mutex);
	pthread_mutex_unlock(&all_mutex);
}

/*
 * As early as can be.  Handlers run in the reverse order before a fork: those
 * that a program adds later still find all locks free, and may use allocators.
 */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

void pcpu_lock_init(struct pcpu_lock *lock)
{
	mutex_init(&lock->mutex);
	lock->held = PCPU_HELD_NOT;
	pthread_mutex_lock(&all_mutex);
	list_add(&lock->list, &all_locks);
	pthread_mutex_unlock(&all_mutex);
}

void pcpu_lock_exit(struct pcpu_lock *lock)
{
	pthread_mutex_lock(&all_mutex);
	list_del(&lock->list);
	pthread_mutex_unlock(&all_mutex);
	pthread_mutex_destroy(&lock->mutex);
}

bool pcpu_lock_wait(struct pcpu_lock *lock)
{
	if (pthread_mutex_lock(&lock->mutex))
		return false;
	if (unlikely(lock->held)) {
		/* by a hook's caller, who was alone until the hook made a thread */
		pthread_mutex_unlock(&lock->mutex);
		return false;
	}
	lock->held = PCPU_HELD_MUTEX;
	return true;
}
