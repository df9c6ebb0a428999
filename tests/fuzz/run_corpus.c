// SPDX-License-Identifier: GPL-2.0-only
/*
 * run_corpus.c - run a fuzzer without libFuzzer, with any compiler.
 *
 *	fuzz_x NUMBER [FILE...]
 *
 * runs NUMBER random inputs, the same in every run, and the stored inputs.  If
 * V is set, it prints the name of each input before running it, so the last
 * name is that of the input that failed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "../c/pick.h"
#include "fuzz.h"

#define MAX_RANDOM	600	/* bytes of a random input */

/* the buffer has exactly the file's size, so that ASan detects any overrun */
static uint8_t *read_file(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data = NULL;
	size_t room = 0, got;

	if (!file)
		return NULL;
	*size = 0;
	do {
		room += 65536;
		data = realloc(data, room);
		if (!data)
			break;
		got = fread(data + *size, 1, room - *size, file);
		*size += got;
	} while (*size == room);
	fclose(file);
	return data ? realloc(data, *size ? *size : 1) : NULL;
}

static void log_input(const char *what, int i)
{
	if (getenv("V"))
		fprintf(stderr, "%s %d\n", what, i);
}

/* the buffer has exactly the input's size, see read_file() */
static void run_random(void)
{
	size_t size = pick(MAX_RANDOM) + 1;
	uint8_t *data = malloc(size);

	if (!data)
		abort();
	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)pick(256);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

static bool run_file(const char *path)
{
	size_t size;
	uint8_t *data = read_file(path, &size);

	if (!data) {
		perror(path);
		return false;
	}
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	return true;
}

int main(int argc, char **argv)
{
	int randoms = argc > 1 ? atoi(argv[1]) : 0;

	for (int i = 0; i < randoms; i++) {
		log_input("random input", i);
		run_random();
	}
	for (int i = 2; i < argc; i++) {
		log_input(argv[i], i - 1);
		if (!run_file(argv[i]))
			return 1;
	}
	printf("%d random and %d stored inputs passed\n", randoms,
	       argc > 2 ? argc - 2 : 0);
	return 0;
}
