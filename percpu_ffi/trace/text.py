# SPDX-License-Identifier: GPL-2.0-only
"""Reader for what kernels print: ftrace and perf script, old and new fields.

The parser is in C (csrc/trace/); this module feeds it blocks, takes the operations, and words
the errors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from percpu_ffi._core import ffi, lib
from percpu_ffi._util.text import plural
from percpu_ffi.errors import TraceError, host_out_of_memory
from percpu_ffi.trace.operations import Kind, Operations, TraceStats

HINT = "docs/traces.md explains how to record one"

MESSAGES = {
    lib.PCPU_T_MISSING: "the event has no `{field}=`; the line is damaged, or no kernel's",
    lib.PCPU_T_NUMBER: "`{field}=` is not a number as kernels print it; the line is damaged",
    lib.PCPU_T_POINTER: "`{field}=` is masked, as kernels do early at boot; pointers "
    "cannot be distinguished: record later, or boot with no_hash_pointers",
    lib.PCPU_T_CUT: "the trace is cut in mid-line; copy it again, or delete its last line",
    lib.PCPU_T_BINARY: f"this is binary data, not the text of a trace; {HINT}",
    lib.PCPU_T_TOO_MANY: "more than 2^32 areas are live; split the trace",
}


def _raise(error: Exception) -> None:
    raise error


def read_text(
    blocks: Iterable[bytes], name: str, stopped: Callable[[Exception], object] = _raise
) -> Operations:
    """Read the text of a trace to the end.

    Args:
        blocks: the text.
        name: its file, for error messages.
        stopped: called with the error that ends the reading early; if it returns, the
            operations read so far are returned.

    Raises:
        TraceError: it is empty, cut, binary, or not a trace of percpu events.

    """
    reader = ffi.gc(lib.pcpu_trace_reader_new(), lib.pcpu_trace_reader_free)
    if not reader:
        raise host_out_of_memory()

    ops, notes = bytearray(), bytearray()
    for block in blocks:
        if lib.pcpu_trace_feed(reader, block, len(block)):
            break
        _take(reader, ops, notes)
    if lib.pcpu_trace_finish(reader):  # returns an earlier error again
        stopped(_error(reader, name))
    _take(reader, ops, notes)

    stats = ffi.new("struct pcpu_trace_stats *")
    lib.pcpu_trace_stats(reader, stats)
    if not stats.events:
        what = (
            f"no percpu event in {plural(stats.lines, 'line', '')}"
            if stats.lines
            else "the file is empty"
        )
        raise TraceError(f"{what}: not a trace of the percpu allocator; {HINT}", name)
    return Operations(
        kinds=[_kind(reader, i) for i in range(stats.kinds)],
        slots=stats.handles,
        stats=TraceStats(
            **{name: getattr(stats, name) for name in TraceStats.__dataclass_fields__}
        ),
        ops=ops,
        notes=notes,
    )


def _take(reader: Any, ops: bytearray, notes: bytearray) -> None:
    """Add the operations read since the last call, and their notes."""
    count = ffi.new("size_t *")
    first = lib.pcpu_trace_ops(reader, count)
    ops += ffi.buffer(first, count[0] * ffi.sizeof("struct pcpu_op"))
    first = lib.pcpu_trace_notes(reader, count)
    notes += ffi.buffer(first, count[0] * ffi.sizeof("struct pcpu_trace_note"))
    lib.pcpu_trace_take(reader)


def _kind(reader: Any, index: int) -> Kind:
    kind = ffi.new("struct pcpu_kind *")
    length = ffi.new("size_t *")
    site = lib.pcpu_trace_kind(reader, index, kind, length)
    name = bytes(ffi.buffer(site, length[0])).decode(errors="replace")
    return Kind(kind.size, kind.align, name)


def _error(reader: Any, name: str) -> Exception:
    stop = ffi.new("struct pcpu_trace_stop *")
    lib.pcpu_trace_stop(reader, stop)
    if stop.error == lib.PCPU_T_HOST:
        return host_out_of_memory()
    field = ffi.string(stop.field).decode() if stop.field else None
    return TraceError(MESSAGES[stop.error].format(field=field), name, stop.line)
