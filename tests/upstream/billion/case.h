/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * case.h - run a case: one set-up, and its operations.
 */
#ifndef BILLION_CASE_H
#define BILLION_CASE_H

#include "pair.h"

/*
 * What a case reached, and the sum over cases: name, text.  Each is a uint64_t;
 * those of the second list are maxima.
 */
#define SUMS(sum)							\
	sum(setups, "set-ups")						\
	sum(operations, "operations")					\
	sum(allocs, "areas allocated")					\
	sum(frees, "areas freed")					\
	sum(faults, "faults set")					\
	sum(failures, "allocations that failed alike")			\
	sum(failed_kmalloc, "  kmalloc failed")				\
	sum(failed_vmalloc, "  vmalloc failed")				\
	sum(failed_get_vm_area, "  get_vm_area failed")			\
	sum(failed_alloc_page, "  alloc_page failed")			\
	sum(failed_map, "  map failed")					\
	sum(refused, "requests and pointers refused alike")		\
	sum(misfits, "set-ups refused alike")				\
	sum(partial_failures, "failures that changed a map")		\
	sum(operations_rollback, "operations with the quirk rollback")	\
	sum(operations_default, "operations with the default rollback")	\
	sum(operations_plain, "  of these, no defect treated")		\
	sum(parted, "cases that end at a rollback")			\
	sum(undefined, "cases that end at another defect")		\
	sum(over_100, "operations with over 100 chunks")		\
	sum(over_1000, "operations with over 1,000 chunks")		\
	sum(long_maps, "operations with a map of over 8,192 entries")	\
	sum(created, "chunks created")					\
	sum(killed, "chunks killed")					\
	sum(maps_grown, "maps that became longer")			\
	sum(vmalloc_4k, "maps from vmalloc, with pages of 4 KiB")	\
	sum(tiny_sizes, "requests of 1 to 3 bytes")			\
	sum(aligned, "requests aligned to over 64 bytes")		\
	sum(whole_states, "comparisons of the whole state")

#define MAXIMA(maximum)							\
	maximum(most_chunks, "most chunks")				\
	maximum(longest_map, "longest map")

#define COUNT(name, text) uint64_t name; /* text */
struct counts {
	SUMS(COUNT)
	MAXIMA(COUNT)
};
#undef COUNT

enum case_result {
	CASE_ALIKE,		/* no difference */
	CASE_DIFFERS		/* a difference was found */
};

enum case_result case_run(const struct random_case *random_case,
			  struct counts *counts, FILE *trace, FILE *out,
			  struct lie *lie);

#endif
