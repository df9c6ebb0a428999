/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * clock.h - the time that passes.
 */
#ifndef PCPU_CLOCK_H
#define PCPU_CLOCK_H

#include <stdint.h>
#include <time.h>

/* nanoseconds since some moment; the includer asks for POSIX */
static inline uint64_t pcpu_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

#endif /* PCPU_CLOCK_H */
