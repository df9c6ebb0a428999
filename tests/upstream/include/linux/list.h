/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * linux/list.h - circular lists, and the walk along a list.
 *
 * The 2009 file moves chunks to other lists during a walk: defect "walk".  A
 * fixed walk reads the successor before the body of the loop runs.  A strict
 * walk reads it after the body, as in the kernel, but stops before it takes
 * the head of another list for a chunk.
 */
#ifndef WITNESS_LINUX_LIST_H
#define WITNESS_LINUX_LIST_H

#include <linux/kernel.h>

struct list_head {
	struct list_head *next;	/* in the head: the first element */
	struct list_head *prev;	/* in the head: the last element */
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void list_del(struct list_head *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

static inline void list_insert_between(struct list_head *link,
				       struct list_head *prev,
				       struct list_head *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_move(struct list_head *link, struct list_head *head)
{
	list_del(link);
	list_insert_between(link, head, head->next);
}

static inline void list_move_tail(struct list_head *link,
				  struct list_head *head)
{
	list_del(link);
	list_insert_between(link, head->prev, head);
}

/* whether @link is the head of a list of chunks; in witness.c */
bool witness_is_head(const struct list_head *link);

struct list_walk {
	struct list_head *head;	/* of the list */
	struct list_head *at;	/* current element */
	struct list_head *next;	/* its successor when the walk reached it */
};

static inline struct list_walk list_walk_from(struct list_head *head)
{
	fake_work()->slots_visited++;
	return (struct list_walk){ head, head->next, head->next->next };
}

static inline bool list_walk_goes_on(const struct list_walk *walk)
{
	if (walk->at == walk->head)
		return false;
	fake_work()->chunks_visited++;
	return true;
}

static inline void list_walk_on(struct list_walk *walk)
{
	walk->at = fakes.fixed ? walk->next : walk->at->next;
	walk->next = walk->at->next;
	if (walk->at != walk->head && witness_is_head(walk->at))
		fake_stop(STOP_UNDEFINED,
			  "the walk along a list of chunks came to the head of "
			  "another list, which is no chunk");
}

#define list_for_each_entry(pos, list, member)				\
	for (struct list_walk walk_ = list_walk_from(list);		\
	     list_walk_goes_on(&walk_) &&				\
	     ((pos) = container_of(walk_.at, __typeof__(*(pos)), member), \
	      true);							\
	     list_walk_on(&walk_))

#endif
