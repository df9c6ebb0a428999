// SPDX-License-Identifier: GPL-2.0-only
/*
 * replay.c - a stream of operations in one call.
 *
 * Each live area has a handle, a small number that is used again after its
 * free, so that an array finds the pointer.
 */
#define _GNU_SOURCE 1	/* clock_gettime */
#include "internal.h"
#include "kernel/clock.h"

/* read each field once: the values that were checked are used */
static struct pcpu_op read_op(const struct pcpu_op *op)
{
	return (struct pcpu_op){
		.handle = __atomic_load_n(&op->handle, __ATOMIC_RELAXED),
		.kind = __atomic_load_n(&op->kind, __ATOMIC_RELAXED),
	};
}

static bool op_is_valid(const struct pcpu_replay *replay,
			const struct pcpu_op *op)
{
	switch (op->kind) {
	case PCPU_OP_FREE:
		return op->handle == PCPU_OP_ORPHAN ||
		       op->handle < replay->nr_handles;
	case PCPU_OP_FAULT:
		return op->handle < replay->nr_faults;
	case PCPU_OP_BALANCE:
		return true;
	default:
		return op->kind < replay->nr_kinds &&
		       op->handle < replay->nr_handles;
	}
}

/* free the area of a handle; a pinned area stays, with its handle */
static int64_t drop(struct pcpu *pcpu, struct pcpu_replay *replay,
		    struct pcpu_replay_handle *handle)
{
	int64_t ptr = handle->ptr;
	int err = pcpu_free_locked(pcpu, ptr);

	if (unlikely(err)) {
		replay->failures++;
		return err;
	}
	replay->live_bytes -= handle->size;
	handle->ptr = 0;
	handle->size = 0;
	return ptr;
}

static int64_t take(struct pcpu *pcpu, struct pcpu_replay *replay,
		    struct pcpu_replay_handle *handle, const struct pcpu_kind *kind)
{
	int64_t ptr;

	if (unlikely(handle->ptr)) {
		ptr = drop(pcpu, replay, handle);
		if (ptr < 0)
			return ptr;
	}
	replay->ignored_flags += kind->flags && !pcpu->geo.bitmap;
	ptr = pcpu_alloc_locked(pcpu, kind->size, kind->align, kind->flags);
	if (pcpu->nr_chunks > replay->peak_chunks)
		replay->peak_chunks = pcpu->nr_chunks;
	if (unlikely(ptr < 0)) {
		replay->failures++;
		return ptr;
	}
	handle->ptr = ptr;
	handle->size = kind->size;

	replay->live_bytes += kind->size;
	if (replay->live_bytes > replay->peak_live_bytes) {
		replay->peak_live_bytes = replay->live_bytes;
		replay->pages_at_peak = pcpu->nr_pages;
	}
	if (pcpu->nr_pages > replay->peak_pages)
		replay->peak_pages = pcpu->nr_pages;
	return ptr;
}

static int64_t arm(struct pcpu *pcpu, struct pcpu_replay *replay,
		   const struct pcpu_replay_fault *set)
{
	int err = fake_fault_arm(&pcpu->kernel.faults, set->site,
				 set->clear ? NULL : &set->fault);

	replay->failures += err != 0;
	return err;
}

static void note(const struct pcpu *pcpu, const struct pcpu_replay_curves *to,
		 size_t i)
{
	to->pages[i] = pcpu->nr_pages;
	to->chunks[i] = pcpu->nr_chunks;
	to->hidden[i] = pcpu->hidden_bytes;
}

/* whether the arrays are there; only a replay needs the handles */
static bool has_inputs(const struct pcpu_replay *replay, size_t n)
{
	return replay && (replay->ops || !n) &&
	       (replay->kinds || !replay->nr_kinds) &&
	       (replay->faults || !replay->nr_faults);
}

int pcpu_replay_check(const struct pcpu_replay *replay, size_t n)
{
	size_t i;

	if (!has_inputs(replay, n))
		return -PCPU_E_NULL;
	for (i = 0; i < n; i++) {
		struct pcpu_op op = read_op(&replay->ops[i]);

		if (!op_is_valid(replay, &op))
			return -PCPU_E_TRACE;
	}
	return 0;
}

int pcpu_replay(struct pcpu *pcpu, struct pcpu_replay *replay, size_t from,
		size_t to)
{
	uint64_t start;
	size_t i;
	int err;

	if (!has_inputs(replay, from < to) || (replay->nr_handles && !replay->handles))
		return -PCPU_E_NULL;
	err = pcpu_lock(pcpu);
	if (err)
		return err;
	start = ktime_get_ns();
	for (i = from; i < to; i++) {
		struct pcpu_op op = read_op(&replay->ops[i]);
		int64_t ptr = 0;

		/* it may have changed since pcpu_replay_check() */
		if (unlikely(!op_is_valid(replay, &op))) {
			err = -PCPU_E_TRACE;
			break;
		}
		if (op.kind == PCPU_OP_FAULT)
			ptr = arm(pcpu, replay, &replay->faults[op.handle]);
		else if (op.kind < PCPU_OP_FIRST)
			ptr = take(pcpu, replay, &replay->handles[op.handle],
				   &replay->kinds[op.kind]);
		else if (op.kind == PCPU_OP_FREE && op.handle != PCPU_OP_ORPHAN)
			ptr = drop(pcpu, replay, &replay->handles[op.handle]);
		else if (op.kind == PCPU_OP_BALANCE)
			pcpu_balance_locked(pcpu, 1, PCPU_BALANCE_STEPS);
		if (pcpu->hidden_bytes > replay->peak_hidden)
			replay->peak_hidden = pcpu->hidden_bytes;
		if (replay->pointers)
			replay->pointers[i] = ptr;
		if (replay->curves)
			note(pcpu, replay->curves, i);
	}
	replay->elapsed_ns += ktime_get_ns() - start;
	pcpu_unlock(pcpu);
	return err;
}
