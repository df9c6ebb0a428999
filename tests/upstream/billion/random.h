/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * random.h - random numbers: splitmix64.
 *
 * Source: Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", OOPSLA 2014.  Each case has a generator of its own, whose state
 * is mixed from the seed and the number of the case.
 */
#ifndef BILLION_RANDOM_H
#define BILLION_RANDOM_H

#include <stdbool.h>
#include <stdint.h>

struct random {
	uint64_t state;		/* any value is a valid state */
};

static inline uint64_t random_mix(uint64_t z)
{
	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static inline uint64_t random_bits(struct random *random)
{
	return random_mix(random->state += 0x9e3779b97f4a7c15u);
}

static inline struct random random_start(uint64_t seed, uint64_t number)
{
	return (struct random){ random_mix(seed ^ random_mix(number + 1)) };
}

/* 0 ... @n - 1; @n is from 1 to 2^32 */
static inline int64_t random_below(struct random *random, int64_t n)
{
	return (int64_t)((random_bits(random) >> 32) * (uint64_t)n >> 32);
}

/* @low ... @high, both included */
static inline int64_t random_between(struct random *random, int64_t low,
				     int64_t high)
{
	return low + random_below(random, high - low + 1);
}

/* true with probability @percent / 100 */
static inline bool random_chance(struct random *random, double percent)
{
	return (double)(random_bits(random) >> 11) * 0x1p-53 * 100 < percent;
}

/* one of the values given; they must not draw random numbers themselves */
#define random_choice(random, ...)					\
	(((const int64_t[]){ __VA_ARGS__ })[random_below(		\
		random, sizeof((const int64_t[]){ __VA_ARGS__ }) /	\
			sizeof(int64_t))])

#endif
