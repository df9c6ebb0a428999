/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cpus.h - the CPUs that a test may use, and the same tests without restartable
 * sequences.
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

/* the @nth of the CPUs that the process was started on, going round */
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

/* how many CPUs an allocator must have so that each has a copy */
static inline int64_t all_cpus(void)
{
	return sysconf(_SC_NPROCESSORS_CONF);
}

static inline bool is_switched_off(void)
{
	const char *tunables = getenv("GLIBC_TUNABLES");

	return tunables && strstr(tunables, WITHOUT_RSEQ);
}

/*
 * All tests of this program once more, in a process whose C library registers
 * no thread.
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
	CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
}

/*
 * Take the calling thread's registration away, for good.  Its length is that of
 * what the kernel knows, 32 bytes with older ones.  False: it has none.
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
