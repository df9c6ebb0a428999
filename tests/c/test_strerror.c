// SPDX-License-Identifier: GPL-2.0-only
/*
 * test_strerror.c - every error code has a message, every service a name.
 */
#include <string.h>

#include "harness.h"
#include "percpu.h"

TEST(services_have_the_names_of_the_kernel)
{
	static const struct {
		int service;
		const char *name;
	} all[] = {
		{ PCPU_KMALLOC, "kmalloc" },
		{ PCPU_KFREE, "kfree" },
		{ PCPU_VMALLOC, "vmalloc" },
		{ PCPU_VFREE, "vfree" },
		{ PCPU_GET_VM_AREA, "get_vm_area" },
		{ PCPU_FREE_VM_AREA, "free_vm_area" },
		{ PCPU_ALLOC_PAGE, "alloc_page" },
		{ PCPU_FREE_PAGE, "free_page" },
		{ PCPU_MAP, "map" },
		{ PCPU_UNMAP, "unmap" },
		{ PCPU_FLUSH_CACHE_VMAP, "flush_cache_vmap" },
		{ PCPU_FLUSH_CACHE_VUNMAP, "flush_cache_vunmap" },
		{ PCPU_FLUSH_TLB, "flush_tlb" },
		{ PCPU_WARN, "warn" },
	};

	CHECK(sizeof(all) / sizeof(all[0]) == PCPU_NR_SERVICES);
	for (int i = 0; i < PCPU_NR_SERVICES; i++)
		CHECK(!strcmp(pcpu_service_name(all[i].service), all[i].name));
}

TEST(an_unknown_service_has_no_name)
{
	CHECK(!pcpu_service_name(-1));
	CHECK(!pcpu_service_name(PCPU_NR_SERVICES));
	CHECK(!pcpu_service_name(INT32_MIN));
	CHECK(!pcpu_service_name(INT32_MAX));
}

TEST(every_code_has_a_message_of_its_own)
{
	for (int a = 0; a <= PCPU_E_NO_PLACE; a++) {
		CHECK(strcmp(pcpu_strerror(-a), "unknown error"));
		for (int b = 0; b < a; b++)
			CHECK(strcmp(pcpu_strerror(-a), pcpu_strerror(-b)));
	}
	CHECK(!strcmp(pcpu_strerror(0), "success"));
}

TEST(messages_name_the_cause)
{
	static const struct {
		int code;
		const char *word;
	} all[] = {
		{ PCPU_E_SIZE, "size" },
		{ PCPU_E_ALIGN, "alignment" },
		{ PCPU_E_WILD, "no chunk" },
		{ PCPU_E_OTHER_UNIT, "another CPU" },
		{ PCPU_E_STATIC, "static area" },
		{ PCPU_E_INTERIOR, "middle of an area" },
		{ PCPU_E_NOT_LIVE, "no area" },
		{ PCPU_E_PINNED, "pinned" },
		{ PCPU_E_ROLLBACK, "rollback" },
		{ PCPU_E_CPU, "no such CPU" },
		{ PCPU_E_NO_MEMORY_MAPPED, "maps no memory" },
		{ PCPU_E_CLOSED, "closed" },
		{ PCPU_E_CONFIG, "geometry" },
		{ PCPU_E_SITE, "service" },
		{ PCPU_E_TRACE, "operation" },
		{ PCPU_E_HOST, "host" },
		{ PCPU_E_VERSION, "config.version" },
		{ PCPU_E_VERSION, "PCPU_VERSION" },
		{ PCPU_E_NULL, "NULL" },
		{ PCPU_E_BUSY, "hook" },
		{ PCPU_E_HOOKS, "missing" },
		{ PCPU_E_FLAGS, "flag" },
		{ PCPU_E_NO_PLACE, "no place" },
	};

	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		CHECK(strstr(pcpu_strerror(-all[i].code), all[i].word));
}

TEST(the_sign_of_a_code_does_not_matter)
{
	for (int code = 0; code < 64; code++)
		CHECK(pcpu_strerror(code) == pcpu_strerror(-code));
}

TEST(out_of_memory_names_the_service)
{
	static const int sites[] = { PCPU_KMALLOC, PCPU_VMALLOC,
		PCPU_GET_VM_AREA, PCPU_ALLOC_PAGE, PCPU_MAP };

	for (int i = 0; i < 5; i++) {
		char text[64];

		snprintf(text, sizeof(text), "out of memory: %s failed",
			 pcpu_service_name(sites[i]));
		CHECK(!strcmp(pcpu_strerror(-(PCPU_E_NOMEM + sites[i])), text));
	}
}

TEST(too_many_mappings_names_the_limit)
{
	CHECK(!strcmp(pcpu_strerror(-PCPU_E_MAPPINGS),
		      "the process has vm.max_map_count mappings: raise that "
		      "limit, or use fewer CPUs or no memory"));
}

TEST(a_pin_in_use_has_to_be_unpinned)
{
	CHECK(!strcmp(pcpu_strerror(-PCPU_E_IN_USE),
		      "the pin is in use: unpin it first"));
}

TEST(flags_and_places_of_requests)
{
	CHECK(!strcmp(pcpu_strerror(-PCPU_E_FLAGS),
		      "no such flag, or not with this policy"));
	CHECK(!strcmp(pcpu_strerror(-PCPU_E_NO_PLACE),
		      "no place for an atomic or reserved request"));
}

TEST(any_other_number_is_unknown)
{
	static const int codes[] = { PCPU_E_NO_PLACE + 1, PCPU_E_NOMEM - 1,
		PCPU_E_NOMEM + PCPU_KFREE, PCPU_E_MAPPINGS + 1,
		INT32_MIN, INT32_MAX };

	for (int i = 0; i < 6; i++)
		CHECK(!strcmp(pcpu_strerror(codes[i]), "unknown error"));
}
