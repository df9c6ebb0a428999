// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_reentry.c - calls of an allocator by its own hooks and its log function.
 *
 * A free hook that also destroys the allocator, as in a careless cleanup, never
 * returned: pcpu_destroy() calls it at last to free the struct pcpu, and at that
 * time the lock had ended.
 */
#include "creator.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include "internal.h"

enum hook {
	HOOK_ALLOC,
	HOOK_FREE,
	HOOK_RESERVE,
	HOOK_RELEASE,
	HOOK_MAP,
	HOOK_UNMAP,
	HOOK_ALLOC_PAGE,
	HOOK_FREE_PAGE,
	HOOK_SHOULD_FAIL,
	HOOK_EVENT,
	NR_HOOKS
};

static struct pcpu *self;	/* the allocator, from its first byte on */
static struct pcpu_pin pinned;	/* a pin of it, or of none */
static struct pcpu_counter set_up; /* a counter of it, or not set up */
static int called[NR_HOOKS];	/* calls of each hook while there is an allocator */

/* call every function that takes an allocator: each is refused */
static void call_all(enum hook hook)
{
	static const struct pcpu_op op = { 0, PCPU_OP_ORPHAN, PCPU_OP_FREE };
	struct pcpu_replay replay = { .ops = &op };
	struct pcpu_location location;
	struct pcpu_record record;
	struct pcpu_counter counter;
	struct pcpu_pin pin = { 0 };
	struct pcpu_info info;
	struct pcpu_work work[2];
	uint64_t calls[PCPU_NR_SERVICES], lost;
	int64_t ptr = BASE;
	int error = 0;
	size_t at;

	if (!self)
		return;
	called[hook]++;
	CHECK(pcpu_close(self) == -PCPU_E_BUSY);
	CHECK(pcpu_alloc(self, 8, 8) == -PCPU_E_BUSY);
	CHECK(pcpu_free(self, ptr) == -PCPU_E_BUSY);
	CHECK(pcpu_locate(self, ptr, &location) == -PCPU_E_BUSY);
	CHECK(pcpu_address(self, ptr, 0) == -PCPU_E_BUSY);
	CHECK(pcpu_pin(self, ptr, 0, &pin) == -PCPU_E_BUSY && !pin.pcpu);
	CHECK(pcpu_alloc_many(self, &ptr, 8, 1, 8, &ptr, &at) == -PCPU_E_BUSY);
	CHECK(pcpu_free_many(self, &ptr, 8, 1, &at) == -PCPU_E_BUSY);
	CHECK(pcpu_replay(self, &replay, 0, 1) == -PCPU_E_BUSY);
	CHECK(!pcpu_snapshot_take(self, &error) && error == -PCPU_E_BUSY);
	CHECK(pcpu_info(self, &info) == -PCPU_E_BUSY);
	CHECK(pcpu_counters(self, calls) == -PCPU_E_BUSY);
	CHECK(pcpu_work(self, &work[0], &work[1]) == -PCPU_E_BUSY);
	CHECK(pcpu_inject(self, PCPU_MAP, NULL) == -PCPU_E_BUSY);
	CHECK(pcpu_record_start(self) == -PCPU_E_BUSY);
	CHECK(pcpu_record_take(self, &record, 1, &at, &lost) == -PCPU_E_BUSY);
	CHECK(pcpu_record_stop(self) == -PCPU_E_BUSY);
	CHECK(pcpu_counter_init(&counter, self, 0) == -PCPU_E_BUSY);
	if (set_up.pin.pcpu)
		CHECK(pcpu_counter_exit(&set_up) == -PCPU_E_BUSY);
	pcpu_unpin(&pinned);
	pcpu_destroy(self);
}

static void *calling_alloc(void *arg, size_t size)
{
	void *mem;

	call_all(HOOK_ALLOC);
	mem = creator_alloc(arg, size);
	if (size == sizeof(struct pcpu))
		self = mem;
	return mem;
}

static void calling_free(void *arg, void *ptr)
{
	call_all(HOOK_FREE);
	if (ptr == self)
		self = NULL;
	creator_free(arg, ptr);
}

static void *calling_reserve(void *arg, size_t size, size_t align)
{
	call_all(HOOK_RESERVE);
	return creator_reserve(arg, size, align);
}

static void calling_release(void *arg, void *addr, size_t size)
{
	call_all(HOOK_RELEASE);
	creator_release(arg, addr, size);
}

static int calling_map(void *arg, void *addr, size_t size, int cpu, int node)
{
	call_all(HOOK_MAP);
	return creator_map(arg, addr, size, cpu, node);
}

static void calling_unmap(void *arg, void *addr, size_t size, int cpu, int node)
{
	call_all(HOOK_UNMAP);
	creator_unmap(arg, addr, size, cpu, node);
}

static int calling_alloc_page(void *arg, int cpu, int node)
{
	call_all(HOOK_ALLOC_PAGE);
	return creator_alloc_page(arg, cpu, node);
}

static void calling_free_page(void *arg, int cpu, int node)
{
	call_all(HOOK_FREE_PAGE);
	creator_free_page(arg, cpu, node);
}

static int calling_should_fail(void *arg, int service)
{
	call_all(HOOK_SHOULD_FAIL);
	return creator_should_fail(arg, service);
}

static void calling_event(void *arg, const struct pcpu_event *event)
{
	(void)arg;
	(void)event;
	call_all(HOOK_EVENT);
}

#define CALLING_HOOKS							\
	.alloc = calling_alloc, .free = calling_free,			\
	.reserve = calling_reserve, .release = calling_release,		\
	.map = calling_map, .unmap = calling_unmap,			\
	.alloc_page = calling_alloc_page,				\
	.free_page = calling_free_page,					\
	.should_fail = calling_should_fail, .event = calling_event

/* create, use and destroy an allocator whose hooks all call it */
static void check_every_hook(void)
{
	struct creator creator = CREATOR(CALLING_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu *pcpu;
	int64_t unit, ptrs[2];

	memset(called, 0, sizeof(called));
	config.address_space = 1 << 20;
	pcpu = create(&config);
	CHECK(pcpu == self);
	CHECK(called[HOOK_ALLOC] && called[HOOK_RESERVE]);
	CHECK(called[HOOK_MAP] && called[HOOK_ALLOC_PAGE]);

	unit = info_of(pcpu).max_size;
	CHECK(!pcpu_pin(pcpu, BASE * 64, 0, &pinned));
	CHECK(!pcpu_counter_init(&set_up, pcpu, 0));
	/* of two empty chunks one is destroyed */
	for (int i = 0; i < 2; i++)
		CHECK((ptrs[i] = pcpu_alloc(pcpu, unit, 8)) > 0);
	for (int i = 0; i < 2; i++)
		CHECK(!pcpu_free(pcpu, ptrs[i]));
	CHECK(info_of(pcpu).chunks_destroyed == 1);
	for (int i = 0; i < NR_HOOKS; i++)
		CHECK(called[i] || i == HOOK_RELEASE);

	/* neither the pin nor the counter was removed from within */
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	CHECK(!pcpu_counter_exit(&set_up));
	CHECK(pcpu_close(pcpu) == -PCPU_E_PINNED);
	pcpu_unpin(&pinned);
	memset(called, 0, sizeof(called));
	pcpu_destroy(pcpu);
	CHECK(!self);
	CHECK(called[HOOK_FREE] > 4 && called[HOOK_RELEASE] == 1);
	CHECK(called[HOOK_FREE_PAGE] && called[HOOK_EVENT] == 0);
	CHECK(creator.blocks == 0 && creator.releases == 1);
}

TEST(a_call_from_any_hook_is_refused_from_creation_to_destruction)
{
	check_every_hook();
}

static pthread_mutex_t waiting = PTHREAD_MUTEX_INITIALIZER;

static void *wait_for_mutex(void *arg)
{
	pthread_mutex_lock(&waiting);
	pthread_mutex_unlock(&waiting);
	return arg;
}

/* the lock takes a mutex, which is gone when the struct is freed */
TEST(hooks_are_refused_in_a_process_with_several_threads)
{
	pthread_t thread;

	pthread_mutex_lock(&waiting);
	CHECK(!pthread_create(&thread, NULL, wait_for_mutex, NULL));
	check_every_hook();
	pthread_mutex_unlock(&waiting);
	pthread_join(thread, NULL);
}

TEST(hooks_are_refused_when_the_last_unpin_destroys)
{
	struct creator creator = CREATOR(CALLING_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	struct pcpu_pin pin = { 0 };
	struct pcpu *pcpu;

	config.address_space = 1 << 20;
	pcpu = create(&config);
	CHECK(!pcpu_pin(pcpu, pcpu_alloc(pcpu, 8, 8), 0, &pin));
	pcpu_destroy(pcpu);
	CHECK(self == pcpu);
	pcpu_unpin(&pin);
	CHECK(!self && creator.blocks == 0 && creator.releases == 1);
}

TEST(hooks_are_refused_when_a_creation_fails)
{
	struct creator creator = CREATOR(CALLING_HOOKS);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_MAPPED);
	int error;

	config.address_space = 1 << 20;
	creator.no_map_at = 1;
	CHECK(!pcpu_create(&config, &error) && error == NOMEM(MAP));
	CHECK(!self && creator.blocks == 0 && creator.releases == 1);
}

/* --- forks */

static int fork_at;		/* calls of the hook until it forks */

/* fork, as popen() does; parent and child are still inside the allocator */
static int forking_should_fail(void *arg, int service)
{
	pid_t pid;
	int status;

	if (fork_at && !--fork_at) {
		pid = fork();
		CHECK(pcpu_alloc(self, 8, 8) == -PCPU_E_BUSY);
		if (!pid)
			_exit(test_failures != 0);
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	return creator_should_fail(arg, service);
}

static void check_a_hook_that_forks(void)
{
	struct creator creator = CREATOR(.should_fail = forking_should_fail);
	struct pcpu_config config = config_by(&creator, PCPU_MEMORY_NONE);
	struct pcpu *other = create(&config);

	self = create(&config);
	fork_at = 1;
	CHECK(pcpu_alloc(self, 8, 8) > 0);
	CHECK(!fork_at);
	/* no thread is inside now */
	CHECK(pcpu_alloc(self, 8, 8) > 0 && pcpu_alloc(other, 8, 8) > 0);
	pcpu_destroy(self);
	pcpu_destroy(other);
	self = NULL;
}

TEST(an_allocator_whose_hook_forks_stays_closed_to_it)
{
	pthread_t thread;

	check_a_hook_that_forks();
	pthread_mutex_lock(&waiting);
	CHECK(!pthread_create(&thread, NULL, wait_for_mutex, NULL));
	check_a_hook_that_forks();
	pthread_mutex_unlock(&waiting);
	pthread_join(thread, NULL);
}

static int texts;	/* that the log function received */

static void destroy_again(void *arg, int about, const char *text)
{
	(void)arg;
	(void)text;
	CHECK(about == PCPU_LOG_LEAK);
	texts++;
	CHECK(pcpu_alloc(self, 8, 8) == -PCPU_E_CLOSED);
	CHECK(!pcpu_close(self));
	pcpu_destroy(self);
}

/* it runs without the lock, so it is not refused: the areas are gone already */
TEST(a_log_function_may_destroy_the_allocator_whose_leaks_it_receives)
{
	struct pcpu_config config = small_config(2);

	for (texts = 0; texts < 2;) {
		int before = texts;

		config.log = destroy_again;
		self = create(&config);
		CHECK(pcpu_alloc(self, 8, 8) > 0);
		if (before)	/* then the function is the one that destroys */
			CHECK(!pcpu_close(self));
		else
			pcpu_destroy(self);
		CHECK(texts == before + 1);
	}
	self = NULL;
}
