/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/gfp.h - page frames. */
#ifndef WITNESS_LINUX_GFP_H
#define WITNESS_LINUX_GFP_H

typedef unsigned int gfp_t;

/* kinds of memory: no difference here */
#define GFP_KERNEL	0u
#define __GFP_HIGHMEM	0u
#define __GFP_COLD	0u

struct page {
	int node;		/* NUMA node */
	unsigned long call;	/* the call that allocated it, 0: the set-up */
	struct page **place;	/* its place in a chunk, once it is mapped */
	struct page *next_kept;	/* in fakes.kept */
};

struct page *alloc_pages_node(int node, gfp_t flags, unsigned int order);
void __free_page(struct page *page);

#endif
