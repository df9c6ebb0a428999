# SPDX-License-Identifier: GPL-2.0-only
"""Per-CPU memory with ctypes alone, as from any language that can call C.

The structure repeats that of percpu.h. Its first field is the version; a library with another
layout refuses it.
"""

import ctypes
from ctypes import c_int, c_int64, c_size_t, c_uint, c_uint64, c_void_p

import percpu_ffi

MAJOR, MINOR, PATCH = 0, 2, 0
VERSION = int.from_bytes(b"pcpu", "big") << 32 | MAJOR << 16 | MINOR << 8 | PATCH


class Config(ctypes.Structure):
    """``struct pcpu_config``; an omitted field is 0, its default."""

    _fields_ = (
        ("version", c_uint64),
        ("log", c_void_p),
        ("arg", c_void_p),
        *((name, c_int64) for name in ("cpus", "static_size", "unit_size", "free_size")),
        *((name, c_int64) for name in ("page_size", "nodes", "page_limit")),
        *((name, c_int64) for name in ("first_ptr", "address_space")),
        *(("policy", c_int), ("memory", c_int), ("first_chunk", c_int), ("quirks", c_uint)),
        *((name, c_int64) for name in ("reserved_size", "dyn_size")),
        *(("fixes", c_uint), ("manual_balance", c_int)),
        *(("static_image", c_void_p), ("static_image_size", c_size_t)),
        ("hooks", c_void_p),
    )


def main() -> None:
    """Count on two CPUs, each in its own copy."""
    lib = ctypes.CDLL(percpu_ffi.get_library())
    lib.pcpu_create.argtypes, lib.pcpu_create.restype = [c_void_p, c_void_p], c_void_p
    lib.pcpu_alloc.argtypes, lib.pcpu_alloc.restype = [c_void_p, c_int64, c_int64], c_int64
    lib.pcpu_address.argtypes, lib.pcpu_address.restype = [c_void_p, c_int64, c_int64], c_int64
    lib.pcpu_free.argtypes = [c_void_p, c_int64]
    lib.pcpu_destroy.argtypes, lib.pcpu_destroy.restype = [c_void_p], None
    lib.pcpu_strerror.restype = ctypes.c_char_p

    error = c_int()
    config = Config(version=VERSION, cpus=2, static_size=64)
    pcpu = lib.pcpu_create(ctypes.byref(config), ctypes.byref(error))
    if not pcpu:
        raise SystemExit(lib.pcpu_strerror(error).decode())
    ptr = lib.pcpu_alloc(pcpu, 8, 8)
    counters = [c_int64.from_address(lib.pcpu_address(pcpu, ptr, cpu)) for cpu in range(2)]
    counters[0].value += 1
    counters[1].value += 41
    print("CPU 0:", counters[0].value, "CPU 1:", counters[1].value)
    assert lib.pcpu_free(pcpu, ptr) == 0
    lib.pcpu_destroy(pcpu)


if __name__ == "__main__":
    main()
