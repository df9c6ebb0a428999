// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mend.c - what mail and logs do to lines is undone.
 */
#include "recorded.h"
#include "trace/mend.h"

static struct span span(const char *text)
{
	return (struct span){ text, text + strlen(text) };
}

/* a text in a buffer of exactly its size, so that ASan sees what is read */
static struct span exact(const char *text)
{
	size_t n = strlen(text);
	char *copy = malloc(n + !n);

	memcpy(copy, text, n);
	return (struct span){ copy, copy + n };
}

static void free_text(struct span s)
{
	free((char *)(uintptr_t)s.at);
}

static bool continues(const char *line, const char *next)
{
	struct span a = exact(line), b = exact(next);
	bool result = mend_continues(a, b);

	free_text(a);
	free_text(b);
	return result;
}

static const char *joined(const char *line, const char *next)
{
	struct vec text = { 0 };
	const char *result;

	memcpy(vec_add(&text, strlen(line), 1), line, strlen(line));
	CHECK(mend_join(&text, span(next)));
	result = print("%.*s", (int)text.used, (char *)text.data);
	free(text.data);
	return result;
}

/* what mend makes of a text, in a buffer of exactly its size */
static const char *mended(struct span (*mend)(struct span line, char *room),
			  const char *text)
{
	size_t n = strlen(text);
	char *room = malloc(n + !n), *copy = malloc(n + !n);
	const char *result;
	struct span s;

	memcpy(copy, text, n);
	s = mend((struct span){ copy, copy + n }, room);
	CHECK(s.at == room && span_len(s) <= n);
	result = print("%.*s", (int)span_len(s), s.at);
	free(room);
	/* it may be done in place */
	s = mend((struct span){ copy, copy + n }, copy);
	CHECK(same(print("%.*s", (int)span_len(s), s.at), result));
	free(copy);
	return result;
}

TEST(a_line_that_begins_with_a_field_continues_the_one_before)
{
	static const char *const names[] = {
		"call_site", "reserved", "is_atomic", "size", "align",
		"base_addr", "off", "ptr", "bytes_alloc", "gfp_flags",
	};

	for (size_t i = 0; i < COUNT(names); i++) {
		CHECK(continues("x", print("%s=1", names[i])));
		CHECK(continues("", print("%s: 1", names[i])));
		CHECK(!continues("x", names[i]));
		CHECK(!continues("x", print("%s 1", names[i])));
		CHECK(!continues("x", print("%sx=1", names[i])));
		CHECK(!continues("x", print("x%s=1", names[i])));
	}
	CHECK(!continues("x", "") && !continues("x", "=") &&
	      !continues("x", ":") && !continues("x", "sh-1 [000] 1.0: x"));
}

TEST(the_rest_of_a_line_may_be_indented_and_quoted)
{
	CHECK(continues("x", "   ptr=1") && continues("x", "\tptr=1"));
	CHECK(continues("x", "> ptr=1") && continues("x", ">>  > \tptr=1"));
	CHECK(continues("x", "       ptr=1"));
	/* as far in as ftrace prints a task */
	CHECK(!continues("x", "        ptr=1"));
	CHECK(!continues("x", "       ") && !continues("x", "        "));
	CHECK(!continues("x", ">") && !continues("x", "> x"));
}

/* ftrace's option fields has blanks before "(16)", and verbose before a delay */
TEST(a_number_in_parentheses_continues_a_line)
{
	CHECK(continues("size=0x10", "(16) align=0x8 (8)"));
	CHECK(continues("call_site=f+0x1/0x2", "> (-2127182265) reserved=(0)"));
	CHECK(continues("[892cdc61f] 17.146ms", "(+0.002ms): percpu_free_percpu:"));
	CHECK(continues("x", "(1)") && !continues("x", "(1"));
	CHECK(!continues("x", "(a)") && !continues("x", "(-)"));
	CHECK(!continues("x", "1)") && !continues("x", "()"));
}

/* a mailer breaks a line at a blank, which may be before the event's name */
TEST(the_name_of_an_event_continues_a_head)
{
	CHECK(continues("bash-1 [000] 1.0: ", "percpu_free_percpu: ptr=1"));
	CHECK(continues("x 1 [000] 1.0:", "> percpu:percpu_free_percpu: ptr=1"));
	CHECK(!continues("bash-1 [000] 1.0", "percpu_free_percpu: ptr=1"));
	CHECK(!continues("", "percpu_free_percpu: ptr=1"));
	CHECK(!continues("x:", "ercpu_free_percpu: ptr=1"));
}

TEST(an_equals_sign_at_the_end_is_a_soft_break_of_quoted_printable)
{
	CHECK(continues("call_=", "site=3Df"));
	CHECK(continues("size=3D1=", "6"));
	CHECK(continues("size=3D1=", "                16"));
	CHECK(!continues("is_atomic=", "x-1 [000] 1.0: x"));
	CHECK(!continues("size=3D1", "6") && !continues("", "x=3D"));
	/* lines of a saved mail may end with a carriage return */
	CHECK(continues("call_=\r", "site=3Df\r"));
	CHECK(continues("call_= ", "site=3Df"));
	/* perf trace prints no equals signs: the length of the line shows it */
	CHECK(!continues(print("%69s", "="), "x"));
	CHECK(continues(print("%70s", "="), "x"));
	CHECK(continues(print("%200s\r", "="), "x"));	/* of several */
	CHECK(!continues(print("%76s", ";"), "x"));
	CHECK(!continues(print("%76s", "call_site="), "f+0x1/0x2 size=8"));
	CHECK(continues(print("%76s", "size="), ": 8, align: 8"));
}

/* perf trace has a blank before each value, and after the task */
TEST(lines_of_perf_trace_are_broken_at_any_blank)
{
	static const char head[] = "     0.027 kworker/0:1/7";

	CHECK(continues("0.1 sh/7 percpu:percpu_free_percpu(off: 1, ptr:", "0x1)"));
	CHECK(continues("0.1 sh/7 percpu:percpu_free_percpu(base_addr:", "0x1,"));
	CHECK(continues("> align: 4, base_addr: ", "> 0xffffe8ffffc00000, off: 8"));
	CHECK(continues("size:", "16,"));
	CHECK(!continues("sizes:", "16,") && !continues("", "16,"));
	CHECK(!continues("size: 1,", "16,") && !continues("size", "16,"));
	CHECK(!continues("Dear all:", "16,") && !continues("x(y:", "16,"));

	CHECK(continues(head, "percpu:percpu_free_percpu(ptr: 1)"));
	CHECK(continues("> 0.027 sh/7 \r", "> percpu:percpu_free_percpu(ptr: 1)"));
	CHECK(!continues(head, "percpu_free_percpu: ptr=1"));
	CHECK(!continues("0.027 sh/7x", "percpu:percpu_free_percpu(ptr: 1)"));
	CHECK(!continues("x 7", "percpu:percpu_free_percpu(ptr: 1)"));
	CHECK(!continues("1 percpu:percpu_free_percpu: ptr=1",
			 "percpu:percpu_free_percpu: ptr=2"));
	CHECK(!continues(">", "percpu:percpu_free_percpu(ptr: 1)"));
}

TEST(parts_of_a_line_are_joined)
{
	CHECK(same(joined("a b", "ptr=1"), "a b ptr=1"));
	CHECK(same(joined("a b", "> >\t ptr=1 >"), "a b ptr=1 >"));
	CHECK(same(joined("size=3D1=", " 6"), "size=3D1 6"));
	CHECK(same(joined("is_atomic=", "ptr=1"), "is_atomic= ptr=1"));
	CHECK(same(joined("call_=", "site=3Df"), "call_site=3Df"));
	CHECK(same(joined("call_= \r", "site=3Df"), "call_site=3Df"));
	CHECK(same(joined("size:", "> 16,"), "size: 16,"));
}

TEST(the_marks_of_a_quoted_mail_are_cut_off)
{
	static const char *const lines[][2] = {
		{ "> x", "x" }, { ">x", "x" }, { "> > x", "x" }, { ">>x", "x" },
		{ ">  => f", " => f" }, { ">\tf (x)", "\tf (x)" }, { ">", "" },
		{ "=> f", "=> f" }, { " > x", " > x" }, { "", "" }, { "> ", "" },
		{ "x > y", "x > y" },
	};

	for (size_t i = 0; i < COUNT(lines); i++) {
		struct span line = exact(lines[i][0]), s = mend_unquote(line);

		CHECK(same(print("%.*s", (int)span_len(s), s.at), lines[i][1]));
		free_text(line);
	}
}

TEST(the_line_of_a_log_in_json)
{
	CHECK(same(mended(mend_json, "{\"log\":\"a b\\n\",\"time\":\"x\"}"),
		   "a b "));
	CHECK(same(mended(mend_json, "{\"t\": \"x\", \"log\":  \"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"X\": 1, \"MESSAGE\": \"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"message\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"msg\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"line\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"text\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"textPayload\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"body\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"event\":{\"original\":\"a\"}}"), "a"));
	CHECK(same(mended(mend_json, "{\"@message\":\"a\"}"), "a"));
	CHECK(same(mended(mend_json, "{\"_raw\":\"a\"}"), "a"));
	/* one that is cut */
	CHECK(same(mended(mend_json, "{\"log\":\"a"), "a"));
	CHECK(same(mended(mend_json, "{\"log\":\"a\\"), "a\\"));
	CHECK(same(mended(mend_json, "{\"log\":\"\\u0041"), "A"));
	CHECK(same(mended(mend_json, "{\"log\":\"\\u1"), " 1"));
	CHECK(same(mended(mend_json, "{\"log\":\"\\u123"), " 123"));
	CHECK(same(mended(mend_json, "{\"log\":"), "{ log :"));
	/* of any other key */
	CHECK(same(mended(mend_json, "{\"lines\": \"a\\tb\"}"),
		   "{ lines :  a b }"));
	CHECK(same(mended(mend_json, "{"), "{"));
	CHECK(same(mended(mend_json, ""), ""));
}

static const char *unescaped_of(const char *text)
{
	return mended(mend_json, print("{\"log\":\"%s\"", text));
}

TEST(escapes_of_json)
{
	CHECK(same(unescaped_of("a\\\"b\\\\c\\/d"), "a\"b\\c/d"));
	CHECK(same(unescaped_of("a\\nb\\tc\\rd\\be\\ff"), "a b c d e f"));
	CHECK(same(unescaped_of("\\u003d\\u003e \\u0041"), "=> A"));
	/* no control character, no other than ASCII */
	CHECK(same(unescaped_of("\\u0000\\u000a\\u001f\\u0020\\u007f"),
		   "    \x7f"));
	CHECK(same(unescaped_of("\\u0080\\u00e9\\uffff"), "???"));
	CHECK(same(unescaped_of("\\u00g0\\u12"), " 00g0 12"));
	CHECK(same(unescaped_of("\xc3\xa9"), "\xc3\xa9"));
}

TEST(escapes_of_quoted_printable)
{
	CHECK(mend_is_quoted_printable(span("size=3D16")));
	CHECK(!mend_is_quoted_printable(span("size=3d16")));
	CHECK(!mend_is_quoted_printable(span("=3")));
	CHECK(same(mended(mend_quoted_printable, "size=3D16 a=20b"),
		   "size=16 a b"));
	CHECK(same(mended(mend_quoted_printable, "=3E=7e=7E=C3=A9=FF"),
		   ">=7e~\xc3\xa9\xff"));
	CHECK(same(mended(mend_quoted_printable, "=00=0A=1F=20"), "    "));
	CHECK(same(mended(mend_quoted_printable, "=3G=G3=3==3"), "=3G=G3=3==3"));
	CHECK(same(mended(mend_quoted_printable, "x=3D"), "x="));
	CHECK(same(mended(mend_quoted_printable, ""), ""));
}

/* --- as the reader uses them */

TEST(a_line_that_a_mailer_broke_is_one)
{
	CHECK(!read_text("mkdir-40  [001]   169.300000: percpu_alloc_percpu:\n"
			 " call_site=f+0xa6 reserved=0 is_atomic=0 size=2408\n"
			 "> align=8 base_addr=0xffffc70000c00000 off=402176\n"
			 "   ptr=0x3dc000a62300 bytes_alloc=14448\n"
			 FREE_LINE
			 "mkdir-40  [001]   169.400000:\n"
			 "percpu_free_percpu: base_addr=0xffffc70000c00000\n"
			 "ptr=0x3dc000a62300\n"));
	CHECK(rows.n == 3 && op_is(0, 0x3dc000a62300, 0, 0));
	CHECK(same(request(0), "2408/8 f+0xa6 "));
	CHECK(op_is(2, 0x3dc000a62300, 0, PCPU_OP_FREE));
	CHECK(rows.times[2] == 169400000000);
	CHECK(stats.lines == 8 && stats.events == 3);
	CHECK(!other_skips(PCPU_NR_SKIPS));
	done();
}

TEST(a_broken_line_of_perf_trace_is_one)
{
	CHECK(!read_text("0.027 kworker/0:1/7\n"
			 "percpu:percpu_alloc_percpu(call_site:\n"
			 "-2117597577, size: 16,\nalign: 4, base_addr:\n"
			 "0xffffe8ffffc00000, off: 109040, ptr:\n"
			 "0x60795bb119f0, bytes_alloc: 64)\n"));
	CHECK(rows.n == 1 && op_is(0, 0x60795bb119f0, 0, 0));
	CHECK(same(request(0), "16/4 -2117597577 "));
	CHECK(rows.times[0] == 27000 && same(task(rows.tasks[0]), "kworker/0:1-7"));
	CHECK(!other_skips(PCPU_NR_SKIPS));
	done();
}

TEST(errors_name_the_first_part_of_a_broken_line)
{
	CHECK(!read_text("\n" FT_FREE "\noff=1\nptr=x\n" FREE_LINE
			 FT_FREE "\nptr=y\n"));
	CHECK(skip_is(PCPU_SKIP_DAMAGED, 2, 2,
		      "bash-2090    [001] ..... 522.644762: "
		      "percpu_free_percpu:  off=1 ptr=x", "ptr"));
	CHECK(stats.lines == 7 && stats.frees == 1);
	done();
}

TEST(a_byte_order_mark_is_skipped)
{
	CHECK(!read_text("\xef\xbb\xbf# #P:7\n"));
	CHECK(stats.cpus == 7 && !other_skips(PCPU_NR_SKIPS));
	CHECK(!read_text("\xef\xbb\xbfsh-1 [000] 5.5: percpu_free_percpu: "
			 "ptr=1\n"));
	CHECK(same(task(rows.tasks[0]), "sh-1"));
	done();
}

TEST(a_quoted_mail_is_read)
{
	CHECK(!read_text("> # tracer: nop\n> " ALLOC_LINE
			 "> " FT(0, 5.5) "<stack trace>\n"
			 ">  => f\n>> " FREE_LINE));
	CHECK(rows.n == 2 && nr_stacks_of == 1);
	CHECK(same(task(rows.tasks[0]), "bash-2090"));
	CHECK(!other_skips(PCPU_NR_SKIPS));
	done();
}

TEST(a_quoted_printable_mail_is_read)
{
	CHECK(!read_text("   sh-101   [000] 10.0: percpu_alloc_percpu: call_=\n"
			 "site=3Df+0x1f size=3D16 align=3D8 ptr=3D0000000000001=\n"
			 "000 bytes_alloc=3D64\n"
			 " =3D> g\n"
			 "   sh-101   [000] 10.2: percpu_free_percpu: base_a=\n"
			 "ddr=3D00000000aa11bb22 ptr=3D0000000000001000\n"
			 "   sh-101   [000] 10.2: percpu_free_percpu: ptr=x\n"
			 /* a line without escapes stays as it is */
			 "   sh-101   [000] 10.2: percpu_free_percpu: ptr=1000\n"));
	CHECK(rows.n == 3 && same(request(0), "16/8 f+0x1f "));
	CHECK(op_is(1, 0x1000, 0, PCPU_OP_FREE));
	CHECK(op_is(2, 0x1000, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(nr_stacks_of == 1 && same(stack(0), "g"));
	CHECK(!other_skips(PCPU_SKIP_DAMAGED) && stats.lines == 8);
	done();
}

/* the first event shows that the text is escaped, by any of its fields */
TEST(escapes_of_a_mail_are_found_in_any_event)
{
	CHECK(!read_text("percpu_free_percpu: ptr=3D1000\n"));
	CHECK(op_is(0, 0x1000, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(!read_text("percpu_alloc_percpu: reserved=3D0 is_atomic=3D1 "
			 "size=3D8 align=3D8 ptr=3D1\n"));
	CHECK(same(request(0), "8/8 atomic  "));
	/* here nothing is escaped: the site is a number, as of trace-cmd */
	CHECK(!read_text("percpu_free_percpu: ptr=x\n"
			 "percpu_alloc_percpu: call_site=3Df size=8 align=8 "
			 "ptr=1\n"));
	CHECK(same(request(0), "8/8 3Df "));
	CHECK(!read_text("percpu_free_percpu: ptr=3D1000\n"
			 "percpu_free_percpu: ptr=3D3D1\n"));
	CHECK(rows.n == 1 && skipped(PCPU_SKIP_DAMAGED).line == 2);
	done();
}

TEST(a_log_in_json_is_read)
{
	CHECK(!read_text("{\"log\":\"sh-1 [000] 1.0: percpu_free_percpu: "
			 "ptr=a\\n\",\"time\":\"x\"}\n"
			 "{\"log\":\" =\\u003e f\\n\"}\n"
			 /* and quoted-printable too, for all I know */
			 "{\"log\":\"sh-1 [000] 1.0: percpu_free_percpu: "
			 "ptr=3Da\"}\n"));
	CHECK(rows.n == 2 && op_is(1, 0xa, PCPU_OP_ORPHAN, PCPU_OP_FREE));
	CHECK(same(task(rows.tasks[0]), "sh-1") && same(stack(0), "f"));
	CHECK(!other_skips(PCPU_NR_SKIPS));
	done();
}

/* the fuzzer found one that was continued only if it was read as a whole */
TEST(a_long_line_continues_none)
{
	enum { LONG = 4097 };
	char text[2 * LONG];
	size_t n;

	for (size_t piece = 1; piece <= sizeof(text); piece += LONG) {
		n = (size_t)sprintf(text, "percpu_free_percpu:\nptr=1 ");
		memset(text + n, 'x', LONG);
		memcpy(text + n + LONG - 7, "\n", 2);
		CHECK(!read_pieces(0, text, strlen(text), piece));
		CHECK(rows.n == 1);
		memcpy(text + n + LONG - 7, "x\n", 3);
		CHECK(!read_pieces(0, text, strlen(text), piece));
		CHECK(rows.n == 0);
		/* the same of the first line */
		n = (size_t)sprintf(text, "percpu_free_percpu: ");
		memset(text + n, 'x', LONG);
		memcpy(text + LONG - 1, "\nptr=1\n", 8);
		CHECK(!read_pieces(0, text, strlen(text), piece));
		CHECK(rows.n == 1);
		memcpy(text + LONG - 1, "x\nptr=1\n", 9);
		CHECK(!read_pieces(0, text, strlen(text), piece));
		CHECK(rows.n == 0);
	}
	done();
}

/* a wrapped event has up to 4 KiB: what comes then is a line of its own */
TEST(a_line_is_not_continued_forever)
{
	static char text[40000];
	char *at = text + sprintf(text, FREE_LINE);

	for (int i = 0; i < 2000; i++)
		at += sprintf(at, "size=%04d\n", i);
	CHECK(!read_text(text));
	CHECK(stats.lines == 2001 && stats.frees == 1);
	/* the first line, of 89 bytes, is joined with 401 of 10 bytes */
	CHECK(skipped(PCPU_SKIP_TEXT).line == 403);
	CHECK(!other_skips(PCPU_SKIP_TEXT));
	done();
}
