// SPDX-License-Identifier: GPL-2.0-only
/*
 * this_cpu.c - find the CPU that the calling thread runs on.
 */
#define _GNU_SOURCE 1	/* sched_getcpu */
#include <sched.h>

#include "../percpu.h"
#include "rseq.h"

int pcpu_this_cpu(void)
{
	const struct pcpu_rseq *rseq = pcpu_rseq_area();
	int cpu = rseq ? __atomic_load_n(&rseq->cpu_id, __ATOMIC_RELAXED) : -1;

	if (cpu < 0)
		cpu = sched_getcpu();
	return cpu < 0 ? -PCPU_E_CPU : cpu;
}
