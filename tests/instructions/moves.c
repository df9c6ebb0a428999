// SPDX-License-Identifier: GPL-2.0-only
/*
 * moves.c - memmove, memcpy and memset at a price that is the same everywhere.
 *
 * libc chooses its own by the CPU, and their counts jump with the length:
 * vectors of 16 or 32 bytes for a short move, but for a long one "rep movsb",
 * which counts as an instruction a byte.  Here it is always steps of 32 bytes,
 * then of a map entry, then of a byte.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t block __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t entry __attribute__((aligned(1), may_alias));
typedef unsigned char byte;

/* so that the compiler does not make a call of memmove() of the loop */
#define KEEP_LOOP() __asm__ volatile("" : : : "memory")

#define MOVE_UP(type)							\
	for (; n >= sizeof(type); n -= sizeof(type)) {			\
		*(type *)to = *(const type *)from;			\
		to += sizeof(type);					\
		from += sizeof(type);					\
		KEEP_LOOP();						\
	}

#define MOVE_DOWN(type)							\
	for (; n >= sizeof(type); n -= sizeof(type)) {			\
		*(type *)(to + n - sizeof(type)) =			\
			*(const type *)(from + n - sizeof(type));	\
		KEEP_LOOP();						\
	}

static void move_up(byte *to, const byte *from, size_t n)
{
	MOVE_UP(block)
	MOVE_UP(entry)
	MOVE_UP(byte)
}

static void move_down(byte *to, const byte *from, size_t n)
{
	MOVE_DOWN(block)
	MOVE_DOWN(entry)
	MOVE_DOWN(byte)
}

void *memmove(void *to, const void *from, size_t n)
{
	/* up, unless the target begins within the source */
	if ((uintptr_t)to - (uintptr_t)from >= n)
		move_up(to, from, n);
	else
		move_down(to, from, n);
	return to;
}

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	move_up(to, from, n);
	return to;
}

void *memset(void *to, int value, size_t n)
{
	byte *at = to;
	block blocks = { 0 };

	blocks += (uint64_t)(byte)value * 0x0101010101010101u;
	for (; n >= sizeof(blocks); n -= sizeof(blocks)) {
		*(block *)at = blocks;
		at += sizeof(blocks);
		KEEP_LOOP();
	}
	for (; n; n--) {
		*at++ = (byte)value;
		KEEP_LOOP();
	}
	return to;
}
