/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * small.h - an allocator small enough to draw, and short texts that describe
 * its state.
 *
 * Pages of 64 bytes make a unit of 1 KiB; its first 128 bytes are static:
 *
 *	  page 0  page 1  page 2          page 15
 *	|#######|#######|.......|  ...  |.......|
 *	0       64     128     192     960    1024
 */
#ifndef TEST_SMALL_H
#define TEST_SMALL_H

#include <stdio.h>
#include <string.h>

#include "harness.h"
#include "percpu.h"
#include "pick.h"

#define PAGE	64		/* bytes */
#define UNIT	1024		/* bytes */
#define STATIC	128		/* bytes of the static area */
#define BASE	((int64_t)PAGE)	/* per-CPU pointer of the static area */
#define TEXT	16384		/* bytes of the longest description */

#define NOMEM(service)	(-(PCPU_E_NOMEM + PCPU_##service))

static inline struct pcpu_config small_config(int64_t cpus)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION,
		.cpus = cpus,
		.static_size = STATIC,
		.page_size = PAGE,
		.memory = PCPU_MEMORY_NONE,
	};

	return config;
}

/* the same static area in mapped memory, with pages of the host */
static inline struct pcpu_config mapped_config(int64_t cpus)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = cpus, .static_size = STATIC };

	return config;
}

static inline struct pcpu *create(const struct pcpu_config *config)
{
	int error;
	struct pcpu *pcpu = pcpu_create(config, &error);

	CHECK(pcpu && !error);
	return pcpu;
}

static inline struct pcpu *small(int64_t cpus)
{
	struct pcpu_config config = small_config(cpus);

	return create(&config);
}

/* the slots that contain chunks, and the chunks' ids: "7:0 9:2,1" */
static inline const char *slots_of(struct pcpu *pcpu)
{
	static char text[4096];
	int error;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);
	const int64_t *id = snapshot->slot_ids;
	char *at = text;

	*at = '\0';
	for (int64_t slot = 0; slot < snapshot->nr_slots; slot++) {
		for (int64_t i = 0; i < snapshot->slot_len[slot]; i++) {
			if (i)
				at += sprintf(at, ",%d", (int)*id++);
			else
				at += sprintf(at, "%s%d:%d",
					      at == text ? "" : " ", (int)slot,
					      (int)*id++);
		}
	}
	pcpu_snapshot_free(snapshot);
	return text;
}

/* a chunk's map, free bytes and hint: "-128 -8 888 (free 888 hint 888)" */
static inline const char *map_of(struct pcpu *pcpu, int64_t id)
{
	static char text[TEXT];
	int error;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);
	const struct pcpu_chunk_info *chunk = snapshot->chunks;
	char *at = text;

	while (chunk < snapshot->chunks + snapshot->nr_chunks &&
	       chunk->id != id)
		chunk++;
	if (chunk == snapshot->chunks + snapshot->nr_chunks) {
		pcpu_snapshot_free(snapshot);
		return "no such chunk";
	}
	for (int64_t i = 0; i < chunk->map_used; i++)
		at += sprintf(at, "%d ", chunk->map[i]);
	sprintf(at, "(free %d hint %d)", (int)chunk->free_size,
		(int)chunk->contig_hint);
	pcpu_snapshot_free(snapshot);
	return text;
}

/* a digit for each page of a unit: the number of CPUs that have it populated */
static inline const char *pages_of(struct pcpu *pcpu, int64_t id)
{
	static char text[1024];
	int error;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);
	char *at = text;

	for (int64_t page = 0; page < snapshot->unit_pages; page++)
		*at++ = (char)('0' + snapshot->chunks[id].populated[page]);
	*at = '\0';
	pcpu_snapshot_free(snapshot);
	return text;
}

static inline uint64_t calls_of(struct pcpu *pcpu, enum pcpu_service service)
{
	uint64_t calls[PCPU_NR_SERVICES] = { 0 };

	CHECK(!pcpu_counters(pcpu, calls));
	return calls[service];
}

static inline struct pcpu_info info_of(struct pcpu *pcpu)
{
	struct pcpu_info info = { 0 };

	CHECK(!pcpu_info(pcpu, &info));
	return info;
}

/* let the @nth call from now to a service fail, once */
static inline void fail_at(struct pcpu *pcpu, int site, uint64_t nth)
{
	struct pcpu_fault fault = { nth, 1, 1, 1.0, 0 };

	CHECK(!pcpu_inject(pcpu, site, &fault));
}

#define CHECK_SLOTS(pcpu, text)	CHECK(!strcmp(slots_of(pcpu), text))
#define CHECK_MAP(pcpu, id, text) CHECK(!strcmp(map_of(pcpu, id), text))
#define CHECK_PAGES(pcpu, id, text) CHECK(!strcmp(pages_of(pcpu, id), text))

#endif /* TEST_SMALL_H */
