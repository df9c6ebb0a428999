# SPDX-License-Identifier: GPL-2.0-only
"""Dumps of percpu_stats as people have them: in mails and logs, compressed, cut, several."""

from __future__ import annotations

import bz2
import gzip
import itertools
import json
import lzma
import random
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from conftest import NETNS, SAMPLES

from percpu_ffi import ConfigError, StatsError, Trace, TraceError
from percpu_ffi.cli import main
from percpu_ffi.stats import Chunk, Dump, diff, diff_text, differ, figures, pairs
from percpu_ffi.stats import source as stats_source
from percpu_ffi.stats.pairs import MOST, closest, distance, paired
from percpu_ffi.stats.text import KNOWN
from percpu_ffi.trace.operations import Operations
from percpu_ffi.trace.source import open_source

CASES = Path(__file__).parent / "cases"
KERNEL = (SAMPLES / "percpu_stats.txt").read_text()  # of Linux 6.18, 2 CPUs, two chunks
REAL = (CASES / "st_real.txt").read_text()  # the same machine, three chunks
LATER = KERNEL.replace("nr_alloc            :      1563711", "nr_alloc            :      1563712")


@cache
def parsed() -> Dump:
    return Dump.parse(KERNEL)


def each_line(change: Callable[[int, str], str], text: str = KERNEL) -> str:
    return "".join(f"{change(number, line)}\n" for number, line in enumerate(text.splitlines()))


# --- what is around a dump


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("\ufeff" + KERNEL, id="byte order mark"),
        pytest.param("\ufeff" + each_line(lambda _, line: f"> {line}"), id="the same, quoted"),
        pytest.param(KERNEL.replace("\n", "\r\n"), id="CRLF"),
        pytest.param(KERNEL.replace("\n", "\r\r\n"), id="as `script` writes it"),
        pytest.param(KERNEL.replace("\n", "\n\n"), id="double spaced"),
        pytest.param(KERNEL.rstrip("\n"), id="no line feed at the end"),
        pytest.param(each_line(lambda _, line: " ".join(line.split())), id="spaces were merged"),
        pytest.param(each_line(lambda _, line: line.replace(" ", "\xa0")), id="no-break spaces"),
        pytest.param(each_line(lambda _, line: f"    {line}"), id="indented"),
        pytest.param(each_line(lambda _, line: f"> {line}".rstrip()), id="quoted"),
        pytest.param(each_line(lambda _, line: f">{line}"), id="quoted without a space"),
        pytest.param(each_line(lambda _, line: f"> >> {line}".rstrip()), id="nested quotes"),
        pytest.param(each_line(lambda _, line: f"TH> {line}"), id="quoted with initials"),
        pytest.param(each_line(lambda n, line: f"{n + 8}:{line}"), id="grep -n"),
        pytest.param(each_line(lambda n, line: f"{n:6}\t{line}"), id="cat -n"),
        pytest.param(each_line(lambda n, line: f"+{line}"), id="a patch"),
        pytest.param(
            each_line(lambda n, line: f"Jan  2 10:00:{n} host stats[{n * 40}]: {line}"), id="a log"
        ),
        pytest.param(
            each_line(lambda n, line: f"Jan {n:2} 10:00:00 host: {line}"), id="a log of weeks"
        ),
        pytest.param(
            each_line(lambda n, line: f"2024-01-02T10:00:00.{n}Z {line}"), id="times of a log"
        ),
        pytest.param(
            each_line(
                lambda n, line: json.dumps(
                    {"log": line + "\n", "time": f"2024-01-02T10:00:00.{n}Z"}
                )
            ),
            id="a log in JSON",
        ),
        pytest.param(
            f"root@host:~# cat percpu_stats\n{KERNEL.rstrip()}\nroot@host:~# \nx : 1\n",
            id="prompts",
        ),
        pytest.param(
            f"On that day somebody wrote:\nnr_alloc : 3\n\n{KERNEL}\nBye\nnr_alloc : 3\n-- \nme\n",
            id="mail",
        ),
        pytest.param(json.dumps({"stats": KERNEL, "time": 7}), id="a string in JSON"),
        pytest.param(f"{KERNEL}\nprocessor\t: 0\nvendor_id\t: me\n", id="/proc/cpuinfo"),
        pytest.param(f"{KERNEL}processor\t: 0\nvendor_id\t: me\n", id="/proc/cpuinfo at once"),
        pytest.param(f"My Percpu Memory Statistics:\n\n{KERNEL}", id="the title in a sentence"),
        pytest.param(KERNEL.replace("Percpu", "\x1b[?2004lPercpu", 1), id="codes before the title"),
    ],
)
def test_text_around_a_dump_is_left_out(text: str) -> None:
    assert Dump.parse(text) == parsed()


def test_comments_between_quoted_lines_are_left_out() -> None:
    lines = each_line(lambda _, line: f"> > {line}".rstrip()).splitlines()
    lines[14:14] = ["", "nr_alloc : 9", "> so many!", ""]
    assert Dump.parse("\n".join(lines)) == parsed()


def test_comments_between_lines_with_an_end_of_their_own_are_left_out() -> None:
    lines = each_line(lambda _, line: f"{line} |").splitlines()
    lines[14:14] = ["nr_alloc : 9", "so many!"]
    assert Dump.parse("\n".join(lines)) == parsed()


def test_other_line_between_two_chunks_is_refused() -> None:
    """Only after the last chunk it is the text around the dump."""
    with pytest.raises(StatsError, match=r"^f:38: 'so many!' is no line of percpu_stats"):
        Dump.parse(KERNEL.replace("\nChunk:\n", "\nso many!\nChunk:\n"), "f")


def test_line_that_is_too_long_for_a_prefix() -> None:
    """What is before the title is a pattern for the other lines, unless it is no prefix at all."""
    text = each_line(lambda _, line: f"{'x' * 900} {line}")
    assert Dump.parse(text) == parsed()
    with pytest.raises(StatsError, match="the dump is cut"):
        Dump.parse(each_line(lambda _, line: f"{'x' * 1000} {line}"))


@pytest.mark.parametrize("name", ["a", "a" * 30])
def test_longest_line(name: str) -> None:
    """First it is that of the title, then that of a field; rules may be too long."""
    longest = max(len("Percpu Memory Statistics"), len(f"{name} : 1"))

    def quoted(length: int) -> str:
        prefix = "x" * (length - longest - 1)
        text = KERNEL.replace("  cur_min_alloc", f"  {name} : 1\n  cur_min_alloc")
        return each_line(lambda _, line: f"{prefix} {' '.join(line.split())}", text)

    assert Dump.parse(quoted(1000)).chunks[1].fields[name] == 1
    if name == "a":
        with pytest.raises(StatsError, match="the dump is cut"):
            Dump.parse(quoted(1001))
    else:
        assert name not in Dump.parse(quoted(1001)).chunks[1].fields


@pytest.mark.parametrize(
    ("compress", "name"),
    [(gzip.compress, "a.gz"), (lzma.compress, "a.xz"), (bz2.compress, "a.bz2"), (bytes, "a.gz")],
)
def test_dump_may_be_compressed(
    compress: Any, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(compress(KERNEL.encode()))
    assert main(["stats", str(tmp_path / name)]) == 0
    assert capsys.readouterr().out == f"{KERNEL}"


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_files_of_other_systems(
    encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = KERNEL if encoding in ("utf-8-sig", "utf-16") else "\ufeff" + KERNEL
    (tmp_path / "stats").write_bytes(text.replace("\n", "\r\n").encode(encoding))
    assert main(["stats", str(tmp_path / "stats")]) == 0
    assert capsys.readouterr().out == KERNEL


# --- what a dump has


def test_reserved_and_sidelined_chunks_are_kept() -> None:
    sidelined = Dump.parse((CASES / "st_sidelined.txt").read_text())
    assert [chunk.mark for chunk in sidelined.chunks] == [
        "<- First Chunk", "(sidelined)", "(to_depopulate)", ""
    ]  # fmt: skip
    reserved = Dump.parse((CASES / "st_reserved.txt").read_text())
    assert [chunk.mark for chunk in reserved.chunks] == [
        "<- Reserved Chunk", "<- First Chunk", ""
    ]  # fmt: skip
    assert str(reserved) == (CASES / "st_reserved.txt").read_text().removesuffix("\n")


@pytest.mark.parametrize("count", [1, 2])  # in the first chunk, in both
def test_unknown_fields_are_kept(count: int) -> None:
    row = "  cur_min_alloc"
    text = KERNEL.replace(row, f"  age                 :            7\n{row}", count)
    assert Dump.parse(text).chunks[0].fields["age"] == 7


def test_unknown_fields_after_a_blank_line_are_kept() -> None:
    """They are no text after the dump if the first chunk has them, too."""
    found = Dump.parse(re.sub(r"(cur_max_alloc .*\n+)", r"\1  age : 7\n", KERNEL))
    assert [chunk.fields["age"] for chunk in found.chunks] == [7, 7]


def test_unknown_field_at_the_end_of_the_only_chunk_is_kept() -> None:
    text = KERNEL[: KERNEL.index("\nChunk:\n")] + "  age                 :            7\n\n"
    assert [chunk.fields["age"] for chunk in Dump.parse(text).chunks] == [7]


def test_unknown_fields_between_blank_lines_are_kept() -> None:
    text = KERNEL.replace("\n", "\n\n").replace("  cur_min_alloc", "  age : 7\n\n  cur_min_alloc")
    only = text[: text.index("Chunk:\n")]
    assert [chunk.fields["age"] for chunk in Dump.parse(only).chunks] == [7]
    last = text.replace("  age : 7\n\n", "", 1)
    assert [chunk.fields.get("age") for chunk in Dump.parse(last).chunks] == [None, 7]


@pytest.mark.parametrize("gone", [("first_bit", "empty_pop_pages"), *[[name] for name in KNOWN]])
def test_field_that_all_chunks_lack_is_not_of_this_kernel(gone: Sequence[str]) -> None:
    """Linux 4.13 had neither first_bit nor empty_pop_pages."""
    lines = [line for line in KERNEL.splitlines() if line.split(":")[0].strip() not in gone]
    for chunk, whole in zip(Dump.parse("\n".join(lines)).chunks, parsed().chunks, strict=True):
        assert chunk.fields.keys() == whole.fields.keys() - {*gone}


# --- a dump that is cut


def test_title_alone_is_a_dump_that_is_cut() -> None:
    with pytest.raises(StatsError, match=r"^f:3: the dump is cut .*: Allocation Info: has no fig"):
        Dump.parse("Look at\nPercpu Memory Statistics\n", "f")


def test_error_without_any_whole_dump_is_that_of_the_last_title() -> None:
    with pytest.raises(StatsError, match=r"^f:5: the dump is cut"):
        Dump.parse_all("Percpu Memory Statistics\n\n" * 2, "f")


@pytest.mark.parametrize("text", [KERNEL, REAL], ids=["two chunks", "three chunks"])
def test_cut_at_any_byte_is_noticed(text: str) -> None:
    """The last digit of the last number is followed by a line feed and an empty line."""
    whole = text.rstrip("\n")
    for length in range(1, len(whole)):
        try:
            found = Dump.parse(whole[:length])
        except StatsError as error:
            assert "cut" in str(error) or "there is no line" in str(error)  # noqa: PT017
        else:
            assert found.missing_chunks, whole[:length][-200:]
    assert Dump.parse(whole).missing_chunks == 0


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (r"its last chunk has no contig_bytes, sum_frag", "  free_bytes          :       962308\n"),
        (r"its last chunk has no empty_pop_pages, first_bit", "       2288\n"),
        (r"its last number has lost digits", "  cur_max_alloc       :         22"),
    ],
)
def test_lacking_figures_are_named(end: str, words: str) -> None:
    text = KERNEL.replace("2288\n\n", "22") if words.endswith("22") else KERNEL
    with pytest.raises(StatsError, match=rf"dump.txt:\d+: the dump is cut \(truncated\): {end}"):
        Dump.parse(text[: text.index(words, 900) + len(words)], "dump.txt")


def test_short_last_number_is_whole_where_numbers_have_no_column() -> None:
    text = KERNEL.replace("2288\n\n", "2288\n  memcg_aware : 0")
    text = each_line(lambda _, line: " ".join(line.split()), text).rstrip()
    assert Dump.parse(text.replace("cur_max_alloc : 4096", "cur_max_alloc : 4096\nmemcg_aware : 0"))


def test_last_number_may_be_short_after_a_shorter_one() -> None:
    text = (
        "Percpu Memory Statistics\nAllocation Info:\nunit_size : 65536\nGlobal Stats:\n"
        "nr_cur_alloc : 5\nPer Chunk Stats:\nChunk:\ncur_max_alloc : 5\nx : 1\ny : 123"
    )
    assert Dump.parse(text).chunks[0].fields == {"cur_max_alloc": 5, "x": 1, "y": 123}
    with pytest.raises(StatsError, match="its last number has lost digits"):
        Dump.parse(text.replace("x : 1", "x : 123456"))


def test_cut_in_the_only_chunk() -> None:
    text = KERNEL[: KERNEL.index("  cur_max_alloc")]
    with pytest.raises(StatsError, match="its last chunk has no cur_max_alloc"):
        Dump.parse(text)


def test_chunk_in_the_middle_that_lacks_a_figure() -> None:
    with pytest.raises(StatsError, match=r"chunk 1 has no first_bit; copy it again"):
        Dump.parse(KERNEL.replace("  first_bit           :         3028\n", "", 1).replace(
            "  first_bit           :         3012\n", "", 1))  # fmt: skip


def test_chunks_that_the_totals_count_may_be_lacking() -> None:
    """The kernel does not count the reserved chunk, which is a part of the first unit."""
    assert parsed().missing_chunks == 0
    assert Dump.parse(KERNEL[: KERNEL.index("Chunk:\n")]).missing_chunks == 1
    reserved = KERNEL.replace("Chunk:\n", "Chunk: <- Reserved Chunk\n")
    assert Dump.parse(reserved).missing_chunks == 1
    assert Dump({}, {"nr_chunks": 1}, parsed().chunks).missing_chunks == 0
    assert Dump().missing_chunks == 0


def test_command_reports_a_cut_dump(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = tmp_path / "cut"
    cut.write_text(REAL[: REAL.index("  empty_pop_pages", 1200)])
    assert main(["stats", str(cut)]) == 2
    assert "the dump is cut (truncated): its last chunk has no empty" in capsys.readouterr().err
    cut.write_text(KERNEL[: KERNEL.index("Chunk:\n")])
    assert main(["stats", str(cut)]) == 0
    captured = capsys.readouterr()
    assert captured.out == cut.read_text()
    assert captured.err == (
        f"percpu-ffi: {cut}: the dump is probably cut (truncated): its totals count 1 chunk more "
        "than it has\n"
    )


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Dump.parse(7), "text=7: a str is needed"),  # type: ignore[arg-type]
        (lambda: Dump.parse_all(KERNEL, 7), "name=7: a str, or None,"),  # type: ignore[arg-type]
        (lambda: diff(parsed(), 7), "dump=7: a Dump is needed"),  # type: ignore[arg-type]
        (lambda: figures(7), "allocator=7: an allocator"),  # type: ignore[arg-type]
    ],
)
def test_arguments_of_a_wrong_type(call: Any, words: str) -> None:
    with pytest.raises(ConfigError, match=f"^{words}"):
        call()


# --- several dumps in one text


def test_all_dumps_of_a_text() -> None:
    text = (CASES / "st_before_after.txt").read_text()
    before, after = Dump.parse_all(text)
    assert (before.totals["nr_alloc"], after.totals["nr_alloc"]) == (9000, 9500)
    assert before.chunks == after.chunks
    quoted = each_line(lambda _, line: f"> {line}")
    assert Dump.parse_all(KERNEL + quoted + LATER) == [parsed(), parsed(), Dump.parse(LATER)]
    assert Dump.parse_all("\ufeff" + KERNEL + "\ufeff" + KERNEL) == [parsed(), parsed()]
    with pytest.raises(StatsError, match="f:99: a second dump begins here"):
        Dump.parse("\n" * (98 - KERNEL.count("\n")) + KERNEL + KERNEL, "f")


def test_each_of_several_dumps_must_be_whole() -> None:
    text = KERNEL[: KERNEL.index("  cur_max_alloc", 1100)] + KERNEL
    with pytest.raises(StatsError, match=r"^f:\d+: the dump is cut"):
        Dump.parse_all(text, "f")


def test_difference_of_the_two_dumps_of_one_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", "--diff", str(CASES / "st_before_after.txt"), "--json"]) == 1
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["totals"]["nr_alloc"] == [9000, 9500, 500]
    assert found["chunks"][1]["nr_alloc"] == [1000, 1000, 0]
    for number in (1, 2):  # three chunks are counted
        assert f"st_before_after.txt, dump {number}: the dump is probably cut" in captured.err


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ([KERNEL], "1 dump in the file, and --diff of one file compares two: give the other"),
        ([KERNEL * 3], "3 dumps in the file, and --diff of one file compares two: save the two"),
        ([KERNEL * 2, KERNEL], "2 dumps in the file, and one is needed: save it alone; --diff"),
        ([KERNEL, KERNEL * 3], "3 dumps in the file, and one is needed: save it alone\n"),
        ([KERNEL] * 3, "one or two files are compared"),
        ([KERNEL, "x" * 5000], "there is no line 'Percpu Memory Statistics'"),
    ],
)
def test_other_numbers_of_dumps_are_refused(
    texts: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = [tmp_path / str(number) for number in range(len(texts))]
    for file, text in zip(files, texts, strict=True):
        file.write_text(text)
    assert main(["stats", "--diff", *map(str, files)]) == 2
    captured = capsys.readouterr()
    assert words in captured.err
    assert str(tmp_path) in captured.err
    assert captured.out == ""


def test_two_dumps_are_not_printed_as_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "two").write_text(KERNEL + LATER)
    assert main(["stats", str(tmp_path / "two")]) == 2
    assert capsys.readouterr().err == (
        f"percpu-ffi: {tmp_path}/two: 2 dumps in the file, and one is needed: save it alone; "
        "--diff with this file alone compares the two\n"
    )


# --- a dump, or a recording?


def recording(tmp_path: Path, **machine: Any) -> str:
    """A recording that says this about its machine."""
    data = Trace.from_ops([("alloc", 1, 8, 8)])._data
    data.machine = machine
    Trace(Operations(**vars(data))).save(tmp_path / "my.trace")
    return str(tmp_path / "my.trace")


def test_command_prints_one_dump(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stats", str(SAMPLES / "percpu_stats.txt")]) == 0
    assert capsys.readouterr() == (KERNEL, "")
    assert main(["stats", str(SAMPLES / "percpu_stats.txt"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == parsed().to_json()


def test_recording_with_a_dump_in_it_is_replayed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with lzma.open(NETNS, "rt") as text:
        events = text.read(20000).rpartition("\n")[0]
    (tmp_path / "both").write_text(f"{KERNEL}\n{events}\n")
    assert main(["stats", str(tmp_path / "both")]) == 0
    assert Dump.parse(capsys.readouterr().out).allocation["unit_size"] == 65536


def test_difference_of_the_dumps_of_a_recording(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = recording(tmp_path, stats_before=KERNEL, stats_after=LATER)
    assert main(["stats", "--diff", path]) == 1
    assert "      1563711      1563712           +1\n" in capsys.readouterr().out
    assert main(["stats", path]) == 0  # a replay
    assert Dump.parse(capsys.readouterr().out).totals["nr_alloc"] == 1


@pytest.mark.parametrize(
    ("machine", "words"),
    [
        ({}, "my.trace: the recording has no dump of percpu_stats; `percpu-ffi record` adds"),
        ({"stats_before": 7, "stats_after": None}, "the recording has no dump"),
        ({"stats_after": KERNEL}, "1 dump in the file"),
        ({"stats_before": KERNEL[:400], "stats_after": KERNEL}, "my.trace, stats_before:"),
    ],
)
def test_recordings_without_two_dumps(
    machine: dict[str, Any], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["stats", "--diff", recording(tmp_path, **machine)]) == 2
    assert words in capsys.readouterr().err


def test_text_may_not_be_endless(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stats_source, "LARGEST", 1 << 20)
    (tmp_path / "most").write_text(KERNEL + " " * ((1 << 20) - len(KERNEL)))
    with open_source(tmp_path / "most") as blocks:
        assert stats_source.read_dumps(blocks) == [parsed()]
    (tmp_path / "zeroes.gz").write_bytes(gzip.compress(bytes((1 << 20) + 1)))
    words = r"zeroes.gz: the text has more than 1 MiB"
    with open_source(tmp_path / "zeroes.gz") as blocks, pytest.raises(StatsError, match=words):
        stats_source.read_dumps(blocks)


def test_compressed_dump_that_is_damaged(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cut.gz").write_bytes(gzip.compress(KERNEL.encode())[:-40])
    assert main(["stats", "--diff", *[str(tmp_path / "cut.gz")] * 2]) == 2
    assert "the compressed file is cut or damaged" in capsys.readouterr().err


# --- which chunk is which


def chunks(*sizes: int, mark: str = "") -> list[Chunk]:
    return [Chunk(f"Chunk:{mark}", {"nr_alloc": size, "free_bytes": 9 * size}) for size in sizes]


def test_chunks_in_another_order_are_equal() -> None:
    real = Dump.parse(REAL)
    first, *others = real.chunks
    other = Dump(real.allocation, real.totals, (*reversed(others), first))
    assert not differ(real, other)
    assert diff(real, other)["chunks"][0]["marks"] == ["<- First Chunk"] * 2
    shuffled = [*paired(others * 2, [*others[::-1], *others])]
    assert [a == b for a, b in shuffled] == [True] * 4


@pytest.mark.parametrize("other", [[7, 100, 52], [52, 7, 100], [100, 52, 7]])
def test_chunks_with_similar_figures_are_pairs(other: list[int]) -> None:
    a, b = chunks(5, 50, 101), chunks(*other)
    found = [(x and x.fields["nr_alloc"], y and y.fields["nr_alloc"]) for x, y in paired(a, b)]
    assert found == [(5, 7), (50, 52), (101, 100)]


def test_the_sum_of_all_distances_is_the_smallest() -> None:
    """The nearest two are no pair here: the other two would have nothing in common."""

    def chunk(*figures: int) -> Chunk:
        return Chunk("Chunk:", dict(zip("xyz", figures, strict=True)))

    a = [chunk(10, 10, 10), chunk(10, 90, 11)]
    b = [chunk(10, 10, 11), chunk(20, 10, 10)]
    assert distance(a[0], b[0]) < min(distance(a[0], b[1]), distance(a[1], b[0]))
    assert paired(a, b) == [(a[0], b[1]), (a[1], b[0])]


def test_marked_chunks_are_pairs_whatever_their_figures() -> None:
    first, reserved = chunks(9, mark=" <- First Chunk")[0], chunks(2, mark=" <- Reserved Chunk")[0]
    later_first = chunks(2, mark=" <- First Chunk")[0]
    later_reserved = chunks(9, mark=" <- Reserved Chunk")[0]
    assert paired([first, reserved], [later_reserved, later_first]) == [
        (first, later_first), (reserved, later_reserved)
    ]  # fmt: skip


def test_repeated_marks_are_pairs_in_order() -> None:
    a, b = (chunks(*sizes, mark=" <- First Chunk") for sizes in ((9, 2), (3, 8)))
    assert paired(a, b) == [(a[0], b[0]), (a[1], b[1])]


def test_other_marks_are_those_of_many_chunks() -> None:
    a, b = chunks(9, 200, mark=" <- x"), chunks(201, 8, mark=" <- x")
    assert paired(a, b) == [(a[0], b[1]), (a[1], b[0])]


def test_unmarked_chunk_takes_the_place_of_the_first() -> None:
    """A text may lack the mark; then the figures decide."""
    first, plain = chunks(9, mark=" <- First Chunk")[0], chunks(9)[0]
    assert paired([first], [plain]) == [(first, plain)]


@pytest.mark.parametrize("swapped", [False, True])
def test_chunks_without_a_partner_are_new_or_gone(swapped: bool) -> None:
    few, many = Dump(chunks=(*chunks(50),)), Dump(chunks=(*chunks(9, 51, 300),))
    a, b = (many, few) if swapped else (few, many)
    lines = [line for line in diff_text(a, b).splitlines() if line.startswith("Chunk ")]
    if swapped:
        assert lines == ["Chunk 0: gone", "Chunk 1:", "Chunk 2: gone"]
    else:
        assert lines == ["Chunk 0:", "Chunk 1: new", "Chunk 2: new"]
    assert differ(a, b)


def test_marks_of_new_and_gone_chunks_are_shown() -> None:
    a = Dump(chunks=(*chunks(50), *chunks(1, 2, mark=" <- First Chunk")))
    b = Dump(chunks=(*chunks(51), Chunk("Chunk (sidelined):", {"nr_alloc": 1})))
    shown = [line for line in diff_text(a, Dump()).splitlines() if line.startswith("Chunk ")]
    assert shown == ["Chunk 0: gone", *(f"Chunk {n}: <- First Chunk gone" for n in (1, 2))]
    assert "Chunk 1: (sidelined) new\n" in diff_text(Dump(chunks=b.chunks[:1]), b)


def test_largest_allocation_identifies_a_chunk() -> None:
    """It never falls in a chunk's life: that of the second rose, the others are unchanged."""
    first = {"max_alloc_size": 32440, "nr_alloc": 13, "free_bytes": 1048264, "sum_frag": 32}
    second = {"max_alloc_size": 32736, "nr_alloc": 0, "free_bytes": 1048576, "sum_frag": 0}
    later = {"max_alloc_size": 32736, "nr_alloc": 149, "free_bytes": 1008760, "sum_frag": 1005496}
    other = {"max_alloc_size": 32576, "nr_alloc": 164, "free_bytes": 1004232, "sum_frag": 744856}
    a = [Chunk("Chunk:", fields) for fields in (first, second)]
    b = [Chunk("Chunk:", fields) for fields in (later, other)]
    assert paired(a, b) == [(a[0], b[1]), (a[1], b[0])]


def test_distance_of_two_chunks() -> None:
    def apart(a: dict[str, int], b: dict[str, int], mark: str = ":") -> float:
        return distance(Chunk("Chunk:", a), Chunk(f"Chunk{mark}", b))

    assert apart({"x": 5}, {"x": 5}) == 0
    assert apart({"x": 5}, {"x": 5}, " (sidelined):") == 0.5
    assert apart({"x": 4}, {"x": 8}) == apart({"x": 8}, {"x": 4}) == 0.75
    assert apart({"x": 0}, {"x": 8}) == apart({}, {"x": 8}) == apart({"x": 8}, {}) == 1
    assert apart({"x": -4}, {"x": 8}) == 1  # a damaged text
    assert apart({"x": -4}, {"x": -8}) == apart({"x": -8}, {"x": -4}) == 0.75
    assert apart({"x": 4, "y": 1}, {}) == 2
    assert apart({"x": 4, "y": 1}, {"x": 8, "y": 0}) == 1.75
    assert apart({"max_alloc_size": 4}, {"max_alloc_size": 8}) == 3
    assert apart({"max_alloc_size": 4}, {}) == 4


@pytest.mark.parametrize("seed", range(40))
def test_closest_is_the_best_of_all_assignments(seed: int) -> None:
    rng = random.Random(seed)
    rows, columns = rng.randint(0, 5), rng.randint(0, 5)
    d = [
        [rng.choice([rng.random(), rng.randint(0, 2)]) for _ in range(columns)] for _ in range(rows)
    ]
    found = closest(d)
    assert len(found) == len({*found.values()}) == min(rows, columns)
    if rows <= columns:
        sums = [sum(map(list.__getitem__, d, order))
                for order in itertools.permutations(range(columns), rows)]  # fmt: skip
    else:
        sums = [sum(d[row][column] for column, row in enumerate(order))
                for order in itertools.permutations(range(rows), columns)]  # fmt: skip
    total = sum(d[row][column] for row, column in found.items())
    assert total == pytest.approx(min(sums, default=0))


@pytest.mark.parametrize("n", range(9))
def test_closest_is_not_greedy(n: int) -> None:
    """The smallest sum of these products is that of 1 * n, 2 * (n - 1), and so on."""
    products = [[row * column for column in range(1, n + 1)] for row in range(1, n + 1)]
    assert closest(products) == {row: n - 1 - row for row in range(n)}
    assert closest(products[::-1]) == {row: row for row in range(n)}
    assert closest([row[::-1] for row in products]) == {row: row for row in range(n)}


def test_many_changed_chunks_are_compared_in_parts() -> None:
    """By their rank, so nearly all find their partner."""
    a = chunks(*range(100, 100 + 2 * MOST))
    b = chunks(*range(101, 102 + 2 * MOST), mark=" <- x")
    found = paired(a[::-1], b)
    assert [left for left, _ in found] == [*a[::-1], None]
    assert {right.fields["nr_alloc"] for _, right in found if right} == set(range(101, 302))
    same = [left and right and left.fields == right.fields for left, right in found]
    assert same.count(True) == 2 * MOST - 2


@pytest.mark.parametrize("rank", range(3))
def test_parts_are_ranked_by_what_changes_little(
    rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What changes more has another order in the second dump."""
    monkeypatch.setattr(pairs, "MOST", 3)
    names = ["max_alloc_size", "nr_alloc", "free_bytes", "sum_frag"]

    def chunk(size: int, later: int) -> Chunk:
        figures = [64] * rank + [size] + [later] * (3 - rank)
        return Chunk("Chunk:", dict(zip(names, figures, strict=True)))

    order = [17, 12, 20, 15, 10, 21, 13, 18, 16, 11, 19, 14]
    a = [chunk(size, 1000 + size) for size in order]
    b = [chunk(size, 2000 - size) for size in sorted(order)]
    assert paired(a, b) == [(left, b[size - 10]) for left, size in zip(a, order, strict=True)]


@pytest.mark.parametrize("one", [[10, 20], [11, 12], [19, 21]])
@pytest.mark.parametrize("other", [[10, 20], [11, 12], [19, 21]])
def test_partners_are_of_the_same_part(
    one: list[int], other: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pairs, "MOST", 1)
    a, b = chunks(*one), chunks(*other, mark=" <- x")
    assert paired(a, b) == [*zip(a, b, strict=True)]
    assert paired(a[:1], b) == [(a[0], b[0]), (None, b[1])]
    assert paired(a, b[:1]) == [(a[0], b[0]), (a[1], None)]


def test_figure_that_ranks_may_be_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    """It counts as 0."""
    monkeypatch.setattr(pairs, "MOST", 1)
    none, some = Chunk("Chunk:", {"x": 1}), Chunk("Chunk:", {"nr_alloc": 1, "free_bytes": 0})
    other = chunks(0, mark=" <- x")[0]
    assert paired([some, none], [other]) == [(some, None), (none, other)]


def test_chunks_that_did_not_change_are_in_no_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pairs, "MOST", 1)
    a = chunks(10, 20, 30)
    assert paired(a, a[1:]) == [(a[0], None), (a[1], a[1]), (a[2], a[2])]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: Dump({**d.allocation, "unit_size": 1}, d.totals, d.chunks),
        lambda d: Dump(d.allocation, {**d.totals, "x": 0}, d.chunks),
        lambda d: Dump(d.allocation, {}, d.chunks),
        lambda d: Dump(d.allocation, d.totals, d.chunks[:1]),
        lambda d: Dump(d.allocation, d.totals, (*d.chunks, Chunk("Chunk:", {}))),
        lambda d: Dump(
            d.allocation, d.totals, (d.chunks[0], Chunk("Chunk (to_free):", d.chunks[1].fields))
        ),
        lambda d: Dump(d.allocation, d.totals, (d.chunks[0], Chunk("Chunk:", {}))),
    ],
)  # fmt: skip
def test_every_line_counts(change: Callable[[Dump], Dump]) -> None:
    assert differ(parsed(), change(parsed()))
    assert differ(change(parsed()), parsed())
    assert not differ(change(parsed()), change(parsed()))


def test_order_of_fields_does_not_count() -> None:
    other = Dump(parsed().allocation, dict([*parsed().totals.items()][::-1]), parsed().chunks)
    assert not differ(parsed(), other)


def test_trace_that_is_no_dump_is_still_refused_by_its_own_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(TraceError, match="this is a dump of percpu_stats"):
        Trace.load(SAMPLES / "percpu_stats.txt")
    (tmp_path / "empty").write_text("")
    assert main(["stats", str(tmp_path / "empty")]) == 2
    assert "the file is empty" in capsys.readouterr().err
