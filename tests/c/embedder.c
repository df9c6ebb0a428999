// SPDX-License-Identifier: GPL-2.0-only
/*
 * embedder.c - a program that knows percpu.h and the library, no more.
 *
 * libpercpu.so was built with all of its functions hidden for a while, and no
 * test noticed: they all link the objects.
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
