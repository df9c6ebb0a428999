/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * creator.h - hooks for all services that count calls and can let any of them
 * fail.
 *
 * The address space is a file in memory that is mapped twice: a test reads in
 * the second mapping what it wrote to an area.
 */
#ifndef TEST_CREATOR_H
#define TEST_CREATOR_H

#define _GNU_SOURCE 1	/* memfd_create, MAP_NORESERVE, fallocate */
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "small.h"

#define NODES	2	/* as many as CPUs */

struct creator {
	struct pcpu_hooks hooks; /* of its allocator */
	int nodes;		/* NUMA nodes of its CPUs */
	int blocks;		/* blocks of memory not yet freed */
	int no_memory_at;	/* number of the call to fail, from 1 */
	int file;		/* contains the pages */
	char *space;		/* the allocator's mapping */
	char *mirror;		/* our mapping, read-only */
	size_t size;		/* bytes of both */
	int refusals;		/* reservations still to refuse */
	int releases;		/* of the space */
	size_t mapped;		/* bytes that are mapped, each counted once */
	int no_map_at;		/* number of the call to fail */
	int frames[NODES];	/* page frames not yet freed */
	int no_frame_at;	/* number of the call to fail */
	int fail;		/* service that fails, or -1 */
	int asked[PCPU_NR_SERVICES]; /* calls of should_fail for each */
	char log[1024];		/* events and messages, a line each */
	struct pcpu *ask;	/* allocator that the hooks call, or NULL */
	int answers;		/* such calls that return -PCPU_E_BUSY */
	int other_answers;	/* such calls that do not */
};

/* true for the n-th call, where *@at is n at first; 0: never */
static inline bool is_due(int *at)
{
	return *at && !--*at;
}

static inline void call_back(struct creator *creator)
{
	if (!creator->ask)
		return;
	if (pcpu_alloc(creator->ask, 8, 8) == -PCPU_E_BUSY)
		creator->answers++;
	else
		creator->other_answers++;
}

/* with one node for each CPU, or one for all */
static inline int node_of(const struct creator *creator, int cpu)
{
	return creator->nodes == 1 ? 0 : cpu;
}

static inline void *creator_alloc(void *arg, size_t size)
{
	struct creator *creator = arg;

	call_back(creator);
	CHECK(size > 0);
	if (is_due(&creator->no_memory_at))
		return NULL;
	creator->blocks++;
	/* memory from malloc() is not zeroed either */
	return memset(malloc(size), 0xa5, size);
}

static inline void creator_free(void *arg, void *ptr)
{
	struct creator *creator = arg;

	call_back(creator);
	creator->blocks--;
	free(ptr);
}

static inline void *creator_reserve(void *arg, size_t size, size_t align)
{
	struct creator *creator = arg;

	CHECK(align == (size_t)sysconf(_SC_PAGESIZE) && size % align == 0);
	if (creator->refusals) {
		creator->refusals--;
		return NULL;
	}
	creator->file = memfd_create("units", 0);
	CHECK(!ftruncate(creator->file, (off_t)size));
	creator->space = mmap(NULL, size, PROT_NONE, MAP_SHARED | MAP_NORESERVE,
			      creator->file, 0);
	creator->mirror = mmap(NULL, size, PROT_READ, MAP_SHARED | MAP_NORESERVE,
			       creator->file, 0);
	creator->size = size;
	return creator->space;
}

static inline void creator_release(void *arg, void *addr, size_t size)
{
	struct creator *creator = arg;

	CHECK(addr == creator->space && size == creator->size);
	munmap(creator->space, size);
	munmap(creator->mirror, size);
	close(creator->file);
	creator->releases++;
	creator->mapped = 0;
}

static inline int creator_map(void *arg, void *addr, size_t size, int cpu,
			      int node)
{
	struct creator *creator = arg;

	call_back(creator);
	CHECK((char *)addr >= creator->space &&
	      (char *)addr + size <= creator->space + creator->size);
	CHECK(node == node_of(creator, cpu));
	if (is_due(&creator->no_map_at))
		return -1;
	creator->mapped += size;
	return mprotect(addr, size, PROT_READ | PROT_WRITE);
}

static inline void creator_unmap(void *arg, void *addr, size_t size, int cpu,
				 int node)
{
	struct creator *creator = arg;

	CHECK(node == node_of(creator, cpu));
	creator->mapped -= size;
	CHECK(!fallocate(creator->file, FALLOC_FL_PUNCH_HOLE |
			 FALLOC_FL_KEEP_SIZE,
			 (char *)addr - creator->space, (off_t)size));
	CHECK(!mprotect(addr, size, PROT_NONE));
}

static inline int creator_alloc_page(void *arg, int cpu, int node)
{
	struct creator *creator = arg;

	CHECK(node == node_of(creator, cpu));
	if (is_due(&creator->no_frame_at))
		return -1;
	creator->frames[node]++;
	return 0;
}

static inline void creator_free_page(void *arg, int cpu, int node)
{
	struct creator *creator = arg;

	CHECK(node == node_of(creator, cpu));
	creator->frames[node]--;
}

static inline int creator_should_fail(void *arg, int service)
{
	struct creator *creator = arg;

	creator->asked[service]++;
	return service == creator->fail;
}

static inline void creator_event(void *arg, const struct pcpu_event *event)
{
	static const char *const names[] = {
		"alloc", "free", "fail", "create", "destroy", "leak",
	};
	struct creator *creator = arg;
	size_t used = strlen(creator->log);

	call_back(creator);
	snprintf(creator->log + used, sizeof(creator->log) - used,
		 "%s %d+%d ptr %d size %d align %d error %d\n",
		 names[event->kind], (int)event->chunk, (int)event->offset,
		 (int)event->ptr, (int)event->size, (int)event->align,
		 event->error);
}

static inline void creator_log(void *arg, int about, const char *text)
{
	struct creator *creator = arg;
	size_t used = strlen(creator->log);

	snprintf(creator->log + used, sizeof(creator->log) - used, "%d: %s\n",
		 about, text);
}

/* a config that uses the hooks in creator->hooks */
static inline struct pcpu_config config_by(struct creator *creator, int memory)
{
	struct pcpu_config config = memory == PCPU_MEMORY_NONE ?
		small_config(NODES) : mapped_config(NODES);

	config.nodes = creator->nodes;
	config.log = creator_log;
	config.arg = creator;
	config.hooks = &creator->hooks;
	return config;
}

#define MEMORY_HOOKS	.alloc = creator_alloc, .free = creator_free
#define SPACE_HOOKS	.reserve = creator_reserve, .release = creator_release, \
			.map = creator_map, .unmap = creator_unmap
#define PAGE_HOOKS	.alloc_page = creator_alloc_page, \
			.free_page = creator_free_page

#define CREATOR(...)	{ .hooks = { __VA_ARGS__ }, .nodes = NODES, .fail = -1 }

#endif /* TEST_CREATOR_H */
