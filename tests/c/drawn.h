/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * drawn.h - one chunk, from a drawing of its map and back.
 *
 *	"aab.....|..cc...."	a letter for each area, granule by granule
 *
 * A block is what is between two bars, all of one size.  The hints are those of
 * an allocator that knows each free run; a test may set others.
 */
#ifndef TEST_DRAWN_H
#define TEST_DRAWN_H

#include "bitmap/areas.h"
#include "hints.h"

#define DRAWN_BLOCKS	32
#define DRAWN_WORDS	16

static uint64_t drawn_used[DRAWN_WORDS], drawn_bounds[DRAWN_WORDS];
static uint64_t drawn_known, drawn_whole, drawn_pages;
static struct pcpu_block_md drawn_blocks[DRAWN_BLOCKS];
static struct pcpu_areas areas;

/* the hints of granules [from, from + n), each free run learnt in order */
static inline struct pcpu_block_md drawn_hints(const char *granules, int from,
					       int n)
{
	struct pcpu_block_md md = { .nr_bits = n, .first_free = n };
	int start, end;

	for (start = 0; start < n; start = end) {
		end = start + 1;
		while (end < n && (granules[from + end] == '.') ==
				  (granules[from + start] == '.'))
			end++;
		if (granules[from + start] == '.')
			pcpu_block_update(&md, start, end, false);
	}
	return md;
}

/* set the hints of a block, and what is known of it in short */
static inline void set_block(int i, struct pcpu_block_md md)
{
	areas.blocks[i] = md;
	bits_fill(areas.known, i, i + 1, md.contig_hint);
	bits_fill(areas.whole, i, i + 1, md.contig_hint == md.nr_bits);
}

static inline void given(const char *drawing)
{
	char granules[DRAWN_WORDS * 64 + 1];
	int n = 0, size = (int)strcspn(drawing, "|");

	areas = (struct pcpu_areas){
		.alloc_map = drawn_used, .bound_map = drawn_bounds,
		.blocks = drawn_blocks, .populated = &drawn_pages,
		.known = &drawn_known, .whole = &drawn_whole,
	};
	for (const char *at = drawing; *at; at++)
		if (*at != '|')
			granules[n++] = *at;
	granules[n] = '.';
	while (1 << areas.block_shift < size)
		areas.block_shift++;
	areas.nr_blocks = n >> areas.block_shift;
	CHECK(1 << areas.block_shift == size && pcpu_areas_bits(&areas) == n);
	memset(drawn_used, 0, sizeof(drawn_used));
	memset(drawn_bounds, 0, sizeof(drawn_bounds));
	pcpu_areas_init(&areas);
	for (int i = 0; i < n; i++) {
		if (granules[i] == '.')
			continue;
		areas.free_bits--;
		bits_set_one(drawn_used, i);
		if (!i || granules[i - 1] != granules[i])
			bits_set_one(drawn_bounds, i);
		if (granules[i + 1] != granules[i])
			bits_set_one(drawn_bounds, i + 1);
	}
	for (int i = 0; i < areas.nr_blocks; i++)
		set_block(i, drawn_hints(granules, i * size, size));
	drawn_pages = ~(uint64_t)0;
	areas.chunk_md = drawn_hints(granules, 0, n);
}

/* the map, with areas named in order of offset */
static inline const char *drawing(void)
{
	static char text[DRAWN_WORDS * 64 + DRAWN_BLOCKS + 1];
	int n = pcpu_areas_bits(&areas), size = 1 << areas.block_shift;
	char *at = text, name = 'a' - 1;

	for (int i = 0; i < n; i++) {
		bool used = bits_test(areas.alloc_map, i);

		if (i && i % size == 0)
			*at++ = '|';
		if (used && bits_test(areas.bound_map, i))
			name++;
		*at++ = used ? name : '.';
	}
	*at = '\0';
	return text;
}

static inline int take_at(int start, int bits)
{
	return pcpu_areas_take(&areas, start, bits, NULL);
}

/* free the area that starts at a granule */
static inline int release_at(int start)
{
	return pcpu_areas_release(&areas, start,
				  pcpu_areas_end(&areas, start) - start);
}

/* set the hints of a block, or of the chunk */
#define KNOWN(i, text) \
	set_block(i, hints_from(text, 1 << areas.block_shift))
#define KNOWN_OF_CHUNK(text) \
	(areas.chunk_md = hints_from(text, pcpu_areas_bits(&areas)))

#define CHECK_DRAWING(text)	CHECK(same_text(drawing(), text))
#define CHECK_BLOCK(i, text) \
	CHECK(same_text(hints_text(&areas.blocks[i]), text))
#define CHECK_CHUNK(text) \
	CHECK(same_text(hints_text(&areas.chunk_md), text))

#endif /* TEST_DRAWN_H */
