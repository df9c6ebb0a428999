/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kernel.h - the kernel that one allocator believes it runs on.
 *
 * Small fakes of kernel services, one file each.  They keep what the 2009 file
 * can observe of the real services, and count every call.  What they need
 * themselves comes from the host: the process, or the creator's hooks.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../compiler.h"
#include "../percpu.h"
#include "list.h"

struct fake_kernel;

/* --- fault.c: counts calls, and makes some fail
 *
 * Plans have the names of the kernel's lib/fault-inject.c: probability,
 * interval, times, nth.
 */

/* the plan of one site */
struct fake_fault {
	bool armed;		/* a call may fail: by plan or by the hook */
	bool planned;		/* a plan is set and not used up */
	uint64_t wait;		/* calls to pass before the next candidate */
	uint64_t interval;	/* distance of the candidates */
	int64_t times;		/* failures left; below 0: no limit */
	uint64_t threshold;	/* a candidate fails below it, of 2^32 */
	uint64_t random;	/* state of the generator */
};

struct fake_faults {
	uint64_t calls[PCPU_NR_SERVICES];	/* made so far */
	struct fake_fault plan[PCPU_NR_SERVICES]; /* of the sites that can fail */
	int (*decide)(void *arg, int service); /* the creator's hook, or NULL */
	void *arg;				/* its first argument */
};

int fake_fault_arm(struct fake_faults *faults, int site,
		   const struct pcpu_fault *fault);
void fake_fault_ask(struct fake_faults *faults,
		    int (*decide)(void *arg, int service), void *arg);
bool fake_fault_strikes(struct fake_faults *faults, int site);

/* count a call to a service that cannot fail */
static inline void fake_count(struct fake_faults *faults, enum pcpu_service s)
{
	faults->calls[s]++;
}

/* count a call to a service that can; return whether it has to fail */
static inline bool fake_should_fail(struct fake_faults *faults,
				    enum pcpu_service s)
{
	faults->calls[s]++;
	return unlikely(faults->plan[s].armed) &&
	       fake_fault_strikes(faults, (int)s);
}

/* --- bug.c: WARN
 *
 * There is no BUG: what the 2009 file asserts about its callers is checked by
 * the outermost functions before anything changes.
 */

struct fake_log {
	const char *pending;	/* first text not yet delivered, or NULL */
	void (*sink)(void *arg, int about, const char *text); /* receives texts */
	void *arg;		/* its first argument */
};

void fake_log_init(struct fake_log *log,
		   void (*sink)(void *arg, int about, const char *text),
		   void *arg);
void fake_log_text(struct fake_log *log, int about, const char *text);
void fake_warn(struct fake_kernel *kernel, const char *text);
void fake_warn_on(struct fake_kernel *kernel, bool condition, const char *text);

/* --- host.c: where the fake kernel ends */

/* zeroed: the process alone */
struct host {
	struct pcpu_hooks hooks; /* the creator's */
	void *arg;		/* first argument of each */
};

/* pages of a CPU's unit in a reservation */
struct host_range {
	char *addr;		/* first byte */
	size_t size;		/* bytes, whole pages */
	int cpu;		/* whose unit */
	int node;		/* the NUMA node of that CPU */
};

/* the same pages of each unit of a chunk */
struct host_units {
	char *addr;		/* first byte in the first unit */
	size_t size;		/* bytes, whole pages */
	size_t distance;	/* bytes from one unit to the next */
	int n;			/* units */
};

const char *host_missing_hook(const struct pcpu_hooks *hooks);
int host_refusal(const struct host *host, int error);
void *host_alloc(const struct host *host, size_t size);
void *host_zalloc(const struct host *host, size_t size);
void host_free(const struct host *host, void *ptr);
char *host_reserve(const struct host *host, size_t size, size_t align);
bool host_prime(const struct host *host, char *page, size_t size);
void host_release(const struct host *host, char *addr, size_t size);
int host_map(const struct host *host, const struct host_range *range);
bool host_unmap(const struct host *host, const struct host_range *range);

/* --- guard.c: pages that fault until their guards are removed */

bool host_has_guards(const struct host *host, char *page, size_t size);
bool host_guard(char *addr, size_t size);
bool host_unguard(const struct host_units *units);
bool host_guard_again(const struct host_units *units);

/* --- slab.c: kmalloc and kfree */

void *fake_kmalloc(struct fake_kernel *kernel, size_t size);
void *fake_kzalloc(struct fake_kernel *kernel, size_t size);
void fake_kfree(struct fake_kernel *kernel, void *ptr);

/* --- page_alloc.c: page frames, counted by NUMA node against a limit
 *
 * A frame has no identity: the 2009 file looks into none, and its memory is
 * the private anonymous page that appears where the frame is mapped.
 */

struct fake_pages {
	int64_t *held;		/* frames handed out, for each node */
	int64_t limit;		/* the most for a node */
	bool alike;		/* one node, and no hook to call for each */
	int64_t nodes;		/* NUMA nodes */
	int64_t cpus;		/* possible CPUs, in even blocks on the nodes */
};

bool fake_pages_init(struct fake_kernel *kernel, int64_t cpus, int64_t nodes,
		     int64_t limit);
void fake_pages_exit(struct fake_kernel *kernel);
bool fake_alloc_page(struct fake_kernel *kernel, int cpu);
int64_t fake_alloc_pages(struct fake_kernel *kernel, uint32_t *held, int n);
int fake_alloc_boot_pages(struct fake_kernel *kernel, int cpus);
void fake_free_page(struct fake_kernel *kernel, int cpu);
int64_t fake_free_pages(struct fake_kernel *kernel, uint32_t *held, int n);
void fake_drop_pages(struct fake_kernel *kernel, int cpus);

/* the NUMA node of a CPU */
static inline int fake_cpu_to_node(const struct fake_pages *pages, int cpu)
{
	return (int)(cpu * pages->nodes / pages->cpus);
}

/* --- vmalloc.c: an address space, and vmalloc itself
 *
 * An address is a number that starts at the base of the space, so it is the
 * same in every run; fake_host() adds where the space really is.
 *
 *	base          first_block           areas, lowest first
 *	|--------------------------|---------|-|---------|-|-------
 *	  block that a boot-time     area     ^  area     ^
 *	  caller mapped, if any               guard page  guard page
 */

/* a range of the address space that is in use */
struct fake_vm_area {
	struct list_head list;	/* in fake_vmalloc.areas, by address */
	uint64_t addr;		/* first address */
	uint64_t size;		/* bytes, guard page included */
};

struct fake_vmalloc {
	struct list_head areas;	/* all areas, lowest address first */
	struct list_head *hint;	/* no gap of hint_size starts before it */
	uint64_t hint_size;	/* size of the last search */
	uint64_t page_size;	/* bytes */
	uint64_t base;		/* lowest address of all */
	uint64_t start;		/* lowest address of an area */
	uint64_t end;		/* after the highest one */
	char *host;		/* real address of the base; NULL: no memory */
	size_t reserved;	/* bytes from there */
	bool has_guards;	/* pages there can have guards */
};

/* arguments of fake_vmalloc_init() */
struct fake_space {
	uint64_t page_size;	/* bytes, a power of two */
	uint64_t base;		/* lowest address, above 0, whole pages */
	uint64_t first_block;	/* bytes there for a boot-time caller's block */
	uint64_t area_size;	/* bytes of each area, without guard page */
	uint64_t limit;		/* bytes of real addresses at most, enough for a
				   first chunk; 0: no limit */
	bool mapped;		/* reserve real addresses */
};

int fake_vmalloc_init(struct fake_kernel *kernel,
		      const struct fake_space *space);
void fake_vmalloc_exit(struct fake_kernel *kernel);
void fake_vm_area_register_early(struct fake_vmalloc *vmalloc,
				 struct fake_vm_area *area, uint64_t size);
struct fake_vm_area *fake_get_vm_area(struct fake_kernel *kernel,
				      uint64_t size);
void fake_free_vm_area(struct fake_kernel *kernel, struct fake_vm_area *area);
void *fake_vmalloc(struct fake_kernel *kernel, size_t size);
void fake_vfree(struct fake_kernel *kernel, void *ptr);

/* the real address of an address; only with real memory */
static inline char *fake_host(const struct fake_vmalloc *vmalloc, uint64_t addr)
{
	return vmalloc->host + (addr - vmalloc->base);
}

/* --- map.c: maps and unmaps pages of the address space */

/* the same pages of every CPU's unit in a chunk */
struct fake_units {
	uint64_t addr;		/* first address in the first unit */
	uint64_t size;		/* bytes, whole pages */
	uint64_t distance;	/* bytes from one unit to the next */
	int cpus;		/* units */
	bool guarded;		/* from fake_guard(), for the whole chunk */
};

int fake_map_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			  uint64_t size, int cpu);
void fake_unmap_kernel_range(struct fake_kernel *kernel, uint64_t addr,
			     uint64_t size, int cpu);
int fake_map_boot(struct fake_kernel *kernel, uint64_t addr, uint64_t size,
		  int cpu);
bool fake_guard(struct fake_kernel *kernel, uint64_t addr, uint64_t size);
int fake_map_units(struct fake_kernel *kernel, const struct fake_units *units);
void fake_unmap_units(struct fake_kernel *kernel,
		      const struct fake_units *units);

struct fake_kernel {
	struct fake_faults faults;	/* call counts and fault plans */
	struct host host;		/* provides memory, addresses and pages */
	struct fake_log log;		/* receives warnings */
	struct fake_pages pages;	/* page frames by NUMA node */
	struct fake_vmalloc vmalloc;	/* the address space */
};

#endif /* FAKE_KERNEL_H */
