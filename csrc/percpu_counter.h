/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * percpu_counter.h - a part of percpu.h: the CPU of a thread, and a counter
 * that threads on different CPUs add to without slowing one another down.
 *
 * A thread may be moved to another CPU between any two instructions.  A counter
 * handles that; code that writes to copies itself has to do so too.
 */
#ifndef PERCPU_COUNTER_H
#define PERCPU_COUNTER_H

/**
 * pcpu_this_cpu - return the CPU that the calling thread runs on
 *
 * The thread may be on another CPU by the time that the caller reads the
 * result.  So it is good for choosing a copy, but the copy may be shared.  The
 * number may be above the CPUs of an allocator, which are set in its
 * configuration.
 *
 * Threads: any, signal handlers too.  Cost: a few instructions where the C
 * library registers threads for restartable sequences (glibc 2.35 and later, on
 * x86-64 and aarch64), otherwise that of sched_getcpu().
 *
 * Return: 0 or more, as the system numbers its CPUs, or -PCPU_E_CPU if the
 * system call is filtered.
 */
int pcpu_this_cpu(void);

/*
 * A number with a copy for each CPU.  The caller provides the memory and must
 * not move it between pcpu_counter_init() and pcpu_counter_exit().  The fields
 * are read-only for the caller.
 */
struct pcpu_counter {
	struct pcpu_pin pin;	/* keeps the area; address: CPU 0's copy */
	int64_t stride;		/* bytes from one CPU's copy to the next */
	int64_t cpus;		/* copies */
	uint64_t elsewhere;	/* the first amount, and what no copy could take */
};

/**
 * pcpu_counter_init - set up a counter in 8 bytes of per-CPU memory
 * @counter: is overwritten; must not be set up already
 * @pcpu: the allocator; its memory is PCPU_MEMORY_MAPPED
 * @amount: the first value
 *
 * Until pcpu_counter_exit() the area is pinned: pcpu_free() of it and
 * pcpu_close() return -PCPU_E_PINNED, and pcpu_destroy() waits.
 *
 * An allocator with fewer CPUs than the machine is allowed: the CPUs that have
 * no copy share one number.  That is exact too, but as slow as any shared
 * number.
 *
 * Threads: one for each counter.  Cost: an allocation.
 *
 * Return: 0; -PCPU_E_NULL: @counter or @pcpu is NULL; -PCPU_E_CLOSED;
 * -(PCPU_E_NOMEM + the service that failed); -PCPU_E_NO_MEMORY_MAPPED;
 * -PCPU_E_ROLLBACK: no pins with PCPU_QUIRK_ROLLBACK; -PCPU_E_BUSY: called
 * inside a call.  After an error nothing is held, and @counter is as after
 * pcpu_counter_exit().
 */
int pcpu_counter_init(struct pcpu_counter *counter, struct pcpu *pcpu,
		      int64_t amount);

/**
 * pcpu_counter_add - add to the copy of the CPU that the thread runs on
 * @counter: set up
 * @amount: any; sums wrap at 64 bits
 *
 * No addition is lost, even if the thread is moved to another CPU.  No other
 * memory accesses are ordered.
 *
 * Threads: any, signal handlers too, also in the middle of another add; not
 * while pcpu_counter_init() or pcpu_counter_exit() run, and not in the child of
 * a vfork().  Never waits.  Cost: about 25 instructions, none of them atomic,
 * if threads are registered for restartable sequences, on x86-64 and aarch64
 * with glibc 2.35 and later; otherwise that of sched_getcpu() and an atomic add
 * to memory that other CPUs rarely access, which may be more than that of an
 * atomic add to a shared number.
 *
 * Return: 0; -PCPU_E_NULL: @counter is NULL; -PCPU_E_NOT_LIVE: it is not set
 * up.
 */
int pcpu_counter_add(struct pcpu_counter *counter, int64_t amount);

/**
 * pcpu_counter_sum - return the value of a counter
 * @counter: set up
 * @sum: set to the first amount and all that was added, modulo 2^64
 *
 * Exact if no thread adds at the same time.  Otherwise each add that runs at
 * the same time is included or not.
 *
 * Threads: as pcpu_counter_add().  Cost: one load for each CPU, most of them
 * from memory that is in another CPU's cache.
 *
 * Return: 0; -PCPU_E_NULL: @counter or @sum is NULL; -PCPU_E_NOT_LIVE: the
 * counter is not set up.
 */
int pcpu_counter_sum(const struct pcpu_counter *counter, int64_t *sum);

/**
 * pcpu_counter_exit - free a counter's memory
 * @counter: set up; afterwards it may be set up again
 *
 * If pcpu_destroy() was called and this was the last pin, it takes effect now.
 *
 * Threads: one for each counter; no thread may add or sum at the same time.
 * Cost: a free.
 *
 * Return: 0; -PCPU_E_NULL: @counter is NULL; -PCPU_E_NOT_LIVE: it is not set
 * up; -PCPU_E_PINNED: its area has another pin; -PCPU_E_BUSY: called inside a
 * call.  After an error nothing has changed.
 */
int pcpu_counter_exit(struct pcpu_counter *counter);

#endif /* PERCPU_COUNTER_H */
