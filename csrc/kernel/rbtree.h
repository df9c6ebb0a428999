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

/**
 * fake_rb_insert - link a node and rebalance
 * @root: the tree
 * @node: the new node
 * @parent: the leaf above it, NULL in an empty tree
 * @link: the empty place, &parent->left, &parent->right or &root->node
 */
void fake_rb_insert(struct rb_root *root, struct rb_node *node,
		    struct rb_node *parent, struct rb_node **link);

/**
 * fake_rb_erase - unlink a node and rebalance
 * @root: the tree
 * @node: a node of it
 */
void fake_rb_erase(struct rb_root *root, struct rb_node *node);

/**
 * fake_rb_first - the node with the smallest key
 * @root: the tree
 *
 * Return: the node, or NULL in an empty tree.
 */
struct rb_node *fake_rb_first(const struct rb_root *root);

/**
 * fake_rb_next - the node with the next larger key
 * @node: a node of a tree
 *
 * Return: the node, or NULL.
 */
struct rb_node *fake_rb_next(const struct rb_node *node);

#endif /* FAKE_RBTREE_H */
