// SPDX-License-Identifier: GPL-2.0-only
/*
 * counter.c - a number with a copy for each CPU.
 *
 * A thread can be moved to another CPU between any two instructions, so "find
 * the copy of this CPU, add to it" is not safe: somebody else may be adding
 * there.  There are two ways to do it, and how the process was started decides
 * which one it is, once for all its threads.
 *
 * Where the C library registers threads for restartable sequences, an add is
 * such a sequence: find the copy, add to it, the last instruction being the one
 * that stores the result.  If the thread is interrupted before that, by being
 * moved, by another thread on its CPU or by a signal, the kernel lets it go on
 * at the abort handler.  So
 *
 *   - only threads on a CPU write to its copy, one after the other, each without
 *     an interruption: no atomic instruction is needed;
 *   - who was interrupted, has a CPU without a copy, or is not registered, adds
 *     to elsewhere, atomically.  No attempt is repeated: an add is of bounded
 *     length even under a debugger that steps through it;
 *   - a signal handler may add in the middle of an add: the outer one is aborted
 *     first, or has happened;
 *   - a copy of a CPU that goes offline is no longer written to, and summed up
 *     as before;
 *   - after a fork the child has copies of its own, registered as its parent
 *     was, each add of another thread done or not.  The child of a vfork is not
 *     registered, but sees the area of its parent: it must not add.
 *
 * Where threads are not registered, and on machines that have no sequence here,
 * every add is an atomic one, to the copy of the CPU that the thread was on a
 * moment ago.  Then that CPU's copy is in its cache, as a rule.
 *
 * Thus no copy sees adds of both kinds.  ThreadSanitizer cannot look into a
 * sequence, therefore it gets atomic adds always.
 */
#include "percpu.h"

#include <stdbool.h>
#include <string.h>

#include "kernel/kernel.h"
#include "rseq/rseq.h"

/* one CPU's copy: a unit is the same for all, and they lie side by side */
static uint64_t *counter_copy(const struct pcpu_counter *counter, int64_t cpu)
{
	return (uint64_t *)(uintptr_t)(counter->pin.address +
				       cpu * counter->stride);
}

static void add_elsewhere(struct pcpu_counter *counter, uint64_t amount)
{
	__atomic_fetch_add(&counter->elsewhere, amount, __ATOMIC_RELAXED);
}

static noinline void add_atomically(struct pcpu_counter *counter,
				    uint64_t amount)
{
	unsigned int cpu = (unsigned int)pcpu_this_cpu();

	if (cpu >= counter->cpus)	/* errors are above all others */
		add_elsewhere(counter, amount);
	else
		__atomic_fetch_add(counter_copy(counter, cpu), amount,
				   __ATOMIC_RELAXED);
}

static void counter_add(struct pcpu_counter *counter, uint64_t amount)
{
#ifdef PCPU_RSEQ_ADD
	const struct pcpu_rseq_copies copies = {
		counter->pin.address, counter->stride, counter->cpus
	};
	struct pcpu_rseq *rseq = pcpu_rseq_area();

	if (likely(rseq)) {
		if (unlikely(!pcpu_rseq_add(rseq, &copies, amount)))
			add_elsewhere(counter, amount);
		return;
	}
#endif
	add_atomically(counter, amount);
}

static bool is_set_up(const struct pcpu_counter *counter)
{
	return counter->pin.pcpu;
}

int pcpu_counter_init(struct pcpu_counter *counter, struct pcpu *pcpu,
		      int64_t amount)
{
	struct pcpu_pin handle = { 0 };	/* keeps the allocator meanwhile */
	struct pcpu_info info;
	int64_t ptr;
	int err;

	if (!counter)
		return -PCPU_E_NULL;
	memset(counter, 0, sizeof(*counter));
	err = pcpu_info(pcpu, &info);
	if (!err)	/* refused before anything is allocated, if at all */
		err = pcpu_pin(pcpu, info.static_ptr, 0, &handle);
	if (err)
		return err;
	ptr = pcpu_alloc(pcpu, sizeof(uint64_t), sizeof(uint64_t));
	err = ptr < 0 ? (int)ptr : pcpu_pin(pcpu, ptr, 0, &counter->pin);
	pcpu_unpin(&handle);
	if (err)
		return err;
	counter->stride = info.unit_size;
	counter->cpus = info.cpus;
	counter->elsewhere = (uint64_t)amount;
	return 0;
}

int pcpu_counter_add(struct pcpu_counter *counter, int64_t amount)
{
	if (unlikely(!counter))
		return -PCPU_E_NULL;
	if (unlikely(!is_set_up(counter)))
		return -PCPU_E_NOT_LIVE;
	counter_add(counter, (uint64_t)amount);
	return 0;
}

int pcpu_counter_sum(const struct pcpu_counter *counter, int64_t *sum)
{
	uint64_t total;
	int64_t cpu;

	if (!counter || !sum)
		return -PCPU_E_NULL;
	if (!is_set_up(counter))
		return -PCPU_E_NOT_LIVE;
	total = __atomic_load_n(&counter->elsewhere, __ATOMIC_RELAXED);
	for (cpu = 0; cpu < counter->cpus; cpu++)
		total += __atomic_load_n(counter_copy(counter, cpu),
					 __ATOMIC_RELAXED);
	*sum = (int64_t)total;
	return 0;
}

int pcpu_counter_exit(struct pcpu_counter *counter)
{
	struct pcpu_pin handle = { 0 };	/* keeps the allocator, not the area */
	struct pcpu_info info;
	struct pcpu *pcpu;
	int err;

	if (!counter)
		return -PCPU_E_NULL;
	if (!is_set_up(counter))
		return -PCPU_E_NOT_LIVE;
	pcpu = counter->pin.pcpu;
	err = pcpu_info(pcpu, &info);
	if (!err)
		err = pcpu_pin(pcpu, info.static_ptr, 0, &handle);
	if (err)
		return err;
	pcpu_unpin(&counter->pin);
	err = pcpu_free(pcpu, counter->pin.ptr);
	if (err)	/* somebody else's pin: all stays as it was */
		pcpu_pin(pcpu, counter->pin.ptr, 0, &counter->pin);
	pcpu_unpin(&handle);
	return err;
}
