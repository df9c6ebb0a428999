// SPDX-License-Identifier: GPL-2.0-only
/*
 * mend.c - undo what mail and logs do to lines.
 *
 *	mkdir-40 [001] 169.300000: percpu_free_percpu:		wrapped
 *	> base_addr=0000000012340000 off=64 ptr=0000000000001000
 *
 *	... percpu_free_percpu: base_a=				quoted-printable
 *	ddr=3D0000000012340000 off=3D64 ...
 *
 *	{"log": "... ptr=0000000000001000\n", ...}		JSON
 */
#define _GNU_SOURCE 1	/* memmem */
#include "mend.h"

/* more blanks than a mailer indents the rest of a line with, and ftrace most lines */
static const char indent[8] = { ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };

/* names of fields that a line of a wrapped event begins with */
static const char *const names[] = {
	"call_site=", "reserved=", "is_atomic=", "size=", "align=",
	"base_addr=", "off=", "ptr=", "bytes_alloc=", "gfp_flags=",
};

/* without the marks of a quoted mail, and blanks */
static struct span unquoted(struct span s)
{
	while (s.at < s.end && (is_blank(*s.at) || *s.at == '>'))
		s.at++;
	return s;
}

static bool is_soft_break(struct span line, struct span next)
{
	return line.at < line.end && line.end[-1] == '=' &&
	       (mend_is_quoted_printable(line) ||
		mend_is_quoted_printable(next));
}

/**
 * mend_continues - whether a mailer broke a line here
 * @line: a line
 * @next: the one after it
 *
 * Return: whether both are one line of the recording.
 */
bool mend_continues(struct span line, struct span next)
{
	size_t i;

	if (is_soft_break(line, next))
		return true;
	if (span_len(next) > sizeof(indent) &&
	    !memcmp(next.at, indent, sizeof(indent)))
		return false;
	next = unquoted(next);
	if (next.at == next.end || *next.at < 'a' || *next.at > 's')
		return false;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_starts(next, names[i]))
			return true;
	}
	return false;
}

/**
 * mend_join - append the rest of a broken line
 * @line: char: the line
 * @next: the one after it, for which mend_continues() is true
 *
 * Return: false when the host has no memory.
 */
bool mend_join(struct vec *line, struct span next)
{
	char *text = line->data, *room;

	if (is_soft_break((struct span){ text, text + line->used }, next)) {
		line->used--;
	} else {
		next = unquoted(next);
		room = vec_add(line, 1, 1);
		if (!room)
			return false;
		*room = ' ';
	}
	room = vec_add(line, span_len(next), 1);
	if (room)
		memcpy(room, next.at, span_len(next));
	return room;
}

/**
 * mend_is_json - whether a line is an object of JSON
 */
bool mend_is_json(struct span line)
{
	return line.at < line.end && *line.at == '{';
}

/* the character of 4 hexadecimal digits; others than ASCII do not matter */
static char unicode(struct span digits)
{
	uint64_t code;

	return span_hex(digits, &code) && code < 0x80 ? (char)code : '?';
}

/**
 * mend_json - replace the escapes of JSON's strings, a line feed by a blank
 * @line: the line
 * @room: as many bytes
 *
 * Return: the text, in @room.
 */
struct span mend_json(struct span line, char *room)
{
	char *to = room;

	while (line.at < line.end) {
		if (*line.at != '\\' || line.at + 1 == line.end) {
			*to++ = *line.at++;
			continue;
		}
		if (line.at[1] == 'u' && line.end - line.at >= 6) {
			*to++ = unicode((struct span){ line.at + 2, line.at + 6 });
			line.at += 6;
			continue;
		}
		*to++ = strchr("ntr", line.at[1]) ? ' ' : line.at[1];
		line.at += 2;
	}
	return (struct span){ room, to };
}

/**
 * mend_is_quoted_printable - whether a line has an escaped equals sign
 */
bool mend_is_quoted_printable(struct span line)
{
	return memmem(line.at, span_len(line), "=3D", 3);
}

/* the byte of 2 hexadecimal digits, which are upper case */
static bool quoted(struct span s, char *c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *high, *low;

	if (span_len(s) < 3 || *s.at != '=')
		return false;
	high = memchr(digits, s.at[1], 16);
	low = memchr(digits, s.at[2], 16);
	if (!high || !low)
		return false;
	*c = (char)((high - digits) * 16 + (low - digits));
	return true;
}

/**
 * mend_quoted_printable - replace the escapes of mail, RFC 2045
 * @line: the line
 * @room: as many bytes
 *
 * Return: the text, in @room.
 */
struct span mend_quoted_printable(struct span line, char *room)
{
	char *to = room;

	while (line.at < line.end) {
		if (quoted(line, to)) {
			line.at += 3;
		} else {
			*to = *line.at++;
		}
		to++;
	}
	return (struct span){ room, to };
}
