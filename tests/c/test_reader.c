// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reader.c - text in pieces of any size, strict and tolerant: what is
 * read, and what is skipped for which reason.
 */
#include <time.h>

#include "pick.h"
#include "recorded.h"

/* --- pieces */

/* a line of a random text of few pointers, with @ptr of this line */
static int random_line(char *at, unsigned int ptr)
{
	switch (pick(16)) {
	case 0:
		return sprintf(at, "# a comment\r\n");
	case 1:
		return sprintf(at, "CPU:0 [LOST %u EVENTS]\n", ptr);
	case 2:
		return sprintf(at, "\n");
	case 3:
		return sprintf(at, " => f%u\n => g\n", ptr);
	case 4:
		return sprintf(at, FT(0, 5.5) "<stack trace>\n => h\n");
	case 5:
		return sprintf(at, FT_SCHED);
	case 6:
		return sprintf(at, FT_FREE "\n base_addr=a\n>off=1\nptr=%x\n",
			       ptr);
	case 7:
		return sprintf(at, FT_ALLOC "size=1%s", pick(2) ? "" : "\n");
	case 8:
		return sprintf(at, "{\"log\": \"" FT_CREATE
			       "base_addr=a\\n\"}\n");
	case 9:
	case 10:
	case 11:
		return sprintf(at, FT_FREE "base_addr=a off=%u ptr=%016x\n",
			       ptr * 64, ptr);
	default:
		return sprintf(at, FT_ALLOC "call_site=f+%u size=%u align=8 "
			       "base_addr=a off=%u ptr=%016x\n", pick(3),
			       8 * pick(8), ptr * 64, ptr);
	}
}

/* all that the reader has to say about a text, as bytes */
static size_t results(char *to)
{
	const struct { const void *at; size_t n; } parts[] = {
		{ &stats, sizeof(stats) },
		{ rows.ops, rows.n * sizeof(*rows.ops) },
		{ rows.times, rows.n * sizeof(*rows.times) },
		{ rows.chunks, rows.n * sizeof(*rows.chunks) },
		{ rows.offsets, rows.n * sizeof(*rows.offsets) },
		{ rows.tasks, rows.n * sizeof(*rows.tasks) },
		{ rows.cpus, rows.n * sizeof(*rows.cpus) },
		{ events, nr_events * sizeof(*events) },
		{ stacks_of, nr_stacks_of * sizeof(*stacks_of) },
	};
	char *at = to;

	for (size_t i = 0; i < COUNT(parts); i++) {
		memcpy(at, parts[i].at, parts[i].n);
		at += parts[i].n;
	}
	for (int i = 0; i < PCPU_NR_SKIPS; i++) {
		struct pcpu_trace_skip skip = skipped(i);

		at += sprintf(at, "%d %d %.*s %s\n", (int)skip.count,
			      (int)skip.line, (int)skip.length, skip.text,
			      skip.field ? skip.field : "");
	}
	return (size_t)(at - to);
}

TEST(pieces_of_any_size_read_the_same)
{
	static const size_t pieces[] = { 1, 2, 7, 64, 4096 };
	static char text[300000], expected[200000], result[200000];
	char *at = text;
	size_t n, length;

	for (int i = 0; i < 1000; i++)
		at += random_line(at, 1 + pick(40));
	n = (size_t)(at - text);
	CHECK(!read_pieces(0, text, n, n));
	CHECK(stats.reallocs > 0 && stats.orphan_frees > 0 && stats.lost > 0);
	CHECK(nr_stacks_of > 0 && nr_events > 0 && stats.kernel_created > 0);
	length = results(expected);
	for (size_t i = 0; i < COUNT(pieces); i++) {
		CHECK(!read_pieces(0, text, n, pieces[i]));
		CHECK(results(result) == length);
		CHECK(!memcmp(expected, result, length));
	}
	done();
}

/* an empty line ends a stack, also where one text ends and another begins */
TEST(an_empty_line_between_two_texts_is_read)
{
	static const char *const texts[] = {
		PERF_FREE "ptr=1\n", "\n", "\tf (x)\n",
	};

	done();
	reader = pcpu_trace_reader_new(0);
	for (size_t i = 0; i < COUNT(texts); i++)
		CHECK(!pcpu_trace_feed(reader, texts[i], strlen(texts[i])));
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(stats.lines == 3 && nr_stacks_of == 0);
	done();
}

TEST(rows_that_were_taken_are_not_returned_again)
{
	done();
	reader = pcpu_trace_reader_new(0);
	CHECK(!pcpu_trace_feed(reader, ALLOC_LINE "\n",
			       sizeof(ALLOC_LINE)));
	read_results();
	CHECK(rows.n == 1);
	pcpu_trace_take(reader);
	read_results();
	CHECK(rows.n == 0);
	CHECK(!pcpu_trace_feed(reader, FREE_LINE "\n", sizeof(FREE_LINE)));
	read_results();
	/* the reader still knows the handle */
	CHECK(rows.n == 1 && op_is(0, 0xbbbb0000, 0, PCPU_OP_FREE));
	CHECK(stats.orphan_frees == 0 && stats.lines == 4);
	done();
}

/* --- what is skipped */

TEST(lines_that_are_no_event_are_counted_by_kind)
{
	CHECK(!read_text("hello\n\n# tracer: nop\n" FT_SCHED
			 FREE_LINE "  world \r\n" FT_SCHED));
	CHECK(skip_is(PCPU_SKIP_TEXT, 2, 1, "hello", ""));
	CHECK(skip_is(PCPU_SKIP_OTHER, 2, 4, "bash-2090    [000] ..... 522.95: "
		      "sched_switch: prev=x", ""));
	CHECK(stats.events == 1 && stats.lines == 7);
	done();
}

TEST(the_start_of_the_first_line_is_kept)
{
	static char text[1000];

	memset(text, 'x', 200);
	memcpy(text, "  y", 3);
	text[200] = '\n';
	CHECK(!read_text(text));
	CHECK(skipped(PCPU_SKIP_TEXT).length == 160);
	CHECK(!memcmp(skipped(PCPU_SKIP_TEXT).text, "yxx", 3));
	done();
}

static void check_skipped(const char *text, enum pcpu_trace_skip_kind kind,
			  const char *shown, const char *field)
{
	CHECK(!read_text(print("%s%s", ALLOC_LINE, text)));
	CHECK(skip_is(kind, 1, 2, shown, field));
	CHECK(!other_skips(kind));
	CHECK(stop.error == 0 && stop.line == 0);
	CHECK(stats.allocs == 1 && stats.lines == 3);
	CHECK(nr_events == 0 && stats.lost == 0);
	done();
}

TEST(an_event_that_cannot_be_read_is_skipped)
{
	check_skipped("x: percpu_free_percpu: off=8\n" FREE_LINE,
		      PCPU_SKIP_DAMAGED, "x: percpu_free_percpu: off=8", "ptr");
	check_skipped("percpu_free_percpu: ptr=xyz\n" FREE_LINE,
		      PCPU_SKIP_DAMAGED, "percpu_free_percpu: ptr=xyz", "ptr");
	check_skipped("percpu_free_percpu: ptr=(null)\n" FREE_LINE,
		      PCPU_SKIP_MASKED, "percpu_free_percpu: ptr=(null)",
		      "ptr");
}

TEST(of_two_events_in_a_line_each_is_read_or_counted)
{
	CHECK(!read_text("x-1 [000] 1.0: percpu_free_percpu: ptr=1 "
			 "x-1 [000] 2.0: percpu_free_percpu: ptr=2\n"));
	CHECK(rows.n == 2 && rows.times[1] == 2000000000);
	CHECK(!other_skips(PCPU_NR_SKIPS));
	CHECK(!read_text("x-1 [000] 1.0: percpu_alloc_percpu: size=1 is_atomic="
			 "   x-1 [000] 2.0: percpu_free_percpu: ptr=2\n"));
	CHECK(rows.n == 1 && rows.times[0] == 2000000000);
	CHECK(skip_is(PCPU_SKIP_TORN, 1, 1, "x-1 [000] 1.0: "
		      "percpu_alloc_percpu: size=1 is_atomic=   x-1 [000] 2.0: "
		      "percpu_free_percpu: ptr=2", "is_atomic"));
	CHECK(!other_skips(PCPU_SKIP_TORN));
	/* the second may be the damaged one */
	CHECK(!read_text("x-1 [000] 1.0: percpu_free_percpu: ptr=1 "
			 "x-1 [000] 2.0: percpu_free_percpu: off=2\n"));
	CHECK(rows.n == 1);
	CHECK(skip_is(PCPU_SKIP_DAMAGED, 1, 1,
		      "x-1 [000] 2.0: percpu_free_percpu: off=2", "ptr"));
	done();
}

/* as one that the line before had in the same place */
TEST(the_first_event_of_a_line_is_not_overlooked)
{
	CHECK(!read_text("               x-1 [000] 1.0: percpu_free_percpu: "
			 "ptr=1\n"
			 "percpu_free_percpu: ptr=2 a x: percpu_free_percpu: "
			 "ptr=3\n"));
	CHECK(rows.n == 3 && rows.ops[1].key == 2);
	done();
}

/* --- the last line */

TEST(the_last_line_needs_no_line_feed)
{
	CHECK(!read_strictly(ALLOC_LINE FT_FREE "ptr=00000000bbbb0000"));
	CHECK(rows.n == 2 && stats.lines == 2);
	/* it is read once */
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(rows.n == 2 && stats.lines == 2);
	CHECK(!read_strictly(""));
	CHECK(rows.n == 0 && stats.lines == 0);
	CHECK(!read_strictly(FREE_LINE "\n \t "));
	CHECK(!read_strictly(FREE_LINE "# end"));
	CHECK(!read_strictly(FREE_LINE "CPU:0 [LOST 5 EVENTS]"));
	/* without any event the last line is not taken for one */
	CHECK(!read_strictly("no trace at all"));
	CHECK(rows.n == 0 && stats.lines == 1);
	done();
}

static void check_cut(const char *text, int lines, const char *field)
{
	const char *whole = print("%s%s", ALLOC_LINE, text);

	CHECK(!read_text(whole));
	CHECK(skipped(PCPU_SKIP_CUT).count == 1);
	CHECK(skipped(PCPU_SKIP_CUT).line == 2);
	CHECK(!other_skips(PCPU_SKIP_CUT) && rows.n == 1);
	CHECK(read_strictly(whole) == -PCPU_T_CUT);
	CHECK(stop.error == PCPU_T_CUT && stop.line == 2);
	CHECK(same(stop.field ? stop.field : "", field));
	CHECK(rows.n == 1 && stats.lines == (uint64_t)lines);
	done();
}

TEST(a_last_line_that_is_cut_is_skipped_or_refused)
{
	check_cut(FT_FREE "base_addr=aa", 2, "ptr");
	check_cut(FT_ALLOC "size=", 2, "size");
	check_cut(FT_FREE "ptr=", 2, "ptr");
	/* nothing is missing, but the pointer is shorter than the others */
	check_cut(FT_FREE "ptr=00000000bbbb", 2, "ptr");
	check_cut(FT_FREE "ptr=00000000bbbb000", 2, "ptr");
	CHECK(!read_text(FREE_LINE "# a comment\n" FT_CREATE "base_addr=aa\n"
			 FT_FREE "ptr=00000000bbbb000"));
	CHECK(skipped(PCPU_SKIP_CUT).line == 4);
	/* before the event's name */
	check_cut("   seq-2093    [001]", 2, "");
	check_cut("x-1 [0] 1.0: percpu_free_pe", 2, "");
	/* of several parts */
	check_cut(FT_FREE "\nptr=00000000bbbb000", 3, "ptr");
}

/* the line is complete, so its own error is reported */
TEST(a_masked_pointer_at_the_end_is_not_cut)
{
	CHECK(!read_text(FREE_LINE FT_FREE "ptr=(null)"));
	CHECK(skipped(PCPU_SKIP_MASKED).line == 2);
	CHECK(!other_skips(PCPU_SKIP_MASKED));
	CHECK(!read_text(FREE_LINE "percpu_alloc_percpu_fail: size=1 align=1"));
	CHECK(!other_skips(PCPU_NR_SKIPS));
	/* only pointers of areas are compared */
	CHECK(!read_text(FT_CREATE "base_addr=00000000aaaa0000\n"
			 FT_FREE "ptr=1\n" FT_FREE "base_addr=aaaa0000 ptr=1"));
	CHECK(!other_skips(PCPU_NR_SKIPS) && rows.n == 2);
	done();
}

/* the reader keeps an unfinished line where an earlier one was */
TEST(what_follows_the_last_line_is_not_read)
{
	done();
	reader = pcpu_trace_reader_new(PCPU_TRACE_STRICT);
	CHECK(!pcpu_trace_feed(reader, "xxxxxx9", 7));
	CHECK(!pcpu_trace_feed(reader, "\n# #P:8", 7));
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(stats.cpus == 8);
	done();
	reader = pcpu_trace_reader_new(PCPU_TRACE_STRICT);
	CHECK(!pcpu_trace_feed(reader, "xxxxxxxxxxxxxxxxxxxxxxxx(", 25));
	CHECK(!pcpu_trace_feed(reader, "\npercpu_free_percpu: ptr=", 25));
	CHECK(pcpu_trace_finish(reader) == -PCPU_T_CUT);
	done();
}

/* --- binary data */

static void check_binary(const char *text, size_t n, size_t piece,
			 uint64_t lines)
{
	CHECK(!read_pieces(0, text, n, piece));
	CHECK(skipped(PCPU_SKIP_BINARY).count == 1);
	CHECK(skipped(PCPU_SKIP_BINARY).line == 2);
	CHECK(!other_skips(PCPU_SKIP_BINARY));
	CHECK(stats.lines == lines);
	CHECK(read_pieces(PCPU_TRACE_STRICT, text, n, piece) == -PCPU_T_BINARY);
	CHECK(stop.error == PCPU_T_BINARY && stop.line == 2 && !stop.field);
	done();
}

TEST(a_line_with_a_zero_byte_is_binary)
{
	static const char text[] = "#\nx \0 y\n#\n";

	check_binary(text, sizeof(text) - 1, 1, 3);
	check_binary(text, sizeof(text) - 1, 100, 3);
	CHECK(!read_pieces(0, "x \0 y\0", 6, 2));
	CHECK(skipped(PCPU_SKIP_BINARY).length == 6);
	done();
}

TEST(an_endless_line_is_binary)
{
	enum { LONG = 200000 };
	char *text = malloc(LONG);

	memset(text, 'x', LONG);
	memcpy(text, "#\n", 2);
	check_binary(text, LONG, 4096, 2);
	check_binary(text, LONG, LONG, 2);
	memcpy(text + LONG - 3, "\n#\n", 3);
	for (size_t piece = LONG / 4; piece <= LONG; piece += LONG / 4)
		check_binary(text, LONG, piece, 3);
	free(text);
}

TEST(a_line_of_65536_bytes_is_read)
{
	enum { LONGEST = 65536 };
	char *text = malloc(LONGEST + 4);

	memset(text, 'x', LONGEST + 4);
	memcpy(text, "#\n", 2);
	text[LONGEST + 2] = '\n';
	CHECK(!read_pieces(PCPU_TRACE_STRICT, text, LONGEST + 3, LONGEST + 3));
	CHECK(skipped(PCPU_SKIP_TEXT).line == 2);
	CHECK(!read_pieces(PCPU_TRACE_STRICT, text, LONGEST + 3, 4096));
	CHECK(!read_pieces(PCPU_TRACE_STRICT, text, LONGEST + 2, 4096));
	text[LONGEST + 2] = 'x';
	text[LONGEST + 3] = '\n';
	check_binary(text, LONGEST + 4, LONGEST + 4, 2);
	check_binary(text, LONGEST + 4, 4096, 2);
	free(text);
	done();
}

TEST(frames_below_a_binary_line_belong_to_no_event)
{
	static const char text[] = PERF_FREE "ptr=1\n\0\n\tf (x)\n";

	CHECK(!read_pieces(0, text, sizeof(text) - 1, 1000));
	CHECK(nr_stacks_of == 0 && stats.frees == 1);
	done();
}

/* CPU time to read @n bytes that repeat @part, in lines of 64 KiB, at best */
static clock_t time_to_read(const char *part, size_t n)
{
	char *text = malloc(n + strlen(part));
	clock_t best = CLOCKS_PER_SEC * 100;

	for (size_t at = 0; at < n; at += strlen(part))
		memcpy(text + at, part, strlen(part));
	for (size_t at = 65535; at < n; at += 65536)
		text[at] = '\n';
	for (int i = 0; i < 2; i++) {
		clock_t start = clock(), spent;

		read_pieces(0, text, n, n);
		spent = clock() - start;
		best = spent < best ? spent : best;
	}
	free(text);
	done();
	return best;
}

/* in time that grows with their length, not with its square */
TEST(long_lines_of_anything_are_read_in_little_time)
{
	static const char *const parts[] = {
		"percpu_alloc_percpu:", "percpu:percpu_free_percpu: ",
		"percpu_free_percpu: ptr=x ", "call_site=f [x ", "percpu:", ":",
		"percpu_free_percpu: call_site=f                    ", " => f",
		"{\"log\":", "=3D", "size=", "(", ": ", "[000] ",
	};

	for (size_t i = 0; i < COUNT(parts); i++) {
		clock_t first = time_to_read(parts[i], 4096);

		/*
		 * 32 times the bytes; 512 times the time if it grew with the
		 * square of a line.  The clock may tick each 10 ms only.
		 */
		CHECK(time_to_read(parts[i], 2 * 65536) <
		      50 * first + 4 * CLOCKS_PER_SEC / 100);
	}
}
