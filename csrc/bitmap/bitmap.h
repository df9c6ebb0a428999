/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bitmap.h - the policy of Linux 5.14 to 6.x: which chunk serves a request, and
 * where; which pages are kept.
 *
 * These functions are all that the rest of the library knows of it; see
 * area_map.h for the other policy.  Each is documented where it is defined.
 */
#ifndef PCPU_BITMAP_H
#define PCPU_BITMAP_H

#include "../internal.h"

#define PCPU_MIN_ALLOC_SIZE	4	/* bytes of a granule, a bit of a map */

static inline int64_t pcpu_granules_up(int64_t bytes)
{
	return (bytes + PCPU_MIN_ALLOC_SIZE - 1) & -PCPU_MIN_ALLOC_SIZE;
}

/* the first chunk */
int bitmap_plan(const struct pcpu_config *config,
		const struct pcpu_geometry *geo, struct pcpu_setup *setup);
int bitmap_set_up_first(struct pcpu *pcpu);

/* the life of a chunk */
int bitmap_hint(const struct pcpu_chunk *chunk);
void bitmap_geometry(struct pcpu_geometry *geo);
void bitmap_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk);
void bitmap_first_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			     int start, int end);

/* an allocation that follows a kernel */
struct pcpu_follow {
	const struct pcpu_location *kernel; /* where; NULL: no place found */
	bool learn;		/* PCPU_LEARN */
	struct pcpu_choice *chosen; /* set to what the policy chooses */
};

/* areas */
struct pcpu_chunk *bitmap_alloc(struct pcpu *pcpu, int size, int align,
				unsigned int flags, struct pcpu_follow *follow,
				int *offset, int *error);
int bitmap_find(const struct pcpu_chunk *chunk, int offset, int *size);
void bitmap_free(struct pcpu *pcpu, struct pcpu_chunk *chunk, int offset,
		 int size);

/* background work */
void bitmap_balance(struct pcpu *pcpu, int first, int last);

/* what is in a chunk */
int bitmap_next(const struct pcpu_chunk *chunk, int offset, int *size);
void bitmap_describe(const struct pcpu_chunk *chunk,
		     struct pcpu_chunk_info *info, int *sizes);

#endif /* PCPU_BITMAP_H */
