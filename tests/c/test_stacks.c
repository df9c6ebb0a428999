// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_stacks.c - the tasks and the stacks of operations and events, and the
 * limits of what a recording has.
 */
#include "recorded.h"
#include "trace/recording.h"

#define FRAMES(a, b)	" => " a "+0x1/0x2\n => " b "+0x3/0x4\n"
#define STACK(cpu)	FT(cpu, 522.9) "<stack trace>\n"

static bool stack_is(size_t i, bool of_event, uint64_t row, const char *frames)
{
	return i < nr_stacks_of && stacks_of[i].of_event == of_event &&
	       stacks_of[i].row == row &&
	       same(stack(stacks_of[i].stack), frames);
}

/* --- tasks */

TEST(each_operation_has_its_task)
{
	size_t n;

	CHECK(!read_text("sh-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-2 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "a b-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-1 [001] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-1 [001] 1.0: percpu_free_percpu: ptr=a\n"
			 "percpu_free_percpu: ptr=a\n"
			 "sh-1 [001] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-2 [001] 1.0: percpu_free_percpu: ptr=a\n"
			 "sh-2 [001] 1.0: percpu_free_percpu: ptr=a\n"));
	CHECK(same(task(rows.tasks[0]), "sh-1") && rows.tasks[0] == 0);
	CHECK(same(task(rows.tasks[1]), "sh-2") && rows.tasks[1] == 1);
	CHECK(same(task(rows.tasks[2]), "a b-1") && rows.tasks[2] == 2);
	CHECK(rows.tasks[3] == 0 && rows.tasks[4] == 0 && rows.tasks[5] == 0);
	CHECK(rows.tasks[6] == PCPU_NO_TASK && rows.tasks[7] == 0);
	CHECK(rows.tasks[8] == 1 && rows.tasks[9] == 1);
	/* two have the same name */
	CHECK(stats.tasks == 3 && stats.names == 2);
	CHECK(pcpu_trace_tasks(reader, &n)[1].name == 0 && n == 3);
	CHECK(!pcpu_trace_name(reader, 2, &n));
	done();
}

TEST(heads_that_are_read_each_time_have_tasks_too)
{
	char text[1200], log[200];

	memset(log, 'x', sizeof(log) - 1);
	log[sizeof(log) - 1] = 0;
	snprintf(text, sizeof(text),
		 "%s sh-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
		 "%s sh-2 [000] 1.0: percpu_free_percpu: ptr=a\n"
		 "0.5 sh/1 percpu:percpu_free_percpu(ptr: 0x1)\n"
		 "0.5 sh/2 percpu:percpu_free_percpu(ptr: 0x1)\n", log, log);
	CHECK(!read_text(text));
	CHECK(rows.tasks[0] == 0 && rows.tasks[1] == 1);
	CHECK(rows.tasks[2] == 0 && rows.tasks[3] == 1);
	done();
}

/* --- stacks */

/* perf prints them below the event, and an empty line */
TEST(frames_below_an_event_are_its_stack)
{
	CHECK(!read_text(PERF_FREE "ptr=0x1\n"
			 "\tffffffff81000001 free_percpu+0x1 ([kernel])\n"
			 "\tffffffff81000002 f+0x2 ([kernel])\n"
			 "\n"
			 "\tffffffff81000002 g+0x2 ([kernel])\n"
			 PERF_FREE "ptr=0x2\n"
			 PERF_FREE "ptr=0x3\n"
			 "\tffffffff81000001 free_percpu+0x1 ([kernel])\n"
			 "  slab.c:212\n"
			 "\tffffffff81000002 f+0x2 ([kernel])\n"));
	CHECK(nr_stacks_of == 2 && stats.stacks == 1);
	CHECK(stack_is(0, false, 0, "free_percpu+0x1,f+0x2"));
	CHECK(stack_is(1, false, 2, "free_percpu+0x1,f+0x2"));
	done();
}

/*
 *	CPU 0	alloc                 stack a
 *	CPU 1	        free  stack b
 */
TEST(the_stacks_of_ftrace_belong_to_the_last_event_of_their_cpu)
{
	CHECK(!read_text(ALLOC_LINE FREE_LINE STACK(1) FRAMES("b", "c")
			 STACK(0) FRAMES("a", "c")
			 /* a second one belongs to no event */
			 STACK(0) FRAMES("d", "e")
			 STACK(5) FRAMES("d", "e")));
	CHECK(nr_stacks_of == 2);
	CHECK(stack_is(0, false, 1, "b+0x1/0x2,c+0x3/0x4"));
	CHECK(stack_is(1, false, 0, "a+0x1/0x2,c+0x3/0x4"));
	done();
}

/* the fuzzer found a row with two */
TEST(a_row_has_one_stack)
{
	CHECK(!read_text(ALLOC_LINE FRAMES("a", "b")
			 STACK(0) FRAMES("c", "d")
			 STACK(0) FRAMES("e", "f")));
	CHECK(nr_stacks_of == 1);
	CHECK(stack_is(0, false, 0, "a+0x1/0x2,b+0x3/0x4"));
	/* a head without frames is no stack */
	CHECK(!read_text(ALLOC_LINE STACK(0) STACK(0) FRAMES("c", "d")));
	CHECK(stack_is(0, false, 0, "c+0x1/0x2,d+0x3/0x4"));
	done();
}

TEST(a_stack_without_a_cpu_belongs_to_no_event)
{
	CHECK(!read_text(ALLOC_LINE "sh 1 5.5: <stack trace>\n"
			 FRAMES("a", "b")));
	CHECK(nr_stacks_of == 0);
	CHECK(!read_text("sh 1 5.5: percpu_free_percpu: ptr=1\n"
			 "sh 1 5.5: percpu_free_percpu: ptr=1\n"
			 "sh 1 5.5: <stack trace>\n" FRAMES("a", "b")));
	CHECK(nr_stacks_of == 0);
	CHECK(!read_text("sh 1 5.5: percpu_free_percpu: ptr=1\n"
			 FRAMES("a", "b")));
	CHECK(stack_is(0, false, 0, "a+0x1/0x2,b+0x3/0x4"));
	done();
}

TEST(other_events_have_stacks_too)
{
	CHECK(!read_text(ALLOC_LINE FT_SCHED STACK(0) FRAMES("a", "b")));
	CHECK(nr_stacks_of == 0);
	CHECK(!read_text(PERF_FREE "ptr=0x1\n" "\tf (x)\n"
			 "x 1 [000] 1.0: sched:sched_switch: x\n" "\tg (x)\n"));
	CHECK(nr_stacks_of == 1 && stack_is(0, false, 0, "f"));
	/* of perf trace */
	CHECK(!read_text("0.5 sh/2 percpu:percpu_free_percpu(ptr: 0x1)\n"
			 "\tf (x)\n0.6 sh/2 sched:sched_switch(x: 1)\n"
			 "\tg (x)\n"));
	CHECK(nr_stacks_of == 1 && stack_is(0, false, 0, "f"));
	/* of an event that cannot be read */
	CHECK(!read_text(PERF_FREE "ptr=0x1\n" "\tf (x)\n"
			 PERF_FREE "\n" "\tg (x)\n"));
	CHECK(nr_stacks_of == 1 && stack_is(0, false, 0, "f"));
	CHECK(!read_text(ALLOC_LINE FT_ALLOC "\n" STACK(0) FRAMES("a", "b")));
	CHECK(nr_stacks_of == 0);
	done();
}

TEST(events_have_stacks)
{
	CHECK(!read_text(ALLOC_LINE FT_FAIL "size=8 align=8\n"
			 STACK(0) FRAMES("a", "b")
			 FT_CREATE "base_addr=a\n => c\n => d\n"
			 FT(1, 5.5) "percpu_create_chunk: base_addr=a\n"
			 STACK(1) FRAMES("e", "f")));
	CHECK(stack_is(0, true, 0, "a+0x1/0x2,b+0x3/0x4"));
	CHECK(stack_is(1, true, 1, "c,d"));
	CHECK(stack_is(2, true, 2, "e+0x1/0x2,f+0x3/0x4"));
	done();
}

/* it may be that of a lost event */
TEST(a_stack_after_a_gap_belongs_to_no_event)
{
	CHECK(!read_text(ALLOC_LINE FREE_LINE "CPU:0 [LOST 5 EVENTS]\n"
			 "\tf (x)\n" STACK(0) FRAMES("a", "b")
			 STACK(1) FRAMES("a", "b") FT_SCHED "\tg (x)\n"
			 ALLOC_LINE STACK(0) FRAMES("c", "d")));
	CHECK(nr_stacks_of == 1);
	CHECK(stack_is(0, false, 2, "c+0x1/0x2,d+0x3/0x4"));
	done();
}

/* a stack is printed after its row, which may have been taken */
TEST(stacks_are_taken_with_the_number_of_their_row)
{
	static const char frames[] = STACK(0) FRAMES("a", "b");

	CHECK(!read_text(ALLOC_LINE FT_FAIL "size=8 align=8\n" ALLOC_LINE));
	pcpu_trace_take(reader);
	CHECK(!pcpu_trace_feed(reader, frames, sizeof(frames) - 1));
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(rows.n == 0 && nr_events == 0);
	CHECK(stack_is(0, false, 1, "a+0x1/0x2,b+0x3/0x4"));
	pcpu_trace_take(reader);
	read_results();
	CHECK(nr_stacks_of == 0 && stats.stacks == 1);
	done();
}

/* 16 KiB: 1,000 frames are 20,999 bytes with the ends of their lines */
TEST(the_outermost_frames_of_a_huge_stack_are_dropped)
{
	static char text[30000];
	char *at = text + sprintf(text, PERF_FREE "ptr=0x1\n");
	size_t length;
	const char *frames;

	for (int i = 0; i < 1000; i++)
		at += sprintf(at, " => frame%015d\n", i);
	CHECK(!read_text(text));
	frames = pcpu_trace_stack(reader, 0, &length);
	CHECK(length == 16379 && length % 21 == 20);
	CHECK(!memcmp(frames, "frame000000000000000\nframe", 26));
	CHECK(!pcpu_trace_stack(reader, 1, &length));
	CHECK(nr_stacks_of == 1);
	done();
}

TEST(a_stack_of_16_kib_is_whole)
{
	static char text[20000];
	size_t n = (size_t)sprintf(text, PERF_FREE "ptr=0x1\n => ");
	size_t length;

	memset(text + n, 'f', 16384);
	CHECK(!read_text(text));
	CHECK(pcpu_trace_stack(reader, 0, &length) && length == 16384);
	text[n + 16384] = 'f';
	CHECK(!read_text(text));
	CHECK(nr_stacks_of == 0);
	done();
}

/* --- limits, which no recording reaches in a test */

static struct recording recording;

static int put(enum trace_line_type type, uint64_t number)
{
	static char name[8];
	struct trace_line line = {
		.type = type,
		.head = { .cpu = PCPU_NO_CPU, .time = PCPU_NO_TIME },
		.size = number, .ptr = number, .base = number,
		.has = TRACE_HAS_PTR | TRACE_HAS_BASE,
	};

	snprintf(name, sizeof(name), "t%u", (unsigned int)number);
	line.head.task = (struct span){ name, name + strlen(name) };
	line.site = line.gfp = (struct span){ name, name };
	return recording_add(&recording, &line);
}

/* equal hashes are allowed, but make a search slow */
TEST(the_hashes_of_usual_requests_differ)
{
	const char *const sites[] = { "", "f", "g" };
	struct trace_line line = { .type = TRACE_FAIL };
	size_t n = 0, displaced = 0;

	line.head.cpu = PCPU_NO_CPU;
	for (int i = 0; i < 64 * 6 * 9 * 4; i++) {
		const char *site = sites[i % 3], *gfp = sites[i / 3 % 3];

		line.site = (struct span){ site, site + strlen(site) };
		line.gfp = (struct span){ gfp, gfp + strlen(gfp) };
		line.atomic = i / 9 % 2;
		line.size = i / 18 % 64 + 1;
		line.align = 1u << i / (18 * 64) % 6;
		line.bytes_alloc = i / (18 * 64 * 6) ? 2 * line.size : 0;
		n += !recording_add(&recording, &line);
	}
	/* the key of a request that is alone with its hash is in the index */
	for (size_t i = 0; i < recording.request_index.size; i++) {
		const struct table_cell *c = &recording.request_index.cells[i];

		if (c->value != TABLE_NONE)
			displaced += table_get(&recording.request_index,
					       c->key - 1) != TABLE_NONE;
	}
	CHECK(n == 64 * 6 * 9 * 4 && recording.requests.used == n);
	CHECK(!displaced);
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}

TEST(there_is_a_last_row_for_each_cpu)
{
	struct trace_line line = { .type = TRACE_OTHER };

	line.head.cpu = 4;
	CHECK(!recording_add(&recording, &line));
	CHECK(recording.stacks.rows.used == 5);
	line.head.cpu = 2;
	CHECK(!recording_add(&recording, &line));
	CHECK(recording.stacks.rows.used == 5);
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}

TEST(more_than_2_to_the_32_chunks_are_refused)
{
	CHECK(!put(TRACE_ALLOC, 1));
	recording.chunks.used = PCPU_NO_PLACE;
	CHECK(put(TRACE_FREE, 2) == -PCPU_T_TOO_MANY);
	CHECK(put(TRACE_CREATE, 2) == -PCPU_T_TOO_MANY);
	CHECK(put(TRACE_DESTROY, 2) == -PCPU_T_TOO_MANY);
	CHECK(put(TRACE_ALLOC, 2) == -PCPU_T_TOO_MANY);
	CHECK(recording.stats.allocs == 1 && recording.stats.frees == 0);
	CHECK(!recording.stats.kernel_created);
	CHECK(!recording.stats.kernel_destroyed);
	/* the last one before */
	recording.chunks.used = 1;
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}

/* numbers of requests are 32 bits, and the highest have a meaning */
TEST(more_than_2_to_the_32_requests_are_refused)
{
	CHECK(!put(TRACE_ALLOC, 1));
	recording.requests.used = PCPU_OP_FIRST;
	CHECK(!put(TRACE_ALLOC, 1));
	CHECK(put(TRACE_ALLOC, 2) == -PCPU_T_TOO_MANY);
	CHECK(put(TRACE_FAIL, 2) == -PCPU_T_TOO_MANY);
	CHECK(recording.stats.allocs == 2);
	CHECK(!recording.stats.kernel_failures);
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}

TEST(more_than_2_to_the_32_live_pointers_are_refused)
{
	recording.stats.handles = PCPU_OP_ORPHAN - 1;
	CHECK(!put(TRACE_ALLOC, 1));
	CHECK(recording.rows.ops[0].handle == PCPU_OP_ORPHAN - 1);
	CHECK(put(TRACE_ALLOC, 2) == -PCPU_T_TOO_MANY);
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}

TEST(more_than_2_to_the_32_tasks_or_texts_are_refused)
{
	CHECK(!put(TRACE_FREE, 1));
	recording.tasks.used = PCPU_NO_TASK;
	CHECK(put(TRACE_FREE, 2) == -PCPU_T_TOO_MANY);
	recording.tasks.used = 1;
	recording.names.ends.used = PCPU_NO_TASK;
	CHECK(put(TRACE_FREE, 3) == -PCPU_T_TOO_MANY);
	CHECK(put(TRACE_WORK_START, 3) == -PCPU_T_TOO_MANY);
	CHECK(!recording.events.used && recording.stats.frees == 1);
	recording_free(&recording);
	memset(&recording, 0, sizeof(recording));
}
