/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * lie.h - mistakes in what is read from the port, to test the comparison.
 */
#ifndef BILLION_LIE_H
#define BILLION_LIE_H

#include "pair.h"

struct lie {
	int number;		/* which item is wrong */
	uint32_t from;		/* operations that pass before it */
	bool told;		/* the item existed, and was changed */
};

const char *lie_name(int number);
void lie_tell(struct lie *lie, struct pair *pair);
void lie_tell_whole(struct lie *lie, const struct pcpu_snapshot *snapshot,
		    struct pcpu_info *info);
int lie_self_test(void);

#endif
