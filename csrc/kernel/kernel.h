/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * kernel.h - the kernel that one allocator believes it runs on.
 *
 * Five small fakes, one file each: faults and call counts, slab, vmalloc,
 * pages, warnings.  They keep what the 2009 file can observe of the real
 * services, and count every call.  What they need themselves comes from the
 * host.
 */
#ifndef FAKE_KERNEL_H
#define FAKE_KERNEL_H

#include "bug.h"
#include "fault.h"
#include "host.h"
#include "page_alloc.h"
#include "vmalloc.h"

struct fake_kernel {
	struct fake_faults faults;	/* call counts and fault plans */
	struct host host;		/* where memory and pages come from */
	struct fake_log log;		/* where warnings go */
	struct fake_pages pages;	/* page frames by NUMA node */
	struct fake_vmalloc vmalloc;	/* the address space */
};

#endif /* FAKE_KERNEL_H */
