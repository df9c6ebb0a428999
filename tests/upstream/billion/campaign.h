/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * campaign.h - many cases, in several processes.
 */
#ifndef BILLION_CAMPAIGN_H
#define BILLION_CAMPAIGN_H

#include "case.h"

struct campaign {
	uint64_t seed;		/* of all cases */
	uint64_t operations;	/* smallest number of operations */
	int jobs;		/* processes at one time */
	const char *file;	/* where progress is kept, or NULL */
	uint64_t done;		/* cases 0 ... done - 1 are in the totals */
	struct counts totals;	/* of these cases */
	uint64_t milliseconds;	/* time that they took, without interruptions */
};

/* exit statuses */
enum campaign_result {
	CAMPAIGN_ALIKE,		/* no difference */
	CAMPAIGN_DIFFERS,	/* a difference was printed */
	CAMPAIGN_FAILED,	/* the message says why */
	CAMPAIGN_STOPPED = 130	/* by a signal */
};

enum campaign_result campaign_run(struct campaign *campaign);
enum campaign_result campaign_run_case(uint64_t seed, uint64_t number);
void campaign_print(const struct campaign *campaign);

/* progress.c */
bool progress_load(struct campaign *campaign);
bool progress_save(const struct campaign *campaign);

#endif
