// SPDX-License-Identifier: GPL-2.0-only
/*
 * columns.c - decode and check the columns of a trace file.
 *
 * A file has the bytes of n items in the order in which they compress well,
 * from which they are put together:
 *
 *	file	a0 b0 c0 ...  a1 b1 c1 ...  a2 b2 c2 ...  a3 b3 c3 ...
 *	items	a3a2a1a0  b3b2b1b0  c3c2c1c0  ...
 *
 * The caller knows how long the tables are that indices refer to; here is found
 * how long they have to be.
 */
#include "columns.h"

#include <string.h>

static inline void join(char *item, size_t stride, const uint8_t *bytes,
			size_t size, size_t n, size_t plane)
{
	for (size_t i = 0; i < n; i++, item += stride) {
		uint64_t value = 0;

		for (size_t byte = 0; byte < size; byte++)
			value |= (uint64_t)bytes[byte * plane + i] << 8 * byte;
		if (size == 8)
			memcpy(item, &value, 8);
		else if (size == 4)
			memcpy(item, &(uint32_t){ (uint32_t)value }, 4);
		else
			memcpy(item, &(uint16_t){ (uint16_t)value }, 2);
	}
}

void pcpu_columns_join(void *items, size_t stride, const uint8_t *bytes,
		       size_t size, size_t n)
{
	if (size == 8)		/* each a loop for that size */
		join(items, stride, bytes, 8, n, n);
	else if (size == 4)
		join(items, stride, bytes, 4, n, n);
	else
		join(items, stride, bytes, 2, n, n);
}

int pcpu_columns_sum(uint64_t *times, size_t n, uint64_t tick)
{
	uint64_t ticks = 0;

	for (size_t i = 0; i < n; i++) {
		ticks += times[i];
		if (ticks > UINT64_MAX / tick)
			return -1;
		times[i] = ticks * tick;
	}
	return 0;
}

uint32_t pcpu_columns_used(const uint32_t *column, size_t n)
{
	uint32_t most = 0;

	for (size_t i = 0; i < n; i++) {
		uint32_t next = column[i] + 1; /* 0 where there is none */

		most = next > most ? next : most;
	}
	return most;
}

static void widen(uint64_t *most, uint32_t index)
{
	if (index >= *most)
		*most = (uint64_t)index + 1;
}

void pcpu_columns_range(const struct pcpu_op *ops, size_t n,
			struct pcpu_ops_range *range)
{
	memset(range, 0, sizeof(*range));
	for (size_t i = 0; i < n; i++) {
		uint32_t handle = ops[i].handle, kind = ops[i].kind;

		if (kind < PCPU_OP_FIRST) {
			range->allocs++;
			widen(&range->kinds, kind);
			widen(&range->handles, handle);
		} else if (kind == PCPU_OP_FREE) {
			range->frees++;
			if (handle != PCPU_OP_ORPHAN)
				widen(&range->handles, handle);
		} else if (kind == PCPU_OP_FAULT) {
			widen(&range->faults, handle);
		}
	}
}
