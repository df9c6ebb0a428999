// SPDX-License-Identifier: GPL-2.0-only
/*
 * witness.c - the 2009 file, unmodified, and a driver.
 *
 * WITNESS_PERCPU_C is the path of the file, in quotes.  The file is included
 * here so that the driver can access its static variables and functions.
 */
#include "witness.h"

/* not our code: compilers of 2009 did not warn about it */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wsign-compare"
#include WITNESS_PERCPU_C
#pragma GCC diagnostic pop

static int boot_pages;	/* populated pages of a unit at set-up */

bool witness_is_head(const struct list_head *link)
{
	return link >= pcpu_slot && link < pcpu_slot + pcpu_nr_slots;
}

static struct page *boot_page(unsigned int cpu, int page)
{
	return page < boot_pages ? fake_boot_page(cpu_to_node(cpu)) : NULL;
}

/* page tables need no memory here */
static void boot_page_table(unsigned long addr)
{
	(void)addr;
}

static void begin_call(enum fake_call call)
{
	/* the previous call may have stopped before its end */
	pcpu_mutex.held = false;
	fakes.fresh_chunk = NULL;
	fakes.report.stopped = STOP_NOT;
	fakes.report.failed = -1;
	fakes.call = call;
	fakes.call_number++;
	fakes.added_ranges = 0;
	fakes.in_added_range = false;
	fakes.entry_counted = false;
	fakes.compared = NULL;
}

/* later work is not that of an allocation or a free */
static void end_call(void)
{
	fake_put_back();
	fakes.call = CALL_OTHER;
}

/* count the map entry of a freed area: the scan ends at it */
static void count_freed_entry(void)
{
	fake_work()->entries_scanned++;
}

static int64_t set_up_first_chunk(const struct witness_settings *settings,
				  void *block)
{
	begin_call(CALL_OTHER);
	if (setjmp(fakes.way_out))
		return 0;
	return (int64_t)pcpu_setup_first_chunk(boot_page,
					       (size_t)settings->static_size,
					       (size_t)settings->unit_size,
					       (size_t)settings->free_size,
					       block,
					       block ? NULL : boot_page_table);
}

static void *address(int64_t from_start)
{
	return (void *)(FAKE_SPACE + (unsigned long)from_start);
}

int64_t witness_setup(const struct witness_settings *settings)
{
	witness_exit();
	fake_start();
	fakes.page_shift = __builtin_ctzl((unsigned long)settings->page_size);
	fakes.cpus = (unsigned int)settings->cpus;
	fakes.page_limit = settings->page_limit;
	fakes.first_area = (unsigned long)address(settings->first_area);
	fakes.pointer_zero = (unsigned long)address(settings->pointer_zero);
	fakes.fixed = settings->fixed;
	fakes.keep_neighbours = settings->keep_neighbours;
	fake_add_nodes((unsigned int)settings->nodes);
	boot_pages = (int)settings->present_pages;
	return set_up_first_chunk(settings, settings->block ?
				  address(settings->block) : NULL);
}

void witness_exit(void)
{
	fake_end();
	pcpu_addr_root = RB_ROOT;
	pcpu_slot = NULL;
	pcpu_nr_slots = 0;
}

int64_t witness_alloc(uint64_t size, uint64_t align)
{
	int64_t ptr = 0;

	begin_call(CALL_ALLOC);
	if (!setjmp(fakes.way_out))
		ptr = (int64_t)__alloc_percpu(size, align);
	/* the area was allocated, but not populated: the file freed it again */
	if (fakes.report.failed == FAKE_ALLOC_PAGE ||
	    fakes.report.failed == FAKE_MAP)
		count_freed_entry();
	end_call();
	return ptr;
}

int64_t witness_free(int64_t ptr)
{
	begin_call(CALL_FREE);
	if (!setjmp(fakes.way_out)) {
		free_percpu((void *)ptr);
		if (ptr)
			count_freed_entry();
	}
	end_call();
	return fakes.report.stopped;
}

bool witness_find(int64_t ptr, struct witness_place *place)
{
	uint64_t size = (uint64_t)pcpu_unit_size * fakes.cpus;
	uint64_t addr = (uint64_t)ptr + fakes.pointer_zero;
	struct rb_node *node = rb_last(&pcpu_addr_root);

	for (; node; node = rb_prev(node)) {
		struct vm_struct *vm =
			rb_entry(node, struct pcpu_chunk, rb_node)->vm;
		uint64_t offset = addr - (uint64_t)vm->addr;

		if (offset < size) {
			place->chunk = vm->ordinal;
			place->offset = (int64_t)offset;
			return true;
		}
	}
	return false;
}

/* an output of words, of limited size */
struct writer {
	int64_t *words;		/* the output */
	int64_t room;		/* size of the output */
	int64_t used;		/* words so far, also those that do not fit */
};

static void write_word(struct writer *out, int64_t word)
{
	if (out->used < out->room)
		out->words[out->used] = word;
	out->used++;
}

static void write_chunk(struct writer *out, struct pcpu_chunk *chunk)
{
	int i;

	write_word(out, chunk->vm->ordinal);
	write_word(out, chunk->free_size);
	write_word(out, chunk->contig_hint);
	write_word(out, chunk->map_alloc);
	write_word(out, chunk->immutable);
	write_word(out, chunk->map_used);
	for (i = 0; i < chunk->map_used; i++)
		write_word(out, chunk->map[i]);
	for (i = 0; i < pcpu_unit_pages; i++) {
		int64_t holders = 0;
		unsigned int cpu;

		for_each_possible_cpu(cpu)
			holders += *pcpu_chunk_pagep(chunk, cpu, i) != NULL;
		write_word(out, holders);
	}
}

static int64_t chunks_in_tree(void)
{
	const struct rb_node *node;
	int64_t nr = 0;

	for (node = rb_last(&pcpu_addr_root); node; node = rb_prev(node))
		nr++;
	return nr;
}

int64_t witness_dump(int64_t *words, int64_t room)
{
	struct writer out = { words, room, 0 };
	int64_t nr_chunks = 0;
	int slot;

	write_word(&out, pcpu_nr_slots);
	write_word(&out, pcpu_unit_pages);
	for (slot = 0; slot < pcpu_nr_slots; slot++) {
		struct list_head *head = &pcpu_slot[slot];
		struct list_head *link;
		int64_t length = 0;

		for (link = head->next; link != head; link = link->next)
			length++;
		write_word(&out, length);
		for (link = head->next; link != head; link = link->next)
			write_chunk(&out, container_of(link, struct pcpu_chunk,
						       list));
		nr_chunks += length;
	}
	return nr_chunks == chunks_in_tree() ? out.used : -1;
}

void witness_inject(int service, uint64_t nth, uint64_t interval,
		    int64_t times, double probability, uint64_t seed)
{
	fake_arm(service, nth, interval, times, probability, seed);
}

const struct fake_report *witness_report(void)
{
	return &fakes.report;
}

const uint64_t *witness_calls(void)
{
	return fakes.calls;
}

const struct fake_work *witness_works(void)
{
	return fakes.works;
}
