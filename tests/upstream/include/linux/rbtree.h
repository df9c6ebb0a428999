/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/rbtree.h - a search tree, not balanced: only its order is seen. */
#ifndef WITNESS_LINUX_RBTREE_H
#define WITNESS_LINUX_RBTREE_H

#include <linux/kernel.h>

struct rb_node {
	struct rb_node *parent;		/* NULL at the root */
	struct rb_node *rb_left;	/* all that is lower */
	struct rb_node *rb_right;	/* all that is higher */
};

struct rb_root {
	struct rb_node *rb_node;	/* NULL: empty */
};

#define RB_ROOT ((struct rb_root){ NULL })
#define rb_entry(node, type, member) container_of(node, type, member)

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	*node = (struct rb_node){ .parent = parent };
	*link = node;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	(void)node;
	(void)root;
}

static inline struct rb_node *rb_last(const struct rb_root *root)
{
	struct rb_node *node = root->rb_node;

	while (node && node->rb_right)
		node = node->rb_right;
	return node;
}

static inline struct rb_node *rb_prev(const struct rb_node *node)
{
	if (node->rb_left)
		return rb_last(&(struct rb_root){ node->rb_left });
	while (node->parent && node->parent->rb_left == node)
		node = node->parent;
	return node->parent;
}

/* let @new, or nothing, hang where @old hangs */
static inline void rb_put_in_place(struct rb_root *root, struct rb_node *old,
				   struct rb_node *new)
{
	struct rb_node *parent = old->parent;

	if (!parent)
		root->rb_node = new;
	else if (parent->rb_left == old)
		parent->rb_left = new;
	else
		parent->rb_right = new;
	if (new)
		new->parent = parent;
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	struct rb_node *prev;

	if (!node->rb_left || !node->rb_right) {
		rb_put_in_place(root, node,
				node->rb_left ? node->rb_left : node->rb_right);
		return;
	}
	/* the next lower one has nothing on its right and takes the place */
	prev = rb_prev(node);
	rb_put_in_place(root, prev, prev->rb_left);
	rb_put_in_place(root, node, prev);
	prev->rb_left = node->rb_left;
	prev->rb_right = node->rb_right;
	if (prev->rb_left)
		prev->rb_left->parent = prev;
	prev->rb_right->parent = prev;
}

#endif
