/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * list.h - circular doubly linked lists, with the kernel's names.
 *
 * A list head and a link in a member are the same struct; an empty list is a
 * head that points at itself.
 */
#ifndef FAKE_LIST_H
#define FAKE_LIST_H

#include <stdbool.h>
#include <stddef.h>

#define container_of(ptr, type, member) \
	((type *)(void *)((char *)(ptr) - offsetof(type, member)))

struct list_head {
	struct list_head *next;	/* first member, or the head itself */
	struct list_head *prev;	/* last member, or the head itself */
};

static inline void list_init(struct list_head *head)
{
	head->next = head;
	head->prev = head;
}

static inline bool list_empty(const struct list_head *head)
{
	return head->next == head;
}

/* insert @link after @where */
static inline void list_add(struct list_head *link, struct list_head *where)
{
	link->prev = where;
	link->next = where->next;
	where->next->prev = link;
	where->next = link;
}

static inline void list_add_tail(struct list_head *link, struct list_head *head)
{
	list_add(link, head->prev);
}

/* the neighbours of @link no longer know it */
static inline void __list_del(const struct list_head *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

/* remove @link from its list; may be repeated, since it is a list of its own */
static inline void list_del(struct list_head *link)
{
	__list_del(link);
	list_init(link);
}

static inline void list_move(struct list_head *link, struct list_head *head)
{
	__list_del(link);
	list_add(link, head);
}

static inline void list_move_tail(struct list_head *link,
				  struct list_head *head)
{
	__list_del(link);
	list_add_tail(link, head);
}

#define list_entry(ptr, type, member) container_of(ptr, type, member)

#define list_for_each(pos, head) \
	for ((pos) = (head)->next; (pos) != (head); (pos) = (pos)->next)

/* the body may remove @pos: its successor @n was read before */
#define list_for_each_safe(pos, n, head)			\
	for ((pos) = (head)->next, (n) = (pos)->next;		\
	     (pos) != (head); (pos) = (n), (n) = (pos)->next)

#endif /* FAKE_LIST_H */
