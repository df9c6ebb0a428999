/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * first_chunk.h - setup of the first chunk.
 */
#ifndef PCPU_FIRST_CHUNK_H
#define PCPU_FIRST_CHUNK_H

#include "chunk.h"

/* who brings the pages of the first chunk: arguments of the set-up */
struct pcpu_setup {
	int64_t static_size;	/* bytes, above 0 */
	int64_t unit_size;	/* bytes, 0 for auto */
	int64_t free_size;	/* bytes after the static area, 0 for auto */
	bool has_block;		/* the caller mapped a block of its own */
	bool populate_pte;	/* the pages are to be mapped */
	/* pages of each unit that the caller brings; depends on the unit */
	int (*present_pages)(const struct pcpu_geometry *geo,
			     const struct pcpu_setup *setup);
};

/**
 * pcpu_first_chunk_plan - the arguments of one of the three x86 set-ups
 * @config: what the user asks for
 * @geo: page_size, page_shift and min_unit_size are set
 * @setup: the answer
 *
 * Return: 0 or -PCPU_E_CONFIG.
 * Source: setup_pcpu_4k(), setup_pcpu_embed(), setup_pcpu_remap() in
 * arch/x86/kernel/setup_percpu.c of February 2009.
 */
int pcpu_first_chunk_plan(const struct pcpu_config *config,
			  const struct pcpu_geometry *geo,
			  struct pcpu_setup *setup);

/**
 * pcpu_first_chunk_geometry - check a set-up and derive sizes and counts
 * @setup: the set-up
 * @geo: cpus and the page are set; the rest is filled in
 *
 * Return: 0, or -PCPU_E_CONFIG where the 2009 file has a BUG_ON, where the
 * unit is below 16 pages, or where a size is out of range.
 * Source: the first half of pcpu_setup_first_chunk().
 */
int pcpu_first_chunk_geometry(const struct pcpu_setup *setup,
			      struct pcpu_geometry *geo);

/**
 * pcpu_setup_first_chunk - make the first chunk
 * @pcpu: the allocator, geometry and kernel ready
 * @setup: the set-up
 *
 * Return: 0, -PCPU_E_HOST, -(PCPU_E_NOMEM + PCPU_MAP), or with hooks
 * -(PCPU_E_NOMEM + PCPU_ALLOC_PAGE).
 */
int pcpu_setup_first_chunk(struct pcpu *pcpu, const struct pcpu_setup *setup);

#endif /* PCPU_FIRST_CHUNK_H */
