// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bits.c - runs of bits, compared with one bit at a time.
 */
#include <stdlib.h>
#include <string.h>

#include "bitmap/bits.h"
#include "harness.h"

#define BITS	200	/* three words and a part of another */

static uint64_t map[5], other[5];

/* set every bit that a rule chooses; the last word is all ones */
static void set_every(int step)
{
	memset(map, 0, sizeof(map));
	for (int bit = 0; bit < BITS; bit++)
		if (bit % step == 0)
			bits_set_one(map, bit);
	map[4] = ~(uint64_t)0;
}

static bool slow_test(const uint64_t *words, int bit)
{
	return words[bit >> 6] >> (bit & 63) & 1;
}

TEST(a_map_has_whole_words)
{
	CHECK(bits_words(0) == 0);
	CHECK(bits_words(1) == 1);
	CHECK(bits_words(64) == 1);
	CHECK(bits_words(65) == 2);
	CHECK(bits_words(128) == 2);
	CHECK(bits_words(129) == 3);
}

TEST(one_bit_is_set_and_read)
{
	for (int bit = 0; bit < BITS; bit++) {
		memset(map, 0, sizeof(map));
		bits_set_one(map, bit);
		for (int i = 0; i < BITS; i++) {
			CHECK(bits_test(map, i) == (i == bit));
			CHECK(slow_test(map, i) == (i == bit));
		}
		bits_set_one(map, 199 - bit);
		CHECK(bits_test(map, bit) && bits_test(map, 199 - bit));
	}
}

/* for all ranges: the bits of the range change, the others do not */
TEST(a_range_is_set_and_cleared)
{
	for (int start = 0; start <= BITS; start++) {
		for (int end = start; end <= BITS; end++) {
			bool right = true;

			set_every(3);
			memcpy(other, map, sizeof(map));
			bits_fill(map, start, end, true);
			for (int i = 0; i < 5 * 64; i++)
				right &= slow_test(map, i) ==
					 ((i >= start && i < end) ||
					  slow_test(other, i));
			bits_fill(map, start, end, false);
			for (int i = 0; i < 5 * 64; i++)
				right &= slow_test(map, i) ==
					 ((i < start || i >= end) &&
					  slow_test(other, i));
			CHECK(right);
		}
	}
}

static int slow_next(int start, int end, bool value)
{
	while (start < end && slow_test(map, start) != value)
		start++;
	return start;
}

static int slow_last(int start, int end)
{
	do {
		end--;
	} while (end >= start && !slow_test(map, end));
	return end;
}

static void compare_searches(void)
{
	for (int start = 0; start <= BITS; start++) {
		for (int end = start; end <= BITS; end++) {
			CHECK(bits_next(map, start, end, true) ==
			      slow_next(start, end, true));
			CHECK(bits_next(map, start, end, false) ==
			      slow_next(start, end, false));
			CHECK(bits_last_set(map, start, end) ==
			      slow_last(start, end));
		}
	}
}

/* the bits after the range are all ones, those before it vary */
TEST(the_next_and_the_last_bit_of_a_range_are_found)
{
	static const int steps[] = { 1, 2, 3, 63, 64, 65, 130, 500 };

	for (int i = 0; i < 8; i++) {
		set_every(steps[i]);
		compare_searches();
		for (int word = 0; word < 4; word++)
			map[word] = ~map[word];
		compare_searches();
	}
}

/* 2 and 66 are set in both, 1, 65, 67 and 129 in one of them */
TEST(the_last_bit_of_a_range_that_two_maps_have_is_found)
{
	static const uint64_t one[] = { 6, 12, 2 }, two[] = { 4, 6, 0 };

	CHECK(bits_last_both(one, two, 0, 192) == 66);
	CHECK(bits_last_both(two, one, 0, 192) == 66);
	CHECK(bits_last_both(one, two, 66, 192) == 66);
	CHECK(bits_last_both(one, two, 67, 192) == 66);
	CHECK(bits_last_both(one, two, 68, 192) == 67);
	CHECK(bits_last_both(one, two, 0, 66) == 2);
	CHECK(bits_last_both(one, two, 0, 2) == -1);
	CHECK(bits_last_both(one, two, 3, 66) == 2);
}

/* whole words and no more: the sanitizer sees each access after them */
TEST(no_word_after_a_range_is_read)
{
	uint64_t *words = calloc(2, sizeof(*words));

	bits_fill(words, 0, 128, true);
	bits_fill(words, 128, 128, true);
	CHECK(words[0] == ~(uint64_t)0 && words[1] == ~(uint64_t)0);
	CHECK(bits_next(words, 0, 128, false) == 128);
	CHECK(bits_next(words, 128, 128, true) == 128);
	CHECK(bits_last_set(words, 128, 128) == 127);
	free(words);
}

TEST(an_empty_range_has_no_bit)
{
	set_every(1);
	CHECK(bits_next(map, 70, 70, true) == 70);
	CHECK(bits_last_set(map, 70, 70) == 69);
	CHECK(bits_last_set(map, 0, 0) == -1);
}
