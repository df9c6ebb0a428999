// SPDX-License-Identifier: GPL-2.0-only
/*
 * table.c - a hash table from 64-bit keys to 32-bit values.
 *
 * Open addressing, linear probing, at most half full.  Removal moves later
 * cells of the same run back into the gap, so there are no tombstones.
 */
#include "table.h"

#include <stdlib.h>

#include "../compiler.h"

static size_t home(const struct table *table, uint64_t key)
{
	return (size_t)table_hash(key) & (table->size - 1);
}

/* the cell of @key, or the empty one where it belongs */
static size_t find_cell(const struct table *table, uint64_t key)
{
	size_t i = home(table, key);

	while (table->cells[i].value != TABLE_NONE &&
	       table->cells[i].key != key)
		i = (i + 1) & (table->size - 1);
	return i;
}

/**
 * table_find - look a key up, to change its value
 * @key: the key
 *
 * Return: its value, valid until the next insert or removal; or NULL.
 */
uint32_t *table_find(const struct table *table, uint64_t key)
{
	struct table_cell *cell;

	if (!table->cells)
		return NULL;
	cell = &table->cells[find_cell(table, key)];
	return cell->value == TABLE_NONE ? NULL : &cell->value;
}

/**
 * table_get - look a key up
 * @key: the key
 *
 * Return: its value or TABLE_NONE.
 */
uint32_t table_get(const struct table *table, uint64_t key)
{
	const uint32_t *value = table_find(table, key);

	return value ? *value : TABLE_NONE;
}

static __cold bool grow(struct table *table)
{
	struct table new = {
		.size = table->size ? table->size * 2 : 64,
		.used = table->used,
	};
	size_t i;

	new.cells = malloc(new.size * sizeof(*new.cells));
	if (!new.cells)
		return false;
	for (i = 0; i < new.size; i++)
		new.cells[i].value = TABLE_NONE;
	for (i = 0; i < table->size; i++) {
		if (table->cells[i].value != TABLE_NONE)
			new.cells[find_cell(&new, table->cells[i].key)] =
				table->cells[i];
	}
	free(table->cells);
	*table = new;
	return true;
}

/**
 * table_put - insert a key that is not there
 * @key: the key
 * @value: not TABLE_NONE
 *
 * Return: false when the host has no memory.
 */
bool table_put(struct table *table, uint64_t key, uint32_t value)
{
	size_t i;

	if (table->used >= table->size / 2 && !grow(table))
		return false;
	i = find_cell(table, key);
	table->cells[i].key = key;
	table->cells[i].value = value;
	table->used++;
	return true;
}

/**
 * table_del - remove a key that is there
 * @key: the key
 */
void table_del(struct table *table, uint64_t key)
{
	size_t mask = table->size - 1;
	size_t gap = find_cell(table, key);
	size_t i;

	for (i = (gap + 1) & mask; table->cells[i].value != TABLE_NONE;
	     i = (i + 1) & mask) {
		size_t start = home(table, table->cells[i].key);

		/* a cell may move back as far as its home */
		if (((i - start) & mask) >= ((i - gap) & mask)) {
			table->cells[gap] = table->cells[i];
			gap = i;
		}
	}
	table->cells[gap].value = TABLE_NONE;
	table->used--;
}
