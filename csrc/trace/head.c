// SPDX-License-Identifier: GPL-2.0-only
/*
 * head.c - the text before an event's name: task, CPU, time.
 *
 *	TASK-PID [CPU] FLAGS SECONDS:			ftrace, trace-cmd
 *	TASK-PID (TGID) [CPU] FLAGS SECONDS:		ftrace, record-tgid
 *	TASK PID [CPU] SECONDS:				perf script
 *	MILLISECONDS TASK/PID				perf trace
 *	TASK-PID CPU.FLAGS MICROSECONDSus:		ftrace, latency-format
 *	TASK PID CPU FLAGS PREEMPT INDEX [HEX] ... (+...):	and verbose
 *
 * A task's name may have blanks and dashes, so all of them are read from the
 * end.  A text of another form is a log's prefix: nothing is taken from it.
 */
#define _GNU_SOURCE 1	/* memrchr */
#include "head.h"


#define MICROSECOND	1000u		/* ns */

/* digits of a fraction, down to 1 ns */
enum { OF_MILLISECOND = 6, OF_SECOND = 9 };

/* by the number of digits that a fraction may still have */
static const uint64_t powers[] = {
	1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000,
	1000000000,
};

/* 2^64 ns are 584 years; what is longer is not a time */
#define MAX_SECONDS	(UINT64_MAX / 1000000000u - 1)

#define MAX_NAME	15	/* bytes: TASK_COMM_LEN without its zero */

/*
 * Seconds or milliseconds, a point, a fraction of 1 to @digits digits.  A whole
 * number is not a time: it counts ticks of unknown length.
 */
static bool parse_time(struct span s, int digits, uint64_t *time)
{
	uint64_t whole, fraction;
	const char *at = span_digits(s, &whole);

	if (!at || at == s.end || *at != '.' || whole > MAX_SECONDS)
		return false;
	s.at = at + 1;
	if (s.end - s.at > digits || !span_decimal(s, &fraction))
		return false;
	*time = whole * powers[digits] +
		fraction * powers[digits - (s.end - s.at)];
	return true;
}

static bool cut_brackets(struct span *s)
{
	if (!span_starts(*s, "[") || !span_ends(*s, "]"))
		return false;
	s->at++;
	s->end--;
	return true;
}

/* [CPU] */
static bool parse_cpu(struct span s, struct trace_head *head)
{
	uint64_t cpu;

	if (!cut_brackets(&s) || !span_decimal(s, &cpu) || cpu >= PCPU_NO_CPU)
		return false;
	head->cpu = cpu;
	return true;
}

static bool ends_name(char c)
{
	return c == '-' || c == '/' || is_blank(c);
}

/* TASK-PID, TASK/PID or TASK PID; before a name may be the prefix of a log */
static void parse_task(struct span s, struct trace_head *head)
{
	struct span pid;
	uint64_t number, process_id;

	s = pid = span_trim_end(s);
	while (s.end > s.at && is_digit(s.end[-1]))
		s.end--;
	pid.at = s.end;
	if (s.end == s.at || !ends_name(s.end[-1]) ||
	    !span_decimal(pid, &number) || number > UINT32_MAX)
		return;
	s.end--;
	if (*s.end == '/') {	/* perf script may print PID/TID */
		struct span name = s, process = span_cut_last(&name);

		if (span_decimal(process, &process_id))
			s = name;
	}
	s = span_trim(s);
	if (span_len(s) > MAX_NAME)
		s = span_cut_last(&(struct span){ s.at, s.end });
	head->task = s;
	head->pid = number;
}

/* CPU.FLAGS, with the CPU's number directly before the flags */
static __cold void parse_latency(struct span s, struct trace_head *head)
{
	uint64_t cpu;

	if (!span_digits(span_cut_last(&s), &cpu) || cpu >= PCPU_NO_CPU)
		return;
	head->cpu = cpu;
	parse_task(s, head);
}

/* ... CPU FLAGS PREEMPT INDEX [HEX] 1.234ms (+0.002ms): */
static __cold void parse_verbose(struct span s, struct trace_head *head)
{
	uint64_t time, cpu;
	struct span word;
	int i;

	span_cut_last(&s);
	word = span_cut_last(&s);
	if (cut_brackets(&word) && span_hex(word, &time) &&
	    time < UINT64_MAX / MICROSECOND)
		head->time = time * MICROSECOND;
	for (i = 0; i < 3; i++)
		span_cut_last(&s);
	if (!span_decimal(span_cut_last(&s), &cpu) || cpu >= PCPU_NO_CPU)
		return;
	head->cpu = cpu;
	parse_task(s, head);
}

/*
 * perf trace: the time is the first word; next to system calls it prints their
 * duration, "( 0.004 ms): ".  What is before /PID is the name.
 */
static __cold void parse_perf_trace(struct span s, struct trace_head *head)
{
	const char *at, *after, *slash;
	uint64_t pid;

	s = span_trim(s);
	for (at = s.at; at < s.end && !is_blank(*at); at++)
		;
	if (!parse_time((struct span){ s.at, at }, OF_MILLISECOND, &head->time))
		return;
	s = span_trim((struct span){ at, s.end });
	after = span_starts(s, "(") ? span_after(s, "): ") : NULL;
	if (after)
		s = span_trim((struct span){ after, s.end });
	slash = memrchr(s.at, '/', span_len(s));
	if (slash && slash - s.at <= MAX_NAME &&
	    span_decimal((struct span){ slash + 1, s.end }, &pid) &&
	    pid <= UINT32_MAX) {
		head->task = (struct span){ s.at, slash };
		head->pid = pid;
	} else {
		parse_task(s, head);
	}
}

/* without (TGID), which may have blanks inside */
static struct span without_tgid(struct span s)
{
	const char *open;

	s = span_trim(s);
	open = span_ends(s, ")") ? memrchr(s.at, '(', span_len(s)) : NULL;
	return open ? (struct span){ s.at, open } : s;
}

/* TASK-PID (TGID) [CPU] FLAGS, without those that a recorder leaves out */
static void parse_prefix(struct span s, struct trace_head *head)
{
	struct span rest = s, word = span_cut_last(&rest);
	uint64_t pid;

	if (!parse_cpu(word, head) && !parse_cpu(span_cut_last(&rest), head)) {
		if (span_decimal(word, &pid))	/* perf script of one task */
			parse_task(s, head);
		else				/* trace-cmd report -l */
			parse_latency(s, head);
		return;
	}
	parse_task(without_tgid(rest), head);
}

/* the same, unless the line before had the same text */
static void read_prefix(struct span s, struct trace_prefix *prefix,
			struct trace_head *head)
{
	uint64_t time = head->time;
	size_t n = span_len(s);

	if (n > MAX_PREFIX) {
		parse_prefix(s, head);
		return;
	}
	if (!prefix->head.prefix || n != prefix->n ||
	    memcmp(prefix->text, s.at, n)) {
		memcpy(prefix->text, s.at, n);
		prefix->n = n;
		parse_prefix((struct span){ prefix->text, prefix->text + n },
			     head);
		head->prefix = prefix->head.prefix + 1;
		prefix->head = *head;
	}
	*head = prefix->head;
	head->time = time;
}

/*
 * CPU.FLAGS MICROSECONDSus:, with a mark or a blank before the colon; or
 * [CPU]TICKS:
 */
static void parse_microseconds(struct span s, struct trace_head *head)
{
	struct span rest = s, word = span_cut_last(&rest);
	const char *at = memrchr(word.at, ']', span_len(word));
	uint64_t ticks;

	/* trace-cmd prints no blank between the CPU and a long number */
	if (at && span_decimal((struct span){ at + 1, word.end }, &ticks)) {
		parse_prefix((struct span){ s.at, at + 1 }, head);
		return;
	}
	/* the mark says how long the delay before was */
	if (word.at < word.end && strchr("+!#*@$", word.end[-1]))
		word.end--;
	if (!span_ends(word, "us"))
		return;
	word.end -= strlen("us");
	if (span_decimal(word, &ticks) && ticks < UINT64_MAX / MICROSECOND)
		head->time = ticks * MICROSECOND;
	parse_latency(rest, head);
}

/* the words before a colon, the last of which is the time */
static void read_before_colon(struct span s, struct trace_prefix *prefix,
			      struct trace_head *head)
{
	struct span rest = s, word = span_cut_last(&rest);
	uint64_t ticks;

	if (parse_time(word, OF_SECOND, &head->time) ||
	    span_decimal(word, &ticks))
		read_prefix(rest, prefix, head);
	else if (span_ends(word, "ms)"))
		parse_verbose(rest, head);
	else
		parse_microseconds(s, head);
}

/*
 * perf script -F +period prints a number before the event's name; trace-cmd
 * report --ts-diff (+NUMBER), the time since the event before.
 */
static struct span without_number(struct span s)
{
	struct span rest = s, word = span_cut_last(&rest);
	uint64_t number;

	if (span_starts(word, "(+") && span_ends(word, ")"))
		word = (struct span){ word.at + 2, word.end - 1 };
	if (!span_decimal(word, &number))
		return s;
	rest = span_trim_end(rest);
	return span_ends(rest, ":") ? rest : s;
}

/**
 * trace_head_parse - read the text before an event's name
 * @s: the text
 * @prefix: that of the line before; zero at the start
 * @head: set to what it says
 */
void trace_head_parse(struct span s, struct trace_prefix *prefix,
		      struct trace_head *head)
{
	trace_head_clear(head);
	s = span_trim_end(s);
	if (s.at < s.end && s.end[-1] != ':')
		s = without_number(s);
	if (span_ends(s, ":"))
		read_before_colon((struct span){ s.at, s.end - 1 }, prefix,
				  head);
	else
		parse_perf_trace(s, head);
}
