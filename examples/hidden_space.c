// SPDX-License-Identifier: GPL-2.0-only
/*
 * hidden_space.c [SIZE] - free per-CPU memory that Linux since 5.2 does not find
 *
 *	cc -O2 hidden_space.c -o hidden_space && sudo ./hidden_space
 *
 * A free inside one page, other than a chunk's first page, does not raise the
 * chunk's contig hint: pcpu_block_update_hint_free() in mm/percpu.c passes the
 * start of the run in the chunk, but its end in the block.  So a full chunk whose
 * areas are freed one by one stays in slot 0, and is not used.
 *
 * Fill two chunks with areas of SIZE bytes per CPU (1024; a power of two up to half
 * a page).  Free every second area, except in the first pages, and allocate as many
 * again (A).  Free one area in the first page of one chunk, and the rest of a page
 * of the other: both raise the hint.  Allocate as many again (B).
 *
 * An area is a BPF array of one value; the percpu events have its chunk and offset.
 * This needs root, bpf(2), tracefs, and memory for three chunks; all is undone at
 * the end.  Status 0: measured, whatever the result; 2: it could not measure.
 */
#define _GNU_SOURCE 1
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#define TRACEFS		"/sys/kernel/tracing"
#define STATS		"/sys/kernel/debug/percpu_stats"
#define MAX_AREAS	(1 << 20)	/* fs.nr_open, by default */
#define MAX_CHUNKS	4096
#define MIN_UNIT	32768	/* PCPU_MIN_UNIT_SIZE */
#define WAITS		6000	/* of 10 ms, at most */

struct chunk {
	uint64_t base;		/* address, perhaps hashed */
	unsigned long areas;	/* that we allocated in it */
	unsigned long frees;	/* that were reported for it */
};

struct area {
	struct chunk *chunk;	/* where it is */
	unsigned long off;	/* in bytes, in the chunk's units */
	int map;		/* file descriptor of its BPF map; -1: closed */
};

static struct chunk chunks[MAX_CHUNKS];
static struct area areas[MAX_AREAS];
static unsigned long nr_chunks, nr_areas, chunks_made;
static unsigned long size = 1024, page, unit;
static struct chunk *pair[2];		/* full of our areas */

static char instance[64];		/* of tracefs, our own */
static FILE *events;
static int mounted;			/* tracefs, by us */
static volatile sig_atomic_t stopped;

static void stop(int number)
{
	stopped = number;
}

static void clean_up(void)
{
	if (events)
		fclose(events);
	if (*instance && rmdir(instance))
		warn("rmdir %s", instance);
	if (mounted)
		umount(TRACEFS);
}

static void start_events(void)
{
	char path[128];
	FILE *file;

	atexit(clean_up);
	if (access(TRACEFS "/instances", F_OK)) {
		if (mount("tracefs", TRACEFS, "tracefs", 0, NULL))
			err(2, "no tracefs: mount " TRACEFS);
		mounted = 1;
	}
	snprintf(path, sizeof(path), TRACEFS "/instances/hidden_space.%d",
		 (int)getpid());
	if (mkdir(path, 0700))
		err(2, "no instance of tracefs: mkdir %s", path);
	strcpy(instance, path);
	snprintf(path, sizeof(path), "%s/trace_pipe", instance);
	events = fopen(path, "r");
	if (!events || fcntl(fileno(events), F_SETFL, O_NONBLOCK))
		err(2, "%s", path);
	snprintf(path, sizeof(path), "%s/events/percpu/enable", instance);
	file = fopen(path, "w");
	if (!file || fputs("1", file) < 0 || fclose(file))
		err(2, "no percpu events: %s", path);
}

/* Return the number after @key, which may be anywhere in the event. */
static uint64_t field(const char *event, const char *key, int base)
{
	const char *found = strstr(event, key);

	if (!found)
		errx(2, "an event without '%s': %s", key, event);
	return strtoull(found + strlen(key), NULL, base);
}

static struct chunk *find_chunk(const char *event)
{
	uint64_t base = field(event, " base_addr=", 16);
	unsigned long i;

	for (i = 0; i < nr_chunks; i++)
		if (chunks[i].base == base)
			return &chunks[i];
	if (nr_chunks == MAX_CHUNKS)
		errx(2, "more than %d chunks", MAX_CHUNKS);
	chunks[nr_chunks].base = base;
	return &chunks[nr_chunks++];
}

/*
 * Read the new events.  Return how many areas of our size this process got, and
 * where the last one is in @area.
 */
static int read_events(struct area *area)
{
	char line[4096], task[32];
	const char *event, *ours;
	int found = 0;

	snprintf(task, sizeof(task), "-%d ", (int)getpid());
	clearerr(events);
	while (fgets(line, sizeof(line), events)) {
		if (strstr(line, " [LOST "))
			errx(2, "the kernel lost events: %s", line);
		event = strstr(line, ": percpu_");
		ours = strstr(line, task);
		if (!event)
			continue;
		if (strstr(event, "percpu_create_chunk:")) {
			chunks_made++;
		} else if (strstr(event, "percpu_free_percpu:")) {
			find_chunk(event)->frees++;
		} else if (strstr(event, "percpu_alloc_percpu:") && ours &&
			   ours < event && field(event, " size=", 10) == size) {
			area->chunk = find_chunk(event);
			area->off = field(event, " off=", 10);
			found++;
		}
	}
	if (stopped)
		errx(2, "stopped by signal %d", (int)stopped);
	return found;
}

static struct area *allocate(void)
{
	struct area *area = &areas[nr_areas];
	union bpf_attr attr;

	if (nr_areas == MAX_AREAS)
		errx(2, "%d areas are too few; give a larger SIZE", MAX_AREAS);
	memset(&attr, 0, sizeof(attr));
	attr.map_type = BPF_MAP_TYPE_PERCPU_ARRAY;
	attr.key_size = sizeof(uint32_t);
	attr.value_size = (uint32_t)size;
	attr.max_entries = 1;
	area->map = (int)syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	if (area->map < 0)
		errx(2, "BPF map %lu: %s%s", nr_areas + 1, strerror(errno),
		     errno == EMFILE ? "; raise ulimit -n, or give a larger SIZE" :
		     errno == EPERM ? "; before Linux 5.11, raise ulimit -l" : "");
	if (read_events(area) != 1)
		errx(2, "BPF map %lu: not one event of PID %d with size=%lu; is this a PID namespace?",
		     nr_areas + 1, (int)getpid(), size);
	area->chunk->areas++;
	nr_areas++;
	return area;
}

/*
 * Free each @step-th area of @chunk that starts in [@from, @to).  The kernel does so
 * later: wait for its events.  Return the number of areas.
 */
static unsigned long release(struct chunk *chunk, unsigned long from,
			     unsigned long to, unsigned long step)
{
	unsigned long before, n = 0;
	struct area *area, other;
	int i;

	read_events(&other);
	before = chunk->frees;
	for (area = areas; area < areas + nr_areas; area++) {
		if (area->chunk != chunk || area->map < 0 || area->off < from ||
		    area->off >= to || area->off / size % step != step - 1)
			continue;
		close(area->map);
		area->map = -1;
		n++;
	}
	for (i = 0; chunk->frees < before + n; i++) {
		if (i == WAITS)
			errx(2, "the kernel freed only %lu of %lu areas",
			     chunk->frees - before, n);
		usleep(10000);
		read_events(&other);
	}
	return n;
}

/* A chunk is full if our areas reach from its start to the end of a unit. */
static void fill_two_chunks(void)
{
	struct chunk *chunk;
	struct area *area;
	int full = 0;

	while (full < 2) {
		area = allocate();
		if (unit < area->off + size)
			unit = area->off + size;
		if (unit < MIN_UNIT || unit % page)
			continue;
		/* the unit may be larger still, unless this area is elsewhere */
		full = 0;
		for (chunk = chunks; chunk < chunks + nr_chunks; chunk++)
			if (chunk->areas * size == unit &&
			    chunk != area->chunk && full < 2)
				pair[full++] = chunk;
	}
	release(area->chunk, area->off, area->off + 1, 1);
}

static long read_percpu_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	char line[256];
	long kib = -1;

	while (file && kib < 0 && fgets(line, sizeof(line), file))
		sscanf(line, "Percpu: %ld", &kib);
	if (file)
		fclose(file);
	return kib;
}

/* Wait until the allocator's worker is done: half a second without a change. */
static long settled_kib(void)
{
	long last, kib = -1;
	struct area other;
	int i, same = 0;

	for (i = 0; i < WAITS && same < 50; i++) {
		usleep(10000);
		read_events(&other);
		last = kib;
		kib = read_percpu_kib();
		same = kib == last ? same + 1 : 0;
	}
	return kib;
}

/* Allocate @n areas, print where they are, and return how many are in the pair. */
static unsigned long measure(char name, unsigned long n)
{
	unsigned long i, inside = 0, made = chunks_made;
	long kib = settled_kib();
	struct chunk *chunk;

	for (i = 0; i < n; i++) {
		chunk = allocate()->chunk;
		inside += chunk == pair[0] || chunk == pair[1];
	}
	kib = settled_kib() - kib;
	printf("%c: %-6lu allocated %18lu %13lu %13lu %+9ld kB\n", name, n,
	       inside, n - inside, chunks_made - made, kib);
	return inside;
}

/* Print what the kernel's own statistics have about chunks with @free_bytes. */
static void print_stats(unsigned long free_bytes)
{
	FILE *file = fopen(STATS, "r");
	unsigned long contig, found = 0;
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		sscanf(line, " free_bytes : %lu", &found);
		if (sscanf(line, " contig_bytes : %lu", &contig) == 1 &&
		    found == free_bytes)
			printf("percpu_stats: free_bytes %lu, contig_bytes %lu\n",
			       found, contig);
	}
	if (file)
		fclose(file);
}

/* A map is a file, and counts as locked memory before Linux 5.11. */
static void raise_limits(void)
{
	struct rlimit memory = { RLIM_INFINITY, RLIM_INFINITY };
	struct rlimit files = { MAX_AREAS, MAX_AREAS };

	setrlimit(RLIMIT_MEMLOCK, &memory);
	if (setrlimit(RLIMIT_NOFILE, &files)) {
		getrlimit(RLIMIT_NOFILE, &files);
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
}

static void print_kernel(void)
{
	FILE *file = fopen("/sys/devices/system/cpu/possible", "r");
	char cpus[256] = "unknown";
	struct utsname name;

	if (file && fscanf(file, "%255s", cpus) >= 0)
		fclose(file);
	uname(&name);
	printf("Linux %s %s\n", name.release, name.version);
	printf("possible CPUs %s, units of %lu bytes\n", cpus, unit);
}

int main(int argc, char **argv)
{
	unsigned long n, a, b, one, rest;
	char *end;

	page = (unsigned long)sysconf(_SC_PAGESIZE);
	if (argc > 1) {
		size = strtoul(argv[1], &end, 10);
		if (*end)
			size = 0;
	}
	if (argc > 2 || size < 8 || size > page / 2 || size & (size - 1))
		errx(2, "SIZE is a power of two from 8 to %lu", page / 2);
	if (geteuid())
		errx(2, "this needs root; try sudo %s", argv[0]);
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	signal(SIGHUP, stop);
	raise_limits();
	start_events();

	fill_two_chunks();
	print_kernel();
	printf("filled: 2 chunks with %lu areas of %lu bytes each\n", unit / size,
	       size);
	n = release(pair[0], page, unit, 2) + release(pair[1], page, unit, 2);
	printf("freed: %lu areas, %lu bytes\n", n, n * size);
	print_stats(n / 2 * size);
	printf("%38s %13s %13s %12s\n", "in the two chunks", "elsewhere",
	       "chunks made", "Percpu:");
	a = measure('A', n);
	one = release(pair[0], 0, 1, 1);
	rest = release(pair[1], page, 2 * page, 1);
	printf("freed: %lu area in a first page, %lu in one page\n", one, rest);
	b = measure('B', n);
	puts(!a && b == n ? "hidden: A uses none of the free space, B does" :
	     a == n ? "used: A uses the free space" :
	     "unclear: A or B uses a part of the free space");
	return 0;
}
