// SPDX-License-Identifier: GPL-2.0-only
/*
 * lock.c - wait for an allocator, and wake who waits; locks across a fork.
 *
 * An allocator's data takes microseconds to move to another core, as long as
 * dozens of calls.  So threads that want it all the time take turns: the one
 * that leaves may enter again at once, while another one looks at the lock less
 * and less often.  After PCPU_PATIENCE that one is the heir, and the others let
 * it pass.  A thread that waits twice as long sleeps until a thread that leaves
 * wakes it: calls take long, or there are more threads than cores.
 *
 *	thread 1   calls ...............| waits          heir| calls ...
 *	thread 2   waits            heir| calls .............| waits
 *
 * Each step changes one word.  So a signal handler that calls the allocator is
 * refused, or waits for another thread, wherever it interrupted this one.
 */
#define _GNU_SOURCE 1	/* syscall */
#include <pthread.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "internal.h"
#include "kernel/clock.h"

/* nanoseconds; docs/threads.md has the throughput of other values */
#ifndef PCPU_PATIENCE
#define PCPU_PATIENCE	50000	/* a move costs some per cent of it */
#endif
#define FIRST_PAUSE	250	/* a few calls */
#define LONGEST_SLEEP	50000000

/* operations of SYS_futex, in linux/futex.h, which musl-gcc does not find */
#define WAIT_PRIVATE	128
#define WAKE_PRIVATE	129

static inline void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ __volatile__("yield" : : : "memory");
#endif
}

static bool replace(uintptr_t *word, uintptr_t old, uintptr_t new)
{
	return __atomic_compare_exchange_n(word, &old, new, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* take a free lock, except from another thread that is the heir */
static bool try_take(struct pcpu_lock *lock, uintptr_t self)
{
	uintptr_t heir = __atomic_load_n(&lock->heir, __ATOMIC_RELAXED);

	return (!heir || heir == self) &&
	       replace(&lock->owner, PCPU_OWNER_NONE, self);
}

static bool is_held(const struct pcpu_lock *lock)
{
	return __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
}

/* look at the lock less and less often; return whether this thread took it */
static bool spin(struct pcpu_lock *lock, uintptr_t self)
{
	uint64_t now = ktime_get_ns(), end = now + PCPU_PATIENCE;
	uint64_t pause;

	for (pause = FIRST_PAUSE; ; pause *= 2) {
		uint64_t next = now + pause;

		/* only a write takes the cache line from the owner */
		if (!is_held(lock) && try_take(lock, self))
			return true;
		if (now >= end)
			return false;
		while ((now = ktime_get_ns()) < next)
			cpu_relax();
	}
}

/* become the heir, also in place of one that does not come */
static bool become_heir(struct pcpu_lock *lock, uintptr_t self)
{
	uintptr_t heir = __atomic_load_n(&lock->heir, __ATOMIC_RELAXED);

	if (heir) {
		if (is_held(lock))
			return false;
		sched_yield();	/* it may wait for this core */
	}
	return replace(&lock->heir, heir, self);
}

/* no longer be the heir, if this thread is */
static void resign(struct pcpu_lock *lock, uintptr_t self)
{
	replace(&lock->heir, self, PCPU_OWNER_NONE);
}

/*
 * Sleep until woken or for a while: a thread that leaves at the same moment may
 * not notice.
 */
static void sleep_until_woken(struct pcpu_lock *lock, uintptr_t self)
{
	static const long limit[] = { 0, LONGEST_SLEEP };	/* a timespec */
	bool heir = __atomic_load_n(&lock->heir, __ATOMIC_RELAXED) == self;
	uint32_t *word = heir ? &lock->heir_asleep : &lock->asleep;

	__atomic_store_n(word, 1, __ATOMIC_RELAXED);
	__atomic_store_n(&lock->asleep, 1, __ATOMIC_SEQ_CST);
	if (is_held(lock))
		syscall(SYS_futex, word, WAIT_PRIVATE, 1, limit);
}

/* take a lock that another thread holds; false: it is this one */
static noinline bool wait_for_lock(struct pcpu_lock *lock, uintptr_t self)
{
	uintptr_t owner = __atomic_load_n(&lock->owner, __ATOMIC_RELAXED);
	bool slept = false;

	if (owner == self || owner == PCPU_OWNER_ALONE)
		return false;
	while (!spin(lock, self) &&
	       !(become_heir(lock, self) && spin(lock, self))) {
		sleep_until_woken(lock, self);
		slept = true;
	}
	resign(lock, self);
	/* the thread that woke this one cleared it, and there may be others */
	if (slept)
		__atomic_store_n(&lock->asleep, 1, __ATOMIC_RELAXED);
	return true;
}

/**
 * pcpu_lock_shared - take a lock when there may be other threads
 *
 * Return: false when this thread holds it, or a thread that was the only one
 * when it took it, or when it has ended.
 */
noinline bool pcpu_lock_shared(struct pcpu_lock *lock)
{
	uintptr_t self = (uintptr_t)pthread_self();

	return likely(try_take(lock, self)) || wait_for_lock(lock, self);
}

/* release a lock and wake one thread: the heir, if there is one */
noinline void pcpu_lock_drop_and_wake(struct pcpu_lock *lock)
{
	bool heir = __atomic_load_n(&lock->heir, __ATOMIC_RELAXED);
	uint32_t *word = heir ? &lock->heir_asleep : &lock->asleep;

	__atomic_store_n(word, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&lock->owner, PCPU_OWNER_NONE, __ATOMIC_RELEASE);
	/* if the lock is freed by now, it wakes none */
	syscall(SYS_futex, word, WAKE_PRIVATE, 1);
}

/* --- forks
 *
 * A child has the forking thread only: a lock that another thread held would
 * never be released.  So a fork waits until no thread is inside any allocator.
 */

static pthread_mutex_t all_mutex = PTHREAD_MUTEX_INITIALIZER;
static struct list_head all_locks = { &all_locks, &all_locks };

static struct pcpu_lock *link_to_lock(struct list_head *link)
{
	return list_entry(link, struct pcpu_lock, list);
}

static void before_fork(void)
{
	struct list_head *pos;

	pthread_mutex_lock(&all_mutex);
	/* newest first: a hook of one may need an older one */
	list_for_each(pos, &all_locks) {
		struct pcpu_lock *lock = link_to_lock(pos);

		/* not if a hook of this allocator forks: it stays inside */
		lock->for_fork = pcpu_lock_take(lock);
	}
}

static void after_fork(void)
{
	struct list_head *pos;

	list_for_each(pos, &all_locks)
		if (link_to_lock(pos)->for_fork)
			pcpu_lock_drop(link_to_lock(pos));
	pthread_mutex_unlock(&all_mutex);
}

/* no thread of the parent waits here */
static void after_fork_in_child(void)
{
	struct list_head *pos;

	list_for_each(pos, &all_locks)
		link_to_lock(pos)->heir = PCPU_OWNER_NONE;
	after_fork();
}

/*
 * As early as possible.  Handlers run in reverse order before a fork: those
 * that a program adds later find all locks free, and may use allocators.
 */
__attribute__((constructor)) static void watch_forks(void)
{
	pthread_atfork(before_fork, after_fork, after_fork_in_child);
}

/* --- the life of a lock */

/* the memory is zero */
void pcpu_lock_init(struct pcpu_lock *lock)
{
	pthread_mutex_lock(&all_mutex);
	list_add(&lock->list, &all_locks);
	pthread_mutex_unlock(&all_mutex);
}

/*
 * From then on it counts as held: the hook that frees its memory is refused
 * like any other.
 */
void pcpu_lock_exit(struct pcpu_lock *lock)
{
	pthread_mutex_lock(&all_mutex);
	list_del(&lock->list);
	pthread_mutex_unlock(&all_mutex);
	lock->owner = PCPU_OWNER_ALONE;
}

/* leave an allocator and deliver a pending warning */
noinline void pcpu_unlock_and_log(struct pcpu *pcpu)
{
	struct fake_log *log = &pcpu->kernel.log;
	const char *text = log->pending;

	log->pending = NULL;
	pcpu_lock_drop(&pcpu->lock);
	/* without the lock: the sink may call the allocator */
	fake_log_text(log, PCPU_LOG_WARN, text);
}
