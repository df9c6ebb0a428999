// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_host.c - the host has no memory, or no more mappings: each call says so
 * and leaves nothing behind.
 *
 * What leaks on the way the sanitizer sees, but for reservations: those are
 * counted here.
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

/* create with a failure at call after call, until there are no more of them */
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

/* the handle, the nodes, the lists, the first chunk */
TEST(a_creation_takes_memory_four_times_and_may_fail_each_time)
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

/* two calls ready the reservation, then each CPU's unit is mapped */
TEST(a_creation_whose_pages_cannot_be_mapped_leaves_nothing)
{
	for (int i = 0; i < 3; i++) {
		struct pcpu_config config = mapped_config(2);
		int errors[16];

		config.first_chunk = first_chunks[i];
		CHECK(creations_that_failed(&config, HOST_MPROTECT, errors) ==
		      4);
		CHECK(errors[0] == -PCPU_E_HOST && errors[1] == -PCPU_E_HOST);
		CHECK(errors[2] == NOMEM(MAP) && errors[3] == NOMEM(MAP));
	}
}

TEST(a_reservation_that_cannot_be_made_ready_is_given_back)
{
	struct pcpu_config config = mapped_config(2);
	int errors[16];

	CHECK(creations_that_failed(&config, HOST_MADVISE, errors) == 1);
	CHECK(errors[0] == -PCPU_E_HOST);
}

/* less address space is better than none */
TEST(a_host_that_refuses_a_reservation_is_asked_for_half)
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

TEST(a_host_that_refuses_every_reservation_ends_the_creation)
{
	struct pcpu_config config = mapped_config(2);
	int error;

	host_fail(HOST_MMAP, 0, INT_MAX);
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_HOST);
	host_fail(HOST_MMAP, 0, 0);
}

/* an array, handed out from the front and never taken back */
static _Alignas(16) char records[1 << 16];
static size_t records_used;

static void *take_record(void *arg, size_t size)
{
	void *record = records + records_used;

	(void)arg;
	records_used += (size + 15) & ~(size_t)15;
	return records_used <= sizeof(records) ? record : NULL;
}

static void forget_record(void *arg, void *ptr)
{
	(void)arg;
	(void)ptr;
}

/* two chunks of 2 units of 16 pages and their guards */
static _Alignas(4096) char units[2 * 33 * 4096];

static void *take_units(void *arg, size_t size, size_t align)
{
	(void)arg;
	return size <= sizeof(units) && align <= 4096 ? units : NULL;
}

static void forget_units(void *arg, void *addr, size_t size)
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

static void leave_units(void *arg, void *addr, size_t size, int cpu, int node)
{
	(void)arg;
	(void)addr;
	(void)size;
	(void)cpu;
	(void)node;
}

TEST(an_allocator_may_live_in_two_arrays_and_need_nothing_else)
{
	static const struct pcpu_hooks arrays = {
		.alloc = take_record,
		.free = forget_record,
		.reserve = take_units,
		.release = forget_units,
		.map = clear_units,
		.unmap = leave_units,
	};
	struct pcpu_config config = mapped_config(2);
	struct pcpu_snapshot *snapshot;
	struct pcpu *pcpu;
	int64_t ptrs[40];
	size_t at;

	if (sysconf(_SC_PAGESIZE) != 4096)
		return;
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

/* a new chunk: its struct, its map, its place in the address space */
TEST(no_memory_of_the_host_is_no_memory_of_the_service)
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

TEST(a_map_that_the_host_has_no_room_for_cannot_grow)
{
	struct pcpu *pcpu = small(2);

	for (int i = 0; i < 14; i++)
		pcpu_alloc(pcpu, 8, 8);
	host_fail(HOST_ALLOC, 0, 1);
	CHECK(pcpu_alloc(pcpu, 8, 8) == NOMEM(VMALLOC));
	CHECK(pcpu_alloc(pcpu, 8, 8) == BASE + STATIC + 14 * 8);
	pcpu_destroy(pcpu);
}

/* too many mappings, for example */
TEST(pages_that_the_host_does_not_map_are_given_back)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	struct pcpu_info before = info_of(pcpu);

	for (int cpu = 0; cpu < 2; cpu++) {
		host_fail(HOST_MPROTECT, cpu, 1);
		CHECK(pcpu_alloc(pcpu, before.page_size, 8) == NOMEM(MAP));
		CHECK(info_of(pcpu).pages == before.pages);
	}
	CHECK(pcpu_alloc(pcpu, before.page_size, 8) > 0);
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
}

TEST(a_snapshot_needs_memory)
{
	struct pcpu *pcpu = small(2);
	int error;

	host_fail(HOST_ALLOC, 0, 1);
	CHECK(!pcpu_snapshot_take(pcpu, &error));
	CHECK(error == -PCPU_E_HOST);
	/* the lock was dropped */
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(many_frees_need_memory_and_free_nothing_without)
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

/* each takes memory of its own: an area, its site and chunk, a freed slot */
static const char recorded[] =
	"x-1 [000] ..... 1.0: percpu_alloc_percpu: call_site=f size=8 align=8 "
	"base_addr=a off=8 ptr=b\n"
	"x-1 [000] ..... 1.0: percpu_free_percpu: base_addr=a off=8 ptr=b\n";

static int read_events(struct pcpu_trace_reader *reader)
{
	const size_t half = sizeof(recorded) / 2;
	int err = pcpu_trace_feed(reader, recorded, half);

	if (!err)
		err = pcpu_trace_feed(reader, recorded + half,
				      sizeof(recorded) - 1 - half);
	return err;
}

TEST(a_reader_that_gets_no_memory_stops_for_good)
{
	struct pcpu_trace_reader *reader;
	struct pcpu_trace_stop stop;
	int err, n;

	host_fail(HOST_ALLOC, 0, 1);
	CHECK(!pcpu_trace_reader_new());
	for (n = 0; ; n++) {
		reader = pcpu_trace_reader_new();
		host_fail(HOST_ALLOC, n, 1);
		err = read_events(reader);
		host_fail(HOST_ALLOC, 0, 0);
		if (!err)
			break;
		CHECK(err == -PCPU_T_HOST);
		pcpu_trace_stop(reader, &stop);
		CHECK(stop.error == PCPU_T_HOST && !stop.field);
		CHECK(read_events(reader) == -PCPU_T_HOST);
		pcpu_trace_reader_free(reader);
	}
	CHECK(n > 8);
	CHECK(!pcpu_trace_finish(reader));
	pcpu_trace_reader_free(reader);
}

/* of a recording that begins in mid-life: its chunk, its note, itself */
TEST(a_free_in_a_chunk_never_seen_needs_memory)
{
	static const char text[] = "x-1 [000] ..... 1.0: percpu_free_percpu: "
				   "base_addr=a off=8 ptr=b\n";
	int n;

	for (n = 0; ; n++) {
		struct pcpu_trace_reader *reader = pcpu_trace_reader_new();
		size_t nr_notes, nr_ops;
		int err;

		host_fail(HOST_ALLOC, n, 1);
		err = pcpu_trace_feed(reader, text, sizeof(text) - 1);
		host_fail(HOST_ALLOC, 0, 0);
		pcpu_trace_ops(reader, &nr_ops);
		pcpu_trace_notes(reader, &nr_notes);
		CHECK(nr_ops == (size_t)!err && nr_notes == nr_ops);
		pcpu_trace_reader_free(reader);
		if (!err)
			break;
		CHECK(err == -PCPU_T_HOST);
	}
	CHECK(n == 4);
}
