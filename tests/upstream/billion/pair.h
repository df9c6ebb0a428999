/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pair.h - port and witness, driven together and compared.
 */
#ifndef BILLION_PAIR_H
#define BILLION_PAIR_H

#include "operation.h"
#include "side.h"

#define NR_WORK_COUNTS	(sizeof(struct pcpu_work) / sizeof(uint64_t))
#define MAX_AREA_PAGES	17	/* pages that an area may touch */

struct lie;

/* what is read after each operation, from each side */
struct view {
	int64_t answer;		/* a pointer, 0, or -enum pcpu_error */
	uint64_t calls[PCPU_NR_SERVICES]; /* of each service */
	struct pcpu_work work[2]; /* of allocations, of frees */
	struct table table;	/* all chunks */
	const int *map;		/* of the chunk that covers the area */
};

/* pages of the area that an operation allocated or freed */
struct pages {
	int first;		/* the first one in a unit */
	int nr;			/* how many, 0: none */
	uint32_t populated[MAX_AREA_PAGES]; /* CPUs of the port with it */
};

enum pair_result {
	PAIR_ALIKE,		/* no difference */
	PAIR_PARTED,		/* they differ by a rollback only */
	PAIR_UNDEFINED,		/* the plain 2009 file cannot go on */
	PAIR_DIFFERS		/* see pair.aspect */
};

struct pair {
	const struct setup *setup; /* of both */
	struct pcpu *port;	/* the port; the witness exists once */
	struct pcpu_info info;	/* of the port at the start */
	int page_shift;		/* log2 of bytes in a page */
	struct view views[2];	/* of port and witness, see enum side */
	int64_t ptr;		/* the area of the last operation, or 0 */
	struct pages pages;	/* the pages of that area */
	int *map;		/* the port's map in signed sizes */
	int map_room;		/* length of that array */
	int64_t live;		/* areas that should be live */
	int failed;		/* service that failed in the witness, or -1 */
	uint64_t frames[2];	/* see frames_kept() */
	int64_t credit;		/* what may be spent on the whole state */
	int64_t cost;		/* of the last comparison of the whole state */
	uint64_t nr_whole;	/* how often it was compared */
	int max_map_used;	/* longest map in the last one */
	const char *aspect;	/* what differs */
	struct lie *lie;	/* what the port lies about, or NULL */
};

enum side { PORT, WITNESS };

bool pair_refused(const struct setup *setup);
enum pair_result pair_start(struct pair *pair, const struct setup *setup);
void pair_end(struct pair *pair);
enum pair_result pair_do(struct pair *pair, const struct operation *operation);
enum pair_result pair_compare_whole(struct pair *pair);

/* explain.c */
extern const char *const work_names[NR_WORK_COUNTS];
void pair_explain(const struct pair *pair, FILE *out);

#endif
