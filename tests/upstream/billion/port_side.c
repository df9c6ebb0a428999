// SPDX-License-Identifier: GPL-2.0-only
/*
 * port_side.c - how the chunks of the port are read.
 */
#include "area_map/area_map.h"
#include "side.h"

/**
 * port_table - read all chunks
 * @ptr: a per-CPU pointer
 * @table: set to the chunks, and to the one that covers @ptr
 *
 * Return: false if there are too many.
 */
bool port_table(struct pcpu *pcpu, int64_t ptr, struct table *table)
{
	struct list_head *pos;
	int slot;

	table->nr = 0;
	table->covering = -1;
	for (slot = 0; slot < pcpu->geo.nr_slots; slot++) {
		list_for_each(pos, &pcpu->slots[slot]) {
			const struct pcpu_chunk *chunk =
				list_entry(pos, struct pcpu_chunk, list);
			struct pcpu_chunk_info info;

			if (table->nr == MAX_CHUNKS)
				return false;
			area_map_describe(chunk, &info, NULL);
			if ((uint64_t)ptr - chunk->addr <
			    (uint64_t)pcpu->geo.chunk_size)
				table->covering = table->nr;
			table->chunks[table->nr] = chunk;
			table->rows[table->nr++] = (struct row){
				.id = chunk->id,
				.address = (int64_t)chunk->addr,
				.slot = slot,
				.free_size = (int32_t)info.free_size,
				.contig_hint = (int32_t)info.contig_hint,
				.map_alloc = (int32_t)info.map_alloc,
				.map_used = (int32_t)info.map_used,
				.immutable = chunk->immutable,
			};
		}
	}
	return true;
}

/**
 * port_map - read the map of a chunk
 * @chunk: from port_table()
 * @sizes: room for its map_used entries
 */
void port_map(const void *chunk, int *sizes)
{
	struct pcpu_chunk_info info;

	area_map_describe(chunk, &info, sizes);
}

/**
 * port_populated - return the populated pages of a chunk
 * @chunk: from port_table()
 *
 * Return: for each page of a unit, the number of CPUs that hold it.
 */
const uint32_t *port_populated(const void *chunk)
{
	return ((const struct pcpu_chunk *)chunk)->populated;
}
