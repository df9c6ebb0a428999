// SPDX-License-Identifier: GPL-2.0-only
/*
 * fault.c - which calls to a kernel service fail.
 *
 * A plan lets nth - 1 calls pass; the next call is a candidate, and so is
 * every interval-th one after it.  A candidate fails with the given
 * probability, until the given number of calls have failed.
 */
#include "kernel.h"

static const double two_to_the_32 = 4294967296.0;

/* splitmix64 (Steele, Lea, Flood 2014): small, and easy to port */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static bool can_fail(int site)
{
	switch (site) {
	case PCPU_KMALLOC:
	case PCPU_VMALLOC:
	case PCPU_GET_VM_AREA:
	case PCPU_ALLOC_PAGE:
	case PCPU_MAP:
		return true;
	default:
		return false;
	}
}

/**
 * fake_fault_arm - set or clear the plan of a site
 * @site: enum pcpu_service
 * @fault: the plan, or NULL to clear it
 *
 * Return: 0, -PCPU_E_SITE when the site cannot fail, -PCPU_E_CONFIG when a
 * value is out of range.
 */
int fake_fault_arm(struct fake_faults *faults, int site,
		   const struct pcpu_fault *fault)
{
	struct fake_fault *plan;

	if (!can_fail(site))
		return -PCPU_E_SITE;
	plan = &faults->plan[site];
	if (!fault) {
		plan->planned = false;
		plan->armed = faults->decide;
		return 0;
	}

	/* written so that a NaN is refused too */
	if (!(fault->probability > 0.0 && fault->probability <= 1.0) ||
	    fault->nth < 1 || fault->interval < 1 || fault->times < -1 ||
	    fault->times == 0)
		return -PCPU_E_CONFIG;

	plan->armed = true;
	plan->planned = true;
	plan->wait = fault->nth - 1;
	plan->interval = fault->interval;
	plan->times = fault->times;
	plan->threshold = (uint64_t)(fault->probability * two_to_the_32);
	if (!plan->threshold)
		plan->threshold = 1;
	plan->random = fault->seed;
	return 0;
}

/**
 * fake_fault_ask - ask a hook at each call to a site, too
 * @decide: returns anything except 0 to make the call fail
 * @arg: its first argument
 */
void fake_fault_ask(struct fake_faults *faults,
		    int (*decide)(void *arg, int service), void *arg)
{
	int site;

	faults->decide = decide;
	faults->arg = arg;
	for (site = 0; site < PCPU_NR_SERVICES; site++)
		if (can_fail(site))
			faults->plan[site].armed |= decide != NULL;
}

static bool plan_strikes(struct fake_fault *fault)
{
	if (fault->wait) {
		fault->wait--;
		return false;
	}
	fault->wait = fault->interval - 1;
	if ((next_random(&fault->random) >> 32) >= fault->threshold)
		return false;
	if (--fault->times == 0)
		fault->planned = false;
	return true;
}

/**
 * fake_fault_strikes - decide whether this call, to an armed site, fails
 * @site: enum pcpu_service
 */
bool fake_fault_strikes(struct fake_faults *faults, int site)
{
	struct fake_fault *plan = &faults->plan[site];
	bool strikes = plan->planned && plan_strikes(plan);

	plan->armed = plan->planned || faults->decide;
	/* asked in any case: the hook may count calls */
	if (faults->decide && faults->decide(faults->arg, site))
		strikes = true;
	return strikes;
}
