// SPDX-License-Identifier: GPL-2.0-only
/*
 * lock.c - enter and leave an allocator; locks across a fork.
 *
 * A child has the forking thread only: a lock that another thread held would
 * never be released.  So a fork waits until no thread is inside any allocator.
 */
#define _GNU_SOURCE 1	/* PTHREAD_MUTEX_ERRORCHECK */
#include "internal.h"

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list_head all_locks = { &all_locks, &all_locks };

static struct pcpu_lock *link_to_lock(struct list_head *link)
{
	return list_entry(link, struct pcpu_lock, list);
}

/*
 * The mutex reports an owner that locks it again.  It also reports an unlock by
 * another thread, as in a child, which therefore gets new mutexes.
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
	/* newest first: a hook of one may need an older one */
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
 * As early as possible.  Handlers run in reverse order before a fork: those
 * that a program adds later find all locks free, and may use allocators.
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

/*
 * End a lock.  From then on it counts as held: the hook that frees its memory
 * is refused like any other.  So the mutex is not destroyed, which would free
 * nothing on Linux.
 */
void pcpu_lock_exit(struct pcpu_lock *lock)
{
	pthread_mutex_lock(&all_mutex);
	list_del(&lock->list);
	pthread_mutex_unlock(&all_mutex);
	lock->held = PCPU_HELD_ALONE;
}

/**
 * pcpu_lock_wait - take a lock when there may be other threads
 *
 * Return: false when this thread holds it, or a thread that was the only one
 * when it took it, or when it has ended.
 */
bool pcpu_lock_wait(struct pcpu_lock *lock)
{
	if (pthread_mutex_lock(&lock->mutex))
		return false;
	if (unlikely(lock->held)) {
		/* the holder was the only thread until its hook made one */
		pthread_mutex_unlock(&lock->mutex);
		return false;
	}
	lock->held = PCPU_HELD_MUTEX;
	return true;
}

/* leave the allocator, and deliver a pending warning */
void pcpu_unlock(struct pcpu *pcpu)
{
	struct fake_log *log = &pcpu->kernel.log;
	const char *text = log->pending;

	if (unlikely(text))
		log->pending = NULL;
	pcpu_lock_drop(&pcpu->lock);
	/* without the lock: the sink may call the allocator */
	if (unlikely(text))
		fake_log_text(log, PCPU_LOG_WARN, text);
}
