// SPDX-License-Identifier: GPL-2.0-only
/*
 * setup.c - random set-ups, as rich as those of percpu_ffi/lockstep.
 *
 * Most set-ups are small, so that chunks fill up, maps outgrow a page and
 * limits are near.  Some percent reach for many chunks or for long maps.
 */
#include "setup.h"

#include <inttypes.h>

#include "percpu.h"

#define UNIT_PAGES	16	/* smallest unit, largest request */
#define MAX_CPUS	5

static int64_t min(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

static int64_t max(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static enum depth random_depth(struct random *random)
{
	int64_t percent = random_below(random, 100);

	if (percent < 1)
		return DEPTH_LONG_MAPS;
	if (percent < 2)
		return DEPTH_MANY_CHUNKS;
	if (percent < 4)
		return DEPTH_FULL_MAPS;
	return percent < 8 ? DEPTH_CHUNKS : DEPTH_ORDINARY;
}

static int64_t random_page_size(struct random *random, enum depth depth)
{
	switch (depth) {
	case DEPTH_CHUNKS:
	case DEPTH_MANY_CHUNKS:
		return random_choice(random, 1, 4, 16, 64, 64, 64, 64, 256);
	case DEPTH_LONG_MAPS:
		return random_choice(random, 4096, 4096, 4096, 8192, 16384);
	case DEPTH_FULL_MAPS:
		return random_choice(random, 4, 8, 16, 32);
	default:
		break;
	}
	if (random_chance(random, 40))
		return 64;
	if (random_chance(random, 40))
		return 4096;
	return (int64_t)1 << random_below(random, 17);
}

static int64_t random_static_size(struct random *random, int64_t page,
				  enum depth depth)
{
	int64_t largest = UNIT_PAGES * page;

	/* leave room for a long map in the first chunk */
	switch (random_below(random, depth == DEPTH_LONG_MAPS ? 5 : 8)) {
	case 0: return random_between(random, 1, 8);
	case 1: return page;
	case 2: return page + 1;
	case 3: return max(page - 1, 1);
	case 4: return random_between(random, 1, 3 * page);
	case 5: return random_between(random, 1, largest);
	case 6: return largest - random_between(random, 0, min(5, largest - 1));
	default: return random_between(random, 1, 20 * page);
	}
}

static void random_sizes(struct random *random, struct setup *setup)
{
	int64_t page = setup->page_size;
	int64_t static_pages = (setup->static_size + page - 1) / page;
	int64_t pages = UNIT_PAGES;
	int64_t left;

	if (random_chance(random, 33))
		pages += random_between(random, 1, 24);
	setup->unit_size = page * max(pages, static_pages);
	left = setup->unit_size - setup->static_size;
	if (!left) {
		/* remap always leaves something free */
		if (setup->first_chunk == PCPU_FIRST_REMAP)
			setup->first_chunk = PCPU_FIRST_4K;
		return;
	}
	if (setup->first_chunk != PCPU_FIRST_REMAP &&
	    random_chance(random, 40))
		return;
	setup->free_size = random_between(random, 1, left);
	setup->free_size = random_choice(random, left, setup->free_size,
					 min(left, 6));
}

static void random_setup(struct random *random, struct setup *setup,
			 enum depth depth)
{
	int64_t page = random_page_size(random, depth);

	*setup = (struct setup){
		.cpus = random_between(random, 1, MAX_CPUS),
		.page_size = page,
		.static_size = random_static_size(random, page, depth),
		.first_chunk = (int)random_choice(random, PCPU_FIRST_4K,
						  PCPU_FIRST_4K, PCPU_FIRST_4K,
						  PCPU_FIRST_EMBED,
						  PCPU_FIRST_REMAP),
	};
	setup->nodes = random_between(random, 1, setup->cpus);
	/* by the rules a unit has 24 KiB or 2 MiB: too many tiny pages */
	if (page < 64 || depth != DEPTH_ORDINARY || random_chance(random, 50) ||
	    (setup->first_chunk == PCPU_FIRST_REMAP &&
	     (page < 4096 || random_chance(random, 90))))
		random_sizes(random, setup);
	if (depth == DEPTH_ORDINARY && random_chance(random, 10))
		setup->page_limit = random_between(random, 1, 60);
}

/* which of the defects of the 2009 file the witness shows */
static void random_defects(struct random *random, struct random_case *c)
{
	struct setup *setup = &c->setup;

	c->page_faults = true;
	c->smallest = 1;
	setup->rollback = random_chance(random, 70);
	if (setup->rollback)
		return;
	setup->plain = random_chance(random, 50);
	/* a case ends at a defect: let most run longer */
	if (setup->plain && random_chance(random, 75))
		c->smallest = 4;
	c->page_faults = random_chance(random, 50);
	if (!c->page_faults)
		setup->page_limit = 0;
}

/**
 * random_case - make a case
 * @c: set to it
 * @seed: of the campaign
 * @number: of the case
 */
void random_case(struct random_case *c, uint64_t seed, uint64_t number)
{
	static const int64_t operations[] = {
		[DEPTH_ORDINARY] = 25000,
		[DEPTH_CHUNKS] = 30000,
		[DEPTH_MANY_CHUNKS] = 50000,
		[DEPTH_LONG_MAPS] = 80000,
		[DEPTH_FULL_MAPS] = 25000,
	};
	struct random random = random_start(seed, number);

	*c = (struct random_case){
		.seed = seed,
		.number = number,
		.depth = random_depth(&random),
	};
	c->operations = operations[c->depth];
	random_setup(&random, &c->setup, c->depth);
	c->faults = c->depth == DEPTH_FULL_MAPS || random_chance(&random, 33);
	random_defects(&random, c);
	c->random = random;
}

/**
 * random_misfit - change a set-up so that both parties have to refuse it
 * @setup: a set-up that fits
 *
 * Return: false, with nothing changed, if the page is too small for that.
 */
bool random_misfit(struct random *random, struct setup *setup)
{
	int64_t page = setup->page_size;

	if (page < 2)
		return false;
	setup->unit_size = page * 2 * UNIT_PAGES;
	setup->free_size = 0;
	setup->static_size = page;
	switch (random_below(random, 4)) {
	case 0:	/* the unit is not in whole pages */
		setup->unit_size += random_between(random, 1, page - 1);
		break;
	case 1:	/* static area and free bytes exceed the unit */
		setup->free_size = setup->unit_size - page +
				   random_between(random, 1, page);
		break;
	case 2:	/* the static area alone does */
		setup->static_size = setup->unit_size +
				     random_between(random, 1, page);
		setup->free_size = 1;
		break;
	default: /* free bytes without a unit */
		setup->first_chunk = PCPU_FIRST_4K;
		setup->unit_size = 0;
		setup->free_size = random_between(random, 1, page);
	}
	return true;
}

/**
 * setup_print - write a set-up as one line
 * @out: the output
 */
void setup_print(const struct setup *setup, FILE *out)
{
	static const char *const first_chunks[] = { "4k", "embed", "remap" };

	fprintf(out, "setup cpus=%" PRId64 " nodes=%" PRId64
		" page_size=%" PRId64 " page_limit=%" PRId64
		" static_size=%" PRId64 " unit_size=%" PRId64
		" free_size=%" PRId64 " first_chunk=%s quirks=%s defects=%s\n",
		setup->cpus, setup->nodes, setup->page_size, setup->page_limit,
		setup->static_size, setup->unit_size, setup->free_size,
		first_chunks[setup->first_chunk],
		setup->rollback ? "rollback" : "none",
		setup->plain ? "kept" : "fixed");
}
