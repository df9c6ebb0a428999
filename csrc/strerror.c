// SPDX-License-Identifier: GPL-2.0-only
/*
 * errors.c - names of services and meanings of error codes.
 */
#include "percpu.h"

static const char *const service_names[PCPU_NR_SERVICES] = {
	[PCPU_KMALLOC] = "kmalloc",
	[PCPU_KFREE] = "kfree",
	[PCPU_VMALLOC] = "vmalloc",
	[PCPU_VFREE] = "vfree",
	[PCPU_GET_VM_AREA] = "get_vm_area",
	[PCPU_FREE_VM_AREA] = "free_vm_area",
	[PCPU_ALLOC_PAGE] = "alloc_page",
	[PCPU_FREE_PAGE] = "free_page",
	[PCPU_MAP] = "map",
	[PCPU_UNMAP] = "unmap",
	[PCPU_FLUSH_CACHE_VMAP] = "flush_cache_vmap",
	[PCPU_FLUSH_CACHE_VUNMAP] = "flush_cache_vunmap",
	[PCPU_FLUSH_TLB] = "flush_tlb",
	[PCPU_WARN] = "warn",
};

static const char *const meanings[] = {
	[0] = "success",
	[PCPU_E_SIZE] = "size is 0, negative or above 16 pages",
	[PCPU_E_ALIGN] = "alignment is no power of two up to a page",
	[PCPU_E_WILD] = "no chunk covers the pointer",
	[PCPU_E_OTHER_UNIT] = "the pointer is another CPU's copy",
	[PCPU_E_STATIC] = "the pointer is in the static area",
	[PCPU_E_INTERIOR] = "the pointer is in the middle of an area",
	[PCPU_E_NOT_LIVE] = "no area is allocated there",
	[PCPU_E_PINNED] = "somebody looks at the area",
	[PCPU_E_ROLLBACK] = "no pins with the rollback quirk",
	[PCPU_E_CPU] = "no such CPU",
	[PCPU_E_NO_MEMORY_MAPPED] = "the allocator maps no memory",
	[PCPU_E_CLOSED] = "the allocator is closed",
	[PCPU_E_CONFIG] = "impossible geometry, or a value out of range",
	[PCPU_E_SITE] = "this service cannot fail",
	[PCPU_E_TRACE] = "an operation names a slot or kind out of range",
	[PCPU_E_HOST] = "the host has no memory",
	[PCPU_E_VERSION] = ("config.version is not the library's: set it to PCPU_VERSION, "
			    "and use the percpu.h that came with the library"),
	[PCPU_E_NULL] = "a pointer that is needed is NULL",
	[PCPU_E_BUSY] = "called from within a call, by a hook or a signal handler",
	[PCPU_E_HOOKS] = "hooks that come together are not all there",
};

const char *pcpu_service_name(int service)
{
	if (service < 0 || service >= PCPU_NR_SERVICES)
		return NULL;
	return service_names[service];
}

const char *pcpu_strerror(int error)
{
	size_t n = error < 0 ? (size_t)-(int64_t)error : (size_t)error;

	switch (n) {
	case PCPU_E_NOMEM + PCPU_KMALLOC:
		return "out of memory: kmalloc failed";
	case PCPU_E_NOMEM + PCPU_VMALLOC:
		return "out of memory: vmalloc failed";
	case PCPU_E_NOMEM + PCPU_GET_VM_AREA:
		return "out of memory: get_vm_area failed";
	case PCPU_E_NOMEM + PCPU_ALLOC_PAGE:
		return "out of memory: alloc_page failed";
	case PCPU_E_NOMEM + PCPU_MAP:
		return "out of memory: map failed";
	default:
		if (n < sizeof(meanings) / sizeof(meanings[0]))
			return meanings[n];
		return "unknown error";
	}
}
