// SPDX-License-Identifier: GPL-2.0-only
/*
 * workloads.c - six fixed workloads whose instructions are counted.
 *
 *	workloads	prints the compiler and each workload's operations
 *	workloads NAME	runs a workload; only counted() is counted
 *
 * A workload is a list of operations that is prepared before, so that almost
 * only the port's instructions are counted.  The number of chunks created is
 * checked: if it changes, the workload is no longer the same.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "percpu.h"

enum {
	PAGE = 4096,		/* bytes, as on x86: units of 64 KiB */
	SMALL_PAGE = 1024,	/* units of 16 KiB: 4,096 areas fill one */
	AREAS = 3 * 4096,	/* fill three chunks */
	ALIGNED_AREAS = 4 * 2048,
	CHURN_LIVE = 1000,	/* areas: three quarters of the first chunk */
	CHURN_ROUNDS = 10000,
	THRASH_ROUNDS = 2000,
	MAX_OPS = 1 << 16
};

/* allocate an area for a handle, or free the area of the handle */
struct op {
	int handle;		/* index into ptrs */
	int size;		/* bytes; 0 frees */
	int align;		/* bytes */
};

struct script {
	struct op ops[MAX_OPS];	/* the operations */
	size_t n;		/* number of operations */
	size_t from;		/* index of the first one counted */
};

struct workload {
	const char *name;	/* one word */
	void (*write)(struct script *script); /* writes its operations */
	int64_t cpus;		/* possible CPUs */
	int64_t page_size;	/* bytes; also of the static area */
	int64_t chunks;		/* created in addition to the first */
};

static struct script script;
static int64_t ptrs[AREAS];

static void add(struct script *s, int handle, int size, int align)
{
	if (s->n == MAX_OPS)
		abort();
	s->ops[s->n++] = (struct op){ handle, size, align };
}

/* return a number below @n, from Knuth's MMIX generator */
static int pick(int n)
{
	static uint64_t state = 2009;

	state = state * 6364136223846793005u + 1442695040888963407u;
	return (int)((state >> 33) % (uint64_t)n);
}

static void write_allocate(struct script *s)
{
	int i;

	for (i = 0; i < AREAS; i++)
		add(s, i, 4, 4);
}

/* 4 bytes remain free before each area, so full chunks have free bytes too */
static void write_aligned(struct script *s)
{
	int i;

	for (i = 0; i < ALIGNED_AREAS; i++)
		add(s, i, 4, 8);
}

static void write_free_in_order(struct script *s)
{
	int i;

	write_allocate(s);
	s->from = s->n;
	for (i = 0; i < AREAS; i++)
		add(s, i, 0, 0);
}

static void write_free_in_reverse(struct script *s)
{
	int i;

	write_allocate(s);
	s->from = s->n;
	for (i = AREAS; i--;)
		add(s, i, 0, 0);
}

/* sizes that kernels request; the second half runs in a fragmented chunk */
static void write_churn(struct script *s)
{
	static const int sizes[] = { 4, 4, 8, 8, 16, 24, 40, 64, 128, 144 };
	int i;

	for (i = 0; i < CHURN_LIVE + 2 * CHURN_ROUNDS; i++) {
		int handle = i < CHURN_LIVE ? i : pick(CHURN_LIVE);
		int size = sizes[pick(sizeof(sizes) / sizeof(*sizes))];

		if (i >= CHURN_LIVE)
			add(s, handle, 0, 0);
		if (i == CHURN_LIVE + CHURN_ROUNDS)
			s->from = s->n - 1;
		add(s, handle, size, size % 8 ? 4 : 8);
	}
}

/* each round needs two chunks; its frees destroy one and keep an empty one */
static void write_thrash(struct script *s)
{
	int i, half;

	add(s, 4, 15 * PAGE, 4);
	for (i = 0; i < THRASH_ROUNDS; i++) {
		for (half = 0; half < 4; half++)
			add(s, half, 8 * PAGE, PAGE);
		for (half = 0; half < 4; half++)
			add(s, half, 0, 0);
	}
}

static const struct workload workloads[] = {
	{ "allocate", write_allocate, 2, SMALL_PAGE, 3 },
	{ "free_in_order", write_free_in_order, 2, SMALL_PAGE, 3 },
	{ "free_in_reverse", write_free_in_reverse, 2, SMALL_PAGE, 3 },
	{ "churn", write_churn, 2, PAGE, 0 },
	{ "aligned", write_aligned, 2, SMALL_PAGE, 4 },
	{ "thrash", write_thrash, 8, PAGE, THRASH_ROUNDS + 1 },
};

static void fail(const char *what, int64_t value)
{
	fprintf(stderr, "%s %lld\n", what, (long long)value);
	exit(1);
}

static void play(struct pcpu *pcpu, const struct op *op, const struct op *end)
{
	for (; op < end; op++) {
		int64_t *ptr = &ptrs[op->handle];
		int64_t err;

		if (op->size)
			err = *ptr = pcpu_alloc(pcpu, op->size, op->align);
		else
			err = pcpu_free(pcpu, *ptr);
		if (err < 0)
			fail(pcpu_strerror((int)err), op - script.ops);
	}
}

/* counting.py knows the name of this function */
__attribute__((noinline)) void counted(struct pcpu *pcpu, const struct op *op,
				       const struct op *end);

void counted(struct pcpu *pcpu, const struct op *op, const struct op *end)
{
	play(pcpu, op, end);
}

static void run(const struct workload *workload)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = workload->cpus,
				      .static_size = workload->page_size,
				      .page_size = workload->page_size,
				      .memory = PCPU_MEMORY_NONE };
	struct pcpu_info info;
	int err;
	struct pcpu *pcpu = pcpu_create(&config, &err);

	if (!pcpu)
		fail(pcpu_strerror(err), err);
	workload->write(&script);
	play(pcpu, script.ops, script.ops + script.from);
	counted(pcpu, script.ops + script.from, script.ops + script.n);
	pcpu_info(pcpu, &info);
	if (info.chunks_created != workload->chunks)
		fail("not the same workload, chunks created:",
		     info.chunks_created);
	pcpu_destroy(pcpu);
}

#define TEXT(x)		#x
#define TEXT_OF(macro)	TEXT(macro)

/* print what the counts depend on, except the code */
static void print_builder(void)
{
#ifdef __clang__
	printf("clang " TEXT_OF(__clang_major__));
#else
	printf("gcc " TEXT_OF(__GNUC__));
#endif
#if defined(__x86_64__)
	/* the port may use it; valgrind supports nothing newer */
	printf(" x86_64%s\n", __builtin_cpu_supports("avx2") ? " avx2" : "");
#elif defined(__aarch64__)
	printf(" aarch64\n");
#else
	printf(" another machine\n");
#endif
}

int main(int argc, char **argv)
{
	size_t i;

	if (argc < 2)
		print_builder();
	for (i = 0; i < sizeof(workloads) / sizeof(*workloads); i++) {
		if (argc < 2) {
			script.n = script.from = 0;
			workloads[i].write(&script);
			printf("%s %zu\n", workloads[i].name,
			       script.n - script.from);
		} else if (!strcmp(workloads[i].name, argv[1])) {
			run(&workloads[i]);
			return 0;
		}
	}
	return argc > 1;
}
