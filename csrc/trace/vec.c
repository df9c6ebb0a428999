// SPDX-License-Identifier: GPL-2.0-only
/*
 * vec.c - an array that grows.
 */
#include "vec.h"

#include <stdlib.h>

/**
 * vec_add - add room for more items
 * @n: how many
 * @size: bytes of an item
 *
 * Return: where they start, valid until the next call; or NULL.
 */
void *vec_add(struct vec *vec, size_t n, size_t size)
{
	if (!vec->data || vec->used + n > vec->room) {
		size_t room = vec->room ? vec->room : 64;
		void *data;

		while (room < vec->used + n)
			room *= 2;
		data = realloc(vec->data, room * size);
		if (!data)
			return NULL;
		vec->data = data;
		vec->room = room;
	}
	vec->used += n;
	return (char *)vec->data + (vec->used - n) * size;
}
