/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bits.h - runs of bits in an array of machine words.
 *
 * A range is [start, end).  Bits after the last one of a map may be read, as
 * parts of its last word, but do not count.
 */
#ifndef PCPU_BITS_H
#define PCPU_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITS_PER_WORD	64

/* words that hold @n bits */
static inline size_t bits_words(int n)
{
	return ((size_t)n + BITS_PER_WORD - 1) / BITS_PER_WORD;
}

static inline uint64_t bits_mask(int bit)
{
	return (uint64_t)1 << (bit % BITS_PER_WORD);
}

static inline bool bits_test(const uint64_t *map, int bit)
{
	return map[bit / BITS_PER_WORD] & bits_mask(bit);
}

static inline void bits_set_one(uint64_t *map, int bit)
{
	map[bit / BITS_PER_WORD] |= bits_mask(bit);
}

/* bits of the word at @start that are in the range, which is not empty */
static inline uint64_t bits_head(int start, int end)
{
	uint64_t mask = ~(uint64_t)0 << (start % BITS_PER_WORD);
	int rest = end - start / BITS_PER_WORD * BITS_PER_WORD;

	return rest < BITS_PER_WORD ? mask & (bits_mask(rest) - 1) : mask;
}

/* set or clear a range */
static inline void bits_fill(uint64_t *map, int start, int end, bool value)
{
	while (start < end) {
		uint64_t mask = bits_head(start, end);
		uint64_t *word = &map[start / BITS_PER_WORD];

		*word = value ? *word | mask : *word & ~mask;
		start = (start / BITS_PER_WORD + 1) * BITS_PER_WORD;
	}
}

/**
 * bits_next - find the first bit of a value in a range
 * @value: set or clear
 *
 * Return: its number, or @end.
 */
static inline int bits_next(const uint64_t *map, int start, int end,
			    bool value)
{
	uint64_t flip = value ? 0 : ~(uint64_t)0;

	while (start < end) {
		uint64_t found = (map[start / BITS_PER_WORD] ^ flip) &
				 bits_head(start, end);

		start = start / BITS_PER_WORD * BITS_PER_WORD;
		if (found)
			return start + __builtin_ctzll(found);
		start += BITS_PER_WORD;
	}
	return end;
}

/**
 * bits_last_set - find the last set bit of a range
 *
 * Return: its number, or @start - 1.
 */
static inline int bits_last_set(const uint64_t *map, int start, int end)
{
	while (start < end) {
		int first = (end - 1) / BITS_PER_WORD * BITS_PER_WORD;
		int from = first > start ? first : start;
		uint64_t found = map[first / BITS_PER_WORD] &
				 bits_head(from, end);

		if (found)
			return first + BITS_PER_WORD - 1 -
			       __builtin_clzll(found);
		end = first;
	}
	return start - 1;
}

#endif /* PCPU_BITS_H */
