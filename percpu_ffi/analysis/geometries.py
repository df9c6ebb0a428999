# SPDX-License-Identifier: GPL-2.0-only
"""The same trace under several geometries.

Each geometry gets an allocator of its own that keeps books and maps nothing, so that any
number of CPUs will do.  What comes out is figures alone: one that is impossible is told
as refused, and the others go on.

>>> from percpu_ffi import Trace
>>> trace = Trace.from_ops([("alloc", "a", 4096, 8), ("alloc", "b", 4096, 8), ("free", "a")])
>>> small, none = compare(trace, [{"page_size": 4096}, {"cpus": 0}])
>>> small.pages, small.stranded
(16, 16384)
>>> none.reason
'cpus=0: an integer from 1 to 65536 is needed; give the number of possible CPUs'
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from percpu_ffi.allocator import Allocator
from percpu_ffi.errors import ConfigError, PercpuMemoryError, without_warnings
from percpu_ffi.trace.operations import FAULT, FREE, NO_PLACE, OP

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from percpu_ffi.interface import PerCpu
    from percpu_ffi.trace import Trace
    from percpu_ffi.work import Work, WorkByCall

__all__ = ["GEOMETRY", "Outcome", "Refusal", "compare", "steps", "to_plain"]

GEOMETRY = ("first_chunk", "unit_size", "cpus", "static_size", "free_size", "page_size")


@dataclass(frozen=True)
class Outcome:
    """What a trace did under one geometry.  Live bytes are those of one CPU's copies."""

    geometry: dict[str, Any]
    """The names of ``GEOMETRY``, every automatic value worked out; sizes in bytes."""
    failures: int
    """Operations that failed."""
    failure_reasons: dict[str, int]
    """Message -> how often, the most frequent first."""
    live_bytes: int
    """Bytes asked for by areas that live at the end."""
    peak_live_bytes: int
    """The most bytes asked for by areas that lived at one time."""
    pages: int
    """Page frames held at the end, by all CPUs, static ones included."""
    pages_at_peak: int
    """Page frames held when live bytes were highest."""
    peak_pages: int
    """The most page frames held at one time."""
    chunks: int
    """Chunks at the end, the first one included."""
    peak_chunks: int
    """The most chunks at one time, the first one included."""
    chunks_created: int
    """Chunks made."""
    chunks_destroyed: int
    """Chunks given back."""
    work: WorkByCall
    """What the file of 2009 has to do for it."""
    offsets_known: int
    """Allocations of which the trace tells where the recording kernel had the area."""
    same_offsets: int | None
    """How many of them lie at the offset in a unit where the kernel had them, be it in another
    chunk; None where none is known."""
    shift: int | None
    """The kernel's offset less ours, bytes, where that is the same for the most allocations:
    what lay in its chunk before the recording began moves all that follows."""
    same_shifted: int | None
    """How many allocations these are."""

    @property
    def utilisation_at_peak(self) -> float:
        """Share of the page frames that was static or asked for, when live bytes were highest."""
        held = self.pages_at_peak * self.geometry["page_size"]
        return self._used(self.peak_live_bytes) / held if held else 0.0

    @property
    def stranded_at_peak(self) -> int:
        """Bytes of page frames neither static nor asked for, on all CPUs, at that time."""
        return self._stranded(self.pages_at_peak, self.peak_live_bytes)

    @property
    def stranded(self) -> int:
        """Bytes of page frames neither static nor asked for, on all CPUs, at the end."""
        return self._stranded(self.pages, self.live_bytes)

    def _used(self, live: int) -> int:
        return int(self.geometry["static_size"] + live) * int(self.geometry["cpus"])

    def _stranded(self, pages: int, live: int) -> int:
        # with the quirk "rollback" areas may have lost their pages
        return max(pages * int(self.geometry["page_size"]) - self._used(live), 0)


@dataclass(frozen=True)
class Refusal:
    """A geometry that cannot be."""

    geometry: dict[str, Any]
    """The names of ``GEOMETRY``, as they were asked for; sizes 0 where that was left open."""
    reason: str
    """Why."""


def compare(
    trace: Trace,
    setups: Iterable[Mapping[str, Any]],
    progress: Callable[[int], object] | None = None,
) -> Iterator[Outcome | Refusal]:
    """Run ``trace`` under each geometry, in order, one when the next item is asked for.

    Args:
        trace: the operations.
        setups: arguments of an allocator; ``memory`` is ``"none"`` whatever they say.
        progress: called with the number of operations done since its last call.

    Raises:
        TraceError: the trace is damaged.

    """
    known = _kernel_offsets(trace)
    for setup in setups:
        row: Outcome | Refusal
        try:
            row = _run(trace, known, {**setup, "memory": "none"}, progress)
        except (ConfigError, PercpuMemoryError) as refused:
            asked = {name: setup.get(name, _OPEN[name]) for name in GEOMETRY}
            row = Refusal(asked, str(refused))
        yield row


def steps(work: Work) -> float:
    """Steps of the 2009 algorithm for one call: lists, chunks, map entries, tree."""
    each = work.per_operation()
    return sum(each[name] for name in _STEPS)


_OPEN = {**dict.fromkeys(GEOMETRY, 0), "first_chunk": "4k", "cpus": 4, "static_size": 8192}
_STEPS = ("slots_visited", "chunks_visited", "entries_scanned", "entries_moved", "tree_steps")


def _run(
    trace: Trace,
    known: tuple[array[int], array[int]],
    setup: dict[str, Any],
    progress: Callable[[int], object] | None,
) -> Outcome:
    with Allocator(**setup) as allocator, without_warnings():
        result = allocator.replay(trace, progress)
        work = allocator.work()
    shifts = _shifts(known, result.pointers, allocator)
    (shift, same_shifted), *_ = [*shifts.most_common(1), (None, None)]
    return Outcome(
        geometry={
            **{name: getattr(allocator._config, name) for name in GEOMETRY},
            "unit_size": allocator.unit_size,
            "free_size": allocator._free_size,
        },
        failures=len(result.failures),
        failure_reasons=dict(Counter(str(f.error) for f in result.failures).most_common()),
        live_bytes=result.live_bytes,
        peak_live_bytes=result.peak_live_bytes,
        pages=result.populated_pages,
        pages_at_peak=result.pages_at_peak,
        peak_pages=result.peak_populated_pages,
        chunks=result.chunks,
        peak_chunks=result.peak_chunks,
        chunks_created=result.chunks_created,
        chunks_destroyed=result.chunks_destroyed,
        work=work,
        offsets_known=len(known[0]),
        same_offsets=shifts[0] if known[0] else None,
        shift=shift,
        same_shifted=same_shifted,
    )


def _shifts(
    known: tuple[array[int], array[int]], pointers: Sequence[int], allocator: PerCpu
) -> Counter[int]:
    """Count the allocations by the kernel's offset less ours; those that failed are left out."""
    return Counter(
        offset - offset_in_unit(pointers[number], allocator)
        for number, offset in zip(*known, strict=True)
        if pointers[number]
    )


def offset_in_unit(pointer: int, allocator: PerCpu) -> int:
    """Tell the offset of an area, also of one that was freed and whose chunk is gone.

    The first chunk starts at the static area; all others are of one size, each with a guard page:

        |first chunk|chunk|guard|chunk|guard|...
    """
    chunk = allocator.cpus * allocator.unit_size
    at = pointer - allocator.static_ptr
    return at if at < chunk else (at - chunk) % (chunk + allocator.page_size)


def _kernel_offsets(trace: Trace) -> tuple[array[int], array[int]]:
    """Give the allocations that the kernel's offset is known of: their numbers, the offsets."""
    numbers, offsets = array("Q"), array("I")
    if trace.places is not None:
        rows = zip(trace.places.offsets, OP.iter_unpack(trace.ops), strict=True)
        for number, (offset, (_key, _slot, kind)) in enumerate(rows):
            if offset != NO_PLACE and kind not in (FREE, FAULT):
                numbers.append(number)
                offsets.append(offset)
    return numbers, offsets


def to_plain(row: Outcome | Refusal) -> dict[str, Any]:
    """Make a mapping of names to plain values; docs/sight.md tells what each means.

    All rows have the same names in the same order; what a refusal does not have is None.
    """
    if isinstance(row, Refusal):
        return {**row.geometry, "refused": row.reason, **dict.fromkeys(_FIGURES)}
    figures: dict[str, Any] = {**row.geometry, "refused": None}
    for name in _FIGURES:
        figures[name] = getattr(row, name, None)
    figures["utilisation_at_peak"] = round(row.utilisation_at_peak, 4)
    for call, work in (("alloc", row.work.alloc), ("free", row.work.free)):
        figures[f"steps_per_{call}"] = round(steps(work), 2)
        figures[f"work_{call}"] = asdict(work)
    return figures


_FIGURES = (
    *(field.name for field in fields(Outcome) if field.name not in ("geometry", "work")),
    *("utilisation_at_peak", "stranded_at_peak", "stranded"),
    *("steps_per_alloc", "steps_per_free", "work_alloc", "work_free"),
)
