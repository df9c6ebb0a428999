// SPDX-License-Identifier: GPL-2.0-only
/*
 * first.c - a counter with one copy for each CPU.
 *
 *	cc first.c $(pkg-config --cflags --libs percpu) -o first
 */
#include <inttypes.h>
#include <percpu.h>
#include <stdio.h>

#define CPUS	4

/* a negative result is an error code, for pcpu_strerror() */
static int failed(const char *what, int64_t error)
{
	fprintf(stderr, "%s: %s\n", what, pcpu_strerror((int)error));
	return 1;
}

static int count(struct pcpu *pcpu)
{
	int64_t sum = 0;
	int error;
	int64_t counter = pcpu_alloc(pcpu, sizeof(int64_t), 8);

	if (counter < 0)
		return failed("no room for a counter", counter);

	/* one pointer, one copy for each CPU, all zeroed */
	for (int cpu = 0; cpu < CPUS; cpu++) {
		int64_t address = pcpu_address(pcpu, counter, cpu);

		if (address < 0)
			return failed("no address", address);
		*(int64_t *)(intptr_t)address += 10 * (cpu + 1);
	}
	for (int cpu = 0; cpu < CPUS; cpu++)
		sum += *(int64_t *)(intptr_t)pcpu_address(pcpu, counter, cpu);
	printf("the copies of %d CPUs sum up to %" PRId64 "\n", CPUS, sum);

	error = pcpu_free(pcpu, counter);
	return error ? failed("not freed", error) : 0;
}

int main(void)
{
	struct pcpu_config config = {
		.version = PCPU_VERSION, .cpus = CPUS, .static_size = 64,
	};
	int error;
	struct pcpu *pcpu = pcpu_create(&config, &error);

	if (!pcpu)
		return failed("no allocator", error);
	error = count(pcpu);
	pcpu_destroy(pcpu);
	return error != 0;
}
