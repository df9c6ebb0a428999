// SPDX-License-Identifier: GPL-2.0-only
/*
 * witness_side.c - the witness, and how its chunks are read.
 *
 * The state of the 2009 file is static, so the witness is included here.
 */
#include "witness.c"

#include "side.h"

/**
 * witness_table - read all chunks
 * @ptr: a per-CPU pointer
 * @table: set to the chunks, and to the one that covers @ptr
 *
 * Return: false if there are too many.
 */
bool witness_table(int64_t ptr, struct table *table)
{
	uint64_t chunk_size = (uint64_t)pcpu_unit_size * fakes.cpus;
	int slot;

	table->nr = 0;
	table->covering = -1;
	for (slot = 0; slot < pcpu_nr_slots; slot++) {
		struct list_head *head = &pcpu_slot[slot];
		struct list_head *link;

		for (link = head->next; link != head; link = link->next) {
			struct pcpu_chunk *chunk =
				container_of(link, struct pcpu_chunk, list);
			uint64_t address = (uint64_t)chunk->vm->addr -
					   fakes.pointer_zero;

			if (table->nr == MAX_CHUNKS)
				return false;
			if ((uint64_t)ptr - address < chunk_size)
				table->covering = table->nr;
			table->chunks[table->nr] = chunk;
			table->rows[table->nr++] = (struct row){
				.id = chunk->vm->ordinal,
				.address = (int64_t)address,
				.slot = slot,
				.free_size = chunk->free_size,
				.contig_hint = chunk->contig_hint,
				.map_alloc = chunk->map_alloc,
				.map_used = chunk->map_used,
				.immutable = chunk->immutable,
			};
		}
	}
	return true;
}

/**
 * witness_map - return the map of a chunk
 * @chunk: from witness_table()
 */
const int *witness_map(const void *chunk)
{
	return ((const struct pcpu_chunk *)chunk)->map;
}

/**
 * witness_has_pages - compare populated pages of a chunk
 * @chunk: from witness_table()
 * @first: first page of a unit
 * @nr: how many pages
 * @populated: for each of them, the number of CPUs that should hold it
 * @exact: whether a page that no CPU holds is a difference
 */
bool witness_has_pages(const void *chunk, int first, int nr,
		       const uint32_t *populated, bool exact)
{
	const struct pcpu_chunk *self = chunk;
	int i;

	for (i = 0; i < nr; i++) {
		struct page *const *frame = self->page + first + i;
		uint32_t holders = 0;
		unsigned int cpu;

		for (cpu = 0; cpu < fakes.cpus; cpu++)
			holders += frame[cpu * (unsigned int)pcpu_unit_pages] !=
				   NULL;
		if (holders != populated[i] && (exact || holders))
			return false;
	}
	return true;
}

/* number of the lists of chunks */
int witness_slots(void)
{
	return pcpu_nr_slots;
}

/* pages of a unit */
int witness_unit_pages(void)
{
	return pcpu_unit_pages;
}

/* chunks in the address tree */
int64_t witness_tree_size(void)
{
	return chunks_in_tree();
}

/* chunks created since set-up, the first one not counted */
int64_t witness_created(void)
{
	return fakes.areas_created;
}
