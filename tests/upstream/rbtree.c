// SPDX-License-Identifier: GPL-2.0-only
/*
 * rbtree.c - red-black trees of the same shape as the kernel's.
 *
 * How many steps a search takes depends on the shape of the tree, so this
 * follows the book that the kernel's follows too: Cormen, Leiserson, Rivest and
 * Stein, "Introduction to Algorithms", chapter 13.  A node with two children
 * leaves its place to the next higher one.  Written apart from the port's.
 *
 * Sides are numbers here: !side is the other one.
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

/* where a node hangs: in its parent or in the root */
static struct rb_node **link_of(struct rb_root *root, struct rb_node *node)
{
	return node->parent ? &node->parent->child[side_of(node)] :
			      &root->rb_node;
}

static void hang(struct rb_node **link, struct rb_node *parent,
		 struct rb_node *node)
{
	*link = node;
	if (node)
		node->parent = parent;
}

/* @node moves down to @side, its child of the other side takes its place */
static void rotate(struct rb_root *root, struct rb_node *node, enum side side)
{
	struct rb_node *up = node->child[!side];

	hang(link_of(root, node), node->parent, up);
	hang(&node->child[!side], node, up->child[side]);
	hang(&up->child[side], up, node);
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

/* paths through @side of @parent have lost a black node */
static void mend(struct rb_root *root, struct rb_node *parent, enum side side)
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
			mend(root, parent->parent, side_of(parent));
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

/* take out a node with one child or none */
static void take_out(struct rb_root *root, struct rb_node *node)
{
	struct rb_node *below = node->rb_left ? node->rb_left : node->rb_right;
	enum side side = side_of(node);

	hang(link_of(root, node), node->parent, below);
	if (red(below))
		below->red = false;
	else if (!node->red && node->parent)
		mend(root, node->parent, side);
}

void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *next = node->rb_right;

	if (!node->rb_left || !next) {
		take_out(root, node);
		return;
	}
	while (next->rb_left)
		next = next->rb_left;
	take_out(root, next);

	/* only now: the tree above may have turned meanwhile */
	hang(link_of(root, node), node->parent, next);
	hang(&next->rb_left, next, node->rb_left);
	hang(&next->rb_right, next, node->rb_right);
	next->red = node->red;
}
