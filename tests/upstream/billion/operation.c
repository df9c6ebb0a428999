// SPDX-License-Identifier: GPL-2.0-only
/*
 * operation.c - random operations, as rich as those of percpu_ffi/lockstep.
 *
 * A case changes its style now and then: the sizes that it requests, whether
 * it grows or shrinks, the order in which it frees.
 */
#include "operation.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define UNIT_PAGES	16	/* of the largest request */

enum order { ORDER_RANDOM, ORDER_NEWEST, ORDER_OLDEST, ORDER_EVERY_OTHER,
	     NR_ORDERS };

#define NR_SIZE_STYLES	7
#define NR_ALIGN_STYLES	4

/* --- styles */

static int64_t random_size(struct generator *g)
{
	struct random *random = &g->random;
	int64_t page = g->random_case->setup.page_size;
	int64_t largest = UNIT_PAGES * page;
	int64_t size;

	switch (g->size_style) {
	case 0:	/* only these leave fewer than 4 bytes */
		size = random_between(random, 1, 3);
		break;
	case 1:
		size = random_between(random, 1, 6);
		if (size == 6)
			size = random_between(random, 1, 40);
		break;
	case 2:
		size = 4 * random_between(random, 1, 16);
		break;
	case 3:
		size = random_between(random, 1, 64);
		break;
	case 4:
		size = random_choice(random, 48, page, largest);
		size = random_between(random, 1, size);
		break;
	case 5:
		size = page * random_between(random, 1, UNIT_PAGES);
		size += random_between(random, -3, 3);
		break;
	default:
		size = random_between(random, (largest + 1) / 2, largest);
	}
	if (size < g->random_case->smallest)
		size = g->random_case->smallest;
	return size > largest ? largest : size;
}

static int64_t random_align(struct generator *g)
{
	struct random *random = &g->random;
	int64_t page = g->random_case->setup.page_size;
	int64_t align;

	switch (g->align_style) {
	case 0:
		return 1;
	case 1:
		align = (int64_t)1 << random_below(random, 4);
		break;
	case 2:
		align = 8;
		break;
	default:
		align = (int64_t)1 << random_below(random,
				__builtin_ctzll((unsigned long long)page) + 1);
	}
	return align < page ? align : page;
}

static void change_style(struct generator *g)
{
	struct random *random = &g->random;
	enum depth depth = g->random_case->depth;

	g->size_style = (int)random_below(random, NR_SIZE_STYLES);
	g->align_style = (int)random_below(random, NR_ALIGN_STYLES);
	g->order = (int)random_below(random, NR_ORDERS);
	g->growth = (double)random_choice(random, 5, 40, 60, 95);
	if (depth == DEPTH_ORDINARY)
		return;

	/* grow to where it is deep, and stay there */
	if (!random_chance(random, 10))
		g->growth = (double)random_choice(random, 50, 70, 95);
	if (random_chance(random, depth == DEPTH_LONG_MAPS ? 1 : 15))
		return;
	if (depth == DEPTH_FULL_MAPS) {
		/* places with up to 3 bytes before them */
		g->size_style = (int)random_choice(random, 0, 1);
		g->align_style = 1;
	} else if (depth == DEPTH_LONG_MAPS) {
		g->size_style = (int)random_choice(random, 0, 0, 0, 1);
		g->align_style = (int)random_choice(random, 0, 0, 1);
	} else {
		g->size_style = (int)random_between(random, 5, 6);
	}
}

static int64_t random_most_live(struct random *random, enum depth depth)
{
	switch (depth) {
	case DEPTH_CHUNKS:
		return random_between(random, 150, 600);
	case DEPTH_MANY_CHUNKS:
		return random_between(random, 1500, 4000);
	case DEPTH_LONG_MAPS:
		return random_between(random, 10000, 24000);
	default:
		return random_choice(random, 10, 60, 300);
	}
}

/**
 * generator_start - start the operations of a case
 * @g: not initialized
 * @c: the case
 * @unit_size: bytes of a unit
 * @static_ptr: pointer of the static area
 */
void generator_start(struct generator *g, const struct random_case *c,
		     int64_t unit_size, int64_t static_ptr)
{
	struct random random = c->random;

	*g = (struct generator){
		.random_case = c,
		.unit_size = unit_size,
		.static_ptr = static_ptr,
		.most_live = random_most_live(&random, c->depth),
	};
	if (c->faults)
		g->fault_percent = (double)random_choice(&random, 5, 20, 100,
							 250) / 10;
	g->random = random;
	change_style(g);
	g->growth = c->depth == DEPTH_ORDINARY ? 60 : 95;
	g->room = 2 * g->most_live;
	g->areas = malloc((size_t)g->room * sizeof(*g->areas));
	if (!g->areas)
		abort();
}

/**
 * generator_end - free the memory of a generator
 */
void generator_end(struct generator *g)
{
	free(g->areas);
}

/* --- live areas, the oldest first */

static struct area take_area(struct generator *g, int64_t index)
{
	struct area *oldest = g->areas + g->first;
	struct area area = oldest[index];
	int64_t after = --g->live - index;

	if (index < after) {
		memmove(oldest + 1, oldest, (size_t)index * sizeof(*oldest));
		g->first++;
	} else {
		memmove(oldest + index, oldest + index + 1,
			(size_t)after * sizeof(*oldest));
	}
	return area;
}

/**
 * generator_allocated - add an area to those that are live
 * @operation: the one that allocated it
 * @ptr: its pointer
 */
void generator_allocated(struct generator *g, const struct operation *operation,
			 int64_t ptr)
{
	if (g->first + g->live == g->room) {
		memmove(g->areas, g->areas + g->first,
			(size_t)g->live * sizeof(*g->areas));
		g->first = 0;
	}
	g->areas[g->first + g->live++] = (struct area){
		.ptr = ptr,
		.key = operation->key,
		.size = (uint32_t)operation->size,
	};
}

static int64_t victim(struct generator *g, uint32_t number)
{
	switch (g->order) {
	case ORDER_NEWEST:
		return g->live - 1;
	case ORDER_OLDEST:
		return 0;
	case ORDER_EVERY_OTHER:
		return 2 * (int64_t)number % g->live;
	default:
		return random_below(&g->random, g->live);
	}
}

/* --- operations that are not an allocation or a free */

/* a map cannot grow for a while */
static void map_fault(struct generator *g, struct operation *op)
{
	struct random *random = &g->random;

	op->kind = random_chance(random, 70) ? OPERATION_INJECT :
					       OPERATION_CLEAR;
	op->site = random_chance(random, 50) ? PCPU_KMALLOC : PCPU_VMALLOC;
	op->fault = (struct pcpu_fault){
		.nth = 1, .interval = 1, .times = -1, .probability = 1,
	};
}

static void random_fault(struct generator *g, struct operation *op)
{
	struct random *random = &g->random;
	struct pcpu_fault *fault = &op->fault;
	/* the last two make a populate fail */
	static const int sites[] = { PCPU_KMALLOC, PCPU_VMALLOC,
				     PCPU_GET_VM_AREA, PCPU_ALLOC_PAGE,
				     PCPU_MAP };

	op->site = sites[random_below(random,
				      g->random_case->page_faults ? 5 : 3)];
	op->kind = OPERATION_INJECT;
	*fault = (struct pcpu_fault){
		.nth = 1, .interval = 1, .times = 1, .probability = 1,
	};
	switch (random_below(random, 7)) {
	case 0:
		fault->nth = (uint64_t)random_between(random, 1, 4);
		break;
	case 1:
		fault->nth = (uint64_t)random_between(random, 1, 25);
		fault->times = random_between(random, 1, 3);
		break;
	case 2:
		fault->nth = (uint64_t)random_between(random, 1, 9);
		fault->times = -1;
		fault->interval = (uint64_t)random_between(random, 1, 4);
		break;
	case 3:
		fault->times = random_choice(random, 1, 3, -1);
		fault->probability =
			(double)random_choice(random, 1, 10, 50) / 100;
		fault->seed = random_bits(random);
		break;
	case 4:
		fault->nth = (uint64_t)random_between(random, 1, 9);
		fault->interval = (uint64_t)random_between(random, 2, 9);
		fault->times = random_choice(random, 2, 5, -1);
		fault->probability =
			(double)random_choice(random, 1, 10, 50) / 100;
		fault->seed = random_bits(random);
		break;
	case 5:
		op->kind = OPERATION_CLEAR;
		break;
	default: /* the next call fails */
		break;
	}
}

static void bad_alloc(struct generator *g, struct operation *op)
{
	struct random *random = &g->random;
	int64_t page = g->random_case->setup.page_size;

	op->kind = OPERATION_BAD_ALLOC;
	op->size = 1;
	op->align = 1;
	switch (random_below(random, 8)) {
	case 0: op->size = 0; break;
	case 1: op->size = -random_between(random, 1, (int64_t)1 << 31); break;
	case 2: op->size = UNIT_PAGES * page + 1; break;
	case 3: op->size = (int64_t)1 << random_between(random, 31, 62); break;
	case 4: op->align = 2 * page; break;
	case 5: op->align = -8; break;
	case 6: op->align = 0; break;
	default: op->align = 3;
	}
}

static void bad_free(struct generator *g, struct operation *op)
{
	struct random *random = &g->random;
	struct area area = g->areas[g->first + random_below(random, g->live)];
	int64_t static_size = g->random_case->setup.static_size;

	op->kind = OPERATION_BAD_FREE;
	switch (random_below(random, 6)) {
	case 0:
		op->ptr = g->static_ptr + random_below(random, static_size);
		op->refusal = PCPU_E_STATIC;
		break;
	case 1:
		op->ptr = area.ptr + ((int64_t)1 << 50);
		op->refusal = PCPU_E_WILD;
		break;
	case 2:
		op->ptr = -area.ptr;
		op->refusal = PCPU_E_WILD;
		break;
	case 3:
		if (area.size == 1)
			goto null;
		op->ptr = area.ptr + random_between(random, 1, area.size - 1);
		op->refusal = PCPU_E_INTERIOR;
		break;
	case 4:
		if (!g->freed)
			goto null;
		op->ptr = g->freed;
		op->refusal = PCPU_E_NOT_LIVE;
		break;
	default:
		if (g->random_case->setup.cpus == 1)
			goto null;
		op->ptr = area.ptr + g->unit_size;
		op->refusal = PCPU_E_OTHER_UNIT;
	}
	return;
null:
	/* not refused: does nothing */
	op->ptr = 0;
	op->refusal = 0;
}

static void choose(struct generator *g, uint32_t number, struct operation *op)
{
	struct random *random = &g->random;
	struct area area;

	op->key = number;
	if (random_chance(random, 1))
		change_style(g);
	if (random_chance(random, g->fault_percent)) {
		if (g->random_case->depth == DEPTH_FULL_MAPS)
			map_fault(g, op);
		else
			random_fault(g, op);
		return;
	}
	if (random_chance(random, 0.3)) {
		bad_alloc(g, op);
		return;
	}
	if (g->live && random_chance(random, 0.3)) {
		bad_free(g, op);
		return;
	}
	if (!g->live || (g->live < g->most_live &&
			 random_chance(random, g->growth))) {
		op->kind = OPERATION_ALLOC;
		op->size = random_size(g);
		op->align = random_align(g);
		return;
	}
	area = take_area(g, victim(g, number));
	op->kind = OPERATION_FREE;
	op->key = area.key;
	op->ptr = area.ptr;
	op->size = area.size;
}

/**
 * generator_next - choose the next operation
 * @number: of the operation in its case
 * @op: set to it; an area to free is no longer in the list of live ones
 */
void generator_next(struct generator *g, uint32_t number, struct operation *op)
{
	choose(g, number, op);
	if (op->kind == OPERATION_FREE)
		g->freed = op->ptr;
	else if (op->kind == OPERATION_ALLOC)
		g->freed = 0;
}

/**
 * operation_print - write an operation as one line
 * @out: the output
 */
void operation_print(const struct operation *op, FILE *out)
{
	const struct pcpu_fault *fault = &op->fault;

	switch (op->kind) {
	case OPERATION_ALLOC:
	case OPERATION_BAD_ALLOC:
		fprintf(out, "alloc %" PRIu32 " %" PRId64 " %" PRId64 "\n",
			op->key, op->size, op->align);
		break;
	case OPERATION_FREE:
		fprintf(out, "free %" PRIu32 "\n", op->key);
		break;
	case OPERATION_INJECT:
		fprintf(out, "inject %s nth=%" PRIu64 " interval=%" PRIu64
			" times=%" PRId64 " probability=%.2f seed=%" PRIu64
			"\n", pcpu_service_name(op->site), fault->nth,
			fault->interval, fault->times, fault->probability,
			fault->seed);
		break;
	case OPERATION_CLEAR:
		fprintf(out, "clear %s\n", pcpu_service_name(op->site));
		break;
	case OPERATION_BAD_FREE:
		fprintf(out, "# free of pointer %" PRId64 ": %s\n", op->ptr,
			op->refusal ? pcpu_strerror(-op->refusal) :
			"does nothing");
	}
}
