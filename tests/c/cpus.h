/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpus.h - pins threads to the CPUs that a test may use, and repeats the tests
 * of a program without restartable sequences.
 */
#ifndef TEST_CPUS_H
#define TEST_CPUS_H

#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"
#include "rseq/rseq.h"

#define WITHOUT_RSEQ	"glibc.pthread.rseq=0"

/* the @nth CPU of the process's initial affinity mask, modulo their number */
static inline int usable_cpu(int nth)
{
	static cpu_set_t at_start;
	int left;

	if (!CPU_COUNT(&at_start))
		sched_getaffinity(0, sizeof(at_start), &at_start);
	left = nth % CPU_COUNT(&at_start);
	for (int cpu = 0;; cpu++)
		if (CPU_ISSET(cpu, &at_start) && !left--)
			return cpu;
}

static inline int usable_cpus(void)
{
	cpu_set_t set;

	sched_getaffinity(getpid(), sizeof(set), &set);
	return CPU_COUNT(&set);
}

/* move a thread to a CPU and keep it there; 0: the caller */
static inline void move_to(pid_t thread, int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(thread, sizeof(set), &set));
}

/* the number of CPUs of an allocator that has a copy for each CPU here */
static inline int64_t all_cpus(void)
{
	FILE *list = fopen("/sys/devices/system/cpu/possible", "r");
	int last = -1;

	/* numbers in order, such as 0-3,8-11 */
	while (list && fscanf(list, "%d%*c", &last) == 1)
		;
	if (list)
		fclose(list);
	CHECK(last >= 0);
	return last + 1;
}

static inline bool is_switched_off(void)
{
	const char *tunables = getenv("GLIBC_TUNABLES");

	return tunables && strstr(tunables, WITHOUT_RSEQ);
}

/*
 * Run all tests of this program again, in a process whose C library does not
 * register threads for restartable sequences.
 */
static inline void check_all_without_rseq(void)
{
	int status = -1;
	pid_t pid;

	if (is_switched_off())
		return;
	pid = fork();
	if (!pid) {
		setenv("GLIBC_TUNABLES", WITHOUT_RSEQ, 1);
		dup2(open("/dev/null", O_WRONLY), STDOUT_FILENO);
		execl("/proc/self/exe", test_name, (char *)NULL);
		_exit(127);
	}
	CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		skip("the host cannot execute this program by itself");
	else
		CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

/*
 * Unregister the calling thread for the rest of its life.  The length depends
 * on the kernel: 32 bytes for older ones.  False: the thread is not registered.
 */
static inline bool unregister_thread(void)
{
	struct pcpu_rseq *rseq = pcpu_rseq_area();

	for (size_t length = 32; rseq && length <= 256; length += 32)
		if (!syscall(SYS_rseq, rseq, length, 1, 0x53053053))
			return true;
	return false;
}

#endif /* TEST_CPUS_H */
