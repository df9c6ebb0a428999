// SPDX-License-Identifier: GPL-2.0-only
/*
 * line.c - one line of a kernel's trace.
 *
 *	COMM-PID [CPU] FLAGS TIME: percpu_free_percpu: base_addr=... off=... ptr=...
 *	COMM PID [CPU] TIME: percpu:percpu_free_percpu: base_addr=... off=... ptr=...
 *
 * What stands before the event's name differs between recorders, what stands
 * behind it between kernels; so fields are read by name, never by position.
 */
#define _GNU_SOURCE 1	/* memmem, memrchr */
#include "line.h"

#include <string.h>

#include "percpu_trace.h"

/* 2^64 nanoseconds are 584 years; what is above is no time */
#define MAX_SECONDS	((UINT64_MAX - 1000000000) / 1000000000)

/* a stretch of the line */
struct span {
	const char *at;		/* first byte */
	const char *end;	/* behind the last one */
};

static bool span_is(struct span s, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(s.end - s.at) == n && !memcmp(s.at, text, n);
}

static bool parse_decimal(struct span s, uint64_t *value)
{
	const char *c;

	/* 18 digits always fit, and no real size has more */
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

/* read the digits behind @before; return what follows them, or NULL */
static const char *number_behind(struct span s, const char *before,
				 uint64_t *value)
{
	size_t n = strlen(before);
	const char *at = memmem(s.at, (size_t)(s.end - s.at), before, n);
	const char *end;

	if (!at)
		return NULL;
	at += n;
	for (end = at; end < s.end && *end >= '0' && *end <= '9'; end++)
		;
	return parse_decimal((struct span){ at, end }, value) ? end : NULL;
}

/* ftrace's head: CPUs, and how much of the ring was overwritten */
static void parse_head(struct span s, struct trace_line *line)
{
	uint64_t held, written;
	const char *slash = number_behind(s, "entries-written: ", &held);

	if (slash && number_behind((struct span){ slash, s.end }, "/",
				   &written) && written > held)
		line->lost = written - held;
	number_behind(s, "#P:", &line->cpus);
}

/* a line without an event: recorders tell here what they lost */
static void parse_other(struct span s, struct trace_line *line)
{
	size_t n = (size_t)(s.end - s.at);

	if (n && *s.at == '#') {
		parse_head(s, line);
		return;
	}
	/* ftrace, then perf script --show-lost-events */
	if (number_behind(s, "[LOST ", &line->lost) ||
	    number_behind(s, "PERF_RECORD_LOST lost ", &line->lost) ||
	    number_behind(s, "PERF_RECORD_LOST_SAMPLES lost ", &line->lost))
		return;
	/* trace-cmd; and ftrace where it does not know how many */
	if (memmem(s.at, n, "EVENTS DROPPED]", 15) ||
	    memmem(s.at, n, "[LOST EVENTS]", 13)) {
		if (!number_behind(s, " [", &line->lost))
			line->lost = 1;
	}
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

/* what a name stands for; @word goes up to the colon behind it */
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
 * Find the event's name; what is behind it remains in @s.  A command may have
 * a name like an event's, so an unknown one is not the last word.
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
		at += 7;
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
 * colon.  A whole number is none: it counts ticks of a length that nobody says.
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
	/* the name ends it, if nothing else */
	for (at = point + 1; *at >= '0' && *at <= '9' && unit > 1; at++) {
		fraction = fraction * 10 + (uint64_t)(*at - '0');
		unit /= 10;
	}
	if (*at == ':' && at > point + 1)
		line->time = seconds * 1000000000 + fraction * unit;
}

enum {
	HAS_SIZE = 1,
	HAS_ALIGN = 2,
	HAS_PTR = 4,
	HAS_BASE = 8,
	HAS_OFFSET = 16,
};

/* one field, key and value; fields that nobody asks for are passed over */
static int parse_field(struct span key, struct span value,
		       struct trace_line *line, unsigned int *has)
{
	int digits;

	if (span_is(key, "ptr")) {
		*has |= HAS_PTR;
		line->field = "ptr";
		if (value.at < value.end && *value.at == '(')
			return -PCPU_T_POINTER;
		if (!parse_hex(value, &line->ptr, &line->ptr_digits))
			return -PCPU_T_NUMBER;
	} else if (span_is(key, "size")) {
		*has |= HAS_SIZE;
		line->field = "size";
		if (!parse_decimal(value, &line->size))
			return -PCPU_T_NUMBER;
	} else if (span_is(key, "align")) {
		*has |= HAS_ALIGN;
		line->field = "align";
		if (!parse_decimal(value, &line->align))
			return -PCPU_T_NUMBER;
	} else if (span_is(key, "off")) {
		*has |= HAS_OFFSET;
		line->field = "off";
		if (!parse_decimal(value, &line->offset))
			return -PCPU_T_NUMBER;
	} else if (span_is(key, "base_addr")) {
		*has |= HAS_BASE;
		line->field = "base_addr";
		if (!parse_hex(value, &line->base, &digits))
			return -PCPU_T_NUMBER;
	} else if (span_is(key, "call_site")) {
		line->site = value.at;
		line->site_len = (size_t)(value.end - value.at);
	}
	return 0;
}

/* key=value key=value ...; a call site in a module has a blank in its value */
static int parse_fields(struct span s, struct trace_line *line,
			unsigned int *has)
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
				err = parse_field(key, value, line, has);
			key = (struct span){ at, equal };
			value = (struct span){ equal + 1, end };
		} else if (end > at) {
			value.end = end;
		}
		at = blank ? blank + 1 : s.end;
	}
	if (!err && key.at)
		err = parse_field(key, value, line, has);
	return err;
}

static int require(struct trace_line *line, unsigned int has, unsigned int need)
{
	unsigned int lack = need & ~has;

	if (!lack)
		return 0;
	if (lack & HAS_SIZE)
		line->field = "size";
	else if (lack & HAS_ALIGN)
		line->field = "align";
	else
		line->field = "ptr";
	return -PCPU_T_MISSING;
}

/**
 * trace_line_parse - read one line
 * @text: the line
 * @n: bytes, without the line feed
 * @line: the answer
 *
 * Return: 0 or a negative enum pcpu_trace_error.
 */
int trace_line_parse(const char *text, size_t n, struct trace_line *line)
{
	struct span s = { text, text + n };
	const char *name, *behind_cpu;
	unsigned int has = 0;
	int err;

	memset(line, 0, sizeof(*line));
	line->time = PCPU_NO_TIME;
	if (n && s.end[-1] == '\r')
		s.end--;
	line->type = find_event(&s, &name);
	if (line->type == TRACE_NONE) {
		parse_other(s, line);
		return 0;
	}
	behind_cpu = parse_cpu((struct span){ text, name }, line);
	if (line->type != TRACE_ALLOC && line->type != TRACE_FREE)
		return 0;
	parse_time((struct span){ behind_cpu, name }, line);
	err = parse_fields(s, line, &has);
	if (err)
		return err;
	line->has_base = has & HAS_BASE;
	line->has_offset = has & HAS_OFFSET;
	return require(line, has, line->type == TRACE_FREE ? HAS_PTR :
		       HAS_SIZE | HAS_ALIGN | HAS_PTR);
}
