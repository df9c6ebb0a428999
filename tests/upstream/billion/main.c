// SPDX-License-Identifier: GPL-2.0-only
/*
 * main.c - compare port and 2009 file for a billion operations.
 */
#define _GNU_SOURCE 1
#include <getopt.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "campaign.h"
#include "lie.h"

static const char usage[] =
	"usage: billion [--operations N] [--seed N] [--jobs N]\n"
	"               [--resume FILE] [--case N] [--self-test]\n"
	"\n"
	"  --operations  how many at least (1,000,000,000)\n"
	"  --seed        of all cases (2009), which are the same each time\n"
	"  --jobs        processes (one for each CPU)\n"
	"  --resume      keep the progress in this file, and continue from it\n"
	"  --case        run only this case, and explain a difference\n"
	"  --self-test   report wrong figures of the port: are they noticed?\n";

static bool read_number(const char *text, uint64_t *number)
{
	char *end;

	*number = strtoull(text, &end, 10);
	return *text >= '0' && *text <= '9' && !*end;
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "operations", required_argument, NULL, 'o' },
		{ "seed", required_argument, NULL, 's' },
		{ "jobs", required_argument, NULL, 'j' },
		{ "resume", required_argument, NULL, 'r' },
		{ "case", required_argument, NULL, 'c' },
		{ "self-test", no_argument, NULL, 't' },
		{ NULL, 0, NULL, 0 },
	};
	uint64_t jobs = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN);
	struct campaign campaign = { .operations = 1000000000, .seed = 2009 };
	enum campaign_result result;
	uint64_t number = 0;
	bool only_one = false;
	bool self_test = false;
	bool good = true;
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 'o': good &= read_number(optarg, &campaign.operations);
			  break;
		case 's': good &= read_number(optarg, &campaign.seed); break;
		case 'j': good &= read_number(optarg, &jobs); break;
		case 'r': campaign.file = optarg; break;
		case 'c': good &= read_number(optarg, &number);
			  only_one = true;
			  break;
		case 't': self_test = true; break;
		default: good = false;
		}
	}
	if (!good || optind < argc || jobs < 1 || jobs > 64) {
		fputs(usage, stderr);
		return CAMPAIGN_FAILED;
	}
	if (self_test)
		return lie_self_test() ? CAMPAIGN_DIFFERS : CAMPAIGN_ALIKE;
	if (only_one)
		return campaign_run_case(campaign.seed, number);
	campaign.jobs = (int)jobs;
	result = campaign_run(&campaign);
	if (result != CAMPAIGN_FAILED) {
		campaign_print(&campaign);
		printf("%-46s%15d\n", "differences",
		       result == CAMPAIGN_DIFFERS);
	}
	return result;
}
