/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * table.h - a hash table from 64-bit keys to 32-bit values.
 */
#ifndef PCPU_TRACE_TABLE_H
#define PCPU_TRACE_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TABLE_NONE	0xffffffffu	/* as a value: no such key */

struct table_cell {
	uint64_t key;		/* the key */
	uint32_t value;		/* TABLE_NONE: the cell is empty */
};

struct table {
	struct table_cell *cells; /* NULL before the first insert */
	size_t size;		/* cells, a power of two */
	size_t used;		/* keys */
};

uint32_t *table_find(const struct table *table, uint64_t key);

uint32_t table_get(const struct table *table, uint64_t key);

bool table_put(struct table *table, uint64_t key, uint32_t value);

void table_del(struct table *table, uint64_t key);

/**
 * table_hash - mix the bits of a key
 * @key: the key
 *
 * Return: its hash.
 */
static inline uint64_t table_hash(uint64_t key)
{
	key ^= key >> 32;
	key *= 0x9e3779b97f4a7c15u;
	return key ^ key >> 29;
}

#endif /* PCPU_TRACE_TABLE_H */
