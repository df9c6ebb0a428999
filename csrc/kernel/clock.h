/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clock.h - time, for files that define _GNU_SOURCE: C alone has no such clock.
 */
#ifndef FAKE_CLOCK_H
#define FAKE_CLOCK_H

#include <stdint.h>
#include <time.h>

/* nanoseconds of the monotonic clock */
static inline uint64_t ktime_get_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif /* FAKE_CLOCK_H */
