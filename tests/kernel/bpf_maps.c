// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf_maps STEPS SEED - make, fill and close random BPF maps with per-CPU values.
 *
 * An array of a few large values needs several chunks.  A hash without preallocation
 * takes its areas by atomic requests, when values are stored.
 */
#include <linux/bpf.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAPS		48	/* open at a time, at most */
#define ARRAY_KEYS	64	/* at most */
#define HASH_KEYS	16	/* at most: the kernel may refuse atomic requests */
#define HASH_VALUE	512	/* bytes, at most */
#define CPUS		8192	/* that a kernel for x86 supports */

/* what bpf(2) stores: a value for each possible CPU */
static unsigned char values[HASH_VALUE * CPUS];
static uint64_t state;

static unsigned int below(unsigned int n)
{
	state = state * 6364136223846793005u + 1442695040888963407u;
	return (unsigned int)(state >> 33) % n;
}

static int bpf(int command, union bpf_attr *attr)
{
	return (int)syscall(SYS_bpf, command, attr, sizeof(*attr));
}

static int make_map(unsigned int type, unsigned int value, unsigned int keys)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_type = type;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = value;
	attr.max_entries = keys;
	if (type == BPF_MAP_TYPE_PERCPU_HASH)
		attr.map_flags = BPF_F_NO_PREALLOC;
	return bpf(BPF_MAP_CREATE, &attr);
}

static void store(int map, uint32_t key)
{
	union bpf_attr attr;

	memset(&attr, 0, sizeof(attr));
	attr.map_fd = (uint32_t)map;
	attr.key = (uintptr_t)&key;
	attr.value = (uintptr_t)values;
	bpf(BPF_MAP_UPDATE_ELEM, &attr);
}

static int make_hash(void)
{
	unsigned int keys = 1 + below(HASH_KEYS);
	int map = make_map(BPF_MAP_TYPE_PERCPU_HASH, 8 + below(HASH_VALUE - 8),
			   keys);
	uint32_t key;

	for (key = 0; map >= 0 && key < keys; key++)
		store(map, key);
	return map;
}

static int make_array(void)
{
	unsigned int value = 8u << below(13);	/* up to 32 KiB */

	return make_map(BPF_MAP_TYPE_PERCPU_ARRAY, value - below(value / 2),
			1 + below(ARRAY_KEYS));
}

int main(int argc, char **argv)
{
	int maps[MAPS];
	int step;
	int n;

	if (argc != 3)
		return 2;
	state = strtoull(argv[2], NULL, 10);
	for (n = 0; n < MAPS; n++)
		maps[n] = -1;
	for (step = 0; step < atoi(argv[1]); step++) {
		n = (int)below(MAPS);
		if (maps[n] >= 0) {
			close(maps[n]);
			maps[n] = -1;
		} else {
			maps[n] = below(4) ? make_array() : make_hash();
		}
	}
	return 0;
}
