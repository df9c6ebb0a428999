// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_span.c - parts of a text: words, and numbers of at most 64 bits.
 */
#include "harness.h"
#include "trace/span.h"

static struct span span(const char *text)
{
	return (struct span){ text, text + strlen(text) };
}

/* the number that a text begins with; the text that follows, or NULL */
static uint64_t number(const char *text, bool hex, const char **rest)
{
	uint64_t value;

	*rest = span_number(span(text), hex, &value);
	return value;
}

static bool is_decimal(const char *text, uint64_t expected)
{
	uint64_t value;

	return span_decimal(span(text), &value) && value == expected;
}

static bool is_hex(const char *text, uint64_t expected)
{
	uint64_t value;

	return span_hex(span(text), &value) && value == expected;
}

TEST(a_number_ends_at_the_first_other_byte)
{
	const char *rest;

	CHECK(number("42x", false, &rest) == 42 && !strcmp(rest, "x"));
	CHECK(number("0", false, &rest) == 0 && !strcmp(rest, ""));
	CHECK(number("12f,g", true, &rest) == 0x12f && !strcmp(rest, ",g"));
	CHECK(number("9:", false, &rest) == 9 && !strcmp(rest, ":"));
	CHECK(number("9/", false, &rest) == 9 && !strcmp(rest, "/"));
	CHECK(number("9g", true, &rest) == 9 && !strcmp(rest, "g"));
	/* kernels print lower-case digits only */
	CHECK(number("9A", true, &rest) == 9 && !strcmp(rest, "A"));
}

TEST(after_0x_a_number_is_hexadecimal)
{
	const char *rest;

	CHECK(number("0x1f ", false, &rest) == 0x1f && !strcmp(rest, " "));
	CHECK(number("0x1f", true, &rest) == 0x1f && !strcmp(rest, ""));
	number("0x", false, &rest);
	CHECK(!rest);
	number("0xg", true, &rest);
	CHECK(!rest);
}

TEST(without_a_digit_there_is_no_number)
{
	const char *rest;

	number("", false, &rest);
	CHECK(!rest);
	number("", true, &rest);
	CHECK(!rest);
	number("x1", false, &rest);
	CHECK(!rest);
	number(" 1", true, &rest);
	CHECK(!rest);
	number("-1", false, &rest);
	CHECK(!rest);
}

TEST(all_hexadecimal_digits_are_read)
{
	CHECK(is_hex("0123456789abcdef", 0x0123456789abcdef));
	CHECK(is_hex("fedcba9876543210", 0xfedcba9876543210));
	CHECK(is_hex("0000000046c20d6d", 0x46c20d6d));
	CHECK(is_hex("00000000", 0));
	CHECK(is_hex("0000000f", 15));
	CHECK(is_hex("00000000f", 15));
	CHECK(is_hex("ffffffffffffffff", UINT64_MAX));
	CHECK(!is_hex("0ffffffffffffffff", UINT64_MAX));
	CHECK(!is_hex("00000000000000001", 1));
	CHECK(!is_hex("1x", 1) && !is_hex("", 0));
}

TEST(a_decimal_number_has_at_most_64_bits)
{
	CHECK(is_decimal("0", 0));
	CHECK(is_decimal("0123456789", 123456789));
	CHECK(is_decimal("123456789012345678", 123456789012345678));
	CHECK(is_decimal("1234567890123456789", 1234567890123456789));
	CHECK(is_decimal("18446744073709551615", UINT64_MAX));
	CHECK(is_decimal("00000000000000000000000018", 18));
	CHECK(!is_decimal("18446744073709551616", 0));
	CHECK(!is_decimal("18446744073709551620", 4));
	CHECK(!is_decimal("184467440737095516150", 0));
	CHECK(!is_decimal("99999999999999999999", 0));
	CHECK(!is_decimal("1 ", 1) && !is_decimal("", 0) && !is_decimal("a", 0));
}

/* a number ends where its span does, although more digits follow */
TEST(what_is_after_the_span_is_not_read)
{
	const char *text = "123456789012345678901234567890";
	uint64_t value;

	CHECK(span_decimal((struct span){ text, text + 3 }, &value));
	CHECK(value == 123);
	CHECK(span_decimal((struct span){ text, text + 19 }, &value));
	CHECK(value == 1234567890123456789);
	CHECK(span_hex((struct span){ text, text + 4 }, &value));
	CHECK(value == 0x1234);
	CHECK(!span_starts((struct span){ text, text + 2 }, "123"));
	CHECK(!span_ends((struct span){ text + 1, text + 3 }, "123"));
}

TEST(a_number_is_found_after_a_text)
{
	struct span s = span("a #P: 1 #P:64 #P:2");
	uint64_t value;

	/* the first place counts */
	CHECK(!span_number_after(s, "#P:", &value));
	CHECK(!strcmp(span_number_after(s, "1 #P:", &value), " #P:2"));
	CHECK(value == 64);
	CHECK(!span_number_after(s, "#Q:", &value));
	CHECK(!span_number_after(span(""), "#P:", &value));
	CHECK(!strcmp(span_after(s, "#P"), ": 1 #P:64 #P:2"));
	CHECK(!span_after(s, "#P:64  "));
}

TEST(a_span_is_compared_with_a_text)
{
	struct span s = span("percpu");

	CHECK(span_starts(s, "") && span_starts(s, "per"));
	CHECK(span_starts(s, "percpu") && !span_starts(s, "percpu:"));
	CHECK(!span_starts(s, "cpu"));
	CHECK(span_ends(s, "") && span_ends(s, "cpu"));
	CHECK(span_ends(s, "percpu") && !span_ends(s, " percpu"));
	CHECK(!span_ends(s, "per"));
	CHECK(span_is(s, "percpu") && !span_is(s, "perc"));
	CHECK(!span_is(s, "percpu1") && !span_is(s, "percpx"));
	CHECK(span_len(s) == 6 && span_len(span("")) == 0);
}

static bool reads(struct span s, const char *text)
{
	return span_is(s, text);
}

TEST(blanks_tabs_and_carriage_returns_are_trimmed)
{
	CHECK(reads(span_trim(span(" \t\r a b \t\r ")), "a b"));
	CHECK(reads(span_trim_end(span(" a b \t\r ")), " a b"));
	CHECK(reads(span_trim(span(" \t ")), ""));
	CHECK(reads(span_trim(span("")), ""));
	CHECK(reads(span_trim(span("\n")), "\n"));
}

TEST(words_are_cut_off_from_the_end)
{
	struct span s = span("  one\ttwo  three \r");

	CHECK(reads(span_cut_last(&s), "three") && reads(s, "  one\ttwo  "));
	CHECK(reads(span_cut_last(&s), "two") && reads(s, "  one\t"));
	CHECK(reads(span_cut_last(&s), "one") && reads(s, "  "));
	CHECK(reads(span_cut_last(&s), "") && reads(s, ""));
	CHECK(reads(span_cut_last(&s), "") && reads(s, ""));
}

TEST(blanks_commas_and_parentheses_end_a_text_quotes_a_word_too)
{
	for (int c = 0; c < 256; c++) {
		CHECK(ends_text((char)c) == (c && strchr(" \t\r,)", c)));
		CHECK(ends_word((char)c) ==
		      (c && strchr(" \t\r,)\"'`;<\\\033", c)));
	}
}
