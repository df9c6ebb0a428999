// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_mappings.c - the process has as many mappings as the system allows.
 *
 * Each other page of a large reservation gets rights of its own, until that is
 * refused:  |rw|--|rw|--|rw|--|...
 */
#include "emulator.h"

#include "small.h"
#include "percpu.h"

#define HOST_PAGE	4096
#define WHOLE_UNIT	(16 * HOST_PAGE)	/* needs a chunk of its own */
#define MOST	((size_t)1 << 17)	/* a higher limit is not reached */

static char *pages;

static bool use_up(void)
{
	bool failed = false;
	size_t n;

	if (!pages)
		pages = mmap(NULL, 2 * MOST * HOST_PAGE, PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	CHECK(pages != MAP_FAILED);
	for (n = 0; n < MOST && !failed; n++)
		failed = mprotect(pages + 2 * n * HOST_PAGE, HOST_PAGE,
				  PROT_READ);
	return failed;
}

static void give_back(void)
{
	CHECK(!mprotect(pages, 2 * MOST * HOST_PAGE, PROT_NONE));
}

/* it was "out of memory: map failed", with most of the memory free */
TEST(without_mappings_left_an_allocation_says_so)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu_fault fault = { 1, 1, 1, 1.0, 0 };
	int64_t failed, injected;
	struct pcpu *pcpu;

	if (skipped_on_an_emulator())
		return;
	pcpu = create(&config);
	/* chunk 1 is next to chunk 0 and may share its mapping; chunk 2 is not */
	CHECK(pcpu_alloc(pcpu, WHOLE_UNIT, 8) > 0);
	if (use_up()) {
		failed = pcpu_alloc(pcpu, WHOLE_UNIT, 8);
		CHECK(!pcpu_inject(pcpu, PCPU_MAP, &fault));
		injected = pcpu_alloc(pcpu, WHOLE_UNIT, 8);
		give_back();
		CHECK(failed == -PCPU_E_MAPPINGS);
		CHECK(injected == NOMEM(MAP));
	}
	CHECK(pcpu_alloc(pcpu, WHOLE_UNIT, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(without_mappings_left_a_creation_says_so)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;
	int error = 0;

	if (skipped_on_an_emulator())
		return;
	pcpu_destroy(create(&config));
	if (use_up()) {
		pcpu = pcpu_create(&config, &error);
		give_back();
		CHECK(!pcpu && error == -PCPU_E_MAPPINGS);
	}
	pcpu_destroy(create(&config));
}


