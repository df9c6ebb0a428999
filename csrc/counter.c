// SPDX-License-Identifier: GPL-2.0-only
/*
 * counter.c - a number with a copy for each CPU.
 *
 * A thread can be moved to another CPU between any two instructions, so "find
 * the copy of this CPU, add to it" is not safe: another thread may add there.
 * There are two ways to add.  How the process was started decides which one is
 * used, once for all its threads.
 *
 * If the C library registers threads for restartable sequences, an add is such
 * a sequence: find the copy, add to it; the last instruction stores the result.
 * If the thread is interrupted before that, by a move, by another thread on its
 * CPU or by a signal, the kernel continues it at the abort handler.  So
 *
 *   - only threads on a CPU write to its copy, one after the other, without an
 *     interruption: no atomic instruction is needed;
 *   - a thread that was interrupted, has a CPU without a copy, or is not
 *     registered adds to elsewhere, atomically.  No attempt is repeated: the
 *     length of an add is bounded, even under a debugger that steps through it;
 *   - a signal handler may add in the middle of an add: the outer one is aborted
 *     first, or is already done;
 *   - the copy of a CPU that goes offline is no longer written to, and still
 *     part of the sum;
 *   - after a fork the child has its own copies and is registered as its parent
 *     was; each add of another thread is done or not.  The child of a vfork is
 *     not registered, but sees the area of its parent: it must not add.
 *
 * If threads are not registered, or the machine has no sequence here, every add
 * is atomic, to the copy of the CPU that the thread was on a moment ago.  That
 * copy is usually in the CPU's cache.
 *
 * So no copy gets adds of both kinds.  ThreadSanitizer cannot look into a
 * sequence: it always gets atomic adds.
 */
#include "percpu.h"

#include <stdbool.h>

#include "kernel/kernel.h"
#include "rseq/rseq.h"

/* one CPU's copy: units have the same size and are adjacent */
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

	if (cpu >= counter->cpus)	/* errors are larger than any CPU */
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

/* pin the static area, so that the allocator cannot be closed */
static int pin_static(struct pcpu *pcpu, struct pcpu_pin *pin,
		      struct pcpu_info *info)
{
	int err = pcpu_info(pcpu, info);

	return err ? err : pcpu_pin(pcpu, info->static_ptr, 0, pin);
}

int pcpu_counter_init(struct pcpu_counter *counter, struct pcpu *pcpu,
		      int64_t amount)
{
	struct pcpu_pin held = { 0 };
	struct pcpu_info info;
	int64_t ptr;
	int err;

	if (!counter)
		return -PCPU_E_NULL;
	counter->pin.pcpu = NULL;
	err = pin_static(pcpu, &held, &info);
	if (err)	/* before anything is allocated */
		return err;
	ptr = pcpu_alloc(pcpu, sizeof(uint64_t), sizeof(uint64_t));
	err = ptr < 0 ? (int)ptr : pcpu_pin(pcpu, ptr, 0, &counter->pin);
	pcpu_unpin(&held);
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
	struct pcpu_pin held = { 0 };
	struct pcpu_info info;
	struct pcpu *pcpu;
	int err;

	if (!counter)
		return -PCPU_E_NULL;
	if (!is_set_up(counter))
		return -PCPU_E_NOT_LIVE;
	pcpu = counter->pin.pcpu;
	err = pin_static(pcpu, &held, &info);
	if (err)
		return err;
	pcpu_unpin(&counter->pin);
	err = pcpu_free(pcpu, counter->pin.ptr);
	if (err)	/* another pin: restore the state */
		pcpu_pin(pcpu, counter->pin.ptr, 0, &counter->pin);
	pcpu_unpin(&held);
	return err;
}
