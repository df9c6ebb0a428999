/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * faults.h - checks whether reading a byte causes a segmentation fault.
 *
 * Include it first: it defines a feature test macro.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#define _GNU_SOURCE 1	/* fork, setrlimit */
#include <signal.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "harness.h"

/* whether reading the byte @at, in a child process, ends with SIGSEGV */
static inline bool faults(const char *at)
{
	const struct rlimit no_core = { 0, 0 };
	int status = 0;
	pid_t child = fork();

	if (!child) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGSEGV, SIG_DFL);	/* not the sanitizer's */
		_exit(*(const volatile char *)at & 0);
	}
	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGSEGV :
				    WEXITSTATUS(status) == 0);
	return WIFSIGNALED(status);
}

#endif /* TEST_FAULTS_H */
