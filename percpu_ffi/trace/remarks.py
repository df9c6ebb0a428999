# SPDX-License-Identifier: GPL-2.0-only
"""What a user has to know about a recording, and what a text without a recording may be."""

from __future__ import annotations

import re

from percpu_ffi._util.text import plural
from percpu_ffi.trace.operations import NO_TIME, Operations, Skipped

HINT = "docs/traces.md explains how to record one"

# a recorder that reports no loss is not believed above this share of re-allocations
REALLOCS = 0.02
MOST_REALLOCS = 3

# `perf script --deltatime` prints 0 and then differences: about half of them are smaller
SMALLER = 0.2

# of a text whose start is missing, unless it is too short to tell
SOME = 3
DOUBT = "; if `perf script --deltatime` printed this, all are wrong: leave the option out"
NO_NAMES = (
    "ftrace's option {} was on, and the lines have no names of events: `echo 0 > options/{}`, "
    "record again"
)

# how other files begin or what they contain, and what they are
OTHERS = (
    (rb"entries-in-buffer/entries-written: 0/0", "ftrace's buffer is empty: tracing was off, as "
     "trace-cmd leaves it, or no event of percpu was enabled; `echo 1 > tracing_on`, record again"),
    (rb"Percpu Memory Statistics", "this is a dump of percpu_stats: give it to `percpu-ffi stats`"),
    (rb"(?m)^\d+ \d+ \d+ type: \d+\s*$", NO_NAMES.format("raw", "raw")),
    (rb"(?m)^[\da-f]{8} [\da-f]{8} [\da-f]{16} type: \d+\s*$", NO_NAMES.format("hex", "hex")),
    (rb"\0type: \d+\n|\A# tracer: [^\0]*\0", NO_NAMES.format("bin", "bin")),
    (rb"(?m)^@\w*(\[|:)", "this is the output of bpftrace: sums, no events; record the events with "
     "`percpu-ffi record`"),
    (rb"\AAttaching \d+ probe|\A{\"type\": \"(attached_probes|map)\"", "this is the output of "
     "bpftrace, not the events as the kernel prints them; record them with `percpu-ffi record`"),
    (rb"(?m)^(?!.*percpu_\w+[:(]).*\bbase_addr=\w+ off=\d+ ptr=", "the events have no names: print "
     "them with `perf script` without -F, or add the field `event`"),
    (rb"(?ms)\A(?!.*ptr[=:]).*\bpercpu_(alloc|free)_percpu:\s*$", "the events have no fields: "
     "print them with `perf script` without -F, or add the field `trace`"),
    (rb"# To display the perf.data header info", "this is the output of `perf report`: sums, no "
     "events; give perf.data itself"),
    (rb"(?mi)^Content-Transfer-Encoding: *base64", "this is a mail in base64: save its text, or "
     "what is attached, and read that"),
    (rb"\A(\x1f\x8b|\xfd7zXZ|BZh|\x28\xb5\x2f\xfd)", "the file is compressed twice: decompress it "
     "once and read the result"),
    (rb"\A\x5d\0\0", "this is compressed by lzma: run `unlzma` and read the result"),
    (rb"(?s)\A.{257}ustar", "this is a tar archive: unpack it and read the file inside"),
    (rb"\APK\x03\x04", "this is a zip archive: unpack it and read the file inside"),
    (rb"\A7z\xbc\xaf", "this is a 7z archive: unpack it and read the file inside"),
    (rb"\A\x04\x22\x4d\x18", "this is compressed by lz4: run `unlz4` and read the result"),
    (rb"\A\x1f\x9d", "this is compressed by compress: run `uncompress` and read the result"),
    (rb"\A\x89LZO", "this is compressed by lzop: run `lzop -d` and read the result"),
    (rb"\ALZIP", "this is compressed by lzip: run `lzip -d` and read the result"),
    (rb"\A\x7fELF", "this is a program"),
)  # fmt: skip


def nothing_found(lines: int, skipped: list[Skipped], head: bytes) -> str:
    """Return why there is no recording in a text, and what it probably is.

    Args:
        lines: how many it has.
        skipped: what they are.
        head: how it begins.

    """
    for pattern, what in OTHERS:
        if re.search(pattern, head):
            return what
    found = {row.kind: row.lines for row in skipped}
    if "binary" in found and len(found) == 1:
        return f"this is binary data, not the text of a trace; {HINT}"
    what = f"no percpu event in {plural(lines, 'line', '')}" if lines else "the file is empty"
    if damaged := sum(found.get(kind, 0) for kind in ("damaged", "masked", "torn", "cut")):
        what += f" that can be read; {plural(damaged, 'event')} cannot"
        if masked := found.get("masked"):
            return (
                f"{what}, {masked:,} of them because their pointers are masked, as kernels do "
                "early at boot: record later, or boot with no_hash_pointers"
            )
    elif others := found.get("other_event"):
        what += f", but {plural(others, 'event')} of other kinds: enable those of percpu, too"
    return f"{what}: not a trace of the percpu allocator; {HINT}"


def add_remarks(found: Operations) -> None:
    """Add a remark for each thing that makes figures uncertain; drop times that are differences."""
    stats, times = found.stats, found.columns.get("times")
    many = stats.backwards > SMALLER * len(found)
    if times and times[0] == 0 and many:
        del found.columns["times"]
        found.events = [event._replace(time=NO_TIME) for event in found.events]
        found.remarks.append(
            "the times are differences, as `perf script --deltatime` prints them, and are ignored: "
            "print the recording without this option"
        )
    elif times and stats.backwards:
        found.remarks.append(
            f"the time runs backwards at {plural(stats.backwards, 'operation')}: lifetimes that "
            f"would be negative are unknown{DOUBT * (many and stats.backwards >= SOME)}"
        )
    if not stats.lost and stats.reallocs > max(MOST_REALLOCS, REALLOCS * stats.allocs):
        found.remarks.append(
            f"{plural(stats.reallocs, 'allocation')} of pointers still in use, but no lost events "
            "are reported: many were probably lost; if perf recorded them, print them with `perf "
            "script --show-lost-events`"
        )
