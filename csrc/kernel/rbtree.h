/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * rbtree.h - red-black trees, used as in the kernel: the user walks down to
 * the place, links the node there, and lets the tree rebalance itself.
 */
#ifndef FAKE_RBTREE_H
#define FAKE_RBTREE_H

#include <stdbool.h>

struct rb_node {
	struct rb_node *parent;	/* NULL at the root */
	struct rb_node *left;	/* smaller keys */
	struct rb_node *right;	/* larger keys */
	bool red;		/* else black */
};

struct rb_root {
	struct rb_node *node;	/* NULL: empty */
};

void fake_rb_insert(struct rb_root *root, struct rb_node *node,
		    struct rb_node *parent, struct rb_node **link);

void fake_rb_erase(struct rb_root *root, struct rb_node *node);

struct rb_node *fake_rb_first(const struct rb_root *root);

struct rb_node *fake_rb_next(const struct rb_node *node);

#endif /* FAKE_RBTREE_H */
