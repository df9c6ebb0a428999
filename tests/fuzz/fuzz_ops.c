// SPDX-License-Identifier: GPL-2.0-only
/*
 * fuzz_ops.c - run valid and invalid operations on an allocator.
 *
 *	| geometry | kinds | operation | operation | ...
 *
 * The first bytes of an input choose the allocator, the others the operations.
 * After each operation the oracle checks the whole state.
 */
#define _GNU_SOURCE 1	/* sysconf, mincore */
#include <math.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oracle.h"

#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))
#define MAX_OPERATIONS	300
#define MAX_BATCH	12
#define MAX_REPLAY	16
#define NR_PINS		8
#define NR_KINDS	6
#define NR_HANDLES	6

/* a place for one pin */
struct viewer {
	struct pcpu_pin pin;	/* as the allocator filled it in */
	bool busy;		/* an area is pinned */
};

struct run {
	struct input in;	/* makes all choices */
	struct oracle o;	/* checks the allocator */
	struct viewer viewers[NR_PINS]; /* busy or not */
	bool armed[PCPU_NR_SERVICES]; /* calls may fail */
	int64_t freed;		/* the pointer freed last */
	struct pcpu_kind kinds[NR_KINDS]; /* sizes for the replay */
	struct pcpu_replay_handle handles[NR_HANDLES]; /* their areas */
	struct pcpu_replay replay; /* figures of all replays */
};

static void swallow(void *arg, int about, const char *text)
{
	(void)about;
	(void)arg;
	MUST(text);
}

/* --- set-up */

static int64_t below(struct run *run, int64_t n)
{
	return input_below(&run->in, (uint32_t)(n < 65536 ? n : 65536));
}

static int64_t pick_free_size(struct run *run, const struct pcpu_config *config)
{
	int64_t room = config->unit_size - config->static_size;

	switch (below(run, 4)) {
	case 0:
		return room > 0 ? 1 + below(run, room) : 0;
	case 1:
		return room > 8 ? 1 + below(run, 8) : 0;
	default:
		return 0;
	}
}

/* units of a few pages: edges are close, and a snapshot is cheap */
static void pick_geometry(struct run *run, struct pcpu_config *config)
{
	int64_t page = config->page_size;
	int64_t pages = 16 + below(run, 4) * below(run, 8);

	config->first_chunk = (int)below(run, 3);
	/* the default of 2 MiB is too slow to check with tiny pages */
	if (config->first_chunk == PCPU_FIRST_REMAP || below(run, 2))
		config->unit_size = pages * page;
	if (config->unit_size == 0 && page < 16)
		config->first_chunk = PCPU_FIRST_4K;
	if (config->first_chunk == PCPU_FIRST_REMAP && page >= 4096 &&
	    below(run, 2))
		config->unit_size = 0;
	config->static_size = 1 + below(run, 18 * page);
	if (config->unit_size && below(run, 8))
		config->static_size = 1 + below(run, config->unit_size);
	/* end at a page boundary, or up to 3 bytes before it */
	if (config->static_size > page + 4 && !below(run, 4))
		config->static_size -= config->static_size % page +
				       below(run, 4);
	config->free_size = pick_free_size(run, config);
	if (!below(run, 32))
		config->unit_size += below(run, page) - 1;
}

static void pick_config(struct run *run, struct pcpu_config *config)
{
	static uint8_t image[4096];

	config->version = PCPU_VERSION;
	config->cpus = 1 + below(run, 4);
	config->nodes = below(run, config->cpus + 1);
	/* pages of a few bytes: tiny areas fill a chunk */
	config->page_size = 1 << below(run, below(run, 2) ? 9 : 4);
	config->memory = PCPU_MEMORY_NONE;
	if (!below(run, 4)) {
		config->memory = PCPU_MEMORY_MAPPED;
		config->page_size = sysconf(_SC_PAGESIZE) << below(run, 2);
	}
	pick_geometry(run, config);
	if (below(run, 2))
		config->page_limit = below(run, 100);
	if (!below(run, 4))
		config->quirks = PCPU_QUIRK_ROLLBACK;
	memset(image, 0xa5, sizeof(image));
	config->static_image = image;
	config->static_image_size = (size_t)
		below(run, (config->static_size < 4096 ? config->static_size :
							 4096) + 1);
	config->log = swallow;
}

/* bytes after the static area, as documented for the three set-ups */
static int64_t first_free_size(const struct pcpu_config *config,
			       const struct pcpu_info *info)
{
	int64_t page = config->page_size;
	int64_t end = config->static_size + (24 << 10);

	if (config->free_size)
		return config->free_size;
	if (config->first_chunk == PCPU_FIRST_REMAP)
		return (end + page - 1) / page * page - config->static_size;
	return info->unit_size - config->static_size;
}

static bool build(struct run *run)
{
	struct pcpu_config config = { 0 };
	struct pcpu_info info;
	struct pcpu *pcpu;
	int error = 0;

	pick_config(run, &config);
	pcpu = pcpu_create(&config, &error);
	if (!pcpu) {
		MUST(error == -PCPU_E_CONFIG);
		return false;
	}
	MUST(!error);
	MUST(!pcpu_info(pcpu, &info));
	run->o.most_pages = config.page_limit *
			    (config.nodes ? config.nodes : 1);
	run->o.mapped = config.memory == PCPU_MEMORY_MAPPED;
	run->o.rollback = config.quirks & PCPU_QUIRK_ROLLBACK;
	run->o.static_image = (int64_t)config.static_image_size;
	oracle_start(&run->o, pcpu, first_free_size(&config, &info));
	return true;
}

/* --- requests */

/* the size of a free range, or up to 3 bytes less */
static int64_t pick_filling(struct run *run)
{
	const struct pcpu_chunk_info *chunk = &run->o.snap->chunks[
		below(run, run->o.snap->nr_chunks)];
	int64_t entry = chunk->map_used ? below(run, chunk->map_used) : 0;

	for (int64_t i = 0; i < chunk->map_used; i++, entry++) {
		int size = chunk->map[entry % chunk->map_used];

		if (size > 0)
			return size - below(run, size < 4 ? size : 4);
	}
	return chunk->free_size - below(run, 4);
}

static int64_t pick_size(struct run *run)
{
	int64_t max = run->o.info.max_size, page = run->o.info.page_size;

	switch (below(run, 16)) {
	case 0:
		return 1 + below(run, max);
	case 1:
		return max - below(run, 5);
	case 2:
		return page * (1 + below(run, 16));
	case 3:
		return page + below(run, 9) - 4;
	case 4:
		return max + below(run, 2);
	case 5:
		switch (below(run, 8)) {
		case 0:
			return input_int64(&run->in);
		case 1:
			return INT64_MIN;
		case 2:
			return ((int64_t)1 << 32) + 4;
		default:
			return below(run, 2) - 1;
		}
	case 6:
	case 7:
	case 8:
		return max < 64 ? 1 + below(run, 2) : 4 * (1 + below(run, 16));
	case 9:
	case 10:
		return 1 + below(run, 4);
	case 11:
	case 12:
		return pick_filling(run);
	default:
		return 1 + below(run, max < 160 ? max / 4 : 40);
	}
}

static int64_t pick_align(struct run *run)
{
	int64_t page = run->o.info.page_size;
	int64_t align = below(run, 4) ? (int64_t)1 << below(run, 14) : 1;

	if (align <= page)
		return align;
	switch (below(run, 8)) {
	case 0:
		return input_int64(&run->in);
	case 1:
		return below(run, 8) - 1;
	case 2:
		return align;
	case 3:
		return page;
	default:
		return page < 8 ? page : 4;
	}
}

static struct area *pick_live(struct run *run)
{
	return run->o.nr_live ? &run->o.live[below(run, run->o.nr_live)] : NULL;
}

/* a live area's pointer, or one that is probably invalid */
static int64_t pick_pointer(struct run *run)
{
	const struct pcpu_info *info = &run->o.info;
	const struct area *area = pick_live(run);
	int64_t ptr = area ? area->ptr : info->static_ptr;
	const struct pcpu_chunk_info *chunk = &run->o.snap->chunks[
		below(run, run->o.snap->nr_chunks)];

	switch (below(run, 16)) {
	case 0:
		return ptr + 1;
	case 1:
		return ptr + below(run, info->unit_size);
	case 2:
		return ptr + info->unit_size * below(run, info->cpus + 1);
	case 3:
		return ptr + ((int64_t)1 << 32);
	case 4:
		return info->static_ptr + below(run, info->static_size);
	case 5:
		return run->freed;
	case 6:
		return input_int64(&run->in);
	case 7:
		return chunk->ptr + info->unit_size * info->cpus - 1 +
		       below(run, 3);
	case 8:
		return chunk->ptr + below(run, info->unit_size);
	default:
		return ptr;
	}
}

/* --- results */

static bool service_may_fail(const struct run *run, int64_t error)
{
	int64_t service = -error - PCPU_E_NOMEM;

	return service >= 0 && service < PCPU_NR_SERVICES &&
	       (run->armed[service] ||
		(run->o.most_pages && service == PCPU_ALLOC_PAGE));
}

/* note the area or the failure of a valid request */
static void note_result(struct run *run, int64_t ptr, int64_t size,
			int64_t align, bool in_replay)
{
	if (ptr > 0) {
		live_add(&run->o, ptr, size, align, in_replay);
		return;
	}
	MUST(service_may_fail(run, ptr));
	note_failure(&run->o, ptr);
}

static bool is_full(const struct run *run, int more)
{
	return run->o.nr_live + more > MAX_LIVE;
}

/* --- operations; each returns whether the allocator may have changed */

static bool do_alloc(struct run *run)
{
	int64_t size = pick_size(run), align = pick_align(run);
	int64_t ptr;
	int error;

	if (is_full(run, 1))
		return false;
	error = expect_request(&run->o, size, align);
	ptr = pcpu_alloc(run->o.pcpu, size, align);
	if (error) {
		MUST(ptr == error);
		return false;
	}
	note_result(run, ptr, size, align, false);
	return true;
}

/* only the replay may free its own areas */
static bool replay_owns(struct run *run, int64_t ptr)
{
	struct area *area = live_find(&run->o, ptr);

	return area && area->in_replay;
}

static bool free_pointer(struct run *run, int64_t ptr)
{
	struct pcpu_location location;
	int error;

	if (replay_owns(run, ptr))
		return false;
	error = free_error(&run->o, ptr);
	MUST(pcpu_free(run->o.pcpu, ptr) == error);
	if (error || !ptr)
		return false;
	live_del(&run->o, ptr);
	/* a free never destroys the chunk of its own area */
	MUST(pcpu_locate(run->o.pcpu, ptr, &location) == -PCPU_E_NOT_LIVE);
	run->freed = ptr;
	return true;
}

static bool do_free(struct run *run)
{
	struct area *area = pick_live(run);

	return area && free_pointer(run, area->ptr);
}

static bool do_free_anything(struct run *run)
{
	return free_pointer(run, pick_pointer(run));
}

/* write an integer of @width bytes, as pcpu_alloc_many() reads it */
static void put(uint8_t *array, int width, int i, int64_t value)
{
	size_t bytes = (size_t)abs(width);
	const uint8_t *low = (const uint8_t *)&value;

#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	low += sizeof(value) - bytes;
#endif
	memcpy(array + (size_t)i * bytes, low, bytes);
}

static bool fits(int width, int64_t value)
{
	int bits = abs(width) * 8;

	if (bits == 64)
		return true;
	if (width > 0)
		return value >= 0 && value < (int64_t)1 << bits;
	return value >= -((int64_t)1 << (bits - 1)) &&
	       value < (int64_t)1 << (bits - 1);
}

static int pick_width(struct run *run)
{
	static const int widths[] = { 8, -8, 4, -4, 2, -2, 1, -1 };

	return widths[below(run, COUNT(widths))];
}

static bool do_alloc_many(struct run *run)
{
	uint8_t array[MAX_BATCH * 8];
	int64_t sizes[MAX_BATCH], ptrs[MAX_BATCH];
	int n = (int)below(run, MAX_BATCH + 1), width = pick_width(run);
	int64_t align = pick_align(run);
	int error, expected, bad = 0;
	size_t at = 99;

	if (is_full(run, n))
		return false;
	for (int i = 0; i < n; i++) {
		sizes[i] = pick_size(run);
		if (!fits(width, sizes[i]))
			sizes[i] = 1;
		put(array, width, i, sizes[i]);
	}
	expected = expect_request(&run->o, 1, align);
	for (int i = 0; i < n && !expected; i++) {
		expected = expect_request(&run->o, sizes[i], align);
		bad = i;
	}
	error = pcpu_alloc_many(run->o.pcpu, array, width, (size_t)n, align,
				ptrs, &at);
	if (expected) {
		MUST(error == expected && at == (size_t)bad);
		return false;
	}
	if (error) {
		MUST(at < (size_t)n);
		note_result(run, error, sizes[at], align, false);
		return true;
	}
	for (int i = 0; i < n; i++)
		note_result(run, ptrs[i], sizes[i], align, false);
	return n > 0;
}

static bool do_free_many(struct run *run)
{
	uint8_t array[MAX_BATCH * 8] = { 0 };
	int64_t ptrs[MAX_BATCH];
	int n = (int)below(run, MAX_BATCH + 1), width = pick_width(run);
	int expected = 0, bad = 0;
	bool good_ones = below(run, 2), some = false;
	size_t at = 99;

	for (int i = 0; i < n; i++) {
		struct area *area = pick_live(run);

		ptrs[i] = good_ones && area ? area->ptr : pick_pointer(run);
		if (i && !below(run, 8))
			ptrs[i] = ptrs[below(run, i)];
		if (!fits(width, ptrs[i]) || replay_owns(run, ptrs[i]))
			ptrs[i] = 0;
		put(array, width, i, ptrs[i]);
		some = some || ptrs[i];
	}
	for (int i = 0; i < n && !expected; i++) {
		expected = free_error(&run->o, ptrs[i]);
		for (int j = 0; j < i && ptrs[i] && !expected; j++) {
			if (ptrs[j] == ptrs[i])
				expected = -PCPU_E_NOT_LIVE;
		}
		bad = i;
	}
	MUST(pcpu_free_many(run->o.pcpu, array, width, (size_t)n, &at) ==
	     expected);
	if (expected) {
		MUST(at == (size_t)bad);
		return false;
	}
	for (int i = 0; i < n; i++) {
		if (ptrs[i])
			live_del(&run->o, ptrs[i]);
	}
	return some;
}

static bool do_unknown_width(struct run *run)
{
	static const int widths[] = { 0, 3, -5, 16, INT32_MAX };
	int width = widths[below(run, COUNT(widths))];
	int64_t number = 8, ptr;
	size_t at;

	MUST(pcpu_alloc_many(run->o.pcpu, &number, width, 1, 8, &ptr, &at) ==
	     -PCPU_E_CONFIG);
	MUST(pcpu_free_many(run->o.pcpu, &number, width, 1, &at) ==
	     -PCPU_E_CONFIG);
	return false;
}

static bool do_locate(struct run *run)
{
	int64_t ptr = pick_pointer(run);
	struct answer answer = look_up(&run->o, ptr);
	struct pcpu_location location;

	MUST(pcpu_locate(run->o.pcpu, ptr, &location) == answer.error);
	if (!answer.error) {
		MUST(location.chunk == answer.chunk);
		MUST(location.offset == answer.offset);
		MUST(location.size == answer.size);
	}
	return false;
}

static int address_error(const struct run *run, int64_t ptr, int64_t cpu)
{
	struct answer answer = look_up(&run->o, ptr);

	if (answer.error)
		return answer.error;
	if (cpu < 0 || cpu >= run->o.info.cpus)
		return -PCPU_E_CPU;
	return run->o.mapped ? 0 : -PCPU_E_NO_MEMORY_MAPPED;
}

static int64_t pick_cpu(struct run *run)
{
	return below(run, 8) ? below(run, run->o.info.cpus) :
			       below(run, run->o.info.cpus + 2) - 1;
}

static bool do_address(struct run *run)
{
	int64_t ptr = pick_pointer(run), cpu = pick_cpu(run);
	int error = address_error(run, ptr, cpu);
	int64_t address = pcpu_address(run->o.pcpu, ptr, cpu);
	int64_t first = pcpu_address(run->o.pcpu, run->o.info.static_ptr, 0);

	if (error)
		MUST(address == error);
	else
		MUST(address - first == ptr - run->o.info.static_ptr +
					cpu * run->o.info.unit_size);
	return false;
}

/* the requested bytes; a pin makes all of them accessible */
static int64_t requested(struct run *run, int64_t ptr)
{
	const struct area *area = live_find(&run->o, ptr);

	return area ? area->size : run->o.info.static_size;
}

static bool do_pin(struct run *run)
{
	struct viewer *viewer = &run->viewers[below(run, NR_PINS)];
	int64_t ptr = pick_pointer(run), cpu = pick_cpu(run);
	int error = address_error(run, ptr, cpu);
	struct area *area = live_find(&run->o, ptr);

	if (!error && run->o.rollback)
		error = -PCPU_E_ROLLBACK;
	if (viewer->busy)
		error = -PCPU_E_IN_USE;
	MUST(pcpu_pin(run->o.pcpu, ptr, cpu, &viewer->pin) == error);
	if (error)
		return false;
	MUST(viewer->pin.address == pcpu_address(run->o.pcpu, ptr, cpu));
	MUST(viewer->pin.size >= requested(run, ptr));
	MUST(viewer->pin.size <= look_up(&run->o, ptr).size);
	/* read the last byte, which must be populated */
	((volatile uint8_t *)(uintptr_t)viewer->pin.address)
		[viewer->pin.size - 1];
	viewer->busy = true;
	area ? area->pins++ : run->o.static_pins++;
	return false;
}

static bool unpin(struct run *run, struct viewer *viewer)
{
	struct area *area = live_find(&run->o, viewer->pin.ptr);
	struct pcpu_pin copy = viewer->pin;

	pcpu_unpin(&copy);	/* does nothing */
	if (viewer->busy)
		area ? area->pins-- : run->o.static_pins--;
	viewer->busy = false;
	pcpu_unpin(&viewer->pin);
	return false;
}

static bool do_unpin(struct run *run)
{
	return unpin(run, &run->viewers[below(run, NR_PINS)]);
}

static const int sites[] = { PCPU_KMALLOC, PCPU_VMALLOC, PCPU_GET_VM_AREA,
			     PCPU_ALLOC_PAGE, PCPU_MAP };

static bool do_inject(struct run *run)
{
	static const double chances[] = { 1, 1, 1, 0.5, 0.1, 1e-12, 0, -1, 2,
					  NAN };
	static const int64_t times[] = { 1, -1, 2, 3, 0, -2 };
	struct pcpu_fault fault = {
		.nth = (uint64_t)below(run, 12),
		.interval = (uint64_t)below(run, 5),
		.times = times[below(run, COUNT(times))],
		.probability = chances[below(run, COUNT(chances))],
		.seed = input_byte(&run->in),
	};
	int site = (int)below(run, 16);

	if (below(run, 8) == 0) {
		bool known = false;

		for (size_t i = 0; i < COUNT(sites); i++)
			known = known || sites[i] == site - 1;
		MUST(known || pcpu_inject(run->o.pcpu, site - 1, &fault) ==
			      -PCPU_E_SITE);
		return false;
	}
	site = sites[(size_t)site % COUNT(sites)];
	if (below(run, 4) == 0) {
		MUST(!pcpu_inject(run->o.pcpu, site, NULL));
		run->armed[site] = false;
		return false;
	}
	if (fault.nth && fault.interval && fault.times && fault.times >= -1 &&
	    fault.probability > 0 && fault.probability <= 1) {
		MUST(!pcpu_inject(run->o.pcpu, site, &fault));
		run->armed[site] = true;
	} else {
		MUST(pcpu_inject(run->o.pcpu, site, &fault) == -PCPU_E_CONFIG);
	}
	return false;
}

/* some services always fail from now on, the others never */
static bool do_starve(struct run *run)
{
	const struct pcpu_fault always = { 1, 1, -1, 1.0, 0 };
	int64_t which = below(run, 1 << COUNT(sites));

	for (size_t i = 0; i < COUNT(sites); i++) {
		bool armed = which >> i & 1;

		MUST(!pcpu_inject(run->o.pcpu, sites[i],
				  armed ? &always : NULL));
		run->armed[sites[i]] = armed;
	}
	return false;
}

/* check the result of one operation of a replay, and note it */
static void note_replayed(struct run *run, const struct pcpu_op *op,
			  struct pcpu_replay_handle *handle, int64_t result)
{
	const struct pcpu_kind *kind = &run->kinds[op->kind % NR_KINDS];
	struct area *area;
	int error;

	if (handle->ptr) {
		area = live_find(&run->o, handle->ptr);
		MUST(area && area->in_replay && area->size == handle->size);
		if (area->pins) {
			MUST(result == -PCPU_E_PINNED);
			return;
		}
		if (op->kind == PCPU_OP_FREE)
			MUST(result == handle->ptr);
		live_del(&run->o, handle->ptr);
		*handle = (struct pcpu_replay_handle){ 0, 0 };
	} else if (op->kind == PCPU_OP_FREE) {
		MUST(result == 0);
	}
	if (op->kind == PCPU_OP_FREE)
		return;
	error = expect_request(&run->o, kind->size, kind->align);
	if (error) {
		MUST(result == error);
		return;
	}
	note_result(run, result, kind->size, kind->align, true);
	if (result > 0)
		*handle = (struct pcpu_replay_handle){ result, kind->size };
}

static bool op_is_valid(const struct pcpu_op *op)
{
	if (op->kind == PCPU_OP_FREE)
		return op->handle < NR_HANDLES || op->handle == PCPU_OP_ORPHAN;
	return op->kind < NR_KINDS && op->handle < NR_HANDLES;
}

static struct pcpu_op pick_op(struct run *run)
{
	uint32_t choice = input_byte(&run->in);
	struct pcpu_op op = { choice, choice % NR_HANDLES, PCPU_OP_FREE };

	if (choice & 0x80)
		op.kind = choice / NR_HANDLES % NR_KINDS;
	if (choice == 0x7f)
		op.handle = PCPU_OP_ORPHAN;
	if (choice == 0xff)
		op.handle = NR_HANDLES;
	if (choice == 0xfe)
		op.kind = NR_KINDS;
	return op;
}

static bool do_replay(struct run *run)
{
	struct pcpu_op ops[MAX_REPLAY];
	int64_t pointers[MAX_REPLAY], live_bytes = 0;
	struct pcpu_replay_handle handles[NR_HANDLES];
	int n = (int)below(run, MAX_REPLAY + 1);
	uint64_t failures = run->replay.failures;
	bool valid = true;

	if (is_full(run, n))
		return false;
	for (int i = 0; i < n; i++) {
		ops[i] = pick_op(run);
		valid = valid && op_is_valid(&ops[i]);
	}
	run->replay.ops = ops;
	run->replay.pointers = pointers;
	memcpy(handles, run->handles, sizeof(handles));
	MUST(pcpu_replay_check(&run->replay, (size_t)n) ==
	     (valid ? 0 : -PCPU_E_TRACE));
	if (valid)
		MUST(!pcpu_replay(run->o.pcpu, &run->replay, 0, (size_t)n));
	for (int i = 0; i < n && valid; i++) {
		if (ops[i].handle == PCPU_OP_ORPHAN)
			MUST(pointers[i] == 0);
		else
			note_replayed(run, &ops[i], &handles[ops[i].handle],
				      pointers[i]);
		failures += pointers[i] < 0;
	}
	for (int i = 0; i < NR_HANDLES; i++) {
		MUST(handles[i].ptr == run->handles[i].ptr);
		MUST(handles[i].size == run->handles[i].size);
		live_bytes += handles[i].size;
	}
	MUST(run->replay.failures == failures);
	MUST(run->replay.live_bytes == live_bytes);
	MUST(run->replay.peak_live_bytes >= live_bytes);
	MUST(run->replay.peak_pages >= run->replay.pages_at_peak);
	return valid && n > 0;
}

/* --- the end */

/* a closed allocator refuses every call */
static void use_closed(struct run *run)
{
	struct pcpu *pcpu = run->o.pcpu;
	struct pcpu_location location;
	struct pcpu_pin pin = { 0 };
	uint64_t calls[PCPU_NR_SERVICES];
	int64_t ptr = run->o.info.static_ptr, numbers[1] = { 8 };
	size_t at;
	int error;

	MUST(pcpu_alloc(pcpu, 8, 1) == -PCPU_E_CLOSED);
	MUST(pcpu_free(pcpu, ptr) == -PCPU_E_CLOSED);
	MUST(pcpu_free(pcpu, 0) == -PCPU_E_CLOSED);
	MUST(pcpu_locate(pcpu, ptr, &location) == -PCPU_E_CLOSED);
	MUST(pcpu_address(pcpu, ptr, 0) == -PCPU_E_CLOSED);
	MUST(pcpu_pin(pcpu, ptr, 0, &pin) == -PCPU_E_CLOSED);
	pcpu_unpin(&pin);
	MUST(pcpu_alloc_many(pcpu, numbers, 8, 1, 1, numbers, &at) ==
	     -PCPU_E_CLOSED);
	MUST(pcpu_free_many(pcpu, numbers, 8, 1, &at) == -PCPU_E_CLOSED);
	MUST(pcpu_replay(pcpu, &run->replay, 0, 0) == -PCPU_E_CLOSED);
	MUST(!pcpu_snapshot_take(pcpu, &error) && error == -PCPU_E_CLOSED);
	MUST(pcpu_info(pcpu, &run->o.info) == -PCPU_E_CLOSED);
	MUST(pcpu_counters(pcpu, calls) == -PCPU_E_CLOSED);
	MUST(pcpu_inject(pcpu, PCPU_MAP, NULL) == -PCPU_E_CLOSED);
	MUST(!pcpu_close(pcpu));
}

static bool has_pins(const struct run *run)
{
	for (int i = 0; i < NR_PINS; i++) {
		if (run->viewers[i].busy)
			return true;
	}
	return false;
}

/* return whether the allocator is closed now */
static bool do_close(struct run *run)
{
	if (has_pins(run)) {
		MUST(pcpu_close(run->o.pcpu) == -PCPU_E_PINNED);
		oracle_check(&run->o, false);
		return false;
	}
	MUST(!pcpu_close(run->o.pcpu));
	use_closed(run);
	return true;
}

/* free everything: the first chunk and at most one empty chunk remain */
static void drain(struct run *run)
{
	struct oracle *o = &run->o;

	for (int i = 0; i < NR_PINS; i++)
		unpin(run, &run->viewers[i]);
	while (o->nr_live) {
		int64_t ptr = o->live[o->nr_live / 2].ptr;

		MUST(!pcpu_free(o->pcpu, ptr));
		live_del(o, ptr);
		oracle_check(o, true);
	}
	MUST(o->info.chunks <= 2);
	MUST(o->snap->chunks[0].map_used <= 2);
	if (o->info.chunks == 2)
		MUST(o->snap->chunks[1].free_size == o->info.unit_size);
}

static bool is_reserved(int64_t address)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	unsigned char in_core;

	return !mincore((void *)(uintptr_t)(address / page * page), 1,
			&in_core);
}

/* the memory is released with the last pin */
static void destroy(struct run *run)
{
	int left = 0;

	pcpu_destroy(run->o.pcpu);
	for (int i = 0; i < NR_PINS; i++)
		left += run->viewers[i].busy;
	for (int i = 0; i < NR_PINS; i++) {
		struct viewer *viewer = &run->viewers[i];

		if (!viewer->busy)
			continue;
		MUST(is_reserved(viewer->pin.address));
		pcpu_unpin(&viewer->pin);
		MUST(is_reserved(viewer->pin.address) == (--left > 0));
	}
}

/* the common ones are listed several times */
static bool (*const operations[])(struct run *run) = {
	do_alloc, do_alloc, do_alloc, do_alloc, do_alloc, do_alloc,
	do_free, do_free, do_free, do_free,
	do_free_anything,
	do_alloc_many, do_alloc_many,
	do_free_many, do_free_many,
	do_inject, do_starve,
	do_replay, do_replay,
	do_pin, do_unpin,
	do_locate, do_address,
	do_unknown_width,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct run run;
	bool closed = false;

	memset(&run, 0, sizeof(run));
	run.in = (struct input){ data, data + size };
	if (!build(&run))
		return 0;
	for (int i = 0; i < NR_KINDS; i++)
		run.kinds[i] = (struct pcpu_kind){ pick_size(&run),
						   pick_align(&run), 0 };
	run.replay.kinds = run.kinds;
	run.replay.nr_kinds = NR_KINDS;
	run.replay.handles = run.handles;
	run.replay.nr_handles = NR_HANDLES;

	for (int i = 0; i < MAX_OPERATIONS && !closed && input_left(&run.in);
	     i++) {
		uint8_t choice = input_byte(&run.in);
		bool changed;

		if (choice == 0xff) {
			closed = do_close(&run);
			continue;
		}
		changed = operations[choice % COUNT(operations)](&run);
		oracle_check(&run.o, changed);
	}
	if (!closed && size % 2)
		drain(&run);
	oracle_stop(&run.o);
	destroy(&run);
	return 0;
}
