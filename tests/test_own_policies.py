# SPDX-License-Identifier: GPL-2.0-only
"""``percpu-ffi compare --with``: policies of the user next to the kernel's."""

from __future__ import annotations

import argparse
import csv
import json
import re
from pathlib import Path
from typing import Any

import pytest
from conftest import NETNS, TINY

from percpu_ffi import ConfigError, CustomPolicy, PolicyError, Trace
from percpu_ffi.analysis.geometries import compare
from percpu_ffi.analysis.outcome import Outcome, Refusal
from percpu_ffi.cli import compare as command
from percpu_ffi.cli import main
from percpu_ffi.custom import Units, replay_custom

ROOT = Path(__file__).resolve().parent.parent
SIZES = {"cpus": 2, "page_size": 64, "unit_size": 256, "static_size": 64}
OPS = [("alloc", "a", 192, 4), ("alloc", "b", 64, 4), ("free", "a"), ("alloc", "c", 300, 4)]


class Stack(CustomPolicy):
    """Puts each area after the last one, and gives nothing back."""

    def start(self) -> None:
        self.chunk, self.end = 0, self.static_size

    def alloc(self, size: int, align: int) -> tuple[int, int]:
        self.step(2)
        self.end += -self.end % align
        if self.end + size > self.unit_size:
            self.chunk, self.end = self.create_chunk(), 0
        self.populate(self.chunk, self.pages_at(self.end, size))
        self.end += size
        return self.chunk, self.end - size

    def free(self, chunk: int, offset: int) -> None:
        self.step(1)


class Careless(Stack):
    """Gives back a page that is still in use."""

    def free(self, chunk: int, offset: int) -> None:
        self.depopulate(0, range(2))


class Picky(Stack):
    def start(self) -> None:
        raise ConfigError("units of three pages only")


def row_of(trace: Trace, policy: type[CustomPolicy] = Stack, **changes: Any) -> Outcome | Refusal:
    (row,) = compare(trace, [{**SIZES, "policy": "mine", **changes}], policies={"mine": policy})
    return row


class TestRows:
    def test_figures_are_those_of_its_replay(self) -> None:
        trace = Trace.from_ops(OPS)
        row = row_of(trace)
        result, work = replay_custom(Stack, trace, Units(**SIZES))
        assert isinstance(row, Outcome)
        assert row.geometry == {
            **{"policy": "mine", "first_chunk": None, "unit_size": 256, "cpus": 2},
            **{"static_size": 64, "free_size": 192, "page_size": 64},
        }
        for name in ("live_bytes", "peak_live_bytes", "pages_at_peak", "chunks", "peak_chunks",
                     "chunks_created", "chunks_destroyed"):  # fmt: skip
            assert getattr(row, name) == getattr(result, name)
        assert (row.pages, row.peak_pages) == (result.populated_pages, result.peak_populated_pages)
        assert row.work == work
        assert (row.failures, [*row.failure_reasons.values()]) == (1, [1])
        assert (row.pages, row.stranded) == (2 * 5, 2 * (5 * 64 - 64 - 64))

    def test_it_has_no_hints(self) -> None:
        row = row_of(Trace.from_ops(OPS))
        assert isinstance(row, Outcome)
        assert (row.hidden, row.peak_hidden) == (None, None)

    def test_offsets_are_compared_with_those_of_the_kernel(self, tmp_path: Path) -> None:
        """Ours are 64, 128 and 192 in the first chunk, then 0 in the second one."""
        line = "x-1 [000] 1.0: percpu_alloc_percpu: size=64 align=4 base_addr=0xa off={} ptr={}\n"
        places = zip((64, 1128, 1192, 1000), range(16, 20), strict=True)
        (tmp_path / "trace").write_text("".join(line.format(*place) for place in places))
        row = row_of(Trace.load(tmp_path / "trace"))
        assert isinstance(row, Outcome)
        assert (row.offsets_known, row.same_offsets) == (4, 1)
        assert (row.shift, row.same_shifted) == (1000, 3)

    def test_impossible_geometry_is_refused(self) -> None:
        trace = Trace.from_ops(OPS)
        row = row_of(trace, static_size=257)
        assert isinstance(row, Refusal)
        assert row.reason.startswith("static_size=257, ")
        assert row.geometry["policy"] == "mine"
        assert row.geometry["first_chunk"] is None
        refused = row_of(trace, Picky)
        assert isinstance(refused, Refusal)
        assert refused.reason == "units of three pages only"

    @pytest.mark.parametrize(("name", "value"), [("first_chunk", "4k"), ("dyn_size", 64)])
    def test_settings_of_other_policies_are_refused(self, name: str, value: Any) -> None:
        row = row_of(Trace.from_ops(OPS), **{name: value})
        assert isinstance(row, Refusal)
        assert row.reason == (
            f"{name}={value!r}: policy='mine' has no {name}; a policy of your own has cpus, "
            "page_size, unit_size, static_size"
        )

    def test_memory_is_ignored(self) -> None:
        assert isinstance(row_of(Trace.from_ops(OPS), memory="mapped"), Outcome)

    def test_broken_promise_ends_the_comparison(self) -> None:
        with pytest.raises(PolicyError, match=r"Careless\.free\(0, 64\) at operation 3 of 4"):
            row_of(Trace.from_ops(OPS), Careless)

    def test_other_names_are_those_of_allocators(self) -> None:
        rows = compare(Trace.from_ops(OPS), [{"policy": "x"}, TINY], policies={"mine": Stack})
        refused, area_map = rows
        assert isinstance(refused, Refusal)
        assert "policy='x'" in refused.reason
        assert isinstance(area_map, Outcome)
        assert area_map.hidden == 0

    @pytest.mark.parametrize(
        ("policies", "words"),
        [
            (
                {"mine": int},
                "policy=<class 'int'>: a subclass of percpu_ffi.CustomPolicy is needed",
            ),
            ({"mine": None}, "policy=None: a subclass"),
            ([Stack], "policies=[<class "),
            ("Stack", "policies='Stack': a mapping of names to classes, or None, is needed"),
        ],
    )
    def test_policies_of_a_wrong_type(self, policies: Any, words: str) -> None:
        with pytest.raises(ConfigError, match="^" + re.escape(words)):
            list(compare(Trace.from_ops(OPS), [SIZES], policies=policies))

    def test_progress_counts_its_operations(self) -> None:
        done: list[int] = []
        setup = {**SIZES, "policy": "mine"}
        list(compare(Trace.from_ops(OPS), [setup], done.append, {"mine": Stack}))
        assert sum(done) == len(OPS)


def run(*args: str) -> int:
    return main(["compare", *args])


@pytest.fixture
def trace(tmp_path: Path) -> str:
    Trace.from_ops(OPS, {**TINY, "static_size": 100}).save(tmp_path / "t")
    return str(tmp_path / "t")


MINE = ("--with", f"mine={__name__}:Stack")


class TestCommand:
    def geometries(self, capsys: pytest.CaptureFixture[str], *args: str) -> list[tuple[Any, ...]]:
        assert run(*args, "--json") == 0
        rows = json.loads(capsys.readouterr().out)["geometries"]
        names = "policy", "first_chunk", "unit_size", "cpus"
        return [tuple(row[name] for name in names) for row in rows]

    def test_last_after_the_policies_of_the_kernel(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        args = [NETNS, "--policy", "area-map,bitmap", "--unit-size", "64K", *MINE]
        assert self.geometries(capsys, *args) == [
            ("area-map", "4k", 65536, 2),
            ("bitmap", None, 65536, 2),
            ("mine", None, 65536, 2),
        ]

    def test_under_each_default_geometry_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        """It has no first chunk of three kinds."""
        rows = self.geometries(capsys, NETNS, *MINE)
        assert [row[0] for row in rows] == ["area-map"] * 6 + ["mine"] * 2
        assert rows[6:] == [("mine", None, 65536, 2), ("mine", None, 262144, 2)]

    def test_under_lists_and_single_geometries(self, capsys: pytest.CaptureFixture[str]) -> None:
        """Two policies of the user; the first free bytes are no matter of theirs."""
        lists = ["--cpus", "1,3", "--first-chunk", "4k", "--free-size", "0"]
        single = ["--geometry", "first_chunk=embed,unit_size=128K", "--geometry", "policy=bitmap"]
        also = ("--with", f"also={__name__}:Stack")
        rows = self.geometries(capsys, NETNS, *lists, *single, *MINE, *also)
        assert [row for row in rows if row[0] == "also"] == [
            ("also", None, 65536, 1),
            ("also", None, 65536, 3),
            ("also", None, 131072, 2),
            ("also", None, 65536, 2),
        ]
        assert [row[0] for row in rows] == [
            *(["area-map"] * 3 + ["bitmap"] + ["mine"] * 4 + ["also"] * 4)
        ]

    def test_single_geometries_alone(self, capsys: pytest.CaptureFixture[str]) -> None:
        rows = self.geometries(capsys, NETNS, "--geometry", "cpus=5", *MINE)
        assert rows == [("area-map", "4k", 65536, 5), ("mine", None, 65536, 5)]

    def test_of_a_real_machine(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Its reserved area is a part of the static one."""
        (tmp_path / "boot").write_text("percpu: Embedded 5 pages/cpu s4096 r8192 d8192 u32768\n")
        assert (
            run(NETNS, "--policy", "bitmap", "--like", str(tmp_path / "boot"), "--json", *MINE) == 0
        )
        bitmap, mine = json.loads(capsys.readouterr().out)["geometries"]
        for name in ("unit_size", "static_size", "page_size", "cpus"):
            assert mine[name] == bitmap[name]
        assert (mine["static_size"], mine["unit_size"]) == (12288, 32768)

    def test_sizes_of_the_trace_are_the_default(
        self, trace: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(trace, "--unit-size", "1K", "--json", *MINE) == 0
        mine = json.loads(capsys.readouterr().out)["geometries"][1]
        assert (mine["page_size"], mine["static_size"], mine["cpus"]) == (64, 100, 2)
        assert (mine["steps_per_alloc"], mine["steps_per_free"]) == (2.0, 1.0)
        assert mine["hidden"] is mine["peak_hidden"] is None

    def test_table(self, trace: str, capsys: pytest.CaptureFixture[str]) -> None:
        """A name that begins with that of another policy does not bring its columns.

        The third area is too large for the place of the first one, which was freed.

            |static|aaaaaa|bb|cccccccccc|
        """
        like_bitmap = ("--with", f"bitmap2={__name__}:Stack")
        assert run(trace, "--first-chunk", "4k", "--unit-size", "1K", *like_bitmap) == 0
        assert (
            capsys.readouterr().out
            == """\
t: 3 allocations, 1 free

                                       at peak:                           most  at end:
policy    first  unit  cpus  failed  live bytes  pages   used  stranded  pages    pages  stranded
area-map     4k    1K     2       0         364     22  65.9%       480     22       22       480
bitmap2       -    1K     2       0         364     22  65.9%       480     22       22       480

                             chunks:                      steps:        offset:
policy    first  unit  cpus     most  made  gone  at end   alloc  free     same  shifted  by
area-map     4k    1K     2        1     0     0       1     8.0   3.0        -        -   -
bitmap2       -    1K     2        1     0     0       1     2.0   1.0        -        -   -

live bytes: those of one CPU's copies. Pages and stranded bytes: those of all CPUs.
stranded: bytes of pages that are neither static nor live; used: the others.
steps of a call: lists, chunks, map entries and tree nodes that the 2009 file visits.
steps of a policy of your own: what it reports.
"""
        )

    def test_columns_of_bitmaps_are_empty(
        self, trace: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run(trace, "--policy", "bitmap", "--unit-size", "64K", *MINE) == 0
        out = capsys.readouterr().out
        (chunks,) = re.findall(r"hidden:.*\n.*\n.*\nmine +(.*)", out)
        assert chunks.split()[:8] == ["64K", "2", "1", "0", "0", "1", "-", "-"]

    def test_csv(self, trace: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run(trace, "--unit-size", "1K", "--csv", *MINE) == 0
        _, mine = csv.DictReader(capsys.readouterr().out.splitlines())
        assert (mine["policy"], mine["first_chunk"], mine["hidden"]) == ("mine", "", "")
        assert mine["alloc_entries_scanned"] == "6"

    def test_modules_of_the_current_folder(
        self, trace: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.chdir(ROOT)
        for place in ("bump:Bump", "power_of_two:PowerOfTwo"):
            assert run(trace, "--with", f"x=examples.policies.{place}") == 0
            assert "\nx " in capsys.readouterr().out

    def test_files_that_no_output_may_replace(self) -> None:
        place = f"{__name__}:Pool"
        args = argparse.Namespace(own=[MINE[1], "no=nowhere.at.all:X", "odd"], executor=place)
        assert [*command.other_inputs(args)] == [
            (f"--with {MINE[1]}", __file__),
            (f"--executor {place}", __file__),
        ]


class NoClass:
    """A class of another kind."""


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ("mine", "policy 'mine': NAME=MODULE:CLASS is needed, such as p2=examples.policies"),
        ("mine=", "NAME=MODULE:CLASS is needed"),
        ("mine=json", "NAME=MODULE:CLASS is needed"),
        ("mine=json:", "NAME=MODULE:CLASS is needed"),
        ("=json:X", "NAME=MODULE:CLASS is needed"),
        ("mine=x/y:Y", "MODULE as in an import, not a path"),
        ("mine=y.py:Y", "MODULE as in an import, not a path"),
        ("area-map=json:X", "the name area-map is taken; choose another one"),
        ("bitmap+chunk-hint=json:X", "the name bitmap+chunk-hint is taken"),
        ("kernel=json:X", "the name kernel is taken"),
        (f"a b={__name__}:Stack", "policy 'a b': a name has up to 20 letters, digits, and _.-"),
        (f"{'x' * 21}={__name__}:Stack", "a name has up to 20"),
        (f"\x1b[1m={__name__}:Stack", "policy '\\x1b[1m': a name has"),
        ("mine=nowhere:X", "policy 'mine' cannot be imported: ModuleNotFoundError"),
        ("mine=broken:X", "SyntaxError: "),
        ("mine=raises:X", "cannot be imported: ZeroDivisionError: division by zero"),
        ("mine=leaves:X", "cannot be imported: SystemExit: 3"),
        ("mine=json:X", "has no attribute 'X'"),
        ("mine=json:loads", "policy 'mine': json:loads is no subclass of percpu_ffi.CustomPolicy"),
        (f"mine={__name__}:NoClass", "is no subclass of percpu_ffi.CustomPolicy"),
        (f"mine={__name__}:ROOT", "is no subclass of percpu_ffi.CustomPolicy"),
        ("mine=percpu_ffi:CustomPolicy", "CustomPolicy() raised TypeError: Can't instantiate"),
        (f"mine={__name__}:Careless", "Careless.free(0, 100) at operation 3 of 4 called depop"),
    ],
)
def test_errors_are_one_sentence(
    policy: str,
    words: str,
    trace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "broken.py").write_text("class X(:\n")
    (tmp_path / "raises.py").write_text("1 / 0\n")
    (tmp_path / "leaves.py").write_text("raise SystemExit(3)\n")
    monkeypatch.chdir(tmp_path)
    assert run(trace, "--unit-size", "1K", "--with", policy) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == ""


def test_names_differ(trace: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(trace, *MINE, *MINE) == 2
    assert "the name mine is taken" in capsys.readouterr().err


def test_longest_name(trace: str) -> None:
    assert run(trace, "--with", f"{'x' * 18}.-={__name__}:Stack") == 0
