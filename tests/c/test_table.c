// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_table.c - the trace reader's hash table, compared with a plain array.
 */
#include <stdlib.h>

#include "harness.h"
#include "pick.h"
#include "trace/table.h"

#define KEYS	500

TEST(an_empty_table_has_no_key)
{
	struct table table = { 0 };

	CHECK(table_get(&table, 0) == TABLE_NONE);
	CHECK(table_get(&table, 42) == TABLE_NONE);
}

TEST(any_key_can_be_stored)
{
	struct table table = { 0 };

	CHECK(table_put(&table, 0, 7));
	CHECK(table_put(&table, UINT64_MAX, 8));
	CHECK(table_get(&table, 0) == 7);
	CHECK(table_get(&table, UINT64_MAX) == 8);
	CHECK(table_get(&table, 1) == TABLE_NONE);
	free(table.cells);
}

TEST(a_key_of_zero_is_not_there_by_itself)
{
	struct table table = { 0 };

	CHECK(table_put(&table, 42, 7));
	CHECK(table_get(&table, 0) == TABLE_NONE);
	free(table.cells);
}

TEST(a_table_doubles_when_it_is_half_full)
{
	struct table table = { 0 };

	for (uint32_t i = 0; i < 600; i++) {
		CHECK(table.used == i);
		CHECK(table_put(&table, i, i));
		CHECK(table.size >= 64 && table.used <= table.size / 2);
		CHECK(table.size == 64 || table.used > table.size / 4);
	}
	for (uint32_t i = 0; i < 600; i++) {
		CHECK(table.used == 600 - i);
		table_del(&table, i);
	}
	CHECK(table.used == 0 && table.size == 2048);
	free(table.cells);
}

/* half full, by theory half a cell on average */
TEST(keys_are_near_the_cell_of_their_hash)
{
	struct table table = { 0 };
	size_t far = 0;

	for (uint32_t i = 0; i < 1000; i++)
		CHECK(table_put(&table, 0x607e00001000u + 4096 * i, i));
	CHECK(table.size == 2048);
	for (size_t i = 0; i < table.size; i++) {
		if (table.cells[i].value != TABLE_NONE)
			far += (i - (size_t)table_hash(table.cells[i].key)) &
			       (table.size - 1);
	}
	CHECK(far < 750);
	free(table.cells);
}

/* the keys differ in a few low bits, so that many share a run of cells */
TEST(random_puts_and_dels_match_an_array)
{
	struct table table = { 0 };
	uint32_t model[KEYS];

	for (int i = 0; i < KEYS; i++)
		model[i] = TABLE_NONE;
	for (int step = 0; step < 50000; step++) {
		/* few live keys, then many: short and long runs */
		uint32_t i = pick(step % 10000 < 5000 ? KEYS / 10 : KEYS);
		uint64_t key = 0x607e00001000u + 8 * (uint64_t)i;

		CHECK(table_get(&table, key) == model[i]);
		if (model[i] == TABLE_NONE) {
			model[i] = (uint32_t)step;
			CHECK(table_put(&table, key, model[i]));
		} else {
			model[i] = TABLE_NONE;
			table_del(&table, key);
		}
		CHECK(table_get(&table, key) == model[i]);
	}
	for (uint64_t i = 0; i < KEYS; i++)
		CHECK(table_get(&table, 0x607e00001000u + 8 * i) == model[i]);
	free(table.cells);
}

/* pointers are multiples of powers of two; 1,024 random keys would hit 647 cells */
TEST(the_hashes_of_multiples_of_any_power_of_two_are_spread)
{
	for (int shift = 0; shift <= 54; shift++) {
		bool hit[1024] = { false };
		int cells = 0;

		for (uint64_t i = 0; i < 1024; i++) {
			uint64_t key = 0x1234560000000000u + (i << shift);
			bool *cell = &hit[table_hash(key) % 1024];

			cells += !*cell;
			*cell = true;
		}
		CHECK(cells > 380);
	}
}

/* the hash of the keys is the last cell: their run continues at the first */
TEST(a_run_across_the_end_survives_a_removal)
{
	struct table table = { 0 };
	uint64_t keys[4], key = 0;
	uint32_t i;

	for (i = 0; i < 4; key++) {
		if ((table_hash(key) & 63) == 63)
			keys[i++] = key;
	}
	for (i = 0; i < 4; i++)
		CHECK(table_put(&table, keys[i], i));
	CHECK(table.size == 64);
	table_del(&table, keys[0]);
	CHECK(table_get(&table, keys[0]) == TABLE_NONE);
	for (i = 1; i < 4; i++)
		CHECK(table_get(&table, keys[i]) == i);
	free(table.cells);
}
