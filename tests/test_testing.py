# SPDX-License-Identifier: GPL-2.0-only
"""``percpu_ffi.testing``: the watched allocator, the fault sweep, the pytest fixtures."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
from conftest import TINY, Kind

from percpu_ffi import (
    Allocator,
    ClosedError,
    ConfigError,
    InvalidPointer,
    InvalidRequest,
    InvariantError,
    Model,
    PercpuMemoryError,
)
from percpu_ffi.config import FAULT_SITES
from percpu_ffi.model.area_map import AreaMap
from percpu_ffi.model.pages import depopulate
from percpu_ffi.testing import SweepFailed, Watched, oom_sweep


def every_service(a: Any) -> None:
    """Use three chunks, maps that outgrow kmalloc, and populate pages around others."""
    small = [a.alloc(8) for _ in range(20)]
    freed = a.alloc(200, 64)
    a.alloc(64, 64)
    a.free(freed)
    large = [a.alloc(size) for size in (600, 1000, 900, 1000)]
    a.alloc_many([100] * 5, align=4)
    for ptr in [*small[::2], *large]:
        a.free(ptr)
    a.alloc(700, 1)


def tolerant(a: Any) -> None:
    """A workload that handles every failure, as callers in a kernel do."""
    for size in (8, 500, 700, 900, 3, 1000):
        try:
            ptr = a.alloc(size)
        except PercpuMemoryError:
            continue
        if size != 3:
            a.free(ptr)


class Foreign:
    """An allocator of someone else, with the methods that a sweep needs."""

    def __init__(self, **setup: Any) -> None:
        self.model = Model(**setup)
        self.state, self.counters = self.model.state, self.model.counters
        self.inject, self.free = self.model.inject, self.model.free

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_error: object) -> None:
        self.model.close()

    def alloc(self, size: int, align: int) -> int:
        return self.model.alloc(size, align)


class TestSweep:
    @pytest.mark.parametrize("quirks", [(), ("rollback",)])
    def test_every_service_fails_and_nothing_breaks(self, kind: Kind, quirks: Any) -> None:
        sweep = oom_sweep(every_service, kind, setup={**TINY, "quirks": quirks})
        assert sweep.hit == set(FAULT_SITES)
        for site in sweep.sites:
            assert site.raised == site.runs == 2 * site.calls

    @pytest.mark.parametrize("first_chunk", ["4k", "embed", "remap"])
    def test_contents_survive(self, kind: Kind, first_chunk: str) -> None:
        setup = {"cpus": 2, "first_chunk": first_chunk, "static_size": 60000}

        def workload(a: Any) -> None:
            a.alloc(3000)
            a.alloc(9000)
            a.free(a.alloc(65536))
            a.alloc(100)

        assert oom_sweep(workload, kind, setup=setup).runs > 20

    def test_workload_may_handle_failures(self, kind: Kind) -> None:
        sweep = oom_sweep(tolerant, kind, setup=TINY)
        assert sweep.runs > 50
        assert all(site.raised == 0 for site in sweep.sites)

    def test_each_call_fails_alone_and_with_all_later_ones(self) -> None:
        # three areas of a page on one CPU: the first also takes the map, the others take it
        # if it is not there yet; after each run there is one without faults
        runs = []

        def three_pages(a: Any) -> None:
            assert not a.sizes
            marks = ""
            for _ in range(3):
                try:
                    a.alloc(64, 64)
                    marks += "."
                except PercpuMemoryError:
                    marks += "x"
            runs.append(marks)

        sweep = oom_sweep(three_pages, Model, setup={**TINY, "cpus": 1})
        alone, with_later = ["x..", ".x.", "..x"], ["xxx", ".xx", "..x"]
        faulty = ["x..", "xxx", *(alone + with_later) * 2]
        assert runs == ["...", *(marks for run in faulty for marks in (run, "..."))]
        assert [(site.name, site.calls, site.runs, site.raised) for site in sweep.sites] == [
            ("kmalloc", 1, 2, 0),
            ("vmalloc", 0, 0, 0),
            ("get_vm_area", 0, 0, 0),
            ("alloc_page", 3, 6, 0),
            ("map", 3, 6, 0),
        ]
        assert sweep.runs == 14
        assert sweep.hit == {"kmalloc", "alloc_page", "map"}

    def test_runs_that_raise_are_counted(self) -> None:
        def handles_the_first(a: Any) -> None:
            try:
                a.alloc(64)
            except PercpuMemoryError:
                return
            a.free(a.alloc(64))

        # two frames and mappings for each of the two areas
        sweep = oom_sweep(handles_the_first, Model, setup=TINY)
        assert {site.name: (site.calls, site.raised) for site in sweep.sites if site.calls} == {
            "kmalloc": (1, 0),
            "alloc_page": (4, 4),
            "map": (4, 4),
        }

    def test_report(self) -> None:
        # with real memory a map of a few entries never outgrows kmalloc
        sweep = oom_sweep(lambda a: a.free(a.alloc(8)), setup={"cpus": 1})
        assert str(sweep).splitlines() == [
            "service        calls    runs  raised",
            "kmalloc            1       2       2",
            "vmalloc            0       0       0",
            "get_vm_area        0       0       0",
            "alloc_page         1       2       2",
            "map                1       2       2",
        ]

    @pytest.mark.parametrize(
        ("service", "change", "taken"),
        [
            # released once less, or once more, than taken
            ("kfree", -1, "'heap blocks': 1, 'address ranges': 0, 'page frames': 0"),
            ("vfree", -1, "'heap blocks': 1, 'address ranges': 0, 'page frames': 0"),
            ("free_vm_area", -1, "'heap blocks': 0, 'address ranges': 1, 'page frames': 0"),
            ("free_page", -1, "'heap blocks': 0, 'address ranges': 0, 'page frames': 1"),
            ("kfree", 1, "'heap blocks': -1, 'address ranges': 0, 'page frames': 0"),
            ("free_page", 1, "'heap blocks': 0, 'address ranges': 0, 'page frames': -1"),
            # taken once more
            ("kmalloc", 1, "'heap blocks': 1, 'address ranges': 0, 'page frames': 0"),
            ("vmalloc", 1, "'heap blocks': 1, 'address ranges': 0, 'page frames': 0"),
            ("get_vm_area", 1, "'heap blocks': 0, 'address ranges': 1, 'page frames': 0"),
            ("alloc_page", 1, "'heap blocks': 0, 'address ranges': 0, 'page frames': 1"),
        ],
    )
    def test_leak_is_found(self, service: str, change: int, taken: str) -> None:
        class Leaky(Model):
            def _alloc(self, size: int, align: int) -> int:
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError:
                    self._policy.kernel.calls[service] += change
                    raise

        words = (
            f"after call 1 of kmalloc failed: leaked: {{{taken}}} were taken, "
            "{'heap blocks': 0, 'address ranges': 0, 'page frames': 0} are accounted for"
        )
        with pytest.raises(SweepFailed, match=f"^{re.escape(words)}"):
            oom_sweep(lambda a: a.alloc(8), Leaky, setup=TINY)

    def test_what_chunks_hold_is_no_leak(self) -> None:
        def two_chunks(a: Any) -> None:
            a.alloc_many([8] * 15 + [1000])

        # the second chunk with its map, and a first map that vmalloc holds
        assert oom_sweep(two_chunks, Model, setup={**TINY, "cpus": 1}).hit == set(FAULT_SITES)

    def test_leak_after_several_failures_is_found(self) -> None:
        class LeaksAtTheSecond(Model):
            failures = 0

            def _alloc(self, size: int, align: int) -> int:
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError:
                    self.failures += 1
                    self._policy.kernel.calls["free_page"] -= self.failures == 2
                    raise

        words = r"^after call 1 of kmalloc and all later ones failed: leaked: .*'page frames': 1"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(tolerant, LeaksAtTheSecond, setup=TINY)

    def test_damage_that_a_free_would_repair_is_found(self) -> None:
        class Damaged(Model):
            def _alloc(self, size: int, align: int) -> int:
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError:
                    self._policy.first.immutable = self._live > 0
                    raise

            def _free(self, ptr: int) -> None:
                self._policy.first.immutable = False
                super()._free(ptr)

        def two_areas(a: Any) -> None:
            a.alloc(8)
            a.alloc(64)

        # the second area needs pages: the first one is live when that fails
        words = r"^after call 3 of alloc_page failed: .*immutable is True"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(two_areas, Damaged, setup=TINY)

    def test_leak_of_a_free_is_found(self) -> None:
        class FreesTwice(Model):
            def _free(self, ptr: int) -> None:
                super()._free(ptr)
                self._policy.kernel.calls["kfree"] += 1

        words = "^after call 1 of kmalloc failed: leaked: {'heap blocks': 0, .*{'heap blocks': 1,"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(lambda a: a.alloc(8), FreesTwice, setup=TINY)

    def test_allocator_that_stays_broken_is_found(self) -> None:
        class Broken(Model):
            is_broken = False

            def _alloc(self, size: int, align: int) -> int:
                if self.is_broken:
                    raise PercpuMemoryError("still no memory")
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError:
                    self.is_broken = True
                    raise

        words = "^after call 1 of kmalloc failed: PercpuMemoryError: still no memory$"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(lambda a: a.alloc(8), Broken, setup=TINY)

    def test_lost_area_is_found_without_validate(self) -> None:
        class Losing(Foreign):
            def alloc(self, size: int, align: int) -> int:
                try:
                    return super().alloc(size, align)
                except PercpuMemoryError:
                    super().alloc(24, 8)
                    raise

        words = "^after call 1 of kmalloc failed: 24 bytes of chunk 0 in use"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(lambda a: a.alloc(8), Losing, setup=TINY)

    def test_lost_page_is_found(self) -> None:
        class ReleasesNeighbours(Model):
            """Also releases the pages of neighbours, as the 2009 file does."""

            def _alloc(self, size: int, align: int) -> int:
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError as error:
                    if error.service == "map":
                        depopulate(self._policy.kernel, self._policy.first, range(2), flush=True)
                    raise

        with pytest.raises(SweepFailed, match="which are not held"):
            oom_sweep(every_service, ReleasesNeighbours, setup=TINY)

    def test_error_of_the_workload_names_the_fault(self) -> None:
        def careless(a: Any) -> None:
            ptr: Any = 0
            try:
                ptr = a.alloc(8)
            except MemoryError:
                ptr = None
            a.free(ptr)

        words = "after call 1 of kmalloc failed: InvalidPointer: pointer None"
        with pytest.raises(SweepFailed, match=words):
            oom_sweep(careless, Model, setup=TINY)

    def test_workload_has_to_make_the_same_calls(self) -> None:
        """A workload with a cache was swept for the calls of its later runs only."""

        def warming_up(a: Any) -> None:
            a.alloc_many([64] * sizes.pop())

        sizes = [1] * 99 + [8]
        with pytest.raises(
            SweepFailed, match=r"made \d calls of alloc_page, and 16 in its first run"
        ):
            oom_sweep(warming_up, Model, setup=TINY)

    def test_calls_of_the_set_up_are_not_the_workloads(self) -> None:
        """The static area, here a whole unit, is mapped before the workload begins."""

        def one_area(a: Any) -> None:
            a.alloc(1024)

        def later_none(a: Any) -> None:
            a.alloc_many([64] * sizes.pop())

        setup = {**TINY, "cpus": 1, "static_size": 1024}
        with Model(**setup) as model:
            assert model.counters()["map"] == 1
        sites = oom_sweep(one_area, Model, setup=setup).sites
        assert [(site.name, site.calls) for site in sites if site.calls] == [
            ("kmalloc", 2),
            ("get_vm_area", 1),
            ("alloc_page", 16),
            ("map", 1),
        ]
        # after a run without faults, and two pairs of runs for each of the four calls before
        # the last service
        sizes = [0] * 9 + [1] * (1 + 4 * 2 * 2)
        with pytest.raises(SweepFailed, match="made 0 calls of map, and 1 in its first run"):
            oom_sweep(later_none, Model, setup=setup)

    def test_workload_that_writes(self) -> None:
        def writing(a: Any) -> None:
            ptr = a.alloc(64)
            a.view(ptr, 0)[0] = 1
            a.free(ptr)

        with pytest.raises(AssertionError, match="fill=False"):
            oom_sweep(writing)
        assert oom_sweep(writing, fill=False).runs == 18

    def test_workload_that_sets_faults_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="faults of its own"):
            oom_sweep(lambda a: a.inject("map", 1), Model, setup=TINY)

    def test_workload_that_fails_without_faults_is_refused(self) -> None:
        with pytest.raises(ZeroDivisionError):
            oom_sweep(lambda a: 1 // 0, Model, setup=TINY)

    def test_page_limit_is_refused(self) -> None:
        with pytest.raises(ConfigError, match="page_limit"):
            oom_sweep(tolerant, Model, setup={"page_limit": 5})


class TestWatched:
    def test_changed_contents_are_found(self, real: Any) -> None:
        watched = Watched(real)
        ptr, neighbour = watched.alloc(8), watched.alloc(8)
        watched.check()
        watched.view(ptr, 1)[3] ^= 1
        with pytest.raises(
            InvariantError, match=r"CPU 1's copy of the area at 0x3000 has changed$"
        ):
            watched.check()
        with pytest.raises(AssertionError, match="has changed"):
            watched.free(ptr)
        watched.wrote(ptr)
        watched.check()
        watched.free_many([ptr, neighbour])
        watched.check_nothing_left()

    def test_every_copy_has_contents_of_its_own(self, real: Any) -> None:
        watched = Watched(real)
        ptrs = [watched.alloc(8), watched.alloc(8), *watched.alloc_many([8, 8, 12])]
        copies = [bytes(watched.view(ptr, cpu)) for ptr in ptrs for cpu in range(3)]
        assert len({copy[:8] for copy in copies}) == 5 * 3
        page = bytes(watched.view(watched.alloc(4096), 0))
        assert 0 not in page
        assert page[:2048] != page[2048:]

    def test_contents_are_the_same_in_every_run(self) -> None:
        runs = []
        for _ in range(2):
            with Watched(Model(cpus=2)) as watched:
                ptrs = watched.alloc_many([8, 8])
                runs.append([bytes(watched.view(ptr, cpu)) for ptr in ptrs for cpu in range(2)])
        assert runs[0] == runs[1]

    @pytest.mark.parametrize("change", [lambda ptr, cpu: (ptr, 1 - cpu), lambda ptr, cpu: (ptr, 0)])
    def test_copies_mixed_up_are_found(self, change: Any) -> None:
        class MixedUp(Model):
            mixed = False

            def view(self, ptr: int, cpu: int) -> memoryview:
                return super().view(*change(ptr, cpu) if self.mixed else (ptr, cpu))

        watched = Watched(MixedUp(cpus=2))
        ptr = watched.alloc(1)
        watched.check()
        watched.allocator.mixed = True
        with pytest.raises(InvariantError, match=r"CPU 1's copy of the area at .* has changed"):
            watched.check()
        with pytest.raises(AssertionError, match=f"copy at {ptr:#x} has changed; call wrote"):
            watched.free_many([ptr])

    def test_memory_that_is_not_zeroed_is_found(self) -> None:
        class Dirty(Model):
            def _alloc(self, size: int, align: int) -> int:
                ptr = super()._alloc(size, align)
                with self.view(ptr, 1) as view:
                    view[size - 1] = 1
                return ptr

        with pytest.raises(AssertionError, match="CPU 1's copy at 0x1008 is not zeroed"):
            Watched(Dirty(cpus=2, static_size=8)).alloc(8)

    def test_bytes_after_the_requested_ones_are_not_checked(self, real: Any) -> None:
        # 14 bytes in a free range of 16: the last two stay with the area
        watched = Watched(real)
        freed, _after = watched.alloc(16), watched.alloc(8)
        watched.free(freed)
        ptr = watched.alloc(14)
        assert len(watched.view(ptr, 0)) == 16
        watched.view(ptr, 0)[14] ^= 1
        watched.check()
        watched.wrote(ptr)
        watched.view(ptr, 0)[15] ^= 1
        watched.free_all()
        watched.check_nothing_left()

    @pytest.mark.parametrize(
        ("setup", "fill"),
        [
            ({}, True),
            ({"memory": "none"}, False),
            ({"quirks": ["rollback"]}, False),
        ],
        ids=str,
    )
    def test_areas_are_filled_where_they_can_be(self, setup: Any, fill: bool) -> None:
        assert Watched(Model(**setup)).fill is fill
        assert not Watched(Model(**setup), fill=False).fill
        assert not Watched(Foreign()).fill

    def test_arguments_are_passed_on(self, small: Any) -> None:
        with Watched(small) as watched:
            watched.alloc(8)
            area = watched.area(4, 64)
            ptrs = [watched.alloc(8, 64), *watched.alloc_many([4, 12], 64), area.ptr]
            assert all(ptr % 64 == 0 for ptr in ptrs)
            assert list(watched.sizes.values()) == [8, 4, 8, 4, 12]
            assert area.size == 4
            area.free()
            watched.area(24).free()
            watched.free(0)
            watched.free_many([0, *ptrs[:3], 0])
            assert list(watched.sizes.values()) == [8]
        with pytest.raises(ClosedError):
            watched.alloc(8)

    @pytest.mark.parametrize(
        ("sizes", "listed"),
        [
            ([24], "1 live area: 0x80 (24 bytes)"),
            (
                [24, 8, 8, 8, 8],
                "5 live areas: 0x80 (24 bytes), 0x98 (8 bytes), 0xa0 (8 bytes), 0xa8 (8 bytes), "
                "0xb0 (8 bytes)",
            ),
            (
                [24, 8, 8, 8, 8, 16],
                "6 live areas: 0x80 (24 bytes), 0x98 (8 bytes), 0xa0 (8 bytes), 0xa8 (8 bytes), "
                "0xb0 (8 bytes), ...",
            ),
        ],
        ids=len,
    )
    def test_live_areas_are_listed(self, small: Any, sizes: list[int], listed: str) -> None:
        watched = Watched(small)
        watched.alloc_many(sizes)
        with pytest.raises(AssertionError) as caught:
            watched.check_nothing_left()
        assert str(caught.value).splitlines()[0] == listed

    def test_areas_are_freed_newest_first(self) -> None:
        freed = []

        class Noting(Model):
            def _free(self, ptr: int) -> None:
                freed.append(ptr)
                super()._free(ptr)

        watched = Watched(Noting(**TINY))
        ptrs = watched.alloc_many([8, 16, 24]).tolist()
        watched.free_all()
        assert freed == ptrs[::-1]

    def test_nothing_left_means_that_the_invariants_hold(self) -> None:
        watched = Watched(Model(**TINY))
        watched.allocator._policy.first.immutable = True
        with pytest.raises(InvariantError, match="immutable is True"):
            watched.check_nothing_left()

    def test_small_head_that_went_to_the_static_area_is_not_in_use(self) -> None:
        """The two bytes between a static area of 62 and the first area were reported as a leak."""
        watched = Watched(Model(**{**TINY, "static_size": 62}))
        watched.free(watched.alloc(8))
        assert watched.state().chunks[0].map == (-64, 960)
        watched.check_nothing_left()

    def test_allocators_without_validate_may_keep_one_empty_chunk(self) -> None:
        watched = Watched(Foreign(**TINY))
        ptr = watched.alloc(1024)
        watched.sizes.clear()
        with pytest.raises(AssertionError, match=r"^1024 bytes of chunk 1 in use"):
            watched.check_nothing_left()
        watched.free(ptr)
        watched.check_nothing_left()
        watched.alloc(1024)
        watched.alloc(1024)
        watched.sizes.clear()
        with pytest.raises(AssertionError, match=r"^2 chunks left in addition to the first"):
            watched.check_nothing_left()

    def test_unknown_area_is_a_leak(self, small: Any) -> None:
        watched = Watched(small)
        small.alloc(24)
        with pytest.raises(InvariantError, match=r"24 bytes at offset 64 of chunk 0 .* a leak"):
            watched.check()

    def test_two_empty_chunks_are_too_many(self) -> None:
        class KeepingMap(AreaMap):
            def kill_chunk(self, chunk: Any) -> None:
                pass

        class Keeper(Model):
            POLICIES = {"area-map": KeepingMap}  # noqa: RUF012

        watched = Watched(Keeper(**TINY))
        watched.alloc_many([960, 1024, 1024])
        watched.free_all()
        with pytest.raises(InvariantError, match="are all empty"):
            watched.check()

    def test_invalid_arguments_are_refused_as_by_the_allocator(self, small: Any) -> None:
        watched = Watched(small)
        calls: list[Any] = [watched.free, watched.free_many]
        for call, words in zip(calls, (r"^pointer \[\[\]\]: ", "^pointers list: "), strict=True):
            with pytest.raises(InvalidPointer, match=words):
                call([[]])
        with pytest.raises(InvalidRequest, match=r"^sizes NoneType: "):
            watched.alloc_many(None)  # type: ignore[arg-type]
        assert watched.alloc_many(iter([8, 16])).tolist() == list(watched.sizes)
        watched.free_many(iter(list(watched.sizes)))
        assert repr(copy.copy(watched)) == f"<Watched {small!r}, 0 live areas>"

    def test_unfinished_object_has_no_allocator(self) -> None:
        with pytest.raises(AttributeError, match=r"^allocator$"):
            Watched.__new__(Watched).allocator  # noqa: B018


class TestPlugin:
    @pytest.mark.parametrize(
        ("body", "outcome"),
        [
            ("percpu.free(percpu.alloc(8))", {"passed": 1}),
            ("percpu.alloc(8)", {"passed": 1, "errors": 1}),
            ("percpu.close()", {"passed": 1}),
            ("percpu.alloc(8); percpu.close()", {"passed": 1, "errors": 1}),
            ("percpu.alloc(8); assert 0", {"failed": 1}),
            ("percpu.alloc(8); import pytest; pytest.skip('so')", {"skipped": 1}),
            ("percpu.view(percpu.static_ptr, 0).release()", {"passed": 1}),
            ("p = percpu.alloc(8); percpu.view(p, 0)[0] = 1; percpu.free(p)", {"passed": 1}),
            ("assert 0", {"failed": 1}),
        ],
    )
    def test_leak_fails_the_test(
        self, pytester: pytest.Pytester, body: str, outcome: dict[str, int]
    ) -> None:
        pytester.makepyfile(f"def test_it(percpu):\n    {body}")
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(**outcome)
        if "errors" in outcome:
            result.stdout.fnmatch_lines("*1 live area*")
            result.stdout.no_fnmatch_line("*plugin.py*")  # no traceback

    def test_every_leak_is_reported(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.percpu(cpus=2)
            def test_it(percpu, percpu_model):
                percpu.alloc(8)
                percpu_model.alloc(16)

            @pytest.fixture
            def broken(percpu):
                percpu.alloc(8)
                assert 0, "before the test"

            def test_that_does_not_begin(broken):
                pass
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1, errors=2)
        result.stdout.re_match_lines_random(
            [
                r"^(E +)?<Allocator .*>: 1 live area: 0x\w+ \(8 bytes\)$",
                r"^(E +)?<Model .*>: 1 live area: 0x\w+ \(16 bytes\)$",
                r"^E .*before the test",
            ]
        )

    def test_mark_sets_the_arguments(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.percpu(cpus=3, page_size=64, memory="none", static_size=64)
            def test_it(percpu, percpu_model, percpu_factory):
                assert percpu.cpus == percpu_model.cpus == 3
                assert "Allocator" in repr(percpu.allocator)
                assert "Model" in repr(percpu_model.allocator)
                assert percpu_factory(cpus=5).cpus == 5
                assert percpu.state() == percpu_model.state()
            """
        )
        pytester.runpytest_inprocess("--strict-markers").assert_outcomes(passed=1)

    def test_marks_add_up_and_take_keywords_only(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import pytest

            @pytest.mark.percpu(cpus=3, static_size=7)
            class TestIt:
                @pytest.mark.percpu(static_size=5)
                @pytest.mark.filterwarnings("ignore")
                def test_sum(self, percpu):
                    assert (percpu.cpus, percpu.static_size) == (3, 5)

                @pytest.mark.percpu(2)
                def test_positional(self, percpu):
                    pass
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1, errors=1)

    def test_allocator_is_closed_after_the_test(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            import percpu_ffi, pytest

            kept = []

            def test_it(percpu):
                kept.append(percpu)

            def test_next():
                with pytest.raises(percpu_ffi.ClosedError):
                    kept.pop().alloc(8)

            def test_view(percpu):
                kept.append(percpu.view(percpu.static_ptr, 0))
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=3, errors=1)
        result.stdout.fnmatch_lines("*<Allocator *>: areas of this allocator have live views*")

    def test_broken_invariant_fails_the_test(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            def test_it(percpu_model):
                percpu_model.free(percpu_model.alloc(8))
                percpu_model.allocator._policy.first.contig_hint = 8

            def test_that_fails(percpu_model):
                percpu_model.alloc(8)  # this is forgiven
                percpu_model.allocator._policy.first.contig_hint = 8
                assert 0
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1, failed=1, errors=2)
        result.stdout.fnmatch_lines("*the contig hint of 8 is below the largest free range*")


def test_port_is_the_default() -> None:
    kinds = []
    oom_sweep(lambda a: kinds.append(type(a.allocator)))
    assert set(kinds) == {Allocator}
