// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_line.c - one line of a recording: which event it is, its fields, and
 * what other lines are.
 */
#include "recorded.h"
#include "trace/line.h"

#define HEAD	"x-1 [002] d..1 5.5: "
#define ALLOC	HEAD "percpu_alloc_percpu: "
#define FREE	HEAD "percpu_free_percpu: "

static struct trace_line line;
static const char *end;		/* of the line */

/* from a buffer of exactly its size, so that ASan sees what is read */
static int parse(const char *text)
{
	static struct trace_prefix prefix;
	static char *copy;
	size_t n = strlen(text);

	free(copy);
	copy = malloc(n + !n);
	memcpy(copy, text, n);
	end = copy + n;
	return trace_line_parse(&prefix, (struct span){ copy, end }, &line);
}

static const char *rest(void)
{
	return print("%.*s", (int)(end - line.rest), line.rest);
}

static const char *shown(struct span s)
{
	return print("%.*s", (int)span_len(s), s.at);
}

/* the numbers of an event, those that it lacks as - */
static const char *numbers(void)
{
	char text[200], *at = text;
	const struct { unsigned int bit; uint64_t value; } members[] = {
		{ TRACE_HAS_SIZE, line.size }, { TRACE_HAS_ALIGN, line.align },
		{ TRACE_HAS_BASE, line.base },
		{ TRACE_HAS_OFFSET, line.offset }, { TRACE_HAS_PTR, line.ptr },
		{ TRACE_HAS_ATOMIC, line.atomic },
	};

	for (size_t i = 0; i < COUNT(members); i++) {
		if (line.has & members[i].bit)
			at += sprintf(at, "%llx ",
				      (unsigned long long)members[i].value);
		else
			at += sprintf(at, "- ");
	}
	return print("%s%d %d", text, (int)line.reserved,
		     (int)line.bytes_alloc);
}

static bool is(const char *text, enum trace_line_type type)
{
	return !parse(text) && line.type == type &&
	       !trace_has_event((struct span){ line.rest, end });
}

/* whether an event is refused for a field; what is left of the line */
static bool refused(const char *text, int error, const char *field,
		    const char *left)
{
	return parse(text) == -error && line.field &&
	       same(line.field, field) && same(rest(), left);
}

/* size, align, base_addr, off, ptr, is_atomic in hex; reserved, bytes_alloc */
TEST(the_fields_of_an_allocation)
{
	CHECK(is(ALLOC "call_site=f+0x1/0x2 reserved=1 is_atomic=1 size=16 "
		 "align=8 base_addr=00000000aaaa0000 off=26848 "
		 "ptr=000000002bfc8874 bytes_alloc=64 gfp_flags=GFP_KERNEL",
		 TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 aaaa0000 68e0 2bfc8874 1 1 64"));
	CHECK(same(shown(line.site), "f+0x1/0x2"));
	CHECK(same(shown(line.gfp), "GFP_KERNEL"));
	CHECK(line.ptr_digits == 16);
	CHECK(line.head.cpu == 2 && line.head.time == 5500000000);
	CHECK(same(shown(line.head.task), "x") && line.head.pid == 1);
}

/* call_site, bytes_alloc and gfp_flags came with 5.19 */
TEST(the_fields_before_5_19)
{
	CHECK(is(ALLOC "reserved=0 is_atomic=0 size=16 align=8 "
		 "base_addr=00000000aaaa0000 off=64 ptr=00000000bbbb0000",
		 TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 aaaa0000 40 bbbb0000 0 0 0"));
	CHECK(!span_len(line.site) && !span_len(line.gfp));
}

TEST(the_five_events)
{
	CHECK(is(ALLOC "size=1 align=2 ptr=3", TRACE_ALLOC));
	CHECK(same(numbers(), "1 2 - - 3 - 0 0"));
	CHECK(is(FREE "base_addr=1 off=2 ptr=3", TRACE_FREE));
	CHECK(same(numbers(), "- - 1 2 3 - 0 0"));
	CHECK(is(HEAD "percpu_alloc_percpu_fail: reserved=0 is_atomic=1 "
		 "size=8 align=8", TRACE_FAIL));
	CHECK(same(numbers(), "8 8 - - - 1 0 0"));
	CHECK(is(HEAD "percpu_create_chunk: base_addr=a", TRACE_CREATE));
	CHECK(is(HEAD "percpu_destroy_chunk: base_addr=a", TRACE_DESTROY));
	CHECK(same(numbers(), "- - a - - - 0 0"));
}

TEST(perf_prints_the_group_before_the_name)
{
	CHECK(is("x 1 [002] 5.5:   percpu:percpu_free_percpu: ptr=0x60795bb0",
		 TRACE_FREE));
	CHECK(same(numbers(), "- - - - 60795bb0 - 0 0"));
	CHECK(line.head.cpu == 2 && line.ptr_digits == 8);
	CHECK(is("percpu:percpu_free_percpu: ptr=a", TRACE_FREE));
	CHECK(is("x 1 [0] 5.5: percpu:percpu_create_chunk: base_addr=a",
		 TRACE_CREATE));
	/* of another group, or no group */
	CHECK(is("x 1 [0] 5.5: my:percpu_free_percpu: ptr=a", TRACE_OTHER));
	CHECK(is("x 1 [0] 5.5: xpercpu:percpu_free_percpu: ptr=a",
		 TRACE_OTHER));
	CHECK(is("x 1 [0] 5.5: percpu:percpu_free_percpu ptr=a", TRACE_OTHER));
	CHECK(is("x 1 [0] 5.5: percpu:percpu_free_percpu", TRACE_OTHER));
	CHECK(is("x 1 [0] 5.5: percpu:percpu_free", TRACE_OTHER));
}

TEST(perf_trace_prints_colons_and_omits_zeros)
{
	CHECK(is("     0.653 sh/2450 percpu:percpu_alloc_percpu(call_site: "
		 "-2127210481, size: 16, align: 8, base_addr: 0xffffe8ffffc0, "
		 "off: 55600, ptr: 0x60795bb0, bytes_alloc: 64, "
		 "gfp_flags: 3264)", TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 ffffe8ffffc0 d930 60795bb0 0 0 64"));
	CHECK(same(shown(line.site), "-2127210481"));
	CHECK(same(shown(line.gfp), "3264"));
	CHECK(line.head.time == 653000 && line.head.pid == 2450);
	CHECK(is("0.5 sh/1 percpu:percpu_free_percpu(ptr: 0x1)", TRACE_FREE));
	CHECK(same(numbers(), "- - - 0 1 - 0 0"));
	CHECK(is("0.5 sh/1 percpu:percpu_alloc_percpu_fail(is_atomic: true, "
		 "size: 8, align: 8)", TRACE_FAIL));
	CHECK(same(numbers(), "8 8 - 0 - 1 0 0"));
	CHECK(is("0.5 sh/1 percpu:percpu_alloc_percpu_fail(reserved: false, "
		 "size: 8, align: 8)", TRACE_FAIL));
	CHECK(same(numbers(), "8 8 - 0 - 0 0 0"));
	/* as ftrace prints them */
	CHECK(is("0.5 sh/1 percpu:percpu_free_percpu(base_addr=0x2 off=3 "
		 "ptr=0x1)", TRACE_FREE));
	CHECK(same(numbers(), "- - 2 3 1 - 0 0"));
	/* other texts have no colons */
	CHECK(refused(FREE "ptr: 1", PCPU_T_MISSING, "ptr", "ptr: 1"));
}

/* ftrace's option "fields" */
TEST(numbers_may_be_followed_by_others_in_parentheses)
{
	CHECK(is(ALLOC "call_site=f+0x1f/0x90 (-2127210481) reserved=(1) "
		 "is_atomic=(1) size=0x10 (16) align=0x8 (8) "
		 "base_addr=0xffffe8ffffc00000 (-25288771633152) off=0x16690 "
		 "(91792) ptr=0x60795bb0f690 (106075000000144) "
		 "bytes_alloc=0x40 (64) gfp_flags=0xcc0 (3264)", TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 ffffe8ffffc00000 16690 60795bb0f690 1 1 64"));
	CHECK(same(shown(line.site), "f+0x1f/0x90"));
	CHECK(same(shown(line.gfp), "0xcc0"));
}

/* trace-cmd without the kernel's types; 17 digits are no 64 bits in hex */
TEST(pointers_may_be_decimal)
{
	CHECK(is("sh-101   [003]   924.758057: percpu_alloc_percpu:  "
		 "[FAILED TO PARSE] call_site=18446744071582341135 reserved=0 "
		 "is_atomic=0 size=16 align=8 base_addr=18446718784937918464 "
		 "off=56400 ptr=106075035724880 bytes_alloc=64 gfp_flags=3264",
		 TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 ffffe8ffffc00000 dc50 607984d2ec50 0 0 64"));
	CHECK(is(FREE "[FAILED TO PARSE] base_addr=10 ptr=11", TRACE_FREE));
	CHECK(same(numbers(), "- - a - b - 0 0"));
	CHECK(is(FREE "base_addr=18446718784937918464 ptr=16", TRACE_FREE));
	CHECK(same(numbers(), "- - ffffe8ffffc00000 - 10 - 0 0"));
	CHECK(is(FREE "base_addr=1844671878493791 ptr=16", TRACE_FREE));
	CHECK(same(numbers(), "- - 1844671878493791 - 16 - 0 0"));
	CHECK(refused(FREE "[FAILED TO PARSE] ptr=a", PCPU_T_NUMBER, "ptr",
		      "a"));
}

/* logs, shells and pages have lines in quotes, colours and tags */
TEST(other_marks_may_end_a_value)
{
	for (const char *mark = "\"'`;<\\\033"; *mark; mark++) {
		CHECK(is(print(FREE "ptr=b%c", *mark), TRACE_FREE));
		CHECK(line.ptr == 0xb && rest()[0] == *mark);
		CHECK(is(print(ALLOC "size=8%c align=4 ptr=1 gfp_flags=G|H%c",
			       *mark, *mark), TRACE_ALLOC));
		CHECK(same(numbers(), "8 4 - - 1 - 0 0"));
		CHECK(same(shown(line.gfp), "G|H"));
		CHECK(is(print(ALLOC "call_site=f%cg size=8 align=4 ptr=1",
			       *mark), TRACE_ALLOC));
		CHECK(same(shown(line.site), print("f%cg", *mark)));
	}
}

TEST(fields_are_found_by_name_and_not_by_position)
{
	CHECK(is(ALLOC "ptr=b new=x align=8 call_site=f+0x1 off=64 size=16 "
		 "base_addr=a", TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 a 40 b - 0 0"));
	CHECK(same(shown(line.site), "f+0x1"));
	/* of a repeated field the last counts */
	CHECK(is(FREE "ptr=1 ptr=2", TRACE_FREE) && line.ptr == 2);
	/* a longer name is another one */
	CHECK(is(FREE "xptr=1 ptr=2 ptrs=3 ptr", TRACE_FREE) && line.ptr == 2);
}

TEST(blanks_tabs_and_words_are_skipped)
{
	CHECK(is(ALLOC "size=16 note: percpu align=16 percpux ptr=1",
		 TRACE_ALLOC));
	CHECK(same(numbers(), "10 10 - - 1 - 0 0"));
	CHECK(is(ALLOC "\tsize=16  \talign=8   ptr=1   <-- gone here\r",
		 TRACE_ALLOC));
	CHECK(same(numbers(), "10 8 - - 1 - 0 0"));
	CHECK(is("x-1 [000] ..... 1.0: percpu_free_percpu:ptr=b", TRACE_FREE));
	CHECK(is("x-1 [000] ..... 1.0:\tpercpu_free_percpu:\tptr=b\t",
		 TRACE_FREE));
}

TEST(the_name_of_a_module_follows_its_function)
{
	CHECK(is(ALLOC "call_site=veth_init+0x1/0x2 [veth] size=16 align=8 "
		 "ptr=1", TRACE_ALLOC));
	CHECK(same(shown(line.site), "veth_init+0x1/0x2 [veth]"));
	CHECK(is(ALLOC "size=16 align=8 ptr=1 call_site=x+0x1 [y]",
		 TRACE_ALLOC));
	CHECK(same(shown(line.site), "x+0x1 [y]"));
	/* any other word does not */
	CHECK(is(ALLOC "call_site=f [veth size=16 align=8 ptr=1", TRACE_ALLOC));
	CHECK(same(shown(line.site), "f"));
	CHECK(is(ALLOC "call_site=f veth] size=16 align=8 ptr=1", TRACE_ALLOC));
	CHECK(same(shown(line.site), "f"));
	CHECK(is(ALLOC "size=16 align=8 ptr=1 call_site=f [", TRACE_ALLOC));
	CHECK(same(shown(line.site), "f"));
}

TEST(a_missing_field_is_named)
{
	CHECK(refused(FREE "base_addr=a off=8", PCPU_T_MISSING, "ptr", ""));
	CHECK(refused(ALLOC "align=8 ptr=a", PCPU_T_MISSING, "size", ""));
	CHECK(refused(ALLOC "size=8 ptr=a", PCPU_T_MISSING, "align", ""));
	CHECK(refused(ALLOC "size=8 align=8", PCPU_T_MISSING, "ptr", ""));
	CHECK(refused(ALLOC, PCPU_T_MISSING, "size", ""));
	CHECK(refused(ALLOC "align=8 ptr=1 bytes_alloc=64", PCPU_T_MISSING,
		      "size", ""));
	CHECK(refused(ALLOC "size=8 align=8 bytes_alloc=64", PCPU_T_MISSING,
		      "ptr", ""));
	CHECK(refused(HEAD "percpu_create_chunk: off=1", PCPU_T_MISSING,
		      "base_addr", ""));
	CHECK(refused(HEAD "percpu_destroy_chunk:", PCPU_T_MISSING,
		      "base_addr", ""));
	CHECK(refused(HEAD "percpu_alloc_percpu_fail: size=1", PCPU_T_MISSING,
		      "align", ""));
	CHECK(refused(HEAD "percpu_alloc_percpu_fail: align=1", PCPU_T_MISSING,
		      "size", ""));
}

TEST(a_damaged_number_is_named)
{
	CHECK(refused(FREE "ptr=xyz", PCPU_T_NUMBER, "ptr", "xyz"));
	CHECK(refused(FREE "ptr=", PCPU_T_NUMBER, "ptr", ""));
	CHECK(refused(FREE "ptr=0x", PCPU_T_NUMBER, "ptr", "0x"));
	CHECK(refused(FREE "ptr=1234567812345678a", PCPU_T_NUMBER, "ptr", "a"));
	CHECK(refused(FREE "ptr=99999999999999999999", PCPU_T_NUMBER, "ptr",
		      "99999999999999999999"));
	/* kernels print digits and lower-case letters only */
	CHECK(refused(FREE "ptr=1/2", PCPU_T_NUMBER, "ptr", "/2"));
	CHECK(refused(FREE "ptr=1A", PCPU_T_NUMBER, "ptr", "A"));
	CHECK(refused(FREE "ptr=1g", PCPU_T_NUMBER, "ptr", "g"));
	CHECK(refused(FREE "base_addr=z off=1 ptr=a", PCPU_T_NUMBER,
		      "base_addr", "z off=1 ptr=a"));
	CHECK(refused(ALLOC "size=8: align=8 ptr=a", PCPU_T_NUMBER, "size",
		      ": align=8 ptr=a"));
	CHECK(refused(ALLOC "size=-8", PCPU_T_NUMBER, "size", "-8"));
	CHECK(refused(ALLOC "size=((8)", PCPU_T_NUMBER, "size", "(8)"));
	CHECK(refused(ALLOC "align= x", PCPU_T_NUMBER, "align", " x"));
	CHECK(refused(ALLOC "is_atomic=2 x", PCPU_T_NUMBER, "is_atomic",
		      "2 x"));
	CHECK(refused(ALLOC "is_atomic=fals x", PCPU_T_NUMBER, "is_atomic",
		      "fals x"));
	CHECK(refused(ALLOC "reserved=truely", PCPU_T_NUMBER, "reserved",
		      "ly"));
	CHECK(is(FREE "ptr=0xffffffffffffffff", TRACE_FREE));
	CHECK(line.ptr == UINT64_MAX);
}

/* as a signed number of 64 bits, which struct pcpu_kind has */
TEST(a_size_has_63_bits)
{
	CHECK(is(ALLOC "size=9223372036854775807 align=8 ptr=1", TRACE_ALLOC));
	CHECK(line.size == INT64_MAX);
	CHECK(refused(ALLOC "size=9223372036854775808 align=8 ptr=1",
		      PCPU_T_NUMBER, "size",
		      "9223372036854775808 align=8 ptr=1"));
	CHECK(refused(ALLOC "bytes_alloc=18446744073709551615", PCPU_T_NUMBER,
		      "bytes_alloc", "18446744073709551615"));
}

/* by kptr_restrict or in early boot: areas cannot be distinguished */
TEST(a_masked_pointer_is_refused)
{
	CHECK(refused(FREE "ptr=(null) x", PCPU_T_POINTER, "ptr", "(null) x"));
	CHECK(refused(FREE "base_addr=(____ptrval____) off=1", PCPU_T_POINTER,
		      "base_addr", "(____ptrval____) off=1"));
}

/* the second event is in the rest of the line */
TEST(an_event_ends_where_another_begins)
{
	CHECK(!parse(FREE "ptr=1 x" FREE "ptr=2"));
	CHECK(line.ptr == 1 && same(rest(), " x" FREE "ptr=2"));
	CHECK(trace_has_event((struct span){ line.rest, end }));
	CHECK(!parse("0.1 x/1 percpu:percpu_free_percpu(ptr: 1)"
		     " 0.2 x/1 percpu:percpu_free_percpu(ptr: 2)"));
	CHECK(line.ptr == 1);
	CHECK(refused(ALLOC "size=1 ali " FREE "ptr=2", PCPU_T_MISSING,
		      "align", " ali " FREE "ptr=2"));
	CHECK(refused(ALLOC "size=1 align= " FREE "ptr=2", PCPU_T_NUMBER,
		      "align", " " FREE "ptr=2"));
	CHECK(refused(ALLOC "size=12" FREE "ptr=2", PCPU_T_NUMBER, "size",
		      FREE "ptr=2"));
}

/* as /dev/kmsg and netconsole print it, with tp_printk */
TEST(a_name_may_follow_a_semicolon)
{
	CHECK(is("6,339,5140900,-;percpu_free_percpu: ptr=b", TRACE_FREE));
	CHECK(line.ptr == 0xb && line.head.time == PCPU_NO_TIME);
}

TEST(a_text_may_have_no_event)
{
	static const char *const texts[] = {
		"", "percpu_free_percpu", "xpercpu_free_percpu:", ":", "::",
		"percpu_free_percpux:", "percpu_free_percp:", "percpu:",
		"percpu:percpu_free_percpu", "percpu:percpu_free:percpu:",
		"xpercpu:percpu_free_percpu:", "percpu:percpu_free_percpu=",
		"cpu:percpu_free_percpu(", "percpu_free_percpu(",
		"percpu_of_the_future:", "percpu_alloc_percpu_fails:",
		"percpu_create_chun:", "ercpu_free_percpu:",
	};
	const char *text = "x-1 [000] 1.0: percpu_free_percpu:";

	/* each in a buffer of its own size, so that ASan sees what is read */
	for (size_t i = 0; i < COUNT(texts); i++) {
		size_t n = strlen(texts[i]);
		char *copy = malloc(n + !n);

		memcpy(copy, texts[i], n);
		CHECK(!trace_has_event((struct span){ copy, copy + n }));
		free(copy);
	}
	CHECK(trace_has_event((struct span){ text, text + strlen(text) }));
	CHECK(!trace_has_event((struct span){ text, text + strlen(text) - 1 }));
}

TEST(a_task_may_have_a_name_like_that_of_an_event)
{
	CHECK(is("percpu_x: y-1 [000] ..... 1.0: percpu_free_percpu: ptr=a",
		 TRACE_FREE));
	CHECK(same(shown(line.head.task), "percpu_x: y"));
	CHECK(is("ptr=b-1 [000] ..... 1.0: percpu_free_percpu: ptr=a",
		 TRACE_FREE));
	CHECK(line.ptr == 0xa);
}

TEST(blank_lines_and_comments)
{
	CHECK(is("", TRACE_BLANK) && is(" \t\r", TRACE_BLANK));
	CHECK(is("#", TRACE_BLANK) && is("# tracer: nop", TRACE_BLANK));
	CHECK(is("# [LOST 5 EVENTS]", TRACE_BLANK));
	CHECK(line.cpus == 0);
}

static uint64_t cpus_of(const char *text)
{
	CHECK(is(text, TRACE_BLANK));
	return line.cpus;
}

TEST(comments_say_how_many_cpus_there_are)
{
	CHECK(cpus_of("# latency: 0 us, #2/2, CPU#0 | (M:server #P:8)") == 8);
	CHECK(cpus_of("# nrcpus avail : 64") == 64);
	CHECK(cpus_of("# nrcpus online : 64") == 0);
	CHECK(cpus_of("cpus=65534") == 65534);
	CHECK(cpus_of("cpus=65535") == 0);
	CHECK(cpus_of("cpus=x") == 0);
	CHECK(cpus_of("cpus=4\r") == 4);
	/* quoted-printable */
	CHECK(cpus_of("cpus=3D2") == 0);
	CHECK(cpus_of("# cmdline : perf record --cpus=5") == 0);
	CHECK(is(" cpus=5", TRACE_TEXT) && is("cpu=5", TRACE_TEXT));
}

static uint64_t lost_in(const char *text)
{
	CHECK(is(text, TRACE_LOST));
	return line.lost;
}

/* each recorder reports lost events in its own format; 0: how many is unknown */
TEST(recorders_report_lost_events)
{
	CHECK(lost_in("# entries-in-buffer/entries-written: 90/100   #P:2") ==
	      10);
	CHECK(line.cpus == 2);
	CHECK(cpus_of("# entries-in-buffer/entries-written: 90/90 #P:2") == 2);
	CHECK(cpus_of("# entries-in-buffer/entries-written: 9/8 #P:2") == 2);
	CHECK(cpus_of("# entries-in-buffer/entries-written: 9 #P:2") == 2);
	/* in a log */
	CHECK(lost_in("Nov 27 10:00:00 host app[7]: "
		      "# entries-in-buffer/entries-written: 56/214   #P:2") ==
	      158);
	CHECK(line.cpus == 2);
	CHECK(lost_in("CPU:0 [LOST 5 EVENTS]") == 5);
	CHECK(lost_in("CPU:0 [LOST 5 EVENTS] [LOST EVENTS]") == 5);
	CHECK(lost_in("CPU:0 [LOST EVENTS]") == 0);
	CHECK(lost_in("LOST 12 events!") == 12);	/* perf trace */
	CHECK(lost_in("\033[31mLOST 12 events!\033[m") == 12);
	CHECK(is("LOST 12 events of the year", TRACE_TEXT));
	CHECK(is("[LOST 12 balls]", TRACE_TEXT));
	CHECK(lost_in("CPU:1 [324 EVENTS DROPPED]") == 324);
	CHECK(lost_in("CPU:1 [5: EVENTS DROPPED]") == 5);
	CHECK(lost_in("CPU:1 [EVENTS DROPPED]") == 0);
	CHECK(lost_in("CPU:1 [99999999999999999999 EVENTS DROPPED]") == 0);
	CHECK(lost_in("x 1 [001] 1.5: PERF_RECORD_LOST lost 17") == 17);
	CHECK(line.head.time == 1500000000 && line.head.cpu == 1);
	CHECK(lost_in("x 1 [000] 1.0: PERF_RECORD_LOST_SAMPLES lost 4") == 4);
}

TEST(frames_of_stacks)
{
	static const struct { const char *text, *frame; } frames[] = {
		{ " => mm_init+0x2bf/0x4d0", "mm_init+0x2bf/0x4d0" },
		{ "=> mm_init (ffffffff8135580f)", "mm_init" },
		{ "=>mm_init", "mm_init" },
		{ "\tffffffff8135580f mm_init+0x2bf ([kernel.kallsyms])",
		  "mm_init+0x2bf" },
		{ "\t  mm_init ([kernel.kallsyms])", "mm_init" },
		{ "\t d4ad7 [unknown] (/usr/bin/perf)", "[unknown]" },
		{ "\t d4ad7 operator new(int) (libc++)", "operator new(int)" },
		{ "\tffffffff8135580f mm_init", "mm_init" },
		{ "\tc135580f mm_init", "mm_init" },
		{ "ffffffff8135580f mm_init ([kernel.kallsyms])", "mm_init" },
		{ "\t add (x)", "add" },
		{ "\t add add (x)", "add" },
		{ " => g (x", "g (x" },
	};

	for (size_t i = 0; i < COUNT(frames); i++) {
		CHECK(is(frames[i].text, TRACE_FRAME));
		CHECK(same(shown(line.site), frames[i].frame));
	}
}

TEST(other_texts_are_no_frames)
{
	static const char *const texts[] = {
		"  percpu_counter.c:212", "mm_init (x)", "\tmm_init (x",
		"\tmm_init(x)", "\t(x)", "\tx)", "=>", " => ", "=> (x)", ">= x",
		" = f", "no event at all", "{}", "\tc13558f mm_init",
		"\tffffffff8135580f", "ffffffff8135580f mm_init",
		"(x)", "ffffffff8135580f mm_init(x)", "d4ad7 mm_init (x)",
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		CHECK(is(texts[i], TRACE_TEXT));
}

TEST(events_of_other_kinds)
{
	static const char *const texts[] = {
		HEAD "sched_switch: prev=x",
		HEAD "percpu_of_the_future: size=x",
		HEAD "my_percpu_alloc_percpu: size=8",
		"x 1 [000] 1.0:  sched:sched_wakeup: comm=x [120]",
		/* they end like a frame */
		"   sh-1 [000] ..... 1.0: sys_write(fd: 1, buf: 7f, count: 5)",
		"   sh-1 [000] ..... 1.0: sys_enter: NR 0 (7ffd, 1, 2)",
		"   0.040 ( 0.004 ms): sh/2450 close(fd: 3) = 0",
		"   0.040 sh/2450 sched:sched_switch(prev_comm: x, y: 2)",
		"   0.040 sh/2450 sched:sched_switch()",
		/* neither a time nor a CPU alone is needed */
		"x-1 [000] d..1 123456789: sched_switch: x",
		"x 1 1.5: sched_switch: x",
	};

	for (size_t i = 0; i < COUNT(texts); i++)
		CHECK(is(texts[i], TRACE_OTHER));
	CHECK(is(HEAD "(+7) function pcpu_balance_workfn", TRACE_OTHER));
	CHECK(is("x-1: sched_switch: x", TRACE_TEXT));
	CHECK(is("key: value (of something)", TRACE_TEXT));
}

TEST(the_head_of_a_stack)
{
	/* trace-cmd report --ts-diff */
	CHECK(is(HEAD "(+3)     kernel_stack:         <stack trace >",
		 TRACE_STACK));
	CHECK(is(HEAD "(+3 kernel_stack:", TRACE_OTHER));
	CHECK(is(HEAD "(3) kernel_stack:", TRACE_OTHER));
	CHECK(is("sh-24673   [001] .....   626.023065: <stack trace>",
		 TRACE_STACK));
	CHECK(line.head.cpu == 1);
	CHECK(is("sh-8346  [003]   925.856386: kernel_stack:     <stack trace >",
		 TRACE_STACK));
	CHECK(line.head.cpu == 3);
	CHECK(is("sh-8346  [003]   925.856386:   kernel_stack:  x",
		 TRACE_STACK));
	CHECK(is("sh-101     3d..1.   123us : <stack trace>", TRACE_STACK));
	CHECK(is("sh-8346  [003] 925.8: <user stack trace>", TRACE_OTHER));
	CHECK(is("<stack trace>", TRACE_TEXT));
}

TEST(background_work_of_the_allocator)
{
	CHECK(is(HEAD "workqueue_execute_start: work struct 0: function "
		 "pcpu_balance_workfn", TRACE_WORK_START));
	CHECK(is("x 1 [000] 1.0: workqueue:workqueue_execute_start: work "
		 "struct 0: function pcpu_balance_workfn", TRACE_WORK_START));
	CHECK(is(HEAD "workqueue_execute_end: work struct 0: function "
		 "pcpu_balance_workfn", TRACE_WORK_END));
	CHECK(is(HEAD "workqueue_queue_work: function pcpu_balance_workfn",
		 TRACE_OTHER));
	CHECK(is(HEAD "workqueue_execute_start: work struct 0: function x",
		 TRACE_OTHER));
}
