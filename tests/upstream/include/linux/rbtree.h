/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/rbtree.h - red-black trees.
 *
 * The file walks down from the root itself, and asks at each node for the chunk
 * around it, to compare its address: these steps are counted.  At its end it
 * asks for the same node again, or for the one before it.
 */
#ifndef WITNESS_LINUX_RBTREE_H
#define WITNESS_LINUX_RBTREE_H

#include <linux/kernel.h>

struct rb_node {
	struct rb_node *parent;		/* NULL at the root */
	union {
		struct {
			struct rb_node *rb_left; /* all that is lower */
			struct rb_node *rb_right; /* all that is higher */
		};
		struct rb_node *child[2]; /* the same, by number */
	};
	bool red;			/* then parent and children are not */
};

struct rb_root {
	struct rb_node *rb_node;	/* NULL: empty */
};

#define RB_ROOT ((struct rb_root){ NULL })

static inline struct rb_node *rb_compared(struct rb_node *node)
{
	fake_work()->tree_steps += node != fakes.compared;
	fakes.compared = node;
	return node;
}

#define rb_entry(node, type, member)					\
	container_of(rb_compared(node), type, member)

/**
 * rb_link_node - hang a node where a search ended
 * @node: to be filled
 * @parent: where it came to last, NULL in an empty tree
 * @link: the empty place
 */
static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	*node = (struct rb_node){ .parent = parent, .red = true };
	*link = node;
}

/**
 * rb_insert_color - balance a tree after a node was linked
 * @node: that one
 * @root: of the tree
 */
void rb_insert_color(struct rb_node *node, struct rb_root *root);

/**
 * rb_erase - take a node out and balance the tree
 * @node: that one
 * @root: of the tree
 */
void rb_erase(struct rb_node *node, struct rb_root *root);

static inline struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

/* the next lower one; whoever asks for it has compared it on the way */
static inline struct rb_node *rb_prev(const struct rb_node *node)
{
	struct rb_node *prev = rb_last(&(struct rb_root){ node->rb_left });

	if (!prev) {
		while (node->parent && node->parent->rb_left == node)
			node = node->parent;
		prev = node->parent;
	}
	fakes.compared = prev;
	return prev;
}

#endif
