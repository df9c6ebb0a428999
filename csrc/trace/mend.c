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

/* more blanks than a mailer indents with; ftrace begins most lines so */
static const char indent[8] = { ' ', ' ', ' ', ' ', ' ', ' ', ' ', ' ' };

/* fields that the rest of a broken event begins with */
static const char *const names[] = {
	"call_site", "reserved", "is_atomic", "size", "align", "base_addr",
	"off", "ptr", "bytes_alloc", "gfp_flags",
};

/* what a mail may quote has marks and blanks before it */
static struct span without_marks(struct span s)
{
	while (s.at < s.end && (is_blank(*s.at) || *s.at == '>'))
		s.at++;
	return s;
}

/* whether a text begins with NAME= or NAME: of a field */
static bool begins_with_field(struct span s)
{
	struct span word = s;
	size_t i;

	while (s.at < s.end && ((*s.at >= 'a' && *s.at <= 'z') || *s.at == '_'))
		s.at++;
	if (s.at == s.end || (*s.at != '=' && *s.at != ':'))
		return false;
	word.end = s.at;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (span_is(word, names[i]))
			return true;
	}
	return false;
}

/* ftrace: "size=0x10 (16)" with its option fields, or a delay, "(+0.002ms):" */
static __cold bool begins_with_number(struct span s)
{
	if (!span_starts(s, "(") || span_len(s) < 3)
		return false;
	s.at += 1 + (s.at[1] == '-' || s.at[1] == '+');
	return is_digit(*s.at);
}

/* lines of quoted-printable have up to 76 bytes, and most breaks are near */
#define MIN_BROKEN	70

/* @line: without blanks at its end */
static __cold bool is_soft_break(struct span line, struct span next)
{
	struct span word = span_cut_last(&(struct span){ line.at, line.end });

	if (!span_ends(line, "="))
		return false;
	if (mend_is_quoted_printable(line) || mend_is_quoted_printable(next))
		return true;
	/* "size=" is cut, except where perf trace has "size: " */
	return span_len(line) >= MIN_BROKEN &&
	       (!begins_with_field(word) || span_starts(next, ":"));
}

/*
 * Whether a line was broken in front of what is no field, at a blank that perf
 * trace has after the name of each field, and after the task.
 */
static __cold bool is_broken(struct span line, struct span next)
{
	struct span word = span_cut_last(&(struct span){ line.at, line.end });
	const char *open = memrchr(word.at, '(', span_len(word));

	if (begins_with_number(next))
		return true;
	if (span_ends(line, ":"))
		return span_starts(next, "percpu") ||
		       begins_with_field((struct span){
				open ? open + 1 : word.at, word.end });
	line = without_marks(line);
	return span_starts(next, "percpu:") && line.at < line.end &&
	       is_digit(*line.at) && is_digit(line.end[-1]) &&
	       !memmem(line.at, span_len(line), "percpu", strlen("percpu"));
}

/* the last byte; 0: there is none */
static inline char last_of(struct span s)
{
	return s.at < s.end ? s.end[-1] : 0;
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
	char last = last_of(line);

	if ((last == '=' || is_blank(last)) &&
	    is_soft_break(span_trim_end(line), next))
		return true;
	if (span_len(next) >= sizeof(indent) &&
	    !memcmp(next.at, indent, sizeof(indent)))
		return false;
	next = without_marks(next);
	if (begins_with_field(next))
		return true;
	return next.at < next.end &&
	       (last == ':' || is_blank(last) || *next.at == '(' ||
		*next.at == 'p') && is_broken(span_trim_end(line), next);
}

/**
 * mend_join - append the rest of a broken line
 * @line: char: the line
 * @next: the one after it, for which mend_continues() is true
 *
 * Return: false when the host has no memory.
 */
__cold bool mend_join(struct vec *line, struct span next)
{
	char *text = line->data, *room;
	struct span start = span_trim_end((struct span){
		text, text + line->used });
	size_t blank = 0;

	if (is_soft_break(start, next)) {
		line->used = span_len(start) - 1;
	} else {
		next = without_marks(next);
		blank = 1;
	}
	room = vec_add(line, blank + span_len(next), 1);
	if (!room)
		return false;
	memset(room, ' ', blank);
	memcpy(room + blank, next.at, span_len(next));
	return true;
}

/**
 * mend_unquote - cut off the marks of a quoted mail
 * @line: the line
 *
 * Return: the line without them, and without one blank after each.
 */
struct span mend_unquote(struct span line)
{
	while (line.at < line.end && *line.at == '>') {
		line.at++;
		if (line.at < line.end && *line.at == ' ')
			line.at++;
	}
	return line;
}

/* a control character, such as the end of a line, becomes a blank */
static __cold char printable(uint64_t code)
{
	return code < ' ' ? ' ' : (char)code;
}

/* the character after a backslash; @s is set to what follows it */
static __cold char unescaped(struct span *s)
{
	uint64_t code;
	char c = *s->at++;

	if (c == 'u' && span_len(*s) >= 4 &&
	    span_hex((struct span){ s->at, s->at + 4 }, &code)) {
		s->at += 4;
		return code < 0x80 ? printable(code) : '?';
	}
	return c == '"' || c == '\\' || c == '/' ? c : ' ';
}

/* where logs have the line */
static const char *const keys[] = {
	"\"log\":", "\"MESSAGE\":", "\"message\":", "\"msg\":", "\"line\":",
	"\"text\":", "\"textPayload\":", "\"body\":", "\"original\":",
	"\"@message\":", "\"_raw\":",
};

/* the text after the first quote of the line's value */
static __cold bool find_value(struct span *s)
{
	const char *at = NULL;
	size_t i;

	for (i = 0; !at && i < sizeof(keys) / sizeof(keys[0]); i++)
		at = span_after(*s, keys[i]);
	if (at)
		at = memchr(at, '"', (size_t)(s->end - at));
	if (at)
		s->at = at + 1;
	return at;
}

/**
 * mend_json - take the line out of a log's JSON
 * @line: an object of JSON
 * @room: as many bytes
 *
 * Return: the string that has the line, in @room, without escapes; if no key
 * says which one that is, the whole object, with blanks for quotes.
 */
__cold struct span mend_json(struct span line, char *room)
{
	bool is_value = find_value(&line);
	char *to = room;

	while (line.at < line.end) {
		char c = *line.at++;

		if (c == '"' && is_value)
			break;
		if (c == '"')
			c = ' ';
		else if (c == '\\' && line.at < line.end)
			c = unescaped(&line);
		*to++ = c;
	}
	return (struct span){ room, to };
}

/**
 * mend_is_quoted_printable - whether a line has an escaped equals sign
 */
__cold bool mend_is_quoted_printable(struct span line)
{
	return memmem(line.at, span_len(line), "=3D", 3);
}

/* the byte of 2 hexadecimal digits, which are upper case */
static __cold bool quoted(struct span s, char *c)
{
	static const char digits[] = "0123456789ABCDEF";
	const char *high, *low;

	if (span_len(s) < 3 || *s.at != '=')
		return false;
	high = memchr(digits, s.at[1], 16);
	low = memchr(digits, s.at[2], 16);
	if (!high || !low)
		return false;
	*c = printable((uint64_t)((high - digits) * 16 + (low - digits)));
	return true;
}

/**
 * mend_quoted_printable - replace the escapes of mail, RFC 2045
 * @line: the line
 * @room: as many bytes
 *
 * Return: the text, in @room.
 */
__cold struct span mend_quoted_printable(struct span line, char *room)
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
