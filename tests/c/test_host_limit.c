// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_host_limit.c - why the host refuses address space: no memory, or too many
 * mappings.
 *
 * The files in /proc and the clock are this file's own:
 *
 *	maps		a line for each mapping, read in pieces of any size
 *	max_map_count	the limit of their number
 */
#define _GNU_SOURCE 1	/* O_CLOEXEC */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "harness.h"
#include "kernel/kernel.h"

#define MAPS	100000	/* file descriptors */
#define LIMIT	100001

static const char *limit;	/* the text of max_map_count, NULL: no such file */
static int nr_maps;		/* lines of maps, -1: no such file */
static size_t at;		/* bytes of maps that were read */
static size_t piece;		/* bytes of one read */
static int opened;		/* files not yet closed */
static int reads;		/* of maps */
static uint64_t now;		/* ns */

int __real_open(const char *path, int flags, int mode);
ssize_t __real_read(int fd, void *buffer, size_t n);
int __real_close(int fd);

int __wrap_open(const char *path, int flags, int mode);
ssize_t __wrap_read(int fd, void *buffer, size_t n);
int __wrap_close(int fd);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ts);

/* other files are those of tools that measure the tests */
int __wrap_open(const char *path, int flags, int mode)
{
	int maps = !strcmp(path, "/proc/self/maps");

	if (!maps && strcmp(path, "/proc/sys/vm/max_map_count"))
		return __real_open(path, flags, mode);
	CHECK(flags == (O_RDONLY | O_CLOEXEC));
	if (maps ? nr_maps < 0 : !limit)
		return -1;
	opened++;
	at = 0;
	return maps ? MAPS : LIMIT;
}

ssize_t __wrap_read(int fd, void *buffer, size_t n)
{
	static const char line[] = "a  b\n";
	char *text = buffer;
	size_t i;

	if (fd != MAPS && fd != LIMIT)
		return __real_read(fd, buffer, n);
	if (fd == LIMIT) {
		CHECK(n >= strlen(limit));
		memcpy(buffer, limit, strlen(limit));
		return (ssize_t)strlen(limit);
	}
	reads++;
	CHECK(piece <= n);
	for (i = 0; i < piece && at < 5 * (size_t)nr_maps; i++)
		text[i] = line[at++ % 5];
	return (ssize_t)i;
}

int __wrap_close(int fd)
{
	if (fd != MAPS && fd != LIMIT)
		return __real_close(fd);
	opened--;
	return 0;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ts)
{
	(void)clock;
	ts->tv_sec = (time_t)(now / 1000000000u);
	ts->tv_nsec = (long)(now % 1000000000u);
	return 0;
}

/* the error of a refusal with @error; at first, the answer of before has expired */
static int refusal(int error)
{
	const struct host host = { .arg = NULL };
	int found;

	errno = error;
	found = host_refusal(&host, -PCPU_E_HOST);
	CHECK(!opened);
	return found;
}

static int refusal_with(int maps, const char *most, size_t bytes)
{
	now += 2000000000u;
	nr_maps = maps;
	limit = most;
	piece = bytes;
	return refusal(ENOMEM);
}

/* three more are needed than there are: for a change of rights, and the kernel's */
TEST(the_limit_is_reached_three_mappings_below)
{
	CHECK(refusal_with(96, "100\n", 7) == -PCPU_E_HOST);
	CHECK(refusal_with(97, "100\n", 7) == -PCPU_E_MAPPINGS);
	CHECK(refusal_with(98, "100\n", 7) == -PCPU_E_MAPPINGS);
	CHECK(refusal_with(65526, "65530\n", 4001) == -PCPU_E_HOST);
	CHECK(refusal_with(65527, "65530\n", 4001) == -PCPU_E_MAPPINGS);
}

/* a piece may begin and end anywhere in a line, and the last is shorter */
TEST(mappings_are_counted_in_pieces_of_any_size)
{
	for (size_t bytes = 1; bytes <= 23; bytes++) {
		CHECK(refusal_with(96, "100\n", bytes) == -PCPU_E_HOST);
		CHECK(refusal_with(97, "100\n", bytes) == -PCPU_E_MAPPINGS);
	}
}

TEST(the_time_does_not_change_the_answer)
{
	for (int i = 0; i < 4; i++, now++) {
		CHECK(refusal_with(96, "100\n", 7) == -PCPU_E_HOST);
		CHECK(refusal_with(97, "100\n", 7) == -PCPU_E_MAPPINGS);
	}
}

TEST(the_limit_may_be_the_largest_number_and_is_decimal)
{
	CHECK(refusal_with(97, "2147483647\n", 7) == -PCPU_E_HOST);
	CHECK(refusal_with(70, "0100\n", 7) == -PCPU_E_HOST);
	CHECK(refusal_with(9, "9", 7) == -PCPU_E_MAPPINGS);
	CHECK(refusal_with(5, "9", 7) == -PCPU_E_HOST);
}

TEST(a_host_that_does_not_say_has_no_memory)
{
	CHECK(refusal_with(97, NULL, 7) == -PCPU_E_HOST);
	CHECK(refusal_with(97, "", 7) == -PCPU_E_HOST);
	CHECK(refusal_with(-1, "4\n", 7) == -PCPU_E_HOST);
	CHECK(refusal_with(-1, "3\n", 7) == -PCPU_E_MAPPINGS);
}

TEST(another_error_is_not_that_of_mappings)
{
	CHECK(refusal_with(97, "100\n", 7) == -PCPU_E_MAPPINGS);
	CHECK(refusal(EINVAL) == -PCPU_E_HOST);
}

static void *give(void *arg, size_t size, size_t align)
{
	(void)arg;
	(void)size;
	(void)align;
	return NULL;
}

/* a hook may refuse for any reason */
TEST(a_hook_that_refuses_has_no_memory)
{
	const struct host host = { .hooks = { .reserve = give } };

	CHECK(refusal_with(97, "100\n", 7) == -PCPU_E_MAPPINGS);
	errno = ENOMEM;
	CHECK(host_refusal(&host, -PCPU_E_HOST) == -PCPU_E_HOST);
}

/* thousands of refusals may follow one another */
TEST(the_answer_holds_for_a_second)
{
	now &= ~(uint64_t)1;
	CHECK(refusal_with(97, "100\n", 7) == -PCPU_E_MAPPINGS);
	reads = 0;
	nr_maps = 5;
	now += 1000000000u;
	CHECK(refusal(ENOMEM) == -PCPU_E_MAPPINGS);
	CHECK(!reads);
	now += 1;
	CHECK(refusal(ENOMEM) == -PCPU_E_HOST);
	CHECK(reads > 0);
	nr_maps = 97;
	reads = 0;
	now += 999999998u;
	CHECK(refusal(ENOMEM) == -PCPU_E_HOST);
	CHECK(!reads);
}
