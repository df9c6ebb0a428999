// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_address.c - a pinned area is not freed.
 */
#define _GNU_SOURCE 1	/* sysconf, mincore */
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

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
	int64_t ptr = pcpu_alloc(pcpu, 100, 4);
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, ptr, 1, &pin));
	CHECK(pin.address == pcpu_address(pcpu, ptr, 1));
	CHECK(pin.size == 100);
	pcpu_unpin(&pin);
	pcpu_destroy(pcpu);
}

TEST(a_pinned_area_is_not_freed)
{
	struct pcpu *pcpu = mapped(0);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, a, 0, &pin));
	CHECK(pcpu_free(pcpu, a) == -PCPU_E_PINNED);
	CHECK(!pcpu_free(pcpu, b));
	pcpu_unpin(&pin);
	CHECK(!pcpu_free(pcpu, a));
	pcpu_destroy(pcpu);
}

TEST(an_area_may_have_several_pins)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pins[20] = { { 0 } };

	for (int i = 0; i < 20; i++)
		CHECK(!pcpu_pin(pcpu, ptr, i % 2, &pins[i]));
	for (int i = 0; i < 20; i++) {
		CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_PINNED);
		pcpu_unpin(&pins[(i * 7) % 20]);
	}
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(unpin_of_an_empty_pin_does_nothing)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pin = { 0 };

	pcpu_unpin(&pin);
	CHECK(!pcpu_pin(pcpu, ptr, 0, &pin));
	pcpu_unpin(&pin);
	pcpu_unpin(&pin);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

/* the second call linked the pin into the tree twice; the unpin never ended */
TEST(a_pin_in_use_is_not_pinned_again)
{
	struct pcpu *pcpu = mapped(0), *other = mapped(0);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 16, 8);
	struct pcpu_pin pin = { 0 }, before;

	CHECK(pcpu_alloc(other, 8, 8) == a);
	CHECK(!pcpu_pin(pcpu, a, 0, &pin));
	before = pin;
	CHECK(pcpu_pin(pcpu, a, 0, &pin) == -PCPU_E_IN_USE);
	CHECK(pcpu_pin(pcpu, a, 1, &pin) == -PCPU_E_IN_USE);
	CHECK(pcpu_pin(pcpu, b, 0, &pin) == -PCPU_E_IN_USE);
	CHECK(pcpu_pin(pcpu, -1, 0, &pin) == -PCPU_E_IN_USE);
	CHECK(pcpu_pin(other, a, 0, &pin) == -PCPU_E_IN_USE);
	CHECK(!memcmp(&pin, &before, sizeof(pin)));
	CHECK(!pcpu_free(pcpu, b) && !pcpu_close(other));

	CHECK(pcpu_free(pcpu, a) == -PCPU_E_PINNED);
	pcpu_unpin(&pin);
	CHECK(!pcpu_pin(pcpu, a, 0, &pin));
	pcpu_unpin(&pin);
	CHECK(!pcpu_free(pcpu, a));
	pcpu_destroy(pcpu);
	pcpu_destroy(other);
}

TEST(unpin_of_a_copy_does_nothing)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pins[8] = { { 0 } }, copy;

	for (int i = 0; i < 8; i++)
		CHECK(!pcpu_pin(pcpu, ptr, 0, &pins[i]));
	for (int i = 0; i < 8; i++) {
		copy = pins[i];
		pcpu_unpin(&copy);
		CHECK(copy.pcpu == pcpu);
	}
	for (int i = 0; i < 8; i++) {
		CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_PINNED);
		copy = pins[i];
		pcpu_unpin(&pins[i]);
		if (i < 7)
			pcpu_unpin(&copy);
	}
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(close_waits_for_the_last_pin)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, ptr, 0, &pin));
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	/* the refused close changed nothing */
	CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
	pcpu_unpin(&pin);
	CHECK(!pcpu_close(pcpu));
	pcpu_destroy(pcpu);
}

/* whether an address is mapped or reserved */
static bool is_reserved(int64_t address)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	unsigned char in_core;

	return !mincore((void *)(uintptr_t)(address / page * page), 1,
			&in_core);
}

/*
 * The sanitizer notices a handle that is freed too early.  It does not notice
 * one that is never freed, because the list of locks still points to it; so the
 * test checks that the address space is released.
 */
TEST(the_last_unpin_completes_a_destroy)
{
	struct pcpu *pcpu = mapped(0);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin first = { 0 }, second = { 0 };
	char *copy;

	CHECK(!pcpu_pin(pcpu, a, 1, &first));
	CHECK(!pcpu_pin(pcpu, b, 0, &second));
	copy = (char *)(uintptr_t)first.address;
	pcpu_destroy(pcpu);
	copy[7] = 1;
	pcpu_unpin(&second);
	copy[7] = 2;
	pcpu_unpin(&first);
	CHECK(!is_reserved(first.address));
}

TEST(the_static_area_can_be_pinned)
{
	struct pcpu *pcpu = mapped(0);
	int64_t ptr = info_of(pcpu).static_ptr;
	struct pcpu_pin pin = { 0 };

	CHECK(!pcpu_pin(pcpu, ptr, 0, &pin));
	CHECK(pin.size == STATIC);
	CHECK(pcpu_free(pcpu, ptr) == -PCPU_E_STATIC);
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	pcpu_unpin(&pin);
	pcpu_destroy(pcpu);
}

TEST(a_pin_is_refused_where_address_is_refused)
{
	struct pcpu *pcpu = mapped(0), *none = small(2);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pin = { 0 };

	CHECK(pcpu_pin(pcpu, -1, 0, &pin) == -PCPU_E_WILD);
	CHECK(pcpu_pin(pcpu, ptr + 1, 0, &pin) == -PCPU_E_INTERIOR);
	CHECK(pcpu_pin(pcpu, ptr + 8, 0, &pin) == -PCPU_E_NOT_LIVE);
	CHECK(pcpu_pin(pcpu, ptr, 2, &pin) == -PCPU_E_CPU);
	CHECK(!pin.pcpu);
	CHECK(!pcpu_free(pcpu, ptr));
	ptr = pcpu_alloc(none, 8, 8);
	CHECK(pcpu_pin(none, ptr, 0, &pin) == -PCPU_E_NO_MEMORY_MAPPED);
	CHECK(pcpu_pin(none, ptr, 2, &pin) == -PCPU_E_CPU);
	CHECK(!pcpu_close(pcpu) && !pcpu_close(none));
	pcpu_destroy(pcpu);
	pcpu_destroy(none);
}

/* a failed request could depopulate the pages of a pinned neighbour */
TEST(with_the_rollback_quirk_there_are_no_pins)
{
	struct pcpu *pcpu = mapped(PCPU_QUIRK_ROLLBACK);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_pin pin = { 0 };

	CHECK(pcpu_pin(pcpu, ptr, 0, &pin) == -PCPU_E_ROLLBACK);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

/*
 * The area's two bytes end at a page boundary.  The tail of three bytes is too
 * small for an entry and becomes part of the area.  Its page is not populated.
 *
 *	|######|..|  end of page 0
 *	|...|        page 1, not populated
 */
TEST(a_pin_excludes_a_parked_tail_in_an_unpopulated_page)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu_location location;
	struct pcpu *pcpu;
	struct pcpu_pin pin = { 0 };
	int64_t page, ptr;

	pcpu = create(&config);
	page = info_of(pcpu).page_size;
	pcpu_destroy(pcpu);

	/* the static area ends two bytes before page 1; five bytes are free */
	config.static_size = page - 2;
	config.unit_size = 16 * page;
	config.free_size = 5;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 2, 1);
	CHECK(!pcpu_locate(pcpu, ptr, &location));
	CHECK(location.chunk == 0 && location.size == 5);
	CHECK(info_of(pcpu).pages == 2);
	CHECK(!pcpu_pin(pcpu, ptr, 0, &pin));
	CHECK(pin.size == 2);
	pcpu_unpin(&pin);
	pcpu_destroy(pcpu);
}

TEST(each_of_many_pins_keeps_its_own_area)
{
	static struct pcpu_pin pins[200];
	struct pcpu *pcpu = mapped(0);
	int64_t ptrs[200];

	for (int i = 0; i < 200; i++)
		ptrs[i] = pcpu_alloc(pcpu, 8, 8);
	/* neither in ascending nor in descending order */
	for (int i = 0; i < 200; i++)
		CHECK(!pcpu_pin(pcpu, ptrs[i * 77 % 200], 0,
				&pins[i * 77 % 200]));
	for (int i = 0; i < 200; i += 2)
		pcpu_unpin(&pins[(i * 77) % 200]);
	for (int i = 0; i < 200; i++)
		CHECK(pcpu_free(pcpu, ptrs[i]) ==
		      (i % 2 ? -PCPU_E_PINNED : 0));
	for (int i = 1; i < 200; i += 2)
		pcpu_unpin(&pins[i]);
	pcpu_destroy(pcpu);
}

/* their order by area is not that of their addresses */
TEST(pins_are_found_by_their_area)
{
	static struct pcpu_pin pins[100];
	struct pcpu *pcpu = mapped(0);
	int64_t ptrs[100];

	for (int i = 0; i < 100; i++)
		ptrs[i] = pcpu_alloc(pcpu, 8, 8);
	for (int i = 0; i < 100; i++)
		CHECK(!pcpu_pin(pcpu, ptrs[i * 37 % 100], 0,
				&pins[i * 61 % 100]));
	for (int i = 0; i < 100; i++)
		CHECK(pcpu_free(pcpu, ptrs[i]) == -PCPU_E_PINNED);
	for (int i = 0; i < 100; i++) {
		pcpu_unpin(&pins[i * 61 % 100]);
		CHECK(!pcpu_free(pcpu, ptrs[i * 37 % 100]));
	}
	pcpu_destroy(pcpu);
}
