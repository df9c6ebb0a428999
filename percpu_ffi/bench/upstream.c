// SPDX-License-Identifier: GPL-2.0-only
/*
 * upstream.c - the 2009 file as a contender in the benchmark
 *
 * Its services are as cheap as possible, so that only the file is measured:
 * no page is real, locks and flushes do nothing, addresses only grow.  What
 * its decisions depend on is real: lists, and a balanced tree, which is the
 * port's.  Its headers are empty files; all that it needs from them is here.
 *
 * UPSTREAM_PERCPU_C is the path of the file, in quotes.  Its state is in
 * static variables, so there is one allocator at a time.
 */
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define __init
#define likely(condition)	__builtin_expect(!!(condition), 1)
#define unlikely(condition)	__builtin_expect(!!(condition), 0)
#define uninitialized_var(name)	name = 0
#define EXPORT_SYMBOL_GPL(name)	_Static_assert(1, "nothing to do")

#define max_t(type, a, b)						\
	({ type a_ = (a); type b_ = (b); a_ > b_ ? a_ : b_; })
#define max(a, b)							\
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ > b_ ? a_ : b_; })
#define min(a, b)							\
	({ __typeof__(a) a_ = (a); __typeof__(b) b_ = (b); a_ < b_ ? a_ : b_; })
#define ALIGN(x, to)							\
	(((x) + (__typeof__(x))(to) - 1) & ~((__typeof__(x))(to) - 1))
#define container_of(inner, type, member)				\
	((type *)((char *)(inner) - offsetof(type, member)))

static inline int fls(int number)
{
	return number ? 32 - __builtin_clz((unsigned int)number) : 0;
}

/* --- bugs and warnings: the conditions are evaluated, as in the kernel */

#define BUG_ON(condition)						\
	do {								\
		if (unlikely(condition))				\
			abort();					\
	} while (0)
#define panic(...)		abort()
#define WARN_ON(condition)	((void)(condition))
#define WARN(condition, ...)	((void)(condition))

/* --- CPUs, pages, locks */

static unsigned int nr_cpus;	/* possible CPUs */

#define num_possible_cpus()	nr_cpus
#define for_each_possible_cpu(cpu)					\
	for ((cpu) = 0; (cpu) < nr_cpus; (cpu)++)
#define cpu_to_node(cpu)	0

#define PAGE_SHIFT		12
#define PAGE_SIZE		(1UL << PAGE_SHIFT)
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define PFN_DOWN(bytes)		((bytes) >> PAGE_SHIFT)
#define PFN_UP(bytes)		(((bytes) + PAGE_SIZE - 1) >> PAGE_SHIFT)
#define PAGE_KERNEL		0

typedef unsigned int gfp_t;
#define GFP_KERNEL		0u
#define __GFP_HIGHMEM		0u
#define __GFP_COLD		0u

struct page {
	char any;		/* never read */
};

static struct page the_page;	/* stands for every page frame */

#define alloc_pages_node(node, flags, order)				\
	((void)(node), (void)(flags), &the_page)
#define __free_page(page)	((void)(page))

#define DEFINE_MUTEX(name)	char name __attribute__((unused))
#define mutex_lock(mutex)	((void)0)
#define mutex_unlock(mutex)	((void)0)

/* --- memory */

#define kmalloc(size, flags)	malloc(size)
#define kzalloc(size, flags)	calloc(1, size)
#define kfree(memory)		free(memory)
#define vmalloc(size)		malloc(size)
#define vfree(memory)		free(memory)
#define alloc_bootmem(size)	calloc(1, size)

/* --- address space: above any pointer of the host, without memory */

#define SPACE			(1UL << 62)

struct vm_struct {
	void *addr;		/* where it starts */
	unsigned long size;	/* bytes */
	unsigned long flags;	/* never read */
};
#define VM_ALLOC		0

static unsigned long next_addr;	/* of the next area */

static struct vm_struct *get_vm_area(unsigned long size, unsigned long flags)
{
	struct vm_struct *area = malloc(sizeof(*area));

	*area = (struct vm_struct){ (void *)next_addr, size, flags };
	next_addr += size + PAGE_SIZE;
	return area;
}

#define free_vm_area(area)	free(area)

static void vm_area_register_early(struct vm_struct *area, size_t align)
{
	(void)align;
	area->addr = (void *)next_addr;
	next_addr += area->size;
}

#define map_kernel_range_noflush(addr, size, protection, pages)		\
	((void)(addr), (void)(pages), (int)((size) >> PAGE_SHIFT))
#define unmap_kernel_range_noflush(addr, size)	((void)(addr))
#define flush_cache_vmap(start, end)		((void)0)
#define flush_cache_vunmap(start, end)		((void)0)
#define flush_tlb_kernel_range(start, end)	((void)0)

/* areas have no memory to be cleared */
#define memset(to, byte, size)						\
	((unsigned long)(to) >= SPACE ? (to) : (memset)(to, byte, size))

/* --- lists; walks read the next entry in advance, see "walk" in docs/errata.md */

struct list_head {
	struct list_head *next;	/* the first one, seen from the head */
	struct list_head *prev;	/* the last one, seen from the head */
};

static inline void INIT_LIST_HEAD(struct list_head *list)
{
	list->next = list;
	list->prev = list;
}

static inline void put_between(struct list_head *link, struct list_head *prev,
			       struct list_head *next)
{
	link->prev = prev;
	link->next = next;
	prev->next = link;
	next->prev = link;
}

static inline void list_del(struct list_head *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
}

static inline void list_move(struct list_head *link, struct list_head *head)
{
	list_del(link);
	put_between(link, head, head->next);
}

static inline void list_move_tail(struct list_head *link,
				  struct list_head *head)
{
	list_del(link);
	put_between(link, head->prev, head);
}

#define list_for_each_entry(pos, head, member)				\
	for (struct list_head *at_ = (head)->next, *next_ = at_->next;	\
	     (pos) = container_of(at_, __typeof__(*(pos)), member),	\
	     at_ != (head);						\
	     at_ = next_, next_ = at_->next)

/* --- the tree: that of csrc/kernel/rbtree.h, under the names of the kernel */

struct rb_node {
	struct rb_node *parent;	/* as in csrc/kernel/rbtree.h */
	struct rb_node *rb_left;
	struct rb_node *rb_right;
	bool red;
};

struct rb_root {
	struct rb_node *rb_node;
};

#define RB_ROOT			((struct rb_root){ NULL })
#define rb_entry(node, type, member) container_of(node, type, member)

typedef void insert_fn(struct rb_root *root, struct rb_node *node,
		       struct rb_node *parent, struct rb_node **link);
typedef void erase_fn(struct rb_root *root, struct rb_node *node);

static insert_fn *tree_insert;		/* fake_rb_insert() */
static erase_fn *rb_erase_node;		/* fake_rb_erase() */
static struct rb_node *new_parent, **new_link; /* kept until the next call */

static inline void rb_link_node(struct rb_node *node, struct rb_node *parent,
				struct rb_node **link)
{
	(void)node;
	new_parent = parent;
	new_link = link;
}

static inline void rb_insert_color(struct rb_node *node, struct rb_root *root)
{
	tree_insert(root, node, new_parent, new_link);
}

static inline void rb_erase(struct rb_node *node, struct rb_root *root)
{
	rb_erase_node(root, node);
}

static inline struct rb_node *rb_prev(struct rb_node *node)
{
	if (node->rb_left) {
		node = node->rb_left;
		while (node->rb_right)
			node = node->rb_right;
		return node;
	}
	while (node->parent && node == node->parent->rb_left)
		node = node->parent;
	return node->parent;
}

/* --- what linux/percpu.h declares */

#define PCPU_MIN_UNIT_SIZE	(16 * PAGE_SIZE)
#define __addr_to_pcpu_ptr(addr) ((void *)((unsigned long)(addr) - SPACE))
#define __pcpu_ptr_to_addr(ptr)	((void *)((unsigned long)(ptr) + SPACE))

typedef struct page *(*pcpu_get_page_fn_t)(unsigned int cpu, int page);
typedef void (*pcpu_populate_pte_fn_t)(unsigned long addr);

#include UPSTREAM_PERCPU_C

/* --- the contender */

#define PUBLIC	__attribute__((visibility("default")))

static int static_pages;	/* in each unit, populated by the set-up */

static struct page *bring_page(unsigned int cpu, int page)
{
	(void)cpu;
	return page < static_pages ? &the_page : NULL;
}

static void bring_page_table(unsigned long addr)
{
	(void)addr;
}

PUBLIC int64_t upstream_alloc(void *unused, int64_t size, int64_t align)
{
	(void)unused;
	return (int64_t)__alloc_percpu((size_t)size, (size_t)align);
}

PUBLIC int upstream_free(void *unused, int64_t ptr)
{
	(void)unused;
	free_percpu((void *)ptr);
	return 0;
}

/* end the present allocator */
PUBLIC void upstream_stop(void)
{
	int slot;

	for (slot = 0; slot < pcpu_nr_slots; slot++) {
		struct pcpu_chunk *chunk;

		list_for_each_entry(chunk, &pcpu_slot[slot], list) {
			if ((unsigned long)chunk->vm->addr != SPACE + PAGE_SIZE)
				free(chunk->vm);
			free(chunk->map);
			free(chunk);
		}
	}
	free(pcpu_slot);
	pcpu_slot = NULL;
	pcpu_nr_slots = 0;
	pcpu_addr_root = RB_ROOT;
}

/* as setup_pcpu_4k of x86; returns the size of a unit */
PUBLIC int64_t upstream_start(int64_t cpus, int64_t static_size,
			      insert_fn *insert, erase_fn *erase)
{
	upstream_stop();
	nr_cpus = (unsigned int)cpus;
	static_pages = (int)PFN_UP(static_size);
	tree_insert = insert;
	rb_erase_node = erase;
	next_addr = SPACE + PAGE_SIZE;
	return (int64_t)pcpu_setup_first_chunk(bring_page, (size_t)static_size,
					       0, 0, NULL, bring_page_table);
}
