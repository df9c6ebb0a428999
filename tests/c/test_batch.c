// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_batch.c - pcpu_alloc_many() and pcpu_free_many(): they take integers of
 * every width, and allocate or free all or none.
 */
#include <limits.h>
#include <stdlib.h>

#include "small.h"

static int warnings;

static void count_warning(void *arg, int about, const char *text)
{
	(void)about;
	(void)arg;
	(void)text;
	warnings++;
}

static struct pcpu *quiet(void)
{
	struct pcpu_config config = small_config(2);

	config.log = count_warning;
	warnings = 0;
	return create(&config);
}

/* allocate 8, 16 and 100 bytes, and free them; numbers are of type @type */
#define CHECK_WIDTH(type, width)					\
	do {								\
		type sizes[] = { 8, 16, 100 }, freed[3];		\
		struct pcpu *pcpu = small(2);				\
		int64_t ptrs[3] = { 0 };				\
		size_t at;						\
									\
		CHECK(!pcpu_alloc_many(pcpu, sizes, width, 3, 8, ptrs,	\
				       &at));				\
		CHECK_MAP(pcpu, 0, "-128 -8 -16 -100 772 "		\
				   "(free 772 hint 772)");		\
		CHECK(ptrs[0] == BASE + STATIC);			\
		CHECK(ptrs[1] == BASE + STATIC + 8);			\
		CHECK(ptrs[2] == BASE + STATIC + 24);			\
		for (int i = 0; i < 3; i++)				\
			freed[i] = (type)ptrs[i];			\
		if (sizeof(type) > 1)					\
			CHECK(!pcpu_free_many(pcpu, freed, width, 3,	\
					      &at));			\
		pcpu_destroy(pcpu);					\
	} while (0)

TEST(integers_of_every_width_are_read)
{
	CHECK_WIDTH(uint8_t, 1);
	CHECK_WIDTH(int8_t, -1);
	CHECK_WIDTH(uint16_t, 2);
	CHECK_WIDTH(int16_t, -2);
	CHECK_WIDTH(uint32_t, 4);
	CHECK_WIDTH(int32_t, -4);
	CHECK_WIDTH(uint64_t, 8);
	CHECK_WIDTH(int64_t, -8);
}

/* with pages of 64 bytes a pointer fits in a byte */
TEST(pointers_of_one_byte_can_be_freed)
{
	struct pcpu *pcpu = small(2);
	uint8_t freed = (uint8_t)pcpu_alloc(pcpu, 8, 8);
	size_t at;

	CHECK(freed == BASE + STATIC);
	CHECK(!pcpu_free_many(pcpu, &freed, 1, 1, &at));
	CHECK_MAP(pcpu, 0, "-128 896 (free 896 hint 896)");
	pcpu_destroy(pcpu);
}

/* the same bits are a valid size or a negative number */
TEST(the_sign_of_a_width_decides_how_an_integer_is_read)
{
	uint8_t byte = 0x80;
	uint16_t word = 0xff00;
	uint32_t dword = 0x80000000u;
	uint64_t qword = (uint64_t)1 << 63;
	struct pcpu_config config = small_config(1);
	struct pcpu *pcpu;
	int64_t ptr;
	size_t at;

	config.page_size = 65536;
	config.log = count_warning;
	pcpu = create(&config);
	CHECK(!pcpu_alloc_many(pcpu, &byte, 1, 1, 8, &ptr, &at));
	CHECK(pcpu_alloc_many(pcpu, &byte, -1, 1, 8, &ptr, &at) ==
	      -PCPU_E_SIZE);
	CHECK(!pcpu_alloc_many(pcpu, &word, 2, 1, 8, &ptr, &at));
	CHECK(pcpu_alloc_many(pcpu, &word, -2, 1, 8, &ptr, &at) ==
	      -PCPU_E_SIZE);
	/* invalid sizes either way */
	CHECK(pcpu_alloc_many(pcpu, &dword, 4, 1, 8, &ptr, &at) ==
	      -PCPU_E_SIZE);
	CHECK(pcpu_alloc_many(pcpu, &dword, -4, 1, 8, &ptr, &at) ==
	      -PCPU_E_SIZE);
	CHECK(pcpu_alloc_many(pcpu, &qword, 8, 1, 8, &ptr, &at) ==
	      -PCPU_E_SIZE);
	/* as pointers: 2 GiB into the address space, or before it */
	CHECK(pcpu_free_many(pcpu, &dword, 4, 1, &at) == -PCPU_E_WILD);
	CHECK(pcpu_free_many(pcpu, &dword, -4, 1, &at) == -PCPU_E_WILD);
	CHECK(pcpu_free_many(pcpu, &qword, 8, 1, &at) == -PCPU_E_WILD);
	pcpu_destroy(pcpu);
}

/* chunk 1 starts at 2 GiB plus a page: bit 31 is set */
TEST(pointers_above_two_gib_need_an_unsigned_width)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION,
		.cpus = 1024,
		.static_size = 2 << 20,
		.page_size = 4096,
		.unit_size = 2 << 20,
		.memory = PCPU_MEMORY_NONE,
	};
	struct pcpu *pcpu = create(&config);
	uint32_t ptr = (uint32_t)pcpu_alloc(pcpu, 8, 8);
	size_t at;

	CHECK(ptr == 0x80001000u);
	CHECK(pcpu_free_many(pcpu, &ptr, -4, 1, &at) == -PCPU_E_WILD);
	CHECK(!pcpu_free_many(pcpu, &ptr, 4, 1, &at));
	pcpu_destroy(pcpu);
}

TEST(a_batch_decides_as_single_requests_do)
{
	struct pcpu *many = small(2), *single = small(2);
	int64_t sizes[60], ptrs[60];
	size_t at;

	for (int i = 0; i < 60; i++)
		sizes[i] = 1 + pick(100);
	CHECK(!pcpu_alloc_many(many, sizes, -8, 60, 4, ptrs, &at));
	for (int i = 0; i < 60; i++)
		CHECK(pcpu_alloc(single, sizes[i], 4) == ptrs[i]);
	for (int id = 0; id < 3; id++) {
		char map[TEXT];

		strcpy(map, map_of(many, id));
		CHECK_MAP(single, id, map);
	}
	pcpu_destroy(many);
	pcpu_destroy(single);
}

TEST(a_width_that_no_integer_has_is_refused)
{
	static const int widths[] = { 0, 3, -3, 16, INT_MIN, INT_MAX };
	struct pcpu *pcpu = small(2);
	int64_t ptrs[] = { BASE };
	size_t at;

	for (int i = 0; i < 6; i++) {
		CHECK(pcpu_alloc_many(pcpu, ptrs, widths[i], 1, 8, ptrs,
				      &at) == -PCPU_E_CONFIG);
		CHECK(pcpu_free_many(pcpu, ptrs, widths[i], 1, &at) ==
		      -PCPU_E_CONFIG);
	}
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 0);
	pcpu_destroy(pcpu);
}

TEST(an_empty_batch_succeeds)
{
	struct pcpu *pcpu = small(2);
	size_t at = 7;

	CHECK(!pcpu_alloc_many(pcpu, NULL, 8, 0, 8, NULL, &at));
	CHECK(!pcpu_free_many(pcpu, NULL, 8, 0, &at));
	pcpu_destroy(pcpu);
}

TEST(an_empty_batch_needs_a_valid_alignment)
{
	struct pcpu *pcpu = quiet();
	size_t at = 7;

	CHECK(pcpu_alloc_many(pcpu, NULL, 8, 0, 3, NULL, &at) ==
	      -PCPU_E_ALIGN);
	CHECK(at == 0);
	pcpu_destroy(pcpu);
}

static void *alloc_some(void *arg, size_t size)
{
	(void)arg;
	CHECK(size > 0);
	return malloc(size);
}

static void free_some(void *arg, void *ptr)
{
	(void)arg;
	free(ptr);
}

TEST(an_empty_batch_asks_for_some_memory)
{
	const struct pcpu_hooks hooks = { .alloc = alloc_some, .free = free_some };
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;
	size_t at;

	config.hooks = &hooks;
	pcpu = create(&config);
	CHECK(!pcpu_free_many(pcpu, NULL, 8, 0, &at));
	pcpu_destroy(pcpu);
}

TEST(a_bad_size_is_found_before_anything_changes)
{
	const int32_t sizes[] = { 8, 8, 0, 8, UNIT + 1 };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[5];
	size_t at;

	CHECK(pcpu_alloc_many(pcpu, sizes, -4, 5, 8, ptrs, &at) ==
	      -PCPU_E_SIZE);
	CHECK(at == 2);
	CHECK(warnings == 1);
	CHECK(calls_of(pcpu, PCPU_KMALLOC) == 0);
	CHECK_MAP(pcpu, 0, "(free 896 hint 896)");
	pcpu_destroy(pcpu);
}

TEST(of_several_bad_sizes_the_first_is_reported)
{
	const int32_t sizes[] = { 0, UNIT + 1 };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[2];
	size_t at;

	CHECK(pcpu_alloc_many(pcpu, sizes, -4, 2, 8, ptrs, &at) ==
	      -PCPU_E_SIZE);
	CHECK(at == 0);
	pcpu_destroy(pcpu);
}

TEST(a_bad_alignment_is_reported_for_the_first_size)
{
	const int32_t sizes[] = { 8, 8 };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[2];
	size_t at = 9;

	CHECK(pcpu_alloc_many(pcpu, sizes, 4, 2, 3, ptrs, &at) ==
	      -PCPU_E_ALIGN);
	CHECK(at == 0);
	pcpu_destroy(pcpu);
}

TEST(when_one_fails_the_earlier_ones_are_freed)
{
	const uint16_t sizes[] = { 200, 200, 200, 600, 8 };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[5];
	size_t at;

	/* the fourth does not fit into chunk 0 and needs a new one */
	fail_at(pcpu, PCPU_GET_VM_AREA, 1);
	CHECK(pcpu_alloc_many(pcpu, sizes, 2, 5, 8, ptrs, &at) ==
	      NOMEM(GET_VM_AREA));
	CHECK(at == 3);
	CHECK_MAP(pcpu, 0, "-128 896 (free 896 hint 896)");
	CHECK(warnings == 0);
	pcpu_destroy(pcpu);
}

TEST(the_index_is_that_of_the_request_that_failed)
{
	const uint16_t sizes[] = { UNIT, UNIT, 8, 8 };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[4];
	size_t at;

	fail_at(pcpu, PCPU_GET_VM_AREA, 2);
	CHECK(pcpu_alloc_many(pcpu, sizes, 2, 4, 8, ptrs, &at) ==
	      NOMEM(GET_VM_AREA));
	CHECK(at == 1);
	pcpu_destroy(pcpu);
}

/* in the other order chunk 1 would be destroyed and chunk 2 kept */
TEST(the_newest_is_freed_first)
{
	const uint16_t sizes[] = { UNIT, UNIT, UNIT };
	struct pcpu *pcpu = quiet();
	int64_t ptrs[3];
	size_t at;

	fail_at(pcpu, PCPU_GET_VM_AREA, 3);
	CHECK(pcpu_alloc_many(pcpu, sizes, 2, 3, 8, ptrs, &at) ==
	      NOMEM(GET_VM_AREA));
	CHECK_SLOTS(pcpu, "7:0 9:1");
	pcpu_destroy(pcpu);
}

TEST(areas_are_freed_in_the_given_order)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[3];
	size_t at;

	for (int i = 2; i >= 0; i--)
		ptrs[i] = pcpu_alloc(pcpu, UNIT, 8);
	/* chunks 3, 2, 1: each one that empties destroys the one before */
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 3, &at));
	CHECK_SLOTS(pcpu, "7:0 9:1");
	pcpu_destroy(pcpu);
}

TEST(null_pointers_in_a_batch_are_skipped)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[] = { 0, pcpu_alloc(pcpu, 8, 8), 0,
			   pcpu_alloc(pcpu, 8, 8), 0 };
	size_t at;

	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 5, &at));
	CHECK_MAP(pcpu, 0, "-128 896 (free 896 hint 896)");
	pcpu_destroy(pcpu);
}

/* with one bad pointer, in any order, nothing is freed */
static void check_bad_pointer(int64_t bad, int error)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8);
	int64_t c = pcpu_alloc(pcpu, UNIT, 8);
	int64_t up[] = { a, bad, b, c }, down[] = { c, b, a, bad };
	char before[TEXT];
	size_t at;

	strcpy(before, map_of(pcpu, 0));
	CHECK(pcpu_free_many(pcpu, up, -8, 4, &at) == -error);
	CHECK(at == 1);
	CHECK(pcpu_free_many(pcpu, down, -8, 4, &at) == -error);
	CHECK(at == 3);
	CHECK_MAP(pcpu, 0, before);
	CHECK_MAP(pcpu, 1, "-1024 (free 0 hint 0)");
	pcpu_destroy(pcpu);
}

TEST(a_bad_pointer_is_found_before_anything_changes)
{
	check_bad_pointer(-5, PCPU_E_WILD);
	check_bad_pointer(1, PCPU_E_WILD);
	check_bad_pointer((int64_t)1 << 40, PCPU_E_WILD);
	check_bad_pointer(BASE + UNIT, PCPU_E_OTHER_UNIT);
	check_bad_pointer(BASE, PCPU_E_STATIC);
	check_bad_pointer(BASE + 1, PCPU_E_STATIC);
	check_bad_pointer(BASE + STATIC + 1, PCPU_E_INTERIOR);
	check_bad_pointer(BASE + STATIC + 16, PCPU_E_NOT_LIVE);
}

TEST(the_second_of_two_equal_pointers_is_reported)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 8, 8), b = pcpu_alloc(pcpu, 8, 8);
	int64_t next[] = { a, a, b }, apart[] = { b, a, b };
	size_t at;

	CHECK(pcpu_free_many(pcpu, next, -8, 3, &at) == -PCPU_E_NOT_LIVE);
	CHECK(at == 1);
	CHECK(pcpu_free_many(pcpu, apart, -8, 3, &at) == -PCPU_E_NOT_LIVE);
	CHECK(at == 2);
	CHECK_MAP(pcpu, 0, "-128 -8 -8 880 (free 880 hint 880)");
	pcpu_destroy(pcpu);
}

/* the copy that is sorted has them far apart */
TEST(two_equal_pointers_are_found_among_many)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[101];
	size_t at;

	for (int i = 0; i < 100; i++)
		ptrs[(i * 37) % 100] = pcpu_alloc(pcpu, 8, 8);
	ptrs[100] = ptrs[50];
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 101, &at) == -PCPU_E_NOT_LIVE);
	CHECK(at == 100);
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 100, &at));
	pcpu_destroy(pcpu);
}

TEST(of_several_bad_pointers_the_first_is_reported)
{
	struct pcpu *pcpu = small(2);
	int64_t a = pcpu_alloc(pcpu, 8, 8);
	int64_t ptrs[] = { a, BASE + UNIT, -1, a + 1 };
	size_t at;

	CHECK(pcpu_free_many(pcpu, ptrs, -8, 4, &at) == -PCPU_E_OTHER_UNIT);
	CHECK(at == 1);
	pcpu_destroy(pcpu);
}

/* the size of the sorted copy would overflow */
TEST(a_batch_too_large_for_memory_is_refused)
{
	struct pcpu *pcpu = small(2);
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	size_t at;

	CHECK(pcpu_free_many(pcpu, &ptr, -8, SIZE_MAX / 16 + 2, &at) ==
	      -PCPU_E_HOST);
	CHECK(!pcpu_free(pcpu, ptr));
	pcpu_destroy(pcpu);
}

TEST(with_one_pinned_area_nothing_is_freed)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int64_t ptrs[] = { pcpu_alloc(pcpu, 8, 8), pcpu_alloc(pcpu, 8, 8) };
	struct pcpu_pin pin = { 0 };
	size_t at;

	CHECK(!pcpu_pin(pcpu, ptrs[1], 0, &pin));
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 2, &at) == -PCPU_E_PINNED);
	CHECK(at == 1);
	pcpu_unpin(&pin);
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 2, &at));
	pcpu_destroy(pcpu);
}

/* pointers into one chunk are found in one walk through its map */
TEST(many_pointers_into_several_chunks_are_freed_in_random_order)
{
	struct pcpu *pcpu = small(2);
	int64_t ptrs[300];
	size_t at;

	for (int i = 0; i < 300; i++)
		ptrs[i] = pcpu_alloc(pcpu, 1 + pick(40), 1 << pick(4));
	CHECK(info_of(pcpu).chunks > 4);
	for (unsigned int i = 299; i > 0; i--) {
		unsigned int j = pick(i + 1);
		int64_t tmp = ptrs[i];

		ptrs[i] = ptrs[j];
		ptrs[j] = tmp;
	}
	CHECK(!pcpu_free_many(pcpu, ptrs, -8, 300, &at));
	CHECK(info_of(pcpu).chunks == 2);
	CHECK(pcpu_free_many(pcpu, ptrs, -8, 1, &at) != 0);
	pcpu_destroy(pcpu);
}
