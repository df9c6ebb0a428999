// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_bitmap_twins.c - groups of chunks change no decision and no count.
 *
 * Two allocators get the same random operations.  One visits chunk by chunk, as
 * a kernel does: its walks end without making groups.  After each operation both
 * are compared: the answer, the lists, what is known of each chunk, the work.
 */
#include "grouped.h"
#include "small_bitmap.h"

#define ROUNDS	60000
#define PHASE	500	/* operations of a kind */
#define AREAS	1500	/* live at most */

static struct pcpu *plain, *grouped;
static int64_t live[AREAS];	/* pointers, or 0 */
static int made, made_again;	/* how often a slot got groups, or others */

void __real_pcpu_end_walk(struct pcpu *pcpu, int slot, int visited,
			  int free_seats);
void __wrap_pcpu_end_walk(struct pcpu *pcpu, int slot, int visited,
			  int free_seats);

/* called instead of pcpu_end_walk(), by the linker's --wrap */
void __wrap_pcpu_end_walk(struct pcpu *pcpu, int slot, int visited,
			  int free_seats)
{
	const struct list_head *groups = &pcpu->slot_groups[slot];
	const struct list_head *first = groups->next;

	if (pcpu == plain)
		return;
	__real_pcpu_end_walk(pcpu, slot, visited, free_seats);
	if (first != groups)
		made_again += groups->next != first;
	else
		made += groups->next != groups;
}

/* --- the twins are alike */

static bool same_chunk(struct bitmap_chunk *a, struct bitmap_chunk *b)
{
	return a->chunk.id == b->chunk.id && a->isolated == b->isolated &&
	       a->nr_empty_pop_pages == b->nr_empty_pop_pages &&
	       a->areas.free_bits == b->areas.free_bits &&
	       !memcmp(&a->areas.chunk_md, &b->areas.chunk_md,
		       sizeof(a->areas.chunk_md));
}

static bool same_slot(const struct list_head *a, const struct list_head *b)
{
	const struct list_head *one = a->next, *other = b->next;

	for (; one != a && other != b; one = one->next, other = other->next)
		if (!same_chunk(list_entry(one, struct bitmap_chunk, chunk.list),
				list_entry(other, struct bitmap_chunk,
					   chunk.list)))
			return false;
	return one == a && other == b;
}

static bool same_work(const struct pcpu_work *a, const struct pcpu_work *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static void check_twins(void)
{
	for (int slot = 0; slot < plain->geo.nr_slots; slot++) {
		CHECK(same_slot(&plain->slots[slot], &grouped->slots[slot]));
		CHECK(list_empty(&plain->slot_groups[slot]));
	}
	CHECK(same_work(&plain->alloc_work, &grouped->alloc_work));
	CHECK(same_work(&plain->free_work, &grouped->free_work));
	CHECK(plain->nr_empty_pop_pages == grouped->nr_empty_pop_pages);
	CHECK(plain->balance_requested == grouped->balance_requested);
}

/* what groups say is true; each chunk brought one */
static void check_groups(void)
{
	int n = list_length(&grouped->spare_groups);

	for (int slot = 0; slot < grouped->geo.nr_slots; slot++)
		CHECK(groups_fit(grouped, slot, &n));
	CHECK(n == grouped->nr_chunks);
}

/* --- operations on both */

static void both_fail_at(int site, unsigned int nth)
{
	fail_at(plain, site, nth);
	fail_at(grouped, site, nth);
}

static int64_t both_alloc(int size, int align, unsigned int flags)
{
	int64_t ptr = pcpu_alloc_gfp(plain, size, align, flags);

	CHECK(pcpu_alloc_gfp(grouped, size, align, flags) == ptr);
	return ptr;
}

/* to a page of any chunk, or of the next one; perhaps its place is not free */
static int64_t both_follow(int size)
{
	struct pcpu_location kernel = {
		.chunk = 1 + pick((unsigned int)plain->nr_created + 1),
		.offset = PAGE * (int)pick(8),
	};
	struct pcpu_choice choice = { 0 }, other = { 0 };
	int64_t ptr = pcpu_follow(plain, size, 4, PCPU_LEARN, &kernel, &choice);

	CHECK(pcpu_follow(grouped, size, 4, PCPU_LEARN, &kernel, &other) == ptr);
	CHECK(choice.chunk == other.chunk && choice.offset == other.offset &&
	      choice.offset_there == other.offset_there &&
	      choice.learnt == other.learnt);
	return ptr;
}

static void both_free(int64_t ptr)
{
	CHECK(!pcpu_free(plain, ptr));
	CHECK(!pcpu_free(grouped, ptr));
}

static void both_balance(void)
{
	CHECK(!pcpu_balance(plain, 1, PCPU_BALANCE_STEPS));
	CHECK(!pcpu_balance(grouped, 1, PCPU_BALANCE_STEPS));
}

/* sizes of a phase */
static int least, most;

/* three phases of four fill chunks, so that few have room; one empties them */
static void one_operation(int phase)
{
	int64_t *area = &live[pick(AREAS)];
	int size = least + (int)pick((unsigned int)(most - least));
	unsigned int what = pick(100);

	if (what < 2)
		both_balance();
	else if (what < 4)
		both_fail_at(pick(2) ? PCPU_KMALLOC : PCPU_ALLOC_PAGE,
			     1 + pick(4));
	else if (*area && pick(5) < (phase % 4 == 3 ? 5 : 1)) {
		both_free(*area);
		*area = 0;
	} else if (!*area) {
		*area = what < 8 ? both_follow(size) :
			both_alloc(size, 4 << pick(5),
				   what < 40 ? PCPU_ATOMIC : 0);
		if (*area < 0)
			*area = 0;
	}
}

/* --- the test */

static struct pcpu *create_twin(void)
{
	struct pcpu_config config = bitmap_config(1);

	config.unit_size = LARGEST;
	return create(&config);
}

TEST(groups_change_no_decision_and_no_count)
{
	plain = create_twin();
	grouped = create_twin();
	for (int round = 0; round < ROUNDS; round++) {
		if (round % PHASE == 0) {
			least = 4 << pick(7);
			most = least + 1 + (int)pick((unsigned int)least);
		}
		one_operation(round / PHASE);
		check_twins();
		if (round % 16 == 0)
			check_groups();
	}
	CHECK(plain->max_chunks > 300);
	CHECK(made > 20 && made_again > 0);
	pcpu_destroy(plain);
	pcpu_destroy(grouped);
}
