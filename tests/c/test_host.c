// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_host.c - the host runs out of memory or mappings: each call returns an
 * error and leaks nothing.
 *
 * The sanitizer notices leaked memory.  These tests count reservations, which
 * it does not see.
 */
#define _GNU_SOURCE 1	/* sysconf */
#include <limits.h>
#include <unistd.h>

#include "host_faults.h"
#include "small.h"
#include "percpu.h"

static const int first_chunks[] = {
	PCPU_FIRST_4K, PCPU_FIRST_EMBED, PCPU_FIRST_REMAP,
};

static char logged[128];	/* the last text of the allocator */

static void keep_text(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	snprintf(logged, sizeof(logged), "%s", text);
}

/* let the first call fail, then the second, ... until the creation succeeds */
static int creations_that_failed(struct pcpu_config *config,
				 enum host_call call, int *errors)
{
	for (int n = 0; ; n++) {
		struct pcpu *pcpu;

		host_fail(call, n, 1);
		pcpu = pcpu_create(config, &errors[n]);
		host_fail(call, 0, 0);
		if (pcpu) {
			CHECK(!errors[n]);
			pcpu_destroy(pcpu);
			CHECK(host_reserved == 0);
			return n;
		}
		CHECK(host_reserved == 0);
	}
}

/* memory for the handle, the nodes, the lists and the first chunk */
TEST(a_creation_allocates_four_times_and_may_fail_each_time)
{
	for (int i = 0; i < 3; i++) {
		struct pcpu_config config = mapped_config(2);
		int errors[16];

		config.first_chunk = first_chunks[i];
		CHECK(creations_that_failed(&config, HOST_ALLOC, errors) == 4);
		for (int n = 0; n < 4; n++)
			CHECK(errors[n] == -PCPU_E_HOST);
	}
}

/* two calls prepare the reservation, then each CPU's unit is mapped */
TEST(a_creation_whose_pages_cannot_be_mapped_leaves_nothing)
{
	host_kind = HOST_WITHOUT_GUARDS;
	for (int i = 0; i < 3; i++) {
		struct pcpu_config config = mapped_config(2);
		int errors[16];

		config.first_chunk = first_chunks[i];
		CHECK(creations_that_failed(&config, HOST_MPROTECT, errors) ==
		      4);
		CHECK(errors[0] == -PCPU_E_HOST && errors[1] == -PCPU_E_HOST);
		CHECK(errors[2] == NOMEM(MAP) && errors[3] == NOMEM(MAP));
	}
	host_kind = HOST_TODAY;
}

TEST(a_reservation_that_cannot_be_prepared_is_released)
{
	struct pcpu_config config = mapped_config(2);
	int errors[16];

	CHECK(creations_that_failed(&config, HOST_MADVISE, errors) == 1);
	CHECK(errors[0] == -PCPU_E_HOST);
}

/* half, a quarter, an eighth of the address space */
TEST(after_a_refused_reservation_half_is_requested)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	size_t whole = host_reserved;

	pcpu_destroy(pcpu);
	host_fail(HOST_MMAP, 0, 3);
	pcpu = create(&config);
	CHECK(host_reserved > whole / 9 && host_reserved < whole / 7);
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	pcpu_destroy(pcpu);
	CHECK(host_reserved == 0);
}

TEST(a_creation_fails_when_every_reservation_is_refused)
{
	struct pcpu_config config = mapped_config(2);
	int error;

	host_fail(HOST_MMAP, 0, INT_MAX);
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	host_fail(HOST_MMAP, 0, 0);
}

/* memory for the hooks, which never reuse what is freed */
static _Alignas(16) char records[1 << 16];
static size_t records_used;

static void *take_record(void *arg, size_t size)
{
	void *record = records + records_used;

	(void)arg;
	records_used += (size + 15) & ~(size_t)15;
	return records_used <= sizeof(records) ? record : NULL;
}

static void ignore_record(void *arg, void *ptr)
{
	(void)arg;
	(void)ptr;
}

/* two chunks, each with 2 units of 16 pages and a guard page */
static _Alignas(4096) char units[2 * 33 * 4096];

static void *take_units(void *arg, size_t size, size_t align)
{
	(void)arg;
	return size <= sizeof(units) && align <= 4096 ? units : NULL;
}

static void check_units(void *arg, void *addr, size_t size)
{
	(void)arg;
	CHECK(addr == units && size == sizeof(units));
}

static int clear_units(void *arg, void *addr, size_t size, int cpu, int node)
{
	(void)arg;
	(void)cpu;
	(void)node;
	memset(addr, 0, size);
	return 0;
}

static void keep_units(void *arg, void *addr, size_t size, int cpu, int node)
{
	(void)arg;
	(void)addr;
	(void)size;
	(void)cpu;
	(void)node;
}

TEST(an_allocator_can_live_in_two_arrays_and_needs_nothing_else)
{
	static const struct pcpu_hooks arrays = {
		.alloc = take_record,
		.free = ignore_record,
		.reserve = take_units,
		.release = check_units,
		.map = clear_units,
		.unmap = keep_units,
	};
	struct pcpu_config config = mapped_config(2);
	struct pcpu_snapshot *snapshot;
	struct pcpu *pcpu;
	int64_t ptrs[40];
	size_t at;

	if (sysconf(_SC_PAGESIZE) != 4096) {
		skip("the arrays are for pages of 4,096 bytes");
		return;
	}
	config.hooks = &arrays;
	for (int call = 0; call < NR_HOST_CALLS; call++)
		host_fail(call, 0, INT_MAX);
	pcpu = create(&config);
	for (int i = 0; i < 40; i++) {
		char *copy;

		ptrs[i] = pcpu_alloc(pcpu, 1000, 8);
		copy = (char *)(uintptr_t)pcpu_address(pcpu, ptrs[i], 1);
		CHECK(copy > units && copy < units + sizeof(units));
		CHECK(!copy[0] && !copy[999]);
		memset(copy, 0xff, 1000);
	}
	CHECK(pcpu_alloc(pcpu, 65536, 8) > 0);
	CHECK(pcpu_alloc(pcpu, 65536, 8) == NOMEM(GET_VM_AREA));
	snapshot = pcpu_snapshot_take(pcpu, NULL);
	CHECK(snapshot->nr_chunks == 2);
	pcpu_snapshot_free(snapshot);
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 40, &at));
	pcpu_destroy(pcpu);
	for (int call = 0; call < NR_HOST_CALLS; call++)
		host_fail(call, 0, 0);
}

/* a new chunk: its struct, its map, its vm area */
TEST(a_failed_malloc_is_a_failure_of_the_service)
{
	static const int errors[] = {
		NOMEM(KMALLOC), NOMEM(KMALLOC), NOMEM(GET_VM_AREA),
	};
	struct pcpu *pcpu = small(2);

	for (int n = 0; n < 3; n++) {
		host_fail(HOST_ALLOC, n, 1);
		CHECK(pcpu_alloc(pcpu, UNIT, 8) == errors[n]);
		CHECK_SLOTS(pcpu, "7:0");
	}
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == BASE + 2 * UNIT);
	pcpu_destroy(pcpu);
}

/*
 *	|chunk 0|-|  gap  |-|chunk 2|-|chunk 3|-
 */
TEST(a_chunk_that_failed_leaves_its_gap_to_the_next)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, UNIT, 8), b = pcpu_alloc(pcpu, UNIT, 8);

	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	CHECK(!pcpu_free(pcpu, a) && !pcpu_free(pcpu, b));
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == b);
	host_fail(HOST_ALLOC, 2, 1);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == NOMEM(GET_VM_AREA));
	CHECK(pcpu_alloc(pcpu, UNIT, 8) == a);
	pcpu_destroy(pcpu);
}

TEST(a_map_cannot_grow_without_memory_of_the_host)
{
	struct pcpu *pcpu = small(2);

	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	host_fail(HOST_ALLOC, 0, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + STATIC + 14 * 8);
	pcpu_destroy(pcpu);
}

/* for example because the process has too many mappings */
TEST(pages_that_the_host_does_not_map_are_freed)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu_info before;
	struct pcpu *pcpu;

	host_kind = HOST_WITHOUT_GUARDS;
	pcpu = create(&config);
	before = info_of(pcpu);
	for (int cpu = 0; cpu < 2; cpu++) {
		host_fail(HOST_MPROTECT, cpu, 1);
		CHECK(pcpu_alloc(pcpu, before.page_size, 8) == NOMEM(MAP));
		CHECK(info_of(pcpu).pages == before.pages);
	}
	CHECK(pcpu_alloc(pcpu, before.page_size, 8) > 0);
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
	host_kind = HOST_TODAY;
}

/* the chunk is destroyed all the same */
TEST(pages_that_the_host_does_not_unmap_cause_a_warning)
{
	static const enum host_call calls[] = { HOST_MPROTECT, HOST_MADVISE };
	struct pcpu_config config = mapped_config(2);

	config.log = keep_text;
	host_kind = HOST_WITHOUT_GUARDS;
	for (int i = 0; i < 2; i++) {
		struct pcpu *pcpu = create(&config);
		int64_t unit = info_of(pcpu).unit_size;
		int64_t a = pcpu_alloc(pcpu, unit, 8);
		int64_t b = pcpu_alloc(pcpu, unit, 8);

		host_fail(calls[i], 0, 1);
		CHECK(!pcpu_free(pcpu, a) && !pcpu_free(pcpu, b));
		CHECK(calls_of(pcpu, PCPU_WARN) == 1);
		CHECK(strstr(logged, "left pages accessible"));
		CHECK(info_of(pcpu).chunks == 2);
		host_fail(calls[i], 0, 0);
		pcpu_destroy(pcpu);
	}
	host_kind = HOST_TODAY;
}

static void ignore_text(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	(void)text;
}

/* a page of CPU 1 is not mapped, so that of CPU 0 is unmapped: in two steps */
TEST(an_unmap_that_fails_in_either_step_is_a_warning)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;

	config.log = ignore_text;
	host_kind = HOST_WITHOUT_GUARDS;
	pcpu = create(&config);
	for (int n = 0; n < 2; n++) {
		host_fail(HOST_MPROTECT, 1, n ? 2 : 1);
		host_fail(HOST_MADVISE, 0, n ? 0 : 1);
		CHECK(pcpu_alloc(pcpu, info_of(pcpu).page_size, 8) ==
		      NOMEM(MAP));
		CHECK(calls_of(pcpu, PCPU_WARN) == (uint64_t)n + 1);
	}
	pcpu_destroy(pcpu);
	host_kind = HOST_TODAY;
}

TEST(a_snapshot_needs_memory)
{
	struct pcpu *pcpu = small(2);
	int error;

	host_fail(HOST_ALLOC, 0, 1);
	CHECK(!pcpu_snapshot_take(pcpu, &error));
	CHECK(error == -PCPU_E_HOST);
	/* the lock was released */
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(free_many_without_memory_frees_nothing)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[] = { pcpu_alloc(pcpu, 8, 8), pcpu_alloc(pcpu, 8, 8) };
	size_t at;

	host_fail(HOST_ALLOC, 0, 1);
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 2, &at) == -PCPU_E_HOST);
	CHECK_MAP(pcpu, 0, "-128 -8 -8 880 (free 880 hint 880)");
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 2, &at));
	pcpu_destroy(pcpu);
}
