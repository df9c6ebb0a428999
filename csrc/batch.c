// SPDX-License-Identifier: GPL-2.0-only
/*
 * batch.c - many allocations or frees in one call, all or none.
 */
#include <stdlib.h>

#include "internal.h"

/* the @i-th of an array of integers of any width, a negative one when signed */
static int64_t nth(const void *array, int width, size_t i)
{
	switch (width) {
	case 1:
		return ((const uint8_t *)array)[i];
	case -1:
		return ((const int8_t *)array)[i];
	case 2:
		return ((const uint16_t *)array)[i];
	case -2:
		return ((const int16_t *)array)[i];
	case 4:
		return ((const uint32_t *)array)[i];
	case -4:
		return ((const int32_t *)array)[i];
	default:
		/* an unsigned one above 2^63 becomes negative and is refused */
		return ((const int64_t *)array)[i];
	}
}

/* check what both functions need, and take the lock */
static int batch_start(struct pcpu *pcpu, bool has_arrays, int width,
		       size_t *at)
{
	long long bytes = llabs(width);

	if (!at || !has_arrays)
		return -PCPU_E_NULL;
	*at = 0;
	if (bytes > 8 || !pcpu_is_power_of_two(bytes))
		return -PCPU_E_CONFIG;
	return pcpu_lock(pcpu);
}

int pcpu_alloc_many(struct pcpu *pcpu, const void *sizes, int width, size_t n,
		    int64_t align, int64_t *ptrs, size_t *at)
{
	int err = batch_start(pcpu, !n || (sizes && ptrs), width, at);
	size_t i;

	if (err)
		return err;
	/* the alignment first: there may be no size */
	err = pcpu_check_request(pcpu, 1, align);
	for (i = 0; i < n && !err; i++) {
		*at = i;
		err = pcpu_check_request(pcpu, nth(sizes, width, i), align);
	}
	for (i = 0; i < n && !err; i++) {
		ptrs[i] = pcpu_alloc_locked(pcpu, nth(sizes, width, i), align,
					    0);
		if (ptrs[i] < 0) {
			err = (int)ptrs[i];
			*at = i;
			while (i--)
				pcpu_free_locked(pcpu, ptrs[i]);
		}
	}
	pcpu_unlock(pcpu);
	return err;
}

/* a pointer to free */
struct ref {
	int64_t ptr;		/* not 0 */
	size_t at;		/* index in the caller's array */
};

static int by_ptr(const void *a, const void *b)
{
	const struct ref *x = a, *y = b;

	if (x->ptr != y->ptr)
		return x->ptr < y->ptr ? -1 : 1;
	return (x->at > y->at) - (x->at < y->at);
}

/*
 * Check all pointers before the first is freed.  They are in ascending order,
 * so doubles are adjacent.  Of several errors the first in the caller's array
 * counts.
 */
static int check_all(struct pcpu *pcpu, const struct ref *refs, size_t n,
		     size_t *at)
{
	struct pcpu_found found;
	int first_err = 0;
	size_t i;

	for (i = 0; i < n; i++) {
		int64_t ptr = refs[i].ptr;
		int err = pcpu_find_freeable(pcpu, ptr, &found);

		if (!err && i && ptr == refs[i - 1].ptr)
			err = -PCPU_E_NOT_LIVE;
		if (err && (!first_err || refs[i].at < *at)) {
			first_err = err;
			*at = refs[i].at;
		}
	}
	return first_err;
}

/* collect the pointers that are not 0, sorted */
static size_t collect(struct ref *refs, const void *ptrs, int width, size_t n)
{
	bool sorted = true;
	size_t i, used = 0;

	for (i = 0; i < n; i++) {
		int64_t ptr = nth(ptrs, width, i);

		if (!ptr)
			continue;
		sorted = sorted && (!used || refs[used - 1].ptr < ptr);
		refs[used].ptr = ptr;
		refs[used++].at = i;
	}
	if (!sorted)
		qsort(refs, used, sizeof(*refs), by_ptr);
	return used;
}

int pcpu_free_many(struct pcpu *pcpu, const void *ptrs, int width, size_t n,
		   size_t *at)
{
	int err = batch_start(pcpu, !n || ptrs, width, at);
	struct ref *refs = NULL;
	size_t i, used;

	if (err)
		return err;
	if (n <= SIZE_MAX / sizeof(*refs))
		refs = host_alloc(&pcpu->kernel.host,
				  (n ? n : 1) * sizeof(*refs));
	if (refs) {
		used = collect(refs, ptrs, width, n);
		err = check_all(pcpu, refs, used, at);
		for (i = err ? n : 0; i < n; i++)
			pcpu_free_locked(pcpu, nth(ptrs, width, i));
	} else {
		err = -PCPU_E_HOST;
	}
	host_free(&pcpu->kernel.host, refs);
	pcpu_unlock(pcpu);
	return err;
}
