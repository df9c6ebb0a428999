// SPDX-License-Identifier: GPL-2.0-only
/*
 * library.c - a malloc library as a per-CPU allocator, for comparison.
 */
#include "library.h"

#include <stdalign.h>
#include <string.h>

static void *cleared_block(const struct pcpu_library *library, size_t align,
			   size_t size)
{
	void *block = library->aligned_alloc(align, size);

	if (block)
		memset(block, 0, size);
	return block;
}

/* the handle of this contender is the library */
static int64_t library_alloc(struct pcpu *handle, int64_t size, int64_t align)
{
	const struct pcpu_library *library = (void *)handle;
	int64_t line = align > PCPU_CACHE_LINE ? align : PCPU_CACHE_LINE;
	size_t stride;
	void *block;

	/* what a recording requests is not believed: each byte is written */
	if (size < 1 || size > library->limit || align > library->limit)
		return 0;
	stride = (size_t)((size + line - 1) & ~(line - 1));
	if (library->calloc && align <= (int64_t)alignof(max_align_t))
		block = library->calloc(library->cpus, stride);
	else
		block = cleared_block(library, (size_t)line,
				      library->cpus * stride);
	return (int64_t)(uintptr_t)block;
}

static int library_free(struct pcpu *handle, int64_t ptr)
{
	const struct pcpu_library *library = (void *)handle;

	library->free((void *)(uintptr_t)ptr);
	return 0;
}

struct pcpu_contender pcpu_contender_library(struct pcpu_library *library)
{
	return (struct pcpu_contender){ library_alloc, library_free,
					(struct pcpu *)(void *)library };
}
