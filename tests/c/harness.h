/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * harness.h - runs the tests of one program and prints those that fail.
 *
 * TEST(name) { ... } defines a test and registers it; main() is here.  A test that
 * finds out that this host cannot run it calls skip() with the reason.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <stdbool.h>
#include <stdio.h>

struct test {
	const char *name;	/* printed when it fails */
	void (*run)(void);	/* its code */
	struct test *next;	/* in the order of the source */
};

static struct test *tests, **tests_end = &tests;
static const char *test_name;	/* of the running test */
static int test_failures;	/* failed checks of the running test */
static bool test_skipped;	/* the running test */

/* a program may define how often each test runs, and use the run's number */
#ifndef RUNS
#define RUNS	1
#endif
static int __attribute__((unused)) run_nr;

/* a constructor registers the test, so that no list can omit it */
#define TEST(name)						\
	static void name(void);					\
	__attribute__((constructor)) static void add_##name(void)	\
	{							\
		static struct test self = { #name, name, NULL }; \
		*tests_end = &self;				\
		tests_end = &self.next;				\
	}							\
	static void name(void)

#define CHECK(cond) \
	((cond) ? (void)0 : check_failed(__FILE__, __LINE__, #cond))

static inline void check_failed(const char *file, int line, const char *expr)
{
	/* a check in a loop prints at most five lines */
	if (test_failures++ < 5)
		fprintf(stderr, "%s:%d: %s: %s\n", file, line, test_name,
			expr);
}

/* what this host does not do, such as an emulator; the test returns then */
static inline void skip(const char *reason)
{
	test_skipped = true;
	fprintf(stderr, "%s: skipped: %s\n", test_name, reason);
}

int main(void)
{
	int passed = 0, failed = 0, skipped = 0;

	for (const struct test *test = tests; test; test = test->next) {
		test_name = test->name;
		test_failures = 0;
		test_skipped = false;
		for (run_nr = 0; run_nr < RUNS; run_nr++)
			test->run();
		*(test_failures ? &failed :
		  test_skipped ? &skipped : &passed) += 1;
	}
	printf("%d passed, %d failed", passed, failed);
	if (skipped)
		printf(", %d skipped", skipped);
	puts("");
	return failed != 0;
}

#endif /* TEST_HARNESS_H */
