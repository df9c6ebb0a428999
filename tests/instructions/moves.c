// SPDX-License-Identifier: GPL-2.0-only
/*
 * moves.c - memmove, memcpy and memset with the same counts on each machine.
 *
 * libc selects its functions by the CPU, and their counts jump with the length:
 * short moves use vectors of 16 or 32 bytes, long ones "rep movsb", which
 * counts as one instruction for each byte.  The functions here move blocks of
 * 32 bytes, then map entries, then bytes.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t block __attribute__((vector_size(32), aligned(1), may_alias));
typedef uint32_t entry __attribute__((aligned(1), may_alias));
typedef unsigned char byte;

/* prevent the compiler from replacing the loop by a call of memmove() */
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
	/* upwards, unless the target starts within the source */
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
