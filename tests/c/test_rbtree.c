// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_rbtree.c - red-black trees compared with a sorted array; their rules are
 * checked after every step.
 */
#include <stdlib.h>

#include "harness.h"
#include "kernel/list.h"
#include "kernel/rbtree.h"
#include "pick.h"

#define MAX	300

struct item {
	int key;		/* different for each item of a tree */
	struct rb_node node;	/* in the tree under test */
};

static struct rb_root root;
static struct item items[MAX];	/* item i has key i */
static bool in_tree[MAX];	/* the sorted array: the keys of the tree */

static int key_of(const struct rb_node *node)
{
	return container_of(node, const struct item, node)->key;
}

static void insert(int key)
{
	struct rb_node **link = &root.node, *parent = NULL;

	while (*link) {
		parent = *link;
		link = key < key_of(parent) ? &parent->left : &parent->right;
	}
	items[key].key = key;
	fake_rb_insert(&root, &items[key].node, parent, link);
	in_tree[key] = true;
}

static void erase(int key)
{
	fake_rb_erase(&root, &items[key].node);
	in_tree[key] = false;
}

static void clear(void)
{
	root.node = NULL;
	for (int key = 0; key < MAX; key++)
		in_tree[key] = false;
}

/* black nodes on each path below @node, or -1 if a rule is broken */
static int black_height(const struct rb_node *node)
{
	int left, right;

	if (!node)
		return 0;
	if (node->left && node->left->parent != node)
		return -1;
	if (node->right && node->right->parent != node)
		return -1;
	if (node->red && ((node->left && node->left->red) ||
			  (node->right && node->right->red)))
		return -1;
	left = black_height(node->left);
	right = black_height(node->right);
	return left < 0 || left != right ? -1 : left + !node->red;
}

static bool rules_hold(void)
{
	if (root.node && (root.node->red || root.node->parent))
		return false;
	return black_height(root.node) >= 0;
}

/* whether a walk from the first node returns the keys of the sorted array */
static bool order_holds(void)
{
	struct rb_node *node = fake_rb_first(&root);
	int key;

	for (key = 0; key < MAX; key++) {
		if (!in_tree[key])
			continue;
		if (!node || key_of(node) != key)
			return false;
		node = fake_rb_next(node);
	}
	if (node)
		return false;
	return true;
}

TEST(an_empty_tree_has_no_first)
{
	clear();
	CHECK(!fake_rb_first(&root));
	CHECK(rules_hold());
}

TEST(a_single_node_is_black_and_has_no_next)
{
	clear();
	insert(5);
	CHECK(rules_hold());
	CHECK(fake_rb_first(&root) == &items[5].node);
	CHECK(!fake_rb_next(&items[5].node));
	erase(5);
	CHECK(!root.node);
}

TEST(ascending_keys_stay_balanced)
{
	clear();
	for (int key = 0; key < MAX; key++) {
		insert(key);
		CHECK(rules_hold());
	}
	CHECK(order_holds());
}

TEST(descending_keys_stay_balanced)
{
	clear();
	for (int key = MAX - 1; key >= 0; key--) {
		insert(key);
		CHECK(rules_hold());
	}
	CHECK(order_holds());
}

TEST(every_node_of_small_trees_can_be_erased)
{
	for (int size = 1; size <= 40; size++) {
		for (int erased = 0; erased < size; erased++) {
			clear();
			for (int key = 0; key < size; key++)
				insert(key);
			erase(erased);
			CHECK(rules_hold());
			CHECK(order_holds());
		}
	}
}

TEST(random_inserts_and_erases_match_a_sorted_array)
{
	clear();
	for (int step = 0; step < 20000; step++) {
		int key = (int)pick(MAX);

		if (in_tree[key])
			erase(key);
		else
			insert(key);
		CHECK(rules_hold());
		if (step % 16 == 0)
			CHECK(order_holds());
	}
}

TEST(erasing_all_in_random_order_leaves_an_empty_tree)
{
	int left = MAX;

	clear();
	for (int key = 0; key < MAX; key++)
		insert(key);
	while (left) {
		int key = (int)pick(MAX);

		if (!in_tree[key])
			continue;
		erase(key);
		left--;
		CHECK(rules_hold());
		CHECK(order_holds());
	}
	CHECK(!root.node);
}
