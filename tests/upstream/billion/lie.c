// SPDX-License-Identifier: GPL-2.0-only
/*
 * lie.c - change one item of what is read from the port; the comparison has to
 * notice it after the same operation.
 *
 * There is a lie for each field of a table, so a new field joins by itself.
 */
#include "lie.h"

#include <inttypes.h>
#include <stddef.h>
#include <string.h>

#include "case.h"

#define NR_FIELDS(array)	((int)(sizeof(array) / sizeof(*(array))))

/* the figures of a chunk: all of struct row */
static const struct { size_t offset, size; const char *name; } row_fields[] = {
#define FIELD(name) { offsetof(struct row, name),			\
		      sizeof(((struct row *)0)->name), #name }
	FIELD(id), FIELD(address), FIELD(slot), FIELD(free_size),
	FIELD(contig_hint), FIELD(map_alloc), FIELD(map_used),
	FIELD(immutable),
#undef FIELD
};

/* those of a chunk in a snapshot that are numbers, except max_size */
static const struct { size_t offset; const char *name; } chunk_fields[] = {
#define FIELD(name) { offsetof(struct pcpu_chunk_info, name), #name }
	FIELD(id), FIELD(ptr), FIELD(free_size), FIELD(contig_hint),
	FIELD(map_alloc), FIELD(map_used),
#undef FIELD
};

static const struct { size_t offset; const char *name; } info_fields[] = {
#define FIELD(name) { offsetof(struct pcpu_info, name), #name }
	FIELD(chunks), FIELD(chunks_created), FIELD(chunks_destroyed),
	FIELD(pages), FIELD(areas),
#undef FIELD
};

/* kinds of lies; each has a number of items */
enum kind {
	/* about what is read after each operation */
	POINTER, FAILED_SERVICE, REFUSAL, CALLS, ALLOC_WORK, FREE_WORK, ROW,
	ORDER, FEWER_CHUNKS, MAP, PAGES,
	/* about the whole state */
	WHOLE_CHUNK, WHOLE_IMMUTABLE, WHOLE_MAP, WHOLE_PAGES, WHOLE_LENGTH,
	WHOLE_ORDER, WHOLE_SIZES, WHOLE_INFO,
	NR_KINDS
};

static const struct { int items; const char *name; } kinds[NR_KINDS] = {
	[POINTER] = { 1, "pointer" },
	[FAILED_SERVICE] = { 1, "service that failed" },
	[REFUSAL] = { 1, "reason of a refusal" },
	[CALLS] = { PCPU_NR_SERVICES, "calls of a service" },
	[ALLOC_WORK] = { NR_WORK_COUNTS, "work of allocations" },
	[FREE_WORK] = { NR_WORK_COUNTS, "work of frees" },
	[ROW] = { NR_FIELDS(row_fields), "figure of a chunk" },
	[ORDER] = { 1, "order of a list" },
	[FEWER_CHUNKS] = { 1, "one chunk less" },
	[MAP] = { 2, "map entry of the area's chunk" },
	[PAGES] = { 2, "populated page of the area" },
	[WHOLE_CHUNK] = { NR_FIELDS(chunk_fields), "figure in a snapshot" },
	[WHOLE_IMMUTABLE] = { 1, "immutable in a snapshot" },
	[WHOLE_MAP] = { 2, "map entry in a snapshot" },
	[WHOLE_PAGES] = { 2, "populated page in a snapshot" },
	[WHOLE_LENGTH] = { 2, "length of a list in a snapshot" },
	[WHOLE_ORDER] = { 1, "order of a list in a snapshot" },
	[WHOLE_SIZES] = { 3, "length in a snapshot" },
	[WHOLE_INFO] = { NR_FIELDS(info_fields), "gauge" },
};

/* find the kind of a lie; return its item, or -1 after the last lie */
static int item_of(int number, enum kind *kind)
{
	int k;

	for (k = 0; k < NR_KINDS; k++) {
		if (number < kinds[k].items) {
			*kind = (enum kind)k;
			return number;
		}
		number -= kinds[k].items;
	}
	return -1;
}

/**
 * lie_name - return what a lie is about, or NULL after the last one
 * @number: from 0
 */
const char *lie_name(int number)
{
	static const char *const ends[] = { "first", "last" };
	static const char *const sizes[] = { "nr_slots", "nr_chunks",
					     "unit_pages" };
	static char name[80];
	enum kind kind;
	int item = item_of(number, &kind);
	const char *detail;

	if (item < 0)
		return NULL;
	switch (kind) {
	case CALLS: detail = pcpu_service_name(item); break;
	case ALLOC_WORK:
	case FREE_WORK: detail = work_names[item]; break;
	case ROW: detail = row_fields[item].name; break;
	case WHOLE_CHUNK: detail = chunk_fields[item].name; break;
	case WHOLE_INFO: detail = info_fields[item].name; break;
	case WHOLE_SIZES: detail = sizes[item]; break;
	default: detail = kinds[kind].items == 2 ? ends[item] : "";
	}
	snprintf(name, sizeof(name), "%s%s%s", kinds[kind].name,
		 *detail ? ", " : "", detail);
	return name;
}

/* the number of @size bytes at @offset of a struct, one higher */
static void raise_field(void *fields, size_t offset, size_t size)
{
	char *field = (char *)fields + offset;
	int64_t wide;
	int32_t narrow;

	if (size == sizeof(wide)) {
		memcpy(&wide, field, sizeof(wide));
		wide++;
		memcpy(field, &wide, sizeof(wide));
	} else {
		memcpy(&narrow, field, sizeof(narrow));
		narrow++;
		memcpy(field, &narrow, sizeof(narrow));
	}
}

/* swap two chunks of one list; return false if no list has two */
static bool swap_rows(struct table *table)
{
	int i;

	for (i = 1; i < table->nr; i++) {
		struct row *row = &table->rows[i];

		if (row[-1].slot == row->slot) {
			struct row first = row[-1];

			row[-1] = *row;
			*row = first;
			return true;
		}
	}
	return false;
}

static bool lie_in_answer(struct view *view, enum kind kind)
{
	int64_t *answer = &view->answer;

	if (kind == POINTER && *answer > 0)
		++*answer;
	else if (kind == FAILED_SERVICE && *answer <= -PCPU_E_NOMEM)
		--*answer;
	else if (kind == REFUSAL && *answer < 0 && *answer > -PCPU_E_NOMEM)
		--*answer;
	else
		return false;
	return true;
}

static bool change_view(struct pair *pair, enum kind kind, int item)
{
	struct view *view = &pair->views[PORT];
	struct pages *pages = &pair->pages;
	struct table *table = &view->table;
	int used;

	switch (kind) {
	case POINTER:
	case FAILED_SERVICE:
	case REFUSAL:
		return lie_in_answer(view, kind);
	case CALLS:
		view->calls[item]++;
		return true;
	case ALLOC_WORK:
	case FREE_WORK:
		raise_field(&view->work[kind == FREE_WORK],
			    (size_t)item * sizeof(uint64_t), sizeof(uint64_t));
		return true;
	case ROW:
		raise_field(&table->rows[table->nr - 1],
			    row_fields[item].offset, row_fields[item].size);
		return true;
	case ORDER:
		return swap_rows(table);
	case FEWER_CHUNKS:
		table->nr--;
		return true;
	case MAP:
		if (!view->map)
			return false;
		used = table->rows[table->covering].map_used;
		pair->map[item ? used - 1 : 0]++;
		return true;
	case PAGES:
		if (!pages->nr)
			return false;
		pages->populated[item ? pages->nr - 1 : 0]++;
		return true;
	default:
		return false;
	}
}

/**
 * lie_tell - change an item that is read after each operation
 * @lie: what to change
 * @pair: has just been read
 */
void lie_tell(struct lie *lie, struct pair *pair)
{
	enum kind kind = NR_KINDS;
	int item = item_of(lie->number, &kind);

	if (change_view(pair, kind, item))
		lie->told = true;
}

/* snapshots are for reading, but the block that holds one is writable */
static void raise_int64(const int64_t *number)
{
	raise_field((void *)(uintptr_t)number, 0, sizeof(*number));
}

static bool change_chunk(const struct pcpu_snapshot *snapshot, enum kind kind,
			 int item)
{
	const struct pcpu_chunk_info *last =
		snapshot->chunks + snapshot->nr_chunks - 1;
	void *fields = (void *)(uintptr_t)last;
	int64_t index;

	switch (kind) {
	case WHOLE_CHUNK:
		raise_field(fields, chunk_fields[item].offset, sizeof(int64_t));
		return true;
	case WHOLE_IMMUTABLE:
		raise_field(fields, offsetof(struct pcpu_chunk_info, immutable),
			    sizeof(int));
		return true;
	case WHOLE_MAP:
		index = item ? last->map_used - 1 : 0;
		if (!last->map_used)
			return false;
		raise_field((void *)(uintptr_t)(last->map + index), 0,
			    sizeof(int));
		return true;
	default:
		index = item ? snapshot->unit_pages - 1 : 0;
		raise_field((void *)(uintptr_t)(last->populated + index), 0,
			    sizeof(uint32_t));
		return true;
	}
}

static bool change_lists(const struct pcpu_snapshot *snapshot, enum kind kind,
			 int item)
{
	int64_t *ids = (int64_t *)(uintptr_t)snapshot->slot_ids;
	int64_t first = ids[0];

	switch (kind) {
	case WHOLE_LENGTH:
		raise_int64(snapshot->slot_len +
			    (item ? snapshot->nr_slots - 1 : 0));
		return true;
	case WHOLE_ORDER:
		if (snapshot->nr_chunks < 2)
			return false;
		ids[0] = ids[1];
		ids[1] = first;
		return true;
	default:
		raise_int64(item == 0 ? &snapshot->nr_slots :
			    item == 1 ? &snapshot->nr_chunks :
					&snapshot->unit_pages);
		return true;
	}
}

/**
 * lie_tell_whole - change an item of the whole state
 * @lie: what to change
 * @snapshot: was just taken
 * @info: likewise
 */
void lie_tell_whole(struct lie *lie, const struct pcpu_snapshot *snapshot,
		    struct pcpu_info *info)
{
	enum kind kind = NR_KINDS;
	int item = item_of(lie->number, &kind);
	bool told = false;

	if (kind == WHOLE_INFO) {
		raise_field(info, info_fields[item].offset, sizeof(int64_t));
		told = true;
	} else if (kind >= WHOLE_LENGTH) {
		told = change_lists(snapshot, kind, item);
	} else if (kind >= WHOLE_CHUNK) {
		told = change_chunk(snapshot, kind, item);
	}
	if (told)
		lie->told = true;
}

/* run cases until the wrong figure is reported; return whether it was noticed at once */
static bool noticed(struct lie *lie, uint64_t *number, uint64_t *operations)
{
	for (*number = 0; *number < 100; ++*number) {
		struct counts counts = { 0 };
		struct random_case c;
		enum case_result result;

		random_case(&c, 1, *number);
		result = case_run(&c, &counts, NULL, NULL, lie);
		*operations = counts.operations;
		if (lie->told)
			return result == CASE_DIFFERS;
	}
	return false;
}

/**
 * lie_self_test - test that the comparison notices each lie, and print them
 *
 * Return: the number of lies that it does not notice.
 */
int lie_self_test(void)
{
	const char *name;
	int number, missed = 0;

	for (number = 0; (name = lie_name(number)); number++) {
		struct lie lie = { .number = number, .from = 200 };
		uint64_t in_case, operations;
		bool good = noticed(&lie, &in_case, &operations);

		printf("%-44s %s", name, good ? "noticed" : "MISSED");
		if (lie.told)
			printf(", case %" PRIu64 ", operation %" PRIu64,
			       in_case, operations);
		printf("\n");
		missed += !good;
	}
	printf("%d lies, %d missed\n", number, missed);
	return missed;
}
