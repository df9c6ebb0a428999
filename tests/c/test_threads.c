// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_threads.c - allocators under many threads, and across forks.
 *
 * `make sanitize` runs it under ThreadSanitizer too, with a million operations:
 * areas that overlap, or memory that is cleared too late, are races then.
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
#define HELD		48	/* areas that a thread holds at the most */
#define BATCH		8
#define HANDLES		4

#ifdef __SANITIZE_THREAD__
#define OPERATIONS	125000	/* of each thread */
#define FORKS		100
#else
#define OPERATIONS	6000
#define FORKS		10
#endif

/* an area that a thread holds */
struct held {
	int64_t ptr;		/* its pointer */
	int64_t size;		/* bytes asked for */
};

struct worker {
	pthread_t thread;	/* who works */
	struct pcpu *pcpu;	/* on what */
	uint32_t random;	/* state of its dice */
	int wrong_line;		/* of the first check that failed, or 0 */
	int nr_held;		/* areas held */
	struct held held[HELD];	/* areas that are this thread's own */
	struct pcpu_replay_handle handles[HANDLES]; /* and those of its replays */
};

static struct worker workers[THREADS];
static atomic_bool stop;
static _Atomic int64_t offered;	/* an area of somebody, to be pinned by all */

/* CHECK() is for the main thread: a worker notes its first failure */
#define SURE(cond) \
	((cond) || w->wrong_line ? (void)0 : (void)(w->wrong_line = __LINE__))

static unsigned int dice(struct worker *w, unsigned int n)
{
	w->random = w->random * 1664525 + 1013904223;
	return (w->random >> 16) % n;
}

static void start(void *(*work)(void *), struct pcpu *pcpu)
{
	memset(workers, 0, sizeof(workers));
	atomic_store(&stop, false);
	for (int i = 0; i < THREADS; i++) {
		workers[i].pcpu = pcpu;
		workers[i].random = (uint32_t)i * 7919;
		CHECK(!pthread_create(&workers[i].thread, NULL, work,
				      &workers[i]));
	}
}

static void finish(void)
{
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++) {
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

/* --- forks: the helpers, and the test that has to be the first */

/*
 * A child has one thread and must not wait for one that it does not have.
 * Neither must it meet the heap of a sanitizer, whose locks a fork does not
 * wait for: so the map is long enough beforehand, and nothing calls malloc.
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

static bool ends_well(pid_t child)
{
	int status;

	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* a child uses the allocator, and so does a child of its own */
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
		_exit(!(good && ends_well(child)));
	}
	return ends_well(child);
}

static struct pcpu *of_handlers;	/* what the handlers below use */
static int handled;		/* how often they could */

static void use_in_handler(void)
{
	if (of_handlers)
		handled += serves(of_handlers);
}

/*
 * Forks were watched only once the first allocator was made.  A program's own
 * handlers, added before that, ran with all locks held, and waited forever: so
 * this has to be the first test.
 */
TEST(a_fork_handler_may_use_an_allocator)
{
	CHECK(!pthread_atfork(use_in_handler, use_in_handler, use_in_handler));
	of_handlers = without_malloc();
	start(alloc_and_free, of_handlers);
	alarm(10);
	CHECK(fork_and_use(of_handlers));
	alarm(0);
	CHECK(handled == 2);
	finish();
	pcpu_destroy(of_handlers);
	of_handlers = NULL;
}

/* --- what a worker does */

/* a new area is zero; from now on it bears the thread's number */
static void hold(struct worker *w, int64_t ptr, int64_t size)
{
	char *copy = (char *)(uintptr_t)pcpu_address(w->pcpu, ptr, 1);

	SURE(copy[0] == 0 && copy[size - 1] == 0);
	copy[0] = copy[size - 1] = (char)(1 + (w - workers));
	w->held[w->nr_held++] = (struct held){ ptr, size };
}

/* nobody else has written there */
static struct held let_go(struct worker *w)
{
	int i = (int)dice(w, (unsigned int)w->nr_held);
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
	int64_t size = 1 + dice(w, dice(w, 20) ? 64 : 9000);
	int64_t ptr;

	if (w->nr_held == HELD)
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
	ptr = let_go(w).ptr;
	/* another thread may look at it, but not for long */
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

	if (w->nr_held + BATCH > HELD)
		return;
	for (int i = 0; i < BATCH; i++)
		sizes[i] = 1 + dice(w, 200);
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
		ptrs[n++] = let_go(w).ptr;
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
	held = &w->held[dice(w, (unsigned int)w->nr_held)];
	SURE(!pcpu_locate(w->pcpu, held->ptr, &location));
	SURE(location.size >= held->size);
	atomic_store(&offered, held->ptr);
}

/* an area of anybody: it is there or it is not, but never goes meanwhile */
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
	static const struct pcpu_kind kinds[] = { { 8, 8 }, { 100, 4 } };
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
		ops[i] = (struct pcpu_op){ 0, dice(w, HANDLES),
			dice(w, 2) ? dice(w, 2) : PCPU_OP_FREE };
	SURE(!pcpu_replay(w->pcpu, &replay, 0, BATCH));
	/* a pointer that was offered once may be in a handle now, and pinned */
	for (int i = 0; i < BATCH; i++)
		SURE(pointers[i] >= 0 || pointers[i] == -PCPU_E_PINNED);
}

static void do_look(struct worker *w)
{
	uint64_t calls[PCPU_NR_SERVICES];
	struct pcpu_info info;
	struct pcpu_snapshot *snapshot;
	int error;

	SURE(!pcpu_counters(w->pcpu, calls));
	SURE(!pcpu_info(w->pcpu, &info));
	if (dice(w, 50))
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
		do_look,
	};
	struct worker *w = arg;

	for (int i = 0; i < OPERATIONS; i++)
		operations[dice(w, sizeof(operations) /
				   sizeof(operations[0]))](w);
	return NULL;
}

/* --- nothing is lost */

static int by_held_ptr(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->ptr > y->ptr) - (x->ptr < y->ptr);
}

/* what all threads hold in the end, by pointer */
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

/* map entries in use, but for the static area */
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

/* the allocator served one thread before there were others */
TEST(many_threads_lose_nothing)
{
	static struct held all[THREADS * (HELD + HANDLES)];
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu = create(&config);
	int n;

	CHECK(!pcpu_free(pcpu, pcpu_alloc(pcpu, 8, 8)));
	start(do_all, pcpu);
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
		/* with a pin it is not closed: the memory is there */
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

TEST(close_ends_the_work_of_others)
{
	for (int round = 0; round < 20; round++) {
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu = create(&config);

		start(use_until_closed, pcpu);
		usleep(1000);
		while (pcpu_close(pcpu) == -PCPU_E_PINNED)
			sched_yield();
		finish();
		pcpu_destroy(pcpu);
	}
}

static pthread_barrier_t pinned;
static int64_t shared;		/* an area that all pin */

static void *pin_and_unpin(void *arg)
{
	struct worker *w = arg;
	struct pcpu_pin pin = { 0 };

	SURE(!pcpu_pin(w->pcpu, shared, 0, &pin));
	pthread_barrier_wait(&pinned);
	/* from here on the handle may go with any other pin, not before ours */
	for (unsigned int n = dice(w, 3); n; n--)
		sched_yield();
	(void)*(volatile char *)(uintptr_t)pin.address;
	pcpu_unpin(&pin);
	return NULL;
}

TEST(the_last_of_many_unpins_destroys)
{
	for (int round = 0; round < 50; round++) {
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu = create(&config);
		int64_t address;

		shared = pcpu_alloc(pcpu, 8, 8);
		address = pcpu_address(pcpu, shared, 0);
		pthread_barrier_init(&pinned, NULL, THREADS + 1);
		start(pin_and_unpin, pcpu);
		pthread_barrier_wait(&pinned);
		pcpu_destroy(pcpu);
		finish();
		CHECK(!is_reserved(address));
		pthread_barrier_destroy(&pinned);
	}
}

/* --- forks */

TEST(a_child_forked_while_others_are_inside_goes_on)
{
	struct pcpu *pcpu = without_malloc();
	int forks = 0;

	start(alloc_and_free, pcpu);
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
 * A fork takes the locks of the newest allocators first, as a hook does that
 * uses an older one.  The other way round, each may wait for the other.
 */
TEST(a_hook_may_use_an_older_allocator_beside_forks)
{
	struct pcpu_hooks hooks = { .event = use_older };
	struct pcpu_config config = mapped_config(2);
	struct pcpu *pcpu;
	int forks = 0;

	older = without_malloc();
	config.hooks = &hooks;
	pcpu = create(&config);
	start(alloc_and_free, pcpu);
	do {
		alarm(10);	/* ends us when they wait for one another */
	} while (fork_and_use(older) && ++forks < 10 * FORKS);
	alarm(0);
	CHECK(forks == 10 * FORKS);
	finish();
	pcpu_destroy(pcpu);
	pcpu_destroy(older);
}

/* each fork takes the locks of all allocators; their number changes */
TEST(allocators_come_and_go_beside_forks)
{
	struct pcpu *pcpu = without_malloc();
	int forks = 0;

	start(create_and_destroy, NULL);
	while (forks < FORKS && fork_and_use(pcpu))
		forks++;
	CHECK(forks == FORKS);
	finish();
	pcpu_destroy(pcpu);
}
