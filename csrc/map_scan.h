/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * map_scan.h - the search along the entries of an area map.
 */
#ifndef PCPU_MAP_SCAN_H
#define PCPU_MAP_SCAN_H

#include <stdint.h>

/**
 * pcpu_map_scan - find the first free entry that holds an area
 * @edge: @used edges, and the end
 * @i: where to begin
 * @used: where to end
 * @size: bytes
 * @align: a power of two
 * @largest: raised to the largest free entry that was passed
 *
 * Return: its index, or @used.  Source: the loop in pcpu_alloc_area().
 */
int pcpu_map_scan(const uint32_t *edge, int i, int used, int size, int align,
		  int *largest);

#endif /* PCPU_MAP_SCAN_H */
