// SPDX-License-Identifier: GPL-2.0-only
/*
 * span.c - numbers and words in a part of a text.
 */
#define _GNU_SOURCE 1	/* memmem */
#include "span.h"

#define HEX_DIGITS	16	/* of 64 bits */
#define SAFE_DIGITS	19	/* so many decimal ones have at most 64 bits */

/**
 * span_after - find a text
 * @s: where
 * @text: what
 *
 * Return: the first place after it, or NULL.
 */
__cold const char *span_after(struct span s, const char *text)
{
	size_t n = strlen(text);
	const char *at = memmem(s.at, span_len(s), text, n);

	return at ? at + n : NULL;
}

/* the value of a lower-case hexadecimal digit, plus 1; 0: it is none */
static const unsigned char digits[256] = {
	['0'] = 1, ['1'] = 2, ['2'] = 3, ['3'] = 4, ['4'] = 5, ['5'] = 6,
	['6'] = 7, ['7'] = 8, ['8'] = 9, ['9'] = 10, ['a'] = 11, ['b'] = 12,
	['c'] = 13, ['d'] = 14, ['e'] = 15, ['f'] = 16,
};

static const char *read_hex(struct span s, uint64_t *value)
{
	const char *at = s.at;
	uint64_t number = 0;
	unsigned int digit;

	/* most pointers of ftrace are hashes of 32 bits */
	if (span_starts(s, "00000000"))
		at += strlen("00000000");
	for (; at < s.end && (digit = digits[(unsigned char)*at]); at++)
		number = number << 4 | (digit - 1);
	*value = number;
	return at > s.at && at - s.at <= HEX_DIGITS ? at : NULL;
}

/* whether a decimal number has at most 64 bits */
static __cold bool fits(struct span s)
{
	uint64_t number = 0;

	for (; s.at < s.end; s.at++) {
		uint64_t digit = (uint64_t)(*s.at - '0');

		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, digit, &number))
			return false;
	}
	return true;
}

/**
 * span_digits - read the decimal number that a span begins with
 * @s: the span
 * @value: set to the number, or to any if there is none
 *
 * Return: the place after it, or NULL: there is none, or it has over 64 bits.
 */
const char *span_digits(struct span s, uint64_t *value)
{
	const char *at = s.at;
	uint64_t number = 0;

	for (; at < s.end && is_digit(*at); at++)
		number = number * 10 + (uint64_t)(*at - '0');
	*value = number;
	if (at - s.at > SAFE_DIGITS && !fits((struct span){ s.at, at }))
		return NULL;
	return at > s.at ? at : NULL;
}

/**
 * span_number - read the number that a span begins with
 * @s: the span
 * @hex: whether the digits are hexadecimal; those after 0x always are
 * @value: set to the number, or to any if there is none
 *
 * Return: the place after it, or NULL: there is none, or it has over 64 bits.
 */
const char *span_number(struct span s, bool hex, uint64_t *value)
{
	if (span_starts(s, "0x"))
		return read_hex((struct span){ s.at + 2, s.end }, value);
	return hex ? read_hex(s, value) : span_digits(s, value);
}

/**
 * span_decimal - read a span that is a decimal number
 * @s: the span
 * @value: set to the number
 *
 * Return: whether it is one, of 64 bits.
 */
bool span_decimal(struct span s, uint64_t *value)
{
	return span_digits(s, value) == s.end;
}

/**
 * span_hex - read a span that is a hexadecimal number, without 0x
 * @s: the span
 * @value: set to the number
 *
 * Return: whether it is one, of 64 bits.
 */
bool span_hex(struct span s, uint64_t *value)
{
	return read_hex(s, value) == s.end;
}

/**
 * span_number_after - read the decimal number after a text
 * @s: where
 * @before: the text
 * @value: set to the number
 *
 * Return: the place after it, or NULL.
 */
__cold const char *span_number_after(struct span s, const char *before,
				     uint64_t *value)
{
	const char *at = span_after(s, before);

	return at ? span_digits((struct span){ at, s.end }, value) : NULL;
}
