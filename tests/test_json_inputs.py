# SPDX-License-Identifier: GPL-2.0-only
"""JSON that users give, damaged in every place: a typed error, and one sentence of a command."""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from damage import TEXTS, damaged

from percpu_ffi import Allocator, ConfigError, Model
from percpu_ffi.bench.histogram import Histogram
from percpu_ffi.bench.results import (
    BoundResult,
    Figures,
    PhaseResult,
    Results,
    ResultsError,
    WorkloadResult,
    load,
    save,
)
from percpu_ffi.bench.workload import Expected
from percpu_ffi.cli import main
from percpu_ffi.lockstep import Campaign
from percpu_ffi.reports.bench_difference import difference

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def results() -> Results:
    figures = Figures([1.5, 2.0], 0, Histogram({3: 4}), None)
    phase = PhaseResult("fill", 7, {"operations": 7}, {"port": figures})
    expected = [Expected("fill", "kmalloc", "exactly", 7, 7)]
    return Results(
        machine={"kernel": "6.18"},
        options={"live": 40},
        workloads=[WorkloadResult("churn", "areas", [phase], expected)],
        bounds=[BoundResult("load", 5.0, True, [1.0])],
        notes=["a note"],
    )


def sentences(value: Any, read: Callable[[str], object], error: type[Exception]) -> int:
    """Read each damaged variant of a file; check the messages and return how many there are."""
    messages = {}
    with open(os.memfd_create("damaged"), "w+b", buffering=0) as file:  # faster than on disk
        name = f"/proc/self/fd/{file.fileno()}"
        for what, text in damaged(value):
            file.truncate(0)
            os.pwrite(file.fileno(), text.encode(), 0)
            try:
                read(name)
            except error as refusal:
                messages[what] = str(refusal)
    for what, message in messages.items():
        assert message.startswith(name), what
        assert message.isprintable(), what
        assert len(message) < 400, what
    return len(messages)


def test_results_of_the_benchmark(tmp_path: Path) -> None:
    """A count that was infinite was an OverflowError."""
    path = tmp_path / "results.json"
    save(results(), path)
    whole = load(path)
    data = json.loads(path.read_text())
    assert sentences(data, lambda name: difference(whole, load(name)), ResultsError) > 500


def test_state_of_a_campaign(tmp_path: Path) -> None:
    """A list in a list in a list, thousands of times, was a RecursionError."""
    path = tmp_path / "state.json"
    campaign = Campaign({"port": Allocator, "model": Model}, operations=10, length=1, seed=1)
    with ThreadPoolExecutor(1) as executor:
        campaign.run(executor, state=path)
    assert sentences(json.loads(path.read_text()), campaign._resume, ConfigError) > 300


@pytest.mark.parametrize("option", ["--setup", "--plan"])
def test_json_on_the_command_line(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    name = "" if option == "--setup" else "map="
    values = {"cpus": 2, "quirks": ["rollback"]} if option == "--setup" else {"nth": 1}
    # where a value is harmless, the last option is wrong, and nothing runs
    command = ["check", "--random", "--jobs=1", "--resume=/nowhere/at/all"]
    for what, text in damaged(values):
        try:
            status: Any = main([*command, f"{option}={name}{text}"])
        except SystemExit as stop:
            status = stop.code
        message = capsys.readouterr().err.splitlines()[-1]
        assert status == 2, what
        assert message.startswith("percpu-ffi"), what
        assert len(message) < 700, what


def test_the_list_of_damages_has_every_type() -> None:
    found = set()
    for text in TEXTS:
        try:
            found.add(type(json.loads(text)))
        except (ValueError, RecursionError) as error:
            found.add(type(error))
    assert found >= {type(None), bool, int, float, str, list, dict, RecursionError, ValueError}
