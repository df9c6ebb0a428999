// SPDX-License-Identifier: GPL-2.0-only
/*
 * floor.c - what a call from Python costs when it does nothing, and what a
 * replay costs when it is written as a plain loop over the public functions.
 */
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "csrc/percpu.h"

/* a number like a pointer: making a Python int of it is part of any such call */
int64_t floor_alloc(struct pcpu *pcpu, int64_t size, int64_t align)
{
	(void)pcpu;
	(void)size;
	(void)align;
	return 12288;
}

int floor_free(struct pcpu *pcpu, int64_t ptr)
{
	(void)pcpu;
	(void)ptr;
	return 0;
}

static uint64_t now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* the functions come as pointers: this file is built apart from the library */
uint64_t floor_replay(void *pcpu, void *alloc_function, void *free_function,
		      const void *ops_data, size_t n, const void *kinds_data,
		      int64_t *ptrs)
{
	int64_t (*alloc)(void *, int64_t, int64_t) =
		(int64_t (*)(void *, int64_t, int64_t))alloc_function;
	int (*release)(void *, int64_t) = (int (*)(void *, int64_t))free_function;
	const struct pcpu_op *ops = ops_data;
	const struct pcpu_kind *kinds = kinds_data;
	uint64_t start = now_ns();
	size_t i;

	for (i = 0; i < n; i++) {
		const struct pcpu_op *op = &ops[i];

		if (op->kind != PCPU_OP_FREE) {
			const struct pcpu_kind *kind = &kinds[op->kind];

			if (ptrs[op->slot])
				release(pcpu, ptrs[op->slot]);
			ptrs[op->slot] = alloc(pcpu, kind->size, kind->align);
		} else if (op->slot != PCPU_OP_ORPHAN) {
			release(pcpu, ptrs[op->slot]);
			ptrs[op->slot] = 0;
		}
	}
	return now_ns() - start;
}
