// SPDX-License-Identifier: GPL-2.0-only
/* counters.c [THREADS] - compare a per-CPU counter, an atomic and a mutex */
#define _GNU_SOURCE 1 /* clock_gettime */
#include <percpu.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { ADDS = 5000000, ROUNDS = 5, WAYS = 3, MAX_THREADS = 1024 };

static struct pcpu_counter per_cpu;
static _Alignas(64) _Atomic int64_t shared;
static _Alignas(64) pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int64_t guarded, sum;

static void *count(void *arg)
{
	const int way = *(int *)arg;

	for (int i = 0; way == 0 && i < ADDS; i++)
		pcpu_counter_add(&per_cpu, 1);
	for (int i = 0; way == 1 && i < ADDS; i++)
		shared++;
	for (int i = 0; way == 2 && i < ADDS; i++)
		pthread_mutex_lock(&mutex), guarded++, pthread_mutex_unlock(&mutex);
	return NULL;
}

/* The highest CPU number that the machine may have, plus 1.  sysconf() counts the CPUs, but their
   numbers may have gaps, as in 0-3,8-11: 8 CPUs, and a thread may run on CPU 11. */
static int64_t possible_cpus(void)
{
	FILE *list = fopen("/sys/devices/system/cpu/possible", "r");
	int64_t cpus = 0;

	for (int number; list && fscanf(list, "%d%*c", &number) == 1; )
		cpus = number + 1;
	if (list)
		fclose(list);
	return cpus ? cpus : sysconf(_SC_NPROCESSORS_CONF);
}

int main(int argc, char **argv)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .static_size = 64,
				      .cpus = possible_cpus() };
	int error, n = argc > 1 ? atoi(argv[1]) : (int)sysconf(_SC_NPROCESSORS_ONLN);
	struct pcpu *pcpu = pcpu_create(&config, &error);
	double best[WAYS] = { 1e9, 1e9, 1e9 };	/* ns for an add, while n threads add */
	pthread_t threads[MAX_THREADS];
	struct timespec from, to;

	if (n < 1 || n > MAX_THREADS || !pcpu || pcpu_counter_init(&per_cpu, pcpu, 0))
		return 2;
	for (int way = 0, i = 0; i < ROUNDS * WAYS; way = ++i % WAYS) {
		clock_gettime(CLOCK_MONOTONIC, &from);
		for (int t = 0; t < n; t++)
			pthread_create(&threads[t], NULL, count, &way);
		for (int t = 0; t < n; t++)
			pthread_join(threads[t], NULL);
		clock_gettime(CLOCK_MONOTONIC, &to);
		double ns = (to.tv_sec - from.tv_sec) * 1e9 + (to.tv_nsec - from.tv_nsec);
		best[way] = ns / ADDS < best[way] ? ns / ADDS : best[way];
	}
	printf("%d threads, ns per add: per-CPU counter %.1f, shared atomic %.1f, mutex %.1f\n"
	       "per-CPU counter: %.1f times as fast as the shared atomic, %.1f times as the mutex\n",
	       n, best[0], best[1], best[2], best[1] / best[0], best[2] / best[0]);
	error = pcpu_counter_sum(&per_cpu, &sum) || sum != (int64_t)n * ADDS * ROUNDS ||
		shared != sum || guarded != sum || pcpu_counter_exit(&per_cpu);
	return pcpu_destroy(pcpu), error;
}
