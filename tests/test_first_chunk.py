# SPDX-License-Identifier: GPL-2.0-only
"""The three set-ups of the first chunk.

4k     |static pages|  populated on demand         |
embed  |static|  every page present                |
remap  |static| present up to free|  left alone    |
"""

from __future__ import annotations

from typing import Any

import pytest
from conftest import Kind, Make

from percpu_ffi import Allocator, ConfigError, Model, PerCpu, Trace
from percpu_ffi.config import Config
from percpu_ffi.lockstep import lockstep
from percpu_ffi.model.area_map import policy
from percpu_ffi.model.area_map.first_chunk import FirstChunk, first_chunk

KIB = 1024


def first(allocator: PerCpu) -> tuple[int, int, bool, int]:
    """Unit size, free size, whether immutable, and pages that every CPU holds."""
    chunk = allocator.state().chunks[0]
    held = sum(cpus == allocator.cpus for cpus in chunk.populated)
    assert held == sum(map(bool, chunk.populated))
    return allocator.unit_size, chunk.free_size, chunk.immutable, held


@pytest.mark.parametrize(
    ("static_size", "expected"),
    [
        (8 * KIB, (64 * KIB, 56 * KIB, False, 2)),
        (20480, (64 * KIB, 45056, False, 5)),
        (1, (64 * KIB, 64 * KIB - 1, False, 1)),
        (64 * KIB, (64 * KIB, 0, False, 16)),
        (70000, (18 * 4 * KIB, 18 * 4 * KIB - 70000, False, 18)),
    ],
)
def test_4k_has_a_unit_of_16_pages_or_of_the_static_area(
    kind: Kind, static_size: int, expected: tuple[int, int, bool, int]
) -> None:
    with kind(2, static_size, "4k") as a:
        assert first(a) == expected


@pytest.mark.parametrize(
    ("static_size", "expected"),
    [
        (8 * KIB, (64 * KIB, 56 * KIB, True, 16)),
        (60 * KIB, (84 * KIB, 24 * KIB, True, 21)),
        (60 * KIB + 1, (88 * KIB, 28 * KIB - 1, True, 22)),
    ],
)
def test_embed_adds_a_reserve_of_24_kib(
    kind: Kind, static_size: int, expected: tuple[int, int, bool, int]
) -> None:
    with kind(2, static_size, "embed") as a:
        assert first(a) == expected


@pytest.mark.parametrize(
    ("static_size", "expected"),
    [
        (8 * KIB, (2048 * KIB, 24 * KIB, True, 8)),
        (10000, (2048 * KIB, 36 * KIB - 10000, True, 9)),
    ],
)
def test_remap_takes_a_large_page_and_uses_a_part(
    kind: Kind, static_size: int, expected: tuple[int, int, bool, int]
) -> None:
    with kind(2, static_size, "remap") as a:
        assert first(a) == expected


def test_map_comes_with_the_first_request(small: PerCpu) -> None:
    # created before kmalloc works
    chunk = small.state().chunks[0]
    assert (chunk.map, chunk.map_alloc, chunk.free_size) == ((), 0, 960)
    small.alloc(8)
    assert small.state().chunks[0].map_alloc == 16
    assert small.counters()["kmalloc"] == 1


def test_remap_does_not_use_the_rest_of_the_unit(tiny: Make) -> None:
    with tiny(first_chunk="remap", unit_size=1024, free_size=128) as a:
        a.alloc(128)
        assert a.state().chunks[0].map == (-64, -128)
        assert a.locate(a.alloc(8)).chunk == 1


@pytest.mark.parametrize("first_chunk", ["embed", "remap"])
def test_pages_of_an_immutable_chunk_are_neither_taken_nor_mapped(
    tiny: Make, first_chunk: str
) -> None:
    with tiny(first_chunk=first_chunk, unit_size=1024, free_size=512) as a:
        a.free(a.alloc(512))
        assert a.counters()["alloc_page"] == 0
        assert a.counters()["map"] == 0


def test_setup_of_4k_maps_the_static_pages_once_for_each_cpu(tiny: Make) -> None:
    with tiny(cpus=3, static_size=100) as a:
        counters = a.counters()
        assert counters["map"] == 3
        assert counters["flush_cache_vmap"] == 1
        assert counters["alloc_page"] == 0  # boot-time memory


def test_first_chunk_without_room_is_never_tried(tiny: Make) -> None:
    with tiny(static_size=1024) as a:
        assert a.locate(a.alloc(8)).chunk == 1
        assert a.state().slots[0] == (0,)


def test_unit_and_free_size_may_be_given(kind: Kind) -> None:
    with kind(2, 8192, "4k", unit_size=128 * KIB, free_size=16 * KIB) as a:
        assert first(a) == (128 * KIB, 16 * KIB, False, 2)


@pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
def test_unit_may_have_one_gib(kind: Kind, first_chunk: str) -> None:
    setup: dict[str, Any] = {"first_chunk": first_chunk, "page_size": 64 << 20, "memory": "none"}
    with kind(1, 1 << 20, **setup, unit_size=1 << 30) as a:
        assert a.unit_size == 1 << 30
    with kind(1, 1 << 20, first_chunk="4k", page_size=64 << 20, memory="none") as a:
        assert a.unit_size == 1 << 30


def test_slots_cover_every_size(kind: Kind) -> None:
    # slot(64 KiB) = 14, one list for it, one below 4 bytes, one for empty chunks
    with kind(2) as a:
        assert len(a.state().slots) == 16
        assert a.state().slots[13] == (0,)  # 56 KiB free


# Port and model used one Python function: a wrong size in it was wrong in both.
@pytest.mark.parametrize("wrong", ["unit_size", "free_size"])
def test_lockstep_sees_a_wrong_size(monkeypatch: pytest.MonkeyPatch, wrong: str) -> None:
    def mistaken(config: Config) -> FirstChunk:
        right = first_chunk(config)
        return right._replace(**{wrong: getattr(right, wrong) + config.page_size})

    monkeypatch.setattr(policy, "first_chunk", mistaken)
    trace = Trace.from_ops([], {"page_size": 64, "static_size": 64, "memory": "none"})
    difference = lockstep({"port": Allocator, "model": Model}, trace)
    assert difference is not None
    assert (difference.index, difference.aspect) == (-1, "state")
    assert {"unit_size": "populated", "free_size": "free_size"}[wrong] in str(difference)


def test_port_and_model_report_a_misfit_with_the_same_message() -> None:
    trace = Trace.from_ops([], {"static_size": 65537, "unit_size": 65536})
    with pytest.raises(ConfigError, match="static_size=65537, unit_size=65536"):
        lockstep({"port": Allocator, "model": Model}, trace)
    for sizes in ({"free_size": 4096}, {"first_chunk": "remap", "static_size": 1 << 21}):
        messages = []
        for kind in (Allocator, Model):
            with pytest.raises(ConfigError) as caught:
                kind(**sizes)
            messages.append(str(caught.value))
        assert messages[0] == messages[1]
