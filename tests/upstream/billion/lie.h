/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lie.h - mistakes in what is read from the port, to test the comparison.
 */
#ifndef BILLION_LIE_H
#define BILLION_LIE_H

#include "pair.h"

/* what a lie is about */
enum lie_kind {
	LIE_ANSWER,		/* a pointer */
	LIE_FAILURE,		/* the service that failed */
	LIE_CALLS,		/* calls of a service */
	LIE_WORK,		/* a work count */
	LIE_ROW,		/* a figure of a chunk */
	LIE_ORDER,		/* two chunks of a list */
	LIE_CHUNKS,		/* the number of chunks */
	LIE_MAP,		/* an entry of the area's chunk */
	LIE_PAGES,		/* the populated pages of the area */
	NR_LIE_KINDS
};

struct lie {
	enum lie_kind kind;	/* what it is about */
	int index;		/* which of several */
	bool whole;		/* only in the whole state */
	bool told;		/* something was changed */
};

void lie_tell(struct lie *lie, struct pair *pair);
void lie_tell_whole(struct lie *lie, struct pcpu_snapshot *snapshot,
		    struct pcpu_info *info);

#endif
