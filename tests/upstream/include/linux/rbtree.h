/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/rbtree.h - red-black trees.
 *
 * The file itself walks down from the root, and calls rb_entry() for each node
 * to compare the address of its chunk: these steps are counted.  A search ends
 * with rb_entry() for the same node again, or for the previous one.
 */
#ifndef WITNESS_LINUX_RBTREE_H
#define WITNESS_LINUX_RBTREE_H

#include <linux/kernel.h>

struct rb_node {
	struct rb_node *parent;		/* NULL at the root */
	union {
		struct {
			struct rb_node *rb_left; /* lower addresses */
			struct rb_node *rb_right; /* higher addresses */
		};
		struct rb_node *child[2]; /* the same, by enum side */
	};
	bool red;			/* else black */
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
 * rb_link_node - insert a node where a search ended
 * @node: the node, not initialized
 * @parent: the last node of the search, NULL in an empty tree
 * @link: the link of @parent or of the root, which is NULL
 */
static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	*node = (struct rb_node){ .parent = parent, .red = true };
	*link = node;
}

/**
 * rb_insert_color - rebalance a tree after rb_link_node()
 * @node: the new node
 * @root: root of the tree
 */
void rb_insert_color(struct rb_node *node, struct rb_root *root);

/**
 * rb_erase - remove a node and rebalance the tree
 * @node: the node
 * @root: root of the tree
 */
void rb_erase(struct rb_node *node, struct rb_root *root);

static inline struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

/* the next lower node; a search that calls this has already compared it */
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
