// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_setup.c - the first chunk and the reserved one with bitmaps; unit sizes.
 *
 * Both chunks start at a page; what they do not serve there, and in their last
 * page, counts as in use (#):
 *
 *	|static  |reserved      |dynamic        |  not used
 *	page 0   page 1  page 2  page 3
 *	         |##......|....##|	the reserved chunk
 *	                  |####..|......##|	the first chunk
 */
#include "small_bitmap.h"

#define KIB	((int64_t)1024)
#define MIB	(1024 * KIB)

/* as on x86: pages of 4 KiB, the rest by the rules */
static struct pcpu_config x86(int64_t cpus, int64_t static_size,
			      int64_t reserved_size)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION,
		.cpus = cpus,
		.static_size = static_size,
		.reserved_size = reserved_size,
		.page_size = 4096,
		.policy = PCPU_POLICY_BITMAP,
		.memory = PCPU_MEMORY_NONE,
	};

	return config;
}

static struct pcpu_info info_by(const struct pcpu_config *config)
{
	struct pcpu *pcpu = create(config);
	struct pcpu_info info = info_of(pcpu);

	pcpu_destroy(pcpu);
	return info;
}

static int error_by(const struct pcpu_config *config)
{
	int error = 0;
	struct pcpu *pcpu = pcpu_create(config, &error);

	CHECK(!pcpu == !!error);
	pcpu_destroy(pcpu);
	return error;
}

/* --- sizes by the rules; the boot lines of recordings have the same */

static void check_sizes(int64_t cpus, int64_t static_size, int64_t reserved,
			int64_t dyn_size, int64_t unit_size)
{
	struct pcpu_config config = x86(cpus, static_size, reserved);
	struct pcpu_info info = info_by(&config);

	CHECK(info.free_size == dyn_size);
	CHECK(info.unit_size == unit_size);
	CHECK(info.static_size == static_size);
	CHECK(info.reserved_size == reserved);
}

/* s212992 r8192 d28672 u2097152, s233472 r8192 d28672 u2097152 */
TEST(sizes_of_one_cpu_are_those_of_a_recording)
{
	check_sizes(1, 212992, 8192, 28672, 2 * MIB);
	check_sizes(1, 233472, 8192, 28672, 2 * MIB);
}

/* s212992 r8192 d28672 u262144 */
TEST(sizes_of_sixteen_cpus_are_those_of_a_recording)
{
	check_sizes(16, 212992, 8192, 28672, 256 * KIB);
}

/* unit_size 1048576, static_size 185560, dyn_size 31528 */
TEST(sizes_of_two_cpus_are_those_of_a_recording)
{
	check_sizes(2, 185560, 0, 31528, MIB);
}

/* what pages(static + reserved + 28 KiB) leave */
TEST(dyn_size_fills_the_last_page)
{
	check_sizes(1, 4096, 0, 28 * KIB, 2 * MIB);
	check_sizes(1, 4097, 0, 28 * KIB + 4092, 2 * MIB);
	check_sizes(1, 4100, 0, 28 * KIB + 4092, 2 * MIB);
	check_sizes(1, 8188, 4, 28 * KIB, 2 * MIB);
}

TEST(dyn_size_is_rounded_down_to_granules)
{
	struct pcpu_config config = x86(1, 4096, 0);

	config.dyn_size = 4;
	CHECK(info_by(&config).free_size == 4);
	config.dyn_size = 7;
	CHECK(info_by(&config).free_size == 4);
	config.dyn_size = 20000;
	CHECK(info_by(&config).free_size == 20000);
}

/* a page has units of 8 at least, for the largest request */
TEST(unit_size_is_a_part_of_a_large_page)
{
	static const struct {
		int64_t cpus, unit;
	} all[] = {
		{ 1, 2 * MIB }, { 2, MIB },
		{ 3, 512 * KIB },	/* of 4 units 1 is wasted: a third */
		{ 4, 512 * KIB },
		{ 5, MIB },		/* of 8 units 3 are too many */
		{ 6, 256 * KIB }, { 8, 256 * KIB },
		{ 9, 512 * KIB },	/* of 12 units 3 are wasted */
		{ 13, 128 * KIB }, { 16, 128 * KIB }, { 64, 32 * KIB },
		{ 65, 128 * KIB },	/* of 96 units 31 are too many: of 80, 15 */
		{ 1000, 32 * KIB },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct pcpu_config config = x86(all[i].cpus, 64, 0);

		config.dyn_size = 64;
		CHECK(info_by(&config).unit_size == all[i].unit);
	}
}

/* static, reserved and dynamic area, whole pages; and the largest request */
TEST(unit_size_has_room_for_all_parts)
{
	struct pcpu_config config = x86(64, 64, 0);

	CHECK(info_by(&config).unit_size == 32 * KIB);
	CHECK(info_by(&config).max_size == 32 * KIB);
	config.dyn_size = 32 * KIB;
	CHECK(info_by(&config).unit_size == 64 * KIB);
	config.dyn_size = 32 * KIB - 64;
	CHECK(info_by(&config).unit_size == 32 * KIB);
	config.reserved_size = 4;
	CHECK(info_by(&config).unit_size == 64 * KIB);
	config = x86(1, 2 * MIB - 4, 0);
	config.dyn_size = 4;
	CHECK(info_by(&config).unit_size == 2 * MIB);
	config.dyn_size = 8;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.static_size = 6 * MIB;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.unit_size = 8 * MIB;
	CHECK(info_by(&config).unit_size == 8 * MIB);
}

TEST(unit_size_may_be_given)
{
	struct pcpu_config config = x86(2, 4096, 0);

	config.unit_size = 40 * KIB;
	CHECK(info_by(&config).unit_size == 40 * KIB);
	config.unit_size = 32 * KIB;	/* 4 + 28 KiB */
	CHECK(info_by(&config).unit_size == 32 * KIB);
	config.unit_size = 28 * KIB;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.dyn_size = 4096;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.unit_size = 32 * KIB + 64;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
}

TEST(sizes_out_of_range_are_refused)
{
	static const int64_t bad_reserved[] = { -4, 2, 5, 1 << 30, INT64_MAX,
		INT64_MIN, (1 << 30) + 4 };
	static const int64_t bad_dyn[] = { -1, -4, 1, 3, (1 << 30) + 1,
		1 << 30, INT64_MAX, INT64_MIN };
	struct pcpu_config config = x86(1, 4096, 0);

	for (int i = 0; i < 7; i++) {
		config.reserved_size = bad_reserved[i];
		CHECK(error_by(&config) == -PCPU_E_CONFIG);
	}
	config.reserved_size = 0;
	for (int i = 0; i < 8; i++) {
		config.dyn_size = bad_dyn[i];
		CHECK(error_by(&config) == -PCPU_E_CONFIG);
	}
}

/* the largest unit, which is all of one part; nothing is mapped */
TEST(a_part_may_be_almost_as_large_as_the_largest_unit)
{
	struct pcpu_geometry geo = { .page_size = 4096, .page_shift = 12,
		.cpus = 1, .bitmap = true, .min_unit_size = 32768 };
	struct pcpu_config config = x86(1, 4096, 1 << 30);
	struct pcpu_setup setup = { .static_size = 4096,
				    .unit_size = 1 << 30 };

	config.dyn_size = 1 << 30;
	CHECK(!bitmap_plan(&config, &geo, &setup));
	CHECK(setup.reserved_size == 1 << 30 && setup.free_size == 1 << 30);
	CHECK(setup.unit_size == 1 << 30);
	config.reserved_size += 4;
	CHECK(bitmap_plan(&config, &geo, &setup) == -PCPU_E_CONFIG);
	config.reserved_size -= 4;
	config.dyn_size++;
	CHECK(bitmap_plan(&config, &geo, &setup) == -PCPU_E_CONFIG);
}

/* what only one of the policies has is refused with the other one */
TEST(arguments_of_the_other_policy_are_refused)
{
	struct pcpu_config config = bitmap_config(1);

	config.first_chunk = PCPU_FIRST_EMBED;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = bitmap_config(1);
	config.free_size = 64;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = bitmap_config(1);
	config.quirks = PCPU_QUIRK_ROLLBACK;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = bitmap_config(1);
	config.fixes = 2;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.fixes = PCPU_FIX_CHUNK_HINT;
	CHECK(error_by(&config) == 0);
	config.policy = 2;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);

	config = small_config(1);
	config.fixes = PCPU_FIX_CHUNK_HINT;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = small_config(1);
	config.reserved_size = 64;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = small_config(1);
	config.dyn_size = 64;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config = small_config(1);
	config.manual_balance = 1;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
}

TEST(a_page_has_16_granules_at_least)
{
	struct pcpu_config config = bitmap_config(1);

	config.page_size = 32;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
	config.page_size = 64;
	CHECK(error_by(&config) == 0);
}

/* --- the first chunk
 *
 *	page 2		page 3				page 6
 *	##..............|......|......|......|..............##
 */
TEST(the_first_chunk_starts_at_a_page_and_hides_what_is_before_it)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	struct bitmap_chunk *chunk;

	config.static_size = 136;
	config.dyn_size = 240;
	pcpu = create(&config);
	chunk = chunk_of(pcpu, 0);
	CHECK(chunk->chunk.addr == (uint64_t)BASE + 128);
	CHECK(chunk->areas.nr_blocks == 4);
	CHECK(chunk->start == 2 && chunk->end == 62);
	CHECK_AREAS(pcpu, 0, "-8 240 -8 (free 240 hint 240)");
	CHECK_EMPTY(pcpu, "2 of 0:2");
	CHECK_POPULATED(pcpu, 0, "1111");
	CHECK(same_text(hints_text(&chunk->areas.chunk_md),
			"60@2 scan 0@0 left 64 right 62 first 2"));
	CHECK(same_text(hints_text(&chunk->areas.blocks[0]),
			"14@2 scan 0@0 left 0 right 14 first 2"));
	CHECK(same_text(hints_text(&chunk->areas.blocks[3]),
			"14@0 scan 0@0 left 14 right 0 first 0"));
	CHECK(chunk->chunk.immutable);
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 64, 64), "0:64");
	CHECK_PLACE(pcpu, pcpu_alloc(pcpu, 4, 4), "0:8");
	CHECK(info_of(pcpu).areas == 2);
	pcpu_destroy(pcpu);
}

/* static bytes that are no whole granules hide one */
TEST(the_first_chunk_starts_at_a_granule)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;

	config.static_size = 129;
	pcpu = create(&config);
	CHECK_AREAS(pcpu, 0, "-4 256 -60 (free 256 hint 256)");
	CHECK_PLACE(pcpu, alloc(pcpu, 4), "0:4");
	pcpu_destroy(pcpu);
}

/* all whole pages: nothing is hidden; it is no unit, so it is never free */
TEST(the_first_chunk_of_whole_pages_hides_nothing)
{
	struct pcpu *pcpu = small_bitmap();
	struct bitmap_chunk *chunk = chunk_of(pcpu, 0);

	CHECK(chunk->start == 0 && chunk->end == 64);
	CHECK_AREAS(pcpu, 0, "256 (free 256 hint 256)");
	CHECK_EMPTY(pcpu, "4 of 0:4");
	CHECK_LISTS(pcpu, "6:0");
	CHECK(chunk->chunk.populated ==
	      pcpu_unit_populated(pcpu, &chunk->chunk) + 2);
	pcpu_destroy(pcpu);
}

/* pages up to its end are present on each CPU, also in mapped memory */
TEST(the_first_chunk_is_all_populated)
{
	struct pcpu_config config = bitmap_config(3);
	struct pcpu *pcpu;

	config.dyn_size = 132;
	pcpu = create(&config);
	CHECK_POPULATED(pcpu, 0, "333");
	CHECK(info_of(pcpu).pages == 3 * 5);
	pcpu_destroy(pcpu);
}

/* a block of its own, below the areas: it may be all of the address space */
TEST(the_first_chunk_is_a_block_of_its_own)
{
	struct pcpu_config config = mapped_config(2);
	int64_t unit;

	config.policy = PCPU_POLICY_BITMAP;
	unit = info_by(&config).unit_size;
	config.address_space = 2 * unit;
	CHECK(error_by(&config) == 0);
	config.address_space--;
	CHECK(error_by(&config) == -PCPU_E_CONFIG);
}

/* not even the search for the places of two chunks in the address tree */
TEST(a_new_allocator_has_done_no_work)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu_work in, out;
	struct pcpu *pcpu;

	config.reserved_size = 64;
	pcpu = create(&config);
	CHECK(!pcpu_work(pcpu, &in, &out));
	CHECK(in.tree_steps == 0 && out.tree_steps == 0);
	pcpu_destroy(pcpu);
}

/* its hidden granules are no areas, so they are neither found nor leaked */
TEST(hidden_granules_are_no_areas)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	int size;

	config.static_size = 136;
	config.dyn_size = 240;
	pcpu = create(&config);
	CHECK(pcpu_free(pcpu, BASE + 136) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, BASE + 136 + 236) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_free(pcpu, BASE + 136 + 240) == -PCPU_E_WILD);
	CHECK(bitmap_next(&chunk_of(pcpu, 0)->chunk, 0, &size) == -1);
	CHECK_PLACE(pcpu, alloc(pcpu, 12), "0:8");
	CHECK(bitmap_next(&chunk_of(pcpu, 0)->chunk, 0, &size) == 8);
	CHECK(size == 12);
	CHECK(bitmap_next(&chunk_of(pcpu, 0)->chunk, 8, &size) == 8);
	CHECK(bitmap_next(&chunk_of(pcpu, 0)->chunk, 20, &size) == -1);
	pcpu_destroy(pcpu);
}

/* --- the reserved chunk
 *
 *	static 136, reserved 100, dynamic 240:
 *	page 2 ##......|......|...page 3: .....##### 	reserved: 136 to 236
 *	page 3 ###########.....				first: 236 to 476
 */
TEST(the_reserved_chunk_is_between_static_area_and_first_chunk)
{
	struct pcpu_config config = bitmap_config(1);
	struct pcpu *pcpu;
	struct bitmap_chunk *chunk;

	config.static_size = 136;
	config.reserved_size = 100;
	config.dyn_size = 240;
	pcpu = create(&config);
	chunk = chunk_of(pcpu, PCPU_RESERVED_CHUNK);
	CHECK(&chunk->chunk == pcpu->reserved_chunk && chunk->chunk.id == -1);
	CHECK(chunk->chunk.addr == (uint64_t)BASE + 128);
	CHECK(chunk->start == 2 && chunk->end == 27);
	CHECK(chunk->areas.nr_blocks == 2 && chunk->chunk.immutable);
	CHECK_AREAS(pcpu, -1, "-8 100 -20 (free 100 hint 100)");
	CHECK_POPULATED(pcpu, -1, "11");
	chunk = chunk_of(pcpu, 0);
	CHECK(chunk->chunk.addr == (uint64_t)BASE + 192);
	CHECK_AREAS(pcpu, 0, "-44 240 -36 (free 240 hint 240)");
	CHECK(chunk->start == 11 && chunk->end == 71);
	CHECK_EMPTY(pcpu, "3 of -1:0 0:3");
	CHECK(info_of(pcpu).pages == 8);
	CHECK(info_of(pcpu).chunks == 1);
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 8, 4, PCPU_RESERVED), "-1:8");
	CHECK_PLACE(pcpu, pcpu_alloc_gfp(pcpu, 8, 4, 0), "0:44");
	pcpu_destroy(pcpu);
}

TEST(without_reserved_bytes_there_is_no_reserved_chunk)
{
	struct pcpu *pcpu = small_bitmap();

	CHECK(!pcpu->reserved_chunk);
	CHECK(info_of(pcpu).reserved_size == 0);
	pcpu_destroy(pcpu);
}
