// SPDX-License-Identifier: GPL-2.0-only
/*
 * rbtree.c - red-black trees of the same shape as the kernel's.
 *
 * The number of steps of a search depends on the shape of the tree.  So this
 * follows the same book as the kernel: Cormen, Leiserson, Rivest and Stein,
 * "Introduction to Algorithms", chapter 13.  An erased node with two children
 * is replaced by the next higher node.  Independent of the port's tree.
 *
 * Sides are numbers: !side is the opposite side.
 */
#include <linux/rbtree.h>

enum side { LEFT, RIGHT };

static enum side side_of(const struct rb_node *node)
{
	return node->parent && node->parent->rb_right == node ? RIGHT : LEFT;
}

static bool red(const struct rb_node *node)
{
	return node && node->red;
}

/* the pointer to a node, in its parent or in the root */
static struct rb_node **link_of(struct rb_root *root, struct rb_node *node)
{
	return node->parent ? &node->parent->child[side_of(node)] :
			      &root->rb_node;
}

static void set_child(struct rb_node **link, struct rb_node *parent,
		      struct rb_node *node)
{
	*link = node;
	if (node)
		node->parent = parent;
}

/* move @node down to @side; its child of the other side takes its place */
static void rotate(struct rb_root *root, struct rb_node *node, enum side side)
{
	struct rb_node *up = node->child[!side];

	set_child(link_of(root, node), node->parent, up);
	set_child(&node->child[!side], node, up->child[side]);
	set_child(&up->child[side], up, node);
}

void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *parent, *top, *uncle;
	enum side side;

	for (; red(node->parent); node = top) {
		parent = node->parent;
		top = parent->parent;
		side = side_of(parent);
		uncle = top->child[!side];
		top->red = true;
		if (!red(uncle)) {
			if (side_of(node) != side)
				rotate(root, parent, side);
			top->child[side]->red = false;
			rotate(root, top, !side);
			break;
		}
		parent->red = false;
		uncle->red = false;
	}
	root->rb_node->red = false;
}

/* rebalance after paths through @side of @parent have lost a black node */
static void rebalance(struct rb_root *root, struct rb_node *parent,
		      enum side side)
{
	struct rb_node *sibling = parent->child[!side];

	if (sibling->red) {
		parent->red = true;
		sibling->red = false;
		rotate(root, parent, side);
		sibling = parent->child[!side];
	}
	if (!red(sibling->rb_left) && !red(sibling->rb_right)) {
		sibling->red = true;
		if (parent->red)
			parent->red = false;
		else if (parent->parent)
			rebalance(root, parent->parent, side_of(parent));
		return;
	}
	if (!red(sibling->child[!side])) {
		rotate(root, sibling, !side);
		sibling = sibling->parent;
	}
	sibling->red = parent->red;
	sibling->child[!side]->red = false;
	parent->red = false;
	rotate(root, parent, side);
}

/* remove a node with at most one child */
static void remove_node(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *below = node->rb_left ? node->rb_left : node->rb_right;
	enum side side = side_of(node);

	set_child(link_of(root, node), node->parent, below);
	if (red(below))
		below->red = false;
	else if (!node->red && node->parent)
		rebalance(root, node->parent, side);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *next = node->rb_right;

	if (!node->rb_left || !next) {
		remove_node(root, node);
		return;
	}
	while (next->rb_left)
		next = next->rb_left;
	remove_node(root, next);

	/* after the removal, since it may rotate the tree above */
	set_child(link_of(root, node), node->parent, next);
	set_child(&next->rb_left, next, node->rb_left);
	set_child(&next->rb_right, next, node->rb_right);
	next->red = node->red;
}
