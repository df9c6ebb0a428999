// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reader_calls.c - the calls of the trace reader: a strict reader's
 * errors, pointers that are NULL, replay, and a host without memory.
 */
#include "recorded.h"
#include "host_faults.h"

static void check_refused(const char *text, int error, uint64_t line,
			  const char *field)
{
	CHECK(read_strictly(text) == -error);
	CHECK(stop.error == error && stop.line == line);
	CHECK(same(stop.field ? stop.field : "", field));
	/* the error is permanent */
	CHECK(pcpu_trace_feed(reader, "\n", 1) == -error);
	CHECK(pcpu_trace_feed(reader, "", 0) == -error);
	CHECK(pcpu_trace_finish(reader) == -error);
	read_results();
	CHECK(stop.error == error && stop.line == line);
	done();
}

TEST(a_strict_reader_refuses_damaged_events)
{
	check_refused("\n" FT_FREE "base_addr=a off=8\n", PCPU_T_MISSING, 2,
		      "ptr");
	check_refused(FT_ALLOC "\n", PCPU_T_MISSING, 1, "size");
	check_refused(FREE_LINE FT_FREE "ptr=xyz\n", PCPU_T_NUMBER, 2, "ptr");
	check_refused(FT_ALLOC "size=-8 align=8 ptr=a\n" FREE_LINE,
		      PCPU_T_NUMBER, 1, "size");
	check_refused("#\n" FT_FREE "ptr=(____ptrval____)\n", PCPU_T_POINTER,
		      2, "ptr");
	/* one that another event interrupts */
	check_refused(FT_ALLOC "size= " FREE_LINE, PCPU_T_NUMBER, 1, "size");
}

TEST(a_strict_reader_skips_what_is_no_event)
{
	CHECK(!read_strictly("hello\n" FT_SCHED "CPU:0 [LOST 1 EVENTS]\n"
			     FREE_LINE));
	CHECK(skipped(PCPU_SKIP_TEXT).count == 1);
	CHECK(skipped(PCPU_SKIP_OTHER).count == 1 && rows.n == 1);
	done();
}

/* it is read when the line after it is known, or with pcpu_trace_finish() */
TEST(the_error_of_a_line_is_returned_with_the_next_one)
{
	static const char text[] = FT_FREE "ptr=x\n";

	done();
	reader = pcpu_trace_reader_new(PCPU_TRACE_STRICT);
	CHECK(!pcpu_trace_feed(reader, text, sizeof(text) - 1));
	CHECK(pcpu_trace_feed(reader, "#\n", 2) == -PCPU_T_NUMBER);
	read_results();
	CHECK(stop.line == 1 && stats.lines == 2);
	done();
}

TEST(a_reader_that_read_nothing_can_be_freed)
{
	pcpu_trace_reader_free(pcpu_trace_reader_new(0));
	pcpu_trace_reader_free(NULL);
}

/* pcpu_replay() runs the operations */
TEST(operations_can_be_replayed)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = 2,
		.static_size = 128, .page_size = 4096,
		.memory = PCPU_MEMORY_NONE };
	struct pcpu_trace_request r;
	struct pcpu_kind kinds[2];
	struct pcpu_replay_handle handles[2] = { { 0, 0 } };
	struct pcpu_replay replay = { .kinds = kinds, .nr_kinds = 2,
		.handles = handles, .nr_handles = 2 };
	struct pcpu *pcpu;
	int error;

	CHECK(!read_text(FT_ALLOC "size=16 align=8 is_atomic=1 ptr=a\n"
			 FT_ALLOC "size=100 align=4 ptr=b\n"
			 FT_FREE "ptr=c\n"
			 FT_FREE "ptr=a\n"));
	CHECK(stats.kinds == 2 && stats.handles == 2);
	for (size_t i = 0; i < 2; i++) {
		CHECK(!pcpu_trace_request(reader, i, &r));
		kinds[i] = r.kind;
	}
	replay.ops = rows.ops;
	pcpu = pcpu_create(&config, &error);
	CHECK(!pcpu_replay(pcpu, &replay, 0, rows.n));
	CHECK(replay.failures == 0);
	CHECK(replay.live_bytes == 100 && replay.peak_live_bytes == 116);
	pcpu_destroy(pcpu);
	done();
}

/* --- NULL */

TEST(a_null_reader_is_an_error_and_has_no_results)
{
	struct pcpu_trace_request r;
	struct pcpu_trace_skip skip = { .count = 1 };
	size_t n = 1;

	CHECK(pcpu_trace_feed(NULL, "x", 1) == -PCPU_T_NULL);
	CHECK(pcpu_trace_finish(NULL) == -PCPU_T_NULL);
	rows.n = stats.lines = 1;
	pcpu_trace_rows(NULL, &rows);
	CHECK(rows.n == 0 && !rows.ops);
	CHECK(!pcpu_trace_events(NULL, &n) && n == 0);
	n = 1;
	CHECK(!pcpu_trace_stacks(NULL, &n) && n == 0);
	n = 1;
	CHECK(!pcpu_trace_tasks(NULL, &n) && n == 0);
	CHECK(!pcpu_trace_name(NULL, 0, &n) && !pcpu_trace_stack(NULL, 0, &n));
	CHECK(pcpu_trace_request(NULL, 0, &r) == -PCPU_T_NULL);
	CHECK(pcpu_trace_chunk(NULL, 0) == 0);
	pcpu_trace_take(NULL);
	pcpu_trace_skipped(NULL, PCPU_SKIP_TEXT, &skip);
	CHECK(skip.count == 0);
	pcpu_trace_stats(NULL, &stats);
	CHECK(stats.lines == 0 && stats.kinds == 0);
	pcpu_trace_stop(NULL, &stop);
	CHECK(stop.error == PCPU_T_NULL && !stop.line && !stop.field);
}

TEST(a_null_pointer_for_a_result_returns_no_result)
{
	size_t n;

	CHECK(!read_text(ALLOC_LINE " => f\n" FT_FAIL "size=1 align=1\n"));
	CHECK(pcpu_trace_events(reader, &n) && n == 1);
	CHECK(pcpu_trace_stacks(reader, &n) && n == 1);
	CHECK(pcpu_trace_tasks(reader, &n) && n == 1);
	pcpu_trace_rows(reader, NULL);
	CHECK(!pcpu_trace_events(reader, NULL));
	CHECK(!pcpu_trace_stacks(reader, NULL));
	CHECK(!pcpu_trace_tasks(reader, NULL));
	CHECK(!pcpu_trace_name(reader, 0, NULL));
	CHECK(!pcpu_trace_stack(reader, 0, NULL));
	CHECK(pcpu_trace_request(reader, 0, NULL) == -PCPU_T_NULL);
	pcpu_trace_skipped(reader, PCPU_SKIP_TEXT, NULL);
	pcpu_trace_stats(reader, NULL);
	pcpu_trace_stop(reader, NULL);
	done();
}

TEST(a_null_text_is_refused_unless_its_length_is_zero)
{
	done();
	reader = pcpu_trace_reader_new(0);
	CHECK(!pcpu_trace_feed(reader, NULL, 0));
	CHECK(pcpu_trace_feed(reader, NULL, 1) == -PCPU_T_NULL);
	CHECK(!pcpu_trace_feed(reader, "\n", 1));
	CHECK(!pcpu_trace_finish(reader));
	done();
}

TEST(a_number_out_of_range_has_no_result)
{
	struct pcpu_trace_skip skip = { .count = 1 };
	struct pcpu_trace_request r;
	size_t n;

	CHECK(!read_text(FREE_LINE "x\n"));
	CHECK(pcpu_trace_request(reader, 0, &r) == -PCPU_T_NULL);
	CHECK(pcpu_trace_name(reader, 0, &n) && n == 4);
	CHECK(!pcpu_trace_name(reader, 1, &n));
	CHECK(!pcpu_trace_stack(reader, 0, &n));
	pcpu_trace_skipped(reader, PCPU_NR_SKIPS, &skip);
	CHECK(skip.count == 0 && !skip.text);
	done();
}

/* --- a host without memory */

#define EIGHT(text)	text text text text text text text text

/* all that takes memory: tables, columns, lines of each form, stacks */
static const char *const texts[] = {
	"> " FT_ALLOC "call_site=f size=1 align=1 base_addr=a off=1 ptr=1 "
		"gfp_flags=g\n"
	FT_CREATE "base_addr=c\n"
	"{\"log\":\"" FT(3, 5.5) "percpu_free_percpu: base_addr=b ptr=1\"}\n"
	" => f\n"
	"x-1 [007] 1.0: sched_switch: x\n"
	"x-1 [009] 1.0: <stack trace>\n",
	/* of several parts, which outgrow the memory of the first */
	FT_ALLOC "\nsize=1\nalign=1\nptr=1\n"
		"gfp_flags=GFP_KERNEL_ACCOUNT|__GFP_ZERO|__GFP_NOWARN\n"
	FT_FREE "ptr=3D1\n",
	FT_ALLOC "size=1 align=1 ptr=1\n" FT_FREE "ptr=1\n => f",
	/* more rows than there is room for at first */
	EIGHT(FREE_LINE) EIGHT(FREE_LINE) EIGHT(FREE_LINE) EIGHT(FREE_LINE)
	EIGHT(FREE_LINE) EIGHT(FREE_LINE) EIGHT(FREE_LINE) EIGHT(FREE_LINE)
	FREE_LINE,
};

/* read in pieces; the result of the call that fails, or 0 */
static int read_in_pieces(const char *at, size_t piece)
{
	size_t left = strlen(at);
	int err = 0;

	reader = pcpu_trace_reader_new(PCPU_TRACE_STRICT);
	if (!reader)
		return -PCPU_T_HOST;
	for (; left && !err; left -= piece, at += piece) {
		piece = piece < left ? piece : left;
		err = pcpu_trace_feed(reader, at, piece);
	}
	return err ? err : pcpu_trace_finish(reader);
}

/* at each of its calls for memory once; ASan sees what leaks */
TEST(without_memory_reading_stops)
{
	static const size_t pieces[] = { 1, 50, 1000 };
	int calls = 0, err;

	done();
	for (size_t i = 0; i < COUNT(texts) * COUNT(pieces); i++) {
		const char *text = texts[i / COUNT(pieces)];
		bool failed;
		int pass = 0;

		do {
			host_fail(HOST_ALLOC, pass++, 1);
			err = read_in_pieces(text, pieces[i % COUNT(pieces)]);
			failed = !host_plans[HOST_ALLOC].fail;
			host_fail(HOST_ALLOC, 0, 0);
			CHECK(err == (failed ? -PCPU_T_HOST : 0));
			if (reader) {
				read_results();
				CHECK(stop.error == -err && !stop.field);
				CHECK(rows.n == stats.allocs + stats.frees);
				CHECK(err || rows.n == 2 || rows.n == 65);
				/* reading has ended */
				CHECK(pcpu_trace_feed(reader, "\n", 1) == err);
			}
			done();
		} while (failed && pass < 1000);
		calls += pass;
	}
	CHECK(calls > 100 && calls < 1000);
}

/* arrays grow when they are full, so the call is far from the first one */
TEST(without_more_memory_reading_stops)
{
	char text[200];
	int n, err = 0;

	done();
	reader = pcpu_trace_reader_new(0);
	for (int i = 0; i < 3000 && !err; i++) {
		n = snprintf(text, sizeof(text), "t%d-1 [%03d] 1.0: "
			     "percpu_alloc_percpu: call_site=f%d size=1 "
			     "align=1 base_addr=%x off=1 ptr=%x\n", i, i, i, i,
			     i);
		if (i == 2000)
			host_fail(HOST_ALLOC, 0, 1000);
		err = pcpu_trace_feed(reader, text, (size_t)n);
	}
	host_fail(HOST_ALLOC, 0, 0);
	read_results();
	CHECK(err == -PCPU_T_HOST && stop.error == PCPU_T_HOST);
	CHECK(stop.line >= 2000 && stop.line < 2100);
	CHECK(rows.n == stats.allocs && stats.allocs >= 1999);
	CHECK(op_is(1998, 1998, 1998, 1998));
	done();
}
