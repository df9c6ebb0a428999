/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * harness.h - runs the tests of one program, silent but for what fails.
 *
 * TEST(name) { ... } defines a test and enlists it; main() is here.
 */
#ifndef TEST_HARNESS_H
#define TEST_HARNESS_H

#include <stdio.h>

struct test {
	const char *name;	/* printed when it fails */
	void (*run)(void);	/* what it does */
	struct test *next;	/* in the order of the source */
};

static struct test *tests, **tests_end = &tests;
static const char *test_name;	/* the test that runs */
static int test_failures;	/* checks of it that failed */

/* enlisted before main(), so a test cannot be forgotten in a list */
#define TEST(name)						\
	static void name(void);					\
	__attribute__((constructor)) static void enlist_##name(void) \
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
	/* a check in a loop says it a few times only */
	if (test_failures++ < 5)
		fprintf(stderr, "%s:%d: %s: %s\n", file, line, test_name,
			expr);
}

int main(void)
{
	int passed = 0, failed = 0;

	for (const struct test *test = tests; test; test = test->next) {
		test_name = test->name;
		test_failures = 0;
		test->run();
		*(test_failures ? &failed : &passed) += 1;
	}
	printf("%d passed, %d failed\n", passed, failed);
	return failed != 0;
}

#endif /* TEST_HARNESS_H */
