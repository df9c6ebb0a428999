/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * populate.h - a chunk's pages.
 */
#ifndef PCPU_POPULATE_H
#define PCPU_POPULATE_H

#include "chunk.h"

/**
 * pcpu_map_pages - map pages of every CPU's unit
 * @pcpu: the allocator
 * @chunk: the chunk
 * @start: first page of a unit
 * @end: behind the last one
 *
 * Return: 0 or -(PCPU_E_NOMEM + PCPU_MAP).  Source: pcpu_map().
 */
int pcpu_map_pages(struct pcpu *pcpu, struct pcpu_chunk *chunk, int start,
		   int end);

/**
 * pcpu_populate_chunk - have the pages of an area, mapped and cleared
 * @pcpu: the allocator
 * @chunk: the chunk
 * @offset: of the area, bytes
 * @size: of the area, bytes, up to 16 pages
 *
 * On failure the pages that this call added are given back, or with the quirk
 * "rollback" every page in the range, live neighbours or not.
 * Return: 0 or -(PCPU_E_NOMEM + service).
 */
int pcpu_populate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			int offset, int size);

/**
 * pcpu_depopulate_chunk - free and unmap pages of every CPU's unit
 * @pcpu: the allocator
 * @chunk: the chunk
 * @start: first page of a unit
 * @end: behind the last one
 * @flush: flush caches before and the TLB after
 */
void pcpu_depopulate_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk,
			   int start, int end, bool flush);

#endif /* PCPU_POPULATE_H */
