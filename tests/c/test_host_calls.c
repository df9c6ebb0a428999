// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_host_calls.c - what host.c requests of the C library: sizes and ranges.
 */
#define _GNU_SOURCE 1	/* sysconf */
#include <unistd.h>

#include "harness.h"
#include "host_faults.h"
#include "kernel/kernel.h"

/*
 * As much more as the alignment may need, and that is unmapped again.  The host
 * maps each reservation next to the one before, so not all are aligned by
 * themselves.
 */
TEST(a_reservation_keeps_no_more_than_its_size)
{
	const struct host host = { .arg = NULL };
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *addr[4];

	for (size_t align = page; align <= 16 * page; align *= 4) {
		host_strays = 0;
		for (int i = 0; i < 4; i++) {
			addr[i] = host_reserve(&host, 64 * page, align);
			CHECK(addr[i] && !((uintptr_t)addr[i] % align));
			CHECK(host_asked == 64 * page + align - page);
		}
		CHECK(host_reserved == 4 * 64 * page && !host_strays);
		for (int i = 0; i < 4; i++)
			host_release(&host, addr[i], 64 * page);
	}
}

TEST(zeroed_memory_is_as_large_as_requested)
{
	const struct host host = { .arg = NULL };
	void *mem = host_zalloc(&host, 100);

	CHECK(mem && host_asked == 100);
	host_free(&host, mem);
}
