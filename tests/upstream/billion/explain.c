// SPDX-License-Identifier: GPL-2.0-only
/*
 * explain.c - print a difference, and the chunks of both sides.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pair.h"

static const char *const sides[] = { "port", "witness" };

const char *const work_names[NR_WORK_COUNTS] = {
	"operations", "slots_visited", "chunks_visited", "entries_scanned",
	"entries_moved", "bytes_moved", "map_reallocations", "tree_steps",
	"pages_populated", "pages_depopulated",
};

static void explain_number(const char *what, const char *name, uint64_t port,
			   uint64_t witness, FILE *out)
{
	if (port != witness)
		fprintf(out, "  %s %s: port %" PRIu64 ", witness %" PRIu64 "\n",
			what, name, port, witness);
}

static void explain_counts(const struct view *port, const struct view *witness,
			   FILE *out)
{
	static const char *const calls[] = { "work of alloc", "work of free" };
	size_t i, call;

	for (i = 0; i < PCPU_NR_SERVICES; i++)
		explain_number("calls of", pcpu_service_name((int)i),
			       port->calls[i], witness->calls[i], out);
	for (call = 0; call < 2; call++) {
		uint64_t ours[NR_WORK_COUNTS], theirs[NR_WORK_COUNTS];

		memcpy(ours, &port->work[call], sizeof(ours));
		memcpy(theirs, &witness->work[call], sizeof(theirs));
		for (i = 0; i < NR_WORK_COUNTS; i++)
			explain_number(calls[call], work_names[i],
				       ours[i], theirs[i], out);
	}
}

static void print_map(const int *map, int nr, FILE *out)
{
	int i;

	for (i = 0; i < nr; i++)
		fprintf(out, " %+d", map[i]);
}

/* runs of pages that are held by the same number of CPUs */
static void print_pages(const uint32_t *populated, int nr, FILE *out)
{
	int start, end;

	for (start = 0; start < nr; start = end) {
		for (end = start + 1; end < nr; end++)
			if (populated[end] != populated[start])
				break;
		fprintf(out, " %" PRIu32 "x%d", populated[start], end - start);
	}
}

static void print_chunk(const struct pair *pair, enum side side, int index,
			FILE *out)
{
	const struct table *table = &pair->views[side].table;
	const struct row *row = &table->rows[index];
	const void *chunk = table->chunks[index];
	int unit_pages = (int)(pair->info.unit_size >> pair->page_shift);
	int *map = NULL;

	fprintf(out, "%-8schunk %" PRId64 " at %#" PRIx64 ", slot %d: free %d, "
		"hint %d, map %d of %d%s\n       ", sides[side], row->id,
		(uint64_t)row->address, row->slot, row->free_size,
		row->contig_hint, row->map_used, row->map_alloc,
		row->immutable ? ", immutable" : "");
	if (side == PORT) {
		map = malloc((size_t)row->map_used * sizeof(*map) + 1);
		if (map)
			port_map(chunk, map);
	}
	print_map(map ? map : witness_map(chunk), row->map_used, out);
	free(map);
	if (side == PORT) {
		fprintf(out, "\n        CPUs x pages:");
		print_pages(port_populated(chunk), unit_pages, out);
	} else if (index < pair->views[PORT].table.nr) {
		const void *ours = pair->views[PORT].table.chunks[index];

		if (!witness_has_pages(chunk, 0, unit_pages,
				       port_populated(ours), true))
			fprintf(out, "\n        other pages than the port");
	}
	fprintf(out, "\n");
}

static bool same_at(const struct pair *pair, int index)
{
	const struct table *port = &pair->views[PORT].table;
	const struct table *witness = &pair->views[WITNESS].table;
	const struct row *row = &port->rows[index];
	int *map;
	bool same;

	if (index >= port->nr || index >= witness->nr ||
	    memcmp(row, &witness->rows[index], sizeof(*row)))
		return false;
	map = malloc((size_t)row->map_used * sizeof(*map) + 1);
	if (!map)
		return false;
	port_map(port->chunks[index], map);
	same = (!row->map_used ||
		!memcmp(map, witness_map(witness->chunks[index]),
			(size_t)row->map_used * sizeof(*map))) &&
	       witness_has_pages(witness->chunks[index], 0,
				 (int)(pair->info.unit_size >>
				       pair->page_shift),
				 port_populated(port->chunks[index]), true);
	free(map);
	return same;
}

/**
 * pair_explain - print what differs, and the chunks that differ in both states
 * @pair: the pair after the operation
 * @out: the output
 */
void pair_explain(const struct pair *pair, FILE *out)
{
	const struct view *port = &pair->views[PORT];
	const struct view *witness = &pair->views[WITNESS];
	int i, alike = 0;

	fprintf(out, "  answers: port %" PRId64 ", witness %" PRId64 "\n",
		port->answer, witness->answer);
	explain_counts(port, witness, out);
	for (i = 0; i < port->table.nr || i < witness->table.nr; i++) {
		if (same_at(pair, i)) {
			alike++;
			continue;
		}
		if (i < port->table.nr)
			print_chunk(pair, PORT, i, out);
		if (i < witness->table.nr)
			print_chunk(pair, WITNESS, i, out);
	}
	fprintf(out, "  %d chunks at the same place and alike, of %d and %d\n",
		alike, port->table.nr, witness->table.nr);
}
