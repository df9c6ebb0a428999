# SPDX-License-Identifier: GPL-2.0-only
"""The policies of examples/policies, which everyone can start from, and what each of them does."""

from __future__ import annotations

import random
import runpy
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import CustomPolicy, InvalidRequest, Replay, Trace
from percpu_ffi.custom import Units, replay_custom

FOLDER = Path(__file__).resolve().parent.parent / "examples/policies"
Bump = runpy.run_path(str(FOLDER / "bump.py"))["Bump"]
POWER = runpy.run_path(str(FOLDER / "power_of_two.py"))
PowerOfTwo, QuarterSteps, LARGEST = (
    POWER[name] for name in ("PowerOfTwo", "QuarterSteps", "LARGEST")
)

# units of 8 pages of 64 bytes; the static area ends in the second page
UNITS = Units(cpus=1, page_size=64, unit_size=512, static_size=100)


def replay(policy: type[CustomPolicy], ops: Any, units: Units = UNITS) -> Replay:
    return replay_custom(policy, Trace.from_ops(ops), units)[0]


def places(result: Replay) -> list[tuple[int, int]]:
    """Return chunk and offset of each operation."""
    return [(pointer // 512 - 1, pointer % 512) for pointer in result.pointers]


def random_ops(seed: int, most: int) -> list[Any]:
    """Return allocations and frees of random sizes, then a free of all areas."""
    rng = random.Random(seed)
    ops: list[Any] = []
    for _ in range(400):
        key = rng.randrange(40)
        size = min(1 << rng.randrange(10), most) - rng.randrange(2)
        ops.append(rng.choice([("alloc", key, max(size, 1), 1 << rng.randrange(7)), ("free", key)]))
    return [*ops, *(("free", key) for key in range(40))]


@pytest.mark.parametrize("unit", [128, 512, 4096])
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("policy", [Bump, PowerOfTwo, QuarterSteps])
def test_no_promise_is_broken(policy: Any, seed: int, unit: int) -> None:
    """The base checks each operation; sizes up to the unit, static areas of up to 100 bytes."""
    ops = random_ops(seed, unit)
    for static in (1, 64, 100):
        result = replay(policy, ops, UNITS._replace(unit_size=unit, static_size=static))
        assert result.failures == ()
        assert result.chunks_created > (unit < 4096)
        assert result.live_bytes == 0


class TestBump:
    def test_each_area_comes_after_the_last_one(self) -> None:
        """A freed place is not used again while there are areas in the chunk.

        |static|a|  b  |c|
        """
        ops = [("alloc", "a", 8, 4), ("alloc", "b", 100, 8), ("free", "a"), ("alloc", "c", 4, 4)]
        assert places(replay(Bump, ops)) == [(0, 100), (0, 112), (0, 100), (0, 212)]

    def test_unit_is_used_to_its_end(self) -> None:
        ops = [("alloc", "a", 412, 4), ("alloc", "b", 512, 4), ("alloc", "c", 1, 1)]
        assert places(replay(Bump, ops)) == [(0, 100), (1, 0), (2, 0)]

    def test_chunk_without_areas_is_destroyed(self) -> None:
        ops = [
            *(("alloc", "a", 412, 4), ("alloc", "b", 512, 4), ("alloc", "c", 1, 1)),
            *(("free", "b"), ("free", "a")),
        ]
        result = replay(Bump, ops)
        assert (result.chunks_created, result.chunks_destroyed) == (2, 1)
        assert result.populated_pages == 8 + 1

    @pytest.mark.parametrize("first", [0, 1])
    def test_current_chunk_starts_anew(self, first: int) -> None:
        """In the first chunk after the static area."""
        ops = [("alloc", "x", 512, 4)] * first + [("alloc", "a", 8, 4), ("free", "a")] * 2
        wanted = (2, 0) if first else (0, 100)
        assert places(replay(Bump, ops))[first:] == [wanted] * 4


class TestPowerOfTwo:
    @pytest.mark.parametrize(
        ("size", "align", "spacing"),
        [
            *((1, 1, 8), (8, 4, 8), (9, 4, 16), (16, 8, 16), (17, 8, 32), (33, 1, 64)),
            *((4, 16, 16), (20, 64, 64)),
        ],
    )
    def test_class_holds_size_and_alignment(self, size: int, align: int, spacing: int) -> None:
        """Its objects follow each other from the first page without static data."""
        two = [("alloc", key, size, align) for key in range(2)]
        assert places(replay(PowerOfTwo, two)) == [(0, 128), (0, 128 + spacing)]

    def test_each_class_has_its_own_slabs(self) -> None:
        """The third page has objects of 8 bytes, the fourth one of 16."""
        ops = [("alloc", "a", 8, 4), ("alloc", "b", 16, 4), ("alloc", "c", 4, 4)]
        assert places(replay(PowerOfTwo, ops)) == [(0, 128), (0, 192), (0, 136)]

    def test_object_freed_last_is_used_first(self) -> None:
        """Also that of another slab than the current one."""
        ops: list[Any] = [("alloc", key, 32, 4) for key in range(5)]  # two slabs and a half
        ops += [("free", 3), ("free", 0), ("alloc", "x", 32, 4), ("alloc", "y", 32, 4)]
        found = places(replay(PowerOfTwo, ops))
        assert found[:5] == [(0, 128), (0, 160), (0, 192), (0, 224), (0, 256)]
        assert found[7:] == [(0, 128), (0, 224)]

    def test_large_objects_take_whole_pages(self) -> None:
        """129 bytes take 256, the four pages of a slab with one object.

        page  0       1       2       3       4       5       6       7
             |static |static |         256 bytes              |       |
        """
        ops = [("alloc", "a", 129, 4), ("alloc", "b", 65, 4), ("alloc", "c", 8, 4)]
        result = replay(PowerOfTwo, ops)
        assert places(result) == [(0, 128), (0, 384), (1, 0)]
        assert result.populated_pages == 2 + 4 + 2 + 1

    def test_class_keeps_one_empty_slab(self) -> None:
        """Of three slabs, the first one that is empty stays."""
        ops: list[Any] = [("alloc", key, 64, 4) for key in range(3)]
        ops += [("free", 1), ("free", 0), ("free", 2)]
        held = [replay(PowerOfTwo, ops[:end]).populated_pages for end in (3, 4, 5, 6)]
        assert held == [2 + 3, 2 + 3, 2 + 2, 2 + 1]
        again = places(replay(PowerOfTwo, [*ops, ("alloc", "x", 64, 4), ("alloc", "y", 64, 4)]))
        assert again[6:] == [(0, 192), (0, 128)]

    def test_kept_slab_is_no_longer_empty_when_it_is_used(self) -> None:
        """So the next empty one is kept, too."""
        ops: list[Any] = [("alloc", "a", 64, 4), ("free", "a"), ("alloc", "b", 64, 4)]
        ops += [("alloc", "c", 64, 4), ("free", "b"), ("free", "c")]
        held = [replay(PowerOfTwo, ops[:end]).populated_pages for end in range(1, 7)]
        assert held == [3, 3, 3, 4, 4, 3]

    def test_chunk_without_slabs_is_destroyed(self) -> None:
        """The class keeps its slab in the first chunk; the two of the second one are given back."""
        ops: list[Any] = [("alloc", key, 64, 4) for key in range(8)]  # 6 pages of chunk 0, 2 of 1
        ops += [("free", 0), ("free", 6), ("free", 7)]
        results = [replay(PowerOfTwo, ops[:end]) for end in (8, 10, 11)]
        assert [result.chunks for result in results] == [2, 2, 1]
        assert [result.chunks_destroyed for result in results] == [0, 0, 1]
        later = replay(PowerOfTwo, [*ops, *(("alloc", key, 65, 4) for key in "ab")])
        assert places(later)[11:] == [(2, 0), (2, 128)]

    def test_steps_are_the_call_and_the_chunks_that_are_searched(self) -> None:
        """Fourteen slabs: six in the first chunk, eight in the second one, then a third chunk."""
        ops: list[Any] = [("alloc", key, 64, 4) for key in range(15)]
        _, work = replay_custom(PowerOfTwo, Trace.from_ops([*ops, ("free", 0)]), UNITS)
        assert work.alloc.entries_scanned == 15 + 6 * 1 + 1 + 7 * 2 + 2
        assert work.free.entries_scanned == 1

    def test_largest_class(self) -> None:
        """Of today's kernels, 32 KiB, if a unit holds a slab of it."""
        assert LARGEST == 32768
        units = Units.of(cpus=1, page_size=4096)
        result = replay(PowerOfTwo, [("alloc", "a", 32768, 4), ("alloc", "b", 32769, 4)], units)
        (failure,) = result.failures
        assert failure.index == 1
        assert isinstance(failure.error, InvalidRequest)
        assert str(failure.error) == "32769 bytes: the largest class has 32768"

    def test_slab_that_is_larger_than_a_unit(self) -> None:
        """A unit of three pages has no slab for 129 bytes, which need four; no chunk is made."""
        units = UNITS._replace(unit_size=192)
        result = replay(PowerOfTwo, [("alloc", "a", 129, 4), ("alloc", "b", 65, 4)], units)
        assert [str(failure.error) for failure in result.failures] == [
            "a unit has no 4 pages for a slab"
        ]
        assert result.chunks_created == 1


@pytest.mark.parametrize(
    ("size", "align", "object_size"),
    [
        *((1, 1, 8), (8, 8, 8), (9, 4, 16), (16, 4, 16), (33, 4, 40), (64, 4, 64), (65, 4, 80)),
        *((80, 8, 80), (81, 8, 96), (112, 8, 112), (113, 1, 128), (128, 1, 128), (129, 1, 160)),
        *((4, 16, 16), (65, 32, 96), (1025, 8, 1280), (1216, 64, 1280), (528, 8, 640)),
    ],
)
def test_quarter_steps(size: int, align: int, object_size: int) -> None:
    """Two objects follow each other in a page of 4,096 bytes, after the one of the static area."""
    units = Units(cpus=1, page_size=4096, unit_size=32768, static_size=1)
    two = replay(QuarterSteps, [("alloc", key, size, align) for key in range(2)], units)
    assert [pointer - 32768 for pointer in two.pointers] == [4096, 4096 + object_size]


def test_document_shows_the_whole_bump_allocator() -> None:
    text = (FOLDER / "bump.py").read_text(encoding="utf-8")
    code = text[text.index("from collections") :]
    assert f"```python\n{code}```\n" in (FOLDER / "../../docs/analysis.md").read_text("utf-8")
