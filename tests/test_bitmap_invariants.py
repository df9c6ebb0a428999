# SPDX-License-Identifier: GPL-2.0-only
"""validate() with bitmaps: what exactly is broken; the damage is done to a model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from percpu_ffi import Allocator, InvariantError, Location, Model, PercpuMemoryError, State
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.invariants import violations
from percpu_ffi.testing import SweepFailed, Watched, oom_sweep

TINY: dict[str, Any] = {
    **{"policy": "bitmap", "cpus": 2, "page_size": 64, "memory": "none", "static_size": 70},
    **{"reserved_size": 40, "dyn_size": 40, "unit_size": 512, "balance": "manual"},
}


@pytest.fixture
def model() -> Any:
    """Chunk 1: |aaaa|....|bbbb|bb..|....|....|....|....|, 128 bytes at 128, seven pages held.

    The reserved chunk hides 8 bytes before and 16 after its 40, the first one 48 and 40.
    """
    with Model(**TINY) as model:
        a = model.alloc_many([64, 64, 96], 64)
        model.free(a[1])
        model.balance()
        yield model


def chunk(model: Model, number: int = 1) -> Any:
    return next(chunk for chunk in model._policy.chunks if chunk.id == number)


def set_(name: str, value: Any, number: int = 1) -> Callable[[Model], None]:
    return lambda model: setattr(chunk(model, number), name, value)


def hint(name: str, value: int, block: int | None = None) -> Callable[[Model], None]:
    """Change a hint of a block of chunk 1, or of the chunk."""

    def change(model: Model) -> None:
        made = chunk(model)
        setattr(made.hints if block is None else made.blocks[block], name, value)

    return change


def both(*damages: Callable[[Model], None]) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        for damage in damages:
            damage(model)

    return change


def move(number: int, slot: int, *, isolated: bool = False) -> Callable[[Model], None]:
    def change(model: Model) -> None:
        made = chunk(model, number)
        model._policy.move(made, slot, head=True)
        made.isolated = isolated

    return change


def test_what_is_drawn(model: Model) -> None:
    reserved, first, later = model.state().chunks
    assert (reserved.map, first.map) == ((-8, 40, -16), (-48, 40, -40))
    assert later.map == (-64, 64, -96, 288)
    assert later.populated == (2,) * 7 + (0,)
    assert (later.empty_pages, model.state().empty_pages) == (4, 4)
    assert model.state().populated_pages == 3 + 7


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        # the map
        (set_("free_bits", 8), "chunk 1: free_size is 32, the free entries sum up to 352"),
        (set_("immutable", True), "chunk 1: immutable is True"),
        (set_("immutable", False, 0), "chunk 0: immutable is False"),
        (set_("immutable", False, -1), "chunk -1: immutable is False"),
        (lambda m: chunk(m).blocks.pop(), "the map covers 512 bytes and 7 blocks, of 512 and 8"),
        # hints
        (hint("nr_bits", 127), "its hints are .*, for 128 granules"),
        (hint("nr_bits", 15, 3), "block 3 has 15 granules of 16"),
        (hint("contig_hint", 73), "the contig hint of the chunk claims 73 granules at 56, some in"),
        (hint("contig_hint_start", 55), "the contig hint of the chunk claims 72 granules at 55"),
        (both(hint("scan_hint", 17), hint("scan_hint_start", 16)), "the scan hint of the chunk"),
        (hint("contig_hint", 9, 3), "the contig hint of block 3 claims 9 granules at 8, some in"),
        (hint("contig_hint_start", 7, 3), "the contig hint of block 3 claims 8 granules at 7"),
        (hint("left_free", 1, 0), "the left hint of block 0 claims 1 granules at 0, some in use"),
        (hint("left_free", 17, 1), "the left hint of block 1 claims 17 granules at 0"),
        (hint("right_free", 9, 3), "the right hint of block 3 claims 9 granules at 7, some in"),
        (both(hint("scan_hint", 1, 2), hint("scan_hint_start", 3, 2)), "the scan hint of block 2"),
        (hint("first_free", 17), "granule 16 is free, before first_free of the chunk, 17"),
        (hint("first_free", 9, 3), "granule 56 is free, before first_free of block 3, 9"),
        # pages
        (set_("empty_pages", 5), "chunk 1: 5 pages counted as empty, 4 are"),
        (set_("empty_pages", 1, 0), "chunk 0: 1 page counted as empty, 0 are"),
        (lambda m: setattr(m._policy, "empty_pages", 2), "2 pages are empty in all, .* have 4"),
        (lambda m: setattr(m._policy, "boot_pages", 8), "11 pages populated, the chunks hold 10"),
        (lambda m: chunk(m).populated.__setitem__(1, 1), "held by some CPUs only"),
        (lambda m: chunk(m).populated.__setitem__(3, 0), r"the area at 128 is in pages \[3\]"),
        # slots
        (move(1, 5), "288 bytes as contig hint is in slot 5 .size. instead of in slot 6"),
        (move(1, 0), r"is in slot 0 \(full\) instead of in slot 6"),
        (move(1, 6, isolated=True), "slot 6 .size. instead of sidelined or to be depopulated"),
        (move(1, 8), r"slot 8 \(sidelined\) instead of in slot 6"),
        (set_("isolated", True, 0), "chunk 0: it is isolated, which only later chunks are"),
        (lambda m: m._policy.slots[6].clear(), r"lists hold the chunks \[0\], .* \[0, 1\]"),
        (lambda m: m._policy.slots[6].append(chunk(m)), r"the lists hold the chunks \[0, 1, 1\]"),
        (lambda m: m._policy.slots[6].append(chunk(m, -1)), r"hold the chunks \[-1, 0, 1\]"),
    ],
)
def test_damage_is_found(model: Model, damage: Any, words: str) -> None:
    model.validate()
    damage(model)
    with pytest.raises(InvariantError, match=words):
        model.validate()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ((-64, 64, -96, 0, 288), "an entry that is 0 or no multiple of 4"),
        ((-64, 62, -98, 288), "an entry that is 0 or no multiple of 4"),
        ((-64, 32, 32, -96, 288), "two free entries of the map are neighbours"),
        ((-64, 64, -96), "the map covers 224 bytes and 8 blocks, of 512 and 8"),
    ],
)
def test_map_is_sound(sizes: tuple[int, ...], words: str) -> None:
    class Shown(Model):
        def state(self) -> State:
            state = super().state()
            later = replace(state.chunks[2], map=sizes)
            return replace(state, chunks=(*state.chunks[:2], later))

    with Shown(**TINY) as shown:
        shown.free(shown.alloc_many([64, 64, 96], 64)[1])
        with pytest.raises(InvariantError, match=words):
            shown.validate()


@pytest.mark.parametrize("slot", [8, 10])
def test_isolated_chunk_is_sidelined_or_to_be_depopulated(model: Model, slot: int) -> None:
    policy: Any = model._policy
    policy.isolate(chunk(model))
    move(1, slot, isolated=True)(model)
    model.validate()


def test_hints_may_forget(model: Model) -> None:
    for name in ("contig_hint", "scan_hint", "left_free", "right_free", "first_free"):
        for block in (0, 2, 3, 6):
            hint(name, 0, block)(model)
    assert [text for text in violations(model) if "hint" in text or "granule" in text] == []


@pytest.mark.parametrize(("granules", "slot"), [(0, 0), (1, 1), (3, 1), (4, 2), (7, 2), (8, 3)])
def test_chunk_that_failed_a_fit_may_rest_in_slot_0(model: Model, granules: int, slot: int) -> None:
    """If it belongs in slot 1 or 2; from other slots no chunk is moved."""
    hint("contig_hint", granules)(model)
    move(1, slot)(model)
    model.validate()
    move(1, 0)(model)
    assert bool(violations(model)) == (slot == 3)


class TestLiveAreas:
    def test_sizes_are_whole_granules(self, model: Model) -> None:
        areas = {ptr: 4 * n - 3 for n, ptr in enumerate(model.alloc_many([5, 9]), 2)}
        with pytest.raises(InvariantError, match=r"64 bytes at offset 0 of chunk 1 .* a leak"):
            model.validate(areas)
        areas |= {chunk(model).addr: 64, chunk(model).addr + 128: 96}
        model.validate(areas)
        model.validate({**areas, model.static_ptr: 70})
        for wrong in (4, 9):
            with pytest.raises(InvariantError, match=rf"has 8 bytes in the map, {wrong} were"):
                model.validate({**areas, next(iter(areas)): wrong})

    def test_areas_of_all_first_chunks(self) -> None:
        for kind in (Allocator, Model):
            with kind(**TINY) as a:
                live = {a.alloc_gfp(40, reserved=True): 40, a.alloc(20): 20}
                a.validate(live)
                assert [a.locate(ptr) for ptr in live] == [Location(-1, 8), Location(0, 48)]
                live.popitem()
                with pytest.raises(InvariantError, match="20 bytes at offset 48 of chunk 0"):
                    a.validate(live)
                with pytest.raises(InvariantError, match="40 bytes at offset 8 of chunk -1"):
                    a.validate({})

    def test_contents(self) -> None:
        with Model(policy="bitmap", cpus=2) as a:
            ptr = a.alloc(10)
            a.view(ptr, 1)[:3] = b"abc"
            a.validate({ptr: [bytes(10), b"abc" + bytes(7)]})
            with pytest.raises(InvariantError, match="CPU 1's copy of the area"):
                a.validate({ptr: [bytes(10), bytes(10)]})


# --- tools for tests


def use(a: Any) -> None:
    """Fill two chunks, use flags, and free most."""
    ptrs = [a.alloc(100, 64) for _ in range(10)]
    for flags in ({"atomic": True}, {"reserved": True}):
        ptrs.append(a.alloc_gfp(20, **flags))
    for ptr in ptrs:
        a.free(ptr)


@pytest.mark.parametrize("kind", [Allocator, Model])
@pytest.mark.parametrize("balance", ["auto", "manual"])
def test_sweep(kind: Any, balance: str) -> None:
    def tolerant(a: Any) -> None:
        try:
            use(a)
        except PercpuMemoryError:
            a.free_all()

    sweep = oom_sweep(tolerant, kind, setup={**TINY, "balance": balance})
    assert sweep.hit == set(FAULT_SITES) - {"vmalloc"}
    assert sweep.runs > 40


def test_sweep_finds_a_leak() -> None:
    class Leaky(Model):
        def _alloc(self, size: int, align: int) -> int:
            try:
                return super()._alloc(size, align)
            except PercpuMemoryError:
                self._policy.kernel.calls["kmalloc"] += 1
                raise

    with pytest.raises(SweepFailed, match=r"leaked: \{'heap blocks': "):
        oom_sweep(lambda a: a.alloc(512), Leaky, setup=TINY)


def test_watched_areas() -> None:
    for reserved_size in (0, 8192):
        watched = Watched(
            Model(policy="bitmap", cpus=1, static_size=5000, reserved_size=reserved_size)
        )
        use(watched)
        watched.check_nothing_left()
        watched.alloc_gfp(20, reserved=True)
        with pytest.raises(AssertionError, match="1 live area"):
            watched.check_nothing_left()
        watched.check()


def test_chunks_that_the_work_keeps() -> None:
    """Two later ones at most; with work by hand any number waits for it."""
    for balance, kept in (("auto", 2), ("manual", 5)):
        watched = Watched(Model(**{**TINY, "balance": balance}))
        ptrs = watched.alloc_many([512] * 5)
        watched.free_many(ptrs)
        watched.check_nothing_left()
        assert watched.chunks <= 1 + kept
    watched.allocator._config.balance = "auto"
    with pytest.raises(AssertionError, match="5 chunks left in addition to the first"):
        watched.check_nothing_left()


pytest_plugins = ["pytester"]


def test_fixtures(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import pytest

        pytestmark = pytest.mark.percpu(policy="bitmap", cpus=2, static_size=64, reserved_size=64)

        def test_port(percpu):
            percpu.free(percpu.alloc_gfp(20, atomic=True))

        def test_model(percpu_model):
            percpu_model.free(percpu_model.alloc_gfp(20, reserved=True))

        def test_leak(percpu_model):
            percpu_model.alloc_gfp(20, atomic=True)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=3, errors=1)
