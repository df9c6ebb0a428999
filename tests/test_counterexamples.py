# SPDX-License-Identifier: GPL-2.0-only
"""Short traces that once told two allocators apart, kept in tests/counterexamples.

Each was found by a campaign and shortened, and has the name of what it shows.  All
parties have to agree on it; and it has to be as sharp as it was: with the mistake put
back into the model, it shows a difference.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import Allocator, Model, Trace
from percpu_ffi.lockstep import lockstep

FOLDER = Path(__file__).resolve().parent / "counterexamples"
BOTH = {"port": Allocator, "model": Model}

# name: module of the model, what it says, and how it would be wrong
MISTAKES = {
    # a block that fits exactly is passed over
    "scan": ("chunk", "if block >= head + size:", "if block > head + size:"),
    # the hint is not corrected by a scan that ran to the end
    "hint": ("chunk", "self.contig_hint = largest  # all", "pass  # all"),
    # a tail of three bytes becomes a free entry
    "small-rest": ("chunk", "if tail < SMALL:", "if tail < SMALL - 1:"),
    # a head of three bytes becomes a free entry
    "small-gap": ("chunk", "if 0 < head < SMALL:", "if 0 < head < SMALL - 1:"),
    # the head and the area change places
    "split": ("chunk", "in (head, -used, tail)", "in (-used, head, tail)"),
    # a freed area does not join the free one behind it
    "merge": ("chunk", "last += 1", "last += 0"),
    # a chunk that lost bytes goes to the front of its new list
    "relocate": ("model", "if old_slot is None or slot > old_slot:", "if True:"),
    # the walk along a list is lost when a chunk leaves it: docs/errata.md
    "walk": ("model", "for chunk in list(slot):", "for chunk in slot:"),
    # a chunk that is not the fullest is asked first
    "fullest-first": (
        "model",
        "self._slots[self._size_to_slot(size) :]",
        "self._slots[: self._size_to_slot(size) - 1 : -1]",
    ),
    # a failure takes pages that were there before: docs/errata.md
    "rollback": ("pages", "if keep_neighbours else [pages]", "if False else [pages]"),
    # all missing pages are mapped as one run
    "populate": ("pages", "for run in runs(missing):", "for run in [missing] if missing else []:"),
    # a map of a page comes from vmalloc
    "map-border": ("model", "if new <= self.page_size:", "if new < self.page_size:"),
    # the wrong one of two empty chunks goes
    "spare-chunk": ("model", "self._kill_chunk(chunk)", "self._kill_chunk(empty)"),
    # address space is used again from the top
    "lowest-hole": ("kernel", "if area_start - start >= size:", "if area_start == self.end:"),
}


def put_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a mistake into the model, for the time of a test."""
    place, right, wrong = MISTAKES[name]
    module = importlib.import_module(f"percpu_ffi.model.{place}")
    source = inspect.getsource(module)
    assert right in source
    mistaken: dict[str, Any] = dict(vars(module))
    exec(compile(source.replace(right, wrong), module.__file__ or "", "exec"), mistaken)
    model = importlib.import_module("percpu_ffi.model.model")
    for thing in ("Chunk", "Kernel", "populate", "depopulate"):
        if thing in mistaken and place != "model":
            monkeypatch.setattr(model, thing, mistaken[thing])
    if place == "model":
        for method in ("_find_area", "_relocate", "_resize_map", "_release_another"):
            monkeypatch.setattr(Model, method, vars(mistaken["Model"])[method])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.trace")), ids=lambda path: path.stem)
def test_parties_agree(path: Path) -> None:
    assert lockstep(BOTH, Trace.load(path)) is None


@pytest.mark.parametrize("name", MISTAKES)
def test_trace_is_as_sharp_as_it_was(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace.load(FOLDER / f"{name}.trace")
    assert len(trace) <= 40
    put_back(name, monkeypatch)
    assert lockstep(BOTH, trace)


def test_every_trace_has_its_mistake() -> None:
    assert {path.stem for path in FOLDER.glob("*.trace")} == set(MISTAKES)
