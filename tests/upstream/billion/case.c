// SPDX-License-Identifier: GPL-2.0-only
/*
 * case.c - run a case, and count what it reached.
 */
#include "case.h"

#include <inttypes.h>

#include "lie.h"

/* the tables are large: one for all cases of a process */
static struct pair pair;

static void count_failure(struct counts *counts, int service)
{
	counts->failures++;
	counts->failed_kmalloc += service == PCPU_KMALLOC;
	counts->failed_vmalloc += service == PCPU_VMALLOC;
	counts->failed_get_vm_area += service == PCPU_GET_VM_AREA;
	counts->failed_alloc_page += service == PCPU_ALLOC_PAGE;
	counts->failed_map += service == PCPU_MAP;
}

static void count_operation(struct counts *counts, const struct operation *op)
{
	const struct setup *setup = pair.setup;
	int chunks = pair.views[PORT].table.nr;

	counts->operations++;
	counts->operations_rollback += setup->rollback;
	counts->operations_default += !setup->rollback;
	counts->operations_plain += setup->plain;
	switch (op->kind) {
	case OPERATION_ALLOC:
		if (pair.failed >= 0)
			count_failure(counts, pair.failed);
		else
			counts->allocs++;
		counts->tiny_sizes += op->size < 4;
		counts->aligned += op->align > 64;
		break;
	case OPERATION_FREE:
		counts->frees++;
		break;
	case OPERATION_INJECT:
		counts->faults++;
		break;
	case OPERATION_CLEAR:
		break;
	default:
		counts->refused++;
	}
	counts->over_100 += chunks > 100;
	counts->over_1000 += chunks > 1000;
	counts->long_maps += pair.max_map_used > 8192;
	if (counts->most_chunks < (uint64_t)chunks)
		counts->most_chunks = (uint64_t)chunks;
	if (counts->longest_map < (uint64_t)pair.max_map_used)
		counts->longest_map = (uint64_t)pair.max_map_used;
}

/* what the port counted itself, which was compared with the witness */
static void count_at_end(struct counts *counts)
{
	const struct view *port = &pair.views[PORT];
	struct pcpu_info info;

	counts->setups++;
	counts->whole_states += pair.nr_whole;
	if (pcpu_info(pair.port, &info))
		return;
	counts->partial_failures += (uint64_t)info.partial_failures;
	counts->created += (uint64_t)info.chunks_created;
	counts->killed += (uint64_t)info.chunks_destroyed;
	counts->maps_grown += port->work[0].map_reallocations;
	if (pair.setup->page_size == 4096)
		counts->vmalloc_4k += port->calls[PCPU_VMALLOC];
}

static enum pair_result run_operations(const struct random_case *c,
				       struct counts *counts, FILE *trace,
				       struct lie *lie)
{
	enum pair_result result = PAIR_ALIKE;
	struct generator generator;
	uint32_t number;

	generator_start(&generator, c, pair.info.unit_size,
			pair.info.static_ptr);
	for (number = 0; number < c->operations && result == PAIR_ALIKE;
	     number++) {
		struct operation op;

		if (lie && number == lie->from)
			pair.lie = lie;
		generator_next(&generator, number, &op);
		if (trace)
			operation_print(&op, trace);
		result = pair_do(&pair, &op);
		count_operation(counts, &op);
		if (op.kind == OPERATION_ALLOC &&
		    pair.views[WITNESS].answer > 0)
			generator_allocated(&generator, &op,
					    pair.views[WITNESS].answer);
		/* a lie has to be noticed at once */
		if (lie && lie->told)
			break;
	}
	generator_end(&generator);
	if (result == PAIR_ALIKE && !lie)
		result = pair_compare_whole(&pair);
	return result;
}

/**
 * case_run - run a case up to its end or the first difference
 * @c: the case
 * @counts: what it reached is added here
 * @trace: the set-up and all operations are written there, or NULL
 * @out: a difference is explained there, or NULL
 * @lie: what the port lies about, or NULL; the case ends when it was told
 */
enum case_result case_run(const struct random_case *c, struct counts *counts,
			  FILE *trace, FILE *out, struct lie *lie)
{
	struct random random = c->random;
	struct setup misfit = c->setup;
	enum pair_result result = PAIR_DIFFERS;

	if (trace)
		setup_print(&c->setup, trace);
	pair = (struct pair){ .map = NULL };
	if (random_misfit(&random, &misfit)) {
		counts->misfits++;
		if (!pair_refused(&misfit)) {
			pair.aspect = "whether a set-up is refused";
			goto end;
		}
	}
	result = pair_start(&pair, &c->setup);
	if (result == PAIR_ALIKE)
		result = run_operations(c, counts, trace, lie);
	counts->parted += result == PAIR_PARTED;
	counts->undefined += result == PAIR_UNDEFINED;
	count_at_end(counts);
end:
	if (result == PAIR_DIFFERS && out) {
		fprintf(out, "different after %" PRIu64 " operations: %s\n",
			counts->operations, pair.aspect);
		setup_print(&c->setup, out);
		pair_explain(&pair, out);
	}
	pair_end(&pair);
	return result == PAIR_DIFFERS ? CASE_DIFFERS : CASE_ALIKE;
}
