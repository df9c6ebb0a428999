/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * hints.h - hints as text, to set them and to compare them.
 *
 *	"6@2 scan 1@0 left 1 right 6 first 0"	contig_hint 6, at granule 2
 */
#ifndef TEST_HINTS_H
#define TEST_HINTS_H

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "percpu.h"

#define HINTS	"%d@%d scan %d@%d left %d right %d first %d"

static inline const char *hints_text(const struct pcpu_block_md *md)
{
	static char text[128];

	snprintf(text, sizeof(text), HINTS, md->contig_hint,
		 md->contig_hint_start, md->scan_hint, md->scan_hint_start,
		 md->left_free, md->right_free, md->first_free);
	return text;
}

static inline struct pcpu_block_md hints_from(const char *text, int nr_bits)
{
	struct pcpu_block_md md = { .nr_bits = nr_bits };

	CHECK(sscanf(text, HINTS, &md.contig_hint, &md.contig_hint_start,
		     &md.scan_hint, &md.scan_hint_start, &md.left_free,
		     &md.right_free, &md.first_free) == 7);
	return md;
}

/* whether two texts are equal; the first one is printed if they are not */
static inline bool same_text(const char *found, const char *expected)
{
	if (!strcmp(found, expected))
		return true;
	fprintf(stderr, "found: %s\n", found);
	return false;
}

#endif /* TEST_HINTS_H */
