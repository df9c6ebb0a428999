// SPDX-License-Identifier: GPL-2.0-only
/*
 * area_map.c - the hot paths: map scan, split, merge.
 *
 * A unit of 64 KiB with a static area of 8 KiB, after three allocations of
 * 64, 256 and 64 bytes of which the second was freed again:
 *
 *	offset	0          8192  8256   8512  8576             65536
 *		|##########|#####|......|#####|................|
 *	entry	     -8192   -64   +256   -64           +56960
 *
 * Allocation takes the first free entry that is large enough, splitting what
 * is too long; freeing merges with free neighbours, so two free entries never
 * stand side by side and no entry is 0.
 *
 * The hint is an upper bound of the largest free entry.  A scan that runs to
 * the end makes it exact; one that stops early can only keep or raise it.
 */
#include "area_map.h"

#include <stdlib.h>
#include <string.h>

#include "percpu.h"

static int max(int a, int b)
{
	return a > b ? a : b;
}

static int align_up(int n, int align)
{
	return (n + align - 1) & ~(align - 1);
}

bool pcpu_map_fit(struct pcpu_area_map *map, int size, int align,
		  struct pcpu_fit *fit)
{
	int *entry = map->entry;
	int max_contig = 0;
	int offset = 0;
	int i;

	for (i = 0; i < map->used; offset += abs(entry[i++])) {
		int head;

		if (entry[i] < 0)
			continue;
		head = align_up(offset, align) - offset;
		if (entry[i] < head + size) {
			max_contig = max(max_contig, entry[i]);
			continue;
		}

		/* offset 0 is aligned to anything: a head has an area before it */
		if (head && head < PCPU_SMALL) {
			entry[i - 1] -= head;
			entry[i] -= head;
			map->free_size -= head;
			offset += head;
			head = 0;
		}
		fit->index = i;
		fit->offset = offset;
		fit->head = head;
		fit->tail = entry[i] - head - size;
		if (fit->tail < PCPU_SMALL)
			fit->tail = 0;	/* stays with the area */
		fit->max_contig = max_contig;
		fit->is_last = i + 1 == map->used;
		return true;
	}

	map->contig_hint = max_contig;
	return false;
}

/* make room for what is left free around an area */
static void split(struct pcpu_area_map *map, int i, int head, int tail)
{
	int extra = !!head + !!tail;
	int *entry = map->entry + i;

	memmove(entry + extra, entry,
		(size_t)(map->used - i) * sizeof(*entry));
	map->used += extra;
	if (head) {
		entry[1] = entry[0] - head;
		entry[0] = head;
		entry++;
	}
	if (tail) {
		entry[0] -= tail;
		entry[1] = tail;
	}
}

int pcpu_map_take(struct pcpu_area_map *map, const struct pcpu_fit *fit)
{
	int max_contig = max(fit->max_contig, max(fit->head, fit->tail));
	int i = fit->index;

	if (fit->head || fit->tail)
		split(map, i, fit->head, fit->tail);
	if (fit->head)
		i++;

	if (fit->is_last)
		map->contig_hint = max_contig;
	else
		map->contig_hint = max(map->contig_hint, max_contig);

	map->free_size -= map->entry[i];
	map->entry[i] = -map->entry[i];
	return fit->offset + fit->head;
}

int pcpu_map_find(const struct pcpu_area_map *map, int offset, int index,
		  int start)
{
	int i;

	for (i = index; i < map->used && start < offset; i++)
		start += abs(map->entry[i]);

	if (start == offset && i < map->used)
		return map->entry[i] < 0 ? i : -PCPU_E_NOT_LIVE;
	if (start > offset)
		return map->entry[i - 1] < 0 ? -PCPU_E_INTERIOR :
					       -PCPU_E_NOT_LIVE;
	return -PCPU_E_WILD;
}

/* the entry at @i swallows its right neighbour */
static void merge(struct pcpu_area_map *map, int i)
{
	int *entry = map->entry + i;

	entry[0] += entry[1];
	map->used--;
	memmove(entry + 1, entry + 2,
		(size_t)(map->used - i - 1) * sizeof(*entry));
}

void pcpu_map_release(struct pcpu_area_map *map, int index)
{
	int *entry = map->entry;
	int i = index;

	entry[i] = -entry[i];
	map->free_size += entry[i];
	if (i > 0 && entry[i - 1] > 0)
		merge(map, --i);
	if (i + 1 < map->used && entry[i + 1] > 0)
		merge(map, i);
	map->contig_hint = max(map->contig_hint, entry[i]);
}
