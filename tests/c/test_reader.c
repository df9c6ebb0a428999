// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reader.c - the inside of the trace reader: its limits, which no recording
 * reaches in a test, and its hash of kinds.
 *
 * This file includes reader.c, with other names for its functions.
 */
#define pcpu_trace_reader_new own_reader_new
#define pcpu_trace_reader_free own_reader_free
#define pcpu_trace_feed own_feed
#define pcpu_trace_finish own_finish
#define pcpu_trace_ops own_ops
#define pcpu_trace_notes own_notes
#define pcpu_trace_take own_take
#define pcpu_trace_kind own_kind
#define pcpu_trace_stats own_stats
#define pcpu_trace_stop own_stop
#include "trace/reader.c"

#include "harness.h"

#define ALLOC	"x-1 [000] 1.0: percpu_alloc_percpu: "
#define FREE	"x-1 [000] 1.0: percpu_free_percpu: "

static int feed(struct pcpu_trace_reader *reader, const char *text)
{
	return own_feed(reader, text, strlen(text));
}

/* numbers are 32 bits, and the highest have a meaning */
TEST(more_than_2_to_the_32_chunks_are_refused)
{
	struct pcpu_trace_reader *reader = own_reader_new();

	CHECK(!feed(reader, ALLOC "size=8 align=8 base_addr=a off=0 ptr=a\n"));
	reader->chunks.used = PCPU_NO_PLACE;
	CHECK(feed(reader, FREE "base_addr=b ptr=b\n") == -PCPU_T_TOO_MANY);
	CHECK(reader->stop.error == PCPU_T_TOO_MANY);
	reader->chunks.used = 1;
	own_reader_free(reader);
}

TEST(more_than_2_to_the_32_kinds_are_refused)
{
	struct pcpu_trace_reader *reader = own_reader_new();

	CHECK(!feed(reader, ALLOC "size=8 align=8 ptr=a\n"));
	reader->kinds.used = PCPU_OP_FAULT;
	CHECK(!feed(reader, ALLOC "size=8 align=8 ptr=b\n"));
	CHECK(feed(reader, ALLOC "size=16 align=8 ptr=c\n") ==
	      -PCPU_T_TOO_MANY);
	own_reader_free(reader);
}

TEST(more_than_2_to_the_32_live_pointers_are_refused)
{
	struct pcpu_trace_reader *reader = own_reader_new();

	reader->stats.handles = PCPU_OP_ORPHAN - 1;
	CHECK(!feed(reader, ALLOC "size=8 align=8 ptr=a\n"));
	CHECK(((struct pcpu_op *)reader->ops.data)->handle ==
	      PCPU_OP_ORPHAN - 1);
	CHECK(feed(reader, ALLOC "size=8 align=8 ptr=b\n") ==
	      -PCPU_T_TOO_MANY);
	own_reader_free(reader);
}

static uint64_t hash_of(uint64_t size, uint64_t align, const char *site)
{
	struct trace_line line = {
		.size = size,
		.align = align,
		.site = site,
		.site_len = strlen(site),
	};

	return hash_kind(&line);
}

static int by_value(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* equal hashes are allowed, but make a search slow */
TEST(the_hashes_of_usual_kinds_differ)
{
	static uint64_t hashes[64 * 7 * 3 + 2 * 255 + 2];
	static const char *const sites[] = { "", "f+0x1/0x2", "g+0x1/0x2" };
	size_t n = 0;

	for (uint64_t size = 1; size <= 64; size++)
		for (int shift = 0; shift < 7; shift++)
			for (int i = 0; i < 3; i++)
				hashes[n++] = hash_of(size, 1u << shift,
						      sites[i]);
	for (int c = 1; c <= 255; c++) {
		char site[100] = { (char)c };

		hashes[n++] = hash_of(100, 8, site);
		memset(site + 1, 'x', 80);
		hashes[n++] = hash_of(100, 8, site);
	}
	qsort(hashes, n, sizeof(*hashes), by_value);
	for (size_t i = 1; i < n; i++)
		CHECK(hashes[i] != hashes[i - 1]);
}
