// SPDX-License-Identifier: GPL-2.0-only
/*
 * address.c - from a pointer to its area and real address; pins.
 *
 * Pins are not part of the 2009 file: there, a use after free is the caller's
 * fault.  Here a view that outlives its area would crash the process, so a view
 * pins its area, and a pinned area is not freed.  The caller provides the
 * memory of a pin, so to add or remove one never runs out of memory.
 */
#include "policy.h"

/* the chunk that serves an offset of the first units, and the static area */
static struct pcpu_chunk *chunk_of_first(const struct pcpu *pcpu, int64_t offset)
{
	int64_t end = pcpu_granules_up(pcpu->geo.static_size) +
		      pcpu->geo.reserved_size;

	return pcpu->reserved_chunk && offset < end ? pcpu->reserved_chunk :
						      pcpu->first_chunk;
}

/*
 * pcpu_find_locked() with bitmaps.  The first units have the static area and
 * up to two chunks, whose offsets count from their first page; the static area
 * is before offset 0 of the first chunk.
 */
static noinline int find_bitmap(struct pcpu *pcpu, int64_t ptr,
				struct pcpu_found *found)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	uint64_t in_first = (uint64_t)ptr - pcpu->first_vm.addr;
	int64_t offset;

	if (in_first < (uint64_t)geo->chunk_size) {
		offset = (int64_t)in_first;
		found->tree_steps = 0;
		found->is_static = offset < geo->static_size;
		found->chunk = found->is_static ? pcpu->first_chunk :
						  chunk_of_first(pcpu, offset);
	} else {
		found->is_static = false;
		found->chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr,
						      &found->tree_steps);
		if (!found->chunk)
			return -PCPU_E_WILD;
		offset = ptr - (int64_t)found->chunk->addr;
	}
	if (offset >= geo->unit_size)
		return -PCPU_E_OTHER_UNIT;
	found->offset = (int)(ptr - (int64_t)found->chunk->addr);
	if (!found->is_static)
		return bitmap_find(found->chunk, found->offset, &found->size);
	found->size = geo->static_size;
	return offset ? -PCPU_E_STATIC : 0;
}

/* pcpu_find_locked() with area maps */
static inline int find_area(struct pcpu *pcpu, int64_t ptr,
			    struct pcpu_found *found)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	struct pcpu_chunk *chunk;
	int64_t offset;
	int index;

	chunk = pcpu_chunk_addr_search(pcpu, (uint64_t)ptr, &found->tree_steps);
	if (!chunk)
		return -PCPU_E_WILD;
	offset = ptr - (int64_t)chunk->addr;
	if (offset >= geo->unit_size)
		return -PCPU_E_OTHER_UNIT;
	found->chunk = chunk;
	found->offset = (int)offset;

	if (chunk == pcpu->first_chunk && offset < geo->static_size) {
		if (offset)
			return -PCPU_E_STATIC;
		found->size = geo->static_size;
		found->is_static = true;
		return 0;
	}
	index = area_map_find(chunk, (int)offset, &found->size);
	if (index < 0)
		return index;
	found->index = index;
	found->is_static = false;
	return 0;
}

/**
 * pcpu_find_locked - look up a pointer
 * @ptr: the pointer
 * @found: set to its area
 *
 * Return: 0, or the errors of pcpu_locate().
 */
int pcpu_find_locked(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found)
{
	return pcpu->geo.bitmap ? find_bitmap(pcpu, ptr, found) :
				  find_area(pcpu, ptr, found);
}

/* --- pins: a tree, by pointer and then by the pin's own address */

_Static_assert(sizeof(struct rb_node) <= sizeof(((struct pcpu_pin *)0)->place),
	       "a tree node fits in the place that a pin has for it");

static struct rb_node *pin_to_rb(struct pcpu_pin *pin)
{
	return (struct rb_node *)(void *)pin->place;
}

static struct pcpu_pin *rb_to_pin(struct rb_node *node)
{
	return container_of(node, struct pcpu_pin, place);
}

/* an area may have several pins: no two are equal */
static bool pin_is_before(const struct pcpu_pin *pin,
			  const struct pcpu_pin *other)
{
	if (pin->ptr != other->ptr)
		return pin->ptr < other->ptr;
	return (uintptr_t)pin < (uintptr_t)other;
}

static void insert_pin(struct pcpu *pcpu, struct pcpu_pin *pin)
{
	struct rb_node **link = &pcpu->pins.node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		link = pin_is_before(pin, rb_to_pin(parent)) ? &parent->left :
							       &parent->right;
	}
	fake_rb_insert(&pcpu->pins, pin_to_rb(pin), parent, link);
	pcpu->nr_pins++;
}

/* whether a pin is in the tree: a copy of one is not; no link of it is read */
static bool has_pin(const struct pcpu *pcpu, const struct pcpu_pin *pin)
{
	struct rb_node *node = pcpu->pins.node;

	while (node && rb_to_pin(node) != pin)
		node = pin_is_before(pin, rb_to_pin(node)) ? node->left :
							     node->right;
	return node;
}

static bool is_pinned(const struct pcpu *pcpu, int64_t ptr)
{
	struct rb_node *node = pcpu->pins.node;

	while (node) {
		int64_t other = rb_to_pin(node)->ptr;

		if (ptr == other)
			return true;
		node = ptr < other ? node->left : node->right;
	}
	return false;
}

static inline int check_freeable(const struct pcpu *pcpu, int64_t ptr,
				 const struct pcpu_found *found)
{
	if (unlikely(found->is_static))
		return -PCPU_E_STATIC;
	if (unlikely(pcpu->nr_pins) && is_pinned(pcpu, ptr))
		return -PCPU_E_PINNED;
	return 0;
}

/**
 * pcpu_find_freeable - look up an area that will be freed
 * @ptr: the pointer
 * @found: as in pcpu_find_locked()
 *
 * Return: 0, or the errors of pcpu_free().
 */
int pcpu_find_freeable(struct pcpu *pcpu, int64_t ptr, struct pcpu_found *found)
{
	int err = pcpu_find_locked(pcpu, ptr, found);

	return err ? err : check_freeable(pcpu, ptr, found);
}

/* the same with area maps; inlined, @found is in registers */
int pcpu_find_freeable_area(struct pcpu *pcpu, int64_t ptr,
			    struct pcpu_found *found)
{
	int err = find_area(pcpu, ptr, found);

	return unlikely(err) ? err : check_freeable(pcpu, ptr, found);
}

/* --- the public functions */

int pcpu_locate(struct pcpu *pcpu, int64_t ptr, struct pcpu_location *location)
{
	struct pcpu_found found;
	int err = location ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	err = pcpu_find_locked(pcpu, ptr, &found);
	if (!err) {
		location->chunk = found.chunk->id;
		location->offset = found.offset;
		location->size = found.size;
	}
	pcpu_unlock(pcpu);
	return err;
}

/* bytes of an area that are in populated pages */
static int64_t populated_bytes(const struct pcpu *pcpu,
			       const struct pcpu_found *found)
{
	const struct pcpu_geometry *geo = &pcpu->geo;
	int64_t end = (int64_t)found->offset + found->size;
	int page = pcpu_pfn_down(geo, found->offset);

	if (found->is_static)	/* with bitmaps it is in no chunk */
		return found->size;
	while (page < pcpu_pfn_up(geo, end) &&
	       pcpu_chunk_page_occupied(found->chunk, page))
		page++;
	if (end > (int64_t)page << geo->page_shift)
		end = (int64_t)page << geo->page_shift;
	return end - found->offset;
}

/*
 * The real address of a copy, and its size.  The map may add bytes after an
 * area.  If a free_size ends the first chunk in mid-page, these bytes may be in
 * a page that is not populated.
 */
static int64_t address_locked(struct pcpu *pcpu, int64_t ptr, int64_t cpu,
			      int64_t *size)
{
	struct pcpu_found found;
	int err = pcpu_find_locked(pcpu, ptr, &found);
	uint64_t addr;

	if (err)
		return err;
	if (cpu < 0 || cpu >= pcpu->geo.cpus)
		return -PCPU_E_CPU;
	if (!pcpu->kernel.vmalloc.host)
		return -PCPU_E_NO_MEMORY_MAPPED;

	*size = populated_bytes(pcpu, &found);
	addr = pcpu_chunk_addr(pcpu, found.chunk, (int)cpu, 0) +
	       (uint64_t)found.offset;
	return (int64_t)(uintptr_t)fake_host(&pcpu->kernel.vmalloc, addr);
}

int64_t pcpu_address(struct pcpu *pcpu, int64_t ptr, int64_t cpu)
{
	int64_t size;
	int64_t ret = pcpu_lock(pcpu);

	if (ret)
		return ret;
	ret = address_locked(pcpu, ptr, cpu, &size);
	pcpu_unlock(pcpu);
	return ret;
}

int pcpu_pin(struct pcpu *pcpu, int64_t ptr, int64_t cpu, struct pcpu_pin *pin)
{
	int64_t address, size = 0;
	int err = pin ? pcpu_lock(pcpu) : -PCPU_E_NULL;

	if (err)
		return err;
	address = pin->pcpu ? -PCPU_E_IN_USE :
			      address_locked(pcpu, ptr, cpu, &size);
	/* a failed populate may free the pages of a pinned area */
	if (address >= 0 && pcpu->quirks & PCPU_QUIRK_ROLLBACK)
		address = -PCPU_E_ROLLBACK;
	if (address >= 0) {
		pin->address = address;
		pin->size = size;
		pin->ptr = ptr;
		pin->pcpu = pcpu;
		insert_pin(pcpu, pin);
	}
	pcpu_unlock(pcpu);
	return address < 0 ? (int)address : 0;
}

void pcpu_unpin(struct pcpu_pin *pin)
{
	struct pcpu *pcpu = pin ? pin->pcpu : NULL;
	void (*last_unpin)(struct pcpu *pcpu) = NULL;

	/* while a pin is left the allocator cannot be closed */
	if (!pcpu || pcpu_lock(pcpu))
		return;
	if (has_pin(pcpu, pin)) {
		pin->pcpu = NULL;
		fake_rb_erase(&pcpu->pins, pin_to_rb(pin));
		if (!--pcpu->nr_pins)
			last_unpin = pcpu->last_unpin;
	}
	pcpu_unlock(pcpu);
	if (last_unpin)
		last_unpin(pcpu);
}
