/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * strings.h - texts that occur many times, each kept once.
 */
#ifndef PCPU_TRACE_STRINGS_H
#define PCPU_TRACE_STRINGS_H

#include "span.h"
#include "table.h"
#include "vec.h"

struct strings {
	struct vec bytes;	/* char: the texts, one after the other */
	struct vec ends;	/* size_t: where each of them ends */
	struct table index;	/* hash -> number; see strings_add() */
};

int strings_add(struct strings *strings, struct span text, uint32_t *index);

struct span strings_get(const struct strings *strings, size_t index);

void strings_free(struct strings *strings);

#endif /* PCPU_TRACE_STRINGS_H */
