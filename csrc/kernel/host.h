/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * host.h - where the fake kernel ends: memory, addresses and pages come from
 * the process, or from the hooks of the allocator's creator.
 */
#ifndef FAKE_HOST_H
#define FAKE_HOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../percpu.h"

struct fake_kernel;

/* zeroed, it is the process alone */
struct host {
	struct pcpu_hooks hooks; /* what the creator brought along */
	void *arg;		/* first argument of each */
};

/**
 * host_missing_hook - look for holes in a table of hooks
 * @hooks: the table
 *
 * Return: the name of a hook that others there need, or NULL.
 */
const char *host_missing_hook(const struct pcpu_hooks *hooks);

/**
 * host_alloc - memory for records
 * @host: the host
 * @size: bytes, above 0
 *
 * Return: the memory, or NULL.
 */
void *host_alloc(const struct host *host, size_t size);

/**
 * host_zalloc - zeroed memory for records
 * @host: the host
 * @size: bytes, above 0
 *
 * Return: the memory, or NULL.
 */
void *host_zalloc(const struct host *host, size_t size);

/**
 * host_free - give memory back
 * @host: the host; may itself lie in that memory
 * @ptr: the memory, or NULL
 */
void host_free(const struct host *host, void *ptr);

/**
 * host_reserve - addresses without memory
 * @host: the host
 * @size: bytes, a multiple of @align
 * @align: bytes, a power of two, a page of the host or more
 *
 * Return: the first of them, or NULL.
 */
char *host_reserve(const struct host *host, size_t size, size_t align);

/**
 * host_prime - make a reservation ready for pages that come in any order
 * @host: the host
 * @page: the first one
 * @size: its bytes
 *
 * Return: whether it could be done.
 */
bool host_prime(const struct host *host, char *page, size_t size);

/**
 * host_release - give addresses back, and what is mapped there
 * @host: the host
 * @addr: from host_reserve()
 * @size: the same
 */
void host_release(const struct host *host, char *addr, size_t size);

/* pages of a CPU's unit in a reservation */
struct host_range {
	char *addr;		/* where they are */
	size_t size;		/* bytes, whole pages */
	int cpu;		/* whose */
	int node;		/* and where it stands */
};

/**
 * host_map - make pages readable and writable, with zeroes in them
 * @host: the host
 * @range: the pages
 *
 * Return: whether it could be done.
 */
bool host_map(const struct host *host, const struct host_range *range);

/**
 * host_unmap - take pages away, and their contents
 * @host: the host
 * @range: the pages; some may not be mapped
 *
 * Return: false when they can still be touched.
 */
bool host_unmap(const struct host *host, const struct host_range *range);

#endif /* FAKE_HOST_H */
