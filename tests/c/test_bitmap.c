// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bitmap.c - the public functions with bitmaps: requests, pointers, pins,
 * snapshots, figures, events, replays and batches.
 */
#include "creator.h"
#include "small_bitmap.h"

#define HOST_PAGE	((int64_t)sysconf(_SC_PAGESIZE))
#define COUNT(array)	(sizeof(array) / sizeof((array)[0]))

/* the first chunk's pointer, see small_bitmap.h */
#define FIRST	(BASE + STATIC)

static struct pcpu *quiet(int64_t cpus, int64_t reserved)
{
	struct pcpu_config config = bitmap_config(cpus);

	config.log = ignore_text;
	config.reserved_size = reserved;
	return create(&config);
}

/* --- requests */

TEST(a_size_is_rounded_up_to_granules)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 1, 4), "0:0");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 4, 4), "0:4");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 5, 4), "0:8");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 8, 4), "0:16");
	CHECK_AREAS(pcpu, 0, "-4 -4 -8 -8 232 (free 232 hint 232)");
	CHECK(info_of(pcpu).min_size == 4 && info_of(pcpu).max_size_seen == 8);
	pcpu_destroy(pcpu);
}

TEST(an_alignment_below_4_is_4)
{
	struct pcpu *pcpu = small_bitmap();

	for (int align = 0; align < 4; align++)
		CHECK(pcpu_alloc(pcpu, 1, align) == FIRST + 4 * align);
	CHECK(pcpu_alloc(pcpu, 1, 8) == FIRST + 16);
	pcpu_destroy(pcpu);
}

TEST(an_alignment_is_a_power_of_two_up_to_a_page)
{
	struct pcpu *pcpu = quiet(1, 0);

	CHECK(pcpu_alloc(pcpu, 4, 64) == FIRST);
	CHECK(pcpu_alloc(pcpu, 4, 64) == FIRST + 64);
	CHECK(pcpu_alloc(pcpu, 4, 128) == -PCPU_E_ALIGN);
	CHECK(pcpu_alloc(pcpu, 4, 12) == -PCPU_E_ALIGN);
	CHECK(pcpu_alloc(pcpu, 4, 5) == -PCPU_E_ALIGN);
	CHECK(pcpu_alloc(pcpu, 4, -1) == -PCPU_E_ALIGN);
	CHECK(pcpu_alloc(pcpu, 4, INT64_MIN) == -PCPU_E_ALIGN);
	CHECK(pcpu_alloc(pcpu, 4, INT64_MAX) == -PCPU_E_ALIGN);
	CHECK(info_of(pcpu).areas == 2);
	pcpu_destroy(pcpu);
}

TEST(a_size_is_at_most_8_pages)
{
	static const int64_t sizes[] = {
		0, -1, -4, 513, 516, 1024, INT64_MAX, INT64_MAX - 1,
		INT64_MAX - 3, INT64_MAX - 4, INT64_MAX - 5, INT64_MIN,
	};
	struct pcpu *pcpu = quiet(1, 0);

	CHECK(info_of(pcpu).max_size == LARGEST);
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 512, 4), "1:0");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 509, 4), "1:512");
	for (size_t i = 0; i < COUNT(sizes); i++) {
		CHECK(pcpu_alloc(pcpu, sizes[i], 4) == -PCPU_E_SIZE);
		CHECK(pcpu_alloc_gfp(pcpu, sizes[i], 4, PCPU_ATOMIC) ==
		      -PCPU_E_SIZE);
	}
	CHECK(info_of(pcpu).areas == 2);
	CHECK(calls_of(pcpu, PCPU_WARN) == 2 * COUNT(sizes));
	pcpu_destroy(pcpu);
}

TEST(flags_that_do_not_exist_are_refused)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, 4) == -PCPU_E_FLAGS);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, PCPU_ATOMIC | 8) == -PCPU_E_FLAGS);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, UINT32_MAX) == -PCPU_E_FLAGS);
	CHECK(info_of(pcpu).areas == 0);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, PCPU_ATOMIC | PCPU_RESERVED) == FIRST);
	CHECK(pcpu_alloc_gfp(NULL, 8, 4, 0) == -PCPU_E_NULL);
	CHECK(!pcpu_close(pcpu));
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, 0) == -PCPU_E_CLOSED);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, 4) == -PCPU_E_CLOSED);
	pcpu_destroy(pcpu);
}

TEST(area_maps_refuse_all_flags)
{
	struct pcpu *pcpu = small(1);

	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, PCPU_ATOMIC) == -PCPU_E_FLAGS);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED) == -PCPU_E_FLAGS);
	CHECK(info_of(pcpu).areas == 0);
	CHECK(pcpu_alloc_gfp(pcpu, 8, 4, 0) == BASE + STATIC);
	pcpu_destroy(pcpu);
}

/* --- pointers */

TEST(a_freed_area_is_served_again)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptr = pcpu_alloc(pcpu, 8, 4);

	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_NOT_LIVE);
	CHECK(info_of(pcpu).areas == 0 && info_of(pcpu).max_areas == 1);
	CHECK(pcpu_alloc(pcpu, 16, 4) == ptr);
	CHECK(!pcpu_free(pcpu, 0));
	pcpu_destroy(pcpu);
}

/*
 *	unit 0				unit 1
 *	|static|reserved|first  | ...  |static| ...
 *	0     128      192    448    1024
 */
TEST(a_bad_pointer_is_refused_with_its_reason)
{
	struct pcpu *pcpu = quiet(2, 64);
	int64_t reserved = pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED);
	int64_t first = pcpu_alloc(pcpu, 8, 4);
	int64_t other = pcpu_alloc(pcpu, 300, 4);

	CHECK(reserved == BASE + 128 && first == BASE + 192);
	CHECK(pcpu_free(pcpu, BASE - 1) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE) == -PCPU_E_STATIC);
	CHECK(pcpu_free(pcpu, BASE + 1) == -PCPU_E_STATIC);
	CHECK(pcpu_free(pcpu, BASE + 127) == -PCPU_E_STATIC);
	CHECK(pcpu_free(pcpu, reserved + 4) == -PCPU_E_INTERIOR);
	CHECK(pcpu_free(pcpu, reserved + 1) == -PCPU_E_INTERIOR);
	CHECK(pcpu_free(pcpu, reserved + 8) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, first + 7) == -PCPU_E_INTERIOR);
	CHECK(pcpu_free(pcpu, first + 9) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, BASE + 447) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, BASE + 448) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 1023) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 1024) == -PCPU_E_OTHER_UNIT);
	CHECK(pcpu_free(pcpu, first + 1024) == -PCPU_E_OTHER_UNIT);
	CHECK(pcpu_free(pcpu, BASE + 2047) == -PCPU_E_OTHER_UNIT);
	CHECK(other == BASE + 2048);
	CHECK(pcpu_free(pcpu, other + 2048) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, other + 4) == -PCPU_E_INTERIOR);
	CHECK(pcpu_free(pcpu, other + 300) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, other + 1024) == -PCPU_E_OTHER_UNIT);
	CHECK(pcpu_free(pcpu, other + 1023) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, -5) == -PCPU_E_WILD);
	CHECK(info_of(pcpu).areas == 3);
	CHECK(!pcpu_free(pcpu, other) && !pcpu_free(pcpu, first));
	CHECK(!pcpu_free(pcpu, reserved));
	pcpu_destroy(pcpu);
}

/* granules that are hidden at either end belong to no area
 *
 *	static 129, reserved 60: 132 to 192
 */
TEST(a_pointer_to_hidden_granules_is_wild)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.static_size = 129;
	config.reserved_size = 60;
	pcpu = create(&config);
	CHECK(pcpu_free(pcpu, BASE + 128) == -PCPU_E_STATIC);
	CHECK(pcpu_free(pcpu, BASE + 129) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 131) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 132) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, BASE + 191) == -PCPU_E_NOT_LIVE);
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 60, 4, PCPU_RESERVED), "-1:4");
	CHECK(pcpu_free(pcpu, BASE + 191) == -PCPU_E_INTERIOR);
	CHECK(pcpu_free(pcpu, BASE + 192) == -PCPU_E_NOT_LIVE);
	pcpu_destroy(pcpu);

	config.reserved_size = 0;
	pcpu = create(&config);
	CHECK(pcpu_free(pcpu, BASE + 129) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 132) == -PCPU_E_NOT_LIVE);
	pcpu_destroy(pcpu);
}

/* the first chunk begins with the page after: the offset is -2, or -1 */
TEST(a_pointer_between_the_static_area_and_the_first_chunk_is_wild)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.static_size = 126;
	pcpu = create(&config);
	CHECK(pcpu_free(pcpu, BASE + 126) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 127) == -PCPU_E_WILD);
	CHECK(pcpu_free(pcpu, BASE + 128) == -PCPU_E_NOT_LIVE);
	pcpu_destroy(pcpu);
}

/* the static area is in no chunk: before offset 0 of the first one */
TEST(the_static_area_is_located_before_the_first_chunk)
{
	struct pcpu *pcpu = quiet(1, 64);
	struct pcpu_location at;

	CHECK(!pcpu_locate(pcpu, BASE, &at));
	CHECK(at.chunk == 0 && at.offset == -192 && at.size == STATIC);
	CHECK(pcpu_locate(pcpu, BASE + 4, &at) == -PCPU_E_STATIC);
	CHECK(!pcpu_locate(pcpu, pcpu_alloc(pcpu, 10, 4), &at));
	CHECK(at.chunk == 0 && at.offset == 0 && at.size == 12);
	pcpu_destroy(pcpu);
}

/* --- memory */

static struct pcpu *mapped(int64_t reserved)
{
	struct pcpu_config config = mapped_config(2);

	config.policy = PCPU_POLICY_BITMAP;
	config.reserved_size = reserved;
	return create(&config);
}

static void check_cleared(struct pcpu *pcpu, int size)
{
	for (int round = 0; round < 2; round++) {
		int64_t ptr = pcpu_alloc(pcpu, size - 2, 4);

		for (int cpu = 0; cpu < 2; cpu++) {
			char *at = (char *)(uintptr_t)pcpu_address(pcpu, ptr,
								   cpu);
			int set = 0;

			for (int i = 0; i < size; i++)
				set += at[i] != 0;
			CHECK(!set);
			memset(at, 0x55, (size_t)size);
		}
		CHECK(!pcpu_free(pcpu, ptr));
	}
}

/* in the first chunk, and at the start of another */
TEST(an_area_is_zero_on_every_cpu_also_when_reused)
{
	struct pcpu *pcpu = mapped(0);

	check_cleared(pcpu, 12);
	check_cleared(pcpu, 32768);
	pcpu_destroy(pcpu);
}

/* also the static area, and areas of a chunk that starts in the unit */
TEST(addresses_of_copies_are_a_unit_apart)
{
	struct pcpu *pcpu = mapped(8192);
	int64_t unit = info_of(pcpu).unit_size;
	int64_t ptrs[] = { info_of(pcpu).static_ptr,
			   pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED),
			   pcpu_alloc(pcpu, 8, 4), pcpu_alloc(pcpu, 32768, 4) };
	int64_t start = pcpu_address(pcpu, ptrs[0], 0);

	for (int i = 0; i < 4; i++)
		CHECK(pcpu_address(pcpu, ptrs[i], 1) ==
		      pcpu_address(pcpu, ptrs[i], 0) + unit);
	for (int i = 1; i < 3; i++)
		CHECK(pcpu_address(pcpu, ptrs[i], 0) - start ==
		      ptrs[i] - ptrs[0]);
	CHECK(pcpu_address(pcpu, ptrs[2], 2) == -PCPU_E_CPU);
	pcpu_destroy(pcpu);
}

TEST(a_pin_keeps_an_area_and_has_its_size)
{
	struct pcpu *pcpu = mapped(8192);
	int64_t ptrs[] = { info_of(pcpu).static_ptr,
			   pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED),
			   pcpu_alloc(pcpu, 10000, 4),
			   pcpu_alloc(pcpu, 32768, 4) };
	static const int64_t sizes[] = { STATIC, 8, 10000, 32768 };

	for (int i = 0; i < 4; i++) {
		struct pcpu_pin pin = { 0 };

		CHECK(!pcpu_pin(pcpu, ptrs[i], 1, &pin));
		CHECK(pin.address == pcpu_address(pcpu, ptrs[i], 1));
		CHECK(pin.size == sizes[i]);
		CHECK(pcpu_free(pcpu, ptrs[i]) ==
		      (i ? -PCPU_E_PINNED : -PCPU_E_STATIC));
		CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
		pcpu_unpin(&pin);
		CHECK(pcpu_free(pcpu, ptrs[i]) == (i ? 0 : -PCPU_E_STATIC));
	}
	pcpu_destroy(pcpu);
}

/* --- snapshots and figures */

TEST(a_snapshot_has_hints_and_blocks)
{
	struct pcpu *pcpu = quiet(2, 64);
	struct pcpu_snapshot *snapshot;
	const struct pcpu_chunk_info *chunk;
	int error = 1;

	pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED);
	pcpu_alloc(pcpu, 8, 4);
	pcpu_alloc(pcpu, 300, 4);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot && !error);
	CHECK(snapshot->nr_chunks == 3 && snapshot->nr_slots == 12);
	CHECK(snapshot->unit_pages == 16);
	/* one CPU: 7 of the first units, 5 of chunk 1 */
	CHECK(snapshot->populated_pages == 12);
	CHECK(snapshot->empty_pages == 3);
	CHECK(!snapshot->balance_requested && !snapshot->atomic_failed);

	chunk = &snapshot->chunks[0];
	CHECK(chunk->id == PCPU_RESERVED_CHUNK && chunk->ptr == BASE + 128);
	CHECK(chunk->nr_blocks == 1 && chunk->immutable);
	CHECK(chunk->max_size == 8);
	CHECK(chunk->populated[0] == 2 && chunk->populated[1] == 0);
	CHECK(same_text(hints_text(&chunk->blocks[0]),
			"14@2 scan 0@0 left 0 right 14 first 2"));
	CHECK(chunk->map_used == 2 && chunk->map[0] == -8);

	chunk = &snapshot->chunks[1];
	CHECK(chunk->id == 0 && chunk->ptr == BASE + 192);
	CHECK(chunk->nr_blocks == 4 && chunk->empty_pages == 3);
	CHECK(chunk->free_size == 248 && chunk->contig_hint == 248);
	CHECK(chunk->map_alloc == 0 && chunk->map_used == 2);
	CHECK(chunk->map[0] == -8 && chunk->map[1] == 248);
	CHECK(chunk->populated[3] == 2 && chunk->populated[4] == 0);
	CHECK(chunk->populated[15] == 0);
	CHECK(same_text(hints_text(&chunk->hints),
			"62@2 scan 0@0 left 64 right 62 first 2"));
	CHECK(chunk->hints.nr_bits == 64 && chunk->blocks[3].nr_bits == 16);
	CHECK(same_text(hints_text(&chunk->blocks[0]),
			"14@2 scan 0@0 left 0 right 14 first 2"));
	CHECK(same_text(hints_text(&chunk->blocks[3]),
			"16@0 scan 0@0 left 16 right 16 first 0"));

	chunk = &snapshot->chunks[2];
	CHECK(chunk->id == 1 && chunk->nr_blocks == 16);
	CHECK(!chunk->immutable && !chunk->isolated && chunk->empty_pages == 0);
	CHECK(chunk->populated[4] == 2 && chunk->populated[5] == 0);
	CHECK(same_text(hints_text(&chunk->blocks[4]),
			"5@11 scan 0@0 left 0 right 5 first 11"));
	CHECK(same_text(hints_text(&chunk->blocks[15]),
			"16@0 scan 0@0 left 16 right 16 first 0"));
	/* it is a copy, and outlives the allocator */
	pcpu_alloc(pcpu, 4, 4);
	pcpu_destroy(pcpu);
	CHECK(chunk->blocks[4].first_free == 11);
	CHECK(snapshot->chunks[0].blocks[0].first_free == 2);
	CHECK(snapshot->chunks[1].blocks[0].first_free == 2);
	pcpu_snapshot_free(snapshot);
}

TEST(a_snapshot_with_area_maps_has_none)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_snapshot *snapshot;
	int error;

	pcpu_alloc(pcpu, 8, 8);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->populated_pages == 0 && snapshot->empty_pages == 0);
	CHECK(!snapshot->balance_requested && !snapshot->atomic_failed);
	CHECK(snapshot->chunks[0].nr_blocks == 0);
	CHECK(snapshot->chunks[0].hints.nr_bits == 0);
	CHECK(!snapshot->chunks[0].blocks && !snapshot->chunks[0].isolated);
	CHECK(snapshot->chunks[0].empty_pages == 0);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

/* an area that follows another one, and free runs between */
TEST(the_map_has_signed_sizes)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t a = alloc(pcpu, 8), b = alloc(pcpu, 4), c = alloc(pcpu, 12);

	CHECK_AREAS(pcpu, 0, "-8 -4 -12 232 (free 232 hint 232)");
	CHECK(!pcpu_free(pcpu, b));
	CHECK_AREAS(pcpu, 0, "-8 4 -12 232 (free 236 hint 232)");
	CHECK(!pcpu_free(pcpu, a));
	CHECK_AREAS(pcpu, 0, "12 -12 232 (free 244 hint 232)");
	alloc(pcpu, 232);
	CHECK_AREAS(pcpu, 0, "12 -12 -232 (free 12 hint 12)");
	(void)c;
	pcpu_destroy(pcpu);
}

TEST(info_has_the_geometry_with_bitmaps)
{
	struct pcpu *pcpu = quiet(3, 64);
	struct pcpu_info info = info_of(pcpu);

	CHECK(info.cpus == 3 && info.page_size == PAGE);
	CHECK(info.unit_size == UNIT && info.static_size == STATIC);
	CHECK(info.reserved_size == 64 && info.free_size == DYN);
	CHECK(info.max_size == LARGEST && info.static_ptr == BASE);
	CHECK(info.chunks == 1 && info.pages == 3 * 7);
	CHECK(info.empty_pages == 4 && info.balance_runs == 0);
	CHECK(!info.balance_requested);
	pcpu_destroy(pcpu);
}

/* the fix reaches each chunk: page 1 drains, and the hint follows */
TEST(the_fix_is_that_of_the_configuration)
{
	struct pcpu_config config = bitmap_config(1);

	for (unsigned int fixes = 0; fixes <= 1; fixes++) {
		struct pcpu *pcpu;
		int64_t ptr;

		config.fixes = fixes;
		pcpu = create(&config);
		alloc(pcpu, 64);
		ptr = alloc(pcpu, 60);
		alloc(pcpu, 132);
		CHECK(!pcpu_free(pcpu, ptr));
		CHECK_AREAS(pcpu, 0, fixes ?
			    "-64 60 -132 (free 60 hint 60)" :
			    "-64 60 -132 (free 60 hint 0)");
		CHECK_LISTS(pcpu, fixes ? "3:0" : "0:0");
		pcpu_destroy(pcpu);
	}
}

/* the fix counts in each block, too: see test_block.c */
TEST(the_fix_reaches_all_chunks)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	int error;

	config.reserved_size = 64;
	config.fixes = PCPU_FIX_CHUNK_HINT;
	pcpu = create(&config);
	pcpu_create_chunk(pcpu, &error);
	for (int id = -1; id <= 1; id++)
		CHECK(chunk_of(pcpu, id)->areas.fixed);
	pcpu_destroy(pcpu);
	pcpu = quiet(1, 64);
	for (int id = -1; id <= 0; id++)
		CHECK(!chunk_of(pcpu, id)->areas.fixed);
	pcpu_destroy(pcpu);
}

/* --- events and hooks */

static char events[2048];

static void note_event(void *arg, const struct pcpu_event *event)
{
	static const char *const names[] = {
		"alloc", "free", "fail", "create", "destroy", "leak",
	};

	(void)arg;
	snprintf(events + strlen(events), sizeof(events) - strlen(events),
		 "%s %d:%d size %d align %d flags %d error %d\n",
		 names[event->kind], (int)event->chunk, (int)event->offset,
		 (int)event->size, (int)event->align, (int)event->flags,
		 event->error);
}

static void note_log(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	strcat(events, text);
	strcat(events, "\n");
}

static struct pcpu *with_events(struct pcpu_config *config,
				struct pcpu_hooks *hooks)
{
	*hooks = (struct pcpu_hooks){ .event = note_event };
	events[0] = '\0';
	config->hooks = hooks;
	config->log = note_log;
	return create(config);
}

/* sizes and alignments as the kernel prints them: rounded */
TEST(events_have_rounded_sizes_and_flags)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;
	int64_t ptr;

	config.reserved_size = 64;
	pcpu = with_events(&config, &hooks);
	ptr = pcpu_alloc(pcpu, 5, 1);
	pcpu_alloc_gfp(pcpu, 4, 8, PCPU_ATOMIC);
	pcpu_alloc_gfp(pcpu, 7, 4, PCPU_ATOMIC | PCPU_RESERVED);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_alloc_gfp(pcpu, 130, 4, PCPU_RESERVED);
	CHECK(same_text(events,
		"alloc 0:0 size 8 align 4 flags 0 error 0\n"
		"alloc 0:8 size 4 align 8 flags 1 error 0\n"
		"alloc -1:0 size 8 align 4 flags 3 error 0\n"
		"free 0:0 size 8 align 0 flags 0 error 0\n"
		"fail 0:0 size 132 align 4 flags 2 error -23\n"));
	pcpu_destroy(pcpu);
}

/* successes, and failures with and without a change of the map */
TEST(events_with_area_maps_have_no_flags)
{
	struct pcpu_config config = small_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;

	pcpu = with_events(&config, &hooks);
	pcpu_alloc(pcpu, 5, 1);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	pcpu_alloc(pcpu, 128, 4);
	fail_at(pcpu, PCPU_KMALLOC, 1);
	pcpu_alloc(pcpu, 1024, 4);
	CHECK(same_text(events,
		"alloc 0:128 size 5 align 1 flags 0 error 0\n"
		"fail 0:0 size 128 align 4 flags 0 error -38\n"
		"fail 0:0 size 1024 align 4 flags 0 error -32\n"));
	pcpu_destroy(pcpu);
}

/* chunks are made before the area; the work destroys after it */
TEST(events_of_chunks_are_in_order)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;
	int error;

	pcpu = with_events(&config, &hooks);
	pcpu_alloc(pcpu, 300, 4);
	pcpu_create_chunk(pcpu, &error);
	pcpu_create_chunk(pcpu, &error);
	CHECK(!pcpu_balance(pcpu, 1, 1));
	CHECK(same_text(events,
		"create 1:0 size 0 align 0 flags 0 error 0\n"
		"alloc 1:0 size 300 align 4 flags 0 error 0\n"
		"create 2:0 size 0 align 0 flags 0 error 0\n"
		"create 3:0 size 0 align 0 flags 0 error 0\n"
		"destroy 2:0 size 0 align 0 flags 0 error 0\n"));
	pcpu_destroy(pcpu);
}

/* all live areas, but neither hidden granules nor the static area */
TEST(close_reports_live_areas)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;

	config.static_size = 136;
	config.reserved_size = 100;
	config.dyn_size = 240;
	pcpu = with_events(&config, &hooks);
	pcpu_alloc(pcpu, 8, 4);
	pcpu_alloc(pcpu, 4, 4);
	pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED);
	pcpu_alloc(pcpu, 300, 4);
	events[0] = '\0';
	CHECK(!pcpu_close(pcpu));
	CHECK(same_text(events,
		"leak -1:8 size 8 align 0 flags 0 error 0\n"
		"leak 0:44 size 8 align 0 flags 0 error 0\n"
		"leak 0:52 size 4 align 0 flags 0 error 0\n"
		"leak 1:0 size 300 align 0 flags 0 error 0\n"
		"closed with 4 areas of 320 bytes still allocated\n"));
	pcpu_destroy(pcpu);
}

TEST(close_reports_nothing_without_live_areas)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;

	config.static_size = 136;
	config.reserved_size = 100;
	pcpu = with_events(&config, &hooks);
	pcpu_destroy(pcpu);
	CHECK(same_text(events, ""));
}

/* an area at the end of a chunk is the last one */
TEST(close_reports_an_area_at_the_end_of_a_unit)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_hooks hooks;
	struct pcpu *pcpu;

	pcpu = with_events(&config, &hooks);
	pcpu_alloc(pcpu, 512, 4);
	pcpu_alloc(pcpu, 512, 4);
	events[0] = '\0';
	pcpu_destroy(pcpu);
	CHECK(same_text(events,
		"leak 1:0 size 512 align 0 flags 0 error 0\n"
		"leak 1:512 size 512 align 0 flags 0 error 0\n"
		"closed with 2 areas of 1024 bytes still allocated\n"));
}

/* memory for all structs comes from the hooks, whichever call fails */
TEST(a_creation_that_runs_out_of_memory_frees_what_it_took)
{
	int n;

	for (n = 1; n < 20; n++) {
		struct creator creator = CREATOR(MEMORY_HOOKS);
		struct pcpu_config config = config_by(&creator,
						      PCPU_MEMORY_NONE);
		struct pcpu *pcpu;
		int error = 0;

		config.policy = PCPU_POLICY_BITMAP;
		config.reserved_size = 64;
		creator.no_memory_at = n;
		pcpu = pcpu_create(&config, &error);
		if (pcpu) {
			/* the call that would fail was not reached */
			CHECK(creator.blocks > 0 && creator.no_memory_at > 0);
			pcpu_destroy(pcpu);
			CHECK(creator.blocks == 0);
			break;
		}
		CHECK(error == -PCPU_E_HOST);
		CHECK(creator.blocks == 0);
	}
	/* the handle, lists, two chunks at least */
	CHECK(n > 4 && n < 20);
}

TEST(all_memory_and_frames_are_given_back)
{
	struct creator creator = CREATOR(MEMORY_HOOKS, PAGE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu;

	config.policy = PCPU_POLICY_BITMAP;
	config.reserved_size = 64;
	config.unit_size = UNIT;
	config.dyn_size = DYN;
	pcpu = create(&config);
	CHECK(creator.frames[0] == info_of(pcpu).pages / 2);
	for (int i = 0; i < 40; i++)
		CHECK(pcpu_alloc(pcpu, info_of(pcpu).max_size, 4) > 0);
	CHECK(info_of(pcpu).chunks > 1);
	CHECK(creator.frames[0] + creator.frames[1] == info_of(pcpu).pages);
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
	CHECK(creator.frames[0] == 0 && creator.frames[1] == 0);
}

/* --- replays and batches */

static const struct pcpu_kind kinds[] = {
	{ 5, 1, 0 }, { 8, 4, PCPU_ATOMIC }, { 8, 4, PCPU_RESERVED },
	{ 512, 4, PCPU_ATOMIC }, { 256, 4, 0 },
};

enum { FIVE, ATOMIC, RESERVED, HUGE_ATOMIC, WHOLE };

static struct pcpu_replay_handle handles[8];
static int64_t pointers[16];

static struct pcpu_replay replay_of(const struct pcpu_op *ops)
{
	memset(handles, 0, sizeof(handles));
	return (struct pcpu_replay){
		.ops = ops, .kinds = kinds, .nr_kinds = COUNT(kinds),
		.handles = handles, .nr_handles = COUNT(handles),
		.pointers = pointers,
	};
}

TEST(a_replay_passes_flags_on)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, FIVE }, { 0xb, 1, ATOMIC }, { 0xc, 2, RESERVED },
		{ 0xd, 3, HUGE_ATOMIC }, { 0xa, 0, PCPU_OP_FREE },
	};
	struct pcpu *pcpu = quiet(1, 64);
	struct pcpu_replay replay = replay_of(ops);

	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(pointers[0] == BASE + 192 && pointers[1] == BASE + 200);
	CHECK(pointers[2] == BASE + 128);
	CHECK(pointers[3] == -PCPU_E_NO_PLACE);
	CHECK(replay.failures == 1 && replay.ignored_flags == 0);
	CHECK(replay.live_bytes == 16 && replay.peak_live_bytes == 21);
	CHECK(is_requested(pcpu));
	pcpu_destroy(pcpu);
}

/* an operation runs the work, all steps */
TEST(a_replay_runs_the_work)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, WHOLE }, { 0, 0, PCPU_OP_BALANCE },
		{ 0, UINT32_MAX, PCPU_OP_BALANCE },
	};
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_replay replay = replay_of(ops);

	CHECK(!pcpu_replay_check(&replay, COUNT(ops)));
	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(info_of(pcpu).balance_runs == 2 && !is_requested(pcpu));
	CHECK_EMPTY(pcpu, "4 of 0:0 1:4");
	CHECK(pointers[1] == 0 && pointers[2] == 0);
	pcpu_destroy(pcpu);
}

TEST(a_replay_with_area_maps_counts_flags_that_it_ignores)
{
	const struct pcpu_op ops[] = {
		{ 0xa, 0, FIVE }, { 0xb, 1, ATOMIC }, { 0xc, 2, RESERVED },
		{ 0xc, 2, PCPU_OP_FREE },
	};
	struct pcpu *pcpu = small(1);
	struct pcpu_replay replay = replay_of(ops);

	CHECK(!pcpu_replay(pcpu, &replay, 0, COUNT(ops)));
	CHECK(replay.ignored_flags == 2 && replay.failures == 0);
	CHECK(!pcpu_replay(pcpu, &replay, 1, 2));
	CHECK(replay.ignored_flags == 3);
	pcpu_destroy(pcpu);
}

TEST(a_batch_is_checked_with_rounded_sizes)
{
	static const uint16_t sizes[] = { 1, 509, 6 }, bad[] = { 8, 513, 8 };
	struct pcpu *pcpu = quiet(1, 0);
	int64_t ptrs[3];
	size_t at = 9;

	CHECK(pcpu_alloc_many(pcpu, bad, 2, 3, 0, ptrs, &at) == -PCPU_E_SIZE);
	CHECK(at == 1 && info_of(pcpu).areas == 0);
	CHECK(pcpu_alloc_many(pcpu, sizes, 2, 3, 5, ptrs, &at) ==
	      -PCPU_E_ALIGN);
	CHECK(!pcpu_alloc_many(pcpu, sizes, 2, 3, 0, ptrs, &at));
	CHECK(ptrs[0] == FIRST && ptrs[2] == FIRST + 4);
	CHECK_PLACE(pcpu, ptrs[1], "1:0");
	ptrs[2] += 4;
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 3, &at) == -PCPU_E_INTERIOR);
	CHECK(at == 2 && info_of(pcpu).areas == 3);
	ptrs[2] = BASE;
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 3, &at) == -PCPU_E_STATIC);
	ptrs[2] = FIRST + 4;
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 3, &at));
	CHECK(info_of(pcpu).areas == 0);
	pcpu_destroy(pcpu);
}

/* when one fails the earlier ones are freed */
TEST(a_batch_that_fails_leaves_nothing)
{
	static const uint16_t sizes[] = { 8, 300 };
	struct pcpu *pcpu = small_bitmap();
	int64_t ptrs[2];
	size_t at = 9;

	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(pcpu_alloc_many(pcpu, sizes, 2, 2, 4, ptrs, &at) ==
	      NOMEM(KMALLOC));
	CHECK(at == 1 && info_of(pcpu).areas == 0);
	CHECK_AREAS(pcpu, 0, "256 (free 256 hint 256)");
	pcpu_destroy(pcpu);
}

/*
 * 75 granules do not fit into the first chunk.  A chunk is made, and the walk
 * repeated: 2 x slots 6 to 10, chunks 0, 0 and 1.  In chunk 1, with blocks of
 * 16 granules and words of 64:
 *
 *	|<------ 75 ------>|..............|	read: blocks 0 to 4, words 0 and 1
 *	             blocks 4 to 15	learnt anew: word 1 for block 4, all 12
 */
TEST(work_counts_what_the_kernel_reads_for_an_allocation)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_work in, out;

	alloc(pcpu, 300);
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(in.slots_visited == 2 * 5 && in.chunks_visited == 3);
	CHECK(in.entries_scanned == 5 + 2 + 1 + 12);
	CHECK(!out.slots_visited && !out.chunks_visited && !out.entries_scanned);
	pcpu_destroy(pcpu);
}

/*
 *	|################|################|	blocks 0 and 1
 *	|################|...............#|	freed one by one: nothing is read
 *	|################|................|	then blocks 1 to 3 are
 */
TEST(work_counts_what_the_kernel_reads_for_a_free)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_work in, out;
	int64_t ptrs[18];
	int i;

	for (i = 0; i < 16; i++)
		ptrs[i] = alloc(pcpu, i ? 4 : 64);
	ptrs[16] = alloc(pcpu, 4);
	for (i = 1; i < 16; i++)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(out.entries_scanned == 0);
	CHECK(!pcpu_free(pcpu, ptrs[16]));
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(out.entries_scanned == 3);
	pcpu_destroy(pcpu);
}

/*
 * The first chunk starts in its first page, and ends in its fifth:
 *
 *	|xxxxxxxxx.......|...|...|...|.........xxxxxxx|
 *
 * To hide the edges is no work.  4 bytes: block 0 and word 0; learnt anew, the rest
 * of the word, and five blocks.
 */
TEST(work_of_the_set_up_is_not_counted)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_work in, out;
	struct pcpu *pcpu;

	config.static_size = 100;
	pcpu = create(&config);
	alloc(pcpu, 4);
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(in.entries_scanned == 2 + 1 + 5);
	pcpu_destroy(pcpu);
}

/*
 * An atomic request of 8 pages in chunk 1, of which pages 0 to 4 are populated:
 *
 *	|75 taken  |.....                 ...|	read: blocks 4 to 12, whose pages are
 *	 0         4 5       12 13         15	missing; then the rest, 13 to 15
 */
TEST(work_counts_a_search_that_finds_no_place)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_work before, after, out;

	alloc(pcpu, 300);
	CHECK(!pcpu_work(pcpu, &before, &out));
	CHECK(pcpu_alloc_gfp(pcpu, 512, 4, PCPU_ATOMIC) == -PCPU_E_NO_PLACE);
	CHECK(!pcpu_work(pcpu, &after, &out));
	CHECK(after.slots_visited - before.slots_visited == 4);
	CHECK(after.chunks_visited - before.chunks_visited == 1);
	CHECK(after.entries_scanned - before.entries_scanned == 9 + 3);
	pcpu_destroy(pcpu);
}

/*
 *	|################|########........|	32 of 64 bytes of block 1 are free,
 *						and the hint of the full chunk is 0
 *	|################|................|	the whole block: the hint is right
 */
TEST(hidden_bytes_are_free_bytes_that_the_hint_denies)
{
	struct pcpu *pcpu = small_bitmap();
	int64_t ptrs[8];
	int i;

	for (i = 0; i < 8; i++)
		ptrs[i] = alloc(pcpu, 32);
	CHECK(info_of(pcpu).hidden_bytes == 0);
	CHECK(!pcpu_free(pcpu, ptrs[3]));
	CHECK(info_of(pcpu).hidden_bytes == 32);
	CHECK(!pcpu_free(pcpu, ptrs[5]));
	CHECK(info_of(pcpu).hidden_bytes == 64);
	CHECK(!pcpu_free(pcpu, ptrs[2]));
	CHECK(info_of(pcpu).hidden_bytes == 0);
	pcpu_destroy(pcpu);
}

TEST(work_counts_operations_and_pages)
{
	struct pcpu *pcpu = small_bitmap();
	struct pcpu_work in, out;
	int64_t ptr = alloc(pcpu, 300);
	uint64_t steps;

	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_NOT_LIVE);
	alloc(pcpu, 4);
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(in.operations == 2 && in.pages_populated == 5);
	CHECK(out.operations == 1 && out.tree_steps > 0);
	steps = out.tree_steps;
	/* the first units are found without the tree */
	ptr = alloc(pcpu, 4);
	CHECK_PLACE(pcpu, ptr, "0:4");
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(out.operations == 2 && out.tree_steps == steps);
	pcpu_destroy(pcpu);
}
