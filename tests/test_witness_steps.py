# SPDX-License-Identifier: GPL-2.0-only
"""The steps of a recording: operations and events in one order."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from percpu_ffi import Location, Trace, TraceError
from percpu_ffi.trace.operations import BALANCE, FAULT, NO_INDEX, OP, ORPHAN, Kind
from percpu_ffi.trace.steps import Alloc, Created, Destroyed, Failed, Free, Work
from percpu_ffi.witness.steps import steps_of

if TYPE_CHECKING:
    from pathlib import Path

BASES = ("0000000000003000", "0000000000011000")
WORK = "workqueue_execute_{}: work struct 00000000d0d0d0d0: function pcpu_balance_workfn"


def load(tmp_path: Path, *lines: tuple[str, str]) -> Trace:
    """Read a recording of lines: a task and what it prints."""
    path = tmp_path / "recording"
    path.write_text(
        "".join(f" {task} [000] ..... 1.{at:06}: {text}\n" for at, (task, text) in enumerate(lines))
    )
    return Trace.load(path)


def place(chunk: int, offset: int) -> str:
    base = BASES[chunk]
    return f"base_addr={base} off={offset} ptr={int(base, 16) + offset:016x}"


def alloc(chunk: int, offset: int, size: int, align: int, flags: str = "") -> str:
    return (
        f"percpu_alloc_percpu: call_site=f reserved={int('r' in flags)} "
        f"is_atomic={int('a' in flags)} size={size} align={align} {place(chunk, offset)} "
        f"bytes_alloc={size} gfp_flags=G"
    )


def free(chunk: int, offset: int) -> str:
    return f"percpu_free_percpu: {place(chunk, offset)}"


def kind(size: int, align: int, *flags: str) -> Kind:
    return Kind(size, align, "f", flags, "G", size)


def test_steps(tmp_path: Path) -> None:
    """Each line with its step; B's free is lost, and the last two events follow all operations."""
    trace = load(
        tmp_path,
        ("one-1", alloc(0, 0, 64, 8)),  # A
        ("one-1", f"percpu_create_chunk: base_addr={BASES[1]}"),
        ("two-2", alloc(1, 16, 12, 4, "a")),  # B
        ("two-2", free(0, 0)),
        ("one-1", free(0, 640)),
        ("one-1", "percpu_alloc_percpu_fail: reserved=1 is_atomic=1 size=400 align=16"),
        ("one-1", WORK.format("start")),
        ("two-2", alloc(1, 16, 8, 8, "r")),  # C
        ("CPU:0", "[LOST 3 EVENTS]"),
        ("two-2", alloc(0, 0, 20, 4)),  # D
        ("one-1", free(0, 0)),
        ("one-1", WORK.format("end")),
        ("one-1", f"percpu_destroy_chunk: base_addr={BASES[1]}"),
    )
    assert [step for step in steps_of(trace) if not isinstance(step, Failed)] == [
        Alloc(0, kind(64, 8), Location(0, 0), 0),
        Created(1),
        Alloc(1, kind(12, 4, "atomic"), Location(1, 16), 1),
        Free(2, 0, Location(0, 0), 1),
        Free(3, None, Location(0, 640), 0),
        Work(begins=True),
        Free(4, 1, Location(1, 16), 1),
        Alloc(4, kind(8, 8, "reserved"), Location(1, 16), 1),
        Alloc(5, kind(20, 4), Location(0, 0), 1),
        Free(6, 5, Location(0, 0), 0),
        Work(begins=False),
        Destroyed(1),
    ]
    (failed,) = (step for step in steps_of(trace) if isinstance(step, Failed))
    assert steps_of(trace).index(failed) == 5
    assert failed.kind[:4] == (400, 16, "", ("atomic", "reserved"))


def test_event_after_all_operations(tmp_path: Path) -> None:
    failed = "percpu_alloc_percpu_fail: reserved=0 is_atomic=1 size=400 align=16"
    steps = steps_of(load(tmp_path, ("one-1", alloc(0, 0, 64, 8)), ("one-1", failed)))
    assert [type(step) for step in steps] == [Alloc, Failed]


def test_operations_that_no_kernel_prints_are_skipped(tmp_path: Path) -> None:
    """A file may have them all the same: here the second of three allocations is made one."""
    lines = (("one-1", alloc(0, offset, 64, 8)) for offset in (0, 64, 128))
    trace = load(tmp_path, *lines)
    for kind in (BALANCE, FAULT):
        ops = bytearray(trace.ops)
        OP.pack_into(ops, OP.size, 0, ORPHAN, kind)
        changed = Trace(replace(trace._data, ops=ops))
        numbers = [step.number for step in steps_of(changed) if isinstance(step, Alloc)]
        assert numbers == [0, 2]


def test_trace_of_work_alone_has_nothing_to_predict() -> None:
    with pytest.raises(TraceError, match="there is nothing to predict"):
        steps_of(Trace.from_ops([("balance",)]))


def test_tasks_of_a_file_without_them_are_unknown(tmp_path: Path) -> None:
    """Then any order of its allocations is possible."""
    trace = load(tmp_path, ("one-1", alloc(0, 0, 64, 8)), ("two-2", alloc(0, 64, 64, 8)))
    known: Any = steps_of(trace)
    assert [step.task for step in known] == [0, 1]
    columns = {name: column for name, column in trace._data.columns.items() if name != "tasks"}
    unknown: Any = steps_of(Trace(replace(trace._data, columns=columns)))
    assert [step.task for step in unknown] == [NO_INDEX, NO_INDEX]
