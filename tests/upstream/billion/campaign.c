// SPDX-License-Identifier: GPL-2.0-only
/*
 * campaign.c - hand out cases to processes, and add up what they reached.
 *
 * Each case runs in a process of its own.  So it finds all static variables as
 * they are when the program starts, those of the 2009 file too, and a case that
 * crashes or hangs is known by its number.
 *
 * Cases may finish in any order, but are counted in the order of their numbers.
 */
#define _GNU_SOURCE 1
#include "campaign.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define AHEAD		64	/* cases that may overtake one */
#define CASE_SECONDS	1800	/* a case that runs longer hangs */
#define SAVE_SECONDS	5
#define PRINT_SECONDS	30

/* a case that was handed out; in memory that processes share */
struct task {
	uint64_t number;	/* the case */
	pid_t pid;		/* its process, or 0: finished */
	int result;		/* enum case_result */
	struct counts counts;	/* what it reached */
};

struct crew {
	struct campaign *campaign; /* what they work on */
	struct task *tasks;	/* case n is at index n % AHEAD */
	uint64_t next;		/* the next case to hand out */
	int running;		/* processes */
	uint64_t bad;		/* lowest case that differs, or UINT64_MAX */
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	stop = signal;
}

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void add_counts(struct counts *to, const struct counts *from)
{
#define ADD(name, text)		to->name += from->name;
#define RAISE(name, text)						\
	if (to->name < from->name)					\
		to->name = from->name;
	SUMS(ADD)
	MAXIMA(RAISE)
#undef ADD
#undef RAISE
}

/* --- one case, in a process of its own */

/* in the new process: do not outlive the parent, which handles Ctrl-C */
static void be_child(void)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGINT, SIG_IGN);
	signal(SIGTERM, SIG_DFL);
	alarm(CASE_SECONDS);
}

static bool start_task(struct task *task, uint64_t seed, uint64_t number)
{
	struct random_case random;
	pid_t pid;

	*task = (struct task){ .number = number, .result = CASE_DIFFERS };
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return false;
	}
	if (pid) {
		/* by the parent only: the memory is shared */
		task->pid = pid;
		return true;
	}
	be_child();
	random_case(&random, seed, number);
	task->result = case_run(&random, &task->counts, NULL, NULL, NULL);
	_exit(0);
}

/**
 * campaign_run_case - run one case, explain a difference, keep its operations
 * @seed: of the campaign
 * @number: of the case
 */
enum campaign_result campaign_run_case(uint64_t seed, uint64_t number)
{
	char name[64];
	FILE *trace;
	int status;
	pid_t pid;

	snprintf(name, sizeof(name), "difference-%" PRIu64 "-%" PRIu64 ".ops",
		 seed, number);
	trace = fopen(name, "w");
	if (!trace) {
		perror(name);
		return CAMPAIGN_FAILED;
	}
	/* also the operation that crashes */
	setvbuf(trace, NULL, _IOLBF, BUFSIZ);
	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		perror("fork");
		return CAMPAIGN_FAILED;
	}
	if (!pid) {
		struct counts counts = { 0 };
		struct random_case random;
		int result;

		be_child();
		random_case(&random, seed, number);
		result = case_run(&random, &counts, trace, stdout, NULL);
		fflush(NULL);
		_exit(result);
	}
	fclose(trace);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFEXITED(status) && WEXITSTATUS(status) == CASE_ALIKE) {
		remove(name);
		printf("case %" PRIu64 " of seed %" PRIu64 ": no difference\n",
		       number, seed);
		return CAMPAIGN_ALIKE;
	}
	if (WIFSIGNALED(status))
		printf("ended by signal %d, %s\n", WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	printf("this is case %" PRIu64 " of seed %" PRIu64 ": --seed %" PRIu64
	       " --case %" PRIu64 "; its operations are in %s\n", number, seed,
	       seed, number, name);
	return CAMPAIGN_DIFFERS;
}

/* --- all cases */

static bool hand_out(struct crew *crew)
{
	struct campaign *campaign = crew->campaign;
	struct task *task = &crew->tasks[crew->next % AHEAD];

	if (crew->running == campaign->jobs || stop ||
	    crew->bad != UINT64_MAX ||
	    crew->next - campaign->done == AHEAD)
		return false;
	if (!start_task(task, campaign->seed, crew->next)) {
		stop = SIGABRT;
		return false;
	}
	crew->next++;
	crew->running++;
	return true;
}

static void collect(struct crew *crew)
{
	int status;
	pid_t pid = waitpid(-1, &status, 0);
	uint64_t number;

	if (pid < 0)
		return;
	for (number = crew->campaign->done; number < crew->next; number++) {
		struct task *task = &crew->tasks[number % AHEAD];

		if (task->pid != pid)
			continue;
		task->pid = 0;
		crew->running--;
		if (stop)
			return;
		if ((status || task->result == CASE_DIFFERS) &&
		    number < crew->bad)
			crew->bad = number;
	}
}

/* count the cases that are finished, in order, up to the target */
static void count_finished(struct crew *crew)
{
	struct campaign *campaign = crew->campaign;

	while (campaign->done < crew->next && campaign->done < crew->bad &&
	       campaign->totals.operations < campaign->operations) {
		struct task *task = &crew->tasks[campaign->done % AHEAD];

		if (task->pid)
			return;
		add_counts(&campaign->totals, &task->counts);
		campaign->done++;
	}
}

static void print_progress(const struct campaign *campaign)
{
	double operations = (double)campaign->totals.operations;
	double rate = operations / (double)(campaign->milliseconds + 1) * 1000;
	double left = ((double)campaign->operations - operations) / rate;

	if (operations > 0)
		fprintf(stderr, "%.0f operations (%.1f %%), %" PRIu64
			" set-ups, %.0f a second, %.0f minutes left\n",
			operations,
			100 * operations / (double)campaign->operations,
			campaign->done, rate, left > 0 ? left / 60 : 0);
}

static void stop_all(struct crew *crew)
{
	uint64_t number;

	for (number = crew->campaign->done; number < crew->next; number++) {
		struct task *task = &crew->tasks[number % AHEAD];

		if (!task->pid)
			continue;
		kill(task->pid, SIGKILL);
		waitpid(task->pid, NULL, 0);
		task->pid = 0;
	}
}

static bool run_all(struct crew *crew)
{
	struct campaign *campaign = crew->campaign;
	uint64_t started = now_ms() - campaign->milliseconds;
	uint64_t saved = now_ms(), printed = saved;

	while (!stop && campaign->totals.operations < campaign->operations) {
		while (hand_out(crew))
			;
		if (!crew->running)
			break;
		collect(crew);
		count_finished(crew);
		campaign->milliseconds = now_ms() - started;
		if (now_ms() - printed > PRINT_SECONDS * 1000) {
			print_progress(campaign);
			printed = now_ms();
		}
		if (campaign->file && now_ms() - saved > SAVE_SECONDS * 1000) {
			if (!progress_save(campaign))
				return false;
			saved = now_ms();
		}
	}
	return !campaign->file || progress_save(campaign);
}

/**
 * campaign_run - run cases up to the first difference
 * @campaign: seed, operations, jobs and file are set; the rest is zero
 */
enum campaign_result campaign_run(struct campaign *campaign)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct crew crew = { .campaign = campaign, .bad = UINT64_MAX };
	bool good;

	if (campaign->file && !progress_load(campaign))
		return CAMPAIGN_FAILED;
	crew.next = campaign->done;
	crew.tasks = mmap(NULL, AHEAD * sizeof(*crew.tasks),
			  PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			  -1, 0);
	if (crew.tasks == MAP_FAILED) {
		perror("mmap");
		return CAMPAIGN_FAILED;
	}
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	good = run_all(&crew);
	stop_all(&crew);
	munmap(crew.tasks, AHEAD * sizeof(*crew.tasks));
	if (!good || stop == SIGABRT)
		return CAMPAIGN_FAILED;
	if (stop)
		return CAMPAIGN_STOPPED;
	if (crew.bad == UINT64_MAX)
		return CAMPAIGN_ALIKE;
	/* again, to explain it: a case is the same each time */
	campaign_run_case(campaign->seed, crew.bad);
	return CAMPAIGN_DIFFERS;
}

/* --- the table */

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static uint64_t hash_setup(const struct setup *setup)
{
	const int64_t fields[] = {
		setup->cpus, setup->nodes, setup->page_size, setup->page_limit,
		setup->static_size, setup->unit_size, setup->free_size,
		setup->first_chunk, setup->rollback, setup->plain,
	};
	uint64_t hash = 0;
	size_t i;

	for (i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		hash = random_mix(hash + (uint64_t)fields[i]);
	return hash;
}

/* set-ups that differ from each other; cases are made again to count them */
static uint64_t different_setups(const struct campaign *campaign)
{
	uint64_t *hashes = calloc(campaign->done + 1, sizeof(*hashes));
	uint64_t i, different = 0;

	if (!hashes)
		abort();
	for (i = 0; i < campaign->done; i++) {
		struct random_case random;

		random_case(&random, campaign->seed, i);
		hashes[i] = hash_setup(&random.setup);
	}
	qsort(hashes, campaign->done, sizeof(*hashes), compare_hashes);
	for (i = 0; i < campaign->done; i++)
		different += !i || hashes[i] != hashes[i - 1];
	free(hashes);
	return different;
}

static void print_count(const char *text, uint64_t count, uint64_t of)
{
	printf("%-46s%15" PRIu64, text, count);
	if (of)
		printf("%9.3f %%", 100 * (double)count / (double)of);
	printf("\n");
}

/**
 * campaign_print - print a table of what the cases reached
 * @campaign: after campaign_run()
 */
void campaign_print(const struct campaign *campaign)
{
	const struct counts *totals = &campaign->totals;

#define PRINT(name, text)						\
	print_count(text, totals->name,					\
		    strstr(text, "operations with") ? totals->operations : 0);
	SUMS(PRINT)
	MAXIMA(PRINT)
#undef PRINT
	print_count("different set-ups", different_setups(campaign), 0);
	print_count("seconds", campaign->milliseconds / 1000, 0);
}
