// SPDX-License-Identifier: GPL-2.0-only
/*
 * embedder.c - a program that uses only percpu.h and the library.
 *
 * For a while libpercpu.so hid all of its functions.  No other test noticed,
 * because they all link the object files.
 */
#include "percpu.h"

int main(void)
{
	struct pcpu_config config = { .version = PCPU_VERSION, .cpus = 2, .static_size = 64 };
	int error;
	struct pcpu *pcpu = pcpu_create(&config, &error);
	int64_t ptr;

	if (!pcpu)
		return 1;
	ptr = pcpu_alloc(pcpu, 8, 8);
	if (ptr <= 0 || pcpu_address(pcpu, ptr, 1) <= 0)
		return 1;
	error = pcpu_free(pcpu, ptr);
	pcpu_destroy(pcpu);
	return error != 0;
}
