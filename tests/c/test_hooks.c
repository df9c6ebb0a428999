// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_hooks.c - a creator brings memory, addresses, pages, faults along, and
 * listens.
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

/* enough for a second chunk and for a longer map */
static void use(struct pcpu *pcpu)
{
	int64_t max = info_of(pcpu).max_size;

	for (int i = 0; i < 40; i++)
		CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, max, 8)));
	CHECK(pcpu_alloc(pcpu, max / 2, 8) > 0);
}

TEST(records_are_kept_in_the_creators_memory_which_all_comes_back)
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
	pcpu_destroy(pcpu);
	/* a picture outlives what it shows */
	CHECK(creator.blocks == 1 && snapshot->nr_chunks == 2);
	pcpu_snapshot_free(snapshot);
	CHECK(creator.blocks == 0);
}

/* the handle, the nodes, the lists, the first chunk */
TEST(a_creation_that_gets_no_memory_gives_back_what_it_got)
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

/* a chunk, its map, its place: each may fail, and nothing changes */
TEST(no_memory_from_the_creator_is_no_memory_of_the_service)
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

TEST(many_frees_without_memory_free_nothing)
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

TEST(areas_lie_in_the_creators_pages)
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
 * A unit is 16 pages; the static area has one.  The next one comes on demand:
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
	/* a chunk of its own, and back: an empty one stays, a second does not */
	ptr = pcpu_alloc(pcpu, 16 * (int64_t)page, 8);
	CHECK(creator.mapped == 36 * page);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(creator.mapped == 36 * page);
	pcpu_destroy(pcpu);
	CHECK(creator.mapped == 0);
}

TEST(pages_that_the_creator_does_not_map_are_a_failed_map)
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

TEST(a_creation_whose_pages_are_not_mapped_leaves_nothing)
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

TEST(a_creator_that_refuses_a_reservation_is_asked_for_half)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int64_t area = 2 * 16 * HOST_PAGE + HOST_PAGE;
	int error;

	config.address_space = 9 * area;
	creator.refusals = 2;
	pcpu_destroy(create(&config));
	CHECK((int64_t)creator.size == 2 * area);	/* 9, 4, 2 */

	/* one chunk is the least */
	creator.refusals = 4;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.refusals == 0 && creator.releases == 1);
}

static void *reserve_askew(void *arg, size_t size, size_t align)
{
	return (char *)creator_reserve(arg, size, align) + align / 2;
}

static void release_askew(void *arg, void *addr, size_t size)
{
	struct creator *creator = arg;

	creator_release(arg, (char *)addr - sysconf(_SC_PAGESIZE) / 2, size);
	CHECK(creator->size == size);
}

TEST(a_reservation_that_is_not_aligned_goes_back)
{
	struct creator creator = CREATOR(.reserve = reserve_askew,
					 .release = release_askew,
					 .map = creator_map,
					 .unmap = creator_unmap);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int error;

	config.address_space = 2 * 16 * HOST_PAGE + HOST_PAGE;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	CHECK(creator.releases == 1);
}

TEST(frames_are_taken_from_the_node_of_the_cpu_and_all_come_back)
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

TEST(a_frame_that_is_refused_fails_the_request)
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

/* where one node has no limit frames are counted in one go, but not for us */
TEST(a_single_node_asks_for_each_frame_too)
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

/* each call is asked about, no more and no less */
TEST(the_creator_is_asked_about_every_call_that_can_fail)
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

TEST(what_the_creator_lets_fail_fails)
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

/* the plan strikes once and is used up, or is cleared; the creator stays */
TEST(plans_and_the_creator_decide_side_by_side)
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
TEST(events_come_in_the_order_that_things_happen)
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

	/* the second one that is empty goes */
	creator.log[0] = '\0';
	CHECK(!pcpu_free(pcpu, a) && !pcpu_free(pcpu, b));
	CHECK(!strcmp(creator.log,
		      "free 1+0 ptr 2112 size 1024 align 0 error 0\n"
		      "free 2+0 ptr 4224 size 1024 align 0 error 0\n"
		      "destroy 1+0 ptr 2112 size 0 align 0 error 0\n"));
	pcpu_destroy(pcpu);
}

TEST(a_failure_is_an_event_and_a_refusal_is_none)
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
TEST(areas_that_are_left_at_the_end_are_told)
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

	/* once */
	creator.log[0] = '\0';
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
	CHECK(!creator.log[0]);
}

TEST(nothing_is_told_where_nothing_is_left)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	creator.log[0] = '\0';
	pcpu_destroy(pcpu);
	CHECK(!creator.log[0]);
}

TEST(what_is_left_when_the_last_pin_goes_is_told_too)
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
		      "1: closed with 1 areas of 24 bytes still allocated\n"));
}

/* one hook of a group is taken out of a full table */
TEST(a_table_with_a_hole_is_refused_and_the_hole_is_named)
{
	static const struct {
		size_t at;	/* in the table */
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

/* the table may lie on the creator's stack */
TEST(the_table_is_copied)
{
	struct creator creator = CREATOR(MEMORY_HOOKS, .event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	memset(&creator.hooks, 0xff, sizeof(creator.hooks));
	use(pcpu);
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
}

/* each hook that is called back from finds the allocator busy */
static void be_called_back(void)
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

TEST(a_hook_that_calls_its_allocator_is_turned_away)
{
	be_called_back();
}

static pthread_mutex_t until = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_it(void *arg)
{
	pthread_mutex_lock(&until);
	pthread_mutex_unlock(&until);
	return arg;
}

/* the lock is another one then: a mutex */
TEST(also_with_other_threads_about)
{
	pthread_t thread;

	pthread_mutex_lock(&until);
	CHECK(!pthread_create(&thread, NULL, wait_for_it, NULL));
	be_called_back();
	pthread_mutex_unlock(&until);
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

/* forbidden; where it is noticed, nothing breaks */
TEST(a_signal_handler_in_the_middle_of_a_call_is_turned_away)
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
 * A thread that is alone takes no mutex.  If its hook starts another one, that
 * must not get in beside it.
 */
TEST(a_thread_that_a_hook_starts_is_turned_away)
{
	pthread_t thread;

	signalled = small(2);
	/* as it is while a thread is inside that came alone */
	signalled->lock.held = PCPU_HELD_ALONE;
	CHECK(!pthread_create(&thread, NULL, alloc_one, NULL));
	pthread_join(thread, NULL);
	CHECK(signal_answer == -PCPU_E_BUSY);
	signalled->lock.held = PCPU_HELD_NOT;
	CHECK(pcpu_alloc(signalled, 8, 8) > 0);
	pcpu_destroy(signalled);
}

/* destroyed or closed from within: it goes on */
static void end_it(void *arg, const struct pcpu_event *event)
{
	struct creator *creator = arg;

	(void)event;
	pcpu_destroy(creator->ask);
	creator->answers += pcpu_close(creator->ask) == -PCPU_E_BUSY;
}

TEST(a_hook_cannot_end_its_allocator)
{
	struct creator creator = CREATOR(.event = end_it);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);

	creator.ask = pcpu;
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	CHECK(creator.answers == 2);
	pcpu_destroy(pcpu);
}

static void unpin_it(void *arg, const struct pcpu_event *event)
{
	(void)event;
	pcpu_unpin(arg);
}

TEST(a_pin_that_a_hook_takes_away_stays)
{
	struct pcpu_hooks hooks = { .event = unpin_it };
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
