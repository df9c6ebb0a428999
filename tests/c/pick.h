/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * pick.h - pseudorandom numbers, the same in every run.
 */
#ifndef TEST_PICK_H
#define TEST_PICK_H

#include <stdint.h>

/* a number in 0 ... @n - 1 */
static inline unsigned int pick(unsigned int n)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (unsigned int)((state >> 32) % n);
}

#endif /* TEST_PICK_H */
