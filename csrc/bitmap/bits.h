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

static inline void bits_clear_one(uint64_t *map, int bit)
{
	map[bit / BITS_PER_WORD] &= ~bits_mask(bit);
}

/* bits of a word from @bit on, and up to it */
static inline uint64_t bits_from(int bit)
{
	return ~(uint64_t)0 << (bit % BITS_PER_WORD);
}

static inline uint64_t bits_up_to(int bit)
{
	return ~(uint64_t)0 >> (BITS_PER_WORD - 1 - bit % BITS_PER_WORD);
}

static inline void bits_fill_word(uint64_t *word, uint64_t mask, bool value)
{
	*word = value ? *word | mask : *word & ~mask;
}

/* set or clear a range */
static inline void bits_fill(uint64_t *map, int start, int end, bool value)
{
	int word = start / BITS_PER_WORD, last = (end - 1) / BITS_PER_WORD;
	uint64_t mask = bits_from(start);

	if (start >= end)
		return;
	for (; word < last; word++) {
		bits_fill_word(&map[word], mask, value);
		mask = ~(uint64_t)0;
	}
	bits_fill_word(&map[last], mask & bits_up_to(end - 1), value);
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
	uint64_t found, flip = value ? 0 : ~(uint64_t)0;
	int word = start / BITS_PER_WORD;

	if (start >= end)
		return end;
	found = (map[word] ^ flip) & bits_from(start);
	while (!found) {
		if (++word * BITS_PER_WORD >= end)
			return end;
		found = map[word] ^ flip;
	}
	start = word * BITS_PER_WORD + __builtin_ctzll(found);
	return start < end ? start : end;
}

/**
 * bits_last_both - find the last bit of a range that is set in both maps
 *
 * Return: its number, or @start - 1.
 */
static inline int bits_last_both(const uint64_t *map, const uint64_t *other,
				 int start, int end)
{
	int word = (end - 1) / BITS_PER_WORD;
	uint64_t found;

	if (start >= end)
		return start - 1;
	found = map[word] & other[word] & bits_up_to(end - 1);
	while (!found) {
		if (word * BITS_PER_WORD <= start)
			return start - 1;
		word--;
		found = map[word] & other[word];
	}
	end = word * BITS_PER_WORD + BITS_PER_WORD - 1 -
	      __builtin_clzll(found);
	return end >= start ? end : start - 1;
}

static inline int bits_last_set(const uint64_t *map, int start, int end)
{
	return bits_last_both(map, map, start, end);
}

#endif /* PCPU_BITS_H */
