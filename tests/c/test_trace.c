// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_trace.c - the trace reader: both text formats, old and new fields, and
 * every reason to refuse a line.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"
#include "pick.h"
#include "percpu.h"

/* the fields of an event, as 5.19 and later print them */
#define ALLOC(size, align, off, ptr) \
	"call_site=f+0x10/0x20 reserved=0 is_atomic=0 size=" #size \
	" align=" #align " base_addr=00000000aaaa0000 off=" #off \
	" ptr=00000000" #ptr " bytes_alloc=64 gfp_flags=GFP_KERNEL\n"
#define FREE(off, ptr) \
	"base_addr=00000000aaaa0000 off=" #off " ptr=00000000" #ptr "\n"

/* the starts of lines as ftrace and perf script print them */
#define FT_ALLOC	"            bash-2090    [000] .....   522.635392: " \
			"percpu_alloc_percpu: "
#define FT_FREE		"             seq-2093    [001] d..1.   522.644762: " \
			"percpu_free_percpu: "
#define PERF_ALLOC	"       perf-exec 12683 [000]  1963.707902:      " \
			"percpu:percpu_alloc_percpu: "
#define PERF_FREE	"          wl2.sh 12685 [001]  1963.708252:       " \
			"percpu:percpu_free_percpu: "

static struct pcpu_trace_reader *reader;
static struct pcpu_trace_stats stats;
static struct pcpu_trace_stop stop;
static const struct pcpu_op *ops;
static const struct pcpu_trace_note *notes;
static size_t nr_ops;

static void read_results(void)
{
	size_t nr_notes;

	pcpu_trace_stats(reader, &stats);
	pcpu_trace_stop(reader, &stop);
	ops = pcpu_trace_ops(reader, &nr_ops);
	notes = pcpu_trace_notes(reader, &nr_notes);
	CHECK(nr_notes == nr_ops);
}

/* read a whole text, in pieces of at most @piece bytes */
static int read_pieces(const char *text, size_t n, size_t piece)
{
	int err = 0;

	pcpu_trace_reader_free(reader);
	reader = pcpu_trace_reader_new();
	for (size_t at = 0; at < n && !err; at += piece)
		err = pcpu_trace_feed(reader, text + at,
				      n - at < piece ? n - at : piece);
	if (!err)
		err = pcpu_trace_finish(reader);
	read_results();
	return err;
}

static int read_text(const char *text)
{
	return read_pieces(text, strlen(text), strlen(text) + 1);
}

static void done(void)
{
	pcpu_trace_reader_free(reader);
	reader = NULL;
}

/* size, alignment and call site of a kind as one string */
static const char *kind(size_t index)
{
	static char text[256];
	struct pcpu_kind ask;
	size_t length;
	const char *site = pcpu_trace_kind(reader, index, &ask, &length);

	snprintf(text, sizeof(text), "%d/%d %.*s", (int)ask.size,
		 (int)ask.align, (int)length, length ? site : "");
	return text;
}

static bool op_is(size_t i, uint64_t key, uint32_t handle, uint32_t kind_index)
{
	return i < nr_ops && ops[i].key == key && ops[i].handle == handle &&
	       ops[i].kind == kind_index;
}

TEST(ftrace_text_is_read)
{
	CHECK(!read_text("# tracer: nop\n"
			 "#\n"
			 FT_ALLOC ALLOC(16, 8, 26848, 2bfc8874)
			 FT_ALLOC ALLOC(32, 4, 26864, a7f1b817)
			 FT_FREE FREE(26848, 2bfc8874)));
	CHECK(nr_ops == 3);
	CHECK(op_is(0, 0x2bfc8874, 0, 0));
	CHECK(op_is(1, 0xa7f1b817, 1, 1));
	CHECK(op_is(2, 0x2bfc8874, 0, PCPU_OP_FREE));
	CHECK(!strcmp(kind(0), "16/8 f+0x10/0x20"));
	CHECK(!strcmp(kind(1), "32/4 f+0x10/0x20"));
	CHECK(stats.lines == 5 && stats.events == 3);
	CHECK(stats.allocs == 2 && stats.frees == 1);
	CHECK(stats.kinds == 2 && stats.handles == 2);
	CHECK(stats.cpus == 2);
	done();
}

TEST(perf_text_is_read)
{
	CHECK(!read_text(PERF_ALLOC
			 "call_site=mm_init+0x2bf reserved=0 is_atomic=0 "
			 "size=16 align=8 base_addr=0xffffe8ffffc00000 "
			 "off=33368 ptr=0x60795bb01258 bytes_alloc=64 "
			 "gfp_flags=GFP_KERNEL\n"
			 PERF_FREE
			 "base_addr=0xffffe8ffffc00000 off=33368 "
			 "ptr=0x60795bb01258\n"));
	CHECK(nr_ops == 2);
	CHECK(op_is(0, 0x60795bb01258, 0, 0));
	CHECK(op_is(1, 0x60795bb01258, 0, PCPU_OP_FREE));
	CHECK(!strcmp(kind(0), "16/8 mm_init+0x2bf"));
	CHECK(stats.cpus == 2);
	done();
}

/* call_site, bytes_alloc and gfp_flags came with 5.19 */
TEST(old_fields_are_read)
{
	CHECK(!read_text(FT_ALLOC
			 "reserved=0 is_atomic=0 size=16 align=8 "
			 "base_addr=00000000aaaa0000 off=64 "
			 "ptr=00000000bbbb0000\n"));
	CHECK(op_is(0, 0xbbbb0000, 0, 0));
	CHECK(!strcmp(kind(0), "16/8 "));
	done();
}

TEST(fields_are_found_by_name_and_not_by_position)
{
	CHECK(!read_text(FT_ALLOC
			 "ptr=00000000bbbb0000 new=x align=8 call_site=f+0x1 "
			 "off=64 size=16 base_addr=00000000aaaa0000\n"));
	CHECK(op_is(0, 0xbbbb0000, 0, 0));
	CHECK(!strcmp(kind(0), "16/8 f+0x1"));
	CHECK(stats.kernel_extent == 80);
	done();
}

TEST(several_blanks_between_fields_are_one)
{
	CHECK(!read_text(FT_ALLOC "call_site=f   size=16  align=16 ptr=b\n"));
	CHECK(!strcmp(kind(0), "16/16 f"));
	done();
}

TEST(the_fields_begin_after_the_colon)
{
	CHECK(!read_text("x-1 [000] ..... 1.0: percpu_free_percpu:ptr=b\n"));
	CHECK(op_is(0, 0xb, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	done();
}

TEST(of_a_repeated_field_the_last_counts)
{
	CHECK(!read_text(FT_FREE "ptr=1 ptr=2\n"
			 FT_ALLOC "size=1 size=2 align=8 ptr=3\n"));
	CHECK(op_is(0, 2, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(!strcmp(kind(0), "2/8 "));
	done();
}

TEST(a_pointer_may_have_a_prefix)
{
	CHECK(!read_text(FT_FREE "ptr=0xa\n" FT_FREE "ptr=0ab\n"
			 FT_FREE "ptr=0xffffffffffffffff\n"));
	CHECK(op_is(0, 0xa, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(op_is(1, 0xab, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(op_is(2, UINT64_MAX, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	done();
}

TEST(a_call_site_in_a_module_contains_a_space)
{
	CHECK(!read_text(FT_ALLOC
			 "call_site=veth_init+0x1/0x2 [veth] size=16 align=8 "
			 "ptr=00000000bbbb0000\n"
			 FT_ALLOC
			 "size=16 align=8 ptr=00000000bbbb0001 "
			 "call_site=x+0x1/0x2 [y]\n"));
	CHECK(!strcmp(kind(0), "16/8 veth_init+0x1/0x2 [veth]"));
	CHECK(!strcmp(kind(1), "16/8 x+0x1/0x2 [y]"));
	done();
}

TEST(kinds_differ_in_size_alignment_or_call_site)
{
	CHECK(!read_text(FT_ALLOC "call_site=f size=16 align=8 ptr=1\n"
			 FT_ALLOC "call_site=f size=16 align=8 ptr=2\n"
			 FT_ALLOC "call_site=f size=24 align=8 ptr=3\n"
			 FT_ALLOC "call_site=f size=16 align=4 ptr=4\n"
			 FT_ALLOC "call_site=g size=16 align=8 ptr=5\n"
			 FT_ALLOC "size=16 align=8 ptr=6\n"));
	CHECK(stats.kinds == 5);
	CHECK(ops[0].kind == 0 && ops[1].kind == 0);
	CHECK(ops[2].kind == 1 && ops[3].kind == 2);
	CHECK(ops[4].kind == 3 && ops[5].kind == 4);
	CHECK(!strcmp(kind(3), "16/8 g"));
	done();
}

/*
 * Kinds are found by a hash, which is equal in each pair below.  In the first
 * pair size and alignment combine to the same number.  In the second pair the
 * call sites are "" and "2", in the third they are long; the numbers were
 * searched for so that the hashes collide.
 */
TEST(kinds_with_the_same_hash_are_distinguished)
{
	CHECK(!read_text(
		FT_ALLOC "size=8 align=1 ptr=1\n"
		FT_ALLOC "size=1099511627784 align=0 ptr=2\n"
		FT_ALLOC "size=392504528582 align=8805845 ptr=3\n"
		FT_ALLOC "call_site=2 size=392504528582 align=8805845 ptr=4\n"
		FT_ALLOC "call_site=8yn0iYCKYHlIj4-BwPqk size=119155846460 "
			 "align=11049284 ptr=5\n"
		FT_ALLOC "call_site=GReLUrM4wMqfg9yzV3KQ size=119155846460 "
			 "align=11049284 ptr=6\n"
		FT_ALLOC "size=8 align=1 ptr=7\n"
		FT_ALLOC "size=1099511627784 align=0 ptr=8\n"));
	CHECK(stats.kinds == 6);
	for (uint32_t i = 0; i < 8; i++)
		CHECK(ops[i].kind == i % 6);
	done();
}

/* the hash and the size are equal: the first alignment is above 2^24 */
TEST(kinds_that_differ_only_in_alignment_are_distinguished)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=16777224 ptr=1\n"
			 FT_ALLOC "size=8 align=8 ptr=2\n"));
	CHECK(stats.kinds == 2);
	done();
}

TEST(handles_are_reused)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_ALLOC "size=8 align=8 ptr=b\n"
			 FT_FREE "ptr=a\n"
			 FT_ALLOC "size=8 align=8 ptr=c\n"
			 FT_ALLOC "size=8 align=8 ptr=d\n"));
	CHECK(op_is(3, 0xc, 0, 0));
	CHECK(op_is(4, 0xd, 2, 0));
	CHECK(stats.handles == 3);
	done();
}

/* areas may be older than the recording */
TEST(the_handle_that_was_freed_last_is_reused_first)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_ALLOC "size=8 align=8 ptr=b\n"
			 FT_FREE "ptr=a\n"
			 FT_FREE "ptr=b\n"
			 FT_ALLOC "size=8 align=8 ptr=c\n"
			 FT_ALLOC "size=8 align=8 ptr=d\n"));
	CHECK(op_is(4, 0xc, 1, 0) && op_is(5, 0xd, 0, 0));
	CHECK(stats.handles == 2);
	done();
}

TEST(a_free_of_an_unknown_pointer_is_an_orphan_free)
{
	CHECK(!read_text(FT_FREE "ptr=a\n"
			 FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_FREE "ptr=a\n"
			 FT_FREE "ptr=a\n"));
	CHECK(op_is(0, 0xa, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(op_is(2, 0xa, 0, PCPU_OP_FREE));
	CHECK(op_is(3, 0xa, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(stats.frees == 3 && stats.orphan_frees == 2);
	done();
}

/* the free was lost: the handle gets the new area, and replay frees the old */
TEST(a_pointer_that_is_allocated_again_keeps_its_handle)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_ALLOC "size=16 align=8 ptr=a\n"
			 FT_FREE "ptr=a\n"));
	CHECK(op_is(0, 0xa, 0, 0));
	CHECK(op_is(1, 0xa, 0, 1));
	CHECK(op_is(2, 0xa, 0, PCPU_OP_FREE));
	CHECK(stats.reallocs == 1 && stats.orphan_frees == 0);
	CHECK(stats.handles == 1);
	done();
}

TEST(other_percpu_events_are_counted)
{
	CHECK(!read_text(
		"x-1 [003] ..... 1.0: percpu_alloc_percpu_fail: reserved=0 "
		"is_atomic=1 size=8 align=8\n"
		"x-1 [000] ..... 1.0: percpu_create_chunk: "
		"base_addr=00000000aaaa0000\n"
		"x-1 [000] ..... 1.0: percpu_create_chunk: "
		"base_addr=00000000bbbb0000\n"
		"x-1 [000] ..... 1.0: percpu_destroy_chunk: "
		"base_addr=00000000aaaa0000\n"
		"x-1 [000] ..... 1.0: percpu_destroy_chunk: "
		"base_addr=00000000bbbb0000\n"
		"x-1 [000] ..... 1.0: percpu_destroy_chunk: "
		"base_addr=00000000cccc0000\n"
		"x-1 [000] ..... 1.0: percpu_of_the_future: size=x\n"));
	CHECK(nr_ops == 0);
	CHECK(stats.events == 7);
	CHECK(stats.kernel_failures == 1);
	CHECK(stats.kernel_created == 2);
	CHECK(stats.kernel_destroyed == 3);
	CHECK(stats.cpus == 4);
	done();
}

TEST(other_lines_are_ignored)
{
	CHECK(!read_text(
		"\n"
		"x-1 [000] ..... 1.0: kmalloc: call_site=percpu_init+0x1 "
		"ptr=a bytes_req=8\n"
		"percpu_counter-1 [000] ..... 1.0: sched_switch: prev=x\n"
		"x-1 [000] ..... 1.0: my_percpu_alloc_percpu: size=8\n"
		"x-1 [000] ..... 1.0: percpux: size=8\n"
		"\tffffffff81000000 pcpu_alloc+0x1 ([kernel.kallsyms])\n"
		"no event at all\n"));
	CHECK(stats.lines == 7);
	CHECK(stats.events == 0 && nr_ops == 0 && stats.lost == 0);
	done();
}

TEST(a_command_may_be_named_like_an_event)
{
	CHECK(!read_text("percpu_x: y-1 [000] ..... 1.0: "
			 "percpu_free_percpu: ptr=a\n"
			 "a percpu_b-1 [000] ..... 1.0: "
			 "percpu_free_percpu: ptr=a\n"
			 "ptr=b-1 [000] ..... 1.0: percpu_free_percpu: "
			 "ptr=a\n"));
	CHECK(stats.lines == 3);
	CHECK(stats.events == 3 && stats.frees == 3);
	done();
}

/* the first event of a line counts */
TEST(a_call_site_may_be_named_like_an_event)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a "
			 "call_site=f percpu_free_percpu: x\n"));
	CHECK(stats.allocs == 1 && stats.frees == 0);
	done();
}

TEST(the_number_of_cpus_comes_from_the_header_or_the_lines)
{
	CHECK(!read_text("# entries-in-buffer/entries-written: 5/5   #P:8\n"
			 FT_FREE "ptr=a\n"));
	CHECK(stats.cpus == 8);
	CHECK(stats.lost == 0);
	CHECK(!read_text("x-1 [063] ..... 1.0: percpu_free_percpu: ptr=a\n"));
	CHECK(stats.cpus == 64);
	CHECK(!read_text("x-1 [63] ..... 1.0: percpu_free_percpu: ptr=a\n"));
	CHECK(stats.cpus == 64);
	CHECK(!read_text("x y[7] 1 [002] 1.0: percpu:percpu_free_percpu: "
			 "ptr=a\n"));
	CHECK(stats.cpus == 3);
	done();
}

TEST(an_event_may_have_no_cpu)
{
	CHECK(!read_text("percpu_free_percpu: ptr=a\n"
			 "x 1 [00 1.0: percpu:percpu_free_percpu: ptr=a\n"
			 "x 1 [no] 1.0: percpu:percpu_free_percpu: ptr=a\n"));
	CHECK(stats.frees == 3);
	CHECK(stats.cpus == 0);
	done();
}

TEST(an_incomplete_header_reports_no_lost_events)
{
	CHECK(!read_text("# entries-in-buffer/entries-written: 5\n"));
	CHECK(stats.lost == 0);
	done();
}

/* each recorder reports lost events in its own format */
TEST(lost_events_are_summed)
{
	CHECK(!read_text(
		"# entries-in-buffer/entries-written: 90/100   #P:2\n"));
	CHECK(stats.lost == 10);
	CHECK(!read_text(
		"# entries-in-buffer/entries-written: 100/90   #P:2\n"));
	CHECK(stats.lost == 0);
	CHECK(!read_text("CPU:0 [LOST 5 EVENTS]\nCPU:1 [LOST 7 EVENTS]\n"));
	CHECK(stats.lost == 12);
	CHECK(!read_text("CPU:0 [LOST 5 EVENTS] [LOST EVENTS]\n"));
	CHECK(stats.lost == 5);
	CHECK(!read_text("CPU:0 [5: EVENTS DROPPED]\n"));
	CHECK(stats.lost == 5);
	CHECK(!read_text("# [LOST 5 EVENTS]\n"));
	CHECK(stats.lost == 0);
	CHECK(!read_text("CPU:0 [LOST EVENTS]\n"));
	CHECK(stats.lost == 1);
	CHECK(!read_text("CPU:1 [324 EVENTS DROPPED]\n"));
	CHECK(stats.lost == 324);
	CHECK(!read_text("CPU:1 [EVENTS DROPPED]\n"));
	CHECK(stats.lost == 1);
	CHECK(!read_text("x 1 [000] 1.0: PERF_RECORD_LOST lost 17\n"
			 "x 1 [000] 1.0: PERF_RECORD_LOST_SAMPLES lost 4\n"));
	CHECK(stats.lost == 21);
	CHECK(stats.events == 0);
	done();
}

/*
 *	page	0   1   2   3
 *	chunk a	|#.#|###|...|...|	off 0, 2048, 4096 (size 4096)
 *	chunk b	|...|..#|#..|...|	off 8190, size 4
 */
TEST(the_memory_that_the_kernel_used_is_measured)
{
	CHECK(!read_text(
		FT_ALLOC "size=8 align=8 base_addr=a off=0 ptr=1\n"
		FT_ALLOC "size=8 align=8 base_addr=a off=2048 ptr=2\n"
		FT_ALLOC "size=4096 align=8 base_addr=a off=4096 ptr=3\n"
		FT_ALLOC "size=4 align=1 base_addr=b off=8190 ptr=4\n"));
	CHECK(stats.kernel_chunks == 2);
	CHECK(stats.kernel_pages == 4);
	CHECK(stats.kernel_extent == 8194);
	done();
}

/* pages of two chunks, compared with an array; 64 MiB is the largest extent */
TEST(the_pages_of_large_chunks_are_counted_once)
{
	enum { PAGES = 16384 };
	static bool touched[2][PAGES];
	static char text[200 * 150];
	uint64_t pages = 0, extent = 0;
	char *at = text;

	for (int i = 0; i < 200; i++) {
		unsigned int chunk = pick(2), first = pick(PAGES - 70);
		unsigned int offset = first * 4096 + (pick(2) ? 0 : pick(4096));
		unsigned int size = pick(2) ? 4096 * pick(17) : 1 + pick(5000);

		if (i == 0) {	/* up to the end */
			offset = (PAGES - 1) * 4096;
			size = 4096;
		}
		at += sprintf(at, FT_ALLOC "size=%u align=8 base_addr=%x "
			      "off=%u ptr=%x\n", size, chunk + 1, offset, i + 1);
		for (unsigned int page = offset / 4096;
		     page * 4096 < offset + size; page++) {
			pages += !touched[chunk][page];
			touched[chunk][page] = true;
		}
		if (offset + size > extent)
			extent = offset + size;
	}
	CHECK(!read_text(text));
	CHECK(stats.kernel_pages == pages);
	CHECK(stats.kernel_extent == extent);
	CHECK(stats.kernel_chunks == 2);
	done();
}

/*
 * 4 KiB pages of one chunk, in groups of 16; each is counted once:
 *
 *	|0 ... 14|15|16|17|18 ... 31|32 ...
 *	         |##|##|##|			off 61440, 3 pages
 *	            |##|##|##|			off 65536, 3 pages
 */
TEST(a_page_that_several_areas_touch_is_counted_once)
{
	CHECK(!read_text(
		FT_ALLOC "size=12288 align=8 base_addr=a off=61440 ptr=1\n"
		FT_ALLOC "size=12288 align=8 base_addr=a off=65536 ptr=2\n"));
	CHECK(stats.kernel_pages == 4);
	CHECK(!read_text(
		FT_ALLOC "size=65536 align=8 base_addr=a off=4095 ptr=1\n"
		FT_ALLOC "size=65536 align=8 base_addr=b off=4096 ptr=2\n"));
	CHECK(stats.kernel_pages == 17 + 16 && stats.kernel_chunks == 2);
	CHECK(stats.kernel_extent == 4096 + 65536);
	done();
}

/* no kernel allocates more than 64 KiB at a time */
TEST(an_area_larger_than_any_kernels_is_not_counted)
{
	CHECK(!read_text(FT_ALLOC "size=65537 align=8 base_addr=a off=0 ptr=1\n"));
	CHECK(stats.allocs == 1);
	CHECK(stats.kernel_chunks == 0 && stats.kernel_pages == 0);
	CHECK(stats.kernel_extent == 0);
	done();
}

TEST(an_offset_out_of_range_is_not_counted)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 base_addr=a "
			 "off=999999999999999999 ptr=1\n"));
	CHECK(stats.allocs == 1);
	CHECK(stats.kernel_chunks == 0 && stats.kernel_extent == 0);
	done();
}

static bool note_is(size_t i, uint64_t time, uint32_t chunk, uint32_t offset)
{
	return i < nr_ops && notes[i].time == time && notes[i].chunk == chunk &&
	       notes[i].offset == offset;
}

/* ftrace prints microseconds, perf script --ns nanoseconds */
TEST(each_operation_has_its_time_in_nanoseconds)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_FREE "ptr=a\n"));
	CHECK(nr_ops == 2);
	CHECK(notes[0].time == 522635392000 && notes[1].time == 522644762000);
	CHECK(!read_text("wl2.sh 12685 [001]  1963.708252019:       "
			 "percpu:percpu_free_percpu: ptr=a\n"));
	CHECK(notes[0].time == 1963708252019);
	done();
}

/* the time of the only event, with @head before its name */
static uint64_t time_after(const char *head)
{
	char text[256];

	snprintf(text, sizeof(text), "%spercpu_free_percpu: ptr=a\n", head);
	CHECK(!read_text(text));
	CHECK(nr_ops == 1);
	return nr_ops ? notes[0].time : 0;
}

TEST(a_time_is_read_at_any_position)
{
	CHECK(time_after("5.25: ") == 5250000000);
	CHECK(time_after("[000]5.000001: ") == 5000001000);
	CHECK(time_after("x 1 [000] 0.000000: ") == 0);
	CHECK(time_after("x 1 5.5: percpu:") == 5500000000);
	/* perf script -F +period */
	CHECK(time_after("x 1 [000] 5.5:    1 percpu:") == 5500000000);
	/* 7.5 is the name of the command, which is before the CPU */
	CHECK(time_after("7.5: 1 [000] 5.5: ") == 5500000000);
	CHECK(time_after("7.5: 1 [000] ") == PCPU_NO_TIME);
	CHECK(time_after("18446744072.999999999: ") == 18446744072999999999u);
	done();
}

/* ftrace's clocks "counter" and "x86-tsc", and perf script -F without time */
TEST(a_line_without_a_time_in_seconds_has_no_time)
{
	CHECK(time_after("") == PCPU_NO_TIME);
	CHECK(time_after("x-1 [000] d..1 123456789: ") == PCPU_NO_TIME);
	CHECK(time_after("x 1 [000] percpu:") == PCPU_NO_TIME);
	done();
}

/* the operation is still read */
TEST(a_damaged_time_is_ignored)
{
	CHECK(time_after("x5.5: ") == PCPU_NO_TIME);
	CHECK(time_after(".5: ") == PCPU_NO_TIME);
	CHECK(time_after("5.: ") == PCPU_NO_TIME);
	CHECK(time_after("5.x: ") == PCPU_NO_TIME);
	CHECK(time_after("5./: ") == PCPU_NO_TIME);
	CHECK(time_after("5.5 ") == PCPU_NO_TIME);
	CHECK(time_after("5.5x: ") == PCPU_NO_TIME);
	CHECK(time_after("5.1234567890: ") == PCPU_NO_TIME);
	CHECK(time_after("18446744073.0: ") == PCPU_NO_TIME);
	CHECK(time_after("1000000000000000000.0: ") == PCPU_NO_TIME);
	done();
}

TEST(chunks_are_numbered_in_order_of_appearance)
{
	CHECK(!read_text(
		FT_FREE "base_addr=c off=16 ptr=9\n"
		FT_ALLOC "size=8 align=8 base_addr=a off=64 ptr=1\n"
		FT_ALLOC "size=8 align=8 base_addr=c off=0 ptr=2\n"
		FT_FREE "base_addr=a off=64 ptr=1\n"
		"x-1 [000] ..... 1.0: percpu_destroy_chunk: base_addr=a\n"
		"x-1 [000] ..... 1.0: percpu_create_chunk: base_addr=a\n"
		FT_ALLOC "size=8 align=8 base_addr=a off=8 ptr=1\n"));
	CHECK(nr_ops == 5);
	CHECK(note_is(0, 522644762000, 0, 16));
	CHECK(note_is(1, 522635392000, 1, 64));
	CHECK(note_is(2, 522635392000, 0, 0));
	CHECK(note_is(3, 522644762000, 1, 64));
	/* a chunk is known by its address only */
	CHECK(note_is(4, 522635392000, 1, 8));
	done();
}

TEST(many_chunks_have_numbers)
{
	static char text[100 * 150];
	char *at = text;

	for (int i = 0; i < 100; i++)
		at += sprintf(at, FT_ALLOC "size=8 align=8 base_addr=%x "
			      "off=%d ptr=%x\n", i + 1, 4096 * i, i + 1);
	CHECK(!read_text(text));
	CHECK(nr_ops == 100);
	for (uint32_t i = 0; i < 100; i++)
		CHECK(note_is(i, 522635392000, i, 4096 * i));
	CHECK(stats.kernel_chunks == 100 && stats.kernel_pages == 100);
	done();
}

/* only allocations count a chunk as used */
TEST(a_chunk_that_only_a_free_names_has_a_number_but_is_not_counted)
{
	CHECK(!read_text(FT_FREE "base_addr=a off=16 ptr=9\n"
			 FT_ALLOC "size=0 align=8 base_addr=b off=0 ptr=1\n"
			 FT_ALLOC "size=0 align=8 base_addr=b off=0 ptr=1\n"));
	CHECK(notes[0].chunk == 0 && notes[1].chunk == 1);
	CHECK(stats.kernel_chunks == 1);
	done();
}

TEST(a_missing_chunk_or_offset_is_unknown)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=1\n"
			 FT_ALLOC "size=8 align=8 base_addr=a ptr=2\n"
			 FT_FREE "off=64 ptr=1\n"));
	CHECK(note_is(0, 522635392000, PCPU_NO_PLACE, PCPU_NO_PLACE));
	CHECK(note_is(1, 522635392000, 0, PCPU_NO_PLACE));
	CHECK(note_is(2, 522644762000, PCPU_NO_PLACE, 64));
	CHECK(stats.kernel_chunks == 0);
	done();
}

TEST(an_offset_out_of_range_is_unknown)
{
	CHECK(!read_text(FT_FREE "base_addr=a off=67108864 ptr=1\n"
			 FT_FREE "base_addr=a off=67108865 ptr=1\n"
			 FT_FREE "base_addr=a off=4294967296 ptr=1\n"));
	CHECK(notes[0].offset == 67108864);
	CHECK(notes[1].offset == PCPU_NO_PLACE);
	CHECK(notes[2].offset == PCPU_NO_PLACE);
	done();
}

TEST(carriage_returns_are_ignored)
{
	CHECK(!read_text("# tracer: nop\r\n"
			 FT_ALLOC "size=8 align=8 ptr=a call_site=f\r\n"
			 FT_FREE "ptr=a\r\n"));
	CHECK(nr_ops == 2);
	CHECK(op_is(1, 0xa, 0, PCPU_OP_FREE));
	CHECK(!strcmp(kind(0), "8/8 f"));
	done();
}

TEST(the_last_line_needs_no_newline)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=00000000bbbb0000\n"
			 FT_FREE "ptr=00000000bbbb0000"));
	CHECK(nr_ops == 2 && stats.lines == 2);
	/* it is read once */
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(nr_ops == 2 && stats.lines == 2);
	CHECK(!read_text(""));
	CHECK(nr_ops == 0 && stats.lines == 0);
	done();
}

static void check_refused(const char *text, int error, uint64_t line,
			  const char *field)
{
	CHECK(read_text(text) == -error);
	CHECK(stop.error == error);
	CHECK(stop.line == line);
	CHECK(field ? stop.field && !strcmp(stop.field, field) : !stop.field);
	/* the error is permanent */
	CHECK(pcpu_trace_feed(reader, "\n", 1) == -error);
	CHECK(pcpu_trace_feed(reader, "", 0) == -error);
	CHECK(pcpu_trace_finish(reader) == -error);
	read_results();
	CHECK(stop.line == line);
	done();
}

TEST(a_missing_field_is_reported_with_its_line)
{
	check_refused("\n" FT_FREE "base_addr=a off=8\n", PCPU_T_MISSING, 2,
		      "ptr");
	check_refused(FT_ALLOC "align=8 ptr=a\n", PCPU_T_MISSING, 1, "size");
	check_refused(FT_ALLOC "size=8 ptr=a\n", PCPU_T_MISSING, 1, "align");
	check_refused(FT_ALLOC "size=8 align=8\n", PCPU_T_MISSING, 1, "ptr");
	check_refused(FT_ALLOC "\n", PCPU_T_MISSING, 1, "size");
}

TEST(an_invalid_number_is_reported_with_its_line)
{
	check_refused(FT_FREE "ptr=a\n" FT_FREE "ptr=xyz\n", PCPU_T_NUMBER, 2,
		      "ptr");
	check_refused(FT_FREE "ptr=\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_FREE "ptr=0x\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_FREE "ptr=12345678123456781\n", PCPU_T_NUMBER, 1,
		      "ptr");
	/* kernels print pointers as digits and lower-case letters only */
	check_refused(FT_FREE "ptr=1/2\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_FREE "ptr=1:\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_FREE "ptr=1A\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_FREE "ptr=1g\n", PCPU_T_NUMBER, 1, "ptr");
	check_refused(FT_ALLOC "size=8: align=8 ptr=a\n", PCPU_T_NUMBER, 1,
		      "size");
	check_refused(FT_ALLOC "size=-8 align=8 ptr=a\n", PCPU_T_NUMBER, 1,
		      "size");
	check_refused(FT_ALLOC "size=8x align=8 ptr=a\n", PCPU_T_NUMBER, 1,
		      "size");
	check_refused(FT_ALLOC "size=1000000000000000000 align=8 ptr=a\n",
		      PCPU_T_NUMBER, 1, "size");
	check_refused(FT_ALLOC "size=8 align= ptr=a\n", PCPU_T_NUMBER, 1,
		      "align");
	check_refused(FT_ALLOC "size=8 align=8 off=z ptr=a\n", PCPU_T_NUMBER,
		      1, "off");
	check_refused(FT_FREE "base_addr=z off=1 ptr=a\n", PCPU_T_NUMBER, 1,
		      "base_addr");
}

/* by kptr_restrict or in early boot: areas cannot be distinguished */
TEST(a_masked_pointer_is_refused)
{
	check_refused(FT_FREE "ptr=(null)\n", PCPU_T_POINTER, 1, "ptr");
	check_refused("#\n" FT_FREE "ptr=(____ptrval____)\n", PCPU_T_POINTER,
		      2, "ptr");
}

TEST(a_truncated_last_line_is_refused)
{
	const char *whole = FT_ALLOC "size=8 align=8 ptr=00000000bbbb0000\n";
	char text[512];

	snprintf(text, sizeof(text), "%s" FT_FREE "base_addr=aa", whole);
	check_refused(text, PCPU_T_CUT, 2, "ptr");
	snprintf(text, sizeof(text), "%s" FT_ALLOC "size=", whole);
	check_refused(text, PCPU_T_CUT, 2, "size");
	snprintf(text, sizeof(text), "%s" FT_FREE "ptr=", whole);
	check_refused(text, PCPU_T_CUT, 2, "ptr");
	/* nothing is missing, but the pointer is shorter than the others */
	snprintf(text, sizeof(text), "%s" FT_FREE "ptr=00000000bbbb", whole);
	check_refused(text, PCPU_T_CUT, 2, NULL);
	snprintf(text, sizeof(text), "%s" FT_FREE "ptr=00000000bbbb000", whole);
	check_refused(text, PCPU_T_CUT, 2, NULL);
}

/* the reader keeps an unfinished line where an earlier one was */
TEST(what_follows_the_last_line_is_not_read)
{
	reader = pcpu_trace_reader_new();
	CHECK(!pcpu_trace_feed(reader, "xxxxxx9", 7));
	CHECK(!pcpu_trace_feed(reader, "\n# #P:8", 7));
	CHECK(!pcpu_trace_finish(reader));
	read_results();
	CHECK(stats.cpus == 8);
	done();

	reader = pcpu_trace_reader_new();
	CHECK(!pcpu_trace_feed(reader, "xxxxxxxxxxxxxxxxxxxxxxxx(", 25));
	CHECK(!pcpu_trace_feed(reader, "\npercpu_free_percpu: ptr=", 25));
	CHECK(pcpu_trace_finish(reader) == -PCPU_T_CUT);
	done();
}

/* after an event, a last line that is not an event is a truncated one */
TEST(a_last_line_truncated_before_the_event_name_is_refused)
{
	const char *whole = FT_ALLOC "size=8 align=8 ptr=00000000bbbb0000\n";
	char text[512];

	snprintf(text, sizeof(text), "%s   seq-2093    [001]", whole);
	check_refused(text, PCPU_T_CUT, 2, NULL);
	snprintf(text, sizeof(text), "%sx-1 [0] 1.0: percpu_free_pe", whole);
	check_refused(text, PCPU_T_CUT, 2, NULL);
}

TEST(a_blank_or_comment_line_at_the_end_needs_no_newline)
{
	CHECK(!read_text(FT_FREE "ptr=a\n \t "));
	CHECK(!read_text(FT_FREE "ptr=a\n \r \r"));
	CHECK(!read_text(FT_FREE "ptr=a\n# end"));
	/* without any event the last line is not taken for one */
	CHECK(!read_text("no trace at all"));
	CHECK(nr_ops == 0 && stats.lines == 1);
	done();
}

/* the line is complete, so its own error is reported */
TEST(a_complete_last_line_is_refused_for_its_own_error)
{
	check_refused(FT_FREE "ptr=a\n" FT_FREE "ptr=(null)", PCPU_T_POINTER,
		      2, "ptr");
}

TEST(a_zero_byte_is_refused_as_binary)
{
	static const char text[] = "#\n#\n# \0\n";

	CHECK(read_pieces(text, sizeof(text) - 1, 1) == -PCPU_T_BINARY);
	CHECK(stop.error == PCPU_T_BINARY && stop.line == 3);
	CHECK(read_pieces(text, sizeof(text) - 1, 100) == -PCPU_T_BINARY);
	CHECK(stop.error == PCPU_T_BINARY && stop.line == 3);
	done();
}

TEST(an_endless_line_is_refused_as_binary)
{
	enum { LONG = 100000 };
	char *text = malloc(LONG);

	memset(text, 'x', LONG);
	text[0] = '\n';
	CHECK(read_pieces(text, LONG, 4096) == -PCPU_T_BINARY);
	CHECK(stop.error == PCPU_T_BINARY && stop.line == 2);
	/* so is a newline after too many bytes, in pieces of any size */
	text[LONG - 1] = '\n';
	for (size_t piece = LONG / 2; piece <= LONG; piece += LONG / 2) {
		CHECK(read_pieces(text, LONG, piece) == -PCPU_T_BINARY);
		CHECK(stop.error == PCPU_T_BINARY && stop.line == 2);
	}
	free(text);
	done();
}

TEST(a_line_of_65536_bytes_is_read)
{
	enum { LONGEST = 65536 };
	char *text = malloc(LONGEST + 2);

	memset(text, 'x', LONGEST + 2);
	text[LONGEST] = '\n';
	CHECK(!read_pieces(text, LONGEST + 1, LONGEST + 1));
	CHECK(!read_pieces(text, LONGEST + 1, 4096));
	CHECK(!read_pieces(text, LONGEST, LONGEST));
	text[LONGEST] = 'x';
	text[LONGEST + 1] = '\n';
	CHECK(read_pieces(text, LONGEST + 2, LONGEST + 2) == -PCPU_T_BINARY);
	CHECK(read_pieces(text, LONGEST + 2, 4096) == -PCPU_T_BINARY);
	CHECK(stop.line == 1);
	free(text);
	done();
}

/* a thousand random events of few pointers, and other lines */
static size_t random_text(char *text)
{
	char *at = text;

	for (int i = 0; i < 1000; i++) {
		unsigned int ptr = 1 + pick(40);

		switch (pick(8)) {
		case 0:
			at += sprintf(at, "# a comment\r\n");
			break;
		case 1:
			at += sprintf(at, "CPU:0 [LOST %u EVENTS]\n", ptr);
			break;
		case 2:
		case 3:
		case 4:
			at += sprintf(at, FT_FREE "base_addr=a off=%u "
				      "ptr=%016x\n", ptr * 64, ptr);
			break;
		default:
			at += sprintf(at, FT_ALLOC "call_site=f+%u size=%u "
				      "align=8 base_addr=a off=%u ptr=%016x "
				      "gfp_flags=GFP_KERNEL\n",
				      pick(3), 8 * pick(8), ptr * 64, ptr);
		}
	}
	return (size_t)(at - text);
}

TEST(pieces_of_any_size_read_the_same)
{
	static const size_t pieces[] = { 1, 2, 7, 64, 4096 };
	static char text[300000];
	size_t n = random_text(text), count;
	struct pcpu_trace_stats at_once;
	struct pcpu_trace_note *noted;
	struct pcpu_op *expected;

	CHECK(!read_pieces(text, n, n));
	CHECK(stats.reallocs > 0 && stats.orphan_frees > 0 && stats.lost > 0);
	at_once = stats;
	count = nr_ops;
	expected = malloc(count * sizeof(*expected));
	memcpy(expected, ops, count * sizeof(*expected));
	noted = malloc(count * sizeof(*noted));
	memcpy(noted, notes, count * sizeof(*noted));
	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		CHECK(!read_pieces(text, n, pieces[i]));
		CHECK(!memcmp(&stats, &at_once, sizeof(stats)));
		CHECK(nr_ops == count);
		CHECK(nr_ops == count &&
		      !memcmp(ops, expected, count * sizeof(*expected)));
		CHECK(nr_ops == count &&
		      !memcmp(notes, noted, count * sizeof(*noted)));
	}
	free(expected);
	free(noted);
	done();
}

TEST(operations_that_were_taken_are_not_returned_again)
{
	const char *first = FT_ALLOC "size=8 align=8 ptr=a\n";
	const char *second = FT_FREE "ptr=a\n";

	reader = pcpu_trace_reader_new();
	CHECK(!pcpu_trace_feed(reader, first, strlen(first)));
	read_results();
	CHECK(nr_ops == 1);
	pcpu_trace_take(reader);
	read_results();
	CHECK(nr_ops == 0);
	CHECK(!pcpu_trace_feed(reader, second, strlen(second)));
	read_results();
	/* the reader still knows the handle */
	CHECK(nr_ops == 1 && op_is(0, 0xa, 0, PCPU_OP_FREE));
	CHECK(notes[0].time == 522644762000);
	CHECK(stats.orphan_frees == 0);
	done();
}

TEST(a_reader_that_read_nothing_can_be_freed)
{
	pcpu_trace_reader_free(pcpu_trace_reader_new());
	pcpu_trace_reader_free(NULL);
}

/* pcpu_replay() runs the operations */
TEST(operations_can_be_replayed)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = 2, .static_size = 128,
		.page_size = 4096, .memory = PCPU_MEMORY_NONE };
	struct pcpu_kind kinds[2];
	struct pcpu_replay_handle handles[2] = { { 0, 0 } };
	struct pcpu_replay replay = { .kinds = kinds, .nr_kinds = 2,
		.handles = handles, .nr_handles = 2 };
	struct pcpu *pcpu;
	size_t length;
	int error;

	CHECK(!read_text(FT_ALLOC "size=16 align=8 ptr=a\n"
			 FT_ALLOC "size=100 align=4 ptr=b\n"
			 FT_FREE "ptr=c\n"
			 FT_FREE "ptr=a\n"));
	CHECK(stats.kinds == 2 && stats.handles == 2);
	for (size_t i = 0; i < 2; i++)
		pcpu_trace_kind(reader, i, &kinds[i], &length);
	replay.ops = ops;
	pcpu = pcpu_create(&config, &error);
	CHECK(!pcpu_replay(pcpu, &replay, 0, nr_ops));
	CHECK(replay.failures == 0);
	CHECK(replay.live_bytes == 100 && replay.peak_live_bytes == 116);
	pcpu_destroy(pcpu);
	done();
}

TEST(a_null_reader_is_an_error_and_has_no_results)
{
	struct pcpu_trace_stats stats;
	struct pcpu_trace_stop stop;
	struct pcpu_kind kind;
	size_t n = 1;

	CHECK(pcpu_trace_feed(NULL, "x", 1) == -PCPU_T_NULL);
	CHECK(pcpu_trace_finish(NULL) == -PCPU_T_NULL);
	CHECK(!pcpu_trace_ops(NULL, &n) && n == 0);
	n = 1;
	CHECK(!pcpu_trace_notes(NULL, &n) && n == 0);
	CHECK(!pcpu_trace_kind(NULL, 0, &kind, &n));
	pcpu_trace_take(NULL);
	pcpu_trace_stats(NULL, &stats);
	CHECK(stats.lines == 0 && stats.kinds == 0);
	pcpu_trace_stop(NULL, &stop);
	CHECK(stop.error == PCPU_T_NULL && !stop.line && !stop.field);
	pcpu_trace_reader_free(NULL);
}

TEST(a_null_pointer_for_a_result_returns_no_result)
{
	struct pcpu_trace_reader *reader = pcpu_trace_reader_new();
	const char line[] = "a-1 [000] 1.0: percpu_alloc_percpu: reserved=0 "
			    "is_atomic=0 size=8 align=8 base_addr=0x1000 "
			    "off=0 ptr=0x1000\n";
	struct pcpu_kind kind;
	size_t n;

	CHECK(!pcpu_trace_feed(reader, line, sizeof(line) - 1));
	CHECK(pcpu_trace_ops(reader, &n) && n == 1);
	CHECK(!pcpu_trace_ops(reader, NULL));
	CHECK(!pcpu_trace_notes(reader, NULL));
	CHECK(pcpu_trace_kind(reader, 0, &kind, &n));
	CHECK(!pcpu_trace_kind(reader, 0, NULL, &n));
	CHECK(!pcpu_trace_kind(reader, 0, &kind, NULL));
	pcpu_trace_stats(reader, NULL);
	pcpu_trace_stop(reader, NULL);
	pcpu_trace_reader_free(reader);
}

TEST(a_null_text_is_refused_unless_its_length_is_zero)
{
	struct pcpu_trace_reader *reader = pcpu_trace_reader_new();

	CHECK(!pcpu_trace_feed(reader, NULL, 0));
	CHECK(pcpu_trace_feed(reader, NULL, 1) == -PCPU_T_NULL);
	CHECK(!pcpu_trace_feed(reader, "\n", 1));
	CHECK(!pcpu_trace_finish(reader));
	pcpu_trace_reader_free(reader);
}

TEST(an_unknown_kind_is_null)
{
	struct pcpu_trace_reader *reader = pcpu_trace_reader_new();
	struct pcpu_kind kind;
	size_t n;

	CHECK(!pcpu_trace_kind(reader, 0, &kind, &n));
	pcpu_trace_reader_free(reader);
}
