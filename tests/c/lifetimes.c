// SPDX-License-Identifier: GPL-2.0-only
/*
 * lifetimes.c - creates and destroys twenty thousand allocators, measures the
 * CPU time and checks that no memory leaks.
 *
 * Built without sanitizers, as an embedder's program is: sanitizers keep freed
 * memory for a while.
 */
#define _GNU_SOURCE	/* clock_gettime, sysconf */
#include "percpu.h"

#include <malloc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { BATCHES = 20, ROUNDS = 1000, MOST_US = 100 };

static double now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e6 + (double)now.tv_nsec / 1e3;
}

/* memory of the process */
struct held {
	long pages;		/* of address space */
	long heap;		/* bytes allocated with malloc() */
};

static struct held held_now(void)
{
	struct held held = { -1, 0 };
	FILE *statm = fopen("/proc/self/statm", "r");

	if (statm) {
		if (fscanf(statm, "%ld", &held.pages) != 1)
			held.pages = -1;
		fclose(statm);
	}
#ifdef __GLIBC__
	held.heap = (long)mallinfo2().uordblks;
#endif
	return held;
}

static int create_and_destroy(void)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = 2,
				      .static_size = 8192 };
	int error;
	struct pcpu *pcpu = pcpu_create(&config, &error);

	pcpu_destroy(pcpu);
	return !pcpu;
}

int main(void)
{
	struct held before = { 0, 0 }, after;
	double best = 1e9;

	for (int batch = 0; batch < BATCHES; batch++) {
		double from = now_us(), each;

		for (int i = 0; i < ROUNDS; i++)
			if (create_and_destroy())
				return 1;
		each = (now_us() - from) / ROUNDS;
		best = each < best ? each : best;
		/* the first look leaves a block in malloc()'s own cache */
		if (batch < 2)
			before = held_now();
	}
	after = held_now();
	printf("%d allocators created and destroyed, %.1f us each; leaked: %ld "
	       "pages, %ld bytes of the heap\n", BATCHES * ROUNDS, best,
	       after.pages - before.pages, after.heap - before.heap);
	return best >= MOST_US || before.pages < 0 ||
	       after.pages != before.pages || after.heap != before.heap;
}
