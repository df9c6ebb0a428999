// SPDX-License-Identifier: GPL-2.0-only
/*
 * pair.c - set up port and witness, do operations on both, compare them.
 *
 * After each operation: the answers, all counters, the order of all lists and
 * the figures of all chunks; map and pages of the area's chunk.  Each operation
 * adds to a credit, and as soon as it covers the cost the whole state is
 * compared: small states after each operation, large ones now and then.
 */
#include "pair.h"

#include <stdlib.h>
#include <string.h>

#include "lie.h"
#include "witness.h"

/* a credit of 1 pays for about a nanosecond */
#define CREDIT_OPERATION	1000
#define CREDIT_FAILURE		20000	/* the area's chunk is not known */
#define COST_CHUNK		60

/* the answer of a witness that stopped where it should not */
#define ANSWER_STOPPED		(-1000)

/* --- set-up */

static void ignore_log(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	(void)text;
}

static struct pcpu *create_port(const struct setup *setup)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION,
		.log = ignore_log,
		.cpus = setup->cpus,
		.static_size = setup->static_size,
		.unit_size = setup->unit_size,
		.free_size = setup->free_size,
		.page_size = setup->page_size,
		.nodes = setup->nodes,
		.page_limit = setup->page_limit,
		.first_chunk = setup->first_chunk,
		.memory = PCPU_MEMORY_NONE,
		.quirks = setup->rollback ? PCPU_QUIRK_ROLLBACK : 0,
	};

	return pcpu_create(&config, NULL);
}

/* as setup_pcpu_4k, _embed and _remap of x86; returns the size of a unit */
static int64_t set_up_witness(const struct setup *setup)
{
	int64_t page = setup->page_size;
	int64_t reserved = (setup->static_size + (24 << 10) + page - 1) & -page;
	int64_t present = setup->static_size;
	struct witness_settings settings = {
		.cpus = setup->cpus,
		.nodes = setup->nodes,
		.page_size = page,
		.page_limit = setup->page_limit,
		.static_size = setup->static_size,
		.unit_size = setup->unit_size,
		.free_size = setup->free_size,
		.first_area = page,
		.fixed = !setup->plain,
	};

	switch (setup->first_chunk) {
	case PCPU_FIRST_EMBED:
		if (!settings.unit_size)
			settings.unit_size = reserved > 16 * page ?
					     reserved : 16 * page;
		if (!settings.free_size &&
		    settings.unit_size > setup->static_size)
			settings.free_size = settings.unit_size -
					     setup->static_size;
		present = settings.unit_size;
		break;
	case PCPU_FIRST_REMAP:
		if (!settings.unit_size)
			settings.unit_size = 2 << 20;
		if (!settings.free_size)
			settings.free_size = reserved - setup->static_size;
		present = setup->static_size + settings.free_size;
		break;
	default:
		break;
	}
	settings.present_pages = (present + page - 1) / page;
	if (setup->first_chunk != PCPU_FIRST_4K) {
		/* the block that the caller mapped, then the vm areas */
		settings.block = page;
		settings.first_area = page + settings.unit_size * setup->cpus;
	}
	return witness_setup(&settings);
}

/**
 * pair_refused - whether both refuse a set-up
 * @setup: one that does not fit
 */
bool pair_refused(const struct setup *setup)
{
	struct pcpu *port = create_port(setup);
	int64_t unit_size = set_up_witness(setup);

	pcpu_destroy(port);
	return !port && !unit_size &&
	       witness_report()->stopped == STOP_BUG;
}

/* --- reading both sides */

static void *grown(void *array, size_t size)
{
	array = realloc(array, size);
	if (!array)
		abort();
	return array;
}

/* the area's chunk on one side; NULL if no chunk covers it */
static const void *area_chunk(const struct view *view)
{
	return view->table.covering < 0 ? NULL :
	       view->table.chunks[view->table.covering];
}

static void read_port_area(struct pair *pair, int64_t ptr, int64_t size)
{
	struct view *view = &pair->views[PORT];
	const struct row *row = view->table.rows + view->table.covering;
	struct pages *pages = &pair->pages;
	int64_t offset = ptr - row->address;

	if (pair->map_room < row->map_used) {
		pair->map_room = 2 * row->map_used;
		pair->map = grown(pair->map, (size_t)pair->map_room *
						     sizeof(*pair->map));
	}
	port_map(area_chunk(view), pair->map);
	view->map = pair->map;

	if (offset + size > pair->info.unit_size)
		return;	/* another chunk than the witness's */
	pages->first = (int)(offset >> pair->page_shift);
	pages->nr = (int)((offset + size - 1) >> pair->page_shift) + 1 -
		    pages->first;
	memcpy(pages->populated, port_populated(area_chunk(view)) +
	       pages->first, (size_t)pages->nr * sizeof(*pages->populated));
}

/* read both sides; @ptr is an area of @size bytes, or 0 */
static bool read_both(struct pair *pair, int64_t ptr, int64_t size)
{
	struct view *port = &pair->views[PORT];
	struct view *witness = &pair->views[WITNESS];

	pair->ptr = ptr;
	pair->pages.nr = 0;
	pcpu_counters(pair->port, port->calls);
	pcpu_work(pair->port, &port->work[0], &port->work[1]);
	memcpy(witness->calls, witness_calls(), sizeof(witness->calls));
	memcpy(witness->work, witness_works(), sizeof(witness->work));
	if (!port_table(pair->port, ptr, &port->table) ||
	    !witness_table(ptr, &witness->table))
		return false;
	port->map = NULL;
	witness->map = NULL;
	if (area_chunk(port))
		read_port_area(pair, ptr, size);
	if (area_chunk(witness))
		witness->map = witness_map(area_chunk(witness));
	if (pair->lie)
		lie_tell(pair->lie, pair);
	return true;
}

/* --- comparing them */

static const char *compare_tables(const struct table *port,
				  const struct table *witness)
{
	if (port->nr != witness->nr)
		return "the number of chunks";
	if (memcmp(port->rows, witness->rows,
		   (size_t)port->nr * sizeof(*port->rows)))
		return "the lists of chunks, or figures of a chunk";
	if (port->covering != witness->covering)
		return "the area's chunk";
	return NULL;
}

/* the map and the pages of the area's chunk; the tables are alike */
static const char *compare_area(const struct pair *pair)
{
	const struct view *port = &pair->views[PORT];
	const struct view *witness = &pair->views[WITNESS];
	const struct pages *pages = &pair->pages;
	int covering = port->table.covering;

	if (covering < 0)
		return pair->ptr ? "that a chunk covers the pointer" : NULL;
	if (memcmp(port->map, witness->map,
		   (size_t)port->table.rows[covering].map_used *
			   sizeof(*port->map)))
		return "the map of the area's chunk";
	if (!witness_has_pages(area_chunk(witness), pages->first, pages->nr,
			       pages->populated, true))
		return "the populated pages of the area";
	return NULL;
}

static const char *compare_views(const struct pair *pair)
{
	const struct view *port = &pair->views[PORT];
	const struct view *witness = &pair->views[WITNESS];
	const char *aspect;

	if (port->answer != witness->answer)
		return "the answers";
	if (memcmp(port->calls, witness->calls, sizeof(port->calls)))
		return "the calls of services";
	if (memcmp(port->work, witness->work, sizeof(port->work)))
		return "the work";
	aspect = compare_tables(&port->table, &witness->table);
	return aspect ? aspect : compare_area(pair);
}

/* --- the whole state, as users of the port see it */

static int by_id(const void *id, const void *chunk)
{
	int64_t a = *(const int64_t *)id;
	int64_t b = ((const struct pcpu_chunk_info *)chunk)->id;

	return (a > b) - (a < b);
}

static bool same_chunk(const struct pcpu_chunk_info *port,
		       const struct row *row, const void *chunk, int unit_pages,
		       bool exact)
{
	return port->ptr == row->address &&
	       port->free_size == row->free_size &&
	       port->contig_hint == row->contig_hint &&
	       port->map_alloc == row->map_alloc &&
	       port->map_used == row->map_used &&
	       port->immutable == row->immutable &&
	       (!row->map_used ||
		!memcmp(port->map, witness_map(chunk),
			(size_t)row->map_used * sizeof(*port->map))) &&
	       witness_has_pages(chunk, 0, unit_pages, port->populated, exact);
}

static int64_t frames_in(const struct pcpu_chunk_info *chunk, int64_t pages)
{
	int64_t frames = 0;

	while (pages--)
		frames += chunk->populated[pages];
	return frames;
}

static const char *compare_chunks(struct pair *pair,
				  const struct pcpu_snapshot *snapshot,
				  const struct pcpu_info *info, bool exact)
{
	const struct table *witness = &pair->views[WITNESS].table;
	const int64_t *id = snapshot->slot_ids;
	int unit_pages = witness_unit_pages();
	int64_t frames = 0, entries = 0, in_slot = 0;
	int slot = 0, i;

	for (i = 0; i < witness->nr; i++, id++, in_slot++) {
		const struct row *row = &witness->rows[i];
		const struct pcpu_chunk_info *chunk;

		for (; slot < row->slot; slot++, in_slot = 0)
			if (in_slot != snapshot->slot_len[slot])
				return "the length of a list";
		if (*id != row->id)
			return "the order of a list";
		chunk = bsearch(id, snapshot->chunks,
				(size_t)snapshot->nr_chunks,
				sizeof(*snapshot->chunks), by_id);
		if (!chunk || !same_chunk(chunk, row, witness->chunks[i],
					  unit_pages, exact))
			return "a chunk";
		frames += frames_in(chunk, unit_pages);
		entries += row->map_used;
		if (pair->max_map_used < row->map_used)
			pair->max_map_used = row->map_used;
	}
	for (; slot < snapshot->nr_slots; slot++, in_slot = 0)
		if (in_slot != snapshot->slot_len[slot])
			return "the length of a list";
	pair->cost = entries + witness->nr *
		     (COST_CHUNK + unit_pages * pair->setup->cpus);
	return info->pages == frames ? NULL : "the page frames held";
}

static const char *compare_whole(struct pair *pair, bool exact)
{
	const struct table *witness = &pair->views[WITNESS].table;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pair->port, NULL);
	struct pcpu_info info;
	const char *aspect;

	if (!snapshot || pcpu_info(pair->port, &info))
		return "the snapshot";
	if (pair->lie)
		lie_tell_whole(pair->lie, snapshot, &info);
	pair->nr_whole++;
	pair->credit = 0;
	pair->max_map_used = 0;
	if (witness_tree_size() != witness->nr)
		aspect = "the witness's tree and lists";
	else if (snapshot->nr_slots != witness_slots() ||
		 snapshot->unit_pages != witness_unit_pages() ||
		 snapshot->nr_chunks != witness->nr ||
		 info.chunks != witness->nr ||
		 info.chunks_created != witness_created() ||
		 info.chunks_destroyed != info.chunks_created + 1 - info.chunks)
		aspect = "the number of chunks, slots or pages";
	else if (info.areas != pair->live)
		aspect = "the number of areas";
	else
		aspect = compare_chunks(pair, snapshot, &info, exact);
	pcpu_snapshot_free(snapshot);
	return aspect;
}

/* --- rollback: where port and witness may part, see docs/errata.md */

/* the witness frees more pages than the port, each with its calls */
static void ignore_rollback(uint64_t *calls, struct pcpu_work *work)
{
	calls[PCPU_FREE_PAGE] = 0;
	calls[PCPU_UNMAP] = 0;
	calls[PCPU_FLUSH_CACHE_VUNMAP] = 0;
	calls[PCPU_FLUSH_TLB] = 0;
	work->pages_depopulated = 0;
}

/* page frames that the port has taken and not freed since set-up */
static uint64_t frames_kept(const struct pair *pair)
{
	const struct view *port = &pair->views[PORT];

	return port->work[0].pages_populated - port->work[0].pages_depopulated -
	       port->work[1].pages_depopulated;
}

/*
 * A populate failed, and the two differ.  They may differ only in pages that
 * the witness freed, and the port has to keep exactly the pages that it had.
 */
static const char *compare_parted(struct pair *pair, uint64_t frames_before)
{
	struct view *port = &pair->views[PORT];
	struct view *witness = &pair->views[WITNESS];
	const char *aspect;

	if (frames_kept(pair) != frames_before)
		return "the page frames kept after a failed populate";
	ignore_rollback(port->calls, &port->work[0]);
	ignore_rollback(witness->calls, &witness->work[0]);
	aspect = compare_views(pair);
	return aspect ? aspect : compare_whole(pair, false);
}

/* --- operations */

static int64_t alloc_from_witness(struct pair *pair, int64_t size,
				  int64_t align)
{
	int64_t ptr = witness_alloc((uint64_t)size, (uint64_t)align);
	const struct fake_report *report = witness_report();

	if (ptr)
		return ptr;
	pair->failed = (int)report->failed;
	if (report->stopped > STOP_NO_MEMORY)
		return ANSWER_STOPPED;
	return report->failed < 0 ? 0 : -(PCPU_E_NOMEM + report->failed);
}

/* the port refuses: call the witness too if it refuses, since it warns */
static int64_t refuse_request(struct pair *pair, int64_t size, int64_t align)
{
	int64_t page = pair->setup->page_size;
	bool bad_size = size < 1 || size > 16 * page;

	if (bad_size || align < 0 || align > page)
		if (alloc_from_witness(pair, size, align))
			return ANSWER_STOPPED;
	return bad_size ? -PCPU_E_SIZE : -PCPU_E_ALIGN;
}

static int64_t free_in_witness(int64_t ptr)
{
	return witness_free(ptr) ? ANSWER_STOPPED : 0;
}

static void inject(struct pair *pair, const struct operation *op)
{
	const struct pcpu_fault *fault = &op->fault;

	if (op->kind == OPERATION_CLEAR) {
		pair->views[PORT].answer = pcpu_inject(pair->port, op->site,
						       NULL);
		witness_inject(op->site, 1, 1, 0, 1, 0);
	} else {
		pair->views[PORT].answer = pcpu_inject(pair->port, op->site,
						       fault);
		witness_inject(op->site, fault->nth, fault->interval,
			       fault->times, fault->probability, fault->seed);
	}
	pair->views[WITNESS].answer = 0;
}

static void do_on_both(struct pair *pair, const struct operation *op)
{
	struct view *port = &pair->views[PORT];
	struct view *witness = &pair->views[WITNESS];

	pair->failed = -1;
	switch (op->kind) {
	case OPERATION_ALLOC:
		port->answer = pcpu_alloc(pair->port, op->size, op->align);
		witness->answer = alloc_from_witness(pair, op->size, op->align);
		pair->live += witness->answer > 0;
		break;
	case OPERATION_FREE:
		port->answer = pcpu_free(pair->port, op->ptr);
		witness->answer = free_in_witness(op->ptr);
		pair->live--;
		break;
	case OPERATION_BAD_ALLOC:
		port->answer = pcpu_alloc(pair->port, op->size, op->align);
		witness->answer = refuse_request(pair, op->size, op->align);
		break;
	case OPERATION_BAD_FREE:
		port->answer = pcpu_free(pair->port, op->ptr);
		witness->answer = op->ptr ? -op->refusal : free_in_witness(0);
		break;
	default:
		inject(pair, op);
	}
}

static enum pair_result result(struct pair *pair, const char *aspect)
{
	pair->aspect = aspect;
	return aspect ? PAIR_DIFFERS : PAIR_ALIKE;
}

/* the plain file stopped at a defect: its state is of no use any more */
static enum pair_result stopped(struct pair *pair)
{
	/* map-null: the port fails too; walk: the port goes on */
	if (pair->failed >= 0 &&
	    pair->views[PORT].answer != -(PCPU_E_NOMEM + pair->failed))
		return result(pair, "the failures");
	return PAIR_UNDEFINED;
}

/**
 * pair_do - do an operation on both sides and compare them
 * @pair: the pair
 * @op: the operation
 */
enum pair_result pair_do(struct pair *pair, const struct operation *op)
{
	uint64_t frames_before = frames_kept(pair);
	const struct view *witness = &pair->views[WITNESS];
	bool populate_failed;
	const char *aspect;
	int64_t ptr = 0;

	do_on_both(pair, op);
	if (witness->answer == ANSWER_STOPPED && pair->setup->plain &&
	    witness_report()->stopped == STOP_UNDEFINED)
		return stopped(pair);

	if (op->kind == OPERATION_ALLOC && witness->answer > 0)
		ptr = witness->answer;
	else if (op->kind == OPERATION_FREE)
		ptr = op->ptr;
	if (!read_both(pair, ptr, op->size))
		return result(pair, "too many chunks for this program");

	populate_failed = pair->failed == PCPU_ALLOC_PAGE ||
			  pair->failed == PCPU_MAP;
	pair->credit += CREDIT_OPERATION;
	if (pair->failed >= 0)
		pair->credit += CREDIT_FAILURE;
	aspect = compare_views(pair);
	if (!aspect && (pair->credit >= pair->cost ||
			(populate_failed && !pair->setup->rollback)))
		aspect = compare_whole(pair, true);
	if (!aspect || pair->setup->rollback || !populate_failed)
		return result(pair, aspect);
	aspect = compare_parted(pair, frames_before);
	return aspect ? result(pair, aspect) : PAIR_PARTED;
}

/**
 * pair_compare_whole - compare the whole state
 * @pair: the pair; nothing has happened since the last comparison
 */
enum pair_result pair_compare_whole(struct pair *pair)
{
	return result(pair, compare_whole(pair, true));
}

/**
 * pair_start - set up both sides and compare them
 * @pair: zeroed, or used before
 * @setup: one that fits; must be valid as long as the pair
 */
enum pair_result pair_start(struct pair *pair, const struct setup *setup)
{
	int64_t unit_size = set_up_witness(setup);

	pair->setup = setup;
	pair->port = create_port(setup);
	pair->page_shift = __builtin_ctzll((unsigned long long)
					   setup->page_size);
	pair->live = 0;
	pair->failed = -1;
	if (!pair->port || !unit_size)
		return result(pair, "whether the set-up is accepted");
	pcpu_info(pair->port, &pair->info);
	if (pair->info.unit_size != unit_size)
		return result(pair, "the size of a unit");
	pair->views[PORT].answer = 0;
	pair->views[WITNESS].answer = 0;
	if (!read_both(pair, 0, 0))
		return result(pair, "too many chunks for this program");
	result(pair, compare_views(pair));
	return pair->aspect ? PAIR_DIFFERS : pair_compare_whole(pair);
}

/**
 * pair_end - free what both sides hold
 */
void pair_end(struct pair *pair)
{
	pcpu_destroy(pair->port);
	witness_exit();
	free(pair->map);
}
