/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * emulator.h - skips what an emulator of another processor shows otherwise.
 *
 * Include it first: it defines a feature test macro.
 */
#ifndef TEST_EMULATOR_H
#define TEST_EMULATOR_H

#define _GNU_SOURCE 1	/* madvise */
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness.h"

/* it has mappings itself, and ignores advice, also what is none */
static inline bool skipped_on_an_emulator(void)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	void *page = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	bool ignores_advice = !madvise(page, size, -1);

	if (ignores_advice)
		skip("the mappings of an emulator are not those of the test");
	munmap(page, size);
	return ignores_advice;
}

#endif /* TEST_EMULATOR_H */
