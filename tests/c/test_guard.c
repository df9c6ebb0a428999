// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_guard.c - pages of many CPUs on hosts with guard pages, without, and with
 * a part of them.
 *
 * On a host without guard pages the tests that need them are skipped.
 */
#include "faults.h"
#include "host_faults.h"
#include "internal.h"
#include "small.h"

#include <sys/uio.h>

#define CPUS	130		/* two batches of 64 ranges, and two more */

/* Linux 6.15: pages can have guards, and one call changes several ranges */
static bool has_guards(void)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct iovec range = { .iov_len = page };
	bool is_there;

	range.iov_base = mmap(NULL, page, PROT_NONE,
			      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(range.iov_base != MAP_FAILED);
	is_there = syscall(SYS_process_madvise, -10000 /* PIDFD_SELF */, &range,
			   1, 102 /* MADV_GUARD_INSTALL */, 0) == (long)page;
	CHECK(!munmap(range.iov_base, page));
	return is_there;
}

static bool skipped_without_guards(void)
{
	if (has_guards())
		return false;
	skip("this host has no guard pages (Linux 6.15)");
	return true;
}

static char *copy_of(struct pcpu *pcpu, int64_t ptr, int64_t cpu)
{
	return (char *)(uintptr_t)pcpu_address(pcpu, ptr, cpu);
}

static struct pcpu *mapped(int64_t cpus)
{
	struct pcpu_config config = mapped_config(cpus);

	return create(&config);
}

static int calls_for_pages(void)
{
	return host_calls[HOST_MPROTECT] + host_calls[HOST_MADVISE] +
	       host_calls[HOST_PROCESS_MADVISE];
}

/* CPUs at the ends of batches */
static const int some[] = { 0, 1, 63, 64, 127, 128, CPUS - 1 };
#define NR_SOME	(int)(sizeof(some) / sizeof(some[0]))

/*
 *	page	0 1 2 3
 *		s # # .		an area of two pages, then none
 */
static void check_two_pages(void)
{
	struct pcpu *pcpu = mapped(CPUS);
	int64_t page = info_of(pcpu).page_size;
	int64_t unit = info_of(pcpu).unit_size;
	int64_t a = pcpu_alloc(pcpu, 2 * page, page), b;
	char *seven;

	for (int cpu = 0; cpu < CPUS; cpu++)
		memset(copy_of(pcpu, a, cpu), cpu + 1, (size_t)(2 * page));
	for (int cpu = 0; cpu < CPUS; cpu++) {
		CHECK(copy_of(pcpu, a, cpu)[0] == (char)(cpu + 1));
		CHECK(copy_of(pcpu, a, cpu)[2 * page - 1] == (char)(cpu + 1));
	}
	for (int i = 0; i < NR_SOME; i++)
		CHECK(faults(copy_of(pcpu, a, some[i]) + 2 * page));

	/* of two empty chunks one is destroyed, with its pages */
	a = pcpu_alloc(pcpu, unit, 8);
	b = pcpu_alloc(pcpu, unit, 8);
	seven = copy_of(pcpu, b, 7);
	seven[page] = 7;
	CHECK(!pcpu_free(pcpu, b) && !pcpu_free(pcpu, a));
	CHECK(faults(seven) && faults(seven + page) &&
	      faults(seven + unit - 1));

	/* at the same addresses all is zero again */
	CHECK(pcpu_alloc(pcpu, unit, 8) == a);
	CHECK(pcpu_alloc(pcpu, unit - page, 8) == b);
	CHECK(!seven[0] && !seven[page] && !faults(seven + unit - page - 1));
	CHECK(faults(seven + unit - page));
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	pcpu_destroy(pcpu);
}

TEST(the_pages_of_an_area_and_no_others_are_mapped_on_every_cpu)
{
	static const enum host_kind kinds[] = {
		HOST_TODAY, HOST_WITHOUT_GUARDS, HOST_WITHOUT_RANGES,
		HOST_IGNORES_ADVICE,
	};

	for (int i = 0; i < 4; i++) {
		host_kind = kinds[i];
		check_two_pages();
	}
	host_kind = HOST_TODAY;
}

TEST(the_first_chunk_has_guards_if_the_host_has_some)
{
	struct pcpu *pcpu = mapped(2);

	CHECK(pcpu->first_chunk->guarded == has_guards());
	pcpu_destroy(pcpu);
}

/* creation tries both, after two other calls, on a page that no chunk has */
TEST(a_host_that_refuses_to_install_or_to_remove_a_guard_has_none)
{
	if (skipped_without_guards())
		return;
	for (int pass = 2; pass <= 3; pass++) {
		struct pcpu *pcpu;

		host_fail(HOST_MADVISE, pass, 1);
		pcpu = mapped(2);
		CHECK(host_plans[HOST_MADVISE].fail == 0);
		CHECK(!pcpu->kernel.vmalloc.has_guards);
		CHECK(!pcpu->first_chunk->guarded);
		pcpu_destroy(pcpu);
		host_fail(HOST_MADVISE, 0, 0);
	}
}

TEST(a_page_is_mapped_and_unmapped_by_a_call_for_64_cpus)
{
	static const struct {
		int cpus;
		int calls;
	} table[] = { { 1, 1 }, { 64, 1 }, { 65, 2 }, { CPUS, 3 } };

	if (skipped_without_guards())
		return;
	for (int i = 0; i < 4; i++) {
		struct pcpu *pcpu = mapped(table[i].cpus);
		int64_t page = info_of(pcpu).page_size;
		int before = calls_for_pages();

		CHECK(pcpu_alloc(pcpu, page, page) > 0);
		CHECK(calls_for_pages() - before == table[i].calls);
		/* the first map call fails: the page is only unmapped */
		before = calls_for_pages();
		fail_at(pcpu, PCPU_MAP, 1);
		CHECK(pcpu_alloc(pcpu, page, page) == NOMEM(MAP));
		CHECK(calls_for_pages() - before == table[i].calls);
		pcpu_destroy(pcpu);
	}
}

TEST(whole_units_are_mapped_by_one_call)
{
	bool guarded = has_guards();
	struct pcpu *pcpu = mapped(CPUS);
	int before = calls_for_pages();

	/* two calls prepare the chunk */
	CHECK(pcpu_alloc(pcpu, info_of(pcpu).unit_size, 8) > 0);
	CHECK(!guarded || calls_for_pages() - before == 2 + 1);
	pcpu_destroy(pcpu);
}

static int mappings_of_process(void)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	int lines = 0, c;

	while ((c = getc(maps)) != EOF)
		lines += c == '\n';
	fclose(maps);
	return lines;
}

/* without guards each unit takes two: its pages with rights, and the rest */
TEST(a_partly_populated_chunk_takes_two_mappings)
{
	struct pcpu *pcpu = mapped(CPUS);
	int64_t unit = info_of(pcpu).unit_size;
	int before;

	CHECK(pcpu_alloc(pcpu, unit - STATIC, 8) > 0);
	before = mappings_of_process();
	for (int i = 0; i < 20; i++)
		CHECK(pcpu_alloc(pcpu, unit / 2 + 1, 8) > 0);
	if (has_guards())
		CHECK(mappings_of_process() - before <= 2 * 20 + 2);
	pcpu_destroy(pcpu);
}

/* too many page table entries: such units are large, and most pages unused */
TEST(chunks_above_256_mib_have_no_guards)
{
	struct pcpu *pcpu = mapped(4096);

	CHECK(info_of(pcpu).unit_size == 65536);
	CHECK(pcpu->first_chunk->guarded == has_guards());
	pcpu_destroy(pcpu);
	pcpu = mapped(4097);
	CHECK(!pcpu->first_chunk->guarded);
	pcpu_destroy(pcpu);
}

TEST(a_block_of_the_first_chunk_has_no_guards)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;

	config.first_chunk = PCPU_FIRST_EMBED;
	pcpu = create(&config);
	CHECK(!pcpu->first_chunk->guarded);
	pcpu_destroy(pcpu);
}

/* the host refuses guards, or rights to the whole chunk */
TEST(a_chunk_that_gets_no_guards_is_mapped_without)
{
	static const enum host_call refused[] = { HOST_MADVISE, HOST_MPROTECT };

	if (skipped_without_guards())
		return;
	for (int i = 0; i < 2; i++) {
		struct pcpu *pcpu = mapped(2);
		int64_t page = info_of(pcpu).page_size;
		int64_t unit = info_of(pcpu).unit_size;
		int64_t rest = unit - page;
		/* chunk 2 has guards, and is destroyed */
		int64_t a = pcpu_alloc(pcpu, unit, 8);
		int64_t b = pcpu_alloc(pcpu, unit, 8);

		CHECK(pcpu_alloc(pcpu, page, 8) > 0);
		CHECK(!pcpu_free(pcpu, b) && !pcpu_free(pcpu, a));
		CHECK(pcpu_alloc(pcpu, unit, 8) == a);
		host_fail(refused[i], 0, 1);
		CHECK(pcpu_alloc(pcpu, rest, 8) == b);
		host_fail(refused[i], 0, 0);
		for (int cpu = 0; cpu < 2; cpu++) {
			CHECK(!faults(copy_of(pcpu, b, cpu)));
			CHECK(!faults(copy_of(pcpu, b, cpu) + rest - 1));
			CHECK(faults(copy_of(pcpu, b, cpu) + rest));
			CHECK(faults(copy_of(pcpu, b, cpu) + unit - 1));
		}
		pcpu_destroy(pcpu);
	}
}

TEST(guards_that_cannot_be_removed_are_a_failed_map)
{
	struct pcpu_info before;
	struct pcpu *pcpu;

	if (skipped_without_guards())
		return;
	pcpu = mapped(CPUS);
	before = info_of(pcpu);
	for (int n = 0; n < CPUS; n += 65) {
		host_fail(HOST_PROCESS_MADVISE, n / 64, 1);
		host_fail(HOST_MADVISE, n % 64, 1);
		CHECK(pcpu_alloc(pcpu, before.page_size, 8) == NOMEM(MAP));
		CHECK(info_of(pcpu).pages == before.pages);
	}
	CHECK(calls_of(pcpu, PCPU_WARN) == 0);
	CHECK(pcpu_alloc(pcpu, before.page_size, 8) > 0);
	pcpu_destroy(pcpu);
}

static char logged[128];	/* the last text of an allocator */

static void keep_text(void *arg, int about, const char *text)
{
	(void)arg;
	(void)about;
	snprintf(logged, sizeof(logged), "%s", text);
}

TEST(guards_that_are_not_given_again_cause_a_warning)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;
	int64_t page;

	config.log = keep_text;
	pcpu = create(&config);
	page = info_of(pcpu).page_size;
	host_fail(HOST_PROCESS_MADVISE, 0, 1);
	host_fail(HOST_MADVISE, 0, 1);
	fail_at(pcpu, PCPU_ALLOC_PAGE, 2);
	CHECK(pcpu_alloc(pcpu, page, page) == NOMEM(ALLOC_PAGE));
	CHECK(calls_of(pcpu, PCPU_WARN) == 1);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 2);
	CHECK(strstr(logged, "left pages accessible"));
	host_fail(HOST_PROCESS_MADVISE, 0, 0);
	host_fail(HOST_MADVISE, 0, 0);
	pcpu_destroy(pcpu);
}

TEST(a_call_that_has_to_fail_ends_the_map_calls)
{
	struct pcpu *pcpu = mapped(4);
	int64_t page = info_of(pcpu).page_size;
	uint64_t maps = calls_of(pcpu, PCPU_MAP);

	fail_at(pcpu, PCPU_MAP, 3);
	CHECK(pcpu_alloc(pcpu, page, 8) == NOMEM(MAP));
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 3);
	CHECK(calls_of(pcpu, PCPU_UNMAP) == 4);
	CHECK(pcpu_alloc(pcpu, page, 8) > 0);
	CHECK(calls_of(pcpu, PCPU_MAP) - maps == 3 + 4);
	pcpu_destroy(pcpu);
}

/* a call names the process: that must be the child's own, not its parent */
TEST(the_child_of_a_fork_maps_its_own_pages_only)
{
	struct pcpu *pcpu = mapped(2);
	int64_t page = info_of(pcpu).page_size;
	char *next = copy_of(pcpu, info_of(pcpu).static_ptr, 1) + page;
	int status = 1;
	pid_t child = fork();

	if (!child) {
		CHECK(pcpu_alloc(pcpu, page, page) > 0);
		next[0] = 1;
		_exit(test_failures != 0);
	}
	CHECK(waitpid(child, &status, 0) == child && !status);
	CHECK(faults(next));
	CHECK(pcpu_alloc(pcpu, page, page) > 0 && !next[0]);
	pcpu_destroy(pcpu);
}
