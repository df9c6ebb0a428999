// SPDX-License-Identifier: GPL-2.0-only
/*
 * lives.c - the lives of areas in a trace, and what can be counted of them.
 *
 * A life begins with an allocation.  It ends with the next operation that has
 * the same handle:
 *
 *	operation    0   1   2   3   4
 *	handle 0     o-------x   o....	freed; then kept
 *	handle 1         o-----------o	reallocated: the free was not recorded
 *	live bytes   8  24  16  24  32	the peak is after operation 4
 *
 * Callers name groups of lives, such as those of a call site.  Each function
 * passes once over the lives, whatever a trace contains.
 */
#include "lives.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "../trace/table.h"

#define NO_LIFE		UINT64_MAX	/* of a handle: it has no live area */
#define NO_TIME		UINT64_MAX	/* of an operation */
#define DIGITS		256	/* values of a byte */

#ifndef __SIZEOF_INT128__
#error "percpu_ffi needs a 64-bit machine; the C library by itself does not"
#endif

/* live bytes: 2^64 areas of 2^63 bytes have less than 2^127 */
__extension__ typedef unsigned __int128 bytes_t;

static uint64_t bytes_of(const int64_t *sizes, uint32_t kind)
{
	return sizes[kind] > 0 ? (uint64_t)sizes[kind] : 0;
}

static void begin(struct pcpu_lives *lives, uint64_t at, uint32_t kind,
		  uint64_t end)
{
	lives->born[lives->n] = at;
	lives->died[lives->n] = end;
	lives->kinds[lives->n] = kind;
	lives->fates[lives->n++] = PCPU_KEPT;
}

int pcpu_lives_find(struct pcpu_lives *lives, const struct pcpu_op *ops,
		    size_t n, const int64_t *sizes, size_t nr_kinds,
		    uint64_t *current, size_t slots)
{
	size_t room = lives->n;
	bytes_t live = 0, most = 0;

	lives->n = 0;
	lives->peak = -1;
	memset(current, 0xff, slots * sizeof(*current));
	for (size_t i = 0; i < n; i++) {
		uint32_t handle = ops[i].handle, kind = ops[i].kind;
		bool frees = kind == PCPU_OP_FREE;
		uint64_t old;

		if (handle == PCPU_OP_ORPHAN || kind == PCPU_OP_FAULT ||
		    kind == PCPU_OP_BALANCE)
			continue;
		if (handle >= slots || (!frees && kind >= nr_kinds))
			return -1;
		old = current[handle];
		if (old != NO_LIFE) {
			live -= bytes_of(sizes, lives->kinds[old]);
			lives->died[old] = i;
			lives->fates[old] = frees ? PCPU_FREED :
						    PCPU_REALLOCATED;
		}
		current[handle] = frees ? NO_LIFE : lives->n;
		if (frees)
			continue;
		if (lives->n == room)
			return -1;
		live += bytes_of(sizes, kind);
		begin(lives, i, kind, n);
		if (lives->peak < 0 || live > most) {
			lives->peak = (int64_t)i;
			most = live;
		}
	}
	lives->peak_bytes[0] = (uint64_t)most;
	lives->peak_bytes[1] = (uint64_t)(most >> 64);
	return 0;
}

/* the lifetime of an area, freed with no gap before that */
static uint64_t span_of(const uint64_t *times, uint64_t born, uint64_t died)
{
	if (!times)
		return died - born;
	born = times[born];
	died = times[died];
	return died == NO_TIME || died < born ? PCPU_NO_SPAN : died - born;
}

void pcpu_lives_time(struct pcpu_lives *lives, const struct pcpu_clock *clock)
{
	size_t gap = 0;		/* the first after the allocation */

	for (size_t i = 0; i < lives->n; i++) {
		uint64_t born = lives->born[i], died = lives->died[i];

		while (gap < clock->nr_gaps && clock->gaps[gap] <= born)
			gap++;
		lives->spans[i] = PCPU_NO_SPAN;
		lives->uncertain[i] = 0;
		if (lives->fates[i] != PCPU_FREED)
			continue;
		if (gap < clock->nr_gaps && clock->gaps[gap] <= died)
			lives->uncertain[i] = 1;
		else
			lives->spans[i] = span_of(clock->times, born, died);
	}
}

int pcpu_lives_split(uint32_t *groups, const uint64_t *rows, size_t n,
		     const uint32_t *column, size_t stride)
{
	struct table numbers = { 0 };
	int count = 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t key = (uint64_t)groups[i] << 32 |
			       column[rows[i] * stride];
		uint32_t number = table_get(&numbers, key);

		if (number == TABLE_NONE) {
			if (!table_put(&numbers, key, (uint32_t)count)) {
				count = -1;
				break;
			}
			number = (uint32_t)count++;
		}
		groups[i] = number;
	}
	free(numbers.cells);
	return count;
}

void pcpu_lives_count(const struct pcpu_lives *lives, const uint32_t *groups,
		      struct pcpu_life_counts *counts)
{
	uint64_t peak = (uint64_t)lives->peak;

	for (size_t i = 0; i < lives->n; i++) {
		struct pcpu_life_counts *count = &counts[groups[i]];
		uint64_t born = lives->born[i], died = lives->died[i];

		if (!count->allocs++)
			count->first = born;
		count->at_peak += born <= peak && peak < died;
		count->known += lives->spans[i] != PCPU_NO_SPAN;
		count->uncertain += lives->uncertain[i];
		count->kept += lives->fates[i] == PCPU_KEPT;
		count->reallocs += lives->fates[i] == PCPU_REALLOCATED;
		if (lives->fates[i] == PCPU_FREED) {
			count->frees++;
			if (died > count->last_free)
				count->last_free = died;
		}
	}
}

void pcpu_lives_sort(const struct pcpu_lives *lives, const uint32_t *groups,
		     const uint32_t *rows, uint64_t *ends, uint64_t *sorted)
{
	for (size_t i = 0; i < lives->n; i++) {
		uint32_t row = rows[groups[i]];

		if (row != PCPU_NO_ROW && lives->spans[i] != PCPU_NO_SPAN)
			sorted[ends[row]++] = lives->spans[i];
	}
}

/*
 * Find the value digit by digit, a byte each, from the highest: among the
 * values that begin with the digits so far, count each next digit.
 */
uint64_t pcpu_lives_ranked(const uint64_t *values, size_t n, size_t rank)
{
	uint64_t found = 0, known = 0; /* digits, and the mask of them */

	for (int shift = 56; shift >= 0; shift -= 8) {
		size_t counts[DIGITS] = { 0 };
		uint64_t digit = 0;

		for (size_t i = 0; i < n; i++)
			if ((values[i] & known) == found)
				counts[values[i] >> shift & (DIGITS - 1)]++;
		while (rank >= counts[digit])
			rank -= counts[digit++];
		found |= digit << shift;
		known |= (uint64_t)(DIGITS - 1) << shift;
	}
	return found;
}
