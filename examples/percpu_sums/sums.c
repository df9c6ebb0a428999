// SPDX-License-Identifier: GPL-2.0-only
/*
 * sums.c - sum all CPUs' copies of an area, as a kernel does to read a per-CPU
 * counter.
 */
#include "percpu.h"

int add_copies(struct pcpu *pcpu, int64_t ptr, int64_t *sums, int64_t n);

/* the pin prevents a free of the area in the meantime */
static int add_copy(struct pcpu *pcpu, int64_t ptr, int64_t cpu, int64_t *sums,
		    int64_t n)
{
	struct pcpu_pin pin = { 0 };
	int error = pcpu_pin(pcpu, ptr, cpu, &pin);
	const int64_t *copy = (const int64_t *)(intptr_t)pin.address;
	int64_t i;

	if (error)
		return error;
	if (n <= pin.size / 8)
		for (i = 0; i < n; i++)
			sums[i] += copy[i];
	else
		error = -PCPU_E_SIZE;
	pcpu_unpin(&pin);
	return error;
}

/* sum each of an area's first n numbers over all CPUs; return 0 or -PCPU_E_* */
int add_copies(struct pcpu *pcpu, int64_t ptr, int64_t *sums, int64_t n)
{
	struct pcpu_info info;
	int error = pcpu_info(pcpu, &info);
	int64_t cpu;

	for (cpu = 0; !error && cpu < info.cpus; cpu++)
		error = add_copy(pcpu, ptr, cpu, sums, n);
	return error;
}
