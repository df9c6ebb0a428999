// SPDX-License-Identifier: GPL-2.0-only
/*
 * strerror.c - names of services and meanings of error codes.
 */
#include <stdlib.h>

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
	[PCPU_E_SIZE] = "size is 0, negative or too large",
	[PCPU_E_ALIGN] = "alignment is not a power of two up to a page",
	[PCPU_E_WILD] = "no chunk covers the pointer",
	[PCPU_E_OTHER_UNIT] = "the pointer is to another CPU's copy",
	[PCPU_E_STATIC] = "the pointer is in the static area",
	[PCPU_E_INTERIOR] = "the pointer is in the middle of an area",
	[PCPU_E_NOT_LIVE] = "no area is allocated there",
	[PCPU_E_PINNED] = "the area is pinned",
	[PCPU_E_ROLLBACK] = "pins are not allowed with the rollback quirk",
	[PCPU_E_CPU] = "no such CPU",
	[PCPU_E_NO_MEMORY_MAPPED] = "the allocator maps no memory",
	[PCPU_E_CLOSED] = "the allocator is closed",
	[PCPU_E_CONFIG] = "impossible geometry, or a value out of range",
	[PCPU_E_SITE] = "this service cannot fail",
	[PCPU_E_TRACE] = "handle or kind of an operation is out of range",
	[PCPU_E_HOST] = "the host has no memory",
	[PCPU_E_VERSION] = ("config.version is not the library's: set it to "
			    "PCPU_VERSION of the library's own percpu.h"),
	[PCPU_E_NULL] = "a required pointer is NULL",
	[PCPU_E_BUSY] = "called inside a call, by a hook or a signal handler",
	[PCPU_E_HOOKS] = "some hooks of a group are missing",
	[PCPU_E_IN_USE] = "the pin is in use: unpin it first",
	[PCPU_E_FLAGS] = "no such flag, or not with this policy",
	[PCPU_E_NO_PLACE] = "no place for an atomic or reserved request",
	[PCPU_E_NOMEM + PCPU_KMALLOC] = "out of memory: kmalloc failed",
	[PCPU_E_NOMEM + PCPU_VMALLOC] = "out of memory: vmalloc failed",
	[PCPU_E_NOMEM + PCPU_GET_VM_AREA] = "out of memory: get_vm_area failed",
	[PCPU_E_NOMEM + PCPU_ALLOC_PAGE] = "out of memory: alloc_page failed",
	[PCPU_E_NOMEM + PCPU_MAP] = "out of memory: map failed",
	[PCPU_E_MAPPINGS] = ("the process has vm.max_map_count mappings: raise "
			     "that limit, or use fewer CPUs or no memory"),
};

const char *pcpu_service_name(int service)
{
	if (service < 0 || service >= PCPU_NR_SERVICES)
		return NULL;
	return service_names[service];
}

const char *pcpu_strerror(int error)
{
	size_t n = (size_t)llabs(error);

	if (n < sizeof(meanings) / sizeof(meanings[0]) && meanings[n])
		return meanings[n];
	return "unknown error";
}
