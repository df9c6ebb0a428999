/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * span.h - a part of a text, and how it is taken apart.
 */
#ifndef PCPU_TRACE_SPAN_H
#define PCPU_TRACE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "../compiler.h"

/* a part of a text; it is not terminated */
struct span {
	const char *at;		/* first byte */
	const char *end;	/* after the last one */
};

static inline size_t span_len(struct span s)
{
	return (size_t)(s.end - s.at);
}

static inline bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static inline bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

#define BLANKS								\
	[' '] = true, ['\t'] = true, ['\r'] = true, [','] = true, [')'] = true

/* bytes that end the name of a function */
static const bool span_ends_text[256] = { BLANKS };

/* and other values: logs, shells and pages have lines in quotes and tags */
static const bool span_ends_word[256] = {
	BLANKS, ['"'] = true, ['\''] = true, ['`'] = true, [';'] = true,
	['<'] = true, ['\\'] = true, ['\033'] = true,
};

static inline bool ends_text(char c)
{
	return span_ends_text[(unsigned char)c];
}

static inline bool ends_word(char c)
{
	return span_ends_word[(unsigned char)c];
}

static inline struct span span_trim_end(struct span s)
{
	while (s.at < s.end && is_blank(s.end[-1]))
		s.end--;
	return s;
}

static inline struct span span_trim(struct span s)
{
	while (s.at < s.end && is_blank(*s.at))
		s.at++;
	return span_trim_end(s);
}

static inline bool span_starts(struct span s, const char *text)
{
	size_t n = strlen(text);

	return span_len(s) >= n && !memcmp(s.at, text, n);
}

static inline bool span_ends(struct span s, const char *text)
{
	size_t n = strlen(text);

	return span_len(s) >= n && !memcmp(s.end - n, text, n);
}

static inline bool span_is(struct span s, const char *text)
{
	return span_len(s) == strlen(text) && span_starts(s, text);
}

/**
 * span_cut_last - cut the last word off
 * @s: the span; set to what is before the word
 *
 * Return: the word, without the blanks around it; empty if there is none.
 */
static inline struct span span_cut_last(struct span *s)
{
	struct span word = span_trim_end(*s);

	s->end = word.end;
	while (s->at < s->end && !is_blank(s->end[-1]))
		s->end--;
	word.at = s->end;
	return word;
}

const char *span_after(struct span s, const char *text);

const char *span_digits(struct span s, uint64_t *value);

bool span_decimal(struct span s, uint64_t *value);

bool span_hex(struct span s, uint64_t *value);

const char *span_number(struct span s, bool hex, uint64_t *value);

const char *span_number_after(struct span s, const char *before,
			      uint64_t *value);

#endif /* PCPU_TRACE_SPAN_H */
