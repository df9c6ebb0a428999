// SPDX-License-Identifier: GPL-2.0-only
/*
 * chunk.c - a chunk's life; the tree of chunks by address.
 */
#include "groups.h"
#include "policy.h"

/* prepare a chunk whose struct is zeroed, of pcpu_geometry.chunk_struct_size */
void pcpu_init_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	list_init(&chunk->list);
	pcpu_group_add(pcpu, chunk);
	chunk->populated = pcpu_unit_populated(pcpu, chunk);
}

/**
 * pcpu_chunk_addr_search - find the chunk that covers an address
 * @addr: the address
 * @steps: set to the number of chunks that it was compared with
 *
 * The last one found is tried first.
 * Return: the chunk, or NULL.  The 2009 file returns the chunk before a gap.
 */
struct pcpu_chunk *pcpu_chunk_addr_search(struct pcpu *pcpu, uint64_t addr,
					  int *steps)
{
	struct rb_node *node = pcpu->chunks.node;
	struct pcpu_chunk *best = pcpu->found_chunk;

	if (likely(best) && addr > best->addr &&
	    addr - best->addr < (uint64_t)pcpu->geo.chunk_size) {
		*steps = pcpu->found_steps;
		return best;
	}
	/* the chunk with the highest start that is not above @addr */
	best = NULL;
	*steps = 0;
	while (node) {
		struct pcpu_chunk *chunk = pcpu_rb_chunk(node);

		++*steps;
		if (addr < chunk->addr) {
			node = node->left;
			continue;
		}
		best = chunk;
		if (addr == chunk->addr)
			break;
		node = node->right;
	}
	if (!best || addr - best->addr >= (uint64_t)pcpu->geo.chunk_size)
		return NULL;
	/* the search for its first byte ends early */
	if (addr != best->addr) {
		pcpu->found_chunk = best;
		pcpu->found_steps = *steps;
	}
	return best;
}

/* insert a chunk into the tree */
void pcpu_chunk_addr_insert(struct pcpu *pcpu, struct pcpu_chunk *new)
{
	struct rb_node **link = &pcpu->chunks.node;
	struct rb_node *parent = NULL;

	while (*link) {
		parent = *link;
		if (new->addr < pcpu_rb_chunk(parent)->addr)
			link = &parent->left;
		else
			link = &parent->right;
		pcpu_count(&pcpu->work->tree_steps, 1);
	}
	fake_rb_insert(&pcpu->chunks, &new->rb_node, parent, link);
	pcpu->found_chunk = NULL;
}

/* free a chunk that is in no tree, perhaps half made */
void pcpu_free_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	if (chunk->vm)
		fake_free_vm_area(&pcpu->kernel, chunk->vm);
	policy_chunk_exit(pcpu, chunk);
	fake_kfree(&pcpu->kernel, chunk);
}

/**
 * pcpu_create_chunk - make an empty chunk, on its slot and in the tree
 * @error: set to the reason when NULL is returned
 *
 * Return: the chunk, or NULL with -(PCPU_E_NOMEM + service).
 * Source: alloc_pcpu_chunk() of the 2009 file, and its caller.
 */
noinline struct pcpu_chunk *pcpu_create_chunk(struct pcpu *pcpu, int *error)
{
	struct pcpu_chunk *chunk;

	chunk = fake_kzalloc(&pcpu->kernel, pcpu->geo.chunk_struct_size);
	if (!chunk) {
		*error = -(PCPU_E_NOMEM + PCPU_KMALLOC);
		return NULL;
	}
	pcpu_init_chunk(pcpu, chunk);
	*error = policy_chunk_init(pcpu, chunk);
	if (*error)
		goto err;
	chunk->vm = fake_get_vm_area(&pcpu->kernel,
				     (uint64_t)pcpu->geo.chunk_size);
	if (!chunk->vm) {
		*error = -(PCPU_E_NOMEM + PCPU_GET_VM_AREA);
		goto err;
	}

	chunk->addr = chunk->vm->addr;
	chunk->guarded = fake_guard(&pcpu->kernel, chunk->addr,
				    (uint64_t)pcpu->geo.chunk_size);
	chunk->id = ++pcpu->nr_created;
	pcpu->nr_chunks++;
	if (pcpu->nr_chunks > pcpu->max_chunks)
		pcpu->max_chunks = pcpu->nr_chunks;
	pcpu_chunk_addr_insert(pcpu, chunk);
	pcpu_emit_event(pcpu, PCPU_EVENT_CREATE_CHUNK, chunk, 0, 0, 0, 0);
	return chunk;
err:
	pcpu_free_chunk(pcpu, chunk);
	return NULL;
}

/* destroy a chunk, not the first one, with all its pages */
noinline void pcpu_kill_chunk(struct pcpu *pcpu, struct pcpu_chunk *chunk)
{
	fake_warn_on(&pcpu->kernel, chunk->immutable,
		     "an immutable chunk is killed");
	pcpu_emit_event(pcpu, PCPU_EVENT_DESTROY_CHUNK, chunk, 0, 0, 0, 0);
	pcpu_depopulate_chunk(pcpu, chunk, 0, pcpu->geo.unit_pages, false);
	fake_rb_erase(&pcpu->chunks, &chunk->rb_node);
	pcpu->found_chunk = NULL;
	pcpu_free_chunk(pcpu, chunk);
	pcpu->nr_chunks--;
	pcpu->nr_destroyed++;
}
