// SPDX-License-Identifier: GPL-2.0-only
/*
 * progress.c - keep the progress of a campaign in a file.
 *
 * The file is replaced as a whole, so it is valid at any moment.  It holds the
 * totals of the first cases, all of them finished.  It belongs to one seed and
 * one build of the program: with another build the cases may be others.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"

/* FNV-1a, by Fowler, Noll and Vo, of the running program */
static uint64_t build_id(void)
{
	FILE *program = fopen("/proc/self/exe", "rb");
	uint64_t hash = 0xcbf29ce484222325u;
	int byte;

	while (program && (byte = getc(program)) != EOF)
		hash = (hash ^ (uint64_t)byte) * 0x100000001b3u;
	if (program)
		fclose(program);
	return hash;
}

/* read one line, a name and a number */
static bool read_number(FILE *file, const char *name, uint64_t *number)
{
	char found[64];

	return fscanf(file, " %63s %" SCNu64, found, number) == 2 &&
	       !strcmp(found, name);
}

static bool read_file(FILE *file, struct campaign *campaign)
{
	uint64_t seed, build;

	if (!read_number(file, "seed", &seed) ||
	    !read_number(file, "build", &build) ||
	    !read_number(file, "done", &campaign->done) ||
	    !read_number(file, "milliseconds", &campaign->milliseconds))
		return false;
#define READ(name, text)						\
	if (!read_number(file, #name, &campaign->totals.name))		\
		return false;
	SUMS(READ)
	MAXIMA(READ)
#undef READ
	return seed == campaign->seed && build == build_id();
}

/**
 * progress_load - read the progress of an earlier run, if there is any
 * @campaign: the seed and the name of the file are set; the rest is read
 *
 * Return: false if the file is of another campaign or cannot be read.
 */
bool progress_load(struct campaign *campaign)
{
	FILE *file = fopen(campaign->file, "r");
	bool good;

	if (!file && errno == ENOENT)
		return true;
	good = file && read_file(file, campaign);
	if (file)
		fclose(file);
	if (!good)
		fprintf(stderr, "%s: not the progress of seed %" PRIu64
			" and this build of the program: delete it, or name "
			"another file\n", campaign->file, campaign->seed);
	return good;
}

/**
 * progress_save - replace the file
 * @campaign: what to keep
 *
 * Return: false if it cannot be written.
 */
bool progress_save(const struct campaign *campaign)
{
	char new[4096];
	FILE *file;
	bool good;

	snprintf(new, sizeof(new), "%s.new", campaign->file);
	file = fopen(new, "w");
	if (!file) {
		perror(new);
		return false;
	}
	fprintf(file, "seed %" PRIu64 "\nbuild %" PRIu64 "\ndone %" PRIu64
		"\nmilliseconds %" PRIu64 "\n", campaign->seed, build_id(),
		campaign->done, campaign->milliseconds);
#define WRITE(name, text)						\
	fprintf(file, #name " %" PRIu64 "\n", campaign->totals.name);
	SUMS(WRITE)
	MAXIMA(WRITE)
#undef WRITE
	good = !fflush(file) && !fsync(fileno(file));
	good = !fclose(file) && good;
	if (!good || rename(new, campaign->file)) {
		perror(new);
		return false;
	}
	return true;
}
