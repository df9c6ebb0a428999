/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fuzz.h - common to all fuzzers: take choices from the bytes of the input,
 * and abort when a condition does not hold.
 *
 * After the end of an input all bytes are 0, so every input is valid.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* called by libFuzzer, or by run_corpus.c */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* also checked with NDEBUG, unlike assert() */
#define MUST(cond) \
	((cond) ? (void)0 : fuzz_failed(__FILE__, __LINE__, #cond))

_Noreturn static inline void fuzz_failed(const char *file, int line,
					 const char *expr)
{
	fprintf(stderr, "%s:%d: does not hold: %s\n", file, line, expr);
	abort();
}

/* the bytes that are not yet used */
struct input {
	const uint8_t *at;	/* the next byte */
	const uint8_t *end;	/* after the last byte */
};

static inline bool input_left(const struct input *in)
{
	return in->at < in->end;
}

static inline uint8_t input_byte(struct input *in)
{
	return in->at < in->end ? *in->at++ : 0;
}

/* return a number below @n; @n is at most 65,536, up to 256 take one byte */
static inline uint32_t input_below(struct input *in, uint32_t n)
{
	uint32_t value = input_byte(in);

	if (n > 256)
		value = value << 8 | input_byte(in);
	return value % n;
}

static inline int64_t input_int64(struct input *in)
{
	uint64_t value = 0;

	for (int i = 0; i < 8; i++)
		value = value << 8 | input_byte(in);
	return (int64_t)value;
}

#endif /* FUZZ_H */
