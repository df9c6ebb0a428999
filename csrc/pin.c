// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin.c - areas that somebody looks at, by pointer.
 *
 * Not part of the 2009 file: there, using memory after its free is the
 * caller's own fault.  Here a view that outlives its area would crash the
 * process, so a view pins, and a pinned area is not freed.  The memory of a pin
 * is its owner's, so taking or giving one cannot fail half-way.
 */
#include "pin.h"

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

void pcpu_pin_insert(struct pcpu *pcpu, struct pcpu_pin *pin)
{
	struct rb_node **link = &pcpu->pins.node;
	struct rb_node *parent = NULL;

	/* an area may have several pins: equal ones go to the right */
	while (*link) {
		parent = *link;
		link = pin->ptr < rb_to_pin(parent)->ptr ? &parent->left :
							   &parent->right;
	}
	fake_rb_insert(&pcpu->pins, pin_to_rb(pin), parent, link);
	pcpu->nr_pins++;
}

void pcpu_pin_remove(struct pcpu *pcpu, struct pcpu_pin *pin)
{
	fake_rb_erase(&pcpu->pins, pin_to_rb(pin));
	pcpu->nr_pins--;
}

bool pcpu_is_pinned(const struct pcpu *pcpu, int64_t ptr)
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
