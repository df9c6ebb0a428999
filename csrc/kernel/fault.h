/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * fault.h - every call to a kernel service passes here: it is counted, and
 * perhaps made to fail.  Plans are named as in the kernel's
 * lib/fault-inject.c: probability, interval, times, nth.
 */
#ifndef FAKE_FAULT_H
#define FAKE_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#include "../compiler.h"
#include "../percpu.h"

/* the plan of one site */
struct fake_fault {
	bool armed;		/* a call may fail: by plan, or somebody decides */
	bool planned;		/* a plan is set and not used up */
	uint64_t wait;		/* calls to let pass before the next candidate */
	uint64_t interval;	/* distance of the candidates */
	int64_t times;		/* failures left, -1: no limit */
	uint64_t threshold;	/* a candidate fails below it, of 2^32 */
	uint64_t random;	/* state of the generator */
};

struct fake_faults {
	uint64_t calls[PCPU_NR_SERVICES];	/* made so far */
	struct fake_fault plan[PCPU_NR_SERVICES]; /* of the sites that can fail */
	int (*decide)(void *arg, int service); /* the creator's word, or NULL */
	void *arg;				/* handed to it */
};

/**
 * fake_fault_arm - set or clear the plan of a site
 * @faults: the kernel's faults
 * @site: enum pcpu_service
 * @fault: the plan, or NULL
 *
 * Return: 0, -PCPU_E_SITE when the site cannot fail, -PCPU_E_CONFIG when a
 * value is out of range.
 */
int fake_fault_arm(struct fake_faults *faults, int site,
		   const struct pcpu_fault *fault);

/**
 * fake_fault_ask - let somebody else decide too
 * @faults: the kernel's faults
 * @decide: asked at each call to a site; anything but 0 is a failure
 * @arg: handed to it
 */
void fake_fault_ask(struct fake_faults *faults,
		    int (*decide)(void *arg, int service), void *arg);

/**
 * fake_fault_strikes - whether this call, to an armed site, fails
 * @faults: the kernel's faults
 * @site: enum pcpu_service
 */
bool fake_fault_strikes(struct fake_faults *faults, int site);

/* count a call to a service that cannot fail */
static inline void fake_count(struct fake_faults *faults, enum pcpu_service s)
{
	faults->calls[s]++;
}

/* count a call to a service that can; true when it has to fail */
static inline bool fake_should_fail(struct fake_faults *faults,
				    enum pcpu_service s)
{
	faults->calls[s]++;
	return unlikely(faults->plan[s].armed) &&
	       fake_fault_strikes(faults, (int)s);
}

#endif /* FAKE_FAULT_H */
