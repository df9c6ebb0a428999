/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * oracle.h - check an allocator after every call.
 *
 * The oracle keeps its own list of the live areas and compares it with a
 * snapshot.  It predicts which pointers and requests are refused, and with
 * which error.  It does not predict where an area is placed.
 */
#ifndef FUZZ_ORACLE_H
#define FUZZ_ORACLE_H

#include <string.h>

#include "fuzz.h"
#include "percpu.h"

#define MAX_LIVE	128	/* areas at a time */
#define MAX_CHUNKS	256	/* more than that many areas need */
#define MAX_PARKED	6	/* bytes: 3 after an area, 3 before the next */

/* a live area */
struct area {
	int64_t ptr;		/* as the allocator returned it */
	int64_t size;		/* requested bytes */
	int pins;		/* pins on the area */
	bool in_replay;		/* a handle of the replay owns it */
	bool is_new;		/* its memory is not yet checked */
};

struct oracle {
	struct pcpu *pcpu;	/* the allocator under test */
	struct pcpu_info info;	/* as of the last check */
	struct pcpu_snapshot *snap; /* as of the last check */
	uint64_t calls[PCPU_NR_SERVICES]; /* as of the last check */
	uint64_t failed[PCPU_NR_SERVICES]; /* failed calls since set-up */
	uint64_t warnings;	/* expected count of warnings */
	uint64_t digest;	/* of state and calls, as of the last check */
	int64_t first_end;	/* end of the free bytes of chunk 0 */
	int64_t boot_pages;	/* page frames of chunk 0 at set-up */
	int64_t most_pages;	/* further page frames; 0: no limit */
	int64_t static_image;	/* bytes of the static area that are not 0 */
	bool mapped;		/* the allocator has memory */
	bool rollback;		/* live pages may be freed, as in 2009 */
	bool map_failed;	/* since the last check: a map could not grow */
	int static_pins;	/* pins on the static area */
	int nr_live;		/* areas in live */
	struct area live[MAX_LIVE]; /* sorted by pointer */
	int stray[MAX_CHUNKS];	/* slots of chunks that are in a wrong one */
	int64_t stray_id[MAX_CHUNKS]; /* the ids of these chunks */
	int nr_stray;		/* chunks in stray */
};

static inline int error_of(enum pcpu_service service)
{
	return -(PCPU_E_NOMEM + (int)service);
}

/* --- the live areas */

static inline int live_index(const struct oracle *o, int64_t ptr)
{
	int low = 0, high = o->nr_live;

	while (low < high) {
		int middle = (low + high) / 2;

		if (o->live[middle].ptr < ptr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static inline struct area *live_find(struct oracle *o, int64_t ptr)
{
	int i = live_index(o, ptr);

	return i < o->nr_live && o->live[i].ptr == ptr ? &o->live[i] : NULL;
}

static inline void live_add(struct oracle *o, int64_t ptr, int64_t size,
			    int64_t align, bool in_replay)
{
	int i = live_index(o, ptr);

	MUST(ptr > 0 && ptr % align == 0);
	MUST(!live_find(o, ptr));
	MUST(i == 0 || o->live[i - 1].ptr + o->live[i - 1].size <= ptr);
	MUST(i == o->nr_live || ptr + size <= o->live[i].ptr);
	MUST(o->nr_live < MAX_LIVE);
	memmove(&o->live[i + 1], &o->live[i],
		(size_t)(o->nr_live - i) * sizeof(o->live[0]));
	o->live[i] = (struct area){ ptr, size, 0, in_replay, true };
	o->nr_live++;
}

static inline void live_del(struct oracle *o, int64_t ptr)
{
	struct area *area = live_find(o, ptr);
	int i;

	MUST(area && !area->pins);
	i = (int)(area - o->live);
	o->nr_live--;
	memmove(&o->live[i], &o->live[i + 1],
		(size_t)(o->nr_live - i) * sizeof(o->live[0]));
}

/* --- expected errors */

/* what a pointer refers to, according to the last snapshot */
struct answer {
	int error;		/* of pcpu_locate() */
	int64_t chunk;		/* ordinal */
	int64_t offset;		/* bytes */
	int64_t size;		/* bytes of the map entry */
	bool is_static;		/* it is the static area */
};

static inline struct answer look_up(const struct oracle *o, int64_t ptr)
{
	const int64_t unit = o->info.unit_size;
	const struct pcpu_chunk_info *chunk = NULL;
	struct answer answer = { .error = -PCPU_E_WILD };
	int64_t start = 0, offset;

	for (int64_t i = 0; i < o->snap->nr_chunks; i++) {
		const struct pcpu_chunk_info *c = &o->snap->chunks[i];

		if (ptr >= c->ptr && ptr - c->ptr < unit * o->info.cpus)
			chunk = c;
	}
	if (ptr <= 0 || !chunk)
		return answer;
	offset = ptr - chunk->ptr;
	if (offset >= unit) {
		answer.error = -PCPU_E_OTHER_UNIT;
		return answer;
	}
	answer.chunk = chunk->id;
	answer.offset = offset;
	if (chunk->id == 0 && offset < o->info.static_size) {
		answer.error = offset ? -PCPU_E_STATIC : 0;
		answer.is_static = true;
		answer.size = o->info.static_size;
		return answer;
	}
	if (!chunk->map_used)
		answer.error = -PCPU_E_NOT_LIVE;
	for (int64_t i = 0; i < chunk->map_used; i++) {
		int64_t size = llabs(chunk->map[i]);

		if (offset >= start && offset < start + size) {
			answer.size = size;
			if (chunk->map[i] > 0)
				answer.error = -PCPU_E_NOT_LIVE;
			else
				answer.error = offset == start ? 0 :
					       -PCPU_E_INTERIOR;
		}
		start += size;
	}
	return answer;
}

/* the result of pcpu_free() for a pointer */
static inline int free_error(struct oracle *o, int64_t ptr)
{
	struct answer answer = look_up(o, ptr);

	if (!ptr)
		return 0;
	if (answer.error)
		return answer.error;
	if (answer.is_static)
		return -PCPU_E_STATIC;
	return live_find(o, ptr)->pins ? -PCPU_E_PINNED : 0;
}

/* the error for a size and an alignment, or 0 */
static inline int request_error(const struct oracle *o, int64_t size,
				int64_t align)
{
	if (size < 1 || size > o->info.max_size)
		return -PCPU_E_SIZE;
	if (align < 1 || align > o->info.page_size || (align & (align - 1)))
		return -PCPU_E_ALIGN;
	return 0;
}

/* expect a warning for some requests; return request_error() */
static inline int expect_request(struct oracle *o, int64_t size, int64_t align)
{
	o->warnings += size < 1 || size > o->info.max_size || align < 0 ||
		       align > o->info.page_size;
	return request_error(o, size, align);
}

/* note which service made a valid request fail */
static inline void note_failure(struct oracle *o, int64_t error)
{
	MUST(error == error_of(PCPU_KMALLOC) ||
	     error == error_of(PCPU_VMALLOC) ||
	     error == error_of(PCPU_GET_VM_AREA) ||
	     error == error_of(PCPU_ALLOC_PAGE) ||
	     error == error_of(PCPU_MAP));
	o->failed[-error - PCPU_E_NOMEM]++;
	if (error == error_of(PCPU_KMALLOC) || error == error_of(PCPU_VMALLOC))
		o->map_failed = true;
}

/* --- memory */

/* the value that the oracle writes to a byte of an area */
static inline uint8_t mark_of(int64_t ptr, int64_t cpu, int64_t at)
{
	uint64_t n = (uint64_t)ptr * 31 + (uint64_t)cpu * 7 + (uint64_t)at;

	return (uint8_t)(n % 255 + 1);
}

/* the byte marked after @at: the first of the next page, or the last */
static inline int64_t next_mark(const struct oracle *o, int64_t ptr,
				int64_t size, int64_t at)
{
	int64_t page = o->info.page_size;
	int64_t next = at + page - (ptr + at) % page;

	if (at == size - 1)
		return size;
	return next < size ? next : size - 1;
}

static inline void check_area_memory(struct oracle *o, struct area *area)
{
	for (int64_t cpu = 0; cpu < o->info.cpus; cpu++) {
		int64_t address = pcpu_address(o->pcpu, area->ptr, cpu);
		uint8_t *copy = (uint8_t *)(uintptr_t)address;

		MUST(address > 0);
		for (int64_t at = 0; area->is_new && at < area->size; at++)
			MUST(copy[at] == 0);
		for (int64_t at = 0; at < area->size;
		     at = next_mark(o, area->ptr, area->size, at)) {
			uint8_t mark = mark_of(area->ptr, cpu, at);

			MUST(area->is_new || copy[at] == mark);
			copy[at] = mark;
		}
	}
	area->is_new = false;
}

static inline void check_static_memory(const struct oracle *o)
{
	int64_t size = o->info.static_size, ptr = o->info.static_ptr;

	for (int64_t cpu = 0; cpu < o->info.cpus; cpu++) {
		int64_t address = pcpu_address(o->pcpu, ptr, cpu);
		const uint8_t *copy = (const uint8_t *)(uintptr_t)address;

		MUST(address > 0);
		for (int64_t at = 0; at < size;
		     at = next_mark(o, ptr, size, at))
			MUST(copy[at] == (at < o->static_image ? 0xa5 : 0));
	}
}

/* with the quirk, pages may be missing: reading them would fault */
static inline void check_memory(struct oracle *o)
{
	if (!o->mapped || o->rollback)
		return;
	check_static_memory(o);
	for (int i = 0; i < o->nr_live; i++)
		check_area_memory(o, &o->live[i]);
}

/* --- structure */

/* the pages of an area's requested bytes are populated */
static inline void check_pages_of(const struct oracle *o,
				  const struct pcpu_chunk_info *chunk,
				  int64_t offset, int64_t size)
{
	int64_t page = o->info.page_size;

	for (int64_t i = offset / page; i * page < offset + size; i++)
		MUST(o->rollback || chunk->populated[i]);
}

/* every entry in use is a live area; return how many there are */
static inline int check_map(struct oracle *o,
			    const struct pcpu_chunk_info *chunk)
{
	int64_t end = chunk->id ? o->info.unit_size : o->first_end;
	int64_t offset = 0, free_size = 0;
	int used = 0;

	MUST(chunk->map_used <= chunk->map_alloc);
	for (int64_t i = 0; i < chunk->map_used; i++) {
		int64_t size = llabs(chunk->map[i]);

		MUST(size > 0);
		if (chunk->map[i] > 0) {
			MUST(i == 0 || chunk->map[i - 1] < 0);
			MUST(size <= chunk->contig_hint);
			free_size += size;
		} else if (chunk->id == 0 && offset == 0) {
			MUST(size >= o->info.static_size);
			MUST(size <= o->info.static_size + MAX_PARKED);
		} else {
			struct area *area = live_find(o, chunk->ptr + offset);

			MUST(area);
			MUST(size >= area->size);
			MUST(size <= area->size + MAX_PARKED);
			check_pages_of(o, chunk, offset, area->size);
			used++;
		}
		offset += size;
	}
	if (chunk->map_used) {
		MUST(offset == end);
		MUST(chunk->free_size == free_size);
	} else {
		MUST(chunk->id == 0 && chunk->map_alloc == 0);
		MUST(chunk->free_size == end - o->info.static_size);
	}
	return used;
}

/* the slot of a chunk: one for each power of two of free bytes */
static inline int right_slot(const struct oracle *o,
			     const struct pcpu_chunk_info *chunk)
{
	int bits = 0;

	if (chunk->free_size < 4 || chunk->contig_hint < 4)
		return 0;
	if (chunk->free_size == o->info.unit_size)
		return (int)o->snap->nr_slots - 1;
	while (chunk->free_size >> bits)
		bits++;
	return bits > 4 ? bits - 3 : 1;
}

static inline int stray_slot(const struct oracle *o, int64_t id)
{
	for (int i = 0; i < o->nr_stray; i++) {
		if (o->stray_id[i] == id)
			return o->stray[i];
	}
	return -1;
}

/*
 * Each chunk is in exactly one slot, the right one.  Exception: if a map could
 * not grow, its chunk may be in a higher slot until its right slot changes
 * ("half-done" in docs/errata.md).
 */
static inline void check_slots(struct oracle *o)
{
	const struct pcpu_snapshot *snap = o->snap;
	const int64_t *id = snap->slot_ids;
	int64_t now_id[MAX_CHUNKS];
	int now[MAX_CHUNKS], nr_now = 0;
	bool seen[MAX_CHUNKS] = { false };

	MUST(snap->nr_chunks <= MAX_CHUNKS);
	for (int slot = 0; slot < snap->nr_slots; slot++) {
		for (int64_t n = 0; n < snap->slot_len[slot]; n++, id++) {
			int64_t i = 0;
			int right;

			MUST(id < snap->slot_ids + snap->nr_chunks);
			while (i < snap->nr_chunks && snap->chunks[i].id != *id)
				i++;
			MUST(i < snap->nr_chunks && !seen[i]);
			seen[i] = true;
			right = right_slot(o, &snap->chunks[i]);
			if (slot == right)
				continue;
			MUST(slot > right);
			MUST(o->map_failed || stray_slot(o, *id) == slot);
			now[nr_now] = slot;
			now_id[nr_now++] = *id;
		}
	}
	MUST(id == snap->slot_ids + snap->nr_chunks);
	o->nr_stray = nr_now;
	memcpy(o->stray, now, (size_t)nr_now * sizeof(now[0]));
	memcpy(o->stray_id, now_id, (size_t)nr_now * sizeof(now_id[0]));
	o->map_failed = false;
}

/* chunks do not overlap; a guard page follows each one except the first */
static inline void check_address(const struct oracle *o, int64_t i)
{
	const struct pcpu_chunk_info *chunk = &o->snap->chunks[i];
	int64_t size = o->info.unit_size * o->info.cpus;

	MUST(chunk->ptr > 0 && chunk->ptr % o->info.page_size == 0);
	while (i--) {
		const struct pcpu_chunk_info *other = &o->snap->chunks[i];
		int64_t guard = other->id ? o->info.page_size : 0;

		MUST(llabs(chunk->ptr - other->ptr) >= size + guard);
	}
}

static inline void check_chunks(struct oracle *o)
{
	int64_t pages = 0, maps = 0, large_maps = 0;
	const uint64_t *calls = o->calls, *failed = o->failed;
	int used = 0;

	for (int64_t i = 0; i < o->snap->nr_chunks; i++) {
		const struct pcpu_chunk_info *chunk = &o->snap->chunks[i];
		int64_t map_bytes = chunk->map_alloc * (int64_t)sizeof(int);

		MUST(i == 0 ? chunk->id == 0 : chunk->id > chunk[-1].id);
		check_address(o, i);
		used += check_map(o, chunk);
		for (int64_t p = 0; p < o->snap->unit_pages; p++) {
			MUST(chunk->populated[p] == 0 ||
			     chunk->populated[p] == o->info.cpus);
			pages += chunk->populated[p];
		}
		if (!chunk->map_alloc)
			continue;
		if (map_bytes > o->info.page_size)
			large_maps++;
		else
			maps++;
	}
	MUST(used == o->nr_live);
	MUST(o->snap->nr_chunks == o->info.chunks);
	MUST(o->info.chunks ==
	     1 + o->info.chunks_created - o->info.chunks_destroyed);
	MUST(pages == o->info.pages);
	MUST(!o->most_pages || pages - o->boot_pages <= o->most_pages);

	/* what the kernel gave and did not get back is what exists now */
	MUST((int64_t)(calls[PCPU_KMALLOC] - failed[PCPU_KMALLOC] -
		       calls[PCPU_KFREE]) == o->info.chunks - 1 + maps);
	MUST((int64_t)(calls[PCPU_VMALLOC] - failed[PCPU_VMALLOC] -
		       calls[PCPU_VFREE]) == large_maps);
	MUST((int64_t)(calls[PCPU_GET_VM_AREA] - failed[PCPU_GET_VM_AREA] -
		       calls[PCPU_FREE_VM_AREA]) == o->info.chunks - 1);
	MUST((int64_t)(calls[PCPU_ALLOC_PAGE] - failed[PCPU_ALLOC_PAGE] -
		       calls[PCPU_FREE_PAGE]) == pages - o->boot_pages);
	MUST(calls[PCPU_WARN] == o->warnings);
}

/* --- the check after every call */

static inline uint64_t digest(uint64_t sum, const void *data, size_t n)
{
	const uint8_t *at = data;

	while (n--)
		sum = (sum ^ *at++) * 0x100000001b3u;
	return sum;
}

static inline uint64_t digest_of_state(const struct oracle *o)
{
	const struct pcpu_snapshot *snap = o->snap;
	uint64_t sum = 0xcbf29ce484222325u;

	for (int i = 0; i < PCPU_WARN; i++)
		sum = digest(sum, &o->calls[i], sizeof(o->calls[i]));
	sum = digest(sum, snap->slot_len,
		     (size_t)snap->nr_slots * sizeof(*snap->slot_len));
	sum = digest(sum, snap->slot_ids,
		     (size_t)snap->nr_chunks * sizeof(*snap->slot_ids));
	for (int64_t i = 0; i < snap->nr_chunks; i++) {
		const struct pcpu_chunk_info *chunk = &snap->chunks[i];

		sum = digest(sum, &chunk->contig_hint,
			     sizeof(chunk->contig_hint));
		sum = digest(sum, &chunk->map_alloc, sizeof(chunk->map_alloc));
		sum = digest(sum, chunk->map,
			     (size_t)chunk->map_used * sizeof(*chunk->map));
		sum = digest(sum, chunk->populated,
			     (size_t)snap->unit_pages *
			     sizeof(*chunk->populated));
	}
	return sum;
}

/* check everything; without @changed the state must be as before */
static inline void oracle_check(struct oracle *o, bool changed)
{
	uint64_t before = o->digest;
	int error;

	pcpu_snapshot_free(o->snap);
	o->snap = pcpu_snapshot_take(o->pcpu, &error);
	MUST(o->snap && !error);
	MUST(!pcpu_info(o->pcpu, &o->info));
	MUST(!pcpu_counters(o->pcpu, o->calls));
	check_chunks(o);
	check_slots(o);
	check_memory(o);
	o->digest = digest_of_state(o);
	MUST(changed || o->digest == before);
}

/* begin with an allocator that was just created */
static inline void oracle_start(struct oracle *o, struct pcpu *pcpu,
				int64_t free_size)
{
	o->pcpu = pcpu;
	MUST(!pcpu_info(pcpu, &o->info));
	o->boot_pages = o->info.pages;
	o->first_end = o->info.static_size + free_size;
	oracle_check(o, true);
}

static inline void oracle_stop(struct oracle *o)
{
	pcpu_snapshot_free(o->snap);
	o->snap = NULL;
}

#endif /* FUZZ_ORACLE_H */
