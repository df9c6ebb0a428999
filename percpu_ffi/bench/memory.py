# SPDX-License-Identifier: GPL-2.0-only
"""The memory that contenders take for the same live areas: those at the peak of a workload.

Each figure comes from a fresh process, because a malloc library keeps memory that was in use
once.  The process reads ``/proc/self`` before the allocator exists and at the peak:

    resident        private memory in page frames: ``Anonymous`` of ``smaps_rollup``
    address space   mapped or reserved: the first number of ``statm``

The differences include the interpreter and the arrays of the loop.  So the contender ``empty``,
which allocates nothing, is measured in the same way and subtracted.  The rest is accurate to some
pages.  The C library first uses up address space of its heap that the interpreter has freed,
about half a MiB, so that its address space may be smaller than its resident memory.
"""

from __future__ import annotations

import mmap
import re
from array import array
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from percpu_ffi.bench.contenders import CONTENDERS
from percpu_ffi.bench.fresh import in_fresh_process
from percpu_ffi.bench.libraries import LIBC, functions_of
from percpu_ffi.bench.results import MemoryFigures, MemoryResult
from percpu_ffi.bench.workload import WORDS, Phase, Workload
from percpu_ffi.trace.operations import FREE, OP, ORPHAN

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROCESSES = 3
"""For each contender; the figures are medians."""
BASELINE = "empty"
SMAPS = Path("/proc/self/smaps_rollup")


class Peak(NamedTuple):
    """The first moment at which the live bytes are highest."""

    operations: int
    """Up to then."""
    areas: int
    """Live areas."""
    live_bytes: int
    """Of one CPU."""


def find_peak(workload: Workload) -> Peak:
    """Find the peak; requests that exceed a unit, and fail, do not count."""
    sizes = [size if size <= workload.geometry.unit else 0 for size, _ in workload.kinds]
    held = [0] * workload.slots
    live = areas = 0
    peak = Peak(0, 0, 0)
    ops = chain.from_iterable(OP.iter_unpack(phase.ops) for phase in workload.phases)
    for number, (_key, handle, kind) in enumerate(ops, 1):
        if handle == ORPHAN:
            continue
        size = 0 if kind == FREE else sizes[kind]
        live += size - held[handle]
        areas += (size > 0) - (held[handle] > 0)
        held[handle] = size
        if live > peak.live_bytes:
            peak = Peak(number, areas, live)
    return peak


def measure_memory(
    workload: Workload,
    contenders: Sequence[str],
    processes: int = PROCESSES,
    progress: Callable[[int], object] | None = None,
) -> MemoryResult:
    """Measure the memory of contenders at the peak of a workload.

    Args:
        workload: it runs up to its peak.
        contenders: keys of :data:`CONTENDERS`.
        processes: for each contender.
        progress: called with 1 after each process of ``processes * (len(contenders) + 1)``.

    Returns: the figures.

    Raises:
        ProcessFailed: a process was killed, for lack of memory perhaps; or the system does not
            report resident memory, as before Linux 4.14.

    """
    peak = find_peak(workload)
    ops = array("I")
    for phase in workload.phases:
        ops += phase.ops
    up_to_peak = Phase("peak", ops[: peak.operations * WORDS])
    short = replace(workload, phases=(up_to_peak,), expected=())

    def grown_by(name: str) -> tuple[int, int]:
        grown: tuple[int, int] = in_fresh_process(growth, short, name)
        if progress:
            progress(1)
        return grown

    found = {name: MemoryFigures() for name in contenders}
    for _ in range(processes):
        resident, space = grown_by(BASELINE)
        for name, figures in found.items():
            own_resident, own_space = grown_by(name)
            figures.resident.append(max(own_resident - resident, 0))
            figures.address_space.append(max(own_space - space, 0))
    return MemoryResult(peak.areas, peak.live_bytes * workload.geometry.cpus, found)


def growth(workload: Workload, name: str) -> tuple[int, int]:
    """Run a workload in this process; return by how much memory and address space grow, bytes."""
    LIBC.trim(functions_of(LIBC))  # so that free memory of the interpreter is not used again
    resident, space = _reading()
    with CONTENDERS[name].open(workload) as session:
        for phase in workload.phases:
            session.run(phase.ops)
        resident_after, space_after = _reading()
    return resident_after - resident, space_after - space


def _reading() -> tuple[int, int]:
    """Return resident bytes and address space of this process."""
    found = re.search(r"^Anonymous: +(\d+) kB$", SMAPS.read_text("ascii"), re.M)
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return int(found[1]) * 1024 if found else 0, pages * mmap.PAGESIZE
