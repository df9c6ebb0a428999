// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_threads.c - allocators under many threads, and across forks.
 *
 * `make sanitize` also runs it under ThreadSanitizer, with a million
 * operations, which reports areas that overlap, and memory that is cleared too
 * late, as races.
 */
#define _GNU_SOURCE 1	/* fork, alarm, mincore */
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "small.h"

#define THREADS		8
#define FEW_THREADS	3	/* that a fork has to wait for */
#define MAX_HELD	48	/* areas that a thread has at most */
#define BATCH		8
#define HANDLES		4

#ifdef __SANITIZE_THREAD__
#define OPERATIONS	125000	/* of each thread */
#define FORKS		100
#define CLOSES		20
#elif defined(FEW_OPERATIONS)	/* for each of thousands of mutants */
#define OPERATIONS	500
#define FORKS		6
#define CLOSES		2
#else
#define OPERATIONS	6000
#define FORKS		10
#define CLOSES		20
#endif

/* a live area of a thread */
struct held {
	int64_t ptr;		/* its pointer */
	int64_t size;		/* requested bytes */
};

struct worker {
	pthread_t thread;	/* runs the work */
	struct pcpu *pcpu;	/* the allocator that it uses */
	uint32_t random;	/* state of its random numbers */
	int wrong_line;		/* of the first failed check, or 0 */
	int nr_held;		/* number of areas in @held */
	struct held held[MAX_HELD]; /* live areas of this thread */
	struct pcpu_replay_handle handles[HANDLES]; /* areas of its replays */
};

static struct worker workers[THREADS];
static int nr_workers;		/* of @workers, how many run */
static atomic_bool stop;
static _Atomic int64_t offered;	/* an area that any thread may pin */

/* CHECK() is for the main thread: a worker records its first failure */
#define SURE(cond) \
	((cond) || w->wrong_line ? (void)0 : (void)(w->wrong_line = __LINE__))

static unsigned int random_below(struct worker *w, unsigned int n)
{
	w->random = w->random * 1664525 + 1013904223;
	return (w->random >> 16) % n;
}

static void start(int threads, void *(*work)(void *), struct pcpu *pcpu)
{
	memset(workers, 0, sizeof(workers));
	atomic_store(&stop, false);
	nr_workers = threads;
	for (int i = 0; i < nr_workers; i++) {
		workers[i].pcpu = pcpu;
		workers[i].random = (uint32_t)i * 7919;
		CHECK(!pthread_create(&workers[i].thread, NULL, work,
				      &workers[i]));
	}
}

static void finish(void)
{
	atomic_store(&stop, true);
	for (int i = 0; i < nr_workers; i++) {
		pthread_join(workers[i].thread, NULL);
		if (workers[i].wrong_line)
			fprintf(stderr, "thread %d: line %d\n", i,
				workers[i].wrong_line);
		CHECK(!workers[i].wrong_line);
	}
}

static bool is_reserved(int64_t address)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	unsigned char in_core;

	return !mincore((void *)(uintptr_t)(address / page * page), 1,
			&in_core);
}

/* --- forks: helpers, and the test that must be the first */

/*
 * The child of a fork must not use the heap of a sanitizer, because a fork does
 * not wait for the heap's locks.  Let the map grow in advance, so that later
 * requests do not call malloc().
 */
static struct pcpu *without_malloc(void)
{
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int64_t ptrs[100];

	for (int i = 0; i < 100; i++)
		ptrs[i] = pcpu_alloc(pcpu, 8, 8);
	for (int i = 0; i < 100; i++)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	return pcpu;
}

static void *alloc_and_free(void *arg)
{
	struct worker *w = arg;

	while (!atomic_load(&stop)) {
		int64_t ptr = pcpu_alloc(w->pcpu, 8, 8);

		SURE(ptr > 0);
		SURE(!pcpu_free(w->pcpu, ptr));
	}
	return NULL;
}

static bool serves(struct pcpu *pcpu)
{
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	struct pcpu_location location;

	return ptr > 0 && !pcpu_locate(pcpu, ptr, &location) &&
	       !pcpu_free(pcpu, ptr);
}

static bool succeeds(pid_t child)
{
	int status;

	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* a child and a grandchild use the allocator */
static bool fork_and_use(struct pcpu *pcpu)
{
	pid_t child = fork();

	if (!child) {
		bool good;

		alarm(10);
		good = serves(pcpu);
		child = fork();
		if (!child) {
			alarm(10);
			_exit(!serves(pcpu));
		}
		_exit(!(good && succeeds(child)));
	}
	return succeeds(child);
}

static struct pcpu *of_handlers;	/* the allocator of the fork handlers */
static int handled;		/* the handlers' successful uses */

static void use_in_handler(void)
{
	if (of_handlers)
		handled += serves(of_handlers);
}

/*
 * The library used to register its fork handlers with the first allocator.  A
 * program's own handlers, registered earlier, ran with all locks held and
 * waited forever.  So this must be the first test: no allocator exists yet.
 */
TEST(a_fork_handler_may_use_an_allocator)
{
	CHECK(!pthread_atfork(use_in_handler, use_in_handler, use_in_handler));
	of_handlers = without_malloc();
	start(FEW_THREADS, alloc_and_free, of_handlers);
	alarm(10);
	CHECK(fork_and_use(of_handlers));
	alarm(0);
	CHECK(handled == 2);
	finish();
	pcpu_destroy(of_handlers);
	of_handlers = NULL;
}

/* --- the operations of a worker */

/* check that a new area is zero, and write the thread's number to it */
static void hold(struct worker *w, int64_t ptr, int64_t size)
{
	char *copy = (char *)(uintptr_t)pcpu_address(w->pcpu, ptr, 1);

	SURE(copy[0] == 0 && copy[size - 1] == 0);
	copy[0] = copy[size - 1] = (char)(1 + (w - workers));
	w->held[w->nr_held++] = (struct held){ ptr, size };
}

/* remove an area from the list; check that no other thread wrote to it */
static struct held take_held(struct worker *w)
{
	int i = (int)random_below(w, (unsigned int)w->nr_held);
	struct held held = w->held[i];
	int64_t address = pcpu_address(w->pcpu, held.ptr, 1);
	const char *copy = (const char *)(uintptr_t)address;

	SURE(copy[0] == (char)(1 + (w - workers)));
	SURE(copy[held.size - 1] == (char)(1 + (w - workers)));
	w->held[i] = w->held[--w->nr_held];
	return held;
}

static void do_alloc(struct worker *w)
{
	int64_t size = 1 + random_below(w, random_below(w, 20) ? 64 : 9000);
	int64_t ptr;

	if (w->nr_held == MAX_HELD)
		return;
	ptr = pcpu_alloc(w->pcpu, size, 4);
	SURE(ptr > 0);
	hold(w, ptr, size);
}

static void do_free(struct worker *w)
{
	int64_t ptr;
	int err;

	if (!w->nr_held)
		return;
	ptr = take_held(w).ptr;
	/* another thread may pin it for a moment */
	while ((err = pcpu_free(w->pcpu, ptr)) == -PCPU_E_PINNED) {
		atomic_store(&offered, 0);
		sched_yield();
	}
	SURE(!err);
}

static void do_alloc_many(struct worker *w)
{
	int64_t sizes[BATCH], ptrs[BATCH];
	size_t at;

	if (w->nr_held + BATCH > MAX_HELD)
		return;
	for (int i = 0; i < BATCH; i++)
		sizes[i] = 1 + random_below(w, 200);
	SURE(!pcpu_alloc_many(w->pcpu, sizes, 8, BATCH, 4, ptrs, &at));
	for (int i = 0; i < BATCH; i++)
		hold(w, ptrs[i], sizes[i]);
}

static void do_free_many(struct worker *w)
{
	int64_t ptrs[BATCH];
	size_t at;
	int n = 0, err;

	while (n < BATCH && w->nr_held)
		ptrs[n++] = take_held(w).ptr;
	while ((err = pcpu_free_many(w->pcpu, ptrs, 8, (size_t)n, &at)) ==
	       -PCPU_E_PINNED) {
		atomic_store(&offered, 0);
		sched_yield();
	}
	SURE(!err);
}

static void do_locate(struct worker *w)
{
	const struct held *held;
	struct pcpu_location location;

	if (!w->nr_held)
		return;
	held = &w->held[random_below(w, (unsigned int)w->nr_held)];
	SURE(!pcpu_locate(w->pcpu, held->ptr, &location));
	SURE(location.size >= held->size);
	atomic_store(&offered, held->ptr);
}

/* the area of any thread: if the pin succeeds, the area stays */
static void do_pin(struct worker *w)
{
	struct pcpu_pin pin = { 0 };
	int err = pcpu_pin(w->pcpu, atomic_load(&offered), 0, &pin);

	SURE(!err || err == -PCPU_E_NOT_LIVE || err == -PCPU_E_INTERIOR ||
	     err == -PCPU_E_WILD);
	if (err)
		return;
	SURE(pin.size > 0 && *(volatile char *)(uintptr_t)pin.address == 0);
	pcpu_unpin(&pin);
}

static void do_replay(struct worker *w)
{
	static const struct pcpu_kind kinds[] = { { 8, 8, 0 }, { 100, 4, 0 } };
	struct pcpu_op ops[BATCH];
	int64_t pointers[BATCH];
	struct pcpu_replay replay = {
		.ops = ops,
		.kinds = kinds,
		.pointers = pointers,
		.nr_kinds = 2,
		.handles = w->handles,
		.nr_handles = HANDLES,
	};

	for (int i = 0; i < BATCH; i++)
		ops[i] = (struct pcpu_op){ 0, random_below(w, HANDLES),
			random_below(w, 2) ? random_below(w, 2) :
					     PCPU_OP_FREE };
	SURE(!pcpu_replay(w->pcpu, &replay, 0, BATCH));
	/* the area of a handle may have an offered pointer and be pinned */
	for (int i = 0; i < BATCH; i++)
		SURE(pointers[i] >= 0 || pointers[i] == -PCPU_E_PINNED);
}

static void do_query(struct worker *w)
{
	uint64_t calls[PCPU_NR_SERVICES];
	struct pcpu_info info;
	struct pcpu_snapshot *snapshot;
	int error;

	SURE(!pcpu_counters(w->pcpu, calls));
	SURE(!pcpu_info(w->pcpu, &info));
	if (random_below(w, 50))
		return;
	snapshot = pcpu_snapshot_take(w->pcpu, &error);
	SURE(snapshot && snapshot->nr_chunks > 0);
	pcpu_snapshot_free(snapshot);
}

static void *do_all(void *arg)
{
	static void (*const operations[])(struct worker *) = {
		do_alloc, do_alloc, do_alloc, do_alloc, do_alloc,
		do_free, do_free, do_free, do_free,
		do_alloc_many, do_free_many, do_locate, do_pin, do_replay,
		do_query,
	};
	struct worker *w = arg;

	for (int i = 0; i < OPERATIONS; i++)
		operations[random_below(w, sizeof(operations) /
				   sizeof(operations[0]))](w);
	return NULL;
}

/* --- the final state */

static int by_held_ptr(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->ptr > y->ptr) - (x->ptr < y->ptr);
}

/* all live areas, in order of pointer */
static int gather(struct held *all)
{
	int n = 0;

	for (int i = 0; i < THREADS; i++) {
		struct worker *w = &workers[i];

		for (int j = 0; j < w->nr_held; j++)
			all[n++] = w->held[j];
		for (int j = 0; j < HANDLES; j++) {
			if (w->handles[j].ptr)
				all[n++] = (struct held){ w->handles[j].ptr,
							  w->handles[j].size };
		}
	}
	qsort(all, (size_t)n, sizeof(*all), by_held_ptr);
	return n;
}

/* the number of live areas, without the static area */
static int areas_in_use(struct pcpu *pcpu)
{
	int error, n = -1;
	struct pcpu_snapshot *snapshot = pcpu_snapshot_take(pcpu, &error);

	for (int64_t i = 0; i < snapshot->nr_chunks; i++) {
		for (int64_t j = 0; j < snapshot->chunks[i].map_used; j++)
			n += snapshot->chunks[i].map[j] < 0;
	}
	pcpu_snapshot_free(snapshot);
	return n;
}

/* the allocator serves one thread before the others start */
TEST(areas_of_many_threads_do_not_overlap_or_get_lost)
{
	static struct held all[THREADS * (MAX_HELD + HANDLES)];
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int n;

	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	start(THREADS, do_all, pcpu);
	finish();

	n = gather(all);
	CHECK(n > 0 && areas_in_use(pcpu) == n);
	for (int i = 1; i < n; i++)
		CHECK(all[i - 1].ptr + all[i - 1].size <= all[i].ptr);
	for (int i = 0; i < n; i++)
		CHECK(!pcpu_free(pcpu, all[i].ptr));
	CHECK(areas_in_use(pcpu) == 0);
	CHECK(info_of(pcpu).chunks <= 2);
	pcpu_destroy(pcpu);
}

/* --- a thread that is refused */

static atomic_bool arrived;

static void *arrive_and_alloc(void *arg)
{
	struct worker *w = arg;

	atomic_store(&arrived, true);
	SURE(pcpu_alloc(w->pcpu, 8, 8) > 0);
	return NULL;
}

/* call the allocator, which refuses it; then let the others come */
static void call_inside(void *arg, const struct pcpu_event *event)
{
	struct pcpu **pcpu = arg;

	(void)event;
	if (!*pcpu)
		return;
	CHECK(pcpu_alloc(*pcpu, 8, 8) == -PCPU_E_BUSY);
	*pcpu = NULL;
	while (!atomic_load(&arrived))
		sched_yield();
	usleep(2000);
}

TEST(a_thread_that_is_refused_inside_a_call_keeps_the_lock)
{
	struct pcpu_hooks hooks = { .event = call_inside };
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu, *called = NULL;
	int64_t ptr;

	config.hooks = &hooks;
	config.arg = &called;
	pcpu = create(&config);
	ptr = pcpu_alloc(pcpu, 8, 8);
	called = pcpu;
	atomic_store(&arrived, false);
	start(FEW_THREADS, arrive_and_alloc, pcpu);
	CHECK(!pcpu_free(pcpu, ptr));
	finish();
	pcpu_destroy(pcpu);
}

/* --- the end of an allocator */

static void *use_until_closed(void *arg)
{
	struct worker *w = arg;
	int64_t ptr;

	while ((ptr = pcpu_alloc(w->pcpu, 64, 8)) != -PCPU_E_CLOSED) {
		struct pcpu_pin pin = { 0 };
		struct pcpu_snapshot *snapshot;
		int err;

		SURE(ptr > 0);
		err = pcpu_pin(w->pcpu, ptr, 0, &pin);
		SURE(!err || err == -PCPU_E_CLOSED);
		/* a pin prevents the close, so the memory is mapped */
		if (!err)
			*(volatile char *)(uintptr_t)pin.address = 1;
		pcpu_unpin(&pin);
		snapshot = pcpu_snapshot_take(w->pcpu, &err);
		SURE(snapshot || err == -PCPU_E_CLOSED);
		pcpu_snapshot_free(snapshot);
		err = pcpu_free(w->pcpu, ptr);
		SURE(!err || err == -PCPU_E_CLOSED);
	}
	return NULL;
}

TEST(close_is_seen_by_other_threads)
{
	for (int round = 0; round < CLOSES; round++) {
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu = create(&config);

		start(THREADS, use_until_closed, pcpu);
		usleep(1000);
		while (pcpu_close(pcpu) == -PCPU_E_PINNED)
			sched_yield();
		finish();
		pcpu_destroy(pcpu);
	}
}

static pthread_barrier_t pinned;
static int64_t shared;		/* an area that all threads pin */

static void *pin_and_unpin(void *arg)
{
	struct worker *w = arg;
	struct pcpu_pin pin = { 0 };

	SURE(!pcpu_pin(w->pcpu, shared, 0, &pin));
	pthread_barrier_wait(&pinned);
	/* the last unpin frees the allocator, so it stays until ours */
	for (unsigned int n = random_below(w, 3); n; n--)
		sched_yield();
	(void)*(volatile char *)(uintptr_t)pin.address;
	pcpu_unpin(&pin);
	return NULL;
}

TEST(the_last_of_many_unpins_completes_a_destroy)
{
	for (int round = 0; round < 50; round++) {
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu = create(&config);
		int64_t address;

		shared = pcpu_alloc(pcpu, 8, 8);
		address = pcpu_address(pcpu, shared, 0);
		pthread_barrier_init(&pinned, NULL, THREADS + 1);
		start(THREADS, pin_and_unpin, pcpu);
		pthread_barrier_wait(&pinned);
		pcpu_destroy(pcpu);
		finish();
		CHECK(!is_reserved(address));
		pthread_barrier_destroy(&pinned);
	}
}

/* --- forks */

TEST(a_child_forked_during_calls_of_other_threads_can_continue)
{
	struct pcpu *pcpu = without_malloc();
	int forks = 0;

	start(FEW_THREADS, alloc_and_free, pcpu);
	while (forks < FORKS && fork_and_use(pcpu))
		forks++;
	CHECK(forks == FORKS);
	finish();
	CHECK(areas_in_use(pcpu) == 0);
	pcpu_destroy(pcpu);
}

static void *create_and_destroy(void *arg)
{
	struct worker *w = arg;
	int error;

	while (!atomic_load(&stop)) {
		struct pcpu_config config = small_config(2);
		struct pcpu *pcpu = pcpu_create(&config, &error);

		SURE(pcpu && serves(pcpu));
		pcpu_destroy(pcpu);
	}
	return NULL;
}

static struct pcpu *older;

static void use_older(void *arg, const struct pcpu_event *event)
{
	(void)arg;
	(void)event;
	serves(older);
}

/*
 * A fork takes the locks of the newest allocators first, and so does a hook
 * that uses an older one.  In the opposite order they could deadlock.
 */
TEST(a_hook_may_use_an_older_allocator_during_forks)
{
	struct pcpu_hooks hooks = { .event = use_older };
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;
	int forks = 0;

	older = without_malloc();
	config.hooks = &hooks;
	pcpu = create(&config);
	start(FEW_THREADS, alloc_and_free, pcpu);
	do {
		alarm(10);	/* ends the test at a deadlock */
	} while (fork_and_use(older) && ++forks < FORKS);
	alarm(0);
	CHECK(forks == FORKS);
	finish();
	pcpu_destroy(pcpu);
	pcpu_destroy(older);
}

/* each fork takes the locks of all allocators; their number changes */
TEST(allocators_can_be_created_and_destroyed_during_forks)
{
	struct pcpu *pcpu = without_malloc();
	int forks = 0;

	start(FEW_THREADS, create_and_destroy, NULL);
	while (forks < FORKS && fork_and_use(pcpu))
		forks++;
	CHECK(forks == FORKS);
	finish();
	pcpu_destroy(pcpu);
}
