// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hooks.c - hooks that provide memory, addresses, pages and faults, and
 * that receive events.
 */
#include "creator.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>

#include "internal.h"

static const int first_chunks[] = {
	PCPU_FIRST_4K, PCPU_FIRST_EMBED, PCPU_FIRST_REMAP,
};

#define HOST_PAGE	((int64_t)sysconf(_SC_PAGESIZE))

/* requests that create a second chunk and let a map grow */
static void use(struct pcpu *pcpu)
{
	int64_t max = info_of(pcpu).max_size;

	for (int i = 0; i < 40; i++)
		CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, max, 8)));
	CHECK(pcpu_alloc(pcpu, max / 2, 8) > 0);
}

TEST(all_data_structures_use_the_memory_hooks_and_are_freed)
{
	struct creator creator = CREATOR(MEMORY_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	struct pcpu_snapshot *snapshot;
	int64_t ptrs[2];
	size_t at;
	int before, error;

	use(pcpu);
	before = creator.blocks;
	snapshot = pcpu_snapshot_take(pcpu, &error);
	CHECK(creator.blocks == before + 1);
	ptrs[0] = pcpu_alloc(pcpu, 8, 8);
	ptrs[1] = pcpu_alloc(pcpu, 8, 8);
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 2, &at));
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 0, &at));
	pcpu_destroy(pcpu);
	/* a snapshot outlives its allocator */
	CHECK(creator.blocks == 1 && snapshot->nr_chunks == 2);
	pcpu_snapshot_free(snapshot);
	CHECK(creator.blocks == 0);
}

/* memory for the handle, the nodes, the lists and the first chunk */
TEST(a_creation_that_runs_out_of_memory_frees_what_it_allocated)
{
	for (int n = 1; n <= 5; n++) {
		struct creator creator = CREATOR(MEMORY_HOOKS);
		struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
		struct pcpu *pcpu;
		int error;

		creator.no_memory_at = n;
		pcpu = pcpu_create(&config, &error);
		CHECK(!pcpu == (n <= 4));
		CHECK(error == (n <= 4 ? -PCPU_E_HOST : 0));
		pcpu_destroy(pcpu);
		CHECK(creator.blocks == 0);
	}
}

/* a chunk, its map, its vm area: each may fail, and nothing changes */
TEST(a_failed_alloc_hook_is_a_failure_of_the_service)
{
	static const int errors[] = {
		NOMEM(KMALLOC), NOMEM(KMALLOC), NOMEM(GET_VM_AREA),
	};
	struct creator creator = CREATOR(MEMORY_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	for (int n = 1; n <= 3; n++) {
		int before = creator.blocks;

		creator.no_memory_at = n;
		CHECK(pcpu_alloc(pcpu, UNIT, 8) == errors[n - 1]);
		CHECK(creator.blocks == before);
	}
	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
}

TEST(free_many_without_memory_frees_nothing)
{
	struct creator creator = CREATOR(MEMORY_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	size_t at;

	creator.no_memory_at = 1;
	CHECK(pcpu_free_many(pcpu, &ptr, -8, 1, &at) == -PCPU_E_HOST);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(areas_are_in_the_memory_that_the_hooks_reserve)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu;
	int64_t ptr;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 8, 8);
	for (int cpu = 0; cpu < NODES; cpu++) {
		char *copy = (char *)(uintptr_t)pcpu_address(pcpu, ptr, cpu);

		*copy = (char)('a' + cpu);
		CHECK(creator.mirror[copy - creator.space] == 'a' + cpu);
	}
	pcpu_destroy(pcpu);
	CHECK(creator.releases == 1);
}

/*
 * A unit has 16 pages; the static area uses one.  The next is mapped on demand:
 *
 *	|#|+| ... |   |#|+| ... |
 *	 CPU 0         CPU 1
 */
TEST(each_cpus_pages_are_mapped_on_demand)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	size_t page = (size_t)HOST_PAGE;
	struct pcpu *pcpu;
	int64_t ptr;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	CHECK(creator.mapped == 2 * page);
	pcpu_alloc(pcpu, (int64_t)page - STATIC, 8);
	CHECK(creator.mapped == 2 * page);
	pcpu_alloc(pcpu, 8, 8);
	CHECK(creator.mapped == 4 * page);
	/* an area with a chunk of its own: once empty, the chunk stays */
	ptr = pcpu_alloc(pcpu, 16 * (int64_t)page, 8);
	CHECK(creator.mapped == 36 * page);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(creator.mapped == 36 * page);
	pcpu_destroy(pcpu);
	CHECK(creator.mapped == 0);
}

/* all CPUs are on one node, so that the hooks can tell CPU and node apart */
TEST(the_pages_of_a_destroyed_chunk_are_unmapped)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config;
	size_t page = (size_t)HOST_PAGE;
	struct pcpu *pcpu;
	int64_t ptrs[2];

	creator.nodes = 1;
	config = config_by(&creator, PCPU_MEMORY_MAPPED);
	config.address_space = 1 << 20;
	pcpu = create(&config);
	for (int i = 0; i < 2; i++)
		ptrs[i] = pcpu_alloc(pcpu, 16 * (int64_t)page, 8);
	CHECK(creator.mapped == 66 * page);
	CHECK(!pcpu_free(pcpu, ptrs[0]) && !pcpu_free(pcpu, ptrs[1]));
	CHECK(creator.mapped == 34 * page);
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
}

static void unmap_nothing(void *arg, void *addr, size_t size, int cpu, int node)
{
	(void)addr;
	(void)cpu;
	(void)node;
	((struct creator *)arg)->mapped -= size;
}

/* the test would end with SIGSEGV */
TEST(only_the_hook_unmaps_pages)
{
	struct creator creator = CREATOR(.reserve = creator_reserve,
					 .release = creator_release,
					 .map = creator_map,
					 .unmap = unmap_nothing);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int64_t ptrs[2], copies[2];
	struct pcpu *pcpu;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	for (int i = 0; i < 2; i++) {
		ptrs[i] = pcpu_alloc(pcpu, 16 * HOST_PAGE, 8);
		copies[i] = pcpu_address(pcpu, ptrs[i], 1);
	}
	CHECK(!pcpu_free(pcpu, ptrs[0]) && !pcpu_free(pcpu, ptrs[1]));
	CHECK(creator.mapped == (size_t)(34 * HOST_PAGE));
	for (int i = 0; i < 2; i++)
		*(volatile char *)(uintptr_t)copies[i] = 1;
	pcpu_destroy(pcpu);
}

TEST(a_failed_map_hook_is_a_failure_of_map)
{
	struct creator creator = CREATOR(SPACE_HOOKS, PAGE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	for (int n = 1; n <= 2; n++) {
		creator.no_map_at = n;
		CHECK(pcpu_alloc(pcpu, HOST_PAGE, 8) == NOMEM(MAP));
		CHECK(creator.frames[0] == 1 && creator.frames[1] == 1);
	}
	CHECK(pcpu_alloc(pcpu, HOST_PAGE, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(a_creation_whose_map_hook_fails_leaves_nothing)
{
	for (int i = 0; i < 3; i++) {
		struct creator creator = CREATOR(MEMORY_HOOKS, SPACE_HOOKS,
						 PAGE_HOOKS);
		struct pcpu_config config = config_by(&creator,
						      PCPU_MEMORY_MAPPED);
		int error;

		config.first_chunk = first_chunks[i];
		config.address_space = 16 << 20;
		creator.no_map_at = 2;
		CHECK(!pcpu_create(&config, &error) && error == NOMEM(MAP));
		CHECK(creator.blocks == 0 && creator.releases == 1);
		CHECK(creator.frames[0] == 0 && creator.frames[1] == 0);
	}
}

TEST(after_a_refused_reservation_half_is_requested)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int64_t area = 2 * 16 * HOST_PAGE + HOST_PAGE;
	int error;

	config.address_space = 9 * area;
	creator.refusals = 2;
	pcpu_destroy(create(&config));
	CHECK((int64_t)creator.size == 2 * area);	/* 9, 4, 2 */

	/* the minimum is one chunk */
	creator.refusals = 4;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.refusals == 0 && creator.releases == 1);

	/* a first chunk in a block of its own needs no area */
	config.first_chunk = PCPU_FIRST_EMBED;
	config.address_space = 3 * area;
	creator.refusals = 2;
	pcpu_destroy(create(&config));
	CHECK((int64_t)creator.size == 32 * HOST_PAGE);
	creator.refusals = 3;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.refusals == 0);
}

static size_t first_reservation; /* bytes, 0: none yet */

static void *refuse_reservation(void *arg, size_t size, size_t align)
{
	(void)arg;
	(void)align;
	if (!first_reservation)
		first_reservation = size;
	return NULL;
}

/* how many areas are requested first, for chunks of @cpus units */
static uint64_t areas_requested(int64_t cpus, int64_t unit_size)
{
	struct creator creator = CREATOR(.reserve = refuse_reservation,
					 .release = creator_release,
					 .map = creator_map,
					 .unmap = creator_unmap);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	uint64_t area = (uint64_t)(cpus * unit_size + HOST_PAGE);
	int error;

	first_reservation = 0;
	config.cpus = cpus;
	config.nodes = 1;
	config.unit_size = unit_size;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(first_reservation % area == 0);
	return first_reservation / area;
}

/* half of the mappings that a process may have; a terabyte; but four areas */
TEST(the_first_reservation_has_three_limits)
{
	int64_t gib = (int64_t)1 << 30;

	CHECK(areas_requested(2, 16 * HOST_PAGE) == 32768);
	CHECK(areas_requested(128, gib) == 7);
	CHECK(areas_requested(512, gib) == 4);
}

/* embed has its first chunk in a block of its own, without a guard page */
TEST(with_a_first_block_no_further_area_is_required)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int64_t chunk = 2 * 16 * HOST_PAGE;
	int error;

	config.first_chunk = PCPU_FIRST_EMBED;
	config.address_space = chunk + 9 * (chunk + HOST_PAGE);
	creator.refusals = 4;		/* 9, 4, 2 and 1 areas */
	pcpu_destroy(create(&config));
	CHECK((int64_t)creator.size == chunk);
	creator.refusals = 5;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.refusals == 0);
}

TEST(a_first_block_is_part_of_the_address_space)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int64_t chunk = 2 * 16 * HOST_PAGE;

	config.first_chunk = PCPU_FIRST_EMBED;
	config.address_space = 20 * chunk;
	pcpu_destroy(create(&config));
	/* 19 chunks are left, not quite enough for 19 guard pages */
	CHECK((int64_t)creator.size == chunk + 18 * (chunk + HOST_PAGE));
}

static void *reserve_unaligned(void *arg, size_t size, size_t align)
{
	return (char *)creator_reserve(arg, size, align) + 1;
}

static void release_unaligned(void *arg, void *addr, size_t size)
{
	struct creator *creator = arg;

	creator_release(arg, (char *)addr - 1, size);
	CHECK(creator->size == size);
}

TEST(a_reservation_that_is_not_aligned_is_released)
{
	struct creator creator = CREATOR(.reserve = reserve_unaligned,
					 .release = release_unaligned,
					 .map = creator_map,
					 .unmap = creator_unmap);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int error;

	config.address_space = 2 * 16 * HOST_PAGE + HOST_PAGE;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.releases == 1);
}

TEST(frames_come_from_the_node_of_the_cpu_and_are_all_freed)
{
	for (int i = 0; i < 3; i++) {
		struct creator creator = CREATOR(PAGE_HOOKS);
		struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
		struct pcpu *pcpu;

		config.first_chunk = first_chunks[i];
		config.page_size = HOST_PAGE;
		pcpu = create(&config);
		use(pcpu);
		CHECK(creator.frames[0] + creator.frames[1] ==
		      info_of(pcpu).pages);
		CHECK(creator.frames[0] == creator.frames[1]);
		pcpu_destroy(pcpu);
		CHECK(creator.frames[0] == 0 && creator.frames[1] == 0);
	}
}

TEST(a_refused_frame_fails_the_request)
{
	struct creator creator = CREATOR(PAGE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	/* three pages for two CPUs each: the fourth frame is refused */
	creator.no_frame_at = 4;
	CHECK(pcpu_alloc(pcpu, 3 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK(creator.frames[0] == 2 && creator.frames[1] == 2);
	CHECK(info_of(pcpu).pages == 4);
	CHECK(pcpu_alloc(pcpu, 3 * PAGE, 8) > 0);
	pcpu_destroy(pcpu);
	CHECK(creator.frames[0] == 0 && creator.frames[1] == 0);
}

TEST(a_refused_frame_does_not_count_against_the_page_limit)
{
	struct creator creator = CREATOR(PAGE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu;

	config.page_limit = 2;
	pcpu = create(&config);
	for (int n = 1; n <= 4; n++) {
		creator.no_frame_at = n;
		CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	}
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) > 0);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(ALLOC_PAGE));
	pcpu_destroy(pcpu);
}

/* one node counts the frames of a run at once, but not with hooks */
TEST(with_a_single_node_the_hook_is_called_for_each_frame)
{
	struct creator creator = CREATOR(PAGE_HOOKS);
	struct pcpu_config config;
	struct pcpu *pcpu;

	creator.nodes = 1;
	config = config_by(&creator, PCPU_MEMORY_NONE);
	pcpu = create(&config);
	CHECK(creator.frames[0] == 4);
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, UNIT, 8)));
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, UNIT, 8)));
	CHECK(creator.frames[0] == 4 + 32);
	creator.no_frame_at = 3;
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK(creator.frames[0] == 4 + 32);
	pcpu_destroy(pcpu);
	CHECK(creator.frames[0] == 0);
}

TEST(the_default_is_a_single_node)
{
	struct creator creator = CREATOR(PAGE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu;

	creator.nodes = 1;
	config.nodes = 0;
	pcpu = create(&config);
	CHECK(pcpu_alloc(pcpu, UNIT - STATIC, 8) > 0);
	CHECK(creator.frames[0] == 2 * 16);
	pcpu_destroy(pcpu);
	CHECK(creator.frames[0] == 0);
}

TEST(a_creation_needs_the_frames_of_the_first_chunk)
{
	for (int n = 1; n <= 5; n++) {
		struct creator creator = CREATOR(PAGE_HOOKS);
		struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
		struct pcpu *pcpu;
		int error;

		creator.no_frame_at = n;
		pcpu = pcpu_create(&config, &error);
		/* two static pages, two CPUs */
		CHECK(!pcpu == (n <= 4));
		CHECK(error == (n <= 4 ? NOMEM(ALLOC_PAGE) : 0));
		pcpu_destroy(pcpu);
		CHECK(creator.frames[0] == 0 && creator.frames[1] == 0);
	}
}

/* once for each call */
TEST(should_fail_is_called_for_every_call_that_can_fail)
{
	static const int sites[] = { PCPU_KMALLOC, PCPU_VMALLOC,
		PCPU_GET_VM_AREA, PCPU_ALLOC_PAGE, PCPU_MAP };
	struct creator creator = CREATOR(.should_fail = creator_should_fail);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int all = 0, of_sites = 0;

	use(pcpu);
	for (int i = 0; i < PCPU_NR_SERVICES; i++)
		all += creator.asked[i];
	for (int i = 0; i < 5; i++) {
		of_sites += creator.asked[sites[i]];
		CHECK(creator.asked[sites[i]] > 0);
		CHECK((uint64_t)creator.asked[sites[i]] ==
		      calls_of(pcpu, sites[i]));
	}
	CHECK(all == of_sites);
	pcpu_destroy(pcpu);
}

TEST(a_call_fails_when_should_fail_returns_true)
{
	struct creator creator = CREATOR(.should_fail = creator_should_fail);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int error;

	creator.fail = PCPU_ALLOC_PAGE;
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	creator.fail = PCPU_GET_VM_AREA;
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(GET_VM_AREA));
	creator.fail = -1;
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) > 0);
	pcpu_destroy(pcpu);

	creator.fail = PCPU_MAP;	/* also at creation */
	CHECK(!pcpu_create(&config, &error) && error == NOMEM(MAP));
}

/* the plan fails one call and ends; the hook remains in effect */
TEST(a_call_fails_by_the_plan_or_by_the_hook)
{
	struct creator creator = CREATOR(.should_fail = creator_should_fail);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int asked;

	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	asked = creator.asked[PCPU_ALLOC_PAGE];
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK(creator.asked[PCPU_ALLOC_PAGE] == asked + 1);
	creator.fail = PCPU_ALLOC_PAGE;
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	CHECK(!pcpu_inject(pcpu, PCPU_ALLOC_PAGE, NULL));
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) == NOMEM(ALLOC_PAGE));
	creator.fail = -1;
	CHECK(pcpu_alloc(pcpu, 2 * PAGE, 8) > 0);
	pcpu_destroy(pcpu);
}

/* an area in the first chunk; a unit that needs a second and a third chunk */
TEST(events_are_reported_in_order)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int64_t a, b;

	CHECK(!creator.log[0]);
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 10, 4)));
	a = pcpu_alloc(pcpu, UNIT, 64);
	b = pcpu_alloc(pcpu, UNIT, 64);
	CHECK(!strcmp(creator.log,
		      "alloc 0+128 ptr 192 size 10 align 4 error 0\n"
		      "free 0+128 ptr 192 size 10 align 0 error 0\n"
		      "create 1+0 ptr 2112 size 0 align 0 error 0\n"
		      "alloc 1+0 ptr 2112 size 1024 align 64 error 0\n"
		      "create 2+0 ptr 4224 size 0 align 0 error 0\n"
		      "alloc 2+0 ptr 4224 size 1024 align 64 error 0\n"));

	/* with a second empty chunk the other one is destroyed */
	creator.log[0] = '\0';
	CHECK(!pcpu_free(pcpu, a) && !pcpu_free(pcpu, b));
	CHECK(!strcmp(creator.log,
		      "free 1+0 ptr 2112 size 1024 align 0 error 0\n"
		      "free 2+0 ptr 4224 size 1024 align 0 error 0\n"
		      "destroy 1+0 ptr 2112 size 0 align 0 error 0\n"));
	pcpu_destroy(pcpu);
}

TEST(a_failure_is_an_event_but_a_refusal_is_not)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	char want[128];

	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, 100, 16) == NOMEM(ALLOC_PAGE));
	fail_at(pcpu, PCPU_KMALLOC, 1);
	CHECK(pcpu_alloc(pcpu, UNIT, 16) == NOMEM(KMALLOC));
	CHECK(pcpu_alloc(pcpu, 8, 3) == -PCPU_E_ALIGN);
	CHECK(pcpu_free(pcpu, 12345) == -PCPU_E_WILD);
	snprintf(want, sizeof(want),
		 "fail 0+0 ptr 0 size 100 align 16 error %d\n"
		 "fail 0+0 ptr 0 size 1024 align 16 error %d\n",
		 NOMEM(ALLOC_PAGE), NOMEM(KMALLOC));
	CHECK(!strcmp(creator.log, want));
	pcpu_destroy(pcpu);
}

/*
 *	chunk 0  |#static#|a |..|b |.....|
 *	chunk 1  |c                      |
 */
TEST(areas_that_are_live_at_close_are_reported)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	int64_t gap;

	pcpu_alloc(pcpu, 16, 8);
	gap = pcpu_alloc(pcpu, 16, 8);
	pcpu_alloc(pcpu, 32, 8);
	pcpu_alloc(pcpu, UNIT, 8);
	pcpu_free(pcpu, gap);
	creator.log[0] = '\0';
	CHECK(!pcpu_close(pcpu));
	CHECK(!strcmp(creator.log,
		      "leak 0+128 ptr 192 size 16 align 0 error 0\n"
		      "leak 0+160 ptr 224 size 32 align 0 error 0\n"
		      "leak 1+0 ptr 2112 size 1024 align 0 error 0\n"
		      "1: closed with 3 areas of 1072 bytes still allocated\n"));

	/* they are reported once */
	creator.log[0] = '\0';
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
	CHECK(!creator.log[0]);
}

TEST(one_byte_is_not_several)
{
	struct creator creator = CREATOR(0);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	pcpu_alloc(pcpu, 1, 1);
	pcpu_destroy(pcpu);
	CHECK(!strcmp(creator.log,
		      "1: closed with 1 area of 1 byte still allocated\n"));
}

TEST(without_live_areas_close_reports_nothing)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	creator.log[0] = '\0';
	pcpu_destroy(pcpu);
	CHECK(!creator.log[0]);
}

TEST(the_last_unpin_after_destroy_reports_live_areas)
{
	struct creator creator = CREATOR(0);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu = create(&config);
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, pcpu_alloc(pcpu, 24, 8), 0, &pin));
	pcpu_destroy(pcpu);
	CHECK(!creator.log[0]);
	pcpu_unpin(&pin);
	CHECK(!strcmp(creator.log,
		      "1: closed with 1 area of 24 bytes still allocated\n"));
}

/* one hook of a group is removed from a complete table */
TEST(an_incomplete_group_of_hooks_is_refused_and_the_missing_hook_named)
{
	static const struct {
		size_t at;	/* offset in struct pcpu_hooks */
		const char *name;
	} needed[] = {
		{ offsetof(struct pcpu_hooks, alloc), "alloc" },
		{ offsetof(struct pcpu_hooks, free), "free" },
		{ offsetof(struct pcpu_hooks, reserve), "reserve" },
		{ offsetof(struct pcpu_hooks, release), "release" },
		{ offsetof(struct pcpu_hooks, map), "map" },
		{ offsetof(struct pcpu_hooks, unmap), "unmap" },
		{ offsetof(struct pcpu_hooks, alloc_page), "alloc_page" },
		{ offsetof(struct pcpu_hooks, free_page), "free_page" },
	};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		struct creator creator = CREATOR(MEMORY_HOOKS, SPACE_HOOKS,
						 PAGE_HOOKS);
		struct pcpu_config config = config_by(&creator,
						      PCPU_MEMORY_MAPPED);
		char want[160];
		int error = 0;

		memset((char *)&creator.hooks + needed[i].at, 0,
		       sizeof(creator.hooks.alloc));
		snprintf(want, sizeof(want), "%d: the hook %s is missing, but "
			 "others of its group are set: see struct pcpu_hooks\n",
			 PCPU_LOG_REFUSED, needed[i].name);
		CHECK(!pcpu_create(&config, &error));
		CHECK(error == -PCPU_E_HOOKS);
		CHECK(!strcmp(creator.log, want));
		CHECK(creator.blocks == 0);
	}
}

/* the table may be on the caller's stack */
TEST(the_table_of_hooks_is_copied)
{
	struct creator creator = CREATOR(MEMORY_HOOKS, .event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	memset(&creator.hooks, 0xff, sizeof(creator.hooks));
	use(pcpu);
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
}

/* a call from within each hook returns -PCPU_E_BUSY */
static void check_calls_from_hooks(void)
{
	struct creator creator = CREATOR(MEMORY_HOOKS, SPACE_HOOKS,
					 .event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	creator.ask = pcpu;
	use(pcpu);
	CHECK(creator.answers > 40 && creator.other_answers == 0);
	creator.ask = NULL;
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
}

TEST(a_hook_that_calls_its_allocator_is_refused)
{
	check_calls_from_hooks();
}

static pthread_mutex_t waiting = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_mutex(void *arg)
{
	pthread_mutex_lock(&waiting);
	pthread_mutex_unlock(&waiting);
	return arg;
}

/* in this case the lock takes a mutex */
TEST(a_hook_is_refused_also_in_a_process_with_several_threads)
{
	pthread_t thread;

	pthread_mutex_lock(&waiting);
	CHECK(!pthread_create(&thread, NULL, wait_for_mutex, NULL));
	check_calls_from_hooks();
	pthread_mutex_unlock(&waiting);
	pthread_join(thread, NULL);
}

static struct pcpu *signalled;
static int64_t signal_answer;

static void on_signal(int number)
{
	(void)number;
	signal_answer = pcpu_alloc(signalled, 8, 8);
}

static void raise_in_event(void *arg, const struct pcpu_event *event)
{
	(void)arg;
	(void)event;
	raise(SIGUSR1);
}

/* this is forbidden, but the lock notices it and nothing breaks */
TEST(a_signal_handler_in_the_middle_of_a_call_is_refused)
{
	struct creator creator = CREATOR(.event = raise_in_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);

	signal(SIGUSR1, on_signal);
	signalled = create(&config);
	signal_answer = 0;
	CHECK(pcpu_alloc(signalled, 8, 8) > 0);
	CHECK(signal_answer == -PCPU_E_BUSY);
	CHECK_MAP(signalled, 0, "-128 -8 888 (free 888 hint 888)");
	pcpu_destroy(signalled);
	signal(SIGUSR1, SIG_DFL);
}

static void *alloc_one(void *arg)
{
	signal_answer = pcpu_alloc(signalled, 8, 8);
	return arg;
}

/*
 * The only thread of a process does not leave its name in the lock.  If its hook
 * starts another thread, the lock must exclude that one.
 */
TEST(a_thread_that_a_hook_starts_is_refused)
{
	pthread_t thread;

	signalled = small(2);
	/* the state while the only thread of the process has the lock */
	signalled->lock.owner = PCPU_OWNER_ALONE;
	CHECK(!pthread_create(&thread, NULL, alloc_one, NULL));
	pthread_join(thread, NULL);
	CHECK(signal_answer == -PCPU_E_BUSY);
	signalled->lock.owner = PCPU_OWNER_NONE;
	CHECK(pcpu_alloc(signalled, 8, 8) > 0);
	pcpu_destroy(signalled);
}

/* both calls are refused and the allocator stays usable */
static void destroy_and_close(void *arg, const struct pcpu_event *event)
{
	struct creator *creator = arg;

	(void)event;
	pcpu_destroy(creator->ask);
	creator->answers += pcpu_close(creator->ask) == -PCPU_E_BUSY;
}

TEST(a_hook_cannot_close_or_destroy_its_allocator)
{
	struct creator creator = CREATOR(.event = destroy_and_close);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	creator.ask = pcpu;
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	CHECK(creator.answers == 2);
	pcpu_destroy(pcpu);
}

static void unpin_in_event(void *arg, const struct pcpu_event *event)
{
	(void)event;
	pcpu_unpin(arg);
}

TEST(a_hook_cannot_unpin)
{
	struct pcpu_hooks hooks = { .event = unpin_in_event };
	struct pcpu_config config = mapped_config(2);
	struct pcpu_pin pin = { 0 };
	struct pcpu *pcpu;
	int64_t ptr;

	config.hooks = &hooks;
	config.arg = &pin;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 8, 8);
	CHECK(!pcpu_pin(pcpu, ptr, 0, &pin));
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_PINNED);
	pcpu_unpin(&pin);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}
