// SPDX-License-Identifier: GPL-2.0-only
/*
 * pin.c - areas that somebody looks at, by pointer.
 *
 * Not part of the 2009 file: there, using memory after its free is the
 * caller's own fault.  Here a view that outlives its area would crash the
 * process, so a view pins, and a pinned area is not freed.
 */
#include "pin.h"

#include <stdlib.h>

struct pin {
	struct rb_node rb_node;	/* in pcpu.pins, key is ptr */
	int64_t ptr;		/* the area */
	int64_t count;		/* pins, above 0 */
};

static struct pin *rb_to_pin(struct rb_node *node)
{
	return container_of(node, struct pin, rb_node);
}

/* the pin of @ptr, or NULL with the place where it belongs */
static struct pin *find_pin(struct pcpu *pcpu, int64_t ptr, struct rb_node **parent,
			struct rb_node ***link)
{
	*link = &pcpu->pins.node;
	*parent = NULL;
	while (**link) {
		struct pin *pin = rb_to_pin(**link);

		if (ptr == pin->ptr)
			return pin;
		*parent = **link;
		*link = ptr < pin->ptr ? &(**link)->left : &(**link)->right;
	}
	return NULL;
}

bool pcpu_pin_locked(struct pcpu *pcpu, int64_t ptr)
{
	struct rb_node **link, *parent;
	struct pin *pin = find_pin(pcpu, ptr, &parent, &link);

	if (!pin) {
		pin = calloc(1, sizeof(*pin));
		if (!pin)
			return false;
		pin->ptr = ptr;
		fake_rb_insert(&pcpu->pins, &pin->rb_node, parent, link);
	}
	pin->count++;
	pcpu->nr_pins++;
	return true;
}

bool pcpu_unpin_locked(struct pcpu *pcpu, int64_t ptr)
{
	struct rb_node **link, *parent;
	struct pin *pin = find_pin(pcpu, ptr, &parent, &link);

	if (!pin)
		return false;
	pcpu->nr_pins--;
	if (--pin->count == 0) {
		fake_rb_erase(&pcpu->pins, &pin->rb_node);
		free(pin);
	}
	return true;
}

bool pcpu_is_pinned(struct pcpu *pcpu, int64_t ptr)
{
	struct rb_node **link, *parent;

	return find_pin(pcpu, ptr, &parent, &link);
}

void pcpu_pins_exit(struct pcpu *pcpu)
{
	while (pcpu->pins.node) {
		struct pin *pin = rb_to_pin(pcpu->pins.node);

		fake_rb_erase(&pcpu->pins, &pin->rb_node);
		free(pin);
	}
	pcpu->nr_pins = 0;
}
