/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * vec.h - an array that grows.
 */
#ifndef PCPU_TRACE_VEC_H
#define PCPU_TRACE_VEC_H

#include <stddef.h>

struct vec {
	void *data;		/* NULL: empty */
	size_t used;		/* items in use */
	size_t room;		/* items that fit */
};

void *vec_add(struct vec *vec, size_t n, size_t size);

#endif /* PCPU_TRACE_VEC_H */
