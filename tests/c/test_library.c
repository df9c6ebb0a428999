// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_library.c - a malloc library as a per-CPU allocator.
 */
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "bench/library.h"
#include "small.h"

#define CPUS	3
#define LIMIT	4096

static char calls[TEXT];	/* of the fake library, such as "a64*192 f" */
static _Alignas(8192) unsigned char memory[CPUS * LIMIT]; /* its only block */
static void *block = memory;	/* that, or NULL: out of memory */

static void *fake_aligned_alloc(size_t align, size_t size)
{
	sprintf(calls + strlen(calls), "a%zu*%zu ", align, size);
	return block;
}

static void *fake_calloc(size_t n, size_t size)
{
	sprintf(calls + strlen(calls), "c%zu*%zu ", n, size);
	return block;
}

static void fake_free(void *ptr)
{
	strcat(calls, ptr == block ? "f " : "f? ");
}

static struct pcpu_library fake = {
	.aligned_alloc = fake_aligned_alloc, .free = fake_free,
	.cpus = CPUS, .limit = LIMIT,
};

static int64_t request(struct pcpu_library *library, int64_t size,
		       int64_t align)
{
	struct pcpu_contender contender = pcpu_contender_library(library);

	calls[0] = '\0';
	return contender.alloc(contender.pcpu, size, align);
}

#define CHECK_CALLS(library, size, align, expected) do {		\
	request(library, size, align);					\
	CHECK(!strcmp(calls, expected));				\
} while (0)

/*
 *	size 65:  |65 bytes|63|65 bytes|63|65 bytes|63|
 *	          0           128         256         384
 */
TEST(each_copy_has_cache_lines_of_its_own)
{
	CHECK_CALLS(&fake, 1, 1, "a64*192 ");
	CHECK_CALLS(&fake, 64, 8, "a64*192 ");
	CHECK_CALLS(&fake, 65, 8, "a64*384 ");
	CHECK_CALLS(&fake, 8, 64, "a64*192 ");
}

TEST(copies_are_aligned_as_requested)
{
	CHECK_CALLS(&fake, 8, 128, "a128*384 ");
	CHECK_CALLS(&fake, 129, 128, "a128*768 ");
}

TEST(blocks_are_cleared_up_to_their_end)
{
	memset(memory, 1, sizeof(memory));
	CHECK(request(&fake, 100, 8) == (int64_t)(uintptr_t)memory);
	for (int i = 0; i < CPUS * 128; i++)
		CHECK(!memory[i]);
	CHECK(memory[CPUS * 128] == 1);
}

TEST(calloc_is_called_where_its_alignment_is_sufficient)
{
	const int64_t sufficient = alignof(max_align_t); /* 16, or 8 */
	struct pcpu_library with_calloc = fake;

	with_calloc.calloc = fake_calloc;
	memset(memory, 1, sizeof(memory));
	CHECK_CALLS(&with_calloc, 65, sufficient, "c3*128 ");
	CHECK(memory[0] == 1);	/* calloc() clears by itself */
	CHECK_CALLS(&with_calloc, 65, 2 * sufficient, "a64*384 ");
}

TEST(requests_that_the_port_refuses_fail_without_a_call)
{
	CHECK_CALLS(&fake, LIMIT, 8, "a64*12288 ");
	CHECK_CALLS(&fake, 8, LIMIT, "a4096*12288 ");
	CHECK(request(&fake, LIMIT + 1, 8) == 0);
	CHECK(request(&fake, INT64_MAX, 8) == 0);
	CHECK(request(&fake, 0, 8) == 0);
	CHECK(request(&fake, -1, 8) == 0);
	CHECK(request(&fake, 8, 2 * LIMIT) == 0);
	CHECK(request(&fake, 8, INT64_MAX / 2 + 1) == 0);
	CHECK(!strcmp(calls, ""));
}

TEST(a_library_without_memory_fails)
{
	block = NULL;
	CHECK(request(&fake, 8, 8) == 0);
	block = memory;
}

TEST(a_free_is_that_of_the_library)
{
	struct pcpu_contender contender = pcpu_contender_library(&fake);
	int64_t ptr = request(&fake, 8, 8);

	CHECK(contender.free(contender.pcpu, ptr) == 0);
	CHECK(!strcmp(calls, "a64*192 f "));
}

TEST(the_c_library_can_be_used)
{
	struct pcpu_library libc = { aligned_alloc, calloc, free, CPUS, LIMIT };
	struct pcpu_contender contender = pcpu_contender_library(&libc);

	for (int64_t align = 1; align <= LIMIT; align *= 2) {
		int64_t ptr = contender.alloc(contender.pcpu, 100, align);

		CHECK(ptr > 0 && (align > 16 ? ptr % align == 0 : 1));
		CHECK(!memcmp((void *)(uintptr_t)ptr,
			      (char[CPUS * 128]){ 0 }, CPUS * 128));
		memset((void *)(uintptr_t)ptr, 1, CPUS * 128);
		CHECK(contender.free(contender.pcpu, ptr) == 0);
	}
}
