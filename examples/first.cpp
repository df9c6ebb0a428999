// SPDX-License-Identifier: GPL-2.0-only
//
// first.cpp - first.c in C++: RAII for the allocator, exceptions for errors.
//
//	c++ first.cpp $(pkg-config --cflags --libs percpu) -o first
#include <cstdint>
#include <iostream>
#include <memory>
#include <percpu.h>
#include <stdexcept>

struct PercpuError : std::runtime_error {
	explicit PercpuError(int result)
		: std::runtime_error(pcpu_strerror(result)), code(-result) {}
	const int code; // enum pcpu_error
};

// return the result of a call, or throw if it is an error
static std::int64_t checked(std::int64_t result)
{
	if (result < 0)
		throw PercpuError(static_cast<int>(result));
	return result;
}

struct Destroy {
	void operator()(pcpu *handle) const { pcpu_destroy(handle); }
};

static std::int64_t &copy(pcpu *handle, std::int64_t ptr, int cpu)
{
	auto address = static_cast<std::intptr_t>(checked(pcpu_address(handle, ptr, cpu)));
	return *reinterpret_cast<std::int64_t *>(address);
}

int main()
try {
	pcpu_config config{};
	config.version = PCPU_VERSION;
	config.cpus = 4;
	config.static_size = 64;

	int error = 0;
	const std::unique_ptr<pcpu, Destroy> percpu(pcpu_create(&config, &error));
	checked(error);

	const auto counter = checked(pcpu_alloc(percpu.get(), sizeof(std::int64_t), 8));
	std::int64_t sum = 0;
	for (int cpu = 0; cpu < config.cpus; cpu++)
		copy(percpu.get(), counter, cpu) += 10 * (cpu + 1);
	for (int cpu = 0; cpu < config.cpus; cpu++)
		sum += copy(percpu.get(), counter, cpu);
	std::cout << "the copies of " << config.cpus << " CPUs sum up to " << sum << '\n';
	checked(pcpu_free(percpu.get(), counter));
} catch (const PercpuError &error) {
	std::cerr << "error " << error.code << ": " << error.what() << '\n';
	return 1;
}
