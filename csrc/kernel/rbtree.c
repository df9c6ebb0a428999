// SPDX-License-Identifier: GPL-2.0-only
/*
 * rbtree.c - red-black trees.
 *
 * A binary search tree with two rules: a red node has no red child, and every
 * path from the root to an empty place meets the same number of black nodes.
 * So the longest path is at most twice the shortest.  Insertion may break the
 * first rule, removal the second; both are restored on the way up, as in
 * Cormen, Leiserson, Rivest and Stein, "Introduction to Algorithms", chapter
 * 13.
 */
#include "rbtree.h"

#include <stddef.h>

/* put @new in the place of @old, a child of @parent */
static void replace_child(struct rb_root *root, struct rb_node *parent,
			  struct rb_node *old, struct rb_node *new)
{
	if (!parent)
		root->node = new;
	else if (parent->left == old)
		parent->left = new;
	else
		parent->right = new;
	if (new)
		new->parent = parent;
}

static struct rb_node **child(struct rb_node *node, bool left)
{
	return left ? &node->left : &node->right;
}

/* @node moves down to one side, its child from the other side moves up */
static void rotate(struct rb_root *root, struct rb_node *node, bool left)
{
	struct rb_node *up = *child(node, !left);
	struct rb_node **inner = child(up, left);

	*child(node, !left) = *inner;
	if (*inner)
		(*inner)->parent = node;
	replace_child(root, node->parent, node, up);
	*inner = node;
	node->parent = up;
}

static bool is_red(const struct rb_node *node)
{
	return node && node->red;
}

/**
 * fake_rb_insert - link a node and rebalance
 * @node: the new node
 * @parent: the leaf above it, NULL in an empty tree
 * @link: the empty place, &parent->left, &parent->right or &root->node
 */
void fake_rb_insert(struct rb_root *root, struct rb_node *node,
		    struct rb_node *parent, struct rb_node **link)
{
	node->parent = parent;
	node->left = NULL;
	node->right = NULL;
	node->red = true;
	*link = node;

	/* a red parent is never the root, so a grandparent exists */
	while (is_red(node->parent)) {
		struct rb_node *up = node->parent;
		struct rb_node *top = up->parent;
		bool left = up == top->left;
		struct rb_node *uncle = *child(top, !left);

		if (is_red(uncle)) {
			up->red = false;
			uncle->red = false;
			top->red = true;
			node = top;
			continue;
		}
		if (node == *child(up, !left)) {
			rotate(root, up, left);
			up = node;
		}
		rotate(root, top, !left);
		up->red = false;
		top->red = true;
		break;
	}
	root->node->red = false;
}

/* every path through @node, a child of @parent, lacks one black node */
static void fix_black(struct rb_root *root, struct rb_node *node,
		      struct rb_node *parent)
{
	while (node != root->node && !is_red(node)) {
		bool left = node == parent->left;
		struct rb_node *sib = *child(parent, !left);
		struct rb_node *near, *far;

		if (sib->red) {
			sib->red = false;
			parent->red = true;
			rotate(root, parent, left);
			sib = *child(parent, !left);
		}

		near = *child(sib, left);
		far = *child(sib, !left);
		if (!is_red(near) && !is_red(far)) {
			sib->red = true;
			node = parent;
			parent = node->parent;
			continue;
		}
		if (!is_red(far)) {	/* their colours are set below */
			rotate(root, sib, !left);
			far = sib;
			sib = near;
		}
		sib->red = parent->red;
		parent->red = false;
		far->red = false;
		rotate(root, parent, left);
		return;
	}
	if (node)
		node->red = false;
}

/**
 * fake_rb_erase - unlink a node and rebalance
 * @node: a node of it
 */
void fake_rb_erase(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *child, *parent;
	bool lost_red;

	if (node->left && node->right) {
		/* the next larger node has no left child: it takes our place */
		struct rb_node *next = fake_rb_next(node);

		child = next->right;
		parent = next->parent == node ? next : next->parent;
		lost_red = next->red;

		replace_child(root, next->parent, next, child);
		next->red = node->red;
		next->left = node->left;
		next->left->parent = next;
		next->right = node->right;
		if (next->right)
			next->right->parent = next;
		replace_child(root, node->parent, node, next);
	} else {
		child = node->left ? node->left : node->right;
		parent = node->parent;
		lost_red = node->red;
		replace_child(root, parent, node, child);
	}

	if (!lost_red)
		fix_black(root, child, parent);
}

/**
 * fake_rb_first - the node with the smallest key
 *
 * Return: the node, or NULL in an empty tree.
 */
struct rb_node *fake_rb_first(const struct rb_root *root)
{
	struct rb_node *node = root->node;

	while (node && node->left)
		node = node->left;
	return node;
}

/**
 * fake_rb_next - the node with the next larger key
 * @node: a node of a tree
 *
 * Return: the node, or NULL.
 */
struct rb_node *fake_rb_next(const struct rb_node *node)
{
	struct rb_node *next = node->right;

	if (next) {
		while (next->left)
			next = next->left;
		return next;
	}
	while (node->parent && node == node->parent->right)
		node = node->parent;
	return node->parent;
}
