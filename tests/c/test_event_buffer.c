// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_event_buffer.c - recorded events that wait to be taken, and the highest
 * figures of an allocator's life.
 */
#include "creator.h"

#include <pthread.h>
#include <time.h>

#include "cpus.h"
#include "internal.h"

#define ROOM	4096

static struct pcpu_record records[ROOM];

static size_t taken(struct pcpu *pcpu, size_t room, uint64_t *lost)
{
	size_t n = 1;

	CHECK(!pcpu_record_take(pcpu, records, room, &n, lost));
	return n;
}

TEST(nothing_is_recorded_before_the_start_and_after_the_stop)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost = 1;

	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(taken(pcpu, ROOM, &lost) == 0 && lost == 0);
	CHECK(!pcpu_record_start(pcpu) && !pcpu_record_start(pcpu));
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(!pcpu_record_stop(pcpu) && !pcpu_record_stop(pcpu));
	CHECK(taken(pcpu, ROOM, &lost) == 0);
	CHECK(!pcpu->has_listener);
	pcpu_destroy(pcpu);
}

TEST(a_record_contains_event_time_cpu_and_thread)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost;
	int64_t ptr;

	pcpu_record_start(pcpu);
	ptr = pcpu_alloc(pcpu, 8, 8);
	CHECK(!pcpu_free(pcpu, ptr));
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, 100, 16) == NOMEM(ALLOC_PAGE));

	CHECK(taken(pcpu, ROOM, &lost) == 3 && !lost);
	CHECK(records[0].event.kind == PCPU_EVENT_ALLOC);
	CHECK(records[0].event.ptr == ptr && records[0].event.align == 8);
	CHECK(records[1].event.kind == PCPU_EVENT_FREE);
	CHECK(records[2].event.kind == PCPU_EVENT_ALLOC_FAIL);
	CHECK(records[0].ns && records[0].ns <= records[1].ns);
	CHECK(records[0].cpu >= 0);
	CHECK(records[0].tid == (int32_t)getpid());
	CHECK(taken(pcpu, ROOM, &lost) == 0);
	pcpu_destroy(pcpu);
}

/* allocations of 1, 2, ... 60 bytes, then again from 1 */
static void check_sizes(size_t n, int64_t *next)
{
	for (size_t i = 0; i < n; i++) {
		if (records[i].event.kind == PCPU_EVENT_ALLOC)
			CHECK(records[i].event.size == *next % 60 + 1);
		*next += records[i].event.kind == PCPU_EVENT_ALLOC;
	}
}

/* there is room for 1,024 at first; some are taken before it is full */
TEST(the_oldest_records_come_first_however_many_there_are)
{
	struct pcpu *pcpu = small(1);
	int64_t next = 0;
	uint64_t lost;
	size_t n;

	pcpu_record_start(pcpu);
	for (int64_t i = 0; i < 2500; i++) {
		pcpu_alloc(pcpu, i % 60 + 1, 1);
		if (i == 900) {
			CHECK(taken(pcpu, 10, &lost) == 10 && !lost);
			CHECK(records[0].event.size == 1);
			check_sizes(10, &next);
		}
	}
	n = taken(pcpu, ROOM, &lost);
	CHECK(n > 2490 && n < ROOM && !lost);
	check_sizes(n, &next);
	CHECK(next == 2500);
	pcpu_destroy(pcpu);
}

TEST(records_can_be_taken_in_parts)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost;

	pcpu_record_start(pcpu);
	for (int64_t size = 1; size <= 5; size++)
		pcpu_alloc(pcpu, size, 1);
	CHECK(taken(pcpu, 2, &lost) == 2 && !lost);
	CHECK(records[0].event.size == 1 && records[1].event.size == 2);
	CHECK(taken(pcpu, 2, &lost) == 2 && !lost);
	CHECK(records[0].event.size == 3 && records[1].event.size == 4);
	CHECK(taken(pcpu, ROOM, &lost) == 1 && !lost);
	CHECK(records[0].event.size == 5);
	CHECK(taken(pcpu, ROOM, &lost) == 0 && !lost);
	pcpu_destroy(pcpu);
}

static size_t largest;		/* request of the allocator for memory */

static void *note_size(void *arg, size_t size)
{
	(void)arg;
	if (size > largest)
		largest = size;
	return malloc(size);
}

static void free_it(void *arg, void *ptr)
{
	(void)arg;
	free(ptr);
}

TEST(the_room_for_records_doubles_from_1024)
{
	const struct pcpu_hooks hooks = { .alloc = note_size, .free = free_it };
	struct pcpu_config config = small_config(1);
	struct pcpu *pcpu;

	config.hooks = &hooks;
	pcpu = create(&config);
	pcpu_record_start(pcpu);
	largest = 0;
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	CHECK(largest == 1024 * sizeof(struct pcpu_record));
	for (int i = 0; i < 511; i++)
		CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	CHECK(largest == 1024 * sizeof(struct pcpu_record));
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(largest == 2048 * sizeof(struct pcpu_record));
	pcpu_destroy(pcpu);
}

/* 1,024 fit at first: 400 are taken before more memory is needed */
TEST(records_that_were_taken_are_not_returned_again)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost;

	CHECK(pcpu_alloc(pcpu, 16, 8) > 0);
	CHECK(!pcpu_record_start(pcpu));
	for (int64_t size = 1; size <= 750; size++) {
		CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, size, 8)));
		if (size == 250)
			CHECK(taken(pcpu, 400, &lost) == 400 && !lost);
	}
	CHECK(taken(pcpu, ROOM, &lost) == 1100 && !lost);
	CHECK(records[0].event.size == 201 && records[99].event.size == 250);
	CHECK(records[0].event.kind == PCPU_EVENT_ALLOC);
	CHECK(records[1098].event.size == 750);
	pcpu_destroy(pcpu);
}

TEST(a_second_start_keeps_what_was_recorded)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost;

	CHECK(!pcpu_record_start(pcpu));
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(!pcpu_record_start(pcpu));
	CHECK(taken(pcpu, ROOM, &lost) == 1);
	pcpu_destroy(pcpu);
}

static void *alloc_16(void *pcpu)
{
	CHECK(pcpu_alloc(pcpu, 16, 8) > 0);
	return (void *)(intptr_t)syscall(SYS_gettid);
}

TEST(a_record_has_the_thread_and_the_time)
{
	struct pcpu *pcpu = small(1);
	struct timespec before, after;
	uint64_t lost;
	pthread_t thread;
	void *tid;

	CHECK(!pcpu_record_start(pcpu));
	clock_gettime(CLOCK_MONOTONIC, &before);
	CHECK(!pthread_create(&thread, NULL, alloc_16, pcpu));
	pthread_join(thread, &tid);
	clock_gettime(CLOCK_MONOTONIC, &after);
	CHECK(taken(pcpu, ROOM, &lost) == 1);
	CHECK(records[0].tid == (intptr_t)tid && records[0].tid != getpid());
	CHECK(records[0].ns >= (uint64_t)before.tv_sec * 1000000000u +
			       (uint64_t)before.tv_nsec);
	CHECK(records[0].ns <= (uint64_t)after.tv_sec * 1000000000u +
			       (uint64_t)after.tv_nsec);
	pcpu_destroy(pcpu);
}

TEST(recording_does_not_disable_the_event_hook)
{
	struct creator creator = CREATOR(.event = creator_event);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	uint64_t lost;

	pcpu_record_start(pcpu);
	pcpu_alloc(pcpu, 8, 8);
	CHECK(taken(pcpu, ROOM, &lost) == 1);
	CHECK(!strncmp(creator.log, "alloc", 5));
	CHECK(!pcpu_record_stop(pcpu));
	creator.log[0] = '\0';
	pcpu_alloc(pcpu, 8, 8);
	CHECK(!strncmp(creator.log, "alloc", 5));
	pcpu_destroy(pcpu);
}

/* after the first lost event all are lost until the recorded ones are taken */
TEST(without_memory_events_are_lost_and_counted_and_nothing_fails)
{
	struct creator creator = CREATOR(MEMORY_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	uint64_t lost;

	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);	/* creates the map */
	creator.no_memory_at = 1;
	CHECK(pcpu_record_start(pcpu) == -PCPU_E_HOST);
	CHECK(!pcpu->has_listener);
	CHECK(!pcpu_record_start(pcpu));

	creator.no_memory_at = 1;
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(taken(pcpu, ROOM, &lost) == 0 && lost == 2);
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(taken(pcpu, ROOM, &lost) == 1 && lost == 0);
	pcpu_destroy(pcpu);
	CHECK(creator.blocks == 0);
}

/*
 *	|1024 records|2 lost|	all lost ones are after those kept
 */
TEST(lost_events_are_reported_with_the_last_record_before_them)
{
	struct creator creator = CREATOR(MEMORY_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *pcpu = create(&config);
	uint64_t lost;

	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);	/* creates the map */
	CHECK(!pcpu_record_start(pcpu));
	for (int i = 0; i < 512; i++)
		CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	creator.no_memory_at = 1;
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	CHECK(taken(pcpu, 1000, &lost) == 1000 && lost == 0);
	CHECK(taken(pcpu, 0, &lost) == 0 && lost == 0);
	CHECK(taken(pcpu, 23, &lost) == 23 && lost == 0);
	CHECK(taken(pcpu, 1, &lost) == 1 && lost == 2);
	CHECK(records[0].event.kind == PCPU_EVENT_FREE);
	CHECK(taken(pcpu, 1, &lost) == 0 && lost == 0);
	pcpu_destroy(pcpu);
}

/* the highest that the test may use: only a machine of one CPU has CPU 0 alone */
TEST(a_record_has_the_cpu_that_the_thread_runs_on)
{
	struct pcpu *pcpu = small(1);
	cpu_set_t before;
	uint64_t lost;
	int cpu;

	sched_getaffinity(0, sizeof(before), &before);
	cpu = usable_cpu(usable_cpus() - 1);
	move_to(0, cpu);
	pcpu_record_start(pcpu);
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(taken(pcpu, ROOM, &lost) == 1 && records[0].cpu == cpu);
	sched_setaffinity(0, sizeof(before), &before);
	pcpu_destroy(pcpu);
}

TEST(recording_refuses_null_and_a_closed_allocator)
{
	struct pcpu *pcpu = small(1);
	uint64_t lost;
	size_t n;

	CHECK(pcpu_record_take(pcpu, NULL, 1, &n, &lost) == -PCPU_E_NULL);
	CHECK(pcpu_record_take(pcpu, records, 1, NULL, &lost) == -PCPU_E_NULL);
	CHECK(pcpu_record_take(pcpu, records, 1, &n, NULL) == -PCPU_E_NULL);
	pcpu_record_start(pcpu);
	pcpu_close(pcpu);
	CHECK(pcpu_record_start(pcpu) == -PCPU_E_CLOSED);
	CHECK(pcpu_record_stop(pcpu) == -PCPU_E_CLOSED);
	CHECK(pcpu_record_start(NULL) == -PCPU_E_NULL);
	CHECK(pcpu_record_stop(NULL) == -PCPU_E_NULL);
	CHECK(pcpu_record_take(pcpu, records, 1, &n, &lost) ==
	      -PCPU_E_CLOSED);
	pcpu_destroy(pcpu);
}

static int64_t largest_of(struct pcpu *pcpu, int chunk)
{
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, NULL);
	int64_t size = snapshot->chunks[chunk].max_size;

	pcpu_snapshot_free(snapshot);
	return size;
}

/* sizes as requested: the area of 6 bytes gets a tail of 2 in the map */
TEST(info_has_the_smallest_and_the_largest_size)
{
	struct pcpu *pcpu = small(1);

	CHECK(info_of(pcpu).min_size == 0 && info_of(pcpu).max_size_seen == 0);
	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 16, 8)));
	CHECK(pcpu_alloc(pcpu, 6, 8) > 0);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	CHECK(info_of(pcpu).min_size == 6);
	CHECK(info_of(pcpu).max_size_seen == UNIT);
	CHECK(largest_of(pcpu, 0) == 16 && largest_of(pcpu, 1) == UNIT);
	/* the largest in its chunk, but not of all */
	CHECK(pcpu_alloc(pcpu, 100, 8) > 0);
	CHECK(largest_of(pcpu, 0) == 100);
	CHECK(info_of(pcpu).max_size_seen == UNIT);
	pcpu_destroy(pcpu);
}

/* its map entry existed for a moment, the area never did */
TEST(an_area_that_cannot_be_populated_does_not_count_for_the_sizes)
{
	struct pcpu *pcpu = small(1);

	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, UNIT - STATIC, 8) == NOMEM(ALLOC_PAGE));
	fail_at(pcpu, PCPU_MAP, 1);
	CHECK(pcpu_alloc(pcpu, 4, 4) == NOMEM(MAP));
	CHECK(info_of(pcpu).min_size == 0 && info_of(pcpu).max_size_seen == 0);
	CHECK(largest_of(pcpu, 0) == 0);
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(info_of(pcpu).min_size == 8 && info_of(pcpu).max_size_seen == 8);
	CHECK(largest_of(pcpu, 0) == 8);
	pcpu_destroy(pcpu);
}

TEST(info_has_the_highest_numbers_of_areas_and_chunks)
{
	struct pcpu *pcpu = small(1);
	int64_t a = pcpu_alloc(pcpu, UNIT, 8), b = pcpu_alloc(pcpu, UNIT, 8);

	CHECK(info_of(pcpu).areas == 2 && info_of(pcpu).max_areas == 2);
	CHECK(!pcpu_free(pcpu, a) && !pcpu_free(pcpu, b));
	CHECK(info_of(pcpu).areas == 0 && info_of(pcpu).max_areas == 2);
	CHECK(info_of(pcpu).chunks == 2 && info_of(pcpu).max_chunks == 3);
	CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0 && pcpu_alloc(pcpu, UNIT, 8) > 0);
	CHECK(info_of(pcpu).max_chunks == 3);
	/* a failed request does not count */
	fail_at(pcpu, PCPU_ALLOC_PAGE, 1);
	CHECK(pcpu_alloc(pcpu, 100, 8) == NOMEM(ALLOC_PAGE));
	CHECK(info_of(pcpu).areas == 2 && info_of(pcpu).max_areas == 2);
	pcpu_destroy(pcpu);
}

TEST(the_highest_number_of_chunks_remains_when_there_are_fewer)
{
	struct pcpu *pcpu = small(1);
	int64_t ptrs[3];

	for (int i = 0; i < 3; i++)
		ptrs[i] = pcpu_alloc(pcpu, UNIT, 8);
	for (int i = 0; i < 3; i++)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	CHECK(info_of(pcpu).chunks == 2);
	for (int i = 0; i < 2; i++)
		CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	CHECK(info_of(pcpu).chunks == 3 && info_of(pcpu).max_chunks == 4);
	pcpu_destroy(pcpu);
}
