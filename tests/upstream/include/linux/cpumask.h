/* SPDX-License-Identifier: GPL-2.0-only */
/* linux/cpumask.h - the possible CPUs, in even blocks on NUMA nodes. */
#ifndef WITNESS_LINUX_CPUMASK_H
#define WITNESS_LINUX_CPUMASK_H

#include "fakes.h"

/* unsigned, so that a product that is too large wraps and is not undefined */
#define num_possible_cpus()	(fakes.cpus)

#define for_each_possible_cpu(cpu)					\
	for ((cpu) = 0; (cpu) < num_possible_cpus(); (cpu)++)

#define cpu_to_node(cpu)						\
	((int)((uint64_t)(cpu) * fakes.nodes / fakes.cpus))

#endif
