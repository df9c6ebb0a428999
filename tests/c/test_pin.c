// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_pin.c - an area that somebody looks at is not freed.
 */
#include "small.h"

static struct pcpu *mapped(unsigned int quirks)
{
	struct pcpu_config config = mapped_config(2);

	config.quirks = quirks;
	return create(&config);
}

TEST(a_pin_gives_the_address_and_the_size)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 100, 4), size = 0;

	CHECK(pcpu_pin(pcpu, ptr, 1, &size) == pcpu_address(pcpu, ptr, 1));
	CHECK(size == 100);
	CHECK(!pcpu_unpin(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(a_pinned_area_is_not_freed)
{
	struct pcpu *pcpu = mapped(0);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_pin(pcpu, a, 0, &size) > 0);
	CHECK(pcpu_free(pcpu, a) == -PCPU_E_PINNED);
	CHECK(!pcpu_free(pcpu, b));
	CHECK(!pcpu_unpin(pcpu, a));
	CHECK(!pcpu_free(pcpu, a));
	pcpu_destroy(pcpu);
}

TEST(pins_count)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_pin(pcpu, ptr, 0, &size) > 0);
	CHECK(pcpu_pin(pcpu, ptr, 1, &size) > 0);
	CHECK(!pcpu_unpin(pcpu, ptr));
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_PINNED);
	CHECK(!pcpu_unpin(pcpu, ptr));
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(unpin_without_a_pin_is_refused)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_unpin(pcpu, ptr) == -PCPU_E_NOT_PINNED);
	CHECK(pcpu_pin(pcpu, ptr, 0, &size) > 0);
	CHECK(pcpu_unpin(pcpu, ptr + 1) == -PCPU_E_NOT_PINNED);
	CHECK(!pcpu_unpin(pcpu, ptr));
	CHECK(pcpu_unpin(pcpu, ptr) == -PCPU_E_NOT_PINNED);
	pcpu_destroy(pcpu);
}

TEST(close_waits_for_the_last_pin)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_pin(pcpu, ptr, 0, &size) > 0);
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	/* nothing was done: it still serves */
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	CHECK(!pcpu_unpin(pcpu, ptr));
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
}

/* the handle is good for unpin alone; the sanitizer sees whether it goes */
TEST(destroy_leaves_the_end_to_the_last_unpin)
{
	struct pcpu *pcpu = mapped(0);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8), size;
	char *copy = (char *)(uintptr_t)pcpu_pin(pcpu, a, 1, &size);

	CHECK(pcpu_pin(pcpu, b, 0, &size) > 0);
	pcpu_destroy(pcpu);
	copy[7] = 1;
	CHECK(!pcpu_unpin(pcpu, b));
	copy[7] = 2;
	CHECK(!pcpu_unpin(pcpu, a));
}

TEST(the_static_area_can_be_pinned)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = info_of(pcpu).static_ptr, size;

	CHECK(pcpu_pin(pcpu, ptr, 0, &size) > 0);
	CHECK(size == STATIC);
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_STATIC);
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	CHECK(!pcpu_unpin(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(what_cannot_be_translated_cannot_be_pinned)
{
	struct pcpu *pcpu = mapped(0), *none = small(2);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_pin(pcpu, -1, 0, &size) == -PCPU_E_WILD);
	CHECK(pcpu_pin(pcpu, ptr + 1, 0, &size) == -PCPU_E_INTERIOR);
	CHECK(pcpu_pin(pcpu, ptr + 8, 0, &size) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_pin(pcpu, ptr, 2, &size) == -PCPU_E_CPU);
	CHECK(!pcpu_free(pcpu, ptr));
	CHECK(pcpu_pin(none, pcpu_alloc(none, 8, 8), 0, &size) ==
	      -PCPU_E_NO_MEMORY_MAPPED);
	CHECK(!pcpu_close(pcpu) && !pcpu_close(none));
	pcpu_destroy(pcpu);
	pcpu_destroy(none);
}

/* a failing neighbour could take the pages away below the pin */
TEST(with_the_rollback_quirk_there_are_no_pins)
{
	struct pcpu *pcpu = mapped(PCPU_QUIRK_ROLLBACK);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8), size;

	CHECK(pcpu_pin(pcpu, ptr, 0, &size) == -PCPU_E_ROLLBACK);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

/*
 * Two bytes end with a page; three more are left of the free block, a tail too
 * small to be kept.  It lies in a page that nobody asked for.
 *
 *	|######|..|  end of page 0
 *	|...|        page 1, not populated
 */
TEST(parked_bytes_in_a_page_that_is_not_there_cannot_be_touched)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu_location location;
	struct pcpu *pcpu;
	int64_t page, ptr, size;

	pcpu = create(&config);
	page = info_of(pcpu).page_size;
	pcpu_destroy(pcpu);

	/* static area up to two bytes before page 1, five bytes free */
	config.static_size = page - 2;
	config.unit_size = 16 * page;
	config.free_size = 5;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 2, 1);
	CHECK(!pcpu_locate(pcpu, ptr, &location));
	CHECK(location.chunk == 0 && location.size == 5);
	CHECK(info_of(pcpu).pages == 2);
	CHECK(pcpu_pin(pcpu, ptr, 0, &size) > 0);
	CHECK(size == 2);
	CHECK(!pcpu_unpin(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(many_pins_are_told_apart)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptrs[200], size;

	for (int i = 0; i < 200; i++) {
		ptrs[i] = pcpu_alloc(pcpu, 8, 8);
		CHECK(pcpu_pin(pcpu, ptrs[i], 0, &size) > 0);
	}
	for (int i = 0; i < 200; i += 2)
		CHECK(!pcpu_unpin(pcpu, ptrs[(i * 77) % 200]));
	for (int i = 0; i < 200; i++)
		CHECK(pcpu_free(pcpu, ptrs[i]) ==
		      (i % 2 ? -PCPU_E_PINNED : 0));
	for (int i = 1; i < 200; i += 2)
		CHECK(!pcpu_unpin(pcpu, ptrs[i]));
	pcpu_destroy(pcpu);
}
