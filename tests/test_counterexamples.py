# SPDX-License-Identifier: GPL-2.0-only
"""Short traces that once showed a difference, in tests/counterexamples.

A campaign found each of them; it was shortened, and named after the mistake that it shows.
Port and model have to agree on it; with the mistake put back into the model, they differ.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path
from typing import Any

import pytest

from percpu_ffi import Allocator, Model, Trace
from percpu_ffi.lockstep import lockstep
from percpu_ffi.model import policy
from percpu_ffi.model.area_map import AreaMap
from percpu_ffi.model.area_map import policy as area_map_policy

FOLDER = Path(__file__).resolve().parent / "counterexamples"
BOTH = {"port": Allocator, "model": Model}

# name: module of the model, correct code, wrong code
MISTAKES = {
    # a free range of exactly the size is skipped
    "scan": ("area_map.chunk", "if block >= head + size:", "if block > head + size:"),
    # the hint is not corrected by a scan that ran to the end
    "hint": ("area_map.chunk", "self.contig_hint = largest  # all", "pass  # all"),
    # a tail of three bytes becomes a free entry
    "small-rest": ("area_map.chunk", "if tail < SMALL:", "if tail < SMALL - 1:"),
    # a head of three bytes becomes a free entry
    "small-gap": ("area_map.chunk", "if 0 < head < SMALL:", "if 0 < head < SMALL - 1:"),
    # the head and the area change places
    "split": ("area_map.chunk", "in (head, -used, tail)", "in (-used, head, tail)"),
    # a freed area is not merged with the free range after it
    "merge": ("area_map.chunk", "last += 1", "last += 0"),
    # a chunk that lost bytes goes to the front of its new list
    "relocate": ("policy", "head=old_slot is None or slot > old_slot", "head=True"),
    # the walk of a list fails when a chunk leaves it: docs/errata.md
    "walk": ("area_map.policy", "for chunk in list(slot):", "for chunk in slot:"),
    # the emptiest chunk is tried first
    "fullest-first": (
        "area_map.policy",
        "self.slots[self._size_to_slot(size) :]",
        "self.slots[: self._size_to_slot(size) - 1 : -1]",
    ),
    # a failure frees pages that were populated before: docs/errata.md
    "rollback": ("pages", "if keep_neighbours else [pages]", "if False else [pages]"),
    # all missing pages are mapped as one run
    "populate": ("pages", "for run in runs(missing):", "for run in [missing] if missing else []:"),
    # a map of exactly one page comes from vmalloc
    "map-border": ("area_map.policy", "if new <= self.page_size:", "if new < self.page_size:"),
    # the wrong one of two empty chunks is destroyed
    "spare-chunk": ("area_map.policy", "self.kill_chunk(chunk)", "self.kill_chunk(empty)"),
    # address space is not reused
    "lowest-free-range": ("kernel", "if area_start - start >= size:", "if area_start == self.end:"),
}


def put_back(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a mistake into the model for one test."""
    place, right, wrong = MISTAKES[name]
    module = importlib.import_module(f"percpu_ffi.model.{place}")
    source = inspect.getsource(module)
    assert right in source
    mistaken: dict[str, Any] = dict(vars(module))
    exec(compile(source.replace(right, wrong), module.__file__ or "", "exec"), mistaken)
    for user in (policy, area_map_policy):
        for thing in ("MapChunk", "Kernel", "populate", "depopulate"):
            if thing in mistaken and hasattr(user, thing) and not place.endswith("policy"):
                monkeypatch.setattr(user, thing, mistaken[thing])
    if place == "policy":
        monkeypatch.setattr(policy.Policy, "relocate", mistaken["Policy"].relocate)
    elif place == "area_map.policy":
        for method in ("_find_area", "_resize_map", "_release_another"):
            monkeypatch.setattr(AreaMap, method, vars(mistaken["AreaMap"])[method])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.trace")), ids=lambda path: path.stem)
def test_port_and_model_agree(path: Path) -> None:
    assert lockstep(BOTH, Trace.load(path)) is None


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_makes_a_difference(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    trace = Trace.load(FOLDER / f"{name}.trace")
    assert len(trace) <= 40
    put_back(name, monkeypatch)
    assert lockstep(BOTH, trace)


def test_every_trace_has_its_mistake() -> None:
    assert {path.stem for path in FOLDER.glob("*.trace")} == set(MISTAKES)
