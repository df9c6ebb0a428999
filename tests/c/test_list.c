// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_list.c - the fake kernel's lists: their order after each operation.
 */
#include <string.h>

#include "harness.h"
#include "kernel/list.h"

struct item {
	char name;		/* one letter */
	struct list_head list;	/* in the list under test */
};

static struct list_head head;
static struct item a = { .name = 'a' }, b = { .name = 'b' },
		   c = { .name = 'c' };

/* whether the list reads as @names, forwards and backwards */
static bool list_is(const struct list_head *list, const char *names)
{
	const char *end = names + strlen(names);
	struct list_head *pos;

	list_for_each(pos, list) {
		if (*names++ != list_entry(pos, struct item, list)->name)
			return false;
	}
	if (names != end)
		return false;
	for (pos = list->prev; pos != list; pos = pos->prev) {
		if (*--end != list_entry(pos, struct item, list)->name)
			return false;
	}
	return true;
}

static void start_with_abc(void)
{
	list_init(&head);
	list_add_tail(&a.list, &head);
	list_add_tail(&b.list, &head);
	list_add_tail(&c.list, &head);
}

TEST(a_new_list_is_empty)
{
	list_init(&head);
	CHECK(list_empty(&head));
	CHECK(list_is(&head, ""));
}

TEST(add_inserts_first)
{
	list_init(&head);
	list_add(&a.list, &head);
	CHECK(!list_empty(&head));
	list_add(&b.list, &head);
	CHECK(list_is(&head, "ba"));
}

TEST(add_inserts_after_any_link)
{
	list_init(&head);
	list_add(&a.list, &head);
	list_add(&c.list, &a.list);
	list_add(&b.list, &a.list);
	CHECK(list_is(&head, "abc"));
}

TEST(add_tail_inserts_last)
{
	start_with_abc();
	CHECK(list_is(&head, "abc"));
}

TEST(del_removes_from_any_position)
{
	start_with_abc();
	list_del(&b.list);
	CHECK(list_is(&head, "ac"));
	list_del(&c.list);
	CHECK(list_is(&head, "a"));
	list_del(&a.list);
	CHECK(list_empty(&head));
}

TEST(del_can_be_repeated)
{
	start_with_abc();
	list_del(&b.list);
	CHECK(list_empty(&b.list));
	list_del(&b.list);
	CHECK(list_is(&head, "ac"));
}

TEST(move_inserts_first)
{
	start_with_abc();
	list_move(&c.list, &head);
	CHECK(list_is(&head, "cab"));
	list_move(&c.list, &head);
	CHECK(list_is(&head, "cab"));
}

TEST(move_tail_inserts_last)
{
	start_with_abc();
	list_move_tail(&a.list, &head);
	CHECK(list_is(&head, "bca"));
	list_move_tail(&a.list, &head);
	CHECK(list_is(&head, "bca"));
}

TEST(move_works_between_lists)
{
	struct list_head other;

	start_with_abc();
	list_init(&other);
	list_move(&b.list, &other);
	CHECK(list_is(&head, "ac"));
	CHECK(list_is(&other, "b"));
	list_move_tail(&a.list, &other);
	CHECK(list_is(&head, "c"));
	CHECK(list_is(&other, "ba"));
	/* the head goes out of scope before the links do */
	list_del(&a.list);
	list_del(&b.list);
}

TEST(safe_walk_survives_moving_the_visited_link)
{
	struct list_head other, *pos, *next;
	char seen[4] = "";
	size_t n = 0;

	start_with_abc();
	list_init(&other);
	list_for_each_safe(pos, next, &head) {
		if (n < 3)
			seen[n++] = list_entry(pos, struct item, list)->name;
		list_move(pos, &other);
	}
	CHECK(!strcmp(seen, "abc"));
	CHECK(list_empty(&head));
	CHECK(list_is(&other, "cba"));
	list_for_each_safe(pos, next, &other)
		list_del(pos);
}

TEST(entry_finds_the_struct_around_a_link)
{
	CHECK(list_entry(&b.list, struct item, list) == &b);
}
