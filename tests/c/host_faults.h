/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * host_faults.h - lets calls to the C library fail.
 *
 * For programs that are linked with --wrap: a call to malloc() becomes one to
 * __wrap_malloc(), which calls the C library's malloc() or fails.
 */
#ifndef TEST_HOST_FAULTS_H
#define TEST_HOST_FAULTS_H

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/types.h>

enum host_call {
	HOST_ALLOC,		/* malloc, calloc, realloc */
	HOST_MMAP,
	HOST_MPROTECT,
	HOST_MADVISE,
	HOST_PROCESS_MADVISE,	/* madvise for several ranges */
	NR_HOST_CALLS
};

#define DISCARD	4	/* MADV_DONTNEED, for programs without _GNU_SOURCE */

/* what a host does with advice, besides that of Linux since 6.15 */
enum host_kind {
	HOST_TODAY,
	HOST_WITHOUT_GUARDS,	/* Linux before 6.13 */
	HOST_WITHOUT_RANGES,	/* Linux before 6.15, or a sandbox */
	HOST_IGNORES_ADVICE	/* an emulator: knows MADV_DONTNEED, no other */
};

struct host_plan {
	int pass;		/* calls that succeed first */
	int fail;		/* calls that fail after them */
};

static struct host_plan host_plans[NR_HOST_CALLS];
static int host_calls[NR_HOST_CALLS];	/* made so far */
static enum host_kind host_kind;
static size_t host_reserved;	/* bytes mapped and not yet unmapped */
static size_t host_asked;	/* bytes of the last calloc or mmap */
static char *host_mapped;	/* start of the last mmap */
static int host_strays;		/* munmap calls outside of the last mmap */

/* let the next @pass calls succeed, and the @fail calls after them fail */
static inline void host_fail(enum host_call call, int pass, int fail)
{
	host_plans[call] = (struct host_plan){ pass, fail };
}

static inline bool host_fails(enum host_call call)
{
	struct host_plan *plan = &host_plans[call];

	host_calls[call]++;
	if (!plan->fail)
		return false;
	if (plan->pass) {
		plan->pass--;
		return false;
	}
	plan->fail--;
	errno = ENOMEM;
	return true;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t at);
int __real_munmap(void *addr, size_t n);
int __real_mprotect(void *addr, size_t n, int prot);
int __real_madvise(void *addr, size_t n, int advice);
long __real_syscall(long number, ...);

void *__wrap_malloc(size_t size)
{
	return host_fails(HOST_ALLOC) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	host_asked = n * size;
	return host_fails(HOST_ALLOC) ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
	return host_fails(HOST_ALLOC) ? NULL : __real_realloc(ptr, size);
}

void *__wrap_mmap(void *addr, size_t n, int prot, int flags, int fd, off_t at)
{
	void *mem = host_fails(HOST_MMAP) ? MAP_FAILED :
		    __real_mmap(addr, n, prot, flags, fd, at);

	host_asked = n;
	host_mapped = mem;
	if (mem != MAP_FAILED)
		host_reserved += n;
	return mem;
}

int __wrap_munmap(void *addr, size_t n)
{
	host_reserved -= n;
	host_strays += (char *)addr < host_mapped ||
		       (char *)addr + n > host_mapped + host_asked;
	return __real_munmap(addr, n);
}

int __wrap_mprotect(void *addr, size_t n, int prot)
{
	return host_fails(HOST_MPROTECT) ? -1 : __real_mprotect(addr, n, prot);
}

int __wrap_madvise(void *addr, size_t n, int advice)
{
	if (host_fails(HOST_MADVISE))
		return -1;
	if (host_kind == HOST_IGNORES_ADVICE && advice != DISCARD)
		return 0;
	if (host_kind == HOST_WITHOUT_GUARDS && advice != DISCARD) {
		errno = EINVAL;
		return -1;
	}
	return __real_madvise(addr, n, advice);
}

long __wrap_syscall(long number, ...)
{
	va_list list;
	long arg[5];

	va_start(list, number);
	for (int i = 0; i < 5; i++)
		arg[i] = va_arg(list, long);
	va_end(list);
#ifdef SYS_process_madvise
	if (number == SYS_process_madvise) {
		if (host_fails(HOST_PROCESS_MADVISE))
			return -1;
		if (host_kind != HOST_TODAY) {
			errno = EBADF;
			return -1;
		}
	}
#endif
	return __real_syscall(number, arg[0], arg[1], arg[2], arg[3], arg[4]);
}

#endif /* TEST_HOST_FAULTS_H */
