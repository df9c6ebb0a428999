# SPDX-License-Identifier: GPL-2.0-only
"""Render what a kernel's recording says of the policy, as text and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from percpu_ffi.drawing import LEGEND, map_window
from percpu_ffi.state import Location, State
from percpu_ffi.trace import Trace
from percpu_ffi.witness.follow import Choices, Figures, Foretold, Miss
from percpu_ffi.witness.verdict import Verdict

AROUND = 512  # bytes of a map to draw before and after a place
WIDTH = 64  # characters


@dataclass(frozen=True)
class WitnessReport:
    """The report of ``percpu-ffi check --against kernel``."""

    name: str
    """Of the recording."""
    party: str
    """Who predicts: ``"port"`` or ``"model"``."""
    trace: Trace
    verdict: Verdict
    remarks: Sequence[str] = ()
    """What weakens the witness, a sentence each."""

    @property
    def all_predicted(self) -> bool:
        """Whether each choice was predicted as recorded."""
        return not self.verdict.figures.misses

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        verdict = self.verdict
        figures = verdict.figures
        again = verdict.reordered
        return {
            "party": self.party,
            "setup": verdict.setup,
            "start": verdict.start.name,
            "start_rule": verdict.start.rule,
            **asdict(figures.all),
            "in_new_chunks": asdict(figures.new),
            "reordered": None if again is None else _counts(again),
            "moved": verdict.moves,
            "chunks_made": asdict(figures.made),
            "chunks_destroyed": asdict(figures.destroyed),
            "background_runs": asdict(figures.runs),
            "failed_requests": asdict(figures.failed),
            "learnt": figures.learnt,
            "lost_frees": figures.lost_frees,
            "unknown_frees": figures.orphans,
            "misses": [miss.step.number for miss in figures.misses],
            "remarks": list(self.remarks),
        }

    def to_text(self) -> str:
        """Return the report for a terminal."""
        return "\n".join(self._lines())

    def _lines(self) -> Iterator[str]:
        verdict = self.verdict
        setup, figures = verdict.setup, verdict.figures
        fixes = f", with {', '.join(setup['fixes'])} fixed" if setup["fixes"] else ""
        yield f"{self.name}: what the kernel chose, predicted by the {self.party}{fixes}"
        yield (
            f"units of {setup['unit_size']:,} bytes: static {setup['static_size']:,}, reserved "
            f"{setup['reserved_size']:,}, dynamic {setup['dyn_size']:,}"
        )
        yield f"start: {verdict.start.rule}"
        yield ""
        yield from _choice_rows(figures.all)
        if figures.new.choices:
            yield "  in chunks that were created during the recording"
            yield from _choice_rows(figures.new, "  ")
        for what, foretold in (
            ("chunks created", figures.made),
            ("chunks destroyed", figures.destroyed),
            ("background runs", figures.runs),
            ("requests without a place", figures.failed),
        ):
            yield f"  {what:<26} {_foretold(foretold)}"
        if figures.learnt:
            yield (
                f"  {'learnt':<26} {figures.learnt:>9,}   chunks that the kernel passed over are "
                "taken to be sidelined"
            )
        if figures.lost_frees:
            what = "areas without a free"
            yield f"  {what:<26} {figures.lost_frees:>9,}   others take their place"
        if figures.orphans:
            yield f"  {'unknown frees':<26} {figures.orphans:>9,}   skipped"
        if verdict.reordered is not None:
            yield f"  with {verdict.moves:,} decisions before those printed earlier"
            yield from _choice_rows(verdict.reordered.all, "  ")
        if figures.misses:
            yield ""
            yield from self._first_miss(figures.misses[0], figures.after_first_miss)

    def _first_miss(self, miss: Miss, state: State | None) -> Iterator[str]:
        number = miss.step.number
        yield f"the first miss is operation {number}, {self.trace[number]}"
        yield LEGEND
        yield from _place("kernel", miss.kernel, state)
        if miss.chosen:
            yield from _place("policy", miss.chosen, state)
        else:
            yield "  policy  no place"


def _counts(figures: Figures) -> dict[str, Any]:
    return {**asdict(figures.all), "in_new_chunks": asdict(figures.new)}


def _choice_rows(choices: Choices, indent: str = "") -> Iterator[str]:
    yield f"  {indent}{'choices':<{26 - len(indent)}} {choices.choices:>9,}"
    for what, count in (
        ("chunk and offset", choices.chunk_and_offset),
        ("offset, given the chunk", choices.offset_given_chunk),
    ):
        share = _percent(count, choices.choices)
        yield f"  {indent}{what:<{26 - len(indent)}} {count:>9,}   {share}"


def _percent(count: int, total: int) -> str:
    """Write a share; 100 % stands for all, without exception."""
    if not total:
        return ""
    if count == total:
        return "100 %"
    return f"{100_000 * count // total / 1000:.3f} %"


def _foretold(foretold: Foretold) -> str:
    if foretold.seen is None:
        return f"{foretold.foretold:>9,}   by the policy; the recording does not have them"
    return f"{foretold.seen:>9,}   {foretold.foretold:,} of them predicted"


def _place(who: str, place: Location, state: State | None) -> Iterator[str]:
    """Draw the map around a place."""
    yield f"  {who}  chunk {place.chunk}, offset {place.offset:,}"
    chunk = next((c for c in state.chunks if c.id == place.chunk), None) if state else None
    if chunk:
        start = max(place.offset - AROUND, 0)
        end = place.offset + AROUND
        mark = (place.offset - start) * WIDTH // (end - start)
        yield f"          [{map_window(chunk.map, start, end, WIDTH)}]  bytes {start:,} to {end:,}"
        yield f"           {' ' * mark}^"
