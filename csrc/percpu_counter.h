/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_counter.h - per-CPU memory in use: where a thread runs, and a counter
 * that threads on different CPUs add to without disturbing one another.
 *
 * Threads of a process may be moved to another CPU between any two
 * instructions.  A counter takes care of that; whoever writes to copies by
 * himself has to.
 */
#ifndef PERCPU_COUNTER_H
#define PERCPU_COUNTER_H

/**
 * pcpu_this_cpu - the CPU that the calling thread runs on
 *
 * It did while this function ran; by the time the caller looks at the answer
 * the thread may run elsewhere.  Good for choosing a copy, not for having it to
 * oneself.  The number may be above the CPUs of an allocator, which are a
 * matter of its configuration.
 *
 * Threads: any, signal handlers too.  Cost: a few instructions where the C
 * library registers threads for restartable sequences (glibc 2.35 and later, on
 * x86-64 and aarch64), otherwise that of sched_getcpu().
 *
 * Return: 0 or more, as the system numbers its CPUs, or -PCPU_E_CPU: the system
 * does not tell, the call is filtered.
 */
int pcpu_this_cpu(void);

/*
 * A number with a copy for each CPU.  The caller's memory; it stays where it is
 * between pcpu_counter_init() and pcpu_counter_exit().  The fields are for
 * looking at.
 */
struct pcpu_counter {
	struct pcpu_pin pin;	/* keeps the area; address: CPU 0's copy */
	int64_t stride;		/* bytes from one CPU's copy to the next one's */
	int64_t cpus;		/* copies */
	uint64_t elsewhere;	/* the first amount, and what no copy could take */
};

/**
 * pcpu_counter_init - set up a counter in 8 bytes of per-CPU memory
 * @counter: all of it is written; must not be one that is already set up
 * @pcpu: where from; its memory is PCPU_MEMORY_MAPPED
 * @amount: what the counter says at first
 *
 * Until pcpu_counter_exit() the area is pinned: pcpu_free() of it and
 * pcpu_close() return -PCPU_E_PINNED, and pcpu_destroy() waits.
 *
 * An allocator with fewer CPUs than the machine is allowed: the CPUs that have
 * no copy share one number.  That is exact too, but no faster than any number
 * that is shared.
 *
 * Threads: one for each counter.  Cost: an allocation.
 *
 * Return: 0; -PCPU_E_NULL: @counter or @pcpu is NULL; -PCPU_E_CLOSED;
 * -(PCPU_E_NOMEM + the service that failed); -PCPU_E_NO_MEMORY_MAPPED;
 * -PCPU_E_ROLLBACK: memory may vanish with PCPU_QUIRK_ROLLBACK; -PCPU_E_BUSY:
 * called from within a call.  But for 0 nothing is held, and @counter is as
 * after pcpu_counter_exit().
 */
int pcpu_counter_init(struct pcpu_counter *counter, struct pcpu *pcpu,
		      int64_t amount);

/**
 * pcpu_counter_add - add to the copy of the CPU that the thread runs on
 * @counter: set up
 * @amount: any; sums wrap at 64 bits
 *
 * Nothing is ever lost, wherever the thread is moved to meanwhile.  It orders
 * no other memory accesses.
 *
 * Threads: any, signal handlers too, also in the middle of another add; not
 * while pcpu_counter_init() or pcpu_counter_exit() run, and not in the child of
 * a vfork().  Never waits.  Cost: some 25 instructions, no atomic one, where
 * threads are registered for restartable sequences, on x86-64 and aarch64 with
 * glibc 2.35 and later; otherwise that of sched_getcpu() and an atomic add to
 * memory that other CPUs seldom touch, which may be more than that of an atomic
 * add to a shared number.
 *
 * Return: 0; -PCPU_E_NULL: @counter is NULL; -PCPU_E_NOT_LIVE: it is not set
 * up.
 */
int pcpu_counter_add(struct pcpu_counter *counter, int64_t amount);

/**
 * pcpu_counter_sum - what the counter says
 * @counter: set up
 * @sum: the first amount and all that was added, modulo 2^64
 *
 * Exact when nobody adds meanwhile.  Otherwise each add that runs at the same
 * time is in it or not.
 *
 * Threads: as pcpu_counter_add().  Cost: one load for each CPU, most of them
 * of memory that is in another CPU's cache.
 *
 * Return: 0; -PCPU_E_NULL: @counter or @sum is NULL; -PCPU_E_NOT_LIVE: the
 * counter is not set up.
 */
int pcpu_counter_sum(const struct pcpu_counter *counter, int64_t *sum);

/**
 * pcpu_counter_exit - give a counter's memory back
 * @counter: set up; afterwards it may be set up again
 *
 * If pcpu_destroy() was called meanwhile and this was the last pin, it is
 * carried out now.
 *
 * Threads: one for each counter, and nobody adds or sums any more.  Cost: a
 * free.
 *
 * Return: 0; -PCPU_E_NULL: @counter is NULL; -PCPU_E_NOT_LIVE: it is not set
 * up; -PCPU_E_PINNED: somebody else pinned its area; -PCPU_E_BUSY: called from
 * within a call.  But for 0 nothing is done.
 */
int pcpu_counter_exit(struct pcpu_counter *counter);

#endif /* PERCPU_COUNTER_H */
