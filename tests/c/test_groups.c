// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_groups.c - the slots of area maps, and the groups of chunks on each.
 *
 * Chunks have letters for names here, and no address space.  "cab" are chunks
 * on a slot, the first one c.  "30c 31a|0b" are their groups: c is in seat 30 of
 * the first group, which has 32 seats, b in seat 0 of the second one.
 */
#include "area_map/chunk.h"

#include <stdlib.h>
#include <string.h>

#include "grouped.h"
#include "harness.h"
#include "hints.h"
#include "pick.h"

#define UNIT	1024	/* bytes */
#define SLOTS	10	/* slot 9 is for empty chunks */
#define NAMES	58	/* from A to z */
#define ALPHABET	"abcdefghijklmnopqrstuvwxyz"

static struct pcpu pcpu;
static struct list_head slots[SLOTS];
static struct area_map_chunk chunks[NAMES];

static int hint_of(const struct pcpu_chunk *chunk)
{
	return chunk_map(chunk)->contig_hint;
}

static void start(void)
{
	memset(&pcpu, 0, sizeof(pcpu));
	memset(chunks, 0, sizeof(chunks));
	pcpu.slots = slots;
	pcpu.geo.unit_size = UNIT;
	pcpu.geo.nr_slots = SLOTS;
	for (int slot = 0; slot < SLOTS; slot++)
		list_init(&slots[slot]);
	for (int i = 0; i < NAMES; i++)
		list_init(&chunks[i].chunk.list);
	pcpu_groups_init(&pcpu, hint_of);
}

static struct area_map_chunk *named(char name)
{
	return &chunks[name - 'A'];
}

static char name_of(const struct area_map_chunk *chunk)
{
	return (char)('A' + (chunk - chunks));
}

static void set_map(char name, int free_size, int hint)
{
	named(name)->map.free_size = free_size;
	named(name)->map.contig_hint = hint;
}

static void start_on_slot(struct area_map_chunk *chunk)
{
	pcpu_group_add(&pcpu, &chunk->chunk);
	chunk->slot = -1;
	pcpu_chunk_relocate(&pcpu, chunk);
}

/* add chunks, each to the front of the slot for so many free bytes */
static void add(const char *names, int free_size)
{
	for (; *names; names++) {
		set_map(*names, free_size, free_size);
		start_on_slot(named(*names));
	}
}

/* after a change of their maps, chunks have so many bytes free, in one range */
static void change(const char *names, int free_size)
{
	for (; *names; names++) {
		set_map(*names, free_size, free_size);
		pcpu_chunk_relocate(&pcpu, named(*names));
	}
}

/* add them to the back of slot 6, with 256 to 511 free bytes */
static void add_to_back(const char *names)
{
	add(names, 512);
	change(names, 256);
}

static const char *list_of(int slot)
{
	static char text[NAMES + 1];
	struct list_head *pos;
	char *at = text;

	list_for_each(pos, &slots[slot])
		*at++ = name_of(list_entry(pos, struct area_map_chunk,
					   chunk.list));
	*at = '\0';
	return text;
}

static const char *groups_of(int slot)
{
	static char text[NAMES * 5 + 1];
	struct list_head *pos;
	char *at = text;

	list_for_each(pos, &pcpu.slot_groups[slot]) {
		struct pcpu_group *group =
			list_entry(pos, struct pcpu_group, list);
		const char *sep = at == text ? "" : "|";

		for (int seat = 0; seat < 32; seat++) {
			if (!(group->seats & (uint32_t)1 << seat))
				continue;
			at += sprintf(at, "%s%d%c", sep, seat,
				      name_of(to_area_map(group->chunk[seat])));
			sep = " ";
		}
	}
	*at = '\0';
	return text;
}

#define CHECK_LIST(slot, text)	CHECK(same_text(list_of(slot), text))
#define CHECK_GROUPS(slot, text) CHECK(same_text(groups_of(slot), text))

/* --- slots */

TEST(each_slot_covers_a_power_of_two)
{
	CHECK(__pcpu_size_to_slot(0) == 1);	/* 0 has no highest bit */
	CHECK(__pcpu_size_to_slot(1) == 1);
	CHECK(__pcpu_size_to_slot(15) == 1);
	CHECK(__pcpu_size_to_slot(16) == 2);
	CHECK(__pcpu_size_to_slot(31) == 2);
	CHECK(__pcpu_size_to_slot(32) == 3);
	CHECK(__pcpu_size_to_slot(65536) == 14);
	CHECK(pcpu_fls(0) == 0);
}

TEST(an_empty_chunk_has_the_last_slot_and_a_full_one_slot_0)
{
	start();
	add("a", UNIT);
	CHECK_LIST(9, "a");
	change("a", UNIT - 1);
	CHECK_LIST(7, "a");
	change("a", 4);
	CHECK_LIST(1, "a");
	change("a", 3);
	CHECK_LIST(0, "a");
	set_map('a', 300, 4);
	pcpu_chunk_relocate(&pcpu, named('a'));
	CHECK_LIST(6, "a");
	set_map('a', 300, 3);	/* no usable free range */
	pcpu_chunk_relocate(&pcpu, named('a'));
	CHECK_LIST(0, "a");
}

TEST(a_chunk_that_moves_up_comes_first_and_one_that_moves_down_last)
{
	start();
	add("cba", 300);
	CHECK_LIST(6, "abc");
	change("b", 301);	/* it stays where it is */
	CHECK_LIST(6, "abc");
	change("ca", 200);
	CHECK_LIST(5, "ca");
	change("ac", 300);
	CHECK_LIST(6, "cab");
	CHECK(!named('a')->chunk.group && pcpu.slot_mask == (1 << 6 | 1 << 5));
}

/* also if it goes back to the slot that it came from, see "half-done" */
TEST(a_chunk_moves_by_the_slot_that_it_is_said_to_be_on)
{
	start();
	add("cba", 300);
	named('b')->slot = 5;
	change("b", 300);
	CHECK_LIST(6, "bac");
	pcpu_make_groups(&pcpu, 6);
	named('a')->slot = 7;
	change("a", 300);
	CHECK_LIST(6, "bca");
	CHECK_GROUPS(6, "0b 2c 3a");
	/* the last one of its slot leaves no groups there */
	change("bc", 200);
	named('a')->slot = 5;
	change("a", 300);
	CHECK_LIST(6, "a");
	CHECK_GROUPS(6, "");
	CHECK(!named('a')->chunk.group);
}

/* --- seats */

TEST(groups_are_made_of_32_chunks_that_follow_each_other)
{
	start();
	add_to_back(ALPHABET "ABCDEFGH");
	CHECK_GROUPS(6, "");
	pcpu_make_groups(&pcpu, 6);
	CHECK_GROUPS(6, "0a 1b 2c 3d 4e 5f 6g 7h 8i 9j 10k 11l 12m 13n 14o 15p "
			"16q 17r 18s 19t 20u 21v 22w 23x 24y 25z 26A 27B 28C "
			"29D 30E 31F|0G 1H");
	CHECK_LIST(6, ALPHABET "ABCDEFGH");
	CHECK(named('F')->chunk.group->nr_chunks == 32);
	CHECK(named('H')->chunk.group->nr_chunks == 2 && named('H')->chunk.seat == 1);
	CHECK(list_length(&pcpu.spare_groups) == 34 - 2);
}

/*
 * A seat that becomes free between others stays free.  Fewer groups are made
 * when there are many such seats:
 *
 *	before	|- - - d - ...  - F|G H|	after	|d F G H|
 */
TEST(groups_that_are_made_again_have_no_free_seats_between)
{
	start();
	add_to_back(ALPHABET "ABCDEFGH");
	pcpu_make_groups(&pcpu, 6);
	change("abcefghijklmnopqrstuvwxyzABCDE", 200);
	CHECK_GROUPS(6, "3d 31F|0G 1H");
	pcpu_make_groups(&pcpu, 6);
	CHECK_GROUPS(6, "0d 1F 2G 3H");
	CHECK_LIST(6, "dFGH");
	CHECK(list_length(&pcpu.spare_groups) == 34 - 1);
}

TEST(a_chunk_at_the_back_takes_the_next_seat_or_a_group)
{
	start();
	add_to_back(ALPHABET "ABCDE");
	pcpu_make_groups(&pcpu, 6);
	add_to_back("F");
	CHECK(named('F')->chunk.group == named('a')->chunk.group && named('F')->chunk.seat == 31);
	add_to_back("GH");
	CHECK(named('G')->chunk.group != named('a')->chunk.group);
	CHECK(named('G')->chunk.seat == 0 && named('H')->chunk.seat == 1);
	CHECK_LIST(6, ALPHABET "ABCDEFGH");
}

TEST(a_chunk_at_the_front_takes_the_seat_before_or_a_group)
{
	start();
	add("ba", 300);
	pcpu_make_groups(&pcpu, 6);
	add("dc", 300);
	CHECK_GROUPS(6, "30c 31d|0a 1b");
	CHECK_LIST(6, "cdab");
	change("c", 200);
	CHECK_GROUPS(6, "31d|0a 1b");
	add("c", 300);
	CHECK_GROUPS(6, "30c 31d|0a 1b");
}

/* so that the order of seats is that of the slot */
TEST(a_seat_that_becomes_free_between_others_stays_free)
{
	start();
	add_to_back("abcd");
	pcpu_make_groups(&pcpu, 6);
	change("bd", 200);
	CHECK_GROUPS(6, "0a 2c");
	CHECK(named('a')->chunk.group->nr_chunks == 2 && !named('b')->chunk.group);
	add_to_back("e");
	CHECK_GROUPS(6, "0a 2c 3e");
	change("a", 200);
	CHECK_GROUPS(6, "2c 3e");
	change("d", 300);	/* up, to the front */
	CHECK_GROUPS(6, "1d 2c 3e");
	change("ba", 300);
	CHECK_GROUPS(6, "31a|0b 1d 2c 3e");
	CHECK_LIST(6, "abdce");
}

TEST(a_group_without_chunks_is_spare)
{
	start();
	add_to_back("abc");
	pcpu_make_groups(&pcpu, 6);
	CHECK(list_length(&pcpu.spare_groups) == 2);
	change("abc", 200);
	CHECK_GROUPS(6, "");
	CHECK_GROUPS(5, "");
	CHECK_LIST(5, "abc");
	CHECK(list_length(&pcpu.spare_groups) == 3);
	/* the slot is as if it never had groups */
	change("a", 300);
	CHECK_GROUPS(6, "");
	CHECK(!named('a')->chunk.group);
}

TEST(a_chunk_moves_from_groups_to_groups)
{
	start();
	add_to_back("abc");
	pcpu_make_groups(&pcpu, 6);
	add("ed", 130);
	pcpu_make_groups(&pcpu, 5);
	change("b", 200);
	CHECK_GROUPS(6, "0a 2c");
	CHECK_GROUPS(5, "0d 1e 2b");
	change("d", 256);
	CHECK_GROUPS(6, "31d|0a 2c");
	CHECK_GROUPS(5, "1e 2b");
}

/* --- what a group knows of its chunks */

TEST(a_group_has_a_copy_of_each_hint_and_no_hint_is_larger_than_its_largest)
{
	struct pcpu_group *group;

	start();
	add("ba", 300);
	set_map('b', 300, 40);
	pcpu_make_groups(&pcpu, 6);
	group = named('a')->chunk.group;
	CHECK(group->hint[0] == 300 && group->hint[1] == 40);
	CHECK(group->largest == 300);
	set_map('b', 450, 400);
	pcpu_chunk_relocate(&pcpu, named('b'));
	CHECK(group->hint[1] == 400 && group->largest == 400);
	set_map('b', 450, 20);	/* a walk lowers it, not a change */
	pcpu_chunk_relocate(&pcpu, named('b'));
	CHECK(group->hint[1] == 20 && group->largest == 400);
	add("c", 450);
	CHECK(named('c')->chunk.group->largest == 450);
}

TEST(a_spare_group_remembers_nothing)
{
	struct pcpu_group *group;

	start();
	add("a", 500);
	pcpu_make_groups(&pcpu, 6);
	group = named('a')->chunk.group;
	change("a", 200);
	pcpu_make_groups(&pcpu, 5);
	CHECK(named('a')->chunk.group == group && group->largest == 200);
	CHECK(group->nr_chunks == 1);
}

static struct pcpu_group *after_failure(void)
{
	struct pcpu_group *group;

	start();
	add("cba", 300);
	pcpu_make_groups(&pcpu, 6);
	group = named('a')->chunk.group;
	group->failed_size = 32;
	group->failed_align = 8;
	return group;
}

TEST(a_failed_request_fails_again_with_its_alignment_or_a_larger_one)
{
	struct pcpu_group *group = after_failure();

	CHECK(pcpu_group_failed(group, 32, 8));
	CHECK(pcpu_group_failed(group, 32, 16));
	CHECK(!pcpu_group_failed(group, 32, 4));
	CHECK(!pcpu_group_failed(group, 31, 8));
	CHECK(!pcpu_group_failed(group, 33, 8));	/* counts other maps */
}

TEST(a_change_of_a_chunk_ends_what_a_group_remembers)
{
	struct pcpu_group *group = after_failure();

	change("b", 301);
	CHECK(!pcpu_group_failed(group, 32, 8));
	group = after_failure();
	change("b", 200);	/* it leaves */
	CHECK(named('a')->chunk.group == group && !pcpu_group_failed(group, 32, 8));
	group = after_failure();
	add_to_back("d");	/* it comes */
	CHECK(named('d')->chunk.group == group && !pcpu_group_failed(group, 32, 8));
	group = after_failure();
	add("d", 400);		/* to another group */
	CHECK(named('d')->chunk.group != group && pcpu_group_failed(group, 32, 8));
	CHECK(!pcpu_group_failed(named('d')->chunk.group, 32, 8));
}

/* --- chunks that are destroyed */

TEST(a_chunk_leaves_its_slot_and_takes_its_group_with_it)
{
	start();
	add("cba", 300);
	pcpu_slot_remove(&pcpu, &named('b')->chunk);
	CHECK_LIST(6, "ac");
	CHECK(list_length(&pcpu.spare_groups) == 2);
	pcpu_make_groups(&pcpu, 6);
	pcpu_slot_remove(&pcpu, &named('a')->chunk);
	CHECK_GROUPS(6, "1c");
	pcpu_slot_remove(&pcpu, &named('c')->chunk);
	CHECK_LIST(6, "");
	CHECK_GROUPS(6, "");
	CHECK(list_length(&pcpu.spare_groups) == 0);
}

/* the group that a brought is in use, between two others of the slot */
TEST(a_group_of_a_removed_chunk_moves_to_a_spare_one)
{
	const char *groups = "31d|1b 2c 3e 4f 5g 6h 7i 8j 9k 10l 11m 12n 13o "
			     "14p 15q 16r 17s 18t 19u 20v 21w 22x 23y 24z 25A "
			     "26B 27C 28D 29E 30F 31G|0H 1I";
	struct pcpu_group *old, *new;

	start();
	add("a", 300);
	pcpu_make_groups(&pcpu, 6);
	add_to_back("bc");
	old = named('b')->chunk.group;
	CHECK(old == &named('a')->chunk.spare);
	add("d", 300);
	add_to_back("efghijklmnopqrstuvwxyzABCDEFG");
	add_to_back("HI");
	change("a", 200);
	old->failed_size = 32;
	old->failed_align = 8;
	old->failed_entries = 5;
	old->largest = 400;
	CHECK_GROUPS(6, groups);
	pcpu_slot_remove(&pcpu, &named('a')->chunk);
	CHECK_GROUPS(6, groups);
	new = named('b')->chunk.group;
	CHECK(new != old && named('G')->chunk.group == new);
	CHECK(named('d')->chunk.group != new && named('H')->chunk.group != new);
	CHECK(new->nr_chunks == 31 && new->largest == 400);
	CHECK(new->hint[1] == 256);
	CHECK(pcpu_group_failed(new, 32, 8) && new->failed_entries == 5);
	CHECK(list_length(&pcpu.spare_groups) == 34 - 3);
}

/* its map could not be allocated */
TEST(a_chunk_that_was_never_on_a_slot_can_be_removed)
{
	start();
	add("a", 300);
	pcpu_group_add(&pcpu, &named('b')->chunk);
	pcpu_slot_remove(&pcpu, &named('b')->chunk);
	CHECK_LIST(6, "a");
	CHECK(list_length(&pcpu.spare_groups) == 1);
}

/* --- at random, compared with plain lists */

static char expected[SLOTS][NAMES + 1];

static void remove_name(char name)
{
	for (int slot = 0; slot < SLOTS; slot++) {
		char *at = strchr(expected[slot], name);

		if (at)
			memmove(at, at + 1, strlen(at));
	}
}

static void insert_name(char name, int slot, bool front)
{
	char *list = expected[slot];
	size_t n = strlen(list);

	if (front) {
		memmove(list + 1, list, n + 1);
		list[0] = name;
	} else {
		list[n] = name;
		list[n + 1] = '\0';
	}
}

static bool all_fit(int nr_chunks)
{
	int nr_groups = list_length(&pcpu.spare_groups);

	for (int slot = 0; slot < SLOTS; slot++) {
		if (strcmp(list_of(slot), expected[slot]) ||
		    !groups_fit(&pcpu, slot, &nr_groups) ||
		    (*expected[slot] && !(pcpu.slot_mask & 1 << slot)))
			return false;
	}
	return nr_groups == nr_chunks;
}

TEST(random_moves_keep_the_order_of_plain_lists)
{
	int nr_chunks = 0;

	start();
	memset(expected, 0, sizeof(expected));
	for (int step = 0; step < 20000; step++) {
		char name = (char)('A' + pick(NAMES));
		struct area_map_chunk *chunk = named(name);
		int before = chunk->chunk.spare.list.next ? chunk->slot : -1;
		int size = (int)pick(8) ? 128 << pick(3) : (int)pick(UNIT + 1);

		if (before >= 0 && !pick(8)) {
			pcpu_slot_remove(&pcpu, &chunk->chunk);
			memset(chunk, 0, sizeof(*chunk));
			list_init(&chunk->chunk.list);
			remove_name(name);
			nr_chunks--;
			CHECK(all_fit(nr_chunks));
			continue;
		}
		if (before < 0) {
			add((char[]){ name, '\0' }, size);
			nr_chunks++;
		} else {
			set_map(name, size, (int)pick((uint32_t)size + 1));
			pcpu_chunk_relocate(&pcpu, chunk);
		}
		if (chunk->slot != before) {
			remove_name(name);
			insert_name(name, chunk->slot, chunk->slot > before);
		}
		if (!pick(4))
			pcpu_make_groups(&pcpu, chunk->slot);
		CHECK(all_fit(nr_chunks));
	}
	CHECK(nr_chunks > 20);
}
