/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * operation.h - random operations, and the areas that are live.
 */
#ifndef BILLION_OPERATION_H
#define BILLION_OPERATION_H

#include "percpu.h"
#include "setup.h"

enum operation_kind {
	OPERATION_ALLOC,	/* allocate an area */
	OPERATION_FREE,		/* free one */
	OPERATION_INJECT,	/* set a fault */
	OPERATION_CLEAR,	/* remove it */
	OPERATION_BAD_ALLOC,	/* a request that is refused */
	OPERATION_BAD_FREE	/* a pointer that is refused */
};

struct operation {
	enum operation_kind kind; /* decides which fields are used */
	uint32_t key;		/* number of the operation that allocated */
	int64_t size;		/* bytes */
	int64_t align;		/* bytes */
	int64_t ptr;		/* to free */
	int refusal;		/* of a pointer: enum pcpu_error */
	int site;		/* enum pcpu_service */
	struct pcpu_fault fault; /* when it fails */
};

struct area {
	int64_t ptr;		/* its pointer */
	uint32_t key;		/* number of the operation that allocated it */
	uint32_t size;		/* bytes requested */
};

struct generator {
	const struct random_case *random_case; /* what it generates for */
	struct random random;	/* all choices */
	int64_t unit_size;	/* bytes of a unit */
	int64_t static_ptr;	/* pointer of the static area */
	double fault_percent;	/* how often a fault is set */
	double growth;		/* percent of allocations below most_live */
	int order;		/* of frees: enum order */
	int size_style;		/* of the sizes requested */
	int align_style;	/* of the alignments */
	int64_t most_live;	/* areas at one time */
	struct area *areas;	/* the array with the live areas */
	int64_t first;		/* index of the oldest one */
	int64_t live;		/* how many */
	int64_t room;		/* length of the array */
	int64_t freed;		/* the pointer freed just before, or 0 */
};

void generator_start(struct generator *generator,
		     const struct random_case *random_case, int64_t unit_size,
		     int64_t static_ptr);
void generator_end(struct generator *generator);
void generator_next(struct generator *generator, uint32_t number,
		    struct operation *operation);
void generator_allocated(struct generator *generator,
			 const struct operation *operation, int64_t ptr);
void operation_print(const struct operation *operation, FILE *out);

#endif
