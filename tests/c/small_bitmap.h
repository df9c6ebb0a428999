/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * small_bitmap.h - the small allocator with bitmaps, and texts on its state.
 *
 * Pages of 64 bytes, 16 granules, make a unit of 1 KiB.  After 128 static bytes
 * the first chunk has four pages:
 *
 *	|static|   first chunk   |      not used      |
 *	0     128               384                1024
 *
 * Slots: 1 to 7 by contig hint, from 4 for a page to 7 for 512 bytes and more;
 * 9 sidelined, 10 free, 11 to depopulate.
 */
#ifndef TEST_SMALL_BITMAP_H
#define TEST_SMALL_BITMAP_H

#include "bitmap/pages.h"
#include "hints.h"
#include "small.h"

#define DYN	256		/* bytes of the first chunk */
#define LARGEST	512		/* bytes of the largest request, 8 pages */

static inline struct pcpu_config bitmap_config(int64_t cpus)
{
	struct pcpu_config config = small_config(cpus);

	config.policy = PCPU_POLICY_BITMAP;
	config.unit_size = UNIT;
	config.dyn_size = DYN;
	config.manual_balance = 1;
	return config;
}

static inline void ignore_text(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	(void)text;
}

static inline struct pcpu *small_bitmap(void)
{
	struct pcpu_config config = bitmap_config(1);

	return create(&config);
}

/* chunk and offset of an area: "1:64"; or why there is none */
static inline const char *place_text(struct pcpu *pcpu, int64_t ptr)
{
	static char text[64];
	struct pcpu_location location;
	int err = ptr < 0 ? (int)ptr : pcpu_locate(pcpu, ptr, &location);

	if (err)
		snprintf(text, sizeof(text), "%s", pcpu_strerror(err));
	else
		snprintf(text, sizeof(text), "%d:%d", (int)location.chunk,
			 (int)location.offset);
	return text;
}

static inline struct bitmap_chunk *chunk_of(struct pcpu *pcpu, int64_t id)
{
	struct rb_node *node = fake_rb_first(&pcpu->chunks);

	while (node && pcpu_rb_chunk(node)->id != id)
		node = fake_rb_next(node);
	CHECK(node);
	return to_bitmap(pcpu_rb_chunk(node));
}

/* empty pages in all, and of each chunk: "4 of 0:4 1:0 2:3 isolated" */
static inline const char *empty_text(struct pcpu *pcpu)
{
	static char text[1024];
	int error;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);
	char *at = text + sprintf(text, "%d of", (int)snapshot->empty_pages);

	for (int64_t i = 0; i < snapshot->nr_chunks; i++) {
		const struct pcpu_chunk_info *chunk = &snapshot->chunks[i];

		at += sprintf(at, " %d:%d%s", (int)chunk->id,
			      (int)chunk->empty_pages,
			      chunk->isolated ? " isolated" : "");
	}
	pcpu_snapshot_free(snapshot);
	return text;
}

/* a digit for each page of a chunk: the CPUs that have it populated */
static inline const char *populated_text(struct pcpu *pcpu, int64_t id)
{
	static char text[64];
	const struct bitmap_chunk *chunk = chunk_of(pcpu, id);
	int page = 0;

	for (; page < chunk->areas.nr_blocks; page++)
		text[page] = (char)('0' + chunk->chunk.populated[page]);
	text[page] = '\0';
	return text;
}

/* fill the first chunk, so that other chunks are made */
static inline int64_t fill_first(struct pcpu *pcpu)
{
	int64_t ptr = pcpu_alloc(pcpu, DYN, 4);

	CHECK(same_text(place_text(pcpu, ptr), "0:0"));
	return ptr;
}

static inline int64_t alloc(struct pcpu *pcpu, int64_t size)
{
	int64_t ptr = pcpu_alloc(pcpu, size, 4);

	CHECK(ptr > 0);
	return ptr;
}

static inline bool is_requested(struct pcpu *pcpu)
{
	return info_of(pcpu).balance_requested;
}

#define CHECK_PLACE(pcpu, ptr, text) \
	CHECK(same_text(place_text(pcpu, ptr), text))
#define CHECK_EMPTY(pcpu, text)	CHECK(same_text(empty_text(pcpu), text))
#define CHECK_POPULATED(pcpu, id, text) \
	CHECK(same_text(populated_text(pcpu, id), text))
#define CHECK_LISTS(pcpu, text)	CHECK(same_text(slots_of(pcpu), text))
#define CHECK_AREAS(pcpu, id, text) CHECK(same_text(map_of(pcpu, id), text))

#endif /* TEST_SMALL_BITMAP_H */
