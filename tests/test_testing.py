# SPDX-License-Identifier: GPL-2.0-only
"""``percpu_ffi.testing``: the watched allocator, the fault sweep, the pytest fixtures."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from conftest import TINY, Kind

from percpu_ffi import (
    Allocator,
    ConfigError,
    InvalidPointer,
    InvalidRequest,
    InvariantError,
    Model,
    PercpuMemoryError,
)
from percpu_ffi.config import FAULT_SITES
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

    def test_leak_is_found(self) -> None:
        class Leaky(Model):
            def _free_chunk(self, chunk: Any) -> None:
                if chunk.map_alloc:
                    self._kernel.calls["kfree"] -= 1
                super()._free_chunk(chunk)

        with pytest.raises(
            SweepFailed, match=r"after call 1 of kmalloc failed: leaked: .* accounted for"
        ):
            oom_sweep(every_service, Leaky, setup=TINY)

    def test_lost_page_is_found(self) -> None:
        class ReleasesNeighbours(Model):
            """Also releases the pages of neighbours, as the 2009 file does."""

            def _alloc(self, size: int, align: int) -> int:
                try:
                    return super()._alloc(size, align)
                except PercpuMemoryError as error:
                    if error.service == "map":
                        depopulate(self._kernel, self._first, range(2), flush=True)
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

    def test_live_areas_are_listed(self, small: Any) -> None:
        watched = Watched(small)
        ptr = watched.area(24).ptr
        with pytest.raises(AssertionError, match=rf"1 live area: {ptr:#x} \(24 bytes\)"):
            watched.check_nothing_left()

    def test_unknown_area_is_a_leak(self, small: Any) -> None:
        watched = Watched(small)
        small.alloc(24)
        with pytest.raises(InvariantError, match=r"24 bytes at offset 64 of chunk 0 .* a leak"):
            watched.check()

    def test_two_empty_chunks_are_too_many(self) -> None:
        class Keeper(Model):
            def _kill_chunk(self, chunk: Any) -> None:
                pass

        watched = Watched(Keeper(**TINY))
        watched.alloc_many([960, 1024, 1024])
        watched.free_all()
        with pytest.raises(InvariantError, match="are all empty"):
            watched.check()

    def test_invalid_arguments_are_refused_as_by_the_allocator(self, small: Any) -> None:
        watched = Watched(small)
        calls: list[Any] = [watched.free, watched.free_many]
        for call in calls:
            with pytest.raises(InvalidPointer):
                call([[]])
        with pytest.raises(InvalidRequest):
            watched.alloc_many(None)  # type: ignore[arg-type]
        assert watched.alloc_many(iter([8, 16])).tolist() == list(watched.sizes)
        watched.free_many(iter(list(watched.sizes)))
        assert repr(copy.copy(watched)) == f"<Watched {small!r}, 0 live areas>"


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

            @pytest.mark.percpu(cpus=3)
            class TestIt:
                @pytest.mark.percpu(static_size=5)
                def test_sum(self, percpu):
                    assert (percpu.cpus, percpu.static_size) == (3, 5)

                @pytest.mark.percpu(2)
                def test_positional(self, percpu):
                    pass
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1, errors=1)

    def test_broken_invariant_fails_the_test(self, pytester: pytest.Pytester) -> None:
        pytester.makepyfile(
            """
            def test_it(percpu_model):
                percpu_model.free(percpu_model.alloc(8))
                percpu_model.allocator._first.contig_hint = 8
            """
        )
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(passed=1, errors=1)
        result.stdout.fnmatch_lines("*the contig hint of 8 is below the largest free range*")


def test_port_is_the_default() -> None:
    kinds = []
    oom_sweep(lambda a: kinds.append(type(a.allocator)))
    assert set(kinds) == {Allocator}
