// SPDX-License-Identifier: GPL-2.0-only
/*
 * bug.c - WARN: counted, and handed to a sink.
 */
#include <stdio.h>

#include "kernel.h"

static void print_text(void *arg, int about, const char *text)
{
	(void)arg;
	if (about == PCPU_LOG_LEAK)	/* closing is a way to free all */
		return;
	fprintf(stderr, "percpu: %s%s\n",
		about == PCPU_LOG_WARN ? "WARNING: " : "", text);
}

void fake_log_init(struct fake_log *log,
		   void (*sink)(void *arg, int about, const char *text),
		   void *arg)
{
	log->pending = NULL;
	log->sink = sink ? sink : print_text;
	log->arg = arg;
}

void fake_log_text(struct fake_log *log, int about, const char *text)
{
	log->sink(log->arg, about, text);
}

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
