/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * bug.h - WARN.  It is counted, and its text is kept until the allocator's
 * lock is released and the sink may be called.
 *
 * There is no BUG here: whatever the 2009 file asserts about its callers is
 * checked by the outermost functions before anything changes.
 */
#ifndef FAKE_BUG_H
#define FAKE_BUG_H

#include <stdbool.h>

struct fake_kernel;

struct fake_log {
	const char *pending;	/* first text not yet delivered, or NULL */
	void (*sink)(void *arg, int about, const char *text); /* who gets it */
	void *arg;		/* handed to the sink */
};

/**
 * fake_log_init - choose the sink
 * @log: the log
 * @sink: who gets texts, and what they are about; NULL: stderr
 * @arg: handed to the sink
 */
void fake_log_init(struct fake_log *log,
		   void (*sink)(void *arg, int about, const char *text),
		   void *arg);

/**
 * fake_log_text - hand a text to the sink, at once
 * @log: the log
 * @about: enum pcpu_log
 * @text: the text, good for the time of the call
 *
 * The sink may call the allocator: nobody is inside, and it holds no lock.
 */
void fake_log_text(struct fake_log *log, int about, const char *text);

/**
 * fake_warn - count a warning and note its text
 * @kernel: the kernel
 * @text: a constant string
 */
void fake_warn(struct fake_kernel *kernel, const char *text);

/**
 * fake_warn_on - warn if a condition holds
 * @kernel: the kernel
 * @condition: what should not be
 * @text: a constant string
 */
void fake_warn_on(struct fake_kernel *kernel, bool condition, const char *text);

#endif /* FAKE_BUG_H */
