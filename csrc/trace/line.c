// SPDX-License-Identifier: GPL-2.0-only
/*
 * line.c - one line of a kernel's trace.
 *
 *	COMM-PID [CPU] FLAGS TIME: percpu_free_percpu: base_addr=... off=... ptr=...
 *	COMM PID [CPU] TIME: percpu:percpu_free_percpu: base_addr=... off=... ptr=...
 *
 * The text before the event's name differs between recorders, the text after it
 * between kernels; so fields are read by name, never by position.
 */
#define _GNU_SOURCE 1	/* memmem, memrchr */
#include "line.h"

#include <stdbool.h>
#include <string.h>

#include "../percpu.h"

/* 2^64 nanoseconds are 584 years; anything longer is not a time */
#define MAX_SECONDS	((UINT64_MAX - 1000000000) / 1000000000)

/* a part of the line */
struct span {
	const char *at;		/* first byte */
	const char *end;	/* after the last one */
};

static bool span_is(struct span s, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(s.end - s.at) == n && !memcmp(s.at, text, n);
}

/* the first place after @text in the span, or NULL */
static const char *span_after(struct span s, const char *text)
{
	size_t n = strlen(text);
	const char *at = memmem(s.at, (size_t)(s.end - s.at), text, n);

	return at ? at + n : NULL;
}

static bool parse_decimal(struct span s, uint64_t *value)
{
	const char *c;

	/* 18 digits always fit, and real sizes have fewer */
	if (s.at == s.end || s.end - s.at > 18)
		return false;
	*value = 0;
	for (c = s.at; c < s.end; c++) {
		if (*c < '0' || *c > '9')
			return false;
		*value = *value * 10 + (uint64_t)(*c - '0');
	}
	return true;
}

static bool parse_hex(struct span s, uint64_t *value, int *digits)
{
	const char *c;

	if (s.end - s.at > 2 && s.at[0] == '0' && s.at[1] == 'x')
		s.at += 2;
	if (s.at == s.end || s.end - s.at > 16)
		return false;
	*value = 0;
	for (c = s.at; c < s.end; c++) {
		unsigned int digit;

		if (*c >= '0' && *c <= '9')
			digit = (unsigned int)(*c - '0');
		else if (*c >= 'a' && *c <= 'f')
			digit = (unsigned int)(*c - 'a') + 10;
		else
			return false;
		*value = *value << 4 | digit;
	}
	*digits = (int)(s.end - s.at);
	return true;
}

/* read the digits after @before; return what follows them, or NULL */
static const char *number_after(struct span s, const char *before,
				uint64_t *value)
{
	const char *at = span_after(s, before);
	const char *end;

	if (!at)
		return NULL;
	for (end = at; end < s.end && *end >= '0' && *end <= '9'; end++)
		;
	return parse_decimal((struct span){ at, end }, value) ? end : NULL;
}

/* ftrace's head: CPUs, and how much of the ring was overwritten */
static void parse_head(struct span s, struct trace_line *line)
{
	uint64_t held, written;
	const char *slash = number_after(s, "entries-written: ", &held);

	if (slash && number_after((struct span){ slash, s.end }, "/",
				   &written) && written > held)
		line->lost = written - held;
	number_after(s, "#P:", &line->cpus);
}

/* a line without an event: recorders print here what they lost */
static void parse_other(struct span s, struct trace_line *line)
{
	if (s.at < s.end && *s.at == '#') {
		parse_head(s, line);
		return;
	}
	/* ftrace, then perf script --show-lost-events */
	if (number_after(s, "[LOST ", &line->lost) ||
	    number_after(s, "PERF_RECORD_LOST lost ", &line->lost) ||
	    number_after(s, "PERF_RECORD_LOST_SAMPLES lost ", &line->lost))
		return;
	/* trace-cmd; and ftrace if it does not know how many */
	if ((span_after(s, "EVENTS DROPPED]") ||
	     span_after(s, "[LOST EVENTS]")) &&
	    !number_after(s, " [", &line->lost))
		line->lost = 1;
}

static const struct {
	const char *name;		/* as printed */
	enum trace_event_type type;	/* what it is */
} events[] = {
	{ "percpu_alloc_percpu", TRACE_ALLOC },
	{ "percpu_free_percpu", TRACE_FREE },
	{ "percpu_alloc_percpu_fail", TRACE_FAIL },
	{ "percpu_create_chunk", TRACE_CREATE },
	{ "percpu_destroy_chunk", TRACE_DESTROY },
};

/* the type of an event; @word is its name, up to the colon */
static enum trace_event_type event_type(struct span word)
{
	size_t i;

	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
		if (span_is(word, events[i].name))
			return events[i].type;
	}
	return TRACE_OTHER;
}

/*
 * Find the event's name, and reduce @s to what follows it.  A command may have
 * a name like an event's, so the search goes on after an unknown one.
 */
static enum trace_event_type find_event(struct span *s, const char **name)
{
	enum trace_event_type best = TRACE_NONE;
	const char *at = s->at;
	const char *begin = s->at;

	while ((at = memmem(at, (size_t)(s->end - at), "percpu_", 7))) {
		const char *colon = memchr(at, ':', (size_t)(s->end - at));
		struct span word = { at, colon };

		/* a name goes from a blank or a colon to a colon */
		if (colon && !memchr(at, ' ', (size_t)(colon - at)) &&
		    (at == begin || at[-1] == ' ' || at[-1] == ':')) {
			best = event_type(word);
			*name = at;
			s->at = colon + 1;
			if (best != TRACE_OTHER)
				return best;
		}
		at++;
	}
	return best;
}

/* the CPU in brackets before the event's name; returns what follows it */
static const char *parse_cpu(struct span s, struct trace_line *line)
{
	const char *open = memrchr(s.at, '[', (size_t)(s.end - s.at));
	const char *close;
	uint64_t cpu;

	if (!open)
		return s.at;
	close = memchr(open, ']', (size_t)(s.end - open));
	if (!close || !parse_decimal((struct span){ open + 1, close }, &cpu))
		return s.at;
	line->cpus = cpu + 1;
	return close + 1;
}

/*
 * The time between CPU and event's name: seconds, a point, up to 9 digits, a
 * colon.  A whole number is not a time: it counts ticks of unknown length.
 */
static void parse_time(struct span s, struct trace_line *line)
{
	const char *point = memrchr(s.at, '.', (size_t)(s.end - s.at));
	const char *at = point;
	uint64_t seconds, fraction = 0, unit = 1000000000;

	if (!point)
		return;
	while (at > s.at && at[-1] != ' ')
		at--;
	if (!parse_decimal((struct span){ at, point }, &seconds) ||
	    seconds > MAX_SECONDS)
		return;
	/* the event's name is after it, so the loop ends */
	for (at = point + 1; *at >= '0' && *at <= '9' && unit > 1; at++) {
		fraction = fraction * 10 + (uint64_t)(*at - '0');
		unit /= 10;
	}
	if (*at == ':' && at > point + 1)
		line->time = seconds * 1000000000 + fraction * unit;
}

#define FIELD(text, member, bit, hex) \
	{ text, sizeof(text) - 1, offsetof(struct trace_line, member), bit, hex }

/* the numbers that are read; of several that are missing the first is named */
static const struct {
	const char *name;	/* as printed */
	size_t n;		/* bytes of it */
	size_t at;		/* offset of its uint64_t in struct trace_line */
	unsigned int bit;	/* in trace_line.has */
	bool hex;		/* else decimal */
} fields[] = {
	FIELD("size", size, TRACE_HAS_SIZE, false),
	FIELD("align", align, TRACE_HAS_ALIGN, false),
	FIELD("ptr", ptr, TRACE_HAS_PTR, true),
	FIELD("base_addr", base, TRACE_HAS_BASE, true),
	FIELD("off", offset, TRACE_HAS_OFFSET, false),
};
#define NR_FIELDS	(sizeof(fields) / sizeof(fields[0]))

/* one field, key and value; unknown fields are skipped */
static int parse_field(struct span key, struct span value,
		       struct trace_line *line)
{
	size_t n = (size_t)(key.end - key.at);
	uint64_t *number;
	int digits;
	size_t i = 0;

	while (i < NR_FIELDS && (fields[i].n != n ||
				 memcmp(fields[i].name, key.at, n)))
		i++;
	if (i == NR_FIELDS) {
		if (span_is(key, "call_site")) {
			line->site = value.at;
			line->site_len = (size_t)(value.end - value.at);
		}
		return 0;
	}
	line->has |= fields[i].bit;
	line->field = fields[i].name;
	if (fields[i].bit == TRACE_HAS_PTR && value.at < value.end &&
	    *value.at == '(')
		return -PCPU_T_POINTER;
	number = (uint64_t *)(void *)((char *)line + fields[i].at);
	if (!fields[i].hex)
		return parse_decimal(value, number) ? 0 : -PCPU_T_NUMBER;
	if (!parse_hex(value, number, &digits))
		return -PCPU_T_NUMBER;
	if (fields[i].bit == TRACE_HAS_PTR)
		line->ptr_digits = digits;
	return 0;
}

/* key=value key=value ...; a call site in a module has a blank in its value */
static int parse_fields(struct span s, struct trace_line *line)
{
	struct span key = { NULL, NULL }, value = { NULL, NULL };
	const char *at = s.at;
	int err = 0;

	while (at < s.end && !err) {
		const char *blank = memchr(at, ' ', (size_t)(s.end - at));
		const char *end = blank ? blank : s.end;
		const char *equal = memchr(at, '=', (size_t)(end - at));

		if (equal) {
			if (key.at)
				err = parse_field(key, value, line);
			key = (struct span){ at, equal };
			value = (struct span){ equal + 1, end };
		} else if (end > at) {
			value.end = end;
		}
		at = blank ? blank + 1 : s.end;
	}
	if (!err && key.at)
		err = parse_field(key, value, line);
	return err;
}

static int require(struct trace_line *line, unsigned int need)
{
	size_t i;

	for (i = 0; i < NR_FIELDS; i++) {
		if (need & ~line->has & fields[i].bit) {
			line->field = fields[i].name;
			return -PCPU_T_MISSING;
		}
	}
	return 0;
}

/**
 * trace_line_parse - read one line
 * @text: the line
 * @n: bytes, without the line feed
 * @line: set to what it says
 *
 * Return: 0 or a negative enum pcpu_trace_error.
 */
int trace_line_parse(const char *text, size_t n, struct trace_line *line)
{
	struct span s = { text, text + n };
	const char *name, *after_cpu;
	int err;

	*line = (struct trace_line){ .time = PCPU_NO_TIME };
	if (n && s.end[-1] == '\r')
		s.end--;
	line->type = find_event(&s, &name);
	if (line->type == TRACE_NONE) {
		parse_other(s, line);
		return 0;
	}
	after_cpu = parse_cpu((struct span){ text, name }, line);
	if (line->type != TRACE_ALLOC && line->type != TRACE_FREE)
		return 0;
	parse_time((struct span){ after_cpu, name }, line);
	err = parse_fields(s, line);
	if (err)
		return err;
	return require(line, line->type == TRACE_FREE ? TRACE_HAS_PTR :
		       TRACE_HAS_SIZE | TRACE_HAS_ALIGN | TRACE_HAS_PTR);
}
