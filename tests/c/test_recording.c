// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_recording.c - what the lines of a recording add up to: operations with
 * handles, requests, the lives of chunks, and what the kernel used.
 */
#include "pick.h"
#include "recorded.h"
#include "trace/table.h"

TEST(ftrace_text_is_read)
{
	CHECK(!read_text("# tracer: nop\n"
			 "#\n"
			 FT_ALLOC "call_site=f+0x10/0x20 reserved=0 "
			 "is_atomic=0 size=16 align=8 "
			 "base_addr=00000000aaaa0000 off=26848 "
			 "ptr=000000002bfc8874 bytes_alloc=64 "
			 "gfp_flags=GFP_KERNEL\n"
			 FT_ALLOC "call_site=g size=32 align=4 "
			 "base_addr=00000000aaaa0000 off=26864 "
			 "ptr=00000000a7f1b817\n"
			 FT_FREE "base_addr=00000000aaaa0000 off=26848 "
			 "ptr=000000002bfc8874\n"));
	CHECK(rows.n == 3);
	CHECK(op_is(0, 0x2bfc8874, 0, 0));
	CHECK(op_is(1, 0xa7f1b817, 1, 1));
	CHECK(op_is(2, 0x2bfc8874, 0, PCPU_OP_FREE));
	CHECK(same(request(0), "16/8 f+0x10/0x20 GFP_KERNEL"));
	CHECK(same(request(1), "32/4 g "));
	CHECK(rows.times[0] == 522635392000 && rows.times[2] == 522644762000);
	CHECK(rows.cpus[0] == 0 && rows.cpus[2] == 1);
	CHECK(place_is(0, 0, 26848) && place_is(2, 0, 26848));
	CHECK(stats.lines == 5 && stats.events == 3);
	CHECK(stats.allocs == 2 && stats.frees == 1);
	CHECK(stats.kinds == 2 && stats.handles == 2 && stats.cpus == 2);
	CHECK(pcpu_trace_chunk(reader, 0) == 0xaaaa0000);
	done();
}

TEST(perf_text_is_read)
{
	CHECK(!read_text(PERF_ALLOC "call_site=mm_init+0x2bf reserved=0 "
			 "is_atomic=0 size=16 align=8 "
			 "base_addr=0xffffe8ffffc00000 off=33368 "
			 "ptr=0x60795bb01258 bytes_alloc=64 "
			 "gfp_flags=GFP_KERNEL\n"
			 PERF_FREE "base_addr=0xffffe8ffffc00000 off=33368 "
			 "ptr=0x60795bb01258\n"));
	CHECK(op_is(0, 0x60795bb01258, 0, 0));
	CHECK(op_is(1, 0x60795bb01258, 0, PCPU_OP_FREE));
	CHECK(same(request(0), "16/8 mm_init+0x2bf GFP_KERNEL"));
	CHECK(pcpu_trace_chunk(reader, 0) == 0xffffe8ffffc00000);
	CHECK(rows.n == 2 && stats.cpus == 2);
	done();
}

/* --- requests */

TEST(requests_differ_in_any_field)
{
	static const char *const fields[] = {
		"call_site=f size=16 align=8", "call_site=f size=24 align=8",
		"call_site=f size=16 align=4", "call_site=g size=16 align=8",
		"size=16 align=8", "size=16 align=8 is_atomic=1",
		"size=16 align=8 reserved=1",
		"size=16 align=8 reserved=1 is_atomic=1",
		"size=16 align=8 gfp_flags=f", "size=16 align=8 bytes_alloc=64",
		"size=16 align=8 bytes_alloc=32",
	};
	char text[4000], *at = text;

	for (size_t i = 0; i < 2 * COUNT(fields); i++)
		at += sprintf(at, FT_ALLOC "%s ptr=%zx\n",
			      fields[i % COUNT(fields)], i);
	CHECK(!read_text(text));
	CHECK(stats.kinds == COUNT(fields));
	for (uint32_t i = 0; i < rows.n; i++)
		CHECK(rows.ops[i].kind == i % COUNT(fields));
	CHECK(same(request(3), "16/8 g ") && same(request(4), "16/8  "));
	CHECK(same(request(5), "16/8 atomic  "));
	CHECK(same(request(6), "16/8 reserved  "));
	CHECK(same(request(7), "16/8 atomic reserved  "));
	CHECK(same(request(8), "16/8  f"));
	done();
}

TEST(a_request_has_the_bytes_on_all_cpus)
{
	struct pcpu_trace_request r;

	CHECK(!read_text(FT_ALLOC "size=16 align=8 ptr=1 bytes_alloc=64\n"
			 FT_ALLOC "size=16 align=8 ptr=2\n"));
	CHECK(!pcpu_trace_request(reader, 0, &r) && r.bytes_alloc == 64);
	CHECK(!pcpu_trace_request(reader, 1, &r) && r.bytes_alloc == 0);
	CHECK(r.site_length == 0 && r.gfp_length == 0);
	CHECK(pcpu_trace_request(reader, 2, &r) == -PCPU_T_NULL);
	done();
}

TEST(whether_flags_are_printed)
{
	CHECK(!read_text(FT_ALLOC "size=16 align=8 ptr=1\n"));
	CHECK(!stats.flags_printed);
	CHECK(!read_text(FT_FAIL "is_atomic=0 size=16 align=8\n"));
	CHECK(!stats.flags_printed);
	CHECK(!read_text(FT_ALLOC "is_atomic=0 size=16 align=8 ptr=1\n"));
	CHECK(stats.flags_printed == 1);
	done();
}

/* the number before table_hash() */
static uint64_t unhash(uint64_t hash)
{
	uint64_t inverse = 1;

	for (int i = 0; i < 6; i++)
		inverse *= 2 - 0x9e3779b97f4a7c15u * inverse;
	hash ^= hash >> 29 ^ hash >> 58;
	hash *= inverse;
	return hash ^ hash >> 32;
}

/* what is added to the bytes on all CPUs before a request's hash is complete */
static uint64_t half_hash(uint64_t size, uint64_t site, uint64_t gfp)
{
	return table_hash(table_hash(size ^ (uint64_t)8 << 40) ^
			  (site << 32 | gfp));
}

/*
 * Requests with the same hash are kept under the numbers that follow it.  Each
 * pair differs in one field, and in the bytes on all CPUs, such that
 *
 *	hash    A (no site), then B (site f)
 *	hash+1	B is kept here; C, which is B with other bytes, finds it
 */
TEST(requests_are_distinguished_in_each_field)
{
	char text[4000], *at = text;
	uint64_t b, c, d;
	int size = 0;

	do {	/* until the numbers have 63 bits */
		size++;
		b = half_hash(size, 0, 0) ^ half_hash(size, 1, 0);
		c = unhash(table_hash(half_hash(size, 0, 0)) + 1) ^
		    half_hash(size, 1, 0);
		d = half_hash(size, 0, 0) ^ half_hash(size, 0, 1);
		CHECK(unhash(table_hash(b)) == b);
	} while ((b | c | d) > INT64_MAX);
	for (int i = 0; i < 2; i++) {
		at += sprintf(at, FT_ALLOC "size=%d align=8 ptr=1\n", size);
		at += sprintf(at, FT_ALLOC "size=%d align=8 ptr=2 call_site=f "
			      "bytes_alloc=%llu\n", size, (unsigned long long)b);
		at += sprintf(at, FT_ALLOC "size=%d align=8 ptr=3 call_site=f "
			      "bytes_alloc=%llu\n", size, (unsigned long long)c);
		at += sprintf(at, FT_ALLOC "size=%d align=8 ptr=4 gfp_flags=f "
			      "bytes_alloc=%llu\n", size, (unsigned long long)d);
		at += sprintf(at, FT_ALLOC "size=%d align=4 ptr=5 "
			      "is_atomic=1\n", size);
		at += sprintf(at, FT_ALLOC "size=%d align=4 ptr=6 "
			      "bytes_alloc=%llu\n", size, 1ull << 60);
	}
	CHECK(!read_text(text));
	CHECK(stats.kinds == 6);
	for (uint32_t i = 0; i < 12; i++)
		CHECK(rows.ops[i].kind == i % 6);
	done();
}

/* size and alignment of each pair give the same hash */
TEST(requests_with_the_same_hash_are_distinguished)
{
	CHECK(!read_text(
		FT_ALLOC "size=8 align=1 ptr=1\n"
		FT_ALLOC "size=1099511627784 align=0 ptr=2\n"
		FT_ALLOC "size=8 align=16777224 ptr=3\n"
		FT_ALLOC "size=8 align=8 ptr=4\n"
		FT_ALLOC "size=8 align=1 ptr=5\n"
		FT_ALLOC "size=1099511627784 align=0 ptr=6\n"
		FT_ALLOC "size=8 align=16777224 ptr=7\n"
		FT_ALLOC "size=8 align=8 ptr=8\n"));
	CHECK(stats.kinds == 4);
	for (uint32_t i = 0; i < 8; i++)
		CHECK(rows.ops[i].kind == i % 4);
	done();
}

/* --- handles */

TEST(the_handle_that_was_freed_last_is_reused_first)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=a\n"
			 FT_ALLOC "size=8 align=8 ptr=b\n"
			 FT_FREE "ptr=a\n"
			 FT_FREE "ptr=b\n"
			 FT_ALLOC "size=8 align=8 ptr=c\n"
			 FT_ALLOC "size=8 align=8 ptr=d\n"
			 FT_ALLOC "size=8 align=8 ptr=e\n"));
	CHECK(op_is(4, 0xc, 1, 0) && op_is(5, 0xd, 0, 0));
	CHECK(op_is(6, 0xe, 2, 0));
	CHECK(stats.handles == 3);
	done();
}

/* areas may be older than the recording */
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
	CHECK(op_is(0, 0xa, 0, 0) && op_is(1, 0xa, 0, 1));
	CHECK(op_is(2, 0xa, 0, PCPU_OP_FREE));
	CHECK(stats.reallocs == 1 && stats.orphan_frees == 0);
	CHECK(stats.handles == 1);
	done();
}

/* --- chunks */

TEST(chunks_are_numbered_in_order_of_appearance)
{
	CHECK(!read_text(FT_FREE "base_addr=c off=16 ptr=9\n"
			 FT_ALLOC "size=8 align=8 base_addr=a off=64 ptr=1\n"
			 FT_ALLOC "size=8 align=8 base_addr=c off=0 ptr=2\n"
			 FT_FREE "base_addr=a off=64 ptr=1\n"));
	CHECK(place_is(0, 0, 16) && place_is(1, 1, 64));
	CHECK(place_is(2, 0, 0) && place_is(3, 1, 64));
	CHECK(stats.chunks == 2 && stats.kernel_chunks == 2);
	CHECK(pcpu_trace_chunk(reader, 0) == 0xc);
	CHECK(pcpu_trace_chunk(reader, 1) == 0xa);
	CHECK(pcpu_trace_chunk(reader, 2) == 0);
	done();
}

/*
 *	base a:	|-- 0 --|   |-- 1 --|-- 2 --
 *	      alloc destroy create create
 */
TEST(a_chunk_that_is_created_has_a_new_number)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 base_addr=a off=8 ptr=1\n"
			 FT_DESTROY "base_addr=a\n"
			 FT_CREATE "base_addr=a\n"
			 FT_ALLOC "size=8 align=8 base_addr=a off=8 ptr=2\n"
			 FT_CREATE "base_addr=a\n"
			 FT_ALLOC "size=8 align=8 base_addr=a off=8 ptr=3\n"));
	CHECK(place_is(0, 0, 8) && place_is(1, 1, 8) && place_is(2, 2, 8));
	CHECK(nr_events == 3);
	CHECK(event_is(0, PCPU_TRACE_DESTROYED, 1, 0));
	CHECK(event_is(1, PCPU_TRACE_CREATED, 1, 1));
	CHECK(event_is(2, PCPU_TRACE_CREATED, 2, 2));
	CHECK(events[1].time == 522800000000 && events[1].cpu == 0);
	CHECK(stats.kernel_created == 2 && stats.kernel_destroyed == 1);
	CHECK(stats.chunks == 3 && stats.kernel_chunks == 3);
	CHECK(pcpu_trace_chunk(reader, 2) == 0xa);
	done();
}

TEST(a_chunk_may_be_destroyed_that_is_older_than_the_recording)
{
	CHECK(!read_text(FT_DESTROY "base_addr=a\n" FT_DESTROY "base_addr=a\n"
			 FT_ALLOC "size=8 align=8 base_addr=a off=8 ptr=1\n"));
	CHECK(event_is(0, PCPU_TRACE_DESTROYED, 0, 0));
	CHECK(event_is(1, PCPU_TRACE_DESTROYED, 0, 1));
	CHECK(place_is(0, 2, 8));
	CHECK(stats.kernel_destroyed == 2 && stats.chunks == 3);
	done();
}

/* only allocations count a chunk as used */
TEST(a_chunk_that_only_a_free_names_has_a_number_but_is_not_counted)
{
	CHECK(!read_text(FT_FREE "base_addr=a off=16 ptr=9\n"
			 FT_ALLOC "size=0 align=8 base_addr=b off=0 ptr=1\n"
			 FT_ALLOC "size=0 align=8 base_addr=b off=0 ptr=1\n"));
	CHECK(rows.chunks[0] == 0 && rows.chunks[1] == 1);
	CHECK(stats.chunks == 2 && stats.kernel_chunks == 1);
	CHECK(stats.kernel_pages == 0);
	done();
}

TEST(a_missing_chunk_or_offset_is_unknown)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=1\n"
			 FT_ALLOC "size=8 align=8 base_addr=a ptr=2\n"
			 FT_FREE "off=64 ptr=1\n"));
	CHECK(place_is(0, PCPU_NO_PLACE, PCPU_NO_PLACE));
	CHECK(place_is(1, 0, PCPU_NO_PLACE));
	CHECK(place_is(2, PCPU_NO_PLACE, 64));
	CHECK(stats.kernel_chunks == 0);
	done();
}

TEST(an_offset_above_64_mib_is_unknown)
{
	CHECK(!read_text(FT_FREE "base_addr=a off=67108864 ptr=1\n"
			 FT_FREE "base_addr=a off=67108865 ptr=1\n"
			 FT_ALLOC "size=8 align=8 base_addr=a off=4294967296 "
			 "ptr=1\n"
			 FT_ALLOC "size=8 align=8 base_addr=a "
			 "off=9223372036854775807 ptr=1\n"));
	CHECK(rows.offsets[0] == 67108864);
	CHECK(rows.offsets[1] == PCPU_NO_PLACE);
	CHECK(rows.offsets[2] == PCPU_NO_PLACE);
	CHECK(stats.allocs == 2);
	CHECK(stats.kernel_chunks == 0 && stats.kernel_extent == 0);
	done();
}

/* --- what the kernel used */

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
	CHECK(!read_text(FT_ALLOC "size=0 align=8 base_addr=a off=67108864 "
			 "ptr=1\n"));
	CHECK(stats.kernel_pages == 0 && stats.kernel_extent == 67108864);
	done();
}

/* no kernel allocates more than 64 KiB at a time, nor has larger units */
TEST(an_area_larger_than_any_kernels_is_not_counted)
{
	CHECK(!read_text(
		FT_ALLOC "size=65537 align=8 base_addr=a off=0 ptr=1\n"
		FT_ALLOC "size=2 align=8 base_addr=a off=67108863 ptr=2\n"));
	CHECK(stats.allocs == 2);
	CHECK(stats.kernel_chunks == 0 && stats.kernel_pages == 0);
	CHECK(stats.kernel_extent == 0);
	done();
}

/* --- other events */

TEST(the_kernels_failures_are_events_with_a_request)
{
	CHECK(!read_text(FT_ALLOC "size=8 align=8 ptr=1\n"
			 FT_FAIL "reserved=0 is_atomic=1 size=16 align=8\n"
			 FT_FAIL "reserved=0 is_atomic=0 size=8 align=8\n"));
	CHECK(event_is(0, PCPU_TRACE_FAILED, 1, 1));
	CHECK(event_is(1, PCPU_TRACE_FAILED, 1, 0));
	CHECK(same(request(1), "16/8 atomic  "));
	CHECK(same(task(events[0].task), "bash-2090"));
	CHECK(stats.kernel_failures == 2 && stats.events == 3);
	CHECK(rows.n == 1 && nr_events == 2);
	done();
}

TEST(background_work_is_an_event)
{
	CHECK(!read_text(FT(1, 5.5) "workqueue_execute_start: work struct 0: "
			 "function pcpu_balance_workfn\n"
			 ALLOC_LINE
			 FT(1, 6.5) "workqueue_execute_end: work struct 0: "
			 "function pcpu_balance_workfn\n"));
	CHECK(event_is(0, PCPU_TRACE_WORK_STARTED, 0, 0));
	CHECK(event_is(1, PCPU_TRACE_WORK_ENDED, 1, 0));
	CHECK(events[1].time == 6500000000 && events[1].cpu == 1);
	/* of another tracepoint */
	CHECK(stats.events == 1 && stats.cpus == 1);
	done();
}

TEST(lost_events_are_summed)
{
	CHECK(!read_text("CPU:0 [LOST 5 EVENTS]\n" ALLOC_LINE
			 "CPU:1 [LOST EVENTS]\n"));
	CHECK(stats.lost == 6 && stats.events == 1);
	CHECK(event_is(0, PCPU_TRACE_LOST, 0, 5));
	CHECK(event_is(1, PCPU_TRACE_LOST, 1, 0));
	CHECK(events[0].time == PCPU_NO_TIME && events[0].cpu == PCPU_NO_CPU);
	CHECK(events[0].task == PCPU_NO_TASK);
	CHECK(!read_text("[LOST 18446744073709551610 EVENTS]\n"
			 "[LOST 5 EVENTS]\n"));
	CHECK(stats.lost == UINT64_MAX);
	CHECK(!read_text("[LOST 18446744073709551610 EVENTS]\n"
			 "[LOST 6 EVENTS]\n"));
	CHECK(stats.lost == UINT64_MAX);
	done();
}

TEST(the_number_of_cpus_is_that_of_the_head_or_of_the_events)
{
	CHECK(!read_text("# entries-in-buffer/entries-written: 5/9   #P:8\n"
			 FREE_LINE));
	CHECK(stats.cpus == 8 && stats.lost == 4);
	CHECK(!read_text("x-1 [063] ..... 1.0: percpu_free_percpu: ptr=a\n"
			 FREE_LINE));
	CHECK(stats.cpus == 64);
	CHECK(!read_text("percpu_free_percpu: ptr=a\n"));
	CHECK(stats.cpus == 0 && rows.cpus[0] == PCPU_NO_CPU);
	/* CPUs may be offline */
	CHECK(!read_text("# #P:1\n" FREE_LINE));
	CHECK(stats.cpus == 1);
	/* of other events it is not taken */
	CHECK(!read_text(FREE_LINE "x-1 [009] ..... 1.0: sched_switch: a\n"));
	CHECK(stats.cpus == 2);
	done();
}

TEST(an_operation_before_the_previous_one_is_counted)
{
	CHECK(!read_text("x-1 [000] 2.0: percpu_free_percpu: ptr=a\n"
			 "x-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "x-1 [000] 12345: percpu_free_percpu: ptr=a\n"
			 "x-1 [000] 1.0: percpu_free_percpu: ptr=a\n"
			 "x-1 [000] 0.5: percpu_free_percpu: ptr=a\n"
			 "x-1 [000] 0.6: percpu_free_percpu: ptr=a\n"));
	CHECK(stats.backwards == 2);
	CHECK(rows.times[2] == PCPU_NO_TIME);
	done();
}
