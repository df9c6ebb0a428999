/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * area_map.h - the policy of 2009: which chunk serves a request, and where.
 *
 * These functions are all that the rest of the library knows of it.  A policy
 * has its own struct for a chunk, with struct pcpu_chunk first; decides on
 * which of pcpu.slots a chunk is; and finds, takes and frees areas there.
 * Pages, addresses, the lock and events are not its business.
 *
 * Each function is documented in area_map.c, area_map_alloc() in walk.c.
 */
#ifndef PCPU_AREA_MAP_H
#define PCPU_AREA_MAP_H

#include "../internal.h"

/* look elsewhere; the 2009 file's -ENOSPC.  Not an enum pcpu_error */
#define PCPU_NO_SPACE	(-1000)

#define AREA_MAP_ENTRY_SIZE	4	/* bytes: an int of the 2009 file */

/* the life of a chunk */
void area_map_geometry(struct pcpu_geometry *geo);
int area_map_hint(const struct pcpu_chunk *chunk);
int area_map_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int static_size, int free_size);
void area_map_chunk_exit(struct pcpu *pcpu, struct pcpu_chunk *chunk);
struct pcpu_chunk *area_map_spare(struct pcpu *pcpu,
				  const struct pcpu_chunk *chunk);

/* areas */
struct pcpu_chunk *area_map_alloc(struct pcpu *pcpu, int size, int align,
				  int *offset, int *error);
int pcpu_alloc_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int size,
		    int align, int *offset);
int __maybe_unused area_map_take_at(struct pcpu *pcpu,
				    struct pcpu_chunk *chunk, int offset,
				    int size);
int area_map_find(const struct pcpu_chunk *chunk, int offset, int *size);
void pcpu_free_area(struct pcpu *pcpu, struct pcpu_chunk *chunk, int index);

/* what is in a chunk */
int area_map_next(const struct pcpu_chunk *chunk, int offset, int *size);
void area_map_describe(const struct pcpu_chunk *chunk,
		       struct pcpu_chunk_info *info, int *sizes);

#endif /* PCPU_AREA_MAP_H */
