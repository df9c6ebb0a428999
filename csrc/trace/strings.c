// SPDX-License-Identifier: GPL-2.0-only
/*
 * strings.c - texts that occur many times, each kept once.
 *
 * A text has a number, in order of appearance.  Texts with the same hash have
 * adjacent keys in the index.
 */
#include "strings.h"

#include <stdlib.h>

#include "../percpu.h"

static uint64_t hash_text(struct span text)
{
	uint64_t hash = span_len(text), word;

	for (; span_len(text) >= sizeof(word); text.at += sizeof(word)) {
		memcpy(&word, text.at, sizeof(word));
		hash = table_hash(hash ^ word);
	}
	for (word = 0; text.at < text.end; text.at++)
		word = word << 8 | (unsigned char)*text.at;
	return table_hash(hash ^ word);
}

/**
 * strings_get - return a text
 * @index: its number, below strings.ends.used
 *
 * Return: the text, valid until the next strings_add().
 */
struct span strings_get(const struct strings *strings, size_t index)
{
	const size_t *ends = strings->ends.data;
	const char *bytes = strings->bytes.data;

	return (struct span){
		bytes + (index ? ends[index - 1] : 0), bytes + ends[index],
	};
}

/**
 * strings_add - find a text, or keep it
 * @text: the text
 * @index: set to its number
 *
 * Return: 0, or a negative enum pcpu_trace_error.
 */
int strings_add(struct strings *strings, struct span text, uint32_t *index)
{
	uint64_t key = hash_text(text);
	size_t n = span_len(text), *end;
	char *bytes;

	for (;; key++) {
		struct span found;

		*index = table_get(&strings->index, key);
		if (*index == TABLE_NONE)
			break;
		found = strings_get(strings, *index);
		if (span_len(found) == n && !memcmp(found.at, text.at, n))
			return 0;
	}
	if (strings->ends.used >= TABLE_NONE)
		return -PCPU_T_TOO_MANY;
	*index = (uint32_t)strings->ends.used;
	bytes = vec_add(&strings->bytes, n, 1);
	if (!bytes)
		return -PCPU_T_HOST;
	memcpy(bytes, text.at, n);
	end = vec_add(&strings->ends, 1, sizeof(*end));
	if (!end)
		return -PCPU_T_HOST;
	*end = strings->bytes.used;
	return table_put(&strings->index, key, *index) ? 0 : -PCPU_T_HOST;
}

/**
 * strings_free - free the memory
 */
void strings_free(struct strings *strings)
{
	free(strings->bytes.data);
	free(strings->ends.data);
	free(strings->index.cells);
}
