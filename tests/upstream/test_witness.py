# SPDX-License-Identifier: GPL-2.0-only
"""The witness: set-ups, placements, faults, a recording, and lockstep with port and model."""

from __future__ import annotations

import pickle
from array import array
from typing import TYPE_CHECKING, Any

import pytest
from conftest import RECORDINGS, SAMPLES, TINY

from percpu_ffi import (
    Allocator,
    ClosedError,
    ConfigError,
    InvalidRequest,
    Location,
    Model,
    PercpuError,
    PercpuMemoryError,
    Trace,
)
from percpu_ffi.bench.percpu_c import BLOB, WrongFile
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.lockstep import Campaign, lockstep
from percpu_ffi.lockstep.party import CALLS
from percpu_ffi.testing import oom_sweep
from upstream.witness import KernelBug, Witness, WitnessFactory, build

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def port_of(**changes: Any) -> Allocator:
    """Create a port with the settings of TINY and some changes."""
    return Allocator(**{**TINY, **changes})


def outcome(call: Callable[..., Any], *args: Any, **settings: Any) -> Any:
    """Return the result of a call, or the type and message of its exception."""
    try:
        return call(*args, **settings)
    except (PercpuError, TypeError, OverflowError) as error:
        return type(error), str(error)


@pytest.fixture(params=[(), ("rollback",)], ids=["default", "rollback"])
def tiny(request: pytest.FixtureRequest) -> dict[str, Any]:
    """The settings of TINY, with and without the quirk."""
    return {**TINY, "quirks": request.param}


def same(witness: Witness, port: Allocator) -> bool:
    return all(
        getattr(witness, aspect)() == getattr(port, aspect)()
        for aspect in ("state", "counters", "work")
    )


def test_another_file_is_refused(tmp_path: Path) -> None:
    other = tmp_path / "percpu.c"
    other.write_text("int pcpu;\n")
    with pytest.raises(WrongFile, match=f"percpu.c is git blob 410ec734e664.*{BLOB}"):
        build(other, tmp_path)


@pytest.mark.parametrize(
    ("first_chunk", "unit_size", "populated"),
    [
        # |SSSSS...........|                   only the static pages
        ("4k", 16, (2,) * 5 + (0,) * 11),
        # |SSSSSpppppppppppp|                  every page
        ("embed", 16, (2,) * 16),
        # |SSSSSpppppp|....................|   pages up to static + 24 KiB
        ("remap", 512, (2,) * 11 + (0,) * 501),
    ],
)
def test_set_up(
    fixed: WitnessFactory, first_chunk: str, unit_size: int, populated: tuple[int, ...]
) -> None:
    with fixed(cpus=2, static_size=5 * 4096, first_chunk=first_chunk, page_size=4096) as w:
        assert w.unit_size == unit_size * 4096
        (chunk,) = w.state().chunks
        assert chunk.populated == populated
        assert chunk.immutable == (first_chunk != "4k")
        assert (chunk.map, chunk.map_alloc) == ((), 0)
        calls = {"map": 2, "flush_cache_vmap": 1} if first_chunk == "4k" else {}
        assert {name: n for name, n in w.counters().items() if n} == calls


def test_placements(fixed: WitnessFactory) -> None:
    with fixed(**TINY) as w:
        # |SSSS|aa..|bbbb|....    b is aligned to a page
        a, b = w.alloc(32), w.alloc(64, align=64)
        assert (w.static_ptr, a, b) == (64, 64 + 64, 64 + 128)
        # |SSSS|aacc|bbbb|....    the lowest free range that fits
        c = w.alloc(32)
        assert w.locate(c) == Location(0, 96)
        w.free(a)
        (chunk,) = w.state().chunks
        assert chunk.map == (-64, 32, -32, -64, 832)
        # the next chunk follows the first one, which has no guard page
        d = w.alloc(1024)
        assert d == 64 + 2 * 1024
        assert w.locate(d) == Location(1, 0)
        # the one after it comes after a guard page
        assert w.alloc(1024) - d == 2 * 1024 + 64


@pytest.mark.parametrize("site", FAULT_SITES)
def test_faults(fixed: WitnessFactory, tiny: dict[str, Any], site: str) -> None:
    with fixed(**tiny) as w, Allocator(**tiny) as port:
        for allocator in (w, port):
            allocator.inject(site, nth=2, interval=3, times=2)
        failed = 0
        for _ in range(200):
            result = outcome(w.alloc, 48)
            assert result == outcome(port.alloc, 48)
            assert same(w, port)
            if isinstance(result, tuple):
                assert f"{site} failed" in result[1]
                failed += 1
        assert failed == 2
        w.inject(site, probability=1.0)
        w.inject(site)
        w.alloc(1024)


def test_random_faults_are_those_of_the_port(fixed: WitnessFactory, tiny: dict[str, Any]) -> None:
    with fixed(**tiny) as w, Allocator(**tiny) as port:
        for allocator in (w, port):
            allocator.inject("alloc_page", probability=0.3, seed=7, times=-1, interval=2)
        results = [outcome(w.alloc, 64) for _ in range(200)]
        assert results == [outcome(port.alloc, 64) for _ in range(200)]
        assert {type(one) for one in results} == {int, tuple}


def test_page_limit_of_a_node(fixed: WitnessFactory) -> None:
    with fixed(**TINY, nodes=2, page_limit=3) as w:
        w.alloc(192)
        with pytest.raises(PercpuMemoryError, match="alloc_page"):
            w.alloc(64)


def test_recording_of_a_real_kernel(fixed: WitnessFactory) -> None:
    live: dict[Any, int] = {}
    with fixed(cpus=2, static_size=20480, page_size=4096) as w:
        op: Any
        for op in Trace.load(SAMPLES / "netns_churn.ftrace.xz"):
            kind, key, *request = op
            if key in live:
                w.free(live.pop(key))
            if kind == "alloc":
                live[key] = w.alloc(*request[:2])
        assert len(w.state().chunks) == 2
        assert {name: n for name, n in w.counters().items() if n} == {
            "kmalloc": 26,
            "kfree": 23,
            "get_vm_area": 3,
            "free_vm_area": 2,
            "alloc_page": 100,
            "free_page": 64,
            "map": 102,
            "unmap": 4,
            "flush_cache_vmap": 51,
        }


@pytest.mark.parametrize(
    ("size", "align"),
    [
        *((0, 8), (1025, 8), (-1, 8), (1 << 63, 8), (8, 128), (8, -8), (8, 0), (8, 3), (0, 3)),
        *((8.0, 8), (8, None), ("8", 8), (1 << 64, 1 << 64)),
    ],
)
def test_bad_requests_are_refused_as_by_the_port(
    fixed: WitnessFactory, size: Any, align: Any
) -> None:
    with fixed(**TINY) as w, port_of() as port:
        result = outcome(w.alloc, size, align)
        assert result == outcome(port.alloc, size, align)
        assert result[0] is InvalidRequest
        assert outcome(w.alloc_many, [8, size], align) == outcome(port.alloc_many, [8, size], align)
        assert same(w, port)


def test_bad_pointers_are_refused_as_by_the_port(fixed: WitnessFactory) -> None:
    with fixed(**TINY) as w, port_of() as port:
        for allocator in (w, port):
            allocator.alloc_many([32, 16, 16])
            allocator.free(64 + 64 + 32)
        bad = [-8, 8, 64, 65, 128 + 8, 128 + 32, 128 + 40, 128 + 64, 1 << 62, 1 << 70]
        for ptr in [*bad, 64 + 1024, 64 + 1024 + 64, 64 + 2048, 1.0, "64", None]:
            for name in ("free", "locate"):
                result = outcome(getattr(w, name), ptr)
                assert result == outcome(getattr(port, name), ptr), ptr
        assert same(w, port)


def test_batches_are_those_of_the_port(fixed: WitnessFactory, tiny: dict[str, Any]) -> None:
    with fixed(**tiny) as w, Allocator(**tiny) as port:
        for sizes in ([], [8, 16], bytes(range(1, 40)), array("H", [1024, 1]), [8, 0], "8", None):
            assert outcome(w.alloc_many, sizes) == outcome(port.alloc_many, sizes)
            assert same(w, port)
        for allocator in (w, port):
            allocator.inject("alloc_page", nth=20)
        result = outcome(w.alloc_many, [64] * 20)
        assert result == outcome(port.alloc_many, [64] * 20)
        assert result[0] is PercpuMemoryError
        assert same(w, port)

        ptrs = w.alloc_many([8] * 9)
        assert ptrs == port.alloc_many([8] * 9)
        for given in ([*ptrs, ptrs[0]], [ptrs[0], 64, 8], [0, ptrs[3], 0], ptrs[4:], [], b"", 1):
            assert outcome(w.free_many, given) == outcome(port.free_many, given)
            assert same(w, port)


def test_bug_on_stops_the_call(strict: WitnessFactory) -> None:
    with strict(**TINY) as w:
        w.alloc(8)
        state = w.state()
        with pytest.raises(KernelBug, match=r"BUG_ON\(off != freeme\)"):
            w.raw_free(64 + 68)
        with pytest.raises(KernelBug, match=r"BUG_ON\(chunk->map\[i\] > 0\)"):
            w.raw_free(64 + 72)
        assert w.state() == state
        w.alloc(8)


def test_set_up_that_the_file_refuses(strict: WitnessFactory) -> None:
    with pytest.raises(KernelBug, match=r"BUG_ON\(!static_size\)"):
        strict.raw(static_size=0)
    with pytest.raises(ConfigError, match="static_size"):
        strict(static_size=0)


def test_witnesses_are_independent(fixed: WitnessFactory) -> None:
    with fixed(**TINY) as first, fixed(**TINY) as second:
        first.alloc(8)
        assert second.state().chunks[0].map == ()
        second.alloc(16)
        assert first.state().chunks[0].map == (-64, -8, 952)


def test_closed_witness_refuses_every_call(fixed: WitnessFactory) -> None:
    w = fixed(**TINY)
    w.alloc(8)
    w.close()
    w.close()
    calls: list[Callable[[], Any]] = [
        *(
            w.state,
            w.counters,
            w.work,
            lambda: w.alloc(8),
            lambda: w.free(0),
            lambda: w.inject("map", 1),
        ),
        *(lambda: w.alloc_many([]), lambda: w.free_many([]), lambda: w.locate(128)),
    ]
    for call in calls:
        with pytest.raises(ClosedError):
            call()
    with fixed(**TINY) as again:
        assert again.state().chunks[0].map == ()
        assert sum(again.counters().values()) == 3


def test_factory_can_be_pickled(fixed: WitnessFactory) -> None:
    with pickle.loads(pickle.dumps(fixed))(**TINY) as w:
        assert w.alloc(8) == 128


@pytest.mark.parametrize(
    ("site", "nth", "added"),
    [
        ("alloc_page", 1, 0),
        ("alloc_page", 2, 1),
        ("alloc_page", 5, 4),
        ("map", 1, 6),
        ("map", 2, 6),
    ],
)
def test_rollbacks_part_at_the_pages_that_the_call_did_not_add(
    fixed: WitnessFactory, tiny: dict[str, Any], site: str, nth: int, added: int
) -> None:
    """Without the quirk page 1 is kept, and its release is not counted.

    |SSSS|ssxx|xxxx|xxxx|xx..|    s: 32 live bytes, x: requested
    """
    with fixed(**tiny) as w:
        live = w.alloc(32)
        before, counted, work = w.state(), w.counters(), w.work()
        w.inject(site, nth)
        with pytest.raises(PercpuMemoryError):
            w.alloc(200)
        after = w.state().chunks[0]
        calls = {name: n - counted[name] for name, n in w.counters().items()}
        neighbours = 2 if tiny["quirks"] else 0  # page 1 of each CPU
        assert after.map == before.chunks[0].map
        assert after.populated[:4] == (2, 2 - neighbours, 0, 0)
        assert calls["free_page"] == added + neighbours
        assert (w.work() - work).alloc.pages_depopulated == added + neighbours
        once = added + neighbours > 0
        unmapping = ("unmap", "flush_cache_vunmap", "flush_tlb")
        assert [calls[name] for name in unmapping] == [2 * once, once, once]

        # the frames are those of before: with the chunk they are released, each once
        ptrs = [live, w.alloc(200), w.alloc(1024)]
        w.alloc(1024)
        w.free_many(ptrs)
        services = w.counters()
        held = sum(map(sum, (chunk.populated for chunk in w.state().chunks)))
        assert services["alloc_page"] - (site == "alloc_page") - services["free_page"] == held - 2


# --- in lockstep with port and model

COUNTEREXAMPLES = SAMPLES.parent / "tests" / "counterexamples"


def test_lockstep(fixed: WitnessFactory) -> None:
    parties: dict[str, Any] = {"witness": fixed, "port": Allocator, "model": Model}
    totals = Campaign(parties, operations=30_000, seed=1, length=300).run()
    assert totals.difference is None, str(totals.difference)
    assert totals.operations >= 30_000
    assert len(totals.geometries) >= 90
    assert totals.failures > 500


@pytest.mark.parametrize("name", RECORDINGS)
@pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
def test_recordings(fixed: WitnessFactory, name: str, first_chunk: str) -> None:
    setup = {"cpus": 2, "first_chunk": first_chunk, "memory": "none"}
    trace = Trace.from_ops(Trace.load(SAMPLES / name)[:3000], setup)
    assert lockstep({"witness": fixed, "port": Allocator}, trace) is None


@pytest.mark.parametrize(
    "path", sorted(COUNTEREXAMPLES.glob("*.trace")), ids=lambda path: path.stem
)
def test_counterexamples(fixed: WitnessFactory, path: Path) -> None:
    trace = Trace.load(path)
    for quirks in ([], ["rollback"]):
        for calls in CALLS:
            trace = Trace.from_ops(trace, {**trace.setup, "quirks": quirks})
            assert lockstep({"witness": fixed, "port": Allocator}, trace, calls=calls) is None


def test_every_fault(fixed: WitnessFactory, tiny: dict[str, Any]) -> None:
    """A sweep lets the same calls fail in port, model and witness."""

    def workload(a: Any) -> None:
        live = [a.alloc(8) for _ in range(20)]
        live += [a.alloc(size) for size in (200, 600, 1000, 900, 1000)]
        a.free_many(live[::2])
        a.alloc(700, 1)

    makers: list[Any] = [fixed, Allocator, Model]
    sweeps = [oom_sweep(workload, maker, setup=tiny) for maker in makers]
    assert sweeps[0] == sweeps[1] == sweeps[2]
    assert sweeps[0].hit == set(FAULT_SITES)
