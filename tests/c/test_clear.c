// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_clear.c - a new area is zero on every CPU, and what is zero already is
 * not written.
 */
#include "faults.h"

#include <sys/mman.h>

#include "creator.h"
#include "internal.h"
#include "small_bitmap.h"

static char *copy_of(struct pcpu *pcpu, int64_t ptr, int64_t cpu)
{
	return (char *)(uintptr_t)pcpu_address(pcpu, ptr, cpu);
}

static struct pcpu *mapped(int policy, int64_t cpus)
{
	struct pcpu_config config = mapped_config(cpus);

	config.policy = policy;
	config.log = ignore_text;
	return create(&config);
}

/* the policies that a test runs with */
#define POLICIES(name)	\
	(int name = PCPU_POLICY_AREA_MAP; name <= PCPU_POLICY_BITMAP; name++)

/* bytes of an area that are not zero, of all CPUs */
static int64_t dirty_bytes(struct pcpu *pcpu, int64_t ptr, int64_t size)
{
	int64_t n = 0;

	for (int64_t cpu = 0; cpu < info_of(pcpu).cpus; cpu++) {
		const char *copy = copy_of(pcpu, ptr, cpu);

		for (int64_t i = 0; i < size; i++)
			n += copy[i] != 0;
	}
	return n;
}

static void fill(struct pcpu *pcpu, int64_t ptr, int64_t size)
{
	for (int64_t cpu = 0; cpu < info_of(pcpu).cpus; cpu++)
		memset(copy_of(pcpu, ptr, cpu), 0x5a, (size_t)size);
}

/* one byte that is not zero, at any place of areas of many sizes */
TEST(an_area_is_cleared_wherever_the_area_before_it_was_written)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 3);
		int64_t guard = pcpu_alloc(pcpu, 4, 4);

		for (int size = 1; size <= 75; size++)
			for (int at = 0; at < size; at++) {
				int64_t ptr = pcpu_alloc(pcpu, size, 4);

				copy_of(pcpu, ptr, at % 3)[at] = 1;
				CHECK(!pcpu_free(pcpu, ptr));
				CHECK(pcpu_alloc(pcpu, size, 4) == ptr);
				CHECK(!dirty_bytes(pcpu, ptr, size));
				CHECK(!pcpu_free(pcpu, ptr));
			}
		CHECK(!pcpu_free(pcpu, guard));
		pcpu_destroy(pcpu);
	}
}

/*
 *	|aaaa|bbbb|cccc|	b is freed and allocated again
 */
TEST(clearing_an_area_spares_its_neighbours)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t a = pcpu_alloc(pcpu, 40, 8);
		int64_t b = pcpu_alloc(pcpu, 40, 8);
		int64_t c = pcpu_alloc(pcpu, 40, 8);

		fill(pcpu, a, 40);
		fill(pcpu, b, 40);
		fill(pcpu, c, 40);
		CHECK(!pcpu_free(pcpu, b));
		CHECK(pcpu_alloc(pcpu, 40, 8) == b);
		CHECK(dirty_bytes(pcpu, a, 40) == 2 * 40);
		CHECK(dirty_bytes(pcpu, b, 40) == 0);
		CHECK(dirty_bytes(pcpu, c, 40) == 2 * 40);
		pcpu_destroy(pcpu);
	}
}

/*
 *	|aaaa|			freed, then
 *	|bbbbbbbb|		its second half is on bytes never used
 */
TEST(an_area_may_begin_on_used_bytes_and_end_on_fresh_ones)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t ptr = pcpu_alloc(pcpu, 64, 8);

		fill(pcpu, ptr, 64);
		CHECK(!pcpu_free(pcpu, ptr));
		CHECK(pcpu_alloc(pcpu, 128, 8) == ptr);
		CHECK(!dirty_bytes(pcpu, ptr, 128));
		pcpu_destroy(pcpu);
	}
}

/*
 *	|...... unit - 3 ......|+++|	an area-map adds 3 bytes to the area
 */
TEST(bytes_that_a_map_adds_to_an_area_are_cleared_as_well)
{
	struct pcpu *pcpu = mapped(PCPU_POLICY_AREA_MAP, 2);
	int64_t unit = info_of(pcpu).unit_size;
	int64_t ptr = pcpu_alloc(pcpu, unit - 3, 4);
	struct pcpu_location location;

	CHECK(!pcpu_locate(pcpu, ptr, &location) && location.size == unit);
	fill(pcpu, ptr, unit);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_alloc(pcpu, unit, 4) == ptr);
	CHECK(!dirty_bytes(pcpu, ptr, unit));
	pcpu_destroy(pcpu);
}

/* a chunk that is destroyed, and another at its addresses */
TEST(a_new_chunk_at_old_addresses_is_zero)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t size = info_of(pcpu).max_size;
		int64_t ptr[4];

		for (int i = 0; i < 4; i++) {
			ptr[i] = pcpu_alloc(pcpu, size, 8);
			fill(pcpu, ptr[i], size);
		}
		for (int i = 0; i < 4; i++)
			CHECK(!pcpu_free(pcpu, ptr[i]));
		CHECK(info_of(pcpu).chunks <= 3);
		for (int i = 0; i < 4; i++) {
			ptr[i] = pcpu_alloc(pcpu, size, 8);
			CHECK(!dirty_bytes(pcpu, ptr[i], size));
		}
		pcpu_destroy(pcpu);
	}
}

TEST(a_page_that_is_populated_again_is_zero)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t size = info_of(pcpu).max_size;
		int64_t ptr = pcpu_alloc(pcpu, size, 8);
		struct pcpu_chunk *chunk;
		int steps;

		chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &steps);
		fill(pcpu, ptr, size);
		CHECK(!pcpu_free(pcpu, ptr));
		if (policy == PCPU_POLICY_BITMAP)
			bitmap_depopulate(pcpu, to_bitmap(chunk), 1, 3);
		else
			pcpu_depopulate_chunk(pcpu, chunk, 1, 3, true);
		CHECK(pcpu_alloc(pcpu, size, 8) == ptr);
		CHECK(!dirty_bytes(pcpu, ptr, size));
		pcpu_destroy(pcpu);
	}
}

/*
 *	page	0 1 2 3 4 5
 *		s # # + !	the live area in pages 1 and 2 loses page 2
 */
TEST(pages_that_the_quirk_took_from_an_area_are_zero)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;
	int64_t page, a, b;

	config.quirks = PCPU_QUIRK_ROLLBACK;
	pcpu = create(&config);
	page = info_of(pcpu).page_size;
	a = pcpu_alloc(pcpu, page + 8, page);
	fill(pcpu, a, page + 8);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 4);
	CHECK(pcpu_alloc(pcpu, 3 * page, 8) == NOMEM(ALLOC_PAGE));
	CHECK(faults(copy_of(pcpu, a, 0) + page));
	b = pcpu_alloc(pcpu, 3 * page, 8);
	CHECK(b == a + page + 8);
	CHECK(!dirty_bytes(pcpu, b, 3 * page));
	CHECK(!pcpu_free(pcpu, a));
	CHECK(pcpu_alloc(pcpu, page + 8, page) == a);
	CHECK(!dirty_bytes(pcpu, a, page + 8));
	pcpu_destroy(pcpu);
}

TEST(areas_in_the_memory_of_hooks_are_zero)
{
	struct creator creator = CREATOR(SPACE_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu = create(&config);
	int64_t size = info_of(pcpu).unit_size;
	int64_t ptr = pcpu_alloc(pcpu, size, 8);

	CHECK(!dirty_bytes(pcpu, ptr, size));
	fill(pcpu, ptr, size);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_alloc(pcpu, size, 8) == ptr);
	CHECK(!dirty_bytes(pcpu, ptr, size));
	pcpu_destroy(pcpu);
}

/* whether the host has memory, or its page of zeros, at an address */
static bool is_touched(char *addr)
{
	uintptr_t in_page = (uintptr_t)addr % (uintptr_t)sysconf(_SC_PAGESIZE);
	unsigned char resident = 0;

	CHECK(!mincore(addr - in_page, 1, &resident));
	return resident & 1;
}

/*
 *	page	0 1 2
 *		s a b		a is freed before b is allocated
 */
TEST(bytes_that_were_in_no_freed_area_are_not_touched)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t page = info_of(pcpu).page_size;
		int64_t a = pcpu_alloc(pcpu, page, page), b;

		CHECK(!is_touched(copy_of(pcpu, a, 1)));
		CHECK(!pcpu_free(pcpu, a));
		CHECK(pcpu_alloc(pcpu, page, page) == a);
		CHECK(is_touched(copy_of(pcpu, a, 0)));
		CHECK(is_touched(copy_of(pcpu, a, 1)));
		b = pcpu_alloc(pcpu, page, page);
		CHECK(b == a + page);
		CHECK(!is_touched(copy_of(pcpu, b, 0)));
		CHECK(!is_touched(copy_of(pcpu, b, 1)));
		pcpu_destroy(pcpu);
	}
}

/*
 *	page	0 1 2
 *		s a		a is freed
 *		s bbb		and a larger area begins there
 */
TEST(only_the_used_part_of_an_area_is_touched)
{
	for POLICIES(policy) {
		struct pcpu *pcpu = mapped(policy, 2);
		int64_t page = info_of(pcpu).page_size;
		int64_t ptr = pcpu_alloc(pcpu, page - 8, page);

		CHECK(!pcpu_free(pcpu, ptr));
		CHECK(pcpu_alloc(pcpu, 2 * page, page) == ptr);
		for (int cpu = 0; cpu < 2; cpu++) {
			CHECK(is_touched(copy_of(pcpu, ptr, cpu)));
			CHECK(!is_touched(copy_of(pcpu, ptr, cpu) + page));
		}
		pcpu_destroy(pcpu);
	}
}

/*
 *	page	0	 1
 *		s ...aaaa|	not mapped
 */
TEST(no_byte_after_an_area_is_read)
{
	for (int size = 1; size <= 75; size++) {
		struct pcpu *pcpu = mapped(PCPU_POLICY_AREA_MAP, 1);
		int64_t page = info_of(pcpu).page_size;
		int64_t ptr;

		CHECK(pcpu_alloc(pcpu, page - STATIC - size, 1) > 0);
		for (int i = 0; i < 2; i++) {
			ptr = pcpu_alloc(pcpu, size, 1);
			CHECK(ptr == info_of(pcpu).static_ptr + page - size);
			CHECK(!pcpu_free(pcpu, ptr));
		}
		pcpu_destroy(pcpu);
	}
}

/* kilobytes of memory of this process */
static long resident_kb(void)
{
	FILE *statm = fopen("/proc/self/statm", "r");
	long size = 0, resident = 0;

	CHECK(fscanf(statm, "%ld %ld", &size, &resident) == 2);
	fclose(statm);
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* 64 copies of a unit are 4 MiB, of which one CPU writes: all, or 8 bytes a page */
TEST(copies_that_no_cpu_wrote_to_take_no_memory)
{
	for (int areas = 1; areas <= 15; areas += 14) {
		struct pcpu *pcpu = mapped(PCPU_POLICY_AREA_MAP, 64);
		int64_t size = areas == 1 ? info_of(pcpu).unit_size : 8;
		int64_t page = info_of(pcpu).page_size, ptr[15];
		long before = resident_kb();

		for (int round = 0; round < 3; round++) {
			for (int i = 0; i < areas; i++) {
				ptr[i] = pcpu_alloc(pcpu, size, page);
				CHECK(!dirty_bytes(pcpu, ptr[i], size));
				memset(copy_of(pcpu, ptr[i], 5), 0x5a,
				       (size_t)size);
			}
			for (int i = 0; i < areas; i++)
				CHECK(!pcpu_free(pcpu, ptr[i]));
		}
		CHECK(resident_kb() - before < 2048);
		pcpu_destroy(pcpu);
	}
}
