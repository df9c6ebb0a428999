# SPDX-License-Identifier: GPL-2.0-only
"""Reader of the trace file, see ``file``.

A file may be damaged, or made to do harm.  It is read block by block up to the first wrong one, and
its JSON is checked value by value.  No number in it is trusted: memory is taken for the bytes that
are there.
"""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import fields
from types import NoneType
from typing import TYPE_CHECKING, Any

from percpu_ffi._util.text import plural
from percpu_ffi.errors import TraceError, shown
from percpu_ffi.trace.blocks import only_zeroes, read_blocks
from percpu_ffi.trace.figures import counted
from percpu_ffi.trace.file import (
    CODES,
    HEAD,
    LENGTH,
    MAGIC,
    MOST_ROWS,
    ROWS,
    TAIL,
    WORDS,
)
from percpu_ffi.trace.json_values import DAMAGED, fault, integer, of, request
from percpu_ffi.trace.operations import (
    COLUMNS,
    CREATED,
    DESTROYED,
    FAILED,
    NO_CPU,
    NO_INDEX,
    OP,
    WORK_ENDED,
    Batch,
    Column,
    Event,
    Operations,
    Skipped,
    StackOf,
    Tables,
    TraceStats,
    checked_setup,
)
from percpu_ffi.trace.remarks import add_remarks
from percpu_ffi.trace.source import BLOCK, Limit, Pieces, inflate

try:
    from percpu_ffi.trace.rows import join, range_of, sum_times, used
except ImportError:  # nothing is compiled
    from percpu_ffi.trace.slow_rows import join, range_of, sum_times, used

if TYPE_CHECKING:
    from percpu_ffi.trace.source import Blocks

RANGES = ("handle", "kind", "fault")  # that operations use

# of a file that was compressed once more: JSON of consecutive numbers shrinks to 1/70
CONTENTS = Limit(4 << 20, 100)
JSON = Limit(4 << 20, 100)


def read_file(blocks: Blocks) -> Operations:
    """Read a file of :func:`file.write_file` or of a :class:`TraceWriter`.

    Raises:
        TraceError: the file is damaged, or is cut before the first batch.

    """
    try:
        return _read_file(blocks)
    except TraceError:
        raise
    except DAMAGED as error:
        raise TraceError(f"the file is damaged ({error}); copy it again", blocks.name) from error


def _read_file(blocks: Blocks) -> Operations:
    pieces = Pieces(blocks.limited(blocks, CONTENTS))
    pieces.take(len(MAGIC))
    objects = _Objects(blocks)
    found, begun, ended = Operations(), False, False
    for number, (tag, data) in enumerate(read_blocks(pieces)):
        if (tag == HEAD) != (number == 0):
            raise ValueError(f"a block {tag.decode('latin-1')!r} is not in its place")
        if tag not in (HEAD, ROWS, TAIL):
            continue
        contents = Pieces(inflate(_parts(data), f"contents of a block {tag.decode()!r}"))
        values = objects.take(contents)
        columns = _read_columns(values, contents) if tag == ROWS else {}
        if contents.take(1):
            raise ValueError(f"the contents of a block {tag.decode()!r} are too long")
        if tag == HEAD:
            _read_head(found, values)
        elif tag == ROWS:
            found.extend(_decode(values, columns, found))
            begun = True
        else:
            _read_tail(found, values)
            ended = True
            break
    if ended and not only_zeroes(pieces):
        raise ValueError("something follows the end")
    if not begun:
        raise TraceError("the file is cut before its first operation; copy it again", blocks.name)
    if not ended:
        found.stats = counted(found)
        found.remarks.append(
            f"the file has no end, as if its recorder was killed: it holds "
            f"{plural(len(found), 'operation')}, and the figures are those of them"
        )
    _check_figures(found)
    if "chunks" in found.columns:  # it is a recording
        add_remarks(found)
    return found


def _parts(data: bytearray) -> Iterator[memoryview]:
    """Split data: zlib copies what is left of a part for each block that it returns."""
    whole = memoryview(data)
    return (whole[start : start + BLOCK] for start in range(0, len(data), BLOCK))


class _Objects:
    """Reads the JSON of blocks, within a limit for all of it: objects take much memory."""

    def __init__(self, blocks: Blocks) -> None:
        self._blocks = blocks
        self._total = 0

    def take(self, contents: Pieces) -> dict[str, Any]:
        """Return the object that contents begin with."""
        (length,) = LENGTH.unpack(contents.take(LENGTH.size))
        self._total += length
        self._blocks.check(self._total, JSON)
        return of(dict, json.loads(contents.take(length)))


def _read_head(found: Operations, head: dict[str, Any]) -> None:
    names = head.get("names")
    if names is not None and not all(isinstance(name, int | str) for name in of(list, names)):
        raise ValueError("a name is neither an integer nor a string")
    found.names = names
    found.faults = [fault(*of(list, item)) for item in of(list, head.get("faults", []))]
    found.setup = checked_setup(of(dict, head.get("setup", {})))
    found.machine = _machine(head)


def _read_tail(found: Operations, tail: dict[str, Any]) -> None:
    found.machine |= _machine(tail)
    found.skipped = [_skipped(*of(list, row)) for row in of(list, tail.get("skipped", []))]
    found.stats = _stats(tail["stats"])


def _machine(values: dict[str, Any]) -> dict[str, Any]:
    """Return what a recorder says about its machine: plain values, others are left out."""
    machine = of(dict, values.get("machine", {}))
    return {
        name: value for name, value in machine.items() if isinstance(value, str | int | NoneType)
    }


def _read_columns(head: dict[str, Any], contents: Pieces) -> dict[str, Column]:
    """Return the columns of a batch, each with an item for each operation."""
    rows = integer(head["rows"], 0, MOST_ROWS + 1)
    columns: dict[str, Column] = {}
    for name in of(list, head["columns"]):
        if name not in CODES or name in columns:
            raise ValueError(f"a column {shown(name)} is not known, or is there twice")
        column = array(CODES[name], [0])
        size = column.itemsize
        data = contents.take(rows * size)
        if len(data) < rows * size:
            raise ValueError(f"fewer than {plural(rows, 'operation', '')}")
        columns[name] = column * rows
        join(memoryview(columns[name]).cast("B"), size, data, size)
    return columns


def _decode(head: dict[str, Any], columns: dict[str, Column], found: Operations) -> Batch:
    """Return a batch that ``file`` encoded; ``found`` is what was read before."""
    rows = head["rows"]
    ops = bytearray(rows * OP.size)
    if rows:
        memoryview(ops).cast("Q")[::2] = memoryview(columns["keys"])
        memoryview(ops).cast("I")[2::4] = memoryview(columns["handles"])
        memoryview(ops).cast("I")[3::4] = memoryview(columns["kinds"])
    if "times" in columns:
        sum_times(columns["times"], integer(head["tick"], 1, WORDS))
    tables = of(dict, head["tables"])
    batch = Batch(
        ops=ops,
        columns={name: column for name, column in columns.items() if name in COLUMNS},
        events=[Event(*_integers(row, WORDS, 6)) for row in of(list, head["events"])],
        stacks_of=[StackOf(*_integers(row, WORDS, 3)) for row in of(list, head["stacks_of"])],
        tables=Tables(
            kinds=[request(*of(list, row)) for row in of(list, tables["kinds"])],
            names=_strings(tables["names"]),
            tasks=[(*_integers(row, 1 << 32, 2),) for row in of(list, tables["tasks"])],
            stacks=_strings(tables["stacks"]),
            bases=_integers(tables["bases"], WORDS),
        ),
        stats=_stats(head["stats"]),
        slots=integer(head["slots"], found.slots, found.slots + rows + 1),
        flags_known=of(bool, head["flags_known"]),
    )
    _check_indices(batch, found)
    return batch


def _stats(values: Any) -> TraceStats:
    """Return figures; those of later versions are left out."""
    names = of(dict, values).keys() & {field.name for field in fields(TraceStats)}
    return TraceStats(**{name: integer(values[name], 0, WORDS) for name in names})


def _integers(row: Any, high: int, n: int | None = None) -> list[int]:
    values = [integer(value, 0, high) for value in of(list, row)]
    if n is not None and len(values) != n:
        raise ValueError(f"{n} integers are needed")
    return values


def _strings(values: Any) -> list[str]:
    return [of(str, value) for value in of(list, values)]


def _skipped(kind: Any, count: Any, line: Any, text: Any) -> Skipped:
    count, line = (integer(n, 0, WORDS) for n in (count, line))
    return Skipped(of(str, kind), count, line, of(str, text))


def _check_indices(batch: Batch, found: Operations) -> None:
    """Check that all indices of a batch are those of rows that exist."""
    kinds, names, tasks, stacks, bases = (
        len(getattr(found.tables, table.name)) + len(getattr(batch.tables, table.name))
        for table in fields(Tables)
    )
    ops = range_of(batch.ops)
    for what, n, limit in zip(RANGES, ops, (batch.slots, kinds, len(found.faults)), strict=False):
        _check(what, [n - 1], limit)
    if found.names is not None:
        _check("name", memoryview(batch.ops).cast("Q")[::2].tolist(), len(found.names))

    events = batch.events
    befores, end = [event.before for event in events], len(found) + len(batch)
    if befores != sorted(befores) or (befores and befores[0] < len(found)):
        raise ValueError("events are out of order")
    _check("operation", befores, end + 1)
    _check("kind", (event.value for event in events if event.kind == FAILED), kinds)
    _check("chunk", (event.value for event in events if event.kind in (CREATED, DESTROYED)), bases)
    _check("kind of event", (event.kind for event in events), WORK_ENDED + 1)
    _check("CPU", (event.cpu for event in events), NO_CPU + 1)

    of_events = {event.task for event in events} - {NO_INDEX}
    _check("task", {_highest(batch, "tasks"), *of_events}, tasks)
    _check("name", (name for name, _ in batch.tables.tasks), names)
    if bases:  # files of version 2 have no addresses
        _check("chunk", [_highest(batch, "chunks")], bases)
    _check("stack", {_highest(batch, "stacks"), *(row.stack for row in batch.stacks_of)}, stacks)
    _check("kind of row", (row.of_event for row in batch.stacks_of), 2)
    _check("operation", (row.row for row in batch.stacks_of if not row.of_event), end)
    events_so_far = len(found.events) + len(events)
    _check("event", (row.row for row in batch.stacks_of if row.of_event), events_so_far)


def _highest(batch: Batch, name: str) -> int:
    """Return the highest index in a column, -1 without one."""
    return used(batch.columns[name]) - 1 if name in batch.columns else -1


def _check(what: str, indices: Iterable[int], n: int) -> None:
    highest = max(indices, default=-1)
    if highest >= n:
        raise LookupError(f"there is no {what} {highest}")


def _check_figures(found: Operations) -> None:
    claimed, counts = (found.stats.allocs, found.stats.frees), range_of(found.ops)[3:]
    if claimed != counts:
        raise ValueError(f"{claimed} allocations and frees are claimed, there are {counts}")
