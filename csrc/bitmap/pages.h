/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pages.h - a chunk's pages: which are populated, and how many of them are empty.
 */
#ifndef PCPU_PAGES_H
#define PCPU_PAGES_H

#include "slots.h"

int bitmap_populate(struct pcpu *pcpu, struct bitmap_chunk *chunk, int start,
		    int end);
void bitmap_depopulate(struct pcpu *pcpu, struct bitmap_chunk *chunk, int start,
		       int end);
int bitmap_populate_area(struct pcpu *pcpu, struct bitmap_chunk *chunk,
			 int offset, int size);

#endif /* PCPU_PAGES_H */
