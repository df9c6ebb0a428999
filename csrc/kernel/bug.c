// SPDX-License-Identifier: GPL-2.0-only
/*
 * bug.c - WARN: counted, and handed to a sink.
 */
#include <stdio.h>

#include "kernel.h"

static void print_text(void *arg, int about, const char *text)
{
	(void)arg;
	if (about == PCPU_LOG_LEAK)	/* closing is one way to free all */
		return;
	fprintf(stderr, "percpu: %s%s\n",
		about == PCPU_LOG_WARN ? "WARNING: " : "", text);
}

/**
 * fake_log_init - choose the sink
 * @sink: receives texts and an enum pcpu_log; NULL: stderr
 * @arg: first argument of the sink
 */
void fake_log_init(struct fake_log *log,
		   void (*sink)(void *arg, int about, const char *text),
		   void *arg)
{
	*log = (struct fake_log){
		.sink = sink ? sink : print_text,
		.arg = arg,
	};
}

/**
 * fake_log_text - hand a text to the sink, at once
 * @about: enum pcpu_log
 * @text: the text, valid during the call
 *
 * The sink may call the allocator: its lock is not held.
 */
void fake_log_text(struct fake_log *log, int about, const char *text)
{
	log->sink(log->arg, about, text);
}

/**
 * fake_warn - count a warning and note its text
 * @text: a constant string
 *
 * The text is delivered when the allocator's lock is released.
 */
void fake_warn(struct fake_kernel *kernel, const char *text)
{
	fake_count(&kernel->faults, PCPU_WARN);
	if (!kernel->log.pending)
		kernel->log.pending = text;
}

void fake_warn_on(struct fake_kernel *kernel, bool condition, const char *text)
{
	if (unlikely(condition))
		fake_warn(kernel, text);
}
