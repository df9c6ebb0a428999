// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_strings.c - texts that are kept once, and the array that grows.
 */
#include "recorded.h"
#include "trace/strings.h"

static struct span span(const char *text)
{
	return (struct span){ text, text + strlen(text) };
}

static const char *get(const struct strings *strings, size_t index)
{
	struct span s = strings_get(strings, index);

	return print("%.*s", (int)span_len(s), s.at);
}

static uint32_t add(struct strings *strings, struct span text)
{
	uint32_t index = TABLE_NONE;

	CHECK(!strings_add(strings, text, &index));
	return index;
}

TEST(texts_are_numbered_in_order_of_appearance)
{
	struct strings strings = { 0 };

	CHECK(add(&strings, span("one")) == 0);
	CHECK(add(&strings, span("two")) == 1);
	CHECK(add(&strings, span("")) == 2);
	CHECK(add(&strings, span("one")) == 0);
	CHECK(add(&strings, span("")) == 2);
	CHECK(add(&strings, span("two")) == 1);
	CHECK(add(&strings, span("three")) == 3);
	CHECK(strings.ends.used == 4);
	CHECK(same(get(&strings, 0), "one") && same(get(&strings, 1), "two"));
	CHECK(same(get(&strings, 2), "") && same(get(&strings, 3), "three"));
	strings_free(&strings);
}

/* a hash takes 8 bytes at a time */
TEST(texts_that_differ_anywhere_are_different)
{
	struct strings strings = { 0 };
	char text[41];
	uint32_t n = 0;

	for (size_t length = 1; length < sizeof(text); length++) {
		for (size_t at = 0; at < length; at++) {
			memset(text, 'a', length);
			text[at] = 'b';
			CHECK(add(&strings, (struct span){
				text, text + length,
			}) == n++);
		}
	}
	for (size_t length = 1, i = 0; length < sizeof(text); length++) {
		for (size_t at = 0; at < length; at++, i++) {
			memset(text, 'a', length);
			text[at] = 'b';
			CHECK(add(&strings, (struct span){
				text, text + length,
			}) == i);
		}
	}
	CHECK(strings.ends.used == n);
	strings_free(&strings);
}

/*
 * Two texts with the same hash: the words cancel each other.  table_hash() can
 * be inverted, so the second word that leads back to the same state is known.
 */
TEST(texts_with_the_same_hash_are_distinguished)
{
	struct strings strings = { 0 };
	uint64_t a[2] = { 1, 2 }, b[2] = { 3, 0 };
	const struct span x = { (char *)a, (char *)(a + 2) };
	const struct span y = { (char *)b, (char *)(b + 2) };

	b[1] = table_hash(16 ^ a[0]) ^ a[1] ^ table_hash(16 ^ b[0]);
	CHECK(add(&strings, x) == 0);
	CHECK(add(&strings, y) == 1);
	CHECK(add(&strings, x) == 0);
	CHECK(add(&strings, y) == 1);
	CHECK(strings.index.used == 2);
	strings_free(&strings);
}

TEST(texts_of_other_lengths_with_the_same_hash_are_distinguished)
{
	struct strings strings = { 0 };
	uint64_t a[2] = { 1, 2 };
	uint64_t b = 8 ^ table_hash(16 ^ a[0]) ^ a[1];
	const struct span x = { (char *)a, (char *)(a + 2) };
	const struct span y = { (char *)&b, (char *)(&b + 1) };

	CHECK(add(&strings, x) == 0);
	CHECK(add(&strings, y) == 1);
	CHECK(add(&strings, x) == 0);
	CHECK(add(&strings, y) == 1);
	strings_free(&strings);
}

/* equal hashes are allowed, but make a search slow */
TEST(the_hashes_of_usual_texts_differ)
{
	struct strings strings = { 0 };
	size_t displaced = 0;

	for (int i = 0; i < 1000; i++)
		add(&strings, span(print("f_%d+0x%x/0x%x", i, i, i)));
	/* of up to 8 bytes, and with such an end */
	for (int i = 0; i < 1000; i++) {
		add(&strings, span(print("%d", i)));
		add(&strings, span(print("percpu_%d", i)));
	}
	/* the key of a text that is alone with its hash is in the index */
	for (size_t i = 0; i < strings.index.size; i++) {
		const struct table_cell *cell = &strings.index.cells[i];

		if (cell->value != TABLE_NONE)
			displaced += table_get(&strings.index, cell->key - 1) !=
				     TABLE_NONE;
	}
	CHECK(strings.index.used == 3000 && !displaced);
	strings_free(&strings);
}

TEST(an_array_grows_and_keeps_its_items)
{
	struct vec vec = { 0 };

	for (uint32_t i = 0; i < 1000; i++) {
		uint32_t *item = vec_add(&vec, 1, sizeof(*item));

		*item = i;
		CHECK(vec.used == i + 1 && vec.room >= vec.used);
	}
	for (uint32_t i = 0; i < 1000; i++)
		CHECK(((uint32_t *)vec.data)[i] == i);
	CHECK(vec.room < 2048);
	free(vec.data);
}

TEST(an_array_of_nothing_has_memory)
{
	struct vec vec = { 0 };

	CHECK(vec_add(&vec, 0, 1) && vec.data && vec.used == 0);
	CHECK(vec_add(&vec, 300, 1) == vec.data && vec.used == 300);
	CHECK(vec_add(&vec, 5, 1) == (char *)vec.data + 300);
	memset(vec.data, 0, 305);
	free(vec.data);
}
