// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_lifecycle.c - creation from a config, and errors of every function.
 */
#define _GNU_SOURCE 1	/* sysconf, memfd_create */
#include <sys/mman.h>
#include <unistd.h>

#include "small.h"

static char last_text[160];

static void note_refusal(void *arg, int about, const char *text)
{
	(void)arg;
	CHECK(about == PCPU_LOG_REFUSED);
	snprintf(last_text, sizeof(last_text), "%s", text);
}

TEST(the_version_is_that_of_the_header)
{
	char want[32];

	snprintf(want, sizeof(want), "%d.%d.%d", PCPU_VERSION_MAJOR,
		 PCPU_VERSION_MINOR, PCPU_VERSION_PATCH);
	CHECK(!strcmp(pcpu_version(), want));
}

/* structures may differ: only the first three fields are read */
TEST(a_header_of_another_version_is_refused_and_both_are_named)
{
	struct pcpu_config config = small_config(2);
	char want[160];
	int error = 0;

	config.log = note_refusal;
	config.version = (PCPU_VERSION & ~(uint64_t)0xffffff) | 0x020304;
	last_text[0] = 0;
	CHECK(!pcpu_create(&config, &error));
	CHECK(error == -PCPU_E_VERSION);
	snprintf(want, sizeof(want), "percpu.h has version 2.3.4, the library "
		 "%s: use the library's header", pcpu_version());
	CHECK(!strcmp(last_text, want));
}

/* without a version the position of the field `log` is unknown */
TEST(a_missing_version_is_refused_without_a_message)
{
	struct pcpu_config config = small_config(2);
	int error = 0;

	config.log = note_refusal;
	config.version = 0;
	last_text[0] = 0;
	CHECK(!pcpu_create(&config, &error));
	CHECK(error == -PCPU_E_VERSION);
	CHECK(!last_text[0]);
}

/* 0.2.0 and 0.2.7 have the same structures */
TEST(a_header_of_another_patch_version_is_accepted)
{
	struct pcpu_config config = small_config(2);

	config.version = PCPU_VERSION ^ 7;
	pcpu_destroy(create(&config));
}

/* a missing check would end the process with SIGSEGV */
TEST(a_null_handle_is_an_error_of_every_function)
{
	struct pcpu_config config = small_config(2);
	struct pcpu_location location;
	struct pcpu_pin pin = { 0 };
	struct pcpu_replay replay = { 0 };
	struct pcpu_info info;
	struct pcpu_work work[2];
	uint64_t calls[PCPU_NR_SERVICES];
	int64_t ptr = 64;
	size_t at;
	int error = 0;

	CHECK(!pcpu_create(NULL, &error) && error == -PCPU_E_NULL);
	config.cpus = 0;
	CHECK(!pcpu_create(&config, NULL));
	CHECK(pcpu_close(NULL) == -PCPU_E_NULL);
	pcpu_destroy(NULL);
	CHECK(pcpu_alloc(NULL, 8, 8) == -PCPU_E_NULL);
	CHECK(pcpu_free(NULL, 64) == -PCPU_E_NULL);
	CHECK(pcpu_locate(NULL, 64, &location) == -PCPU_E_NULL);
	CHECK(pcpu_address(NULL, 64, 0) == -PCPU_E_NULL);
	CHECK(pcpu_pin(NULL, 64, 0, &pin) == -PCPU_E_NULL);
	pcpu_unpin(NULL);
	CHECK(pcpu_alloc_many(NULL, &ptr, 8, 1, 8, &ptr, &at) == -PCPU_E_NULL);
	CHECK(pcpu_free_many(NULL, &ptr, 8, 1, &at) == -PCPU_E_NULL);
	CHECK(pcpu_replay(NULL, &replay, 0, 0) == -PCPU_E_NULL);
	CHECK(!pcpu_snapshot_take(NULL, &error) && error == -PCPU_E_NULL);
	pcpu_snapshot_free(NULL);
	CHECK(pcpu_info(NULL, &info) == -PCPU_E_NULL);
	CHECK(pcpu_counters(NULL, calls) == -PCPU_E_NULL);
	CHECK(pcpu_work(NULL, &work[0], &work[1]) == -PCPU_E_NULL);
	CHECK(pcpu_inject(NULL, PCPU_MAP, NULL) == -PCPU_E_NULL);
}

TEST(a_null_pointer_for_a_result_is_an_error)
{
	struct pcpu *pcpu = small(2);
	struct pcpu_snapshot *snapshot;
	struct pcpu_work work;
	int64_t ptr = pcpu_alloc(pcpu, 8, 8);
	size_t at;

	CHECK(pcpu_locate(pcpu, ptr, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_pin(pcpu, ptr, 0, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_alloc_many(pcpu, &ptr, 8, 1, 8, NULL, &at) == -PCPU_E_NULL);
	CHECK(pcpu_alloc_many(pcpu, NULL, 8, 1, 8, &ptr, &at) == -PCPU_E_NULL);
	CHECK(pcpu_alloc_many(pcpu, &ptr, 8, 1, 8, &ptr, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_free_many(pcpu, NULL, 8, 1, &at) == -PCPU_E_NULL);
	CHECK(pcpu_free_many(pcpu, &ptr, 8, 1, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_replay(pcpu, NULL, 0, 0) == -PCPU_E_NULL);
	CHECK(pcpu_replay_check(NULL, 0) == -PCPU_E_NULL);
	CHECK(pcpu_info(pcpu, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_counters(pcpu, NULL) == -PCPU_E_NULL);
	CHECK(pcpu_work(pcpu, NULL, &work) == -PCPU_E_NULL);
	CHECK(pcpu_work(pcpu, &work, NULL) == -PCPU_E_NULL);
	/* no pointers are read or written */
	CHECK(!pcpu_alloc_many(pcpu, NULL, 8, 0, 8, NULL, &at));
	CHECK(!pcpu_free_many(pcpu, NULL, 8, 0, &at));
	/* the error pointer is optional */
	snapshot = pcpu_snapshot_take(pcpu, NULL);
	CHECK(snapshot);
	pcpu_snapshot_free(snapshot);
	CHECK(!pcpu_close(pcpu));
	CHECK(!pcpu_snapshot_take(pcpu, NULL));
	pcpu_destroy(pcpu);
}

/*
 * Two allocators of one geometry:
 *
 *	64       2112                1 MiB + 64
 *	|---a----|-|----a----|- ...  |---b----|-|----b----|-
 */
TEST(the_first_pointer_can_be_chosen)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *a = create(&config), *b;
	int64_t in_a, in_b;

	config.first_ptr = (1 << 20) + PAGE;
	b = create(&config);
	CHECK(info_of(b).static_ptr == config.first_ptr);
	for (int i = 0; i < 3; i++) {
		in_a = pcpu_alloc(a, UNIT / 2, 8);
		in_b = pcpu_alloc(b, UNIT / 2, 8);
		CHECK(in_b == in_a + (1 << 20));
		CHECK(pcpu_free(a, in_b) == -PCPU_E_WILD);
		CHECK(pcpu_free(b, in_a) == -PCPU_E_WILD);
	}
	CHECK(!pcpu_free(a, in_a) && !pcpu_free(b, in_b));
	pcpu_destroy(a);
	pcpu_destroy(b);
}

TEST(another_first_pointer_translates_to_the_same_memory)
{
	for (int i = PCPU_FIRST_4K; i <= PCPU_FIRST_REMAP; i++) {
		static const char image[] = "static";
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu;
		int64_t ptr;

		config.first_chunk = i;
		config.first_ptr = (int64_t)1 << 40;
		config.static_image = image;
		config.static_image_size = sizeof(image);
		pcpu = create(&config);
		ptr = pcpu_alloc(pcpu, 8, 8);
		CHECK(ptr == config.first_ptr + STATIC);
		for (int cpu = 0; cpu < 2; cpu++) {
			char *start = (char *)(uintptr_t)
				pcpu_address(pcpu, config.first_ptr, cpu);

			CHECK(!strcmp(start, image));
			start[STATIC] = (char)cpu;
			CHECK(pcpu_address(pcpu, ptr, cpu) ==
			      (int64_t)(uintptr_t)(start + STATIC));
		}
		pcpu_destroy(pcpu);
	}
}

TEST(a_first_pointer_is_page_aligned_and_at_most_2_to_the_61)
{
	const int64_t bad[] = { -PAGE, 1, PAGE + 1, PAGE / 2, INT64_MAX,
				((int64_t)1 << 61) + PAGE };
	struct pcpu_config config = small_config(2);
	int error;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		config.first_ptr = bad[i];
		CHECK(!pcpu_create(&config, &error));
		CHECK(error == -PCPU_E_CONFIG);
	}
	config.first_ptr = (int64_t)1 << 61;
	pcpu_destroy(create(&config));
}

/* the first chunk is a vm area, or a block without a guard page */
TEST(the_address_space_may_be_small)
{
	int64_t page = sysconf(_SC_PAGESIZE);
	int64_t chunk = 2 * 16 * page;

	for (int i = PCPU_FIRST_4K; i <= PCPU_FIRST_EMBED; i++) {
		int64_t least = chunk + (i == PCPU_FIRST_4K ? page : 0);
		struct pcpu_config config = mapped_config(2);
		struct pcpu *pcpu;
		int error;

		config.first_chunk = i;
		config.address_space = least - 1;
		CHECK(!pcpu_create(&config, &error));
		CHECK(error == -PCPU_E_CONFIG);

		/* there is room for the first chunk only */
		config.address_space = least;
		pcpu = create(&config);
		CHECK(pcpu_alloc(pcpu, 8, 8) > 0);
		CHECK(pcpu_alloc(pcpu, 16 * page, 8) == NOMEM(GET_VM_AREA));
		pcpu_destroy(pcpu);

		config.address_space = least + chunk + page;
		pcpu = create(&config);
		CHECK(pcpu_alloc(pcpu, 16 * page, 8) > 0);
		CHECK(pcpu_alloc(pcpu, 16 * page, 8) == NOMEM(GET_VM_AREA));
		pcpu_destroy(pcpu);
	}
}

TEST(without_memory_nothing_is_reserved_and_no_limit_holds)
{
	struct pcpu_config config = small_config(2);
	struct pcpu *pcpu;

	config.address_space = 1;
	pcpu = create(&config);
	for (int i = 0; i < 10; i++)
		CHECK(pcpu_alloc(pcpu, UNIT, 8) > 0);
	pcpu_destroy(pcpu);
}

TEST(an_address_space_is_not_negative)
{
	struct pcpu_config config = small_config(2);
	int error;

	config.address_space = -1;
	CHECK(!pcpu_create(&config, &error) && error == -PCPU_E_CONFIG);
}

/* a warning, a refusal, and a leak, which is not printed */
TEST(without_a_log_function_all_messages_except_leaks_go_to_stderr)
{
	static char text[512], want[512];
	struct pcpu_config config = small_config(2);
	int file = memfd_create("stderr", 0), stderr_was = dup(2);
	struct pcpu *pcpu;
	int error;

	dup2(file, 2);
	pcpu = create(&config);
	pcpu_alloc(pcpu, 8, 8);
	pcpu_alloc(pcpu, 0, 8);
	pcpu_destroy(pcpu);
	config.version = PCPU_VERSION + (1 << 8);
	pcpu_create(&config, &error);
	dup2(stderr_was, 2);
	CHECK(pread(file, text, sizeof(text) - 1, 0) > 0);
	snprintf(want, sizeof(want), "percpu: WARNING: illegal size or align for "
		 "percpu allocation\n"
		 "percpu: percpu.h has version %d.%d.%d, the library %s: "
		 "use the library's header\n", PCPU_VERSION_MAJOR,
		 PCPU_VERSION_MINOR + 1, PCPU_VERSION_PATCH, pcpu_version());
	CHECK(!strcmp(text, want));
	close(stderr_was);
	close(file);
}
