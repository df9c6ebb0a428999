// SPDX-License-Identifier: GPL-2.0-only
/*
 * lifecycle.c - create, close and destroy an allocator.
 */
#define _GNU_SOURCE 1	/* sysconf */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "policy.h"

/* also the largest request */
#define AREA_MAP_MIN_UNIT_PAGES	16
#define BITMAP_MIN_UNIT_PAGES	8

#define VERSION_TEXT(...)	VERSION_TEXT_(__VA_ARGS__)
#define VERSION_TEXT_(major, minor, patch)	#major "." #minor "." #patch

#define MAX_CPUS	65536

/* bytes; a page has at least 16 granules */
#define MIN_BITMAP_PAGE		64

/* 16 of them are a unit, and a unit is at most 1 GiB */
#define MAX_PAGE_SIZE	((int64_t)64 << 20)

/* addresses are below 2^62, see UNMAPPED_END; leave half of that to chunks */
#define MAX_FIRST_PTR	((int64_t)1 << 61)

/* the part of the geometry that does not depend on the first chunk */
static __cold int page_geometry(const struct pcpu_config *config,
				struct pcpu_geometry *geo)
{
	int64_t host = sysconf(_SC_PAGESIZE);
	int64_t page = config->page_size ? config->page_size : host;

	if (config->cpus < 1 || config->cpus > MAX_CPUS ||
	    !pcpu_is_power_of_two(page) || page > MAX_PAGE_SIZE)
		return -PCPU_E_CONFIG;
	/* pages of the host can be joined, not split */
	if (config->memory == PCPU_MEMORY_MAPPED && page < host)
		return -PCPU_E_CONFIG;

	geo->cpus = (int)config->cpus;
	geo->page_size = (int)page;
	geo->page_shift = pcpu_fls((unsigned int)page) - 1;
	geo->bitmap = config->policy == PCPU_POLICY_BITMAP;
	geo->min_unit_size = (geo->bitmap ? BITMAP_MIN_UNIT_PAGES :
			      AREA_MAP_MIN_UNIT_PAGES) << geo->page_shift;
	return 0;
}

/* what only the other policy has is refused */
static __cold bool fits_area_map(const struct pcpu_config *config)
{
	return !(config->quirks & ~(unsigned int)PCPU_QUIRK_ROLLBACK) &&
	       !config->fixes && !config->reserved_size && !config->dyn_size &&
	       !config->manual_balance;
}

static __cold bool fits_bitmap(const struct pcpu_config *config)
{
	return !(config->fixes & ~(unsigned int)PCPU_FIX_CHUNK_HINT) &&
	       !config->quirks && !config->first_chunk && !config->free_size &&
	       (!config->page_size || config->page_size >= MIN_BITMAP_PAGE);
}

static __cold int check_config(const struct pcpu_config *config,
			       const struct pcpu_geometry *geo)
{
	if (config->first_ptr < 0 || config->first_ptr > MAX_FIRST_PTR ||
	    config->first_ptr & (geo->page_size - 1) ||
	    config->address_space < 0 ||
	    config->nodes < 0 || config->nodes > config->cpus ||
	    config->page_limit < 0 ||
	    (config->memory != PCPU_MEMORY_MAPPED &&
	     config->memory != PCPU_MEMORY_NONE) ||
	    (config->policy != PCPU_POLICY_AREA_MAP &&
	     config->policy != PCPU_POLICY_BITMAP) ||
	    (geo->bitmap ? !fits_bitmap(config) : !fits_area_map(config)) ||
	    config->static_image_size > (uint64_t)config->static_size ||
	    (config->static_image_size && !config->static_image))
		return -PCPU_E_CONFIG;
	return 0;
}

static __cold void copy_static_image(struct pcpu *pcpu,
				     const struct pcpu_config *config)
{
	int cpu;

	if (!pcpu->kernel.vmalloc.host || !config->static_image_size)
		return;
	for (cpu = 0; cpu < pcpu->geo.cpus; cpu++) {
		uint64_t addr = pcpu->first_vm.addr +
				(uint64_t)cpu * (uint64_t)pcpu->geo.unit_size;

		memcpy(fake_host(&pcpu->kernel.vmalloc, addr),
		       config->static_image, config->static_image_size);
	}
}

/* whether the limit allows a first chunk, in its own block or as an area */
static bool has_room(const struct fake_space *space)
{
	uint64_t least = space->first_block;

	if (!least)
		least = space->area_size + space->page_size;
	return !space->limit || space->limit >= least;
}

static __cold int build(struct pcpu *pcpu, const struct pcpu_config *config)
{
	struct fake_kernel *kernel = &pcpu->kernel;
	struct pcpu_geometry *geo = &pcpu->geo;
	struct pcpu_setup setup;
	struct fake_space space;
	int err;

	err = page_geometry(config, geo);
	if (!err)
		err = check_config(config, geo);
	if (!err)
		err = pcpu_first_chunk_plan(config, geo, &setup);
	if (!err)
		err = pcpu_first_chunk_geometry(&setup, geo);
	if (err)
		return err;

	pcpu->quirks = config->quirks;
	pcpu->fixes = config->fixes;
	pcpu->balance_manual = config->manual_balance;
	pcpu->work = &pcpu->alloc_work;	/* creation itself takes none */
	fake_fault_ask(&kernel->faults, kernel->host.hooks.should_fail,
		       config->arg);
	space = (struct fake_space){
		.page_size = (uint64_t)geo->page_size,
		.base = (uint64_t)(config->first_ptr ? config->first_ptr :
						       geo->page_size),
		.first_block = setup.has_block ? (uint64_t)geo->chunk_size : 0,
		.area_size = (uint64_t)geo->chunk_size,
		.mapped = config->memory == PCPU_MEMORY_MAPPED,
	};
	if (space.mapped)
		space.limit = (uint64_t)config->address_space;
	if (!has_room(&space))
		return -PCPU_E_CONFIG;
	if (!fake_pages_init(kernel, geo->cpus,
			     config->nodes ? config->nodes : 1,
			     config->page_limit))
		return -PCPU_E_HOST;
	err = fake_vmalloc_init(kernel, &space);
	if (err)
		return err;

	err = pcpu_setup_first_chunk(pcpu, &setup);
	if (!err)
		copy_static_image(pcpu, config);
	return err;
}

/* free a chunk that is in no tree, and its frames, which are not counted */
static void drop_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	const uint32_t *held = pcpu_unit_populated(pcpu, chunk);
	int page;

	for (page = 0; page < pcpu->geo.unit_pages; page++)
		fake_drop_pages(&pcpu->kernel, (int)held[page]);
	pcpu_free_chunk(pcpu, chunk);
}

/* free all that build() and later calls took, also if build() failed */
static __cold void tear_down(struct pcpu *pcpu)
{
	struct pcpu_chunk *first = pcpu->first_chunk;

	while (pcpu->chunks.node) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(pcpu->chunks.node);

		fake_rb_erase(&pcpu->chunks, &chunk->rb_node);
		if (chunk != first && chunk != pcpu->reserved_chunk)
			drop_chunk(pcpu, chunk);
	}
	if (pcpu->reserved_chunk)
		pcpu_free_chunk(pcpu, pcpu->reserved_chunk);
	/* perhaps it was never in the tree */
	if (first) {
		first->vm = NULL;	/* part of struct pcpu */
		drop_chunk(pcpu, first);
	}
	pcpu->first_chunk = NULL;
	pcpu->reserved_chunk = NULL;
	host_free(&pcpu->kernel.host, pcpu->slots);
	pcpu->slots = NULL;
	pcpu_event_buffer_free(pcpu);
	fake_vmalloc_exit(&pcpu->kernel);
	fake_pages_exit(&pcpu->kernel);
	pcpu->closed = true;
}

const char *pcpu_version(void)
{
	return VERSION_TEXT(PCPU_VERSION_MAJOR, PCPU_VERSION_MINOR,
			    PCPU_VERSION_PATCH);
}

/*
 * Check what must be right before anything else is read, and log what is not.
 * A caller that was built with another header may have other structures: then
 * only the first three fields are read.
 */
static __cold int check_creator(const struct pcpu_config *config)
{
	uint64_t theirs = config->version;
	const char *missing = NULL;
	char text[128] = "";
	struct fake_log log;
	int err = 0;

	if (theirs >> 8 != PCPU_VERSION >> 8) {	/* patches change no header */
		err = -PCPU_E_VERSION;
		if (theirs >> 32 == PCPU_VERSION >> 32)
			snprintf(text, sizeof(text), "percpu.h has version "
				 "%d.%d.%d, the library %s: use the library's "
				 "header", (int)(theirs >> 16 & 0xffff),
				 (int)(theirs >> 8 & 0xff), (int)(theirs & 0xff),
				 pcpu_version());
	} else if (config->hooks) {
		missing = host_missing_hook(config->hooks);
	}
	if (missing) {
		err = -PCPU_E_HOOKS;
		snprintf(text, sizeof(text), "the hook %s is missing, but "
			 "others of its group are set: see struct pcpu_hooks",
			 missing);
	}
	if (text[0]) {
		fake_log_init(&log, config->log, config->arg);
		fake_log_text(&log, PCPU_LOG_REFUSED, text);
	}
	return err;
}

__cold struct pcpu *pcpu_create(const struct pcpu_config *config, int *error)
{
	struct host host = { .arg = NULL };
	struct pcpu *pcpu;
	int err = config ? check_creator(config) : -PCPU_E_NULL;

	if (!error)
		error = &err;
	*error = err;
	if (err)
		return NULL;

	if (config->hooks)
		host.hooks = *config->hooks;
	host.arg = config->arg;
	pcpu = host_zalloc(&host, sizeof(*pcpu));
	if (!pcpu) {
		*error = -PCPU_E_HOST;
		return NULL;
	}
	pcpu_lock_init(&pcpu->lock);
	pcpu->kernel.host = host;
	pcpu->has_listener = host.hooks.event;
	fake_log_init(&pcpu->kernel.log, config->log, config->arg);
	pcpu_lock_take(&pcpu->lock);
	*error = build(pcpu, config);
	pcpu_lock_drop(&pcpu->lock);
	if (*error) {
		pcpu_destroy(pcpu);
		return NULL;
	}
	return pcpu;
}

/* live areas when an allocator is closed */
struct leaks {
	int64_t areas;		/* how many */
	int64_t bytes;		/* of one copy, as in the maps */
};

/* report each live area, except the static one, as an event */
static __cold struct leaks emit_leaks(struct pcpu *pcpu)
{
	struct leaks leaks = { 0, 0 };
	struct rb_node *node;

	for (node = fake_rb_first(&pcpu->chunks); node;
	     node = fake_rb_next(node)) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(node);
		bool has_static = !pcpu->geo.bitmap &&
				  chunk == pcpu->first_chunk;
		int at = has_static ? pcpu->geo.static_size : 0;
		int size = 0;

		while ((at = policy_next(pcpu, chunk, at, &size)) >= 0) {
			leaks.areas++;
			leaks.bytes += size;
			pcpu_emit_event(pcpu, PCPU_EVENT_LEAK, chunk, at, size,
					0, 0);
			at += size;
		}
	}
	return leaks;
}

/* close and log the leaks; releases the lock */
static __cold void close_locked(struct pcpu *pcpu)
{
	struct leaks leaks = emit_leaks(pcpu);
	char text[128];

	tear_down(pcpu);
	pcpu_unlock(pcpu);
	if (!leaks.areas)
		return;
	snprintf(text, sizeof(text), "closed with %" PRId64 " area%s of %" PRId64
		 " byte%s still allocated", leaks.areas,
		 leaks.areas == 1 ? "" : "s", leaks.bytes,
		 leaks.bytes == 1 ? "" : "s");
	fake_log_text(&pcpu->kernel.log, PCPU_LOG_LEAK, text);
}

int pcpu_close(struct pcpu *pcpu)
{
	int err = pcpu_lock(pcpu);

	if (err)
		return err == -PCPU_E_CLOSED ? 0 : err;
	if (pcpu->nr_pins) {
		pcpu_unlock(pcpu);
		return -PCPU_E_PINNED;
	}
	close_locked(pcpu);
	return 0;
}

/* close and free; called by pcpu_destroy() or after the last unpin */
static void destroy_now(struct pcpu *pcpu)
{
	if (!pcpu_lock(pcpu))
		close_locked(pcpu);
	pcpu_lock_exit(&pcpu->lock);
	host_free(&pcpu->kernel.host, pcpu);
}

void pcpu_destroy(struct pcpu *pcpu)
{
	bool wait;

	if (!pcpu || !pcpu_lock_take(&pcpu->lock))
		return;
	/* the log function may call this again, from within destroy_now() */
	wait = pcpu->nr_pins > 0 || pcpu->last_unpin;
	pcpu->last_unpin = destroy_now;
	pcpu_lock_drop(&pcpu->lock);
	if (!wait)
		destroy_now(pcpu);
}
