// SPDX-License-Identifier: GPL-2.0-only
/*
 * reader.c - from text in pieces to the lines of a recording.
 *
 * A mailer may have broken a line, so a line is read when the start of the next
 * one is known.  What cannot be read is counted by its kind and skipped, or
 * ends the reading of a strict reader.
 */
#include <stdlib.h>
#include <string.h>

#include "mend.h"
#include "recording.h"

#define MAX_LINE	65536	/* bytes; kernels stay far below */
#define MAX_WRAPPED	4096	/* bytes of a line that a mailer may break */
#define MAX_SHOWN	160	/* bytes that are kept of a skipped line */

#define BYTE_ORDER_MARK	"\xef\xbb\xbf"	/* some editors begin a text so */

/* lines that were skipped for one reason */
struct skip {
	uint64_t count;		/* how many */
	uint64_t line;		/* number of the first */
	const char *field;	/* that cannot be read, or NULL */
	size_t length;		/* bytes of .text */
	char text[MAX_SHOWN];	/* how the first begins */
};

struct pcpu_trace_reader {
	struct recording recording; /* what was read */
	bool strict;		/* whether damage is an error */
	bool zeros;		/* whether the text has zero bytes */
	bool quoted_printable;	/* whether it has escapes of mail */
	struct pcpu_trace_stop stop; /* where reading stopped */
	struct skip skips[PCPU_NR_SKIPS]; /* lines that were skipped */
	uint64_t lines;		/* so far, the held one included */
	struct vec held;	/* char: a line that the next may continue */
	uint64_t held_number;	/* its number */
	struct vec rest;	/* char: a line that has no end yet */
	struct vec mended;	/* char: a line without escapes */
	struct trace_prefix prefix; /* what heads of lines have in common */
	int ptr_digits;		/* of the last ptr= seen */
};

struct pcpu_trace_reader *pcpu_trace_reader_new(unsigned int flags)
{
	struct pcpu_trace_reader *reader = calloc(1, sizeof(*reader));

	if (reader)
		reader->strict = flags & PCPU_TRACE_STRICT;
	return reader;
}

void pcpu_trace_reader_free(struct pcpu_trace_reader *reader)
{
	if (!reader)
		return;
	recording_free(&reader->recording);
	free(reader->held.data);
	free(reader->rest.data);
	free(reader->mended.data);
	free(reader);
}

/* --- what cannot be read */

static int stop_at(struct pcpu_trace_reader *reader, int error, uint64_t number,
		   const char *field)
{
	reader->stop = (struct pcpu_trace_stop){ error, number, field };
	return -error;
}

/* count a line, and keep the start of the first one */
static __cold void count_skip(struct pcpu_trace_reader *reader,
			      enum pcpu_trace_skip_kind kind, struct span text,
			      uint64_t number, const char *field)
{
	struct skip *skip = &reader->skips[kind];

	if (skip->count++)
		return;
	text = span_trim(text);
	skip->line = number;
	skip->field = field;
	skip->length = span_len(text) < MAX_SHOWN ? span_len(text) : MAX_SHOWN;
	memcpy(skip->text, text.at, skip->length);
}

/* skip damage, or stop a strict reader with an error */
static __cold int skip_damage(struct pcpu_trace_reader *reader,
			      enum pcpu_trace_skip_kind kind, struct span text,
			      uint64_t number, int error, const char *field)
{
	count_skip(reader, kind, text, number, field);
	return reader->strict ? stop_at(reader, error, number, field) : 0;
}

/* --- lines */

/* replace a line by what @how makes of it; it may be mended already */
static __cold int mend(struct pcpu_trace_reader *reader, struct span *line,
		       struct span (*how)(struct span line, char *room))
{
	char *room;

	reader->mended.used = 0;
	room = vec_add(&reader->mended, span_len(*line), 1);
	if (!room)
		return stop_at(reader, PCPU_T_HOST, reader->lines, NULL);
	*line = how(*line, room);
	return 0;
}

/* undo what mail and logs did to a line */
static int mend_line(struct pcpu_trace_reader *reader, struct span *line)
{
	if (span_starts(*line, BYTE_ORDER_MARK))
		line->at += strlen(BYTE_ORDER_MARK);
	*line = mend_unquote(*line);
	if (span_starts(*line, "{"))
		return mend(reader, line, mend_json);
	if (reader->quoted_printable && mend_is_quoted_printable(*line))
		return mend(reader, line, mend_quoted_printable);
	return 0;
}

/* whether a mailer escaped the text: in "size=3D8", the 3 or the D is damage */
static __cold bool is_escaped(struct pcpu_trace_reader *reader,
			      struct span rest)
{
	if (reader->quoted_printable)
		return false;
	reader->quoted_printable =
		span_starts((struct span){ rest.at - 1, rest.end }, "=3D") ||
		span_starts((struct span){ rest.at - 2, rest.end }, "=3D");
	return reader->quoted_printable;
}

/* whether a line without a line feed was cut in the middle of an event */
static __cold bool is_cut(const struct pcpu_trace_reader *reader,
			  const struct trace_line *line, int error)
{
	if (error)
		return error != PCPU_T_POINTER;
	if (line->type == TRACE_TEXT || line->type == TRACE_OTHER)
		return reader->recording.stats.events > 0;
	/* in the last number: it has fewer digits than the one before */
	return line->has & TRACE_HAS_PTR &&
	       line->ptr_digits < reader->ptr_digits;
}

/* why an event that cannot be read is skipped; @rest: the line after it */
static __cold enum pcpu_trace_skip_kind damage_of(int error, struct span rest)
{
	if (error == PCPU_T_POINTER)
		return PCPU_SKIP_MASKED;
	return trace_has_event(rest) ? PCPU_SKIP_TORN : PCPU_SKIP_DAMAGED;
}

static int add_line(struct pcpu_trace_reader *reader,
		    const struct trace_line *line, uint64_t number)
{
	int err = recording_add(&reader->recording, line);

	return err ? stop_at(reader, -err, number, NULL) : 0;
}

/* add what one event, or a line without one, says; @s is what is left */
static int read_part(struct pcpu_trace_reader *reader, struct span *s,
		     uint64_t number, bool last)
{
	struct span text = *s;
	struct trace_line line;
	int error = -trace_line_parse(&reader->prefix, text, &line), err;

	s->at = line.rest;
	if (error && is_escaped(reader, *s)) {
		*s = text;	/* it is read again */
		return mend(reader, s, mend_quoted_printable);
	}
	if (last && is_cut(reader, &line, error))
		return skip_damage(reader, PCPU_SKIP_CUT, text, number,
				   PCPU_T_CUT, line.field);
	if (error) {
		err = skip_damage(reader, damage_of(error, *s), text, number,
				  error, line.field);
		if (err)
			return err;
		line.type = TRACE_OTHER;
	} else if (line.type == TRACE_TEXT) {
		count_skip(reader, PCPU_SKIP_TEXT, text, number, NULL);
	} else if (line.type == TRACE_OTHER) {
		count_skip(reader, PCPU_SKIP_OTHER, text, number, NULL);
	}
	if (line.has & TRACE_HAS_PTR)
		reader->ptr_digits = line.ptr_digits;
	return add_line(reader, &line, number);
}

/* read a line, which may be made of several, from number @number on */
static int read_line(struct pcpu_trace_reader *reader, struct span line,
		     uint64_t number, bool last)
{
	static const struct trace_line nothing = { .head.cpu = PCPU_NO_CPU };
	int err;

	if (span_len(line) > MAX_LINE ||
	    (reader->zeros && memchr(line.at, 0, span_len(line)))) {
		err = skip_damage(reader, PCPU_SKIP_BINARY, line, number,
				  PCPU_T_BINARY, NULL);
		return err ? err : add_line(reader, &nothing, number);
	}
	err = mend_line(reader, &line);
	if (err)
		return err;
	do
		err = read_part(reader, &line, number, last);
	while (!err && line.at < line.end && trace_has_event(line));
	return err;
}

/* --- text in pieces */

static int keep(struct pcpu_trace_reader *reader, struct vec *vec,
		struct span text)
{
	char *room = vec_add(vec, span_len(text), 1);

	if (!room)
		return stop_at(reader, PCPU_T_HOST, reader->lines, NULL);
	memcpy(room, text.at, span_len(text));
	return 0;
}

static struct span kept(const struct vec *vec)
{
	const char *text = vec->data;

	return (struct span){ text, text + vec->used };
}

/* whether a mailer broke a line here; those of kernels are short */
static bool is_continued(struct span line, struct span next)
{
	return span_len(line) <= MAX_WRAPPED && span_len(next) <= MAX_WRAPPED &&
	       mend_continues(line, next);
}

/* read the held line: the next one does not continue it */
static int release_held(struct pcpu_trace_reader *reader, bool last)
{
	int err = 0;

	if (reader->held.used)
		err = read_line(reader, kept(&reader->held),
				reader->held_number, last);
	reader->held.used = 0;
	return err;
}

/* a whole line; @next is the one after it, or NULL: unknown */
static int take_line(struct pcpu_trace_reader *reader, struct span line,
		     const struct span *next)
{
	int err;

	reader->lines++;
	if (reader->held.used) {
		if (is_continued(kept(&reader->held), line)) {
			if (mend_join(&reader->held, line))
				return 0;
			return stop_at(reader, PCPU_T_HOST, reader->lines,
				       NULL);
		}
		err = release_held(reader, false);
		if (err)
			return err;
	}
	if (line.at == line.end || (next && !is_continued(line, *next)))
		return read_line(reader, line, reader->lines, false);
	reader->held_number = reader->lines;
	return keep(reader, &reader->held, line);
}

/* the first line feed, or NULL */
static const char *find_feed(struct span s)
{
	return memchr(s.at, '\n', span_len(s));
}

/* keep the start of a line until its end comes; too long ones are dropped */
static int keep_start(struct pcpu_trace_reader *reader, struct span start)
{
	size_t room = MAX_LINE + 1 - reader->rest.used;

	if (span_len(start) > room)
		start.end = start.at + room;
	return keep(reader, &reader->rest, start);
}

/* the end of the line that an earlier text began */
static __cold int end_line(struct pcpu_trace_reader *reader, struct span end)
{
	int err = keep_start(reader, end);

	if (!err)
		err = take_line(reader, kept(&reader->rest), NULL);
	reader->rest.used = 0;
	return err;
}

int pcpu_trace_feed(struct pcpu_trace_reader *reader, const char *text,
		    size_t n)
{
	const char *feed;
	struct span s;
	int err;

	if (!reader || (n && !text))
		return -PCPU_T_NULL;
	err = -reader->stop.error;
	if (!n)
		return err;
	if (memchr(text, 0, n))
		reader->zeros = true;
	s = (struct span){ text, text + n };
	feed = find_feed(s);
	if (!err && feed && reader->rest.used) {
		err = end_line(reader, (struct span){ s.at, feed });
		s.at = feed + 1;
		feed = find_feed(s);
	}
	while (!err && feed) {
		struct span line = { s.at, feed }, next;

		s.at = feed + 1;
		feed = find_feed(s);
		next = (struct span){ s.at, feed };
		err = take_line(reader, line, feed ? &next : NULL);
	}
	return err ? err : keep_start(reader, s);
}

__cold int pcpu_trace_finish(struct pcpu_trace_reader *reader)
{
	bool cut;
	int err;

	if (!reader)
		return -PCPU_T_NULL;
	err = -reader->stop.error;
	cut = reader->rest.used;
	if (!err && cut)
		err = take_line(reader, kept(&reader->rest), NULL);
	reader->rest.used = 0;
	if (!err)
		err = release_held(reader, cut);
	if (!err && stacks_end(&reader->recording.stacks))
		err = stop_at(reader, PCPU_T_HOST, reader->lines, NULL);
	return err;
}

/* --- what was read */

void pcpu_trace_rows(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_rows *rows)
{
	const struct rows *from;

	if (!rows)
		return;
	*rows = (struct pcpu_trace_rows){ 0 };
	if (!reader)
		return;
	from = &reader->recording.rows;
	*rows = (struct pcpu_trace_rows){
		.ops = from->ops,
		.times = from->times,
		.chunks = from->chunks,
		.offsets = from->offsets,
		.tasks = from->tasks,
		.cpus = from->cpus,
		.n = from->used,
	};
}

const struct pcpu_trace_event *pcpu_trace_events(
	const struct pcpu_trace_reader *reader, size_t *n)
{
	if (n)
		*n = reader ? reader->recording.events.used : 0;
	return n && reader ? reader->recording.events.data : NULL;
}

const struct pcpu_trace_stack_of *pcpu_trace_stacks(
	const struct pcpu_trace_reader *reader, size_t *n)
{
	if (n)
		*n = reader ? reader->recording.stacks.of.used : 0;
	return n && reader ? reader->recording.stacks.of.data : NULL;
}

void pcpu_trace_take(struct pcpu_trace_reader *reader)
{
	if (reader)
		recording_take(&reader->recording);
}

int pcpu_trace_request(const struct pcpu_trace_reader *reader, size_t kind,
		       struct pcpu_trace_request *request)
{
	const struct request *found;
	struct span site, gfp;

	if (!reader || !request || kind >= reader->recording.requests.used)
		return -PCPU_T_NULL;
	found = (const struct request *)reader->recording.requests.data + kind;
	site = strings_get(&reader->recording.sites, found->site);
	gfp = strings_get(&reader->recording.gfps, found->gfp);
	*request = (struct pcpu_trace_request){
		.kind = found->kind,
		.bytes_alloc = found->bytes_alloc,
		.site = site.at,
		.site_length = span_len(site),
		.gfp = gfp.at,
		.gfp_length = span_len(gfp),
	};
	return 0;
}

const struct pcpu_trace_task *pcpu_trace_tasks(
	const struct pcpu_trace_reader *reader, size_t *n)
{
	if (n)
		*n = reader ? reader->recording.tasks.used : 0;
	return n && reader ? reader->recording.tasks.data : NULL;
}

/* text number @index, or NULL */
static const char *text_of(const struct strings *strings, size_t index,
			   size_t *length)
{
	struct span text;

	if (!length || index >= strings->ends.used)
		return NULL;
	text = strings_get(strings, index);
	*length = span_len(text);
	return text.at;
}

const char *pcpu_trace_name(const struct pcpu_trace_reader *reader,
			    size_t name, size_t *length)
{
	return reader ? text_of(&reader->recording.names, name, length) : NULL;
}

const char *pcpu_trace_stack(const struct pcpu_trace_reader *reader,
			     size_t stack, size_t *length)
{
	return reader ? text_of(&reader->recording.stacks.texts, stack,
				length) : NULL;
}

uint64_t pcpu_trace_chunk(const struct pcpu_trace_reader *reader, size_t chunk)
{
	const struct chunk_life *lives;

	if (!reader || chunk >= reader->recording.chunks.used)
		return 0;
	lives = reader->recording.chunks.data;
	return lives[chunk].base;
}

void pcpu_trace_skipped(const struct pcpu_trace_reader *reader,
			enum pcpu_trace_skip_kind kind,
			struct pcpu_trace_skip *skip)
{
	const struct skip *found;

	if (!skip)
		return;
	*skip = (struct pcpu_trace_skip){ 0 };
	if (!reader || kind >= PCPU_NR_SKIPS)
		return;
	found = &reader->skips[kind];
	*skip = (struct pcpu_trace_skip){
		.count = found->count,
		.line = found->line,
		.text = found->text,
		.length = found->length,
		.field = found->field,
	};
}

void pcpu_trace_stats(const struct pcpu_trace_reader *reader,
		      struct pcpu_trace_stats *stats)
{
	if (!stats)
		return;
	*stats = (struct pcpu_trace_stats){ 0 };
	if (!reader)
		return;
	*stats = reader->recording.stats;
	stats->lines = reader->lines;
	stats->kinds = reader->recording.requests.used;
	stats->tasks = reader->recording.tasks.used;
	stats->names = reader->recording.names.ends.used;
	stats->stacks = reader->recording.stacks.texts.ends.used;
	stats->chunks = reader->recording.chunks.used;
}

void pcpu_trace_stop(const struct pcpu_trace_reader *reader,
		     struct pcpu_trace_stop *where)
{
	const struct pcpu_trace_stop none = { PCPU_T_NULL, 0, NULL };

	if (where)
		*where = reader ? reader->stop : none;
}
