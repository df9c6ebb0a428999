// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_first_chunk.c - pcpu_create(): the sizes, pages and first map of the
 * three set-ups, and the geometries that are refused.
 */
#define _GNU_SOURCE 1	/* sysconf */
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "harness.h"
#include "percpu.h"

#define KIB	((int64_t)1024)
#define MIB	(1024 * KIB)

/* without mapped memory, so that any page size is possible */
static struct pcpu_config config_of(int first_chunk, int64_t static_size,
				    int64_t page_size)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION,
		.cpus = 2,
		.static_size = static_size,
		.page_size = page_size,
		.first_chunk = first_chunk,
		.memory = PCPU_MEMORY_NONE,
	};

	return config;
}

/* a first chunk right after setup */
struct look {
	int64_t unit_size;	/* bytes */
	int64_t free_size;	/* bytes */
	int64_t pages;		/* populated in each unit, from page 0 on */
	int immutable;		/* its pages cannot be unmapped */
};

static void check_look(const struct pcpu_config *config, struct look want)
{
	int error;
	struct pcpu *pcpu = pcpu_create(config, &error);
	const struct pcpu_chunk_info *first;
	struct pcpu_snapshot *snapshot;
	struct pcpu_info info;

	CHECK(pcpu && !error);
	if (!pcpu)
		return;
	CHECK(!pcpu_info(pcpu, &info));
	CHECK(info.unit_size == want.unit_size);
	CHECK(info.static_size == config->static_size);
	CHECK(info.static_ptr == info.page_size);
	CHECK(info.max_size == 16 * info.page_size);
	CHECK(info.cpus == config->cpus);
	CHECK(info.chunks == 1 && info.chunks_created == 0);
	CHECK(info.pages == want.pages * config->cpus);

	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->nr_chunks == 1);
	first = &snapshot->chunks[0];
	CHECK(first->id == 0);
	CHECK(first->ptr == info.static_ptr);
	CHECK(first->free_size == want.free_size);
	CHECK(first->contig_hint == want.free_size);
	CHECK(first->immutable == want.immutable);
	CHECK(first->map_alloc == 0 && first->map_used == 0);
	CHECK(snapshot->unit_pages == want.unit_size / info.page_size);
	for (int64_t page = 0; page < snapshot->unit_pages; page++)
		CHECK(first->populated[page] ==
		      (page < want.pages ? (uint32_t)config->cpus : 0));
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}

static int create_error(const struct pcpu_config *config)
{
	int error = 0;
	struct pcpu *pcpu = pcpu_create(config, &error);

	CHECK(!pcpu == !!error);
	pcpu_destroy(pcpu);
	return error;
}

TEST(auto_4k_takes_sixteen_pages)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8 * KIB, 4 * KIB);

	check_look(&config, (struct look){ 64 * KIB, 56 * KIB, 2, 0 });
}

TEST(auto_4k_rounds_the_static_pages_up)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8193, 4 * KIB);

	check_look(&config, (struct look){ 64 * KIB, 64 * KIB - 8193, 3, 0 });
}

TEST(auto_4k_grows_with_a_large_static_area)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 70000, 4 * KIB);

	check_look(&config, (struct look){ 72 * KIB, 72 * KIB - 70000, 18, 0 });
}

TEST(auto_4k_may_leave_nothing_free)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 64 * KIB, 4 * KIB);

	check_look(&config, (struct look){ 64 * KIB, 0, 16, 0 });
}

TEST(auto_4k_keeps_given_sizes)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8 * KIB, 4 * KIB);

	config.unit_size = 128 * KIB;
	check_look(&config, (struct look){ 128 * KIB, 120 * KIB, 2, 0 });
	config.free_size = 16 * KIB;
	check_look(&config, (struct look){ 128 * KIB, 16 * KIB, 2, 0 });
}

TEST(auto_embed_populates_every_page)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 8 * KIB,
					      4 * KIB);

	check_look(&config, (struct look){ 64 * KIB, 56 * KIB, 16, 1 });
}

/* 44,000 + 24 KiB = 68,576 bytes: 17 pages */
TEST(auto_embed_adds_24_kib_to_a_large_static_area)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 44000, 4 * KIB);

	check_look(&config, (struct look){ 68 * KIB, 68 * KIB - 44000, 17, 1 });
}

/* 40 KiB + 24 KiB are 16 pages, one byte more needs another */
TEST(auto_embed_grows_when_its_parts_exceed_sixteen_pages)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 40 * KIB,
					      4 * KIB);

	check_look(&config, (struct look){ 64 * KIB, 24 * KIB, 16, 1 });
	config.static_size++;
	check_look(&config, (struct look){ 68 * KIB, 28 * KIB - 1, 17, 1 });
}

TEST(auto_embed_keeps_given_sizes)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 8 * KIB,
					      4 * KIB);

	config.unit_size = 128 * KIB;
	check_look(&config, (struct look){ 128 * KIB, 120 * KIB, 32, 1 });
	config.free_size = 4 * KIB;
	check_look(&config, (struct look){ 128 * KIB, 4 * KIB, 32, 1 });
}

TEST(auto_remap_takes_a_large_page_and_uses_its_beginning)
{
	struct pcpu_config config = config_of(PCPU_FIRST_REMAP, 8 * KIB,
					      4 * KIB);

	check_look(&config, (struct look){ 2 * MIB, 24 * KIB, 8, 1 });
}

/* 10,000 + 24 KiB = 34,576 bytes: 9 pages */
TEST(auto_remap_rounds_to_pages)
{
	struct pcpu_config config = config_of(PCPU_FIRST_REMAP, 10000, 4 * KIB);

	check_look(&config, (struct look){ 2 * MIB, 36 * KIB - 10000, 9, 1 });
}

TEST(auto_remap_keeps_given_sizes)
{
	struct pcpu_config config = config_of(PCPU_FIRST_REMAP, 8 * KIB,
					      4 * KIB);

	config.unit_size = 4 * MIB;
	check_look(&config, (struct look){ 4 * MIB, 24 * KIB, 8, 1 });
	config.free_size = 5 * KIB;
	check_look(&config, (struct look){ 4 * MIB, 5 * KIB, 4, 1 });
}

/* the minimum is 16 pages of 16 KiB; 8 KiB + 24 KiB are two such pages */
TEST(auto_sizes_follow_larger_pages)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8 * KIB, 16 * KIB);

	check_look(&config, (struct look){ 256 * KIB, 248 * KIB, 1, 0 });
	config.first_chunk = PCPU_FIRST_EMBED;
	check_look(&config, (struct look){ 256 * KIB, 248 * KIB, 16, 1 });
	config.first_chunk = PCPU_FIRST_REMAP;
	check_look(&config, (struct look){ 2 * MIB, 24 * KIB, 2, 1 });
}

/* the reserve is 24 KiB, however small the pages */
TEST(auto_sizes_follow_tiny_pages)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 100, 64);

	check_look(&config, (struct look){ 1024, 924, 2, 0 });
	config.first_chunk = PCPU_FIRST_EMBED;
	check_look(&config, (struct look){ 24704, 24604, 386, 1 });
	config.first_chunk = PCPU_FIRST_REMAP;
	check_look(&config, (struct look){ 2 * MIB, 24604, 386, 1 });
}

TEST(page_size_0_is_the_page_of_the_host)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 1, 0);
	int64_t page = sysconf(_SC_PAGESIZE);

	check_look(&config, (struct look){ 16 * page, 16 * page - 1, 1, 0 });
}

TEST(sizes_are_the_same_with_mapped_memory)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 8 * KIB, 0);
	int64_t page = sysconf(_SC_PAGESIZE);

	config.memory = PCPU_MEMORY_MAPPED;
	config.unit_size = 32 * page;
	check_look(&config, (struct look){ 32 * page, 32 * page - 8 * KIB, 32,
					   1 });
}

/* the limits of each range are accepted; the tests below exceed them */
TEST(the_largest_and_the_smallest_values_are_accepted)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 1, 64);

	config.cpus = 65536;
	config.nodes = 65536;
	CHECK(create_error(&config) == 0);
	config.cpus = 1;
	config.nodes = 1;
	config.page_size = 1;
	CHECK(create_error(&config) == 0);
	config.page_size = 64 * MIB;
	CHECK(create_error(&config) == 0);
	config.page_size = 4 * KIB;
	config.unit_size = 1024 * MIB;
	CHECK(create_error(&config) == 0);
	config.free_size = 1024 * MIB - 1;
	CHECK(create_error(&config) == 0);
	config.free_size = 0;
	config.static_size = 1024 * MIB;
	CHECK(create_error(&config) == 0);
}

/* 17 billion pages: no loop may visit each of them */
TEST(a_large_first_chunk_of_many_cpus_takes_no_time)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 8 * KIB,
					      4 * KIB);

	config.cpus = 65536;
	config.unit_size = 1024 * MIB;
	CHECK(create_error(&config) == 0);
}

static struct pcpu_config refused;	/* valid except for one field */

#define REFUSED(change)							\
	do {								\
		refused = config_of(PCPU_FIRST_4K, 8 * KIB, 4 * KIB);	\
		change;							\
		CHECK(create_error(&refused) == -PCPU_E_CONFIG);	\
	} while (0)

TEST(cpus_out_of_range_are_refused)
{
	REFUSED(refused.cpus = 0);
	REFUSED(refused.cpus = -1);
	REFUSED(refused.cpus = 65537);
	REFUSED(refused.cpus = INT64_MAX);
}

TEST(a_static_size_out_of_range_is_refused)
{
	REFUSED(refused.static_size = 0);
	REFUSED(refused.static_size = -1);
	REFUSED(refused.static_size = 1024 * MIB + 1);
	REFUSED(refused.static_size = INT64_MAX);
	REFUSED(refused.static_size = INT64_MIN);
}

TEST(a_unit_size_out_of_range_is_refused)
{
	REFUSED(refused.unit_size = -4 * KIB);
	REFUSED(refused.unit_size = 1024 * MIB + 4 * KIB);
	REFUSED(refused.unit_size = INT64_MAX - 4 * KIB + 1);
	REFUSED(refused.unit_size = INT64_MIN;
		refused.first_chunk = PCPU_FIRST_EMBED);
	REFUSED(refused.unit_size = INT64_MIN;
		refused.first_chunk = PCPU_FIRST_REMAP);
}

/* the 2009 file leaks an empty chunk for each request above the unit */
TEST(a_unit_below_sixteen_pages_is_refused)
{
	REFUSED(refused.unit_size = 60 * KIB);
	REFUSED(refused.unit_size = 60 * KIB;
		refused.first_chunk = PCPU_FIRST_EMBED);
	REFUSED(refused.unit_size = 60 * KIB;
		refused.first_chunk = PCPU_FIRST_REMAP);
}

TEST(a_unit_that_is_not_whole_pages_is_refused)
{
	REFUSED(refused.unit_size = 64 * KIB + 1);
	REFUSED(refused.unit_size = 66 * KIB);
}

TEST(a_unit_that_cannot_hold_its_parts_is_refused)
{
	REFUSED(refused.unit_size = 64 * KIB;
		refused.static_size = 64 * KIB + 1);
	REFUSED(refused.unit_size = 64 * KIB; refused.free_size = 56 * KIB + 1);
	REFUSED(refused.first_chunk = PCPU_FIRST_EMBED;
		refused.unit_size = 64 * KIB; refused.static_size = 65 * KIB);
	REFUSED(refused.first_chunk = PCPU_FIRST_EMBED;
		refused.unit_size = 64 * KIB; refused.free_size = 57 * KIB);
	/* static area and 24 KiB do not fit into 2 MiB */
	REFUSED(refused.first_chunk = PCPU_FIRST_REMAP;
		refused.static_size = 2 * MIB - 23 * KIB);
}

/* a static area of 1 GiB plus the reserve exceeds the largest unit */
TEST(a_unit_that_grows_out_of_range_is_refused)
{
	struct pcpu_config config = config_of(PCPU_FIRST_EMBED, 1024 * MIB,
					      4 * KIB);

	CHECK(create_error(&config) == -PCPU_E_CONFIG);
}

/* before anything is computed from it */
TEST(a_plan_refuses_what_is_out_of_range)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, INT64_MAX,
					      4 * KIB);
	struct pcpu_geometry geo = { .page_size = 4096, .page_shift = 12 };
	struct pcpu_setup setup;

	CHECK(pcpu_first_chunk_plan(&config, &geo, &setup) ==
	      -PCPU_E_CONFIG);
}

/* no set-up of x86 does this, but the 2009 file checks it too */
TEST(a_block_needs_a_unit_size_and_no_populate_pte)
{
	struct pcpu_setup setup = { .static_size = 8 * KIB, .has_block = true };
	struct pcpu_geometry geo = {
		.cpus = 2,
		.page_size = 4096,
		.page_shift = 12,
		.min_unit_size = 16 * 4096,
	};

	CHECK(pcpu_first_chunk_geometry(&setup, &geo) == -PCPU_E_CONFIG);
	setup.unit_size = 64 * KIB;
	CHECK(pcpu_first_chunk_geometry(&setup, &geo) == 0);
	setup.populate_pte = true;
	CHECK(pcpu_first_chunk_geometry(&setup, &geo) == -PCPU_E_CONFIG);
}

TEST(a_free_size_needs_a_unit_size_in_4k)
{
	REFUSED(refused.free_size = 4 * KIB);
	REFUSED(refused.free_size = -1; refused.unit_size = 64 * KIB);
	REFUSED(refused.free_size = INT64_MAX; refused.unit_size = 64 * KIB);
}

TEST(a_page_size_out_of_range_is_refused)
{
	REFUSED(refused.page_size = -4096);
	REFUSED(refused.page_size = 4095);
	REFUSED(refused.page_size = 6144);
	REFUSED(refused.page_size = 128 * MIB);
	REFUSED(refused.page_size = INT64_MIN);
}

/* a page may consist of several host pages, but not of a part of one */
TEST(mapped_memory_needs_whole_pages_of_the_host)
{
	int64_t page = sysconf(_SC_PAGESIZE);

	REFUSED(refused.memory = PCPU_MEMORY_MAPPED;
		refused.page_size = page / 2);
	refused.page_size = 2 * page;
	CHECK(create_error(&refused) == 0);
}

TEST(a_negative_first_pointer_is_refused)
{
	REFUSED(refused.first_ptr = -4 * KIB);
	REFUSED(refused.first_ptr = -1; refused.page_size = 1);
}

TEST(nodes_out_of_range_are_refused)
{
	REFUSED(refused.nodes = -1);
	REFUSED(refused.nodes = refused.cpus + 1);
}

TEST(a_negative_page_limit_is_refused)
{
	REFUSED(refused.page_limit = -1);
}

TEST(unknown_choices_are_refused)
{
	REFUSED(refused.first_chunk = -1);
	REFUSED(refused.first_chunk = PCPU_FIRST_REMAP + 1);
	REFUSED(refused.first_chunk = -1; refused.unit_size = 64 * KIB);
	REFUSED(refused.memory = -1);
	REFUSED(refused.memory = PCPU_MEMORY_NONE + 1);
	REFUSED(refused.quirks = 2);
	REFUSED(refused.quirks = 1u << 31 | PCPU_QUIRK_ROLLBACK);
}

TEST(an_image_larger_than_the_static_area_is_refused)
{
	static const char image[8 * KIB + 1];

	REFUSED(refused.static_image = image;
		refused.static_image_size = sizeof(image));
	REFUSED(refused.static_image_size = 1);
	REFUSED(refused.static_image_size = SIZE_MAX);
	refused.static_image = image;
	refused.static_image_size = sizeof(image) - 1;
	CHECK(create_error(&refused) == 0);
}

TEST(only_4k_maps_pages_through_the_kernel)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8 * KIB, 4 * KIB);
	uint64_t calls[PCPU_NR_SERVICES];
	struct pcpu *pcpu;
	int error;

	pcpu = pcpu_create(&config, &error);
	CHECK(!pcpu_counters(pcpu, calls));
	for (int i = 0; i < PCPU_NR_SERVICES; i++)
		CHECK(calls[i] == (i == PCPU_MAP ? 2 :
				   i == PCPU_FLUSH_CACHE_VMAP));
	pcpu_destroy(pcpu);

	config.first_chunk = PCPU_FIRST_EMBED;
	pcpu = pcpu_create(&config, &error);
	CHECK(!pcpu_counters(pcpu, calls));
	for (int i = 0; i < PCPU_NR_SERVICES; i++)
		CHECK(calls[i] == 0);
	pcpu_destroy(pcpu);
}

/* each CPU's copy begins with the image, the rest of it is zero */
static void check_image(int first_chunk)
{
	static const char image[] = "what the linker left";
	struct pcpu_config config = config_of(first_chunk, 8 * KIB, 0);
	struct pcpu_info info;
	struct pcpu *pcpu;
	int error;

	config.memory = PCPU_MEMORY_MAPPED;
	config.static_image = image;
	config.static_image_size = sizeof(image);
	pcpu = pcpu_create(&config, &error);
	CHECK(!pcpu_info(pcpu, &info));
	for (int64_t cpu = 0; cpu < 2; cpu++) {
		const char *copy = (const char *)(uintptr_t)pcpu_address(pcpu,
			info.static_ptr, cpu);

		CHECK(!memcmp(copy, image, sizeof(image)));
		CHECK(copy[sizeof(image)] == 0);
		CHECK(copy[8 * KIB - 1] == 0);
	}
	pcpu_destroy(pcpu);
}

TEST(every_cpu_gets_the_static_image)
{
	check_image(PCPU_FIRST_4K);
	check_image(PCPU_FIRST_EMBED);
	check_image(PCPU_FIRST_REMAP);
}

/* the first request that scans the chunk creates its map
 *
 *	|####|####|............|	16 KiB free, 40 KiB unused
 *	0   8K   8256         24K      64K
 */
TEST(the_first_map_ends_with_the_free_bytes)
{
	struct pcpu_config config = config_of(PCPU_FIRST_4K, 8 * KIB, 4 * KIB);
	struct pcpu_snapshot *snapshot;
	struct pcpu *pcpu;
	int error;

	config.unit_size = 64 * KIB;
	config.free_size = 16 * KIB;
	pcpu = pcpu_create(&config, &error);
	CHECK(pcpu_alloc(pcpu, 64, 8) == 4 * KIB + 8 * KIB);
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(snapshot->chunks[0].map_alloc == 16);
	CHECK(snapshot->chunks[0].map_used == 3);
	CHECK(snapshot->chunks[0].map[0] == -8 * KIB);
	CHECK(snapshot->chunks[0].map[1] == -64);
	CHECK(snapshot->chunks[0].map[2] == 16 * KIB - 64);
	pcpu_snapshot_free(snapshot);
	pcpu_destroy(pcpu);
}
