// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_vmalloc.c - the fake address space: addresses of vm areas, and mappings.
 */
#include "faults.h"
#include "emulator.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/kernel.h"
#include "pick.h"

#define PAGE	((uint64_t)sysconf(_SC_PAGESIZE))

static struct fake_kernel kernel;

/* an address space for areas of @pages pages, after a block of @block pages */
static void start_with(struct fake_kernel *k, uint64_t block, uint64_t pages,
		       bool mapped)
{
	struct fake_space space = {
		.page_size = PAGE,
		.base = PAGE,
		.first_block = block * PAGE,
		.area_size = pages * PAGE,
		.mapped = mapped,
	};

	memset(k, 0, sizeof(*k));
	CHECK(fake_pages_init(k, 1, 1, 0));
	CHECK(!fake_vmalloc_init(k, &space));
}

static void start(bool mapped)
{
	start_with(&kernel, 0, 4, mapped);
}

static struct fake_vm_area *get(uint64_t pages)
{
	return fake_get_vm_area(&kernel, pages * PAGE);
}

static void put(struct fake_vm_area *area)
{
	fake_free_vm_area(&kernel, area);
}

/* free the areas of a test, which fake_vmalloc_exit() does not */
static void end(void)
{
	while (!list_empty(&kernel.vmalloc.areas))
		put(list_entry(kernel.vmalloc.areas.next, struct fake_vm_area,
			       list));
	fake_vmalloc_exit(&kernel);
	fake_pages_exit(&kernel);
}

static char *host(uint64_t addr)
{
	return fake_host(&kernel.vmalloc, addr);
}

/*
 *	0    1         4 5
 *	|----|=========|-|
 *	 page   area    guard
 */
TEST(the_first_area_starts_at_the_first_page)
{
	struct fake_vm_area *area;

	start(false);
	area = get(3);
	CHECK(area->addr == PAGE);
	CHECK(area->size == 4 * PAGE);
	end();
}

/*
 *	1         4 5         8 9
 *	|====a====|-|====b====|-|
 */
TEST(a_guard_page_follows_each_area)
{
	struct fake_vm_area *a, *b;

	start(false);
	a = get(3);
	b = get(3);
	CHECK(b->addr == a->addr + 4 * PAGE);
	end();
}

/*
 *	1         4         7 8
 *	|==early==|====a====|-|
 */
TEST(an_early_area_has_no_guard_page)
{
	struct fake_vm_area early, *a;

	start(false);
	fake_vm_area_register_early(&kernel.vmalloc, &early, 3 * PAGE);
	CHECK(early.addr == PAGE);
	CHECK(early.size == 3 * PAGE);
	a = get(3);
	CHECK(a->addr == 4 * PAGE);
	put(a);
	list_del(&early.list);
	fake_vmalloc_exit(&kernel);
	fake_pages_exit(&kernel);
}

/*
 *	1         6         9 10
 *	|..block..|====a====|-|
 */
TEST(the_first_block_is_below_all_areas)
{
	struct fake_vm_area *a;

	start_with(&kernel, 5, 3, false);
	a = get(3);
	CHECK(a->addr == 6 * PAGE);
	end();
}

/*
 *	1       3 4       6 7       9 10
 *	|===a===|-|...b...|-|===c===|-|		b is freed
 */
TEST(a_freed_address_is_reused)
{
	struct fake_vm_area *b;

	start(false);
	get(2);
	b = get(2);
	get(2);
	put(b);
	CHECK(get(2)->addr == 4 * PAGE);
	CHECK(get(2)->addr == 10 * PAGE);
	end();
}

/*
 *	1       3 4       6 7       9 10
 *	|...a...|-|===b===|-|...c...|-|		a and c are freed
 */
TEST(the_lowest_free_address_is_used_whichever_was_freed_last)
{
	struct fake_vm_area *a, *c;

	start(false);
	a = get(2);
	get(2);
	c = get(2);
	get(2);
	put(a);
	put(c);
	CHECK(get(2)->addr == 1 * PAGE);
	CHECK(get(2)->addr == 7 * PAGE);
	end();
}

/*
 *	1       3 4       6 7       9 10
 *	|...a...|-|===b===|-|===c===|-|		a is freed
 */
TEST(a_free_range_that_is_too_small_is_skipped)
{
	struct fake_vm_area *a;

	start(false);
	a = get(2);
	get(2);
	get(2);
	put(a);
	CHECK(get(3)->addr == 10 * PAGE);
	CHECK(get(2)->addr == 1 * PAGE);
	end();
}

/*
 *	1       3 4       6 7       9 10
 *	|...a...|-|...b...|-|===c===|-|		a and b are freed
 */
TEST(adjacent_free_ranges_are_merged)
{
	struct fake_vm_area *a, *b;

	start(false);
	a = get(2);
	b = get(2);
	get(2);
	put(a);
	put(b);
	/* five pages and a guard page */
	CHECK(get(5)->addr == 1 * PAGE);
	end();
}

TEST(a_full_space_returns_no_area)
{
	struct fake_vm_area *area;

	start(false);
	kernel.vmalloc.end = 5 * PAGE;
	CHECK(!get(4));
	area = get(3);
	CHECK(area && area->addr == PAGE);
	CHECK(!get(1));
	CHECK(kernel.faults.calls[PCPU_GET_VM_AREA] == 3);
	put(area);
	CHECK(kernel.faults.calls[PCPU_FREE_VM_AREA] == 1);
	CHECK(get(3));
	end();
}

/* the last areas end at 2^62 */
TEST(addresses_without_memory_end_at_2_to_the_62)
{
	struct fake_space space = {
		.page_size = PAGE,
		.base = ((uint64_t)1 << 62) - 4 * PAGE,
		.area_size = PAGE,
	};

	CHECK(fake_pages_init(&kernel, 1, 1, 0));
	CHECK(!fake_vmalloc_init(&kernel, &space));
	CHECK(get(1) && get(1));
	CHECK(!get(1));
	end();
}

TEST(a_failed_area_takes_no_addresses)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };

	start(false);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_GET_VM_AREA, &fault));
	CHECK(!get(1));
	CHECK(get(1)->addr == PAGE);
	end();
}

/* a simple model of the space: whether each page is taken */
#define SPACE	200

static uint64_t model_get(bool *taken, uint64_t pages)
{
	uint64_t addr, n;

	for (addr = 1; addr + pages <= SPACE; addr++) {
		for (n = 0; n < pages && !taken[addr + n]; n++)
			;
		if (n < pages)
			continue;
		for (n = 0; n < pages; n++)
			taken[addr + n] = true;
		return addr;
	}
	return 0;
}

TEST(random_areas_match_a_search_from_the_start)
{
	struct fake_vm_area *areas[60] = { NULL };
	bool taken[SPACE] = { false };
	int failures = 0;

	start(false);
	kernel.vmalloc.end = SPACE * PAGE;
	for (int step = 0; step < 20000; step++) {
		struct fake_vm_area **area = &areas[pick(60)];
		uint64_t pages = 1 + pick(step % 4 ? 6 : 25), addr, n;

		if (*area) {
			for (n = 0; n < (*area)->size / PAGE; n++)
				taken[(*area)->addr / PAGE + n] = false;
			put(*area);
			*area = NULL;
			continue;
		}
		addr = model_get(taken, pages + 1);
		*area = get(pages);
		CHECK(addr == (*area ? (*area)->addr / PAGE : 0));
		failures += !addr;
	}
	CHECK(failures > 100);
	end();
}

TEST(two_spaces_give_the_same_addresses)
{
	struct fake_kernel other;
	struct fake_vm_area *mine, *theirs;

	start(true);
	start_with(&other, 0, 4, true);
	CHECK(kernel.vmalloc.host != other.vmalloc.host);
	for (uint64_t i = 0; i < 10; i++) {
		mine = get(1 + i % 4);
		theirs = fake_get_vm_area(&other, (1 + i % 4) * PAGE);
		CHECK(mine->addr == theirs->addr);
	}
	end();
	while (!list_empty(&other.vmalloc.areas))
		fake_free_vm_area(&other,
				  list_entry(other.vmalloc.areas.next,
					     struct fake_vm_area, list));
	fake_vmalloc_exit(&other);
	fake_pages_exit(&other);
}

TEST(nothing_is_mapped_in_a_new_area)
{
	struct fake_vm_area *area;

	start(true);
	area = get(2);
	CHECK(faults(host(area->addr)));
	CHECK(faults(host(area->addr + 2 * PAGE - 1)));
	CHECK(faults(host(area->addr + 2 * PAGE)));
	end();
}

TEST(mapped_pages_are_zero_and_keep_what_is_written)
{
	struct fake_vm_area *area;
	uint64_t i, sum = 0;

	start(true);
	area = get(2);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, 2 * PAGE, 0));
	for (i = 0; i < 2 * PAGE; i++)
		sum += *host(area->addr + i) != 0;
	CHECK(sum == 0);
	memset(host(area->addr), 0x5a, 2 * PAGE);
	CHECK(*host(area->addr + 2 * PAGE - 1) == 0x5a);
	end();
}

TEST(the_guard_page_faults_next_to_mapped_pages)
{
	struct fake_vm_area *area;

	start(true);
	area = get(2);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, 2 * PAGE, 0));
	CHECK(!faults(host(area->addr + 2 * PAGE - 1)));
	CHECK(faults(host(area->addr + 2 * PAGE)));
	end();
}

TEST(only_the_named_pages_are_mapped)
{
	struct fake_vm_area *area;

	start(true);
	area = get(3);
	CHECK(!fake_map_kernel_range(&kernel, area->addr + PAGE, PAGE, 0));
	CHECK(faults(host(area->addr)));
	CHECK(!faults(host(area->addr + PAGE)));
	CHECK(faults(host(area->addr + 2 * PAGE)));
	end();
}

TEST(an_unmapped_page_faults_and_its_neighbours_do_not)
{
	struct fake_vm_area *area;

	start(true);
	area = get(3);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, 3 * PAGE, 0));
	memset(host(area->addr), 0x5a, 3 * PAGE);
	fake_unmap_kernel_range(&kernel, area->addr + PAGE, PAGE, 0);
	CHECK(*host(area->addr + PAGE - 1) == 0x5a);
	CHECK(faults(host(area->addr + PAGE)));
	CHECK(faults(host(area->addr + 2 * PAGE - 1)));
	CHECK(*host(area->addr + 2 * PAGE) == 0x5a);
	end();
}

TEST(a_page_that_is_mapped_again_is_zero)
{
	struct fake_vm_area *area;

	start(true);
	area = get(1);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, PAGE, 0));
	memset(host(area->addr), 0x5a, PAGE);
	fake_unmap_kernel_range(&kernel, area->addr, PAGE, 0);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, PAGE, 0));
	CHECK(*host(area->addr) == 0);
	CHECK(*host(area->addr + PAGE - 1) == 0);
	end();
}

TEST(each_map_and_unmap_call_is_counted_once)
{
	struct fake_vm_area *area;

	start(true);
	area = get(4);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, 4 * PAGE, 0));
	fake_unmap_kernel_range(&kernel, area->addr, 2 * PAGE, 0);
	fake_unmap_kernel_range(&kernel, area->addr, 4 * PAGE, 0);
	CHECK(kernel.faults.calls[PCPU_MAP] == 1);
	CHECK(kernel.faults.calls[PCPU_UNMAP] == 2);
	CHECK(kernel.faults.calls[PCPU_WARN] == 0);
	end();
}

TEST(a_failed_map_maps_nothing)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };
	struct fake_vm_area *area;

	start(true);
	area = get(1);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_MAP, &fault));
	CHECK(fake_map_kernel_range(&kernel, area->addr, PAGE, 0));
	CHECK(faults(host(area->addr)));
	CHECK(kernel.faults.calls[PCPU_MAP] == 1);
	end();
}

TEST(mapping_at_boot_time_is_not_counted_and_never_fails)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };

	start_with(&kernel, 2, 1, true);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_MAP, &fault));
	CHECK(!fake_map_boot(&kernel, PAGE, 2 * PAGE, 0));
	CHECK(!faults(host(PAGE)));
	CHECK(!faults(host(3 * PAGE - 1)));
	CHECK(faults(host(3 * PAGE)));
	CHECK(kernel.faults.calls[PCPU_MAP] == 0);
	end();
}

TEST(an_unmap_that_the_host_refuses_is_a_warning)
{
	struct fake_vm_area *area;

	start(true);
	area = get(1);
	/* not page-aligned */
	fake_unmap_kernel_range(&kernel, area->addr + 1, PAGE, 0);
	CHECK(kernel.faults.calls[PCPU_WARN] == 1);
	CHECK(kernel.log.pending);
	end();
}

/* the number of the host's mappings in the space, also after its end */
static int host_mappings(void)
{
	static uintptr_t from;
	uintptr_t to;
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[512];
	int n = 0;

	if (kernel.vmalloc.host)
		from = (uintptr_t)kernel.vmalloc.host;
	to = from + kernel.vmalloc.reserved;
	while (maps && fgets(line, sizeof(line), maps)) {
		uintptr_t start = strtoull(line, NULL, 16);

		n += start >= from && start < to;
	}
	if (maps)
		fclose(maps);
	return n;
}

/* the host allows about 65,530 mappings, so pages must share them */
TEST(pages_mapped_in_any_order_need_two_mappings_for_each_area)
{
	enum { AREAS = 8, PAGES = 64, ALL = AREAS * PAGES };
	uint64_t page[ALL];
	int i;

	if (skipped_on_an_emulator())
		return;
	start_with(&kernel, 0, PAGES, true);
	CHECK(host_mappings() >= 1 && host_mappings() <= 2);
	for (i = 0; i < ALL; i++) {
		if (i % PAGES == 0)
			page[i] = get(PAGES)->addr;
		else
			page[i] = page[i - 1] + PAGE;
	}
	for (i = ALL - 1; i > 0; i--) {
		int j = (int)pick((unsigned int)i + 1);
		uint64_t tmp = page[i];

		page[i] = page[j];
		page[j] = tmp;
	}
	for (i = 0; i < ALL; i++) {
		CHECK(!fake_map_kernel_range(&kernel, page[i], PAGE, 0));
		*host(page[i]) = 1;
	}
	CHECK(host_mappings() >= 2 * AREAS);
	CHECK(host_mappings() <= 2 * AREAS + 2);
	for (i = 0; i < ALL; i++)
		fake_unmap_kernel_range(&kernel, page[i], PAGE, 0);
	CHECK(host_mappings() <= 2);
	CHECK(kernel.faults.calls[PCPU_WARN] == 0);
	end();
}

TEST(exit_releases_the_whole_space)
{
	if (skipped_on_an_emulator())
		return;
	start(true);
	CHECK(host_mappings() > 0);
	end();
	CHECK(host_mappings() == 0);
	CHECK(!kernel.vmalloc.host);
	fake_vmalloc_exit(&kernel);	/* a second call is allowed */
}

/* so many that mmap does not return such an alignment by chance */
TEST(a_page_may_consist_of_many_host_pages)
{
	const uint64_t page = 4096 * PAGE;
	const struct fake_space space = {
		.page_size = page,
		.base = page,
		.area_size = 4 * page,
		.mapped = true,
	};
	struct fake_vm_area *area;

	memset(&kernel, 0, sizeof(kernel));
	CHECK(fake_pages_init(&kernel, 1, 1, 0));
	CHECK(!fake_vmalloc_init(&kernel, &space));
	CHECK((uintptr_t)kernel.vmalloc.host % page == 0);
	area = fake_get_vm_area(&kernel, 2 * page);
	CHECK(area->addr == page);
	CHECK(area->size == 3 * page);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, 2 * page, 0));
	CHECK(!faults(host(area->addr + 2 * page - 1)));
	CHECK(faults(host(area->addr + 2 * page)));
	end();
}

TEST(a_space_that_the_host_cannot_reserve_is_refused)
{
	struct fake_space space = {
		.page_size = PAGE,
		.base = PAGE,
		.area_size = (uint64_t)1 << 48,
		.mapped = true,
	};

	memset(&kernel, 0, sizeof(kernel));
	CHECK(fake_vmalloc_init(&kernel, &space));
	CHECK(!kernel.vmalloc.host);
}

TEST(without_memory_there_are_only_addresses_and_counts)
{
	struct fake_vm_area *area;

	start(false);
	CHECK(!kernel.vmalloc.host);
	/* 2^50 bytes: more than any host has */
	area = fake_get_vm_area(&kernel, (uint64_t)1 << 50);
	CHECK(area && area->addr == PAGE);
	CHECK(!fake_map_kernel_range(&kernel, area->addr, PAGE, 0));
	fake_unmap_kernel_range(&kernel, area->addr, PAGE, 0);
	CHECK(kernel.faults.calls[PCPU_MAP] == 1);
	CHECK(kernel.faults.calls[PCPU_UNMAP] == 1);
	CHECK(kernel.faults.calls[PCPU_WARN] == 0);
	end();
}

TEST(vmalloc_memory_takes_no_addresses)
{
	char *mem;

	start(false);
	mem = fake_vmalloc(&kernel, 3 * PAGE);
	CHECK(mem);
	memset(mem, 1, 3 * PAGE);
	CHECK(get(1)->addr == PAGE);
	fake_vfree(&kernel, mem);
	CHECK(kernel.faults.calls[PCPU_VMALLOC] == 1);
	CHECK(kernel.faults.calls[PCPU_VFREE] == 1);
	end();
}

TEST(a_failed_vmalloc_is_counted)
{
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };

	start(false);
	CHECK(!fake_fault_arm(&kernel.faults, PCPU_VMALLOC, &fault));
	CHECK(!fake_vmalloc(&kernel, PAGE));
	CHECK(kernel.faults.calls[PCPU_VMALLOC] == 1);
	end();
}
