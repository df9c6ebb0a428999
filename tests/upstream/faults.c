// SPDX-License-Identifier: GPL-2.0-only
/*
 * faults.c - count the calls of the services, and let some of them fail.
 *
 * Independent of the port's faults, but written from the same description:
 * nth - 1 calls pass, then every interval-th call fails with the given
 * probability, up to the given number of times.
 */
#include "fakes.h"

/* splitmix64, by Steele, Lea and Flood (OOPSLA 2014) */
static uint64_t draw(uint64_t *state)
{
	uint64_t mixed;

	*state += 0x9e3779b97f4a7c15;
	mixed = *state;
	mixed = (mixed ^ mixed >> 30) * 0xbf58476d1ce4e5b9;
	mixed = (mixed ^ mixed >> 27) * 0x94d049bb133111eb;
	return mixed ^ mixed >> 31;
}

void fake_arm(int service, uint64_t nth, uint64_t interval, int64_t times,
	      double probability, uint64_t seed)
{
	uint64_t threshold = (uint64_t)(probability * (double)(1UL << 32));

	fakes.plans[service] = (struct fake_plan){
		.armed = times != 0,
		.wait = nth - 1,
		.interval = interval,
		.times = times,
		.threshold = threshold ? threshold : 1,
		.random = seed,
	};
}

static bool should_fail(struct fake_plan *plan)
{
	if (plan->wait) {
		plan->wait--;
		return false;
	}
	plan->wait = plan->interval - 1;
	if (draw(&plan->random) >> 32 >= plan->threshold)
		return false;
	if (plan->times > 0)
		plan->armed = --plan->times > 0;
	return true;
}

bool fake_failed(enum fake_service service)
{
	fakes.report.failed = service;
	return false;
}

bool fake_fails(enum fake_service service)
{
	struct fake_plan *plan = &fakes.plans[service];

	fake_count(service);
	fakes.entry_counted = false; /* scans call no service */
	return plan->armed && should_fail(plan) && !fake_failed(service);
}
