# SPDX-License-Identifier: GPL-2.0-only
"""Operations that this policy does not tell apart: requests with flags, and background work.

Everything that reads a trace does with them what it does with the same trace without flags and
without background work, whose operations only count as such.
"""

from __future__ import annotations

import json
from array import array
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY, lifetimes

from percpu_ffi import Allocator, ConfigError, Model, Trace, TraceError
from percpu_ffi._core import lib
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.lifetimes import lives_of
from percpu_ffi.analysis.outcome import Outcome
from percpu_ffi.analysis.replayed import collect
from percpu_ffi.analysis.sizes import sizes
from percpu_ffi.bench.workload import Options
from percpu_ffi.bench.workloads import recording
from percpu_ffi.cli import main
from percpu_ffi.lockstep import drive, lockstep, shorten
from percpu_ffi.lockstep.driver import batches
from percpu_ffi.lockstep.party import CALLS


class WithCheck:
    """The compiled library with another check of replays."""

    def __init__(self, check: Any) -> None:
        self.pcpu_replay_check = check

    def __getattr__(self, name: str) -> Any:
        return getattr(lib, name)


BOTH = {"port": Allocator, "model": Model}

ATOMIC: Any = ("atomic",)
FLAGGED: list[Any] = [
    ("balance",),
    ("alloc", 1, 64, 8, ATOMIC),
    ("alloc", 2, 64, 8),
    ("balance",),
    ("balance",),
    ("free", 1),
    ("alloc", 2, 16, 8, ("atomic", "reserved")),  # a re-allocation
    ("balance",),
    ("free", 2),
    ("alloc", 3, 8, 4, ("reserved",)),
]
PLAIN = [op[:4] for op in FLAGGED if op != ("balance",)]
# the index in FLAGGED of each operation in PLAIN
INDEX = [i for i, op in enumerate(FLAGGED) if op != ("balance",)]


def traces(**setup: Any) -> tuple[Trace, Trace]:
    return Trace.from_ops(FLAGGED, setup or TINY), Trace.from_ops(PLAIN, setup or TINY)


def test_flags_reach_the_c_library(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def check(run: Any, n: int) -> Any:
        given.extend(run.kinds[i].flags for i in range(run.nr_kinds))
        return lib.pcpu_replay_check(run, n)

    monkeypatch.setattr("percpu_ffi.allocator.lib", WithCheck(check))
    trace = traces()[0]
    with Allocator(**trace.setup) as a:
        a.replay(trace)
    assert given == [1, 0, 3, 2]


class TestLockstep:
    @pytest.mark.parametrize("calls", CALLS)
    def test_port_and_model_agree(self, calls: str) -> None:
        assert lockstep(BOTH, traces()[0], calls=calls) is None

    @pytest.mark.parametrize("calls", CALLS)
    def test_difference_is_found_and_shortened(self, calls: str) -> None:
        """The shortened trace keeps the flags; background work has nothing to do with it."""

        class NoEight(Model):
            def alloc(self, size: int, align: int = 8) -> int:
                return super().alloc(64 if size == 16 else size, align)

            def alloc_many(self, sizes: Any, align: Any = 8) -> Any:
                return super().alloc_many([64 if size == 16 else size for size in sizes], align)

            def replay(self, trace: Any, *args: Any, **options: Any) -> Any:
                ops = [(*op[:2], 64, *op[3:]) if op[2:3] == (16,) else op for op in trace]
                return super().replay(Trace.from_ops(ops), *args, **options)

        parties = {"port": Allocator, "model": NoEight}
        found = lockstep(parties, traces()[0], calls=calls)
        assert found is not None
        short = shorten(parties, found)
        assert list(short.trace) == [("alloc", 2, 16, 8, ("atomic", "reserved"))]
        assert "('alloc', 2, 16, 8, ('atomic', 'reserved'))" in str(short)

    def test_batches(self) -> None:
        """Neighbours are one call if their alignments and flags are the same."""
        ops: list[Any] = [
            ("alloc", 1, 8, 8), ("alloc", 2, 16, 8), ("alloc", 3, 8, 8, ATOMIC),
            ("alloc", 4, 8, 8, ATOMIC), ("balance",), ("balance",), ("alloc", 5, 8, 8, ATOMIC),
            ("free", 1), ("free", 2),
        ]  # fmt: skip
        assert [len(batch) for batch in batches(ops)] == [2, 2, 1, 1, 1, 2]

    @pytest.mark.parametrize("calls", CALLS)
    def test_operations_as_tuples(self, calls: str) -> None:
        with Allocator(**TINY) as port, Model(**TINY) as model:
            assert drive({"port": port, "model": model}, FLAGGED, calls=calls) is None
            assert port.state() == model.state()

    @pytest.mark.parametrize(
        "op", [("alloc", 1, 8, 8, ()), ("alloc", 1, 8, 8, ("x",)), ("balance", 1), ("balanced",)]
    )
    def test_no_operation(self, op: Any) -> None:
        with (
            Allocator(**TINY) as port,
            Model(**TINY) as model,
            pytest.raises(TraceError) as caught,
        ):
            drive({"port": port, "model": model}, [op])
        assert repr(op) in str(caught.value)

    def test_check_saves_and_reloads_them(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(tmp_path)
        traces()[0].save("trace")
        assert main(["check", "trace", "--calls", *CALLS]) == 0
        assert "10 operations, no difference" in capsys.readouterr().out

        (tmp_path / "mine.py").write_text(
            "import percpu_ffi\n"
            "class Mine(percpu_ffi.Model):\n"
            "    def alloc(self, size, align=8):\n"
            "        return super().alloc(24 if size == 16 else size, align)\n"
        )
        assert main(["check", "trace", "--with", "mine=mine:Mine", "--only", "port", "mine"]) == 1
        assert "('alloc', 2, 16, 8, ('atomic', 'reserved'))" in capsys.readouterr().out
        assert list(Trace.load("difference.trace")) == [FLAGGED[6]]


class TestAnalysis:
    def test_lives(self) -> None:
        flagged, plain = map(lives_of, traces())
        assert flagged.born == [INDEX[at] for at in plain.born]
        assert flagged.died == [10 if at == len(PLAIN) else INDEX[at] for at in plain.died]
        assert flagged.fates == plain.fates
        assert flagged.peak == INDEX[plain.peak]
        assert flagged.peak_bytes == plain.peak_bytes == 128

    def test_lifetimes(self) -> None:
        trace = Trace.from_ops(FLAGGED, times=range(0, 100, 10))
        assert lifetimes(trace, lives_of(trace)) == [40, None, 20, None]

    def test_sizes(self) -> None:
        flagged, plain = map(sizes, traces())
        assert (flagged.atomic, plain.atomic) == (2, 0)
        assert replace(flagged, atomic=0) == plain

    def test_timeline(self) -> None:
        flagged, plain = (collect(trace, dict(TINY)) for trace in traces())
        assert [(kind[:2], INDEX.index(born)) for kind, born, _ in flagged.areas()] == [
            (kind[:2], born) for kind, born, _ in plain.areas()
        ]
        assert [flagged.curves.live[at + 1] for at in INDEX] == [*plain.curves.live[1:]]

    def test_offsets_of_the_kernel(self) -> None:
        """Those of the four allocations count, not those of other operations."""
        found = []
        for trace in traces():
            trace._data.columns["offsets"] = array("I", [128] * len(trace))
            (outcome,) = compare(trace, [dict(TINY)])
            assert isinstance(outcome, Outcome)
            found.append((outcome.offsets_known, outcome.same_offsets, outcome.shift))
        assert found[0] == found[1]
        assert found[0][0] == 4


class TestBenchmark:
    def test_background_work_is_left_out(self, tmp_path: Path) -> None:
        """It is the kernel's, not that of the callers who are measured."""
        loaded = []
        for name, trace in zip(("flagged", "plain"), traces(), strict=True):
            trace.save(tmp_path / name)
            workload = recording("trace", tmp_path / name, Options())
            ops = workload.phases[0].ops
            requests = [workload.kinds[kind] if kind < 99 else kind for kind in ops[3::4]]
            handles = [*ops[2::4]]
            loaded.append((workload.what, workload.slots, handles, requests))
        assert loaded[0] == loaded[1]

    def test_nothing_else_is_there(self, tmp_path: Path) -> None:
        Trace.from_ops([("balance",)]).save(tmp_path / "saved")
        with pytest.raises(ConfigError, match="without operations cannot be measured"):
            recording("trace", tmp_path / "saved", Options())


@pytest.mark.parametrize("command", ["replay", "who", "sizes", "compare"])
def test_commands_print_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """Except where they count operations."""
    printed = []
    for trace in traces():
        trace.save(tmp_path / "saved")
        assert main([command, "--json", str(tmp_path / "saved")]) == 0
        printed.append(json.loads(capsys.readouterr().out))
    flagged, plain = printed
    for report in printed:
        for key in ("recording", "trace", "replay", "elapsed_ns"):
            report.pop(key, None)
    assert flagged.keys() == plain.keys()
    if command == "sizes":
        parts = [report["parts"][0] for report in printed]
        assert [part["summary"].pop("atomic") for part in parts] == [0.5, 0]
        for part in parts:
            del part["recording"]
        assert flagged == plain


BITMAP = {"policy": "bitmap", "cpus": 2, "memory": "none"}


@pytest.mark.parametrize(
    "more", [{}, {"fixes": ["chunk-hint"]}, {"balance": "manual"}, {"reserved_size": 64}]
)
def test_set_up_of_the_bitmap_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: dict[str, Any]
) -> None:
    """It comes from the trace; its flags have an effect."""
    Trace.from_ops(FLAGGED, {**BITMAP, **more}).save(tmp_path / "saved")
    assert main(["replay", str(tmp_path / "saved"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["geometry"]["policy"] == "bitmap"
    assert main(["check", str(tmp_path / "saved")]) == 0


def test_policy_of_the_command_line_wins(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What only the other policy has is left out."""
    Trace.from_ops(FLAGGED, {**BITMAP, "dyn_size": 4096}).save(tmp_path / "saved")
    assert main(["replay", str(tmp_path / "saved"), "--json", "--policy", "area-map"]) == 0
    geometry = json.loads(capsys.readouterr().out)["geometry"]
    assert (geometry["policy"], geometry["first_chunk"]) == ("area-map", "4k")
    Trace.from_ops(FLAGGED, {"first_chunk": "remap", "memory": "none"}).save(tmp_path / "saved")
    assert main(["replay", str(tmp_path / "saved"), "--json", "--policy", "bitmap"]) == 0
    assert json.loads(capsys.readouterr().out)["geometry"]["first_chunk"] is None


def test_replay_counts_the_flags_that_it_ignores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flagged = sum(len(op) == 5 for op in FLAGGED)
    for policy, ignored in (("area-map", flagged), ("bitmap", 0)):
        Trace.from_ops(FLAGGED, {"cpus": 2, "memory": "none"}).save(tmp_path / "saved")
        command = ["replay", str(tmp_path / "saved"), "--policy", policy]
        assert main([*command, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["ignored_flags"] == ignored
        assert main(command) == 0
        assert ("ignored flags" in capsys.readouterr().out) == (ignored > 0)
