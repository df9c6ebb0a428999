# SPDX-License-Identifier: GPL-2.0-only
"""Render summaries of distributions of sizes as lines of two tables, and as CSV."""

from __future__ import annotations

from collections.abc import Sequence

from percpu_ffi._util.text import cell, csv_text, table
from percpu_ffi.analysis.size_summary import UNIT, UP_TO, Summary
from percpu_ffi.reports.recording import short_names

Named = Sequence[tuple[str, Summary]]
NOTES = f"""\
bytes are those of {{}}; mean, median, largest: bytes of an area, on one CPU
sizes: how many distinct ones; up to: of at most so many bytes
to {UNIT}, to 2^n: bytes at peak, rounded up to multiples of {UNIT}, to powers of two, / bytes
"""
WIDTH = 4  # of a share
GROUPS = ("% of allocations up to", "% of areas at peak up to", "% of bytes at peak up to")


def summary_csv(named: Named) -> str:
    """Return one row for each summary."""
    columns = [summary.columns() for _, summary in named]
    rows = (
        (name, *(value for (value,) in figures.values()))
        for (name, _), figures in zip(named, columns, strict=True)
    )
    return csv_text(["trace", *columns[0]], rows)


def summary_lines(named: Named, whose: str) -> list[str]:
    """Return two tables, of figures and of shares.

    Args:
        named: the summaries by name.
        whose: as ``whose_bytes()`` returns it.

    """
    names = [cell(name) for name in short_names([name for name, _ in named])]
    figures: list[Sequence[str]] = [
        ("", "allocations:", "", "", "", "", "at peak:", "", "", "", "", "", ""),
        ("trace", "number", "atomic", "sizes", "mean", "median", "areas", "bytes", "mean",
         "median", "largest", f"to {UNIT}", "to 2^n"),
    ]  # fmt: skip
    shares: list[Sequence[str]] = [
        ("trace", *[f"{limit:{WIDTH}}" for limit in UP_TO] * len(GROUPS))
    ]
    for name, (_, summary) in zip(names, named, strict=True):
        allocated, at_peak = summary.allocated, summary.at_peak
        figures.append((
            name, _number(allocated.areas), _share(summary.atomic, "%"), _number(allocated.sizes),
            _number(allocated.mean), _number(allocated.median), _number(at_peak.areas),
            _number(at_peak.bytes), _number(at_peak.mean), _number(at_peak.median),
            _number(at_peak.largest), _factor(at_peak.rounded), _factor(at_peak.in_powers),
        ))  # fmt: skip
        groups = (allocated.up_to, at_peak.up_to, at_peak.bytes_up_to)
        cells = (_share((each or {}).get(limit)) for each in groups for limit in UP_TO)
        shares.append((name, *(share.rjust(WIDTH) for share in cells)))
    width = len(UP_TO) * (WIDTH + 2)
    heading = " " * (2 + max(map(len, (*names, "trace"))) + 2)
    heading += "".join(group.ljust(width) for group in GROUPS).rstrip()
    return [*NOTES.format(whose).splitlines(), "", *table(figures), "", heading, *table(shares), ""]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,}"


def _share(value: float | None, unit: str = "") -> str:
    return "-" if value is None else f"{100 * value:.0f}{unit}"


def _factor(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
