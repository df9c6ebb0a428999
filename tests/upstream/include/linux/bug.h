/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/bug.h - BUG and panic stop the call, WARN is counted. */
#ifndef WITNESS_LINUX_BUG_H
#define WITNESS_LINUX_BUG_H

#include "fakes.h"

#define BUG_ON(condition)						\
	do {								\
		if (condition)						\
			fake_stop(STOP_BUG, "BUG_ON(" #condition ")");	\
	} while (0)

#define panic(text, ...) fake_stop(STOP_BUG, "panic: " text)

#define WARN_ON(condition)						\
	do {								\
		if (condition)						\
			fake_count(FAKE_WARN);				\
	} while (0)

#define WARN(condition, ...) WARN_ON(condition)

#endif
