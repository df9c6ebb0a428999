/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * mend.h - undo what mail and logs do to lines.
 */
#ifndef PCPU_TRACE_MEND_H
#define PCPU_TRACE_MEND_H

#include "span.h"
#include "vec.h"

bool mend_continues(struct span line, struct span next);

bool mend_join(struct vec *line, struct span next);

struct span mend_json(struct span line, char *room);

struct span mend_unquote(struct span line);

bool mend_is_quoted_printable(struct span line);

struct span mend_quoted_printable(struct span line, char *room);

#endif /* PCPU_TRACE_MEND_H */
