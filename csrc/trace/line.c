// SPDX-License-Identifier: GPL-2.0-only
/*
 * line.c - one line of a recording: which event it is, and its fields.
 *
 *	HEAD: percpu_free_percpu: base_addr=... off=... ptr=...
 *	HEAD: percpu:percpu_free_percpu: base_addr=... off=... ptr=...
 *	HEAD percpu:percpu_free_percpu(base_addr: ..., off: ..., ptr: ...)
 *
 * The text before the event's name differs between recorders, see head.c; the
 * text after it between kernels, so fields are read by name, never by position.
 */
#define _GNU_SOURCE 1	/* memmem */
#include "line.h"

#include "../percpu.h"

/* --- fields */

enum field_type {
	FIELD_DECIMAL,		/* a number */
	FIELD_POINTER,		/* hexadecimal, except where trace-cmd fails */
	FIELD_FLAG,		/* 0 or 1, or false and true */
	FIELD_WORD,		/* a struct span */
	FIELD_FUNCTION		/* a struct span, where any character may be */
};

#define FIELD(text, member, bit, type) {				\
	text, sizeof(text) - 1, offsetof(struct trace_line, member),	\
	bit, type,							\
}

/* in the order of the kernel */
static const struct field {
	const char *name;	/* as printed */
	size_t n;		/* bytes of it */
	size_t at;		/* offset in struct trace_line */
	unsigned int bit;	/* in trace_line.has, or 0 */
	enum field_type type;	/* what it is */
} fields[] = {
	FIELD("call_site", site, 0, FIELD_FUNCTION),
	FIELD("reserved", reserved, 0, FIELD_FLAG),
	FIELD("is_atomic", atomic, TRACE_HAS_ATOMIC, FIELD_FLAG),
	FIELD("size", size, TRACE_HAS_SIZE, FIELD_DECIMAL),
	FIELD("align", align, TRACE_HAS_ALIGN, FIELD_DECIMAL),
	FIELD("base_addr", base, TRACE_HAS_BASE, FIELD_POINTER),
	FIELD("off", offset, TRACE_HAS_OFFSET, FIELD_DECIMAL),
	FIELD("ptr", ptr, TRACE_HAS_PTR, FIELD_POINTER),
	FIELD("bytes_alloc", bytes_alloc, 0, FIELD_DECIMAL),
	FIELD("gfp_flags", gfp, 0, FIELD_WORD),
};
#define NR_FIELDS	(sizeof(fields) / sizeof(fields[0]))

/* the text after an event's name, while it is read */
struct cursor {
	struct span s;		/* what is left */
	size_t next;		/* the field that the kernel prints next */
	bool colons;		/* perf trace: also NAME: VALUE */
	bool decimal;		/* pointers are printed in decimal */
};

static bool field_matches(const struct cursor *cursor,
			  const struct field *field)
{
	const char *at = cursor->s.at;

	return span_len(cursor->s) > field->n &&
	       (at[field->n] == '=' ||
		(cursor->colons && at[field->n] == ':')) &&
	       !memcmp(at, field->name, field->n);
}

/* the field at the cursor, most often the next one; or NULL */
static const struct field *find_field(struct cursor *cursor)
{
	size_t i;

	for (i = 0; i < NR_FIELDS; i++) {
		const struct field *field = &fields[cursor->next];

		if (++cursor->next == NR_FIELDS)
			cursor->next = 0;
		if (field_matches(cursor, field))
			return field;
	}
	return NULL;
}

static bool read_pointer(struct cursor *cursor, uint64_t *value, int *digits)
{
	bool prefix = span_starts(cursor->s, "0x");
	const char *begin = cursor->s.at, *at;

	/* 17 digits and more are those of a decimal number of 64 bits */
	at = span_number(cursor->s, !cursor->decimal, value);
	if (!at) {
		at = span_number(cursor->s, false, value);
		cursor->decimal = at != NULL;
	}
	if (!at)
		return false;
	*digits = (int)(at - begin) - 2 * prefix;
	cursor->s.at = at;
	return true;
}

static bool read_flag(struct cursor *cursor, uint64_t *value)
{
	const char *at = span_number(cursor->s, false, value);

	if (!at && span_starts(cursor->s, "false")) {
		*value = 0;
		at = cursor->s.at + strlen("false");
	} else if (!at && span_starts(cursor->s, "true")) {
		*value = 1;
		at = cursor->s.at + strlen("true");
	}
	if (!at || *value > 1)
		return false;
	cursor->s.at = at;
	return true;
}

static bool read_decimal(struct cursor *cursor, uint64_t *value)
{
	const char *at = span_number(cursor->s, false, value);

	if (!at || *value > INT64_MAX)
		return false;
	cursor->s.at = at;
	return true;
}

/* up to a byte of @ends; a function in a module is followed by its name */
static struct span read_string(struct cursor *cursor, const bool *ends)
{
	struct span *s = &cursor->s, value = *s, module;

	while (s->at < s->end && !ends[(unsigned char)*s->at])
		s->at++;
	value.end = s->at;
	if (span_starts(*s, " [")) {
		module = (struct span){ s->at + 1, s->end };
		while (module.at < s->end && !ends_text(*module.at))
			module.at++;
		if (module.at[-1] == ']')
			value.end = s->at = module.at;
	}
	return value;
}

/* the value of a field; the cursor is at its first byte */
static int read_value(struct cursor *cursor, const struct field *field,
		      struct trace_line *line)
{
	void *member = (char *)line + field->at;
	struct span *s = &cursor->s;
	int digits = 0;
	bool ok;

	line->field = field->name;
	if (field->type >= FIELD_WORD) {
		*(struct span *)member = read_string(
			cursor, field->type == FIELD_WORD ? span_ends_word :
							    span_ends_text);
		return 0;
	}
	/* ftrace's option "fields" prints some numbers in parentheses */
	if (span_starts(*s, "(")) {
		if (field->type == FIELD_POINTER)
			return -PCPU_T_POINTER;
		s->at++;
	}
	if (field->type == FIELD_POINTER)
		ok = read_pointer(cursor, member, &digits);
	else if (field->type == FIELD_FLAG)
		ok = read_flag(cursor, member);
	else
		ok = read_decimal(cursor, member);
	if (!ok || (s->at < s->end && !ends_word(*s->at)))
		return -PCPU_T_NUMBER;
	if (field->bit == TRACE_HAS_PTR)
		line->ptr_digits = digits;
	line->has |= field->bit;
	return 0;
}

static void skip_blanks(struct span *s)
{
	while (s->at < s->end && (is_blank(*s->at) || *s->at == ','))
		s->at++;
}

static void skip_word(struct span *s)
{
	while (s->at < s->end && !is_blank(*s->at) && *s->at++ != ':')
		;
}

/* whether a word is the name of one of our events: this one was interrupted */
static bool is_event_name(struct span word)
{
	return span_starts(word, "percpu") && word.end[-1] == ':';
}

/* read fields up to the end of the event, skip unknown words */
static int read_fields(struct cursor *cursor, struct trace_line *line)
{
	struct span *s = &cursor->s;
	int err = 0;

	line->rest = s->at;
	for (skip_blanks(s); !err && s->at < s->end; skip_blanks(s)) {
		const struct field *field = find_field(cursor);
		const char *word = s->at;

		if (field) {
			s->at += field->n + 1;
			if (s->at[-1] == ':')
				skip_blanks(s);
			err = read_value(cursor, field, line);
			line->rest = s->at;
		} else {
			skip_word(s);
			if (is_event_name((struct span){ word, s->at }))
				return 0;
		}
	}
	return err;
}

/* --- the event */

#define EVENT(text, type, need) { text, sizeof(text) - 1, type, need }

static const struct tracepoint {
	const char *name;	/* as printed */
	size_t n;		/* bytes of it */
	enum trace_line_type type; /* what it is */
	unsigned int need;	/* set of enum trace_field */
} tracepoints[] = {
	EVENT("percpu_alloc_percpu", TRACE_ALLOC,
	      TRACE_HAS_SIZE | TRACE_HAS_ALIGN | TRACE_HAS_PTR),
	EVENT("percpu_free_percpu", TRACE_FREE, TRACE_HAS_PTR),
	EVENT("percpu_alloc_percpu_fail", TRACE_FAIL,
	      TRACE_HAS_SIZE | TRACE_HAS_ALIGN),
	EVENT("percpu_create_chunk", TRACE_CREATE, TRACE_HAS_BASE),
	EVENT("percpu_destroy_chunk", TRACE_DESTROY, TRACE_HAS_BASE),
};
#define NR_TRACEPOINTS	(sizeof(tracepoints) / sizeof(tracepoints[0]))

/* where an event's name is */
struct found {
	const struct tracepoint *event; /* which event */
	const char *begin;	/* first byte of the name, or of its group's */
	const char *after;	/* after the colon or the parenthesis */
};

/* the event whose name a text ends with, or NULL */
static noinline const struct tracepoint *find_tracepoint(struct span s)
{
	const struct tracepoint *event = tracepoints;
	size_t n = span_len(s);

	for (; event < tracepoints + NR_TRACEPOINTS; event++) {
		if (n >= event->n && s.end[-1] == event->name[event->n - 1] &&
		    !memcmp(s.end - event->n, event->name, event->n))
			return event;
	}
	return NULL;
}

/* NAME:, percpu:NAME: or percpu:NAME(, with the first colon at @colon */
static bool find_name(struct span s, const char *colon, struct found *found)
{
	struct span name = { s.at, colon };

	found->event = find_tracepoint(name);
	if (found->event) {
		found->begin = colon - found->event->n;
	} else if (span_ends(name, "percpu")) {
		found->begin = colon - strlen("percpu");
		name.at = name.end = colon + 1;
		while (name.end < s.end && *name.end != ':' && *name.end != '(')
			name.end++;
		if (name.end < s.end)
			found->event = find_tracepoint(name);
		if (!found->event || span_len(name) != found->event->n)
			return false;
	} else {
		return false;
	}
	found->after = name.end + 1;
	return found->begin == s.at || is_blank(found->begin[-1]) ||
	       found->begin[-1] == ';';		/* netconsole */
}

/* the first event of a text; each colon may be the one of its name */
static bool find_event(struct span s, struct found *found)
{
	const char *at = s.at;

	while ((at = memchr(at, ':', (size_t)(s.end - at)))) {
		if (find_name(s, at, found))
			return true;
		at++;
	}
	return false;
}

/**
 * trace_has_event - whether a text has the name of one of our events
 */
__cold bool trace_has_event(struct span s)
{
	struct found found;

	return find_event(s, &found);
}

/* name the first field that the event needs and does not have */
static __cold int missing(struct trace_line *line, unsigned int need)
{
	const struct field *field = fields;

	while (!(need & ~line->has & field->bit))
		field++;
	line->field = field->name;
	return -PCPU_T_MISSING;
}

/* perf trace does not print arguments that are 0 */
static __cold void add_zeros(struct trace_line *line)
{
	line->has |= TRACE_HAS_OFFSET;
	if (line->type != TRACE_FREE)
		line->has |= TRACE_HAS_ATOMIC;
}

static int read_event(struct trace_prefix *prefix, struct span s,
		      const struct found *found, struct trace_line *line)
{
	struct cursor cursor = {
		.s = { found->after, s.end },
		.colons = found->after[-1] == '(',
	};
	int err;

	line->type = found->event->type;
	trace_head_parse((struct span){ s.at, found->begin }, prefix,
			 &line->head);
	skip_blanks(&cursor.s);
	cursor.decimal = span_starts(cursor.s, "[FAILED TO PARSE]");
	err = read_fields(&cursor, line);
	if (cursor.colons)
		add_zeros(line);
	if (!err && found->event->need & ~line->has)
		err = missing(line, found->event->need);
	return err;
}

/* --- other lines */

#define MIN_ADDRESS	8	/* digits of a frame's address, of 32 bits */

/*
 * How many CPUs there are, or how many of the events that were written the
 * buffer still holds.
 */
static __cold enum trace_line_type read_comment(struct span s,
						struct trace_line *line)
{
	uint64_t cpus = 0, held, written;
	const char *at;

	if (*s.at == 'c') {	/* trace-cmd; in mail "cpus=3D2" */
		at = span_number_after(s, "cpus=", &cpus);
		if (at && at < span_trim_end(s).end)
			cpus = 0;
	} else if (!span_number_after(s, "#P:", &cpus)) {	/* ftrace; perf */
		span_number_after(s, "# nrcpus avail : ", &cpus);
	}
	line->cpus = cpus < PCPU_NO_CPU ? cpus : 0;
	at = span_number_after(s, "entries-written: ", &held);
	if (!at || !span_number_after((struct span){ at, s.end }, "/",
				      &written) || written <= held)
		return TRACE_BLANK;
	line->lost = written - held;
	return TRACE_LOST;
}

/* a line without a head that reports lost events, or how many is unknown */
static __cold bool read_lost(struct span s, struct trace_line *line)
{
	const char *at = span_number_after(s, "LOST ", &line->lost);

	if (at && (span_starts((struct span){ at, s.end }, " EVENTS]") ||
		   span_starts((struct span){ at, s.end }, " events!")))
		return true;				/* ftrace; perf trace */
	if (!span_after(s, "[LOST EVENTS]") &&
	    !span_after(s, "EVENTS DROPPED]"))			/* trace-cmd */
		return false;
	if (!span_number_after(s, " [", &line->lost))
		line->lost = 0;
	return true;
}

/* an event of another kind; @name begins with its name */
static __cold enum trace_line_type read_other_event(struct span name,
						    struct trace_line *line)
{
	const char *after;

	name = span_trim(name);
	after = span_starts(name, "(+") ? span_after(name, ")") : NULL;
	if (after)	/* trace-cmd report --ts-diff */
		name = span_trim((struct span){ after, name.end });
	if (span_number_after(name, "PERF_RECORD_LOST lost ", &line->lost) ||
	    span_number_after(name, "PERF_RECORD_LOST_SAMPLES lost ",
			      &line->lost))
		return TRACE_LOST;
	if (span_starts(name, "<stack trace") ||
	    span_starts(name, "kernel_stack:"))
		return TRACE_STACK;
	if (!span_after(name, "function pcpu_balance_workfn"))
		return TRACE_OTHER;
	if (span_after(name, "workqueue_execute_start:"))
		return TRACE_WORK_START;
	return span_after(name, "workqueue_execute_end:") ? TRACE_WORK_END :
							     TRACE_OTHER;
}

/*
 *	=> mm_init+0x2bf/0x4d0				ftrace
 *	=> mm_init (ffffffff8135580f)			trace-cmd
 *		ffffffff8135580f mm_init+0x2bf (DSO)	perf script
 *		ffffffff8135580f mm_init		the same, -F ip,sym
 *				mm_init (DSO)		perf trace
 *
 * Two of blanks, address and DSO are enough: mail and logs strip lines.
 */
static __cold bool read_frame(struct span s, struct trace_line *line)
{
	struct span name = span_trim(s);
	bool arrow = span_starts(name, "=>"), is_indented = name.at > s.at;
	bool has_address, has_dso;
	const char *open = NULL, *at;
	uint64_t address;

	if (span_ends(name, ")"))
		open = memrchr(name.at, '(', span_len(name));
	has_dso = open && open > s.at && is_blank(open[-1]);
	if (arrow)
		name.at += strlen("=>");
	if (open)
		name.end = open;
	name = span_trim(name);
	at = memchr(name.at, ' ', span_len(name));
	if (!at || !span_hex((struct span){ name.at, at }, &address))
		at = NULL;
	has_address = at && at - name.at >= MIN_ADDRESS;
	if (!arrow && is_indented + has_address + has_dso < 2)
		return false;
	if (at)
		name.at = at;
	line->site = span_trim(name);
	return line->site.at < line->site.end;
}

/* whether a head ends at @end */
static __cold bool read_head(struct trace_prefix *prefix, struct span s,
			     const char *end, struct trace_line *line)
{
	trace_head_parse((struct span){ s.at, end }, prefix, &line->head);
	return line->head.time != PCPU_NO_TIME ||
	       line->head.cpu != PCPU_NO_CPU;
}

static __cold enum trace_line_type read_other_line(struct trace_prefix *prefix,
						   struct span s,
						   struct trace_line *line)
{
	struct span words = span_trim(s);
	const char *after = span_after(s, ": "), *open;

	if (words.at == words.end)
		return TRACE_BLANK;
	if (*s.at == '#' || span_starts(s, "cpus="))
		return read_comment(s, line);
	if (after && read_head(prefix, s, after - 1, line))
		return read_other_event((struct span){ after, s.end }, line);
	/* perf trace: MILLISECONDS TASK/PID NAME(...) */
	open = memchr(s.at, '(', span_len(s));
	if (open && read_head(prefix, s, open, line))
		return TRACE_OTHER;
	if (read_frame(s, line))
		return TRACE_FRAME;
	if (read_lost(s, line))
		return TRACE_LOST;
	/* after the prefix of a log */
	return span_after(s, "# entries-in-buffer/") ? read_comment(s, line) :
						       TRACE_TEXT;
}

/**
 * trace_line_parse - read one line
 * @prefix: what the lines before say about its head; zero at the start
 * @s: the line without its line feed, or what is left of it
 * @line: set to what it says
 *
 * Return: 0, or a negative enum pcpu_trace_error: the event is incomplete.
 */
int trace_line_parse(struct trace_prefix *prefix, struct span s,
		     struct trace_line *line)
{
	struct found found;

	trace_head_clear(&line->head);
	line->lost = line->cpus = line->offset = 0;
	line->bytes_alloc = line->reserved = line->atomic = 0;
	line->site = line->gfp = (struct span){ s.at, s.at };
	line->has = 0;
	line->field = NULL;
	line->rest = s.end;
	if (find_event(s, &found))
		return read_event(prefix, s, &found, line);
	line->type = read_other_line(prefix, s, line);
	return 0;
}
