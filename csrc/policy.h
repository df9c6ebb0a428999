/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * policy.h - the policy that an allocator was created with.
 *
 * The area map is asked first, since its users measure it.
 */
#ifndef PCPU_POLICY_H
#define PCPU_POLICY_H

#include "area_map/area_map.h"
#include "bitmap/bitmap.h"
#include "groups.h"

static inline void policy_geometry(struct pcpu_geometry *geo)
{
	if (likely(!geo->bitmap))
		area_map_geometry(geo);
	else
		bitmap_geometry(geo);
}

/* the policy's part of a new chunk, which is not the first one */
static inline int policy_chunk_init(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	if (likely(!pcpu->geo.bitmap))
		return area_map_chunk_init(pcpu, chunk, 0, pcpu->geo.unit_size);
	bitmap_chunk_init(pcpu, chunk);
	return 0;
}

/* undo that, also if it failed */
static inline void policy_chunk_exit(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	if (likely(!pcpu->geo.bitmap))
		area_map_chunk_exit(pcpu, chunk);
	else
		pcpu_slot_remove(pcpu, chunk);
}

/* the first area at or after an offset; its offset, or -1 */
static inline int policy_next(const struct pcpu *pcpu,
			      const struct pcpu_chunk *chunk, int offset,
			      int *size)
{
	return likely(!pcpu->geo.bitmap) ? area_map_next(chunk, offset, size) :
					   bitmap_next(chunk, offset, size);
}

/* the policy's part of a snapshot */
static inline void policy_describe(const struct pcpu *pcpu,
				   const struct pcpu_chunk *chunk,
				   struct pcpu_chunk_info *info, int *sizes)
{
	if (likely(!pcpu->geo.bitmap))
		area_map_describe(chunk, info, sizes);
	else
		bitmap_describe(chunk, info, sizes);
}

#endif /* PCPU_POLICY_H */
