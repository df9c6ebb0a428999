# SPDX-License-Identifier: GPL-2.0-only
"""Statistics in the format of percpu_stats: ours, those of a kernel, and their difference."""

from __future__ import annotations

import io
import json
import random
import re
import sys
from pathlib import Path
from typing import Any

import conftest
import pytest
from conftest import NETNS, SAMPLES, Kind, Make

from percpu_ffi import Allocator, ClosedError, Model, PercpuMemoryError, StatsError
from percpu_ffi.cli import main
from percpu_ffi.stats import Chunk, Dump, diff, diff_text, figures

KERNEL = SAMPLES / "percpu_stats.txt"  # of Linux 6.18, 2 CPUs


def names(dump: Dump) -> list[list[str]]:
    return [[*dump.allocation], [*dump.totals], *([*chunk.fields] for chunk in dump.chunks)]


def test_layout_and_order_are_those_of_a_kernel(kind: Kind) -> None:
    with kind() as a:
        ours = a.percpu_stats()
    kernel = KERNEL.read_text()
    assert names(Dump.parse(ours)) == names(Dump.parse(kernel))[:3]
    # the same lines except for the numbers
    head = [line.partition(":")[0] for line in kernel.splitlines()[:34]]
    assert [line.partition(":")[0] for line in ours.splitlines()[:34]] == head
    assert {len(line) for line in ours.splitlines() if " : " in line} == {36}


def test_a_kernels_text_is_read_and_written_again() -> None:
    text = KERNEL.read_text()
    dump = Dump.parse(text)
    assert str(dump) + "\n" == text
    assert dump.totals["nr_alloc"] - dump.totals["nr_dealloc"] == dump.totals["nr_cur_alloc"]
    assert [chunk.mark for chunk in dump.chunks] == ["<- First Chunk", ""]


def test_our_own_text_is_read_again(kind: Kind) -> None:
    with kind() as a:
        a.alloc(8)
        assert Dump.parse(a.percpu_stats()) == figures(a)


@pytest.mark.parametrize("title", ["Chunk (to_depopulate)", "Chunk (sidelined):"])
def test_marks_of_other_lists_are_kept(title: str) -> None:
    text = KERNEL.read_text().replace("\nChunk:\n", f"\n{title}\n")
    dump = Dump.parse(text)
    assert dump.chunks[1].mark == title[6:].strip(" :")
    assert str(dump) + "\n" == text


# |static 64|a 8|..20..|b 16|..........|
def test_figures_of_a_chunk(tiny: Make) -> None:
    with tiny() as a:
        a.alloc(8)
        freed = a.alloc(20, align=4)
        a.alloc(16, align=4)
        a.free(freed)
        assert figures(a).chunks[0].fields == {
            "nr_alloc": 2,
            "max_alloc_size": 20,
            "empty_pop_pages": 0,
            "first_bit": 72 // 4,
            "free_bytes": 1024 - 64 - 8 - 16,
            "contig_bytes": 1024 - 64 - 8 - 20 - 16,
            "sum_frag": 20,  # the free range after the last area is not counted
            "max_frag": 20,
            "cur_min_alloc": 8,
            "cur_med_alloc": 8,
            "cur_max_alloc": 16,
        }


# |static 64|a 16|...12...|b 4|..40..|c 8|..........|
def test_areas_and_fragments_of_several_sizes(tiny: Make) -> None:
    """The median of an even number is the lower one, as in the kernel; areas are in no order."""
    with tiny() as a:
        ptrs = [a.alloc(size, align=4) for size in (16, 12, 4, 40, 8, 12)]
        for gone in (1, 3):
            a.free(ptrs[gone])
        fields = figures(a).chunks[0].fields
        sizes = [fields[f"cur_{which}_alloc"] for which in ("min", "med", "max")]
        assert sizes == [4, 8, 16]  # of 4, 8, 12, 16
        assert (fields["nr_alloc"], fields["max_alloc_size"]) == (4, 40)
        assert (fields["sum_frag"], fields["max_frag"]) == (52, 40)
        assert fields["first_bit"] == (64 + 16) // 4
        a.alloc(20, align=4)  # in the fragment of 40 bytes
        fields = figures(a).chunks[0].fields
        assert fields["cur_med_alloc"] == 12  # of 4, 8, 12, 16, 20
        assert (fields["sum_frag"], fields["max_frag"]) == (32, 20)


# |static 64|1|.|1|..........|
def test_fragment_of_a_byte(tiny: Make) -> None:
    with tiny() as a:
        _, freed, _ = a.alloc_many([1] * 3, 1)
        a.free(freed)
        fields = figures(a).chunks[0].fields
        assert (fields["nr_alloc"], fields["sum_frag"], fields["first_bit"]) == (2, 1, 65 // 4)


# |SSSS|aaaa|....|cccc|........|    a letter is 16 bytes, and 4 of them a page
def test_pages_of_areas_are_not_empty(tiny: Make) -> None:
    with tiny() as a:
        _, freed, _ = a.alloc_many([64] * 3, 64)
        a.free(freed)
        assert figures(a).chunks[0].fields["empty_pop_pages"] == 1


def test_hint_may_be_above_the_largest_free_range(tiny: Make) -> None:
    """After the largest range is taken the hint keeps its size, until a scan is in vain."""
    with tiny() as a:
        large = a.alloc(500, align=4)
        a.alloc(8, align=4)
        a.free(large)
        a.alloc(500, align=4)
        fields = figures(a).chunks[0].fields
        assert fields["contig_bytes"] == 500
        assert fields["free_bytes"] == 1024 - 64 - 500 - 8


def test_chunks_are_in_the_order_of_the_slots(tiny: Make) -> None:
    """Slot 0 has the full chunks; a chunk that gained room is the first of its slot."""
    with tiny() as a:
        # 60 bytes are free in chunk 0, none in chunk 1, 24 in chunks 2 and 3, and then none
        sizes = (900, 1024, 1000, 500, 500, 24, 24)
        *_, second, third = (a.alloc(size, align=4) for size in sizes)
        a.free(second)
        a.free(third)
        assert [number for ids in a.state().slots for number in ids] == [1, 3, 2, 0]
        dump = figures(a)
        assert [chunk.fields["free_bytes"] for chunk in dump.chunks] == [0, 24, 24, 60]
        assert [chunk.fields["nr_alloc"] for chunk in dump.chunks] == [1, 2, 1, 1]
        assert [chunk.mark for chunk in dump.chunks] == ["", "", "", "<- First Chunk"]
        assert dump.totals["nr_chunks"] == 4


def test_full_chunk_has_no_free_range(tiny: Make) -> None:
    with tiny() as a:
        a.alloc(1024 - 64, align=4)
        fields = figures(a).chunks[0].fields
        assert (fields["first_bit"], fields["free_bytes"], fields["sum_frag"]) == (256, 0, 0)


def test_figures_before_the_first_request(tiny: Make) -> None:
    with tiny() as a:
        dump = figures(a)
        assert dump.totals["nr_alloc"] == dump.totals["max_alloc_size"] == 0
        assert dump.totals["min_alloc_size"] == 1024  # a unit, as in a kernel that just booted
        fields = dict(dump.chunks[0].fields)
        assert (fields.pop("first_bit"), fields.pop("free_bytes")) == (64 // 4, 960)
        assert fields.pop("contig_bytes") == 960
        assert set(fields.values()) == {0}


# the map has only the static area: a free range of 0 bytes counted as an area
def test_static_area_that_fills_the_first_unit_leaves_no_free_range(tiny: Make) -> None:
    with tiny(static_size=1024) as a:
        dump = figures(a)
        assert dump.totals["nr_alloc"] == dump.totals["nr_cur_alloc"] == 0
        assert dump.chunks[0].fields["first_bit"] == 1024 // 4


def test_totals(tiny: Make) -> None:
    with tiny() as a:
        ptrs = a.alloc_many([8] * 10 + [900, 900])
        a.free_many(ptrs)
        a.alloc(4)
        assert figures(a).totals == {
            "nr_alloc": 13,
            "nr_dealloc": 12,
            "nr_cur_alloc": 1,
            "nr_max_alloc": 12,
            "nr_chunks": 2,
            "nr_max_chunks": 3,
            "min_alloc_size": 4,
            "max_alloc_size": 900,
            "empty_pop_pages": figures(a).totals["empty_pop_pages"],
        }


# pages stay populated after a free: the 900 bytes from offset 64 on are in pages 1 to 15
def test_populated_pages_without_live_areas(tiny: Make) -> None:
    with tiny() as a:
        a.free(a.alloc(900))
        assert a.state().chunks[0].populated == (2,) * 16
        assert figures(a).totals["empty_pop_pages"] == 15
        a.alloc(4)
        assert figures(a).totals["empty_pop_pages"] == 14
        a.free(a.alloc(1024))  # in a chunk of its own
        dump = figures(a)
        assert [chunk.fields["empty_pop_pages"] for chunk in dump.chunks] == [14, 16]
        assert dump.totals["empty_pop_pages"] == 30


def test_failed_request_is_not_counted(tiny: Make) -> None:
    with tiny() as a:
        a.inject("alloc_page", nth=1)
        with pytest.raises(PercpuMemoryError):
            a.alloc(100)
        totals = figures(a).totals
        assert totals["nr_alloc"] == totals["nr_dealloc"] == totals["nr_max_alloc"] == 0


def test_sizes_of_failed_requests_are_not_counted(tiny: Make) -> None:
    # |SSSS|aaaa|....    each further area needs a page
    with tiny() as a:
        assert figures(a).totals["nr_max_chunks"] == 1
        a.alloc(64)
        for size in (4, 900, 1024):
            a.inject("alloc_page", nth=1)
            with pytest.raises(PercpuMemoryError):
                a.alloc(size)
        dump = figures(a)
        assert dump.totals["min_alloc_size"] == dump.totals["max_alloc_size"] == 64
        assert (dump.totals["nr_alloc"], dump.totals["nr_max_alloc"]) == (1, 1)
        assert [chunk.fields["max_alloc_size"] for chunk in dump.chunks] == [64, 0]
        assert dump.totals["nr_max_chunks"] == 2  # the chunk stays


@pytest.mark.parametrize(
    ("first_chunk", "atom", "alloc", "dyn"),
    [
        ("4k", 4096, 65536, 65536 - 8192),
        ("embed", 4096, 65536, 65536 - 8192),
        ("remap", 2 << 20, 2 << 20, 24 << 10),
    ],
)
def test_geometry(kind: Kind, first_chunk: Any, atom: int, alloc: int, dyn: int) -> None:
    with kind(first_chunk=first_chunk, page_size=4096, memory="none") as a:
        allocation = figures(a).allocation
        assert allocation["atom_size"] == atom
        assert allocation["alloc_size"] == allocation["unit_size"] == alloc
        assert allocation["dyn_size"] == dyn
        assert allocation["reserved_size"] == 0


@pytest.mark.parametrize("seed", range(20))
def test_port_and_model_report_the_same(seed: int) -> None:
    rng = random.Random(seed)
    setup: dict[str, Any] = {"cpus": 2, "static_size": 64, "page_size": 64, "memory": "none"}
    with Allocator(**setup) as port, Model(**setup) as model:
        live: list[int] = []
        for a in (port, model):
            a.inject("alloc_page", nth=20, times=-1, interval=50)
        for _ in range(300):
            if live and rng.random() < 0.45:
                ptr = live.pop(rng.randrange(len(live)))
                port.free(ptr)
                model.free(ptr)
                continue
            size, align = rng.randint(1, 200), 1 << rng.randint(0, 6)
            try:
                live.append(port.alloc(size, align))
            except PercpuMemoryError:
                with pytest.raises(PercpuMemoryError):
                    model.alloc(size, align)
            else:
                assert model.alloc(size, align) == live[-1]
        assert port.percpu_stats() == model.percpu_stats()
        dump = figures(port)
        assert dump.totals["nr_cur_alloc"] == len(live)
        for chunk in dump.chunks:
            assert chunk.fields["max_alloc_size"] <= dump.totals["max_alloc_size"]


def test_closed_allocator_is_refused(kind: Kind) -> None:
    a = kind()
    a.close()
    with pytest.raises(ClosedError):
        a.percpu_stats()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "", "the file is empty"),
        (lambda text: "hello\n", "there is no line 'Percpu Memory Statistics'"),
        (lambda text: text[:200], "is cut"),
        (lambda text: text[: text.index("Per Chunk")], "Per Chunk Stats: has no figures"),
        (lambda text: text.replace("1048576", "lots"), ":4: .*is no line of percpu_stats"),
        (lambda text: text + "Chunk:\n", "its last chunk has no figures"),
        (lambda text: text + text, ":51: a second dump begins here"),
        (lambda text: text + "  nr_alloc : 3\n", ":51: nr_alloc is here twice"),
        (lambda text: text.replace("Allocation Info:", ""), ":4: "),
        (lambda text: text.replace("Chunk: <-", "Chunk: \x00"), "is no line of"),
        # --diff printed a mark with an escape sequence
        (lambda text: text.replace("Chunk: <-", "Chunk: <- \x1b[2J"), "is no line of"),
    ],
)
def test_text_that_is_not_a_dump_is_refused(change: Any, words: str) -> None:
    with pytest.raises(StatsError, match=words) as caught:
        Dump.parse(change(KERNEL.read_text()), "stats.txt")
    assert str(caught.value).startswith("stats.txt:")


def test_a_difference_is_taken_field_by_field() -> None:
    text = KERNEL.read_text()
    later = text.replace("nr_chunks           :            2", "nr_chunks           :            5")
    found = diff(Dump.parse(text), Dump.parse(later))
    assert found["totals"]["nr_chunks"] == [2, 5, 3]
    assert found["allocation"]["unit_size"] == [1048576, 1048576, 0]


def test_a_field_or_chunk_that_one_lacks_is_reported() -> None:
    text = KERNEL.read_text()
    shorter = text[: text.index("Chunk:\n")].replace("  atom_size           :      2097152\n", "")
    found = diff(Dump.parse(text), Dump.parse(shorter))
    assert found["allocation"]["atom_size"] == [2097152, None, None]
    assert found["chunks"][1]["marks"] == ["", None]
    assert found["chunks"][1]["nr_alloc"][1:] == [None, None]


def dump(**fields: int) -> Dump:
    """A dump with these totals, without chunks."""
    return Dump({"unit_size": 1024}, fields)


def test_difference_as_text() -> None:
    """Fields in the order of the first dump; those that only the second has come last."""
    a = Dump(
        {"unit_size": 1024, "atom_size": 64},
        {"nr_alloc": 7, "nr_chunks": 2},
        (Chunk("Chunk: <- First Chunk", {"nr_alloc": 0}), Chunk("Chunk:", {"nr_alloc": 1})),
    )
    b = Dump(
        {"new": 1, "unit_size": 1024},
        {"nr_chunks": 3, "nr_alloc": 5},
        (
            Chunk("Chunk: <- First Chunk", {"nr_alloc": 1}),
            Chunk("Chunk (sidelined):", {"nr_alloc": 1}),
            Chunk("Chunk:", {"nr_alloc": 0}),
        ),
    )
    assert (
        diff_text(a, b)
        == """\
Allocation Info:
  unit_size           :         1024         1024
  atom_size           :           64            -
  new                 :            -            1

Global Stats:
  nr_alloc            :            7            5           -2
  nr_chunks           :            2            3           +1

Per Chunk Stats:
Chunk 0: <- First Chunk
  nr_alloc            :            0            1           +1

Chunk 1: no mark | (sidelined)
  nr_alloc            :            1            1

Chunk 2: new
  nr_alloc            :            -            0
"""
    )
    titles = [line for line in diff_text(b, a).splitlines() if line.startswith("Chunk")]
    assert titles == [
        "Chunk 0: <- First Chunk",
        "Chunk 1: (sidelined) | no mark",
        "Chunk 2: gone",
    ]


def test_dump_without_chunks_is_written_and_read() -> None:
    """As a kernel prints it: an empty line ends the text.  Fields may be negative."""
    one = dump(nr_alloc=-3)
    rule = "-" * 40
    assert (
        str(one)
        == f"""\
Percpu Memory Statistics
Allocation Info:
{rule}
  unit_size           :         1024

Global Stats:
{rule}
  nr_alloc            :           -3

Per Chunk Stats:
{rule}
"""
    )
    assert Dump.parse(str(one)) == one
    assert one.to_json() == {
        "allocation": {"unit_size": 1024}, "totals": {"nr_alloc": -3}, "chunks": []
    }  # fmt: skip


def test_lines_before_a_dump_are_left_out() -> None:
    """Such as the prompt of a shell that was copied along."""
    text = f"# cat /sys/kernel/debug/percpu_stats\nnr_alloc : 3\n{dump(nr_alloc=1)}"
    assert Dump.parse(text) == dump(nr_alloc=1)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        # a figure, and a chunk, that no section or chunk begins
        (["Allocation Info:", "unit_size : 1", "Global Stats:", "a : 1", "Per Chunk Stats:",
          "nr_alloc : 1"], "f:7: 'nr_alloc : 1' is no line"),
        (["Allocation Info:", "unit_size : 1", "Global Stats:", "a : 1", "Chunk:", "b : 1",
          "Per Chunk Stats:"], "f:6: 'Chunk:' is no line"),
        # only a rule may begin with hyphens
        (["Allocation Info:", "- 7"], "f:3: '- 7' is no line"),
        # the first chunk has no figures, the second one has
        (["Allocation Info:", "unit_size : 1", "Global Stats:", "a : 1", "Per Chunk Stats:",
          "Chunk:", "Chunk:", "b : 1"], "f:9: the dump is cut"),
        (["Allocation Info:", "unit_size : 1", "Per Chunk Stats:"], "Global Stats: has no figures"),
        (["Allocation Info:", "unit_size : " + "9" * 21], "f:3: .* is no line"),
        (["Allocation Info:", "x" * 100], f"f:3: '{'x' * 80}' is no line"),
    ],
)  # fmt: skip
def test_lines_out_of_place_are_refused(lines: list[str], words: str) -> None:
    with pytest.raises(StatsError, match=words):
        Dump.parse("\n".join(["Percpu Memory Statistics", *lines]), "f")


# --- the command


def test_command_prints_what_a_replay_leaves(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", NETNS, "--cpus", "2"]) == 0
    totals = Dump.parse(capsys.readouterr().out).totals
    assert totals["nr_alloc"] == 2305
    assert totals["nr_chunks"] == 2


def test_command_replays_with_a_policy(capsys: pytest.CaptureFixture[str]) -> None:
    """Bitmaps take sizes in whole granules, and the first chunk has 28 KiB by default."""
    args = ["stats", NETNS, "--policy", "bitmap", "--fixes", "chunk-hint"]
    assert main([*args, "--static-size", "4096"]) == 0
    found = Dump.parse(capsys.readouterr().out)
    assert found.totals["nr_alloc"] == 2305
    assert found.allocation["dyn_size"] == 28_672


def test_command_prints_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", NETNS, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["totals"]["nr_alloc"] == 2305
    assert {chunk["mark"] for chunk in found["chunks"]} == {"", "<- First Chunk"}


def test_command_compares_two_dumps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["stats", NETNS])
    (tmp_path / "ours").write_text(capsys.readouterr().out)
    assert main(["stats", "--diff", str(KERNEL), str(tmp_path / "ours")]) == 1
    out = capsys.readouterr().out
    assert "unit_size           :      1048576        65536      -983040" in out
    assert "Chunk 1:" in out
    assert main(["stats", "--diff", str(KERNEL), str(tmp_path / "ours"), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert found["allocation"]["unit_size"] == [1048576, 65536, -983040]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"(atom_size +: +)\d+", r"\g<1>7"),  # of the allocation
        (r"(nr_cur_alloc +: +)\d+", r"\g<1>7"),  # a total
        (r"(contig_bytes +: +)\d+", r"\g<1>7"),  # of a chunk
        (r"Chunk: <- First Chunk", "Chunk:"),  # a mark
    ],
)
def test_any_difference_sets_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], old: str, new: str
) -> None:
    text, changes = re.subn(old, new, KERNEL.read_text(), count=1)
    assert changes
    (tmp_path / "other").write_text(text)
    assert main(["stats", "--diff", str(KERNEL), str(tmp_path / "other")]) == 1
    assert main(["stats", "--diff", str(tmp_path / "other"), str(KERNEL), "--json"]) == 1
    capsys.readouterr()


def test_command_reads_standard_input(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(KERNEL.read_bytes())))
    assert main(["stats", "--diff", "-", str(KERNEL)]) == 0
    nr_alloc = Dump.parse(KERNEL.read_text()).totals["nr_alloc"]
    assert f"nr_alloc            : {nr_alloc:>12} {nr_alloc:>12}\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--diff", "-", "-"], "standard input can be read only once"),
        (["--diff", "nowhere", str(KERNEL)], "No such file"),
        (["--diff", conftest.__file__, str(KERNEL)], "conftest.py: there is no line"),
        (["nowhere"], "No such file"),
        ([conftest.__file__], "no percpu event"),
    ],
)
def test_command_errors_are_one_sentence(
    capsys: pytest.CaptureFixture[str], args: list[str], words: str
) -> None:
    assert main(["stats", *args]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err
    assert len(captured.err.splitlines()) == 1


def test_standard_input_that_is_closed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", None)  # as Python has it after `<&-`
    assert main(["stats", "--diff", "-", str(KERNEL)]) == 2
    assert "standard input is closed" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], [NETNS, "--diff", "a", "b"]])
def test_command_does_one_thing(args: list[str]) -> None:
    with pytest.raises(SystemExit):
        main(["stats", *args])
